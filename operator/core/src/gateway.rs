//! What a gateway is told: its configuration, which the operator renders and the gateway reads from a file.
//!
//! A gateway may be older or newer than the operator: what it does not know it ignores, what is missing has a default.

use std::collections::BTreeMap;

use deepseek_crds::v1alpha1::EngineType;
use serde::{Deserialize, Serialize};

/// The whole configuration. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayConfig {
    /// The site, where there are several; peers are told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What clients may put into `model`.
    pub served_names: Vec<String>,
    /// The engine; it decides which routes are let through.
    pub engine: EngineType,
    /// Requests that a replica may run at once.
    pub max_concurrent_sequences: u32,
    /// Whether a conversation goes to the replica that has its beginning in its cache.
    #[serde(default = "yes")]
    pub affinity: bool,
    /// Whether each request is logged, without its content.
    #[serde(default)]
    pub access_log: bool,
    /// Where traces go, as OTLP over HTTP in JSON: `http://HOST:4318`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// Whether clients need an API key.
    #[serde(default)]
    pub keys_required: bool,
    /// Where there may be no replica because nobody asks: how long a request is held until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What holders of API keys may do, by the key's name; others have no limits of their own.
    #[serde(default)]
    pub clients: BTreeMap<String, Client>,
}

impl GatewayConfig {
    /// Serves nothing: of a gateway that has not been told anything yet.
    pub fn nothing() -> Self {
        Self {
            site: None,
            served_names: Vec::new(),
            engine: EngineType::Custom,
            max_concurrent_sequences: 1,
            affinity: true,
            access_log: false,
            otlp_endpoint: None,
            limits: Limits::default(),
            keys_required: false,
            hold: None,
            clients: BTreeMap::new(),
        }
    }
}

/// How long a request is held while no replica answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// At most so long.
    pub time: u64,
    /// How long a replica is thought to take until it answers: who is refused is told to come back then.
    pub start: u64,
}

/// Limits of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Requests that may wait for a replica.
    pub queue: usize,
    /// Longest wait for a replica.
    pub queue_time: u64,
    /// Longest request body, in bytes.
    pub body: usize,
    /// Longest head of a request, in bytes.
    pub head: usize,
    /// Longest time for a request to arrive in full.
    pub arrival: u64,
    /// Longest time to connect to a replica.
    pub connect: u64,
    /// Longest time until a replica begins to answer: reading a long prompt takes minutes.
    pub first_byte: u64,
    /// Longest silence of a replica within an answer.
    pub silence: u64,
    /// After this time without an answer a streaming client gets a comment, and then again each time.
    pub comment: u64,
    /// Longest time that running answers get when the gateway is told to stop.
    pub drain: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 1024,
            queue_time: 30_000,
            body: 32 << 20,
            head: 64 << 10,
            arrival: 60_000,
            connect: 1_000,
            first_byte: 600_000,
            silence: 15_000,
            comment: 10_000,
            drain: 600_000,
        }
    }
}

/// What the holder of an API key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Client {
    /// The most urgent class that its requests may have.
    pub priority: Option<PriorityClass>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute, read and made.
    pub tokens_per_minute: Option<u32>,
}

/// How urgent requests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PriorityClass {
    /// Batches that may be repeated; refused first.
    Low,
    /// Everything else.
    #[default]
    Normal,
    /// What somebody waits for; served first.
    High,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing_has_a_default_and_what_is_unknown_is_ignored() {
        let text =
            r#"{"servedNames":["chat"],"engine":"LlamaCpp","maxConcurrentSequences":4,"limits":{"queue":7},"later":1}"#;
        let config: GatewayConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.limits, Limits { queue: 7, ..Limits::default() });
        assert!(config.affinity && !config.keys_required);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in proptest::collection::vec(any::<u8>(), 0..64), like in r#"\{("(limits|engine|clients)":[{}\[\]",:0-9a-z]{0,9},?){0,4}\}"#) {
            let _ = serde_json::from_slice::<GatewayConfig>(&text);
            let _ = serde_json::from_str::<GatewayConfig>(&like);
        }

        #[test]
        fn what_is_written_is_read_back(
            names in proptest::collection::vec(".{0,9}", 0..4),
            site in proptest::option::of(".{0,9}"),
            limit in any::<u32>(),
            queue in any::<u32>(),
            client in (".{0,9}", proptest::option::of(any::<u32>())),
        ) {
            let config = GatewayConfig {
                served_names: names,
                site,
                max_concurrent_sequences: limit,
                limits: Limits { queue: queue as usize, ..Limits::default() },
                clients: [(client.0, Client { tokens_per_minute: client.1, ..Client::default() })].into(),
                ..GatewayConfig::nothing()
            };
            let text = serde_json::to_string(&config).unwrap();
            prop_assert_eq!(serde_json::from_str::<GatewayConfig>(&text).unwrap(), config);
        }
    }
}
