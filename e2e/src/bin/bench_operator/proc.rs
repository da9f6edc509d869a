//! Whether the machine has anything else to do.

use std::time::Duration;

use deepseek_e2e::bench::machine::{busy, cpu};
use deepseek_e2e::progress::say;
use tokio::time::{Instant, sleep};

/// Up to this number of busy cores, the lab's own apart, the machine counts as quiet.
pub const QUIET: f64 = 0.15;

/// Busy time of the machine and of the lab so far.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    at: Instant,
    machine: f64,
    lab: f64,
}

impl Busy {
    /// Up to now.
    pub fn now() -> Self {
        Self { at: Instant::now(), machine: busy(), lab: lab_cpu() }
    }

    /// Cores that others have kept busy since. Processes of the lab that have ended meanwhile count as others.
    pub fn others_since(self) -> f64 {
        let now = Self::now();
        let seconds = (now.at - self.at).as_secs_f64();
        ((now.machine - self.machine) - (now.lab - self.lab)).max(0.0) / seconds
    }
}

/// All processes that can be seen are the lab's: it has process numbers of its own.
fn lab_cpu() -> f64 {
    let Ok(folder) = std::fs::read_dir("/proc") else { return 0.0 };
    let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| cpu(pid).ok()).sum()
}

/// Waits until nothing else runs on this machine, but not for ever; returns how many cores others use.
pub async fn quiet(patience: Duration) -> f64 {
    let start = Instant::now();
    loop {
        let busy = Busy::now();
        sleep(Duration::from_secs(3)).await;
        let others = busy.others_since();
        if others <= QUIET || start.elapsed() >= patience {
            return others;
        }
        say(format_args!("others use {others:.1} cores; waiting ({:.0} s)", start.elapsed().as_secs_f64()));
    }
}
