//! The clients: each measures one thing, in a process of its own, and prints what it saw as one line of JSON.

mod closed;
mod hold;
mod modern;
mod rate;
mod streams;
mod turns;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde::{Deserialize, Serialize};

/// What one client saw; times are in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Requests or tokens that were measured.
    pub count: f64,
    /// For how long.
    pub seconds: f64,
    /// Those that were answered at all, also while it warmed up.
    pub all: f64,
    /// Those that were answered badly, or not at all.
    pub failed: f64,
    /// Times of requests, or of tokens on their way.
    pub times: Spread,
    /// Deviations from the time between two tokens.
    pub jitter: Spread,
    /// Times to the first token.
    pub first: Spread,
}

/// How times are distributed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are no longer.
    pub p50: f64,
    /// Of a hundred, one is longer.
    pub p99: f64,
    /// Of a thousand, one is longer.
    pub p999: f64,
}

impl Spread {
    /// Of these times.
    pub fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let at = |thousandth: usize| {
            let rank = (times.len() * thousandth).div_ceil(1000).max(1);
            times.get(rank - 1).copied().unwrap_or(0.0)
        };
        Self { p50: at(500), p99: at(990), p999: at(999) }
    }
}

/// One client.
#[derive(Clone, Debug, Subcommand)]
pub enum Load {
    /// As many requests as go, one after the other on each connection.
    Closed {
        /// Where to.
        to: SocketAddr,
        /// Connections.
        connections: usize,
        /// Bytes of each body.
        bytes: usize,
        /// Milliseconds that are measured.
        ms: u64,
    },
    /// Requests at fixed times.
    Rate {
        /// Where to.
        to: SocketAddr,
        /// In a second.
        rate: u32,
        /// Milliseconds that are measured.
        ms: u64,
    },
    /// Streams of tokens at a fixed rate.
    Streams {
        /// Where to.
        to: SocketAddr,
        /// How many.
        streams: u32,
        /// Microseconds between two tokens.
        every: u32,
        /// Tokens of each.
        tokens: u32,
    },
    /// Streams that stay; resets them when its standard input says something.
    Hold {
        /// Where to.
        to: SocketAddr,
        /// How many.
        streams: u32,
        /// `begun` or `prefill`.
        kind: String,
    },
    /// As `closed`, with HTTP/2 or TLS.
    Modern {
        /// Where to.
        to: SocketAddr,
        /// Connections.
        connections: usize,
        /// Requests at once on each.
        streams: usize,
        /// Milliseconds that are measured.
        ms: u64,
        /// The certificate, where TLS is wanted.
        #[arg(long)]
        tls: Option<PathBuf>,
        /// HTTP/2.
        #[arg(long)]
        h2: bool,
    },
    /// Conversations; tells how many of their turns were in a cache.
    Turns {
        /// Where to.
        to: SocketAddr,
        /// Conversations.
        conversations: usize,
        /// Turns of each.
        turns: usize,
        /// Requests at once.
        at_once: usize,
    },
}

impl Load {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn run(self) -> Result<()> {
        let seen = match self {
            Self::Closed { to, connections, bytes, ms } => closed::run(to, connections, bytes, span(ms))?,
            Self::Rate { to, rate, ms } => rate::run(to, rate, span(ms))?,
            Self::Streams { to, streams, every, tokens } => streams::run(to, streams, every, tokens)?,
            Self::Hold { to, streams, kind } => return hold::run(to, streams, &kind),
            Self::Modern { to, connections, streams, ms, tls, h2 } => {
                let kind = modern::Kind { h2, tls };
                modern::run(to, kind, connections, streams, span(ms)).await?
            }
            Self::Turns { to, conversations, turns, at_once } => turns::run(to, conversations, turns, at_once).await?,
        };
        println!("{}", serde_json::to_string(&seen)?);
        Ok(())
    }
}

fn span(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A number of things that fit into memory, for arithmetic.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The body of a request: a conversation of its own for each `who`, at least `bytes` long.
fn body(who: usize, wish: &str, stream: bool, bytes: usize) -> String {
    let user = if wish.is_empty() { String::new() } else { format!("\"user\":\"{wish}\",") };
    let head = format!(
        "{{\"model\":\"chat\",\"max_tokens\":64,\"stream\":{stream},{user}\"messages\":[{{\"role\":\"user\",\"content\":\"{who}: "
    );
    let words = "What does the operator do when a node is lost? ";
    let fill = words.repeat(bytes.saturating_sub(head.len()).div_ceil(words.len()).max(1));
    format!("{head}{fill}\"}}]}}")
}

/// A request over HTTP/1.1.
fn request(to: SocketAddr, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {to}\r\nuser-agent: bench\r\naccept: application/json\r\n\
         authorization: Bearer sk-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
