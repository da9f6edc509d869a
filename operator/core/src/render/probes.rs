//! The kubelet's probes, with budgets that follow from the weights.
//!
//! ```text
//! start-up budget = 120 s + weights / 100 MB/s
//! ```
//!
//! 100 MB/s is a slow network disk (gigabit Ethernet carries 118 MB/s at best); 120 s is for the image and the engine itself.
//! A kubelet probe only decides about restarts and the Service; whether a deployment is available is the canary's to say.

use deepseek_crds::v1alpha1::EngineType;
use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

const BASE_SECONDS: u64 = 120;
const SLOW_DISK_BYTES_PER_SECOND: u64 = 100_000_000;
/// Budgets below this are probed each second, so that a small model is ready at once; longer ones every fifth.
const SHORT_BUDGET_SECONDS: u64 = 600;

/// Seconds that the engine may take from its start to its first good answer.
pub fn startup_budget_seconds(weight_bytes: u64) -> u64 {
    BASE_SECONDS + weight_bytes / SLOW_DISK_BYTES_PER_SECOND
}

/// Start-up, readiness and liveness probe of an engine.
#[derive(Clone, Debug)]
pub struct Probes {
    /// Until it answers for the first time.
    pub startup: Probe,
    /// Whether the Service sends requests to it.
    pub readiness: Probe,
    /// Whether it is restarted: a minute of silence, far longer than an engine's HTTP server is ever busy.
    pub liveness: Probe,
}

/// Renders the probes.
pub fn probes(engine: &EngineType, weight_bytes: u64) -> Probes {
    let budget = startup_budget_seconds(weight_bytes);
    let period = if budget < SHORT_BUDGET_SECONDS { 1 } else { 5 };
    Probes {
        startup: probe(engine, period, budget.div_ceil(period), 2),
        readiness: probe(engine, 2, 2, 2),
        liveness: probe(engine, 10, 6, 5),
    }
}

fn probe(engine: &EngineType, period: u64, failures: u64, timeout: i32) -> Probe {
    let small = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(health_path(engine).into()),
            port: IntOrString::String("http".into()),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(small(period)),
        failure_threshold: Some(small(failures)),
        success_threshold: Some(1),
        timeout_seconds: Some(timeout),
        ..Probe::default()
    }
}

/// Where an engine says that it is up. llama.cpp answers 503 while it loads; the simulator's `/health` is always 200; of a
/// custom engine only the OpenAI routes are known.
fn health_path(engine: &EngineType) -> &'static str {
    match engine {
        EngineType::LlamaCpp => "/health",
        EngineType::Simulator => "/health/ready",
        EngineType::Custom | EngineType::Other(_) => "/v1/models",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_follow_from_the_weights() {
        assert_eq!(startup_budget_seconds(2_000_000), 120);
        assert_eq!(startup_budget_seconds(689_000_000_000), 120 + 6890);
        let large = probes(&EngineType::LlamaCpp, 689_000_000_000).startup;
        assert_eq!(large.period_seconds, Some(5));
        assert!(large.failure_threshold >= Some(1402));
    }
}
