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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(written: Value) -> Result<Spec, String> {
        spec(&serde_json::from_value(written).unwrap())
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let short = read(json!({ "maxReplicas": 3, "scaleTargetRef": { "kind": "", "name": "" } })).unwrap();
        let expected = Spec { min_replicas: 1, max_replicas: 3, metrics: vec![usual()], behavior: None };
        assert_eq!(short, expected);
        let empty = behavior(&HorizontalPodAutoscalerBehavior::default()).unwrap();
        assert_eq!(
            (empty.scale_up.stabilization_window, empty.scale_down.stabilization_window),
            (Some(Duration::ZERO), None)
        );
        assert_eq!((empty.scale_up.policies.len(), empty.scale_down.policies.len()), (2, 1));
        assert_eq!(empty.scale_down.select_policy, SelectPolicy::Max);
        let own = json!({ "scaleUp": { "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 60 }], "tolerance": "57e-2" } });
        let own = behavior(&serde_json::from_value(own).unwrap()).unwrap();
        assert_eq!(own.scale_up.policies.len(), 1, "policies are replaced as a whole");
        assert_eq!((own.scale_up.tolerance, own.scale_down.tolerance), (Some(570.0 * 0.001), None));
    }

    #[test]
    fn of_several_targets_the_one_that_the_controller_takes() {
        let target = |kind: &str, field: &str, target: Value| {
            let mut source = json!({ "target": target, "metric": { "name": "m" }, "name": "cpu" });
            source["describedObject"] = json!({ "kind": "Queue", "name": "jobs" });
            metric(&serde_json::from_value(json!({ "type": kind, field: source })).unwrap()).unwrap().target
        };
        let both = json!({ "type": "Value", "value": "3", "averageValue": "2", "averageUtilization": 50 });
        assert_eq!(target("External", "external", both.clone()), Target::AverageValue(2000));
        assert_eq!(target("Object", "object", both.clone()), Target::Value(3000));
        assert_eq!(target("Resource", "resource", both), Target::AverageValue(2000));
        assert_eq!(
            target("Resource", "resource", json!({ "type": "Utilization", "averageUtilization": 50 })),
            Target::AverageUtilization(50)
        );
        assert_eq!(target("Object", "object", json!({ "type": "Value", "averageValue": "2" })), Target::Missing);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let external = json!({ "type": "External", "external": { "metric": { "name": "m" }, "target": { "type": "Value", "value": "2 requests" } } });
        let wrong =
            read(json!({ "maxReplicas": 3, "scaleTargetRef": { "kind": "", "name": "" }, "metrics": [external] }));
        assert_eq!(wrong.unwrap_err(), "\"2 requests\" is no quantity");
        let policy = json!({ "scaleUp": { "policies": [{ "type": "Pod", "value": 1, "periodSeconds": 60 }] } });
        let wrong = behavior(&serde_json::from_value(policy).unwrap()).unwrap_err();
        assert_eq!(wrong, "there is no policy \"Pod\"; write Pods or Percent");
    }

    #[test]
    fn a_selector_is_printed_as_go_prints_it() {
        let selector = json!({ "matchLabels": { "b": "c", "a": "d" }, "matchExpressions": [
            { "key": "x", "operator": "In", "values": ["p", "q"] }, { "key": "y", "operator": "Exists" }] });
        let printed = printed(&serde_json::from_value(selector).unwrap());
        let go = "&LabelSelector{MatchLabels:map[string]string{a: d,b: c,},MatchExpressions:[]LabelSelectorRequirement{\
            LabelSelectorRequirement{Key:x,Operator:In,Values:[p q],},LabelSelectorRequirement{Key:y,Operator:Exists,Values:[],},},}";
        assert_eq!(printed, go);
    }
}
