//! Processes, each on its core.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use deepseek_e2e::bench::machine::{cpu, memory};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The core of the proxy, which it has for itself.
pub const PROXY: u32 = 0;
/// The core of engines and client.
pub const OTHERS: u32 = 1;
/// After this a process that was asked to end is ended.
const STOP: Duration = Duration::from_secs(3);

/// What is started.
pub fn command(core: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A process that runs until it is stopped.
pub struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts it; what it says goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("taskset cannot be started")?;
        let pid = child.id().context("it has ended")?;
        Ok(Self { child, pid })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time of it and its children, in seconds.
    pub fn cpu(&self) -> f64 {
        family(self.pid).into_iter().filter_map(|pid| cpu(pid).ok()).sum()
    }

    /// Memory of it and its children, in MiB.
    pub fn resident(&self) -> f64 {
        family(self.pid).into_iter().filter_map(|pid| memory(pid).ok()).map(|memory| memory.resident).sum()
    }

    /// Ends it and its children.
    pub async fn stop(mut self) {
        let family = family(self.pid);
        signal("TERM", &[self.pid]).await;
        if timeout(STOP, self.child.wait()).await.is_err() {
            // those that are there already have no other process's number: they have not been waited for
            signal("KILL", &family).await;
            let _ = self.child.wait().await;
        }
    }
}

async fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    // one that has ended meanwhile is no error
    let _ = Command::new("kill").arg("-s").arg(name).args(pids).stderr(Stdio::null()).status().await;
}

/// A process and its children, and theirs.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let parents = parents();
    let mut at = 0;
    while at < all.len() {
        let own = all[at];
        all.extend(parents.iter().filter(|(_, parent)| *parent == own).map(|(child, _)| *child));
        at += 1;
    }
    all
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the name in brackets may contain blanks
        let behind = stat.rsplit(')').next()?;
        Some((pid, behind.split_whitespace().nth(1)?.parse().ok()?))
    })
    .collect()
}
