//! Autoscalers: metrics of all types, behaviours in all combinations.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy,
    HPAScalingRules, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
    MetricTarget, ObjectMetricSource, PodsMetricSource, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

/// Metrics of one autoscaler, at most.
pub const METRICS: usize = 3;

pub fn specs() -> impl Strategy<Value = HorizontalPodAutoscalerSpec> {
    let bounds = (
        weighted(0.9, prop_oneof![3 => 1..=3_i32, 2 => Just(0)]),
        prop_oneof![4 => 5..=20_i32, 1 => 1..=4_i32, 1 => Just(i32::MAX)],
    );
    (bounds, vec(metric_seeds(), 0..=METRICS), weighted(0.6, behaviors())).prop_map(|((min, max), seeds, behavior)| {
        let metrics = seeds.iter().enumerate().map(|(at, seed)| metric(at, seed)).collect();
        HorizontalPodAutoscalerSpec {
            behavior,
            max_replicas: max.max(min.unwrap_or(1)),
            metrics: Some(metrics),
            min_replicas: min,
            scale_target_ref: CrossVersionObjectReference::default(),
        }
    })
}

/// Those that may go to zero, and come back.
pub fn specs_to_zero() -> impl Strategy<Value = HorizontalPodAutoscalerSpec> {
    let seeds = metric_seeds().prop_map(|seed| MetricSeed {
        kind: if seed.kind == "Object" { "Object" } else { "External" },
        target: if seed.target == "Value" { "Value" } else { "AverageValue" },
        ..seed
    });
    (specs(), vec(seeds, 1..=METRICS)).prop_map(|(spec, seeds)| HorizontalPodAutoscalerSpec {
        metrics: Some(seeds.iter().enumerate().map(|(at, seed)| metric(at, seed)).collect()),
        min_replicas: Some(0),
        ..spec
    })
}

#[derive(Clone, Debug)]
pub struct MetricSeed {
    pub kind: &'static str,
    pub target: &'static str,
    pub value: &'static str,
    pub percent: i32,
    pub labelled: bool,
}

fn metric_seeds() -> impl Strategy<Value = MetricSeed> {
    let kinds =
        select(vec!["External", "External", "Object", "Pods", "Resource", "ContainerResource", "CheddarCheese"]);
    let kinds =
        prop_oneof![20 => kinds.prop_filter("weighted", |kind| *kind != "CheddarCheese"), 1 => Just("CheddarCheese")];
    let targets = prop_oneof![20 => select(vec!["AverageValue", "Value", "Utilization"]), 1 => Just("None")];
    let values = select(vec!["2", "500m", "1.5", "10", "3333m", "0.0015", "1k", "1Ki", "2e1", "100u"]);
    (kinds, targets, values, select(vec![50, 80, 100, 10, 150]), prop::bool::weighted(0.2))
        .prop_map(|(kind, target, value, percent, labelled)| MetricSeed { kind, target, value, percent, labelled })
}

pub fn metric(at: usize, seed: &MetricSeed) -> MetricSpec {
    let labels = BTreeMap::from([("tier".to_owned(), "a".to_owned()), ("app".to_owned(), "b".to_owned())]);
    let selector = seed.labelled.then_some(LabelSelector { match_labels: Some(labels), match_expressions: None });
    let identifier = MetricIdentifier { name: format!("m{at}"), selector };
    let quantity = || Some(Quantity(seed.value.to_owned()));
    let mut target = MetricTarget { type_: seed.target.to_owned(), ..MetricTarget::default() };
    match (seed.target, seed.kind) {
        // the controller does not look whether there is one
        (_, "Pods") | ("AverageValue", _) => target.average_value = quantity(),
        ("Value", _) => target.value = quantity(),
        ("Utilization", _) => target.average_utilization = Some(seed.percent),
        _ => {}
    }
    let name = if at == 1 { "memory" } else { "cpu" }.to_owned();
    let mut metric = MetricSpec { type_: seed.kind.to_owned(), ..MetricSpec::default() };
    match seed.kind {
        "External" => metric.external = Some(ExternalMetricSource { metric: identifier, target }),
        "Object" => {
            let described_object =
                CrossVersionObjectReference { kind: "Queue".into(), name: "jobs".into(), api_version: None };
            metric.object = Some(ObjectMetricSource { described_object, metric: identifier, target });
        }
        "Pods" => metric.pods = Some(PodsMetricSource { metric: identifier, target }),
        "Resource" => metric.resource = Some(ResourceMetricSource { name, target }),
        "ContainerResource" => {
            let container = "main".to_owned();
            metric.container_resource = Some(ContainerResourceMetricSource { container, name, target });
        }
        _ => {}
    }
    metric
}

fn behaviors() -> impl Strategy<Value = HorizontalPodAutoscalerBehavior> {
    (of(rules()), of(rules()))
        .prop_map(|(scale_down, scale_up)| HorizontalPodAutoscalerBehavior { scale_down, scale_up })
}

fn rules() -> impl Strategy<Value = HPAScalingRules> {
    let policy =
        (any::<bool>(), 1..=5_i32, select(vec![1, 10, 50, 100, 150, 700]), select(vec![15, 30, 60, 14, 120, 1800]));
    let policy = policy.prop_map(|(pods, few, percent, period_seconds)| HPAScalingPolicy {
        period_seconds,
        type_: if pods { "Pods" } else { "Percent" }.to_owned(),
        value: if pods { few } else { percent },
    });
    let select_policy = prop_oneof![6 => select(vec!["Max", "Min"]), 1 => Just("Disabled")];
    let tolerance = select(vec!["0", "0.05", "0.1", "0.33", "100m", "57e-2", "1", "2000u"]);
    (of(vec(policy, 1..=3)), of(select_policy), of(select(vec![0, 15, 30, 60, 120, 3600])), weighted(0.4, tolerance))
        .prop_map(|(policies, select_policy, stabilization_window_seconds, tolerance)| HPAScalingRules {
            policies,
            select_policy: select_policy.map(str::to_owned),
            stabilization_window_seconds,
            tolerance: tolerance.map(|text| Quantity(text.to_owned())),
        })
}
