//! What Prometheus may ask. No label carries a name that users choose: their number has no bound.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// All metrics of the controller.
pub struct Metrics {
    registry: Registry,
    /// Passes of the loop, by result.
    pub reconciles: IntCounterVec,
    /// How long a pass takes.
    pub reconcile_seconds: Histogram,
    /// Requests that write, by kind and result.
    pub writes: IntCounterVec,
    /// Interruptions of watches, by stream.
    pub watch_errors: IntCounterVec,
    /// Canaries, by result.
    pub canaries: IntCounterVec,
    /// Pods that gave way because their node is lost, by whether their kubelet was waited for.
    pub removals: IntCounterVec,
    /// Nodes with Pods of ours that do not answer.
    pub silent_nodes: IntGauge,
    /// Questions to gateways about the load, by result.
    pub demands: IntCounterVec,
    /// Changes of a number of replicas, by direction.
    pub rescales: IntCounterVec,
    /// Whether this replica may write.
    pub leading: IntGauge,
    /// How often this replica began to lead.
    pub leaderships: IntCounter,
}

impl Metrics {
    /// Registers all of them.
    ///
    /// # Errors
    /// When two have the same name, which would be a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let reconciles = counters("deepseek_reconciles_total", "Passes of the loop over one deployment.", &["result"])?;
        let writes = counters("deepseek_writes_total", "Writing requests to the API server.", &["kind", "result"])?;
        let watch_errors = counters("deepseek_watch_errors_total", "Interruptions of a watch.", &["stream"])?;
        let canaries = counters("deepseek_canaries_total", "One-token requests to engines.", &["result"])?;
        let removals =
            counters("deepseek_removals_total", "Pods that gave way because their node is lost.", &["forced"])?;
        let demands = counters("deepseek_demand_requests_total", "Questions to gateways about the load.", &["result"])?;
        let rescales = counters(
            "deepseek_rescales_total",
            "Changes of a number of replicas that follows the load.",
            &["direction"],
        )?;
        let silent_nodes =
            IntGauge::new("deepseek_silent_nodes", "Nodes with Pods of deployments that do not answer.")?;
        registry.register(Box::new(silent_nodes.clone()))?;
        let buckets = vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
        let reconcile_seconds = Histogram::with_opts(
            HistogramOpts::new("deepseek_reconcile_duration_seconds", "Duration of one pass of the loop.")
                .buckets(buckets),
        )?;
        let leading = IntGauge::new("deepseek_leader", "1 on the replica that may write, else 0.")?;
        let leaderships = IntCounter::new("deepseek_leaderships_total", "How often this replica began to lead.")?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        registry.register(Box::new(leading.clone()))?;
        registry.register(Box::new(leaderships.clone()))?;
        Ok(Self {
            registry,
            reconciles,
            reconcile_seconds,
            writes,
            watch_errors,
            canaries,
            removals,
            silent_nodes,
            demands,
            rescales,
            leading,
            leaderships,
        })
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a defect.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
