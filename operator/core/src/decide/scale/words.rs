//! What the HPA says of a metric that asks for nothing.
//!
//! Source: `computeStatusFor…Metric`, `getUnableComputeReplicaCountCondition` of k8s.io/kubernetes
//! `pkg/controller/podautoscaler/horizontal.go`, and the errors of `replica_calculator.go`, v1.37.2.

use super::input::{Identifier, Metric, Source, Target};
use super::metric::Failure;

/// Why a metric asks for nothing.
pub(super) fn failure(source: &Source, why: &str) -> Failure {
    let reason = match source {
        Source::Resource { .. } => "FailedGetResourceMetric",
        Source::ContainerResource { .. } => "FailedGetContainerResourceMetric",
        Source::Pods { .. } => "FailedGetPodsMetric",
        Source::Object { .. } => "FailedGetObjectMetric",
        Source::External { .. } => "FailedGetExternalMetric",
        Source::Unknown(_) => "InvalidMetricSourceType",
    };
    Failure { reason, message: format!("the HPA was unable to compute the replica count: {why}"), at_least: None }
}

/// The HPA's words for a metric that could not be read; a target that is missing is found first.
pub(super) fn unreadable(namespace: &str, metric: &Metric, why: &str) -> String {
    if let Some(wrong) = misfit(metric) {
        return wrong;
    }
    match &metric.source {
        Source::Resource { name } | Source::ContainerResource { name, .. } => {
            let what = if matches!(metric.target, Target::AverageValue(_)) { "usage" } else { "utilization" };
            format!("failed to get {name} {what}: unable to get metrics for resource {name}: {why}")
        }
        Source::Pods { metric } => format!("unable to get metric {}: {why}", metric.name),
        Source::Object { metric, kind, name } => {
            format!("unable to get metric {} on {kind} {namespace}/{name}: {why}", metric.name)
        }
        Source::External { metric } => {
            format!("unable to get external metric {namespace}/{}/{}: {why}", metric.name, printed(metric))
        }
        Source::Unknown(_) => why.to_owned(),
    }
}

/// What is wrong with a metric, whatever its numbers.
pub(super) fn misfit(metric: &Metric) -> Option<String> {
    match (&metric.source, metric.target) {
        (Source::Unknown(kind), _) => Some(format!("unknown metric source type {kind:?}")),
        (Source::Resource { .. } | Source::ContainerResource { .. }, Target::Missing | Target::Value(_)) => Some(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
                .into(),
        ),
        (Source::Object { .. }, Target::Missing | Target::AverageUtilization(_)) => {
            Some("invalid object metric source: neither a value target nor an average value target was set".into())
        }
        (Source::External { .. }, Target::Missing | Target::AverageUtilization(_)) => {
            Some("invalid external metric source: neither a value target nor an average value target was set".into())
        }
        (Source::Pods { .. }, Target::Missing | Target::Value(_) | Target::AverageUtilization(_)) => {
            Some("invalid pods metric source: no average value target was set".into())
        }
        _ => None,
    }
}

/// The selector as messages name it.
pub(super) fn printed(metric: &Identifier) -> &str {
    metric.selector.as_deref().unwrap_or("nil")
}
