//! From `autoscaling/v2` as it is written to what is decided with: defaults filled in, quantities read.
//!
//! ```text
//! minReplicas  1          metrics  cpu at 80 % of what is requested          behavior  none
//!
//! with behavior, field by field   scaleUp                                    scaleDown
//!   stabilizationWindowSeconds    0                                          the controller's
//!   selectPolicy                  Max                                        Max
//!   policies, as a whole          Pods 4 / 15 s, Percent 100 / 15 s          Percent 100 / 15 s
//!   tolerance                     the controller's                           the controller's
//! ```
//!
//! Source: `SetDefaults_HorizontalPodAutoscaler` of k8s.io/kubernetes `pkg/apis/autoscaling/v2/defaults.go`, v1.37.2. Which of several
//! targets counts: `computeStatusFor…Metric` of `pkg/controller/podautoscaler/horizontal.go`.

use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
    MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::input::{Behavior, Identifier, Metric, Policy, PolicyKind, Rules, SelectPolicy, Source, Spec, Target};
use super::quantity::Quantity;

/// Reads the spec of an autoscaler.
///
/// # Errors
/// Which value cannot be read. What the API server's validation refuses otherwise is not looked at.
pub fn spec(written: &HorizontalPodAutoscalerSpec) -> Result<Spec, String> {
    let metrics = written.metrics.as_deref().unwrap_or_default();
    Ok(Spec {
        min_replicas: written.min_replicas.unwrap_or(1),
        max_replicas: written.max_replicas,
        metrics: if metrics.is_empty() {
            vec![usual()]
        } else {
            metrics.iter().map(metric).collect::<Result<_, _>>()?
        },
        behavior: written.behavior.as_ref().map(behavior).transpose()?,
    })
}

fn usual() -> Metric {
    Metric { source: Source::Resource { name: "cpu".into() }, target: Target::AverageUtilization(80) }
}

/// Reads one metric.
///
/// # Errors
/// Which value cannot be read.
pub fn metric(written: &MetricSpec) -> Result<Metric, String> {
    let unset = || Ok(Metric { source: Source::Unknown(written.type_.clone()), target: Target::Missing });
    match written.type_.as_str() {
        "Resource" => written.resource.as_ref().map_or_else(unset, |of| {
            Ok(Metric { source: Source::Resource { name: of.name.clone() }, target: of_pods(&of.target)? })
        }),
        "ContainerResource" => written.container_resource.as_ref().map_or_else(unset, |of| {
            let source = Source::ContainerResource { name: of.name.clone(), container: of.container.clone() };
            Ok(Metric { source, target: of_pods(&of.target)? })
        }),
        "Pods" => written.pods.as_ref().map_or_else(unset, |of| {
            Ok(Metric { source: Source::Pods { metric: identifier(&of.metric) }, target: of_pods(&of.target)? })
        }),
        "Object" => written.object.as_ref().map_or_else(unset, |of| {
            let (kind, name) = (of.described_object.kind.clone(), of.described_object.name.clone());
            let source = Source::Object { metric: identifier(&of.metric), kind, name };
            Ok(Metric { source, target: of_object(&of.target)? })
        }),
        "External" => written.external.as_ref().map_or_else(unset, |of| {
            Ok(Metric { source: Source::External { metric: identifier(&of.metric) }, target: of_sum(&of.target)? })
        }),
        _ => unset(),
    }
}

fn of_pods(target: &MetricTarget) -> Result<Target, String> {
    Ok(match (&target.average_value, target.average_utilization) {
        (Some(value), _) => Target::AverageValue(milli(value)?),
        (None, Some(percent)) => Target::AverageUtilization(percent),
        (None, None) => Target::Missing,
    })
}

fn of_object(target: &MetricTarget) -> Result<Target, String> {
    Ok(match (target.type_.as_str(), &target.value, &target.average_value) {
        ("Value", Some(value), _) => Target::Value(milli(value)?),
        ("AverageValue", _, Some(value)) => Target::AverageValue(milli(value)?),
        _ => Target::Missing,
    })
}

fn of_sum(target: &MetricTarget) -> Result<Target, String> {
    Ok(match (&target.average_value, &target.value) {
        (Some(value), _) => Target::AverageValue(milli(value)?),
        (None, Some(value)) => Target::Value(milli(value)?),
        (None, None) => Target::Missing,
    })
}

fn milli(text: &Text) -> Result<i64, String> {
    Ok(quantity(text)?.milli())
}

fn quantity(text: &Text) -> Result<Quantity, String> {
    Quantity::parse(&text.0).ok_or_else(|| format!("{:?} is no quantity", text.0))
}

/// Reads `behavior`, and fills both directions in.
///
/// # Errors
/// Which value cannot be read.
pub fn behavior(written: &HorizontalPodAutoscalerBehavior) -> Result<Behavior, String> {
    let of = |kind, value| Policy { kind, value, period: Duration::from_secs(15) };
    let both = vec![of(PolicyKind::Pods, 4), of(PolicyKind::Percent, 100)];
    Ok(Behavior {
        scale_up: rules(written.scale_up.as_ref(), Some(Duration::ZERO), both)?,
        scale_down: rules(written.scale_down.as_ref(), None, vec![of(PolicyKind::Percent, 100)])?,
    })
}

fn rules(written: Option<&HPAScalingRules>, window: Option<Duration>, usual: Vec<Policy>) -> Result<Rules, String> {
    let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let unset = HPAScalingRules::default();
    let written = written.unwrap_or(&unset);
    let policies = written.policies.as_ref().map(|written| {
        let read = written.iter().map(|policy| {
            let kind = match policy.type_.as_str() {
                "Pods" => PolicyKind::Pods,
                "Percent" => PolicyKind::Percent,
                other => return Err(format!("there is no policy {other:?}; write Pods or Percent")),
            };
            Ok(Policy { kind, value: policy.value, period: seconds(policy.period_seconds) })
        });
        read.collect()
    });
    Ok(Rules {
        stabilization_window: written.stabilization_window_seconds.map(seconds).or(window),
        select_policy: match written.select_policy.as_deref() {
            Some("Disabled") => SelectPolicy::Disabled,
            Some("Min") => SelectPolicy::Min,
            _ => SelectPolicy::Max,
        },
        policies: policies.unwrap_or(Ok(usual))?,
        tolerance: written.tolerance.as_ref().map(|text| quantity(text).map(Quantity::approximate)).transpose()?,
    })
}

fn identifier(written: &MetricIdentifier) -> Identifier {
    Identifier { name: written.name.clone(), selector: written.selector.as_ref().map(printed) }
}

/// As Go prints it: it is part of the HPA's messages.
fn printed(selector: &LabelSelector) -> String {
    let mut text = String::from("&LabelSelector{MatchLabels:map[string]string{");
    for (key, value) in selector.match_labels.iter().flatten() {
        _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for wanted in selector.match_expressions.iter().flatten() {
        let values = wanted.values.as_deref().unwrap_or_default().join(" ");
        _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            wanted.key, wanted.operator
        );
    }
    text.push_str("},}");
    text
}
