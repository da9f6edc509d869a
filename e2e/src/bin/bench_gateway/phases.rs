//! What is done with each of them. Every phase meets a proxy that has just been started.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};

use crate::book::Book;
use crate::load::Seen;
use crate::measures::{
    ADDED_P50, ADDED_P99, AFFINITY, FIRST_P50, FIRST_P99, H2, H2_CPU, IDLE, JITTER_P50, JITTER_P99, LEFT, LEFT_PREFILL,
    Measure, PROMPT, PROMPT_CPU, RATE_CPU, RATE_P50, RATE_P99, REST, SMALL, SMALL_CPU, SMALL_P50, SMALL_P99, TLS,
    TLS_CPU, TOKEN_CPU, TOKEN_P50, TOKEN_P99,
};
use crate::peers::{ENGINES, Peers, Spoken, ask, local};
use crate::process::{OTHERS, Process, command};
use crate::subject::Subject;

/// The longest that any client may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Until memory has settled.
const SETTLE: Duration = Duration::from_secs(1);
/// Time that an engine's work may go on for nobody.
const GRACE: Duration = Duration::from_secs(1);
const MEGABYTE: usize = 1_000_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// As many small requests as go.
    Small,
    /// Requests at fixed times.
    Rate,
    /// Streams of tokens.
    Streams,
    /// Streams on which nothing happens.
    Idle,
    /// Streams that have not begun.
    Prefill,
    /// Long prompts.
    Prompt,
    /// HTTP/2.
    H2,
    /// TLS.
    Tls,
    /// Conversations.
    Affinity,
}

impl Phase {
    /// In this order.
    pub const ALL: [Self; 9] = [
        Self::Small,
        Self::Rate,
        Self::Streams,
        Self::Idle,
        Self::Prefill,
        Self::Prompt,
        Self::H2,
        Self::Tls,
        Self::Affinity,
    ];

    /// What is spoken.
    pub fn spoken(self) -> Spoken {
        match self {
            Self::H2 => Spoken::H2,
            Self::Tls => Spoken::Tls,
            _ => Spoken::Plain,
        }
    }

    /// Those who are measured; the direct way comes first, as others are compared with it.
    pub fn subjects(self) -> &'static [Subject] {
        use Subject::{ByLoad, Direct, Gateway, Haproxy, HaproxyAbort, Litellm, Nginx};
        match self {
            Self::Small | Self::Rate | Self::Streams => &[Direct, Gateway, Haproxy, Nginx, Litellm],
            Self::Prompt => &[Direct, Gateway, Haproxy, Nginx],
            Self::Idle | Self::Prefill => &[Gateway, Haproxy, HaproxyAbort, Nginx],
            Self::H2 | Self::Tls => &[Gateway, Haproxy, Nginx],
            Self::Affinity => &[Gateway, ByLoad],
        }
    }

    fn engines(self) -> usize {
        if self == Self::Affinity { ENGINES.len() } else { 2 }
    }
}

/// One phase of one subject.
pub struct Turn<'a> {
    /// Starts it.
    pub peers: &'a Peers,
    /// Who.
    pub subject: Subject,
    /// What.
    pub phase: Phase,
    /// Where the numbers go.
    pub book: &'a mut Book,
}

