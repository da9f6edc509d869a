//! What the kernel says about processes and about the whole machine.

use anyhow::{Context, Result};

/// Clock ticks in a second, as `/proc` counts them on Linux.
const TICKS: f64 = 100.0;
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
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
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
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // the name in brackets may contain blanks
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Busy time of the whole machine so far, in seconds of one core.
pub fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().into_iter().flat_map(str::split_whitespace).skip(1);
    // user nice system idle iowait irq softirq steal
    let busy = fields.take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    busy.filter_map(|(_, field)| field.parse::<f64>().ok()).sum::<f64>() / TICKS
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
