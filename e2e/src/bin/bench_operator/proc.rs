//! What the kernel says about processes and about the whole machine.

use std::time::Duration;

use anyhow::{Context, Result};
use deepseek_e2e::progress::say;
use tokio::time::{Instant, sleep};

/// Clock ticks in a second, as `/proc` counts them on Linux.
const TICKS: f64 = 100.0;
/// Up to this number of busy cores, the lab's own apart, the machine counts as quiet.
pub const QUIET: f64 = 0.15;

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What lies in memory.
    pub resident: f64,
    /// The part that is no file's.
    pub anonymous: f64,
    /// The most that has lain in memory.
    pub peak: f64,
}

/// Memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the operator is gone")?;
    let mib = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key}"))?;
        let kib: f64 = line.split_whitespace().nth(1).with_context(|| format!("no value of {key}"))?.parse()?;
        Ok::<_, anyhow::Error>(kib / 1024.0)
    };
    Ok(Memory { resident: mib("VmRSS:")?, anonymous: mib("RssAnon:")?, peak: mib("VmHWM:")? })
}

/// User and system time of a process, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the operator is gone")?;
    // the name in brackets may contain blanks
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

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
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = stat.lines().next().into_iter().flat_map(str::split_whitespace).skip(1);
        // user nice system idle iowait irq softirq steal
        let busy = fields.take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
        let machine: f64 = busy.filter_map(|(_, field)| field.parse::<f64>().ok()).sum();
        Self { at: Instant::now(), machine: machine / TICKS, lab: lab_cpu() }
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

/// The machine in words.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = value(&read("/proc/cpuinfo"), "model name");
    let kib: f64 =
        value(&read("/proc/meminfo"), "MemTotal").split(' ').next().unwrap_or_default().parse().unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{cores} cores of {model}, {:.0} GiB, Linux {kernel}", kib / 1024.0 / 1024.0)
}
