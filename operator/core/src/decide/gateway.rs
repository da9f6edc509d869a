//! What a deployment's gateway is told, and whether the spec asks for something it cannot be told.

use std::collections::BTreeMap;
use std::time::Duration;

use deepseek_crds::condition::Reason;
use deepseek_crds::unit::{Bytes, duration};
use deepseek_crds::v1alpha1::{Gateway, GatewayClient, GatewayLimits, GatewayResources, PriorityClass, Routing};

use crate::decide::accept::Accepted;
use crate::decide::autoscale::COLD_START;
use crate::decide::autoscale::wanted::Wanted;
use crate::decide::place::Placement;
use crate::gateway::{Client, GatewayConfig, Hold, Limits, PriorityClass as Class};
use crate::verdict::Refusal;

/// Longest body that may be allowed: it is kept in memory until it has been sent.
const LONGEST_BODY: u64 = 1 << 30;

/// A gateway with its defaults filled in.
#[derive(Clone, Debug)]
pub struct Front {
    /// Pods; none leaves the engines to be reached directly.
    pub replicas: i32,
    /// Secret with the API keys.
    pub keys_secret: Option<String>,
    /// Secret with certificate and key.
    pub tls_secret: Option<String>,
    /// Memory and processors of a Pod.
    pub resources: GatewayResources,
    affinity: bool,
    access_log: bool,
    limits: Limits,
    clients: BTreeMap<String, Client>,
}

impl Front {
    /// Fills in every default.
    ///
    /// # Errors
    /// A [`Refusal`] for the condition `Accepted`.
    pub fn of(spec: Option<&Gateway>, drain_seconds: i64) -> Result<Self, Refusal> {
        let Gateway { replicas, routing, authentication, tls, clients, limits, access_log, resources } =
            spec.cloned().unwrap_or_default();
        let resources = resources.unwrap_or_default();
        bytes("resources.memory", resources.memory.as_deref(), u64::MAX)?;
        Ok(Self {
            replicas,
            keys_secret: authentication.map(|a| a.api_keys_secret_name),
            tls_secret: tls.map(|tls| tls.secret_name),
            resources,
            affinity: routing != Some(Routing::LeastLoad),
            access_log,
            limits: limits_of(&limits.unwrap_or_default(), drain_seconds)?,
            clients: clients.iter().map(|client| (client.name.clone(), client_of(client))).collect(),
        })
    }

    /// Whether there is one.
    pub fn is_wanted(&self) -> bool {
        self.replicas > 0
    }

    /// How long a request may wait for a replica.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.limits.queue_time)
    }

    /// What its Pods are told.
    /// `learned`: how long replicas have taken until they answered.
    pub fn config(
        &self,
        accepted: &Accepted<'_>,
        placement: &Placement,
        otlp: Option<&str>,
        learned: Option<Duration>,
    ) -> GatewayConfig {
        GatewayConfig {
            served_names: accepted.served_names.clone(),
            engine: accepted.engine.engine.clone(),
            max_concurrent_sequences: placement.sequences,
            affinity: self.affinity,
            access_log: self.access_log,
            limits: self.limits.clone(),
            site: None,
            keys_required: self.keys_secret.is_some(),
            hold: accepted.autoscaling.as_ref().and_then(|wanted| hold(wanted, learned)),
            clients: self.clients.clone(),
            otlp_endpoint: otlp.map(str::to_owned),
        }
    }
}

fn hold(wanted: &Wanted, learned: Option<Duration>) -> Option<Hold> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let start = wanted.expected.or(learned).unwrap_or(COLD_START);
    wanted.zero.map(|zero| Hold { time: millis(zero.hold), start: millis(start) })
}

fn limits_of(asked: &GatewayLimits, drain_seconds: i64) -> Result<Limits, Refusal> {
    let GatewayLimits { max_queue_length, max_queue_time, max_body_size, first_byte_timeout, inter_token_timeout } =
        asked;
    let usual = Limits::default();
    let drain = u64::try_from(drain_seconds).unwrap_or(0).saturating_mul(1000);
    let body = bytes("limits.maxBodySize", max_body_size.as_deref(), LONGEST_BODY)?;
    Ok(Limits {
        queue: max_queue_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usual.queue),
        queue_time: millis("limits.maxQueueTime", max_queue_time.as_deref(), usual.queue_time)?,
        body: body.and_then(|body| usize::try_from(body).ok()).unwrap_or(usual.body),
        first_byte: millis("limits.firstByteTimeout", first_byte_timeout.as_deref(), usual.first_byte)?,
        silence: millis("limits.interTokenTimeout", inter_token_timeout.as_deref(), usual.silence)?,
        drain,
        ..usual
    })
}

