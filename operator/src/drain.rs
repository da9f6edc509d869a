//! `deepseek-operator drain`: runs in the container of an engine before it is told to stop, and ends when the engine is idle.
//!
//! For engines that cut running answers off when they are told to stop: llama.cpp's server closes its streams at once, and
//! never answers plain requests that are under way.

use std::time::{Duration, Instant};

use clap::Args;

use crate::http::{block_on, get};

/// How often the engine is asked.
const PERIOD: Duration = Duration::from_millis(250);

/// Flags of the drain.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the engine tells its metrics.
    #[arg(long, default_value = "http://127.0.0.1:8000/metrics")]
    metrics: String,
    /// Seconds to wait first: until then, requests may still arrive through the Service.
    #[arg(long, default_value_t = 5)]
    after: u64,
    /// Seconds after which the engine is stopped although it is not idle.
    #[arg(long, default_value_t = 600)]
    timeout: u64,
}

/// Never fails: whatever happens, the engine is stopped next.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(options.after + options.timeout);
    block_on(async {
        tokio::time::sleep(Duration::from_secs(options.after)).await;
        let mut idle = 0;
        // twice: a request may be between two counters
        while idle < 2 && Instant::now() < end {
            idle = match get(&options.metrics, Duration::from_secs(2)).await {
                Ok((200, metrics)) if unfinished(&metrics) > 0.0 => 0,
                _ => idle + 1,
            };
            tokio::time::sleep(PERIOD).await;
        }
        Ok(())
    })
}

/// Requests that are worked on or wait, by llama.cpp's gauges.
fn unfinished(metrics: &str) -> f64 {
    let gauges = ["llamacpp:requests_processing", "llamacpp:requests_deferred"];
    (metrics.lines())
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| gauges.contains(name))
        .filter_map(|(_, value)| value.trim().parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_run_and_that_wait_are_unfinished() {
        let metrics = "# HELP llamacpp:requests_processing Number of requests processing.\n\
            llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\nllamacpp:n_decode_total 44\n";
        assert!((unfinished(metrics) - 3.0).abs() < f64::EPSILON);
        assert!(unfinished("llamacpp:n_decode_total 44\n") < f64::EPSILON);
    }
}