impl Turn<'_> {
    /// Starts the proxy, does it, ends the proxy.
    ///
    /// # Errors
    /// When something does not come about.
    pub async fn run(&mut self) -> Result<()> {
        let process = self.peers.start(self.subject, self.phase.spoken(), self.phase.engines()).await?;
        let done = self.measure(process.as_ref()).await;
        if let Some(process) = process {
            process.stop().await;
        }
        done.with_context(|| format!("{:?}, {}", self.phase, self.subject.name()))
    }

    async fn measure(&mut self, process: Option<&Process>) -> Result<()> {
        let load = self.subject.load();
        match self.phase {
            Phase::Small => {
                let (seen, cpu) = self.load(process, format!("closed TO {} 0 4000", load.connections)).await?;
                self.add(SMALL, seen.count / seen.seconds);
                self.add_all([(SMALL_P50, seen.times.p50 * 1e3), (SMALL_P99, seen.times.p99 * 1e3)]);
                self.add_cpu(SMALL_CPU, cpu, 1e6 / seen.all);
            }
            Phase::Rate => {
                let (seen, cpu) = self.load(process, format!("rate TO {} 4000", load.rate)).await?;
                self.add_all([(RATE_P50, seen.times.p50 * 1e6), (RATE_P99, seen.times.p99 * 1e6)]);
                self.add_cpu(RATE_CPU, cpu, 1e6 / seen.all);
                self.added(ADDED_P50, RATE_P50);
                self.added(ADDED_P99, RATE_P99);
            }
            Phase::Streams => {
                let streams = format!("streams TO {} {} {}", load.streams, load.every, load.tokens);
                let (seen, cpu) = self.load(process, streams).await?;
                self.add_all([(TOKEN_P50, seen.times.p50 * 1e3), (TOKEN_P99, seen.times.p99 * 1e3)]);
                self.add_all([(JITTER_P50, seen.jitter.p50 * 1e3), (JITTER_P99, seen.jitter.p99 * 1e3)]);
                self.add_all([(FIRST_P50, seen.first.p50 * 1e3), (FIRST_P99, seen.first.p99 * 1e3)]);
                self.add_cpu(TOKEN_CPU, cpu, 1e6 / seen.all);
            }
            Phase::Idle => self.hold(process.context("nobody to measure")?, "begun").await?,
            Phase::Prefill => self.hold(process.context("nobody to measure")?, "prefill").await?,
            Phase::Prompt => {
                let (seen, cpu) = self.load(process, format!("closed TO 1 {MEGABYTE} 3000")).await?;
                self.add(PROMPT, seen.times.p50 * 1e3);
                self.add_cpu(PROMPT_CPU, cpu, 1e6 / seen.all);
            }
            Phase::H2 => {
                let (seen, cpu) = self.load(process, "modern --h2 TO 8 8 4000".to_owned()).await?;
                self.add(H2, seen.count / seen.seconds);
                self.add_cpu(H2_CPU, cpu, 1e6 / seen.all);
            }
            Phase::Tls => {
                let tls = format!("modern --tls {} TO 64 1 4000", self.peers.trusted().display());
                let (seen, cpu) = self.load(process, tls).await?;
                self.add(TLS, seen.count / seen.seconds);
                self.add_cpu(TLS_CPU, cpu, 1e6 / seen.all);
            }
            Phase::Affinity => {
                let (seen, _) = self.load(process, "turns TO 200 8 32".to_owned()).await?;
                self.add(AFFINITY, seen.all / seen.count * 100.0);
            }
        }
        Ok(())
    }

    fn add(&mut self, measure: Measure, value: f64) {
        self.book.add(self.subject, measure, value);
    }

    fn add_all<const N: usize>(&mut self, values: [(Measure, f64); N]) {
        for (measure, value) in values {
            self.add(measure, value);
        }
    }

    /// Nobody has processor time of a proxy where there is none.
    fn add_cpu(&mut self, measure: Measure, cpu: Option<f64>, scale: f64) {
        if let Some(cpu) = cpu {
            self.add(measure, cpu * scale);
        }
    }

    /// What the direct way of the same round did not take.
    fn added(&mut self, measure: Measure, whole: Measure) {
        let direct = self.book.last(Subject::Direct, whole);
        let own = self.book.last(self.subject, whole);
        if let (Some(direct), Some(own)) = (direct, own.filter(|_| self.subject != Subject::Direct)) {
            self.add(measure, own - direct);
        }
    }

    /// Runs a client, and tells how much processor time the proxy took meanwhile.
    async fn load(&self, process: Option<&Process>, what: String) -> Result<(Seen, Option<f64>)> {
        let before = process.map(Process::cpu);
        let client = self.client(&what)?.stdout(Stdio::piped()).spawn()?;
        let done = timeout(LONGEST, client.wait_with_output()).await.context("the client does not end")??;
        ensure!(done.status.success(), "the client ended with {}", done.status);
        let seen: Seen = serde_json::from_slice(&done.stdout).context("the client says nothing")?;
        ensure!(seen.failed == 0.0 && seen.count > 0.0, "{} requests failed, {} did not", seen.failed, seen.count);
        let cpu = process.zip(before).map(|(process, before)| process.cpu() - before);
        Ok((seen, cpu))
    }

    fn client(&self, what: &str) -> Result<tokio::process::Command> {
        let to = Peers::address(self.subject, self.phase.spoken()).to_string();
        let mut client = command(OTHERS, std::env::current_exe()?);
        client.arg("load").args(what.split(' ').map(|word| if word == "TO" { to.as_str() } else { word }));
        Ok(client)
    }

    /// Streams on which nothing happens: what they cost, and what is left when their clients have gone.
    async fn hold(&mut self, process: &Process, kind: &str) -> Result<()> {
        let (rest, held) = (process.resident(), self.subject.load().held);
        let mut client = self.client(&format!("hold TO {held} {kind}"))?;
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (mut told, out) = (client.stdin.take().context("no input")?, client.stdout.take().context("no output")?);
        let mut says = BufReader::new(out);
        expect(&mut says, "ready").await?;
        sleep(SETTLE).await;
        let (full, count) = (process.resident(), held_by_engines().await?);
        ensure!(count == held, "{count} of {held} streams have reached the engines");
        go_on(&mut told).await?;
        expect(&mut says, "reset").await?;
        sleep(GRACE).await;
        let left = held_by_engines().await?;
        go_on(&mut told).await?;
        timeout(LONGEST, client.wait()).await.context("the client does not end")??;
        if kind == "begun" {
            self.add_all([(REST, rest), (IDLE, (full - rest) * 1024.0 / f64::from(held)), (LEFT, left.into())]);
        } else {
            self.add(LEFT_PREFILL, left.into());
        }
        Ok(())
    }
}

async fn expect(says: &mut BufReader<ChildStdout>, word: &str) -> Result<()> {
    let mut line = String::new();
    timeout(LONGEST, says.read_line(&mut line)).await.context("the client says nothing")??;
    if line.trim() != word {
        bail!("the client says {line:?} instead of {word:?}");
    }
    Ok(())
}

async fn go_on(told: &mut ChildStdin) -> Result<()> {
    told.write_all(b"\n").await?;
    Ok(told.flush().await?)
}

/// Requests that wait or stream.
async fn held_by_engines() -> Result<u32> {
    Ok(ask(local(ENGINES[0]), "GET /held", "", true).await?.trim().parse()?)
}