fn client_of(client: &GatewayClient) -> Client {
    let class = |priority: &PriorityClass| match priority {
        PriorityClass::Low => Class::Low,
        PriorityClass::High => Class::High,
        PriorityClass::Normal | PriorityClass::Other(_) => Class::Normal,
    };
    Client {
        priority: client.priority.as_ref().map(class),
        requests_per_minute: client.requests_per_minute.map(i32::unsigned_abs),
        tokens_per_minute: client.tokens_per_minute.map(i32::unsigned_abs),
    }
}

fn millis(field: &str, text: Option<&str>, usual: u64) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(usual) };
    let parsed = duration(text).and_then(|d| u64::try_from(d.as_millis()).ok()).filter(|millis| *millis > 0);
    parsed.ok_or_else(|| {
        Refusal::new(
            Reason::InvalidValue,
            format!(
                "spec.gateway.{field}: {text:?} is no time to wait; write hours, minutes and seconds, at least 1s, such as 30s."
            ),
        )
    })
}

fn bytes(field: &str, text: Option<&str>, most: u64) -> Result<Option<u64>, Refusal> {
    let refused = |why: String| Refusal::new(Reason::InvalidValue, format!("spec.gateway.{field}: {why}."));
    let Some(text) = text else { return Ok(None) };
    let Bytes(bytes) = text.parse().map_err(|error: deepseek_crds::unit::NotBytes| refused(error.to_string()))?;
    match bytes {
        0 => Err(refused(format!("{text:?} is nothing; write a quantity such as 32Mi"))),
        _ if bytes > most => Err(refused(format!("{text:?} is more than 1Gi; choose at most 1Gi"))),
        _ => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(spec: serde_json::Value) -> Result<Front, Refusal> {
        Front::of(Some(&serde_json::from_value(spec).unwrap()), 600)
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let front = Front::of(None, 90).unwrap();
        assert_eq!((front.replicas, front.affinity, front.is_wanted()), (2, true, true));
        assert_eq!(front.limits, Limits { drain: 90_000, ..Limits::default() });
        assert!(!Front::of(Some(&Gateway { replicas: 0, ..Gateway::default() }), 90).unwrap().is_wanted());
    }

    #[test]
    fn what_is_said_counts() {
        let front = front(serde_json::json!({
            "routing": "LeastLoad", "clients": [{"name": "batch", "priority": "Low", "requestsPerMinute": 3}],
            "limits": {"maxQueueLength": 0, "maxQueueTime": "5s", "maxBodySize": "1Mi", "interTokenTimeout": "1m"},
        }))
        .unwrap();
        assert!(!front.affinity);
        assert_eq!((front.limits.queue, front.limits.queue_time, front.limits.body), (0, 5000, 1 << 20));
        assert_eq!(front.limits.silence, 60_000);
        let batch = Client { priority: Some(Class::Low), requests_per_minute: Some(3), tokens_per_minute: None };
        assert_eq!(front.clients["batch"], batch);
    }

    #[test]
    fn nonsense_is_refused_by_its_path() {
        for (limits, path) in [
            (serde_json::json!({"maxQueueTime": "0s"}), "spec.gateway.limits.maxQueueTime"),
            (serde_json::json!({"firstByteTimeout": "s"}), "spec.gateway.limits.firstByteTimeout"),
            (serde_json::json!({"maxBodySize": "2Gi"}), "spec.gateway.limits.maxBodySize"),
            (serde_json::json!({"maxBodySize": "0"}), "spec.gateway.limits.maxBodySize"),
        ] {
            let refusal = front(serde_json::json!({ "limits": limits })).unwrap_err();
            assert!(refusal.message.contains(path), "{}", refusal.message);
        }
    }
}
