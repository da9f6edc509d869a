//! What proptest writes: small worlds in which everything happens, most of it rarely enough that something is left to decide.

mod spec;

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerSpec, MetricSpec};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use spec::{METRICS, MetricSeed, metric, specs, specs_to_zero};

use crate::scenario::{Container, Flags, Pod, Reading, Sample, Scenario, World};

/// Seconds between two regular passes.
const PERIOD: i64 = 15;

pub fn scenarios() -> impl Strategy<Value = Scenario> {
    let spec = prop_oneof![3 => specs(), 1 => specs_to_zero()];
    let lasting = (worlds(), prop_oneof![4 => Just(1_usize), 2 => 2..=4_usize, 1 => 5..=9_usize]);
    (flags(), spec, 0..=12_i32, templates(), vec(lasting, 1..=10)).prop_map(
        |(controller, spec, replicas, template, rough)| {
            let mut in_force = spec.clone();
            let rough = rough.into_iter().flat_map(|(rough, times)| {
                // what happens once is not repeated
                let later = Rough { edit: None, replicas: None, restart: false, ..rough.clone() };
                std::iter::once(rough).chain(std::iter::repeat_n(later, times - 1))
            });
            let worlds = rough.enumerate().map(|(at, rough)| {
                // an edit just before the pass, unless it is the first one
                let edited = rough.edit.clone().filter(|_| at > 0);
                in_force = edited.clone().unwrap_or_else(|| in_force.clone());
                world(rough, edited, &in_force, &template, PERIOD * i64::try_from(at).unwrap())
            });
            let worlds = worlds.collect();
            Scenario { controller, spec, replicas, worlds }
        },
    )
}

fn flags() -> impl Strategy<Value = Flags> {
    let times =
        (select(vec![300_u64, 0, 15, 45, 60, 120]), select(vec![300_u64, 0, 20, 120]), select(vec![30_u64, 0, 10, 60]));
    (select(vec![0.1, 0.0, 0.05, 0.33]), times, prop::bool::weighted(0.9)).prop_map(
        |(tolerance, (window, start, delay), scale_to_zero)| Flags {
            tolerance,
            downscale_stabilization: window,
            cpu_initialization_period: start,
            initial_readiness_delay: delay,
            scale_to_zero,
        },
    )
}

/// Containers that all Pods of the target have, and requests of the whole Pod.
#[derive(Clone, Debug)]
struct Template {
    containers: Vec<Container>,
    requests: Option<BTreeMap<String, String>>,
}

fn templates() -> impl Strategy<Value = Template> {
    let asks = |list: &[(&str, &str)]| {
        list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let main = Container { name: "main".into(), sidecar: false, requests: asks(&[("cpu", "200m"), ("memory", "1Mi")]) };
    let poor = Container { requests: asks(&[("memory", "1Mi")]), ..main.clone() };
    let other =
        Container { name: "other".into(), sidecar: false, requests: asks(&[("cpu", "0.1"), ("memory", "500k")]) };
    let sidecar = Container { name: "side".into(), sidecar: true, requests: asks(&[("cpu", "50m"), ("memory", "1k")]) };
    let bare = Container { requests: BTreeMap::new(), ..sidecar.clone() };
    let zero = Container { requests: asks(&[("cpu", "0"), ("memory", "0")]), ..main.clone() };
    let containers = prop_oneof![
        6 => select(vec![vec![main.clone()], vec![main.clone(), other.clone()], vec![main.clone(), sidecar]]),
        2 => select(vec![vec![poor], vec![other], vec![main, bare], vec![zero], vec![]]),
    ];
    let whole =
        select(vec![asks(&[("cpu", "1")]), asks(&[("memory", "2Mi")]), asks(&[("cpu", "300m"), ("memory", "1Gi")])]);
    (containers, weighted(0.15, whole)).prop_map(|(containers, requests)| Template { containers, requests })
}

#[derive(Clone, Debug)]
struct Rough {
    edit: Option<HorizontalPodAutoscalerSpec>,
    replicas: Option<i32>,
    status_ahead: i32,
    selector: Option<String>,
    scale_error: bool,
    update_error: bool,
    restart: bool,
    pods: Vec<RoughPod>,
    readings: Vec<RoughReading>,
}

fn worlds() -> impl Strategy<Value = Rough> {
    let ahead = prop_oneof![8 => Just(0), 2 => -3..=3_i32];
    let selector = prop_oneof![30 => Just(None), 1 => select(vec![Some(""), Some("a in (")])];
    let rare = prop::bool::weighted;
    let target = (weighted(0.06, 0..=12_i32), ahead, selector, rare(0.02), rare(0.03), rare(0.03));
    let pods = prop_oneof![10 => vec(pods(), 1..=8), 1 => Just(Vec::new())];
    (weighted(0.05, specs()), target, pods, vec(readings(), METRICS)).prop_map(
        |(edit, (replicas, status_ahead, selector, scale_error, update_error, restart), pods, readings)| Rough {
            edit,
            replicas,
            status_ahead,
            selector: selector.map(str::to_owned),
            scale_error,
            update_error,
            restart,
            pods,
            readings,
        },
    )
}

#[derive(Clone, Debug)]
struct RoughPod {
    phase: &'static str,
    ready: &'static str,
    age: Option<i64>,
    turned: i64,
    deleted: bool,
}

fn pods() -> impl Strategy<Value = RoughPod> {
    let phases = prop_oneof![12 => Just("Running"), 3 => select(vec!["Pending", "Failed", "Succeeded", "Unknown"])];
    let ready = prop_oneof![8 => Just("True"), 3 => Just("False"), 1 => select(vec!["Unknown", ""])];
    (phases, ready, weighted(0.95, 0..=700_i64), -20..=200_i64, prop::bool::weighted(0.06))
        .prop_map(|(phase, ready, age, turned, deleted)| RoughPod { phase, ready, age, turned, deleted })
}

#[derive(Clone, Debug)]
struct RoughReading {
    fails: bool,
    /// Of the target, in thousandths: what a replica, or a Pod, has.
    level: i64,
    /// So many replicas have it.
    times: i64,
    parts: usize,
    extreme: bool,
    samples: Vec<(i64, bool, i64, i64)>,
    stranger: bool,
}

fn readings() -> impl Strategy<Value = RoughReading> {
    let level =
        prop_oneof![4 => Just(0_i64), 10 => 0..=2500_i64, 3 => 850..=1150_i64, 1 => Just(1000_i64), 1 => -500..=1_i64];
    let sample = (0..=2000_i64, prop::bool::weighted(0.88), 0..=90_i64, 0..=60_i64);
    let rare = prop::bool::weighted;
    (rare(0.08), level, 0..=12_i64, 1..=3_usize, rare(0.01), vec(sample, 8), rare(0.05)).prop_map(
        |(fails, level, times, parts, extreme, samples, stranger)| RoughReading {
            fails,
            level,
            times,
            parts,
            extreme,
            samples,
            stranger,
        },
    )
}

fn world(
    rough: Rough,
    edited: Option<HorizontalPodAutoscalerSpec>,
    spec: &HorizontalPodAutoscalerSpec,
    template: &Template,
    now: i64,
) -> World {
    let error = |fails, text: &str| if fails { text.to_owned() } else { String::new() };
    let mut readings = BTreeMap::new();
    let written = spec.metrics.as_deref().unwrap_or_default();
    let usual =
        [metric(0, &MetricSeed { kind: "Resource", target: "Utilization", value: "1", percent: 80, labelled: false })];
    let written = if written.is_empty() { &usual } else { written };
    for (metric, reading) in written.iter().zip(&rough.readings) {
        if let Some((key, target)) = keyed(metric, template) {
            readings.entry(key).or_insert_with(|| read(reading, metric, target, rough.pods.len(), now));
        }
    }
    let pod = |(at, rough): (usize, RoughPod)| {
        let start = rough.age.map(|age| now - age);
        Pod {
            name: format!("p{at}"),
            phase: rough.phase.to_owned(),
            ready: rough.ready.to_owned(),
            start,
            transition: start.unwrap_or(now) + rough.turned,
            deleted: rough.deleted,
            containers: template.containers.clone(),
            requests: template.requests.clone(),
        }
    };
    World {
        spec: edited,
        replicas: rough.replicas,
        status_ahead: rough.status_ahead,
        selector: rough.selector,
        scale_error: error(rough.scale_error, "the API server is away"),
        update_error: error(rough.update_error, "the API server refuses"),
        restart: rough.restart,
        pods: rough.pods.into_iter().enumerate().map(pod).collect(),
        readings,
    }
}

/// Under which name the oracle asks for a metric, and a number that is about what a Pod should have.
fn keyed(metric: &MetricSpec, template: &Template) -> Option<(String, i64)> {
    use deepseek_core::decide::scale::input::{Source, Target};
    let read = deepseek_core::decide::scale::v2::metric(metric).unwrap();
    let key = match &read.source {
        Source::Resource { name } => format!("resource:{name}"),
        Source::ContainerResource { name, container } => format!("container:{container}:{name}"),
        Source::Pods { metric } => format!("pods:{}", metric.name),
        Source::Object { metric, .. } => format!("object:{}", metric.name),
        Source::External { metric } => format!("external:{}", metric.name),
        Source::Unknown(_) => return None,
    };
    let target = match read.target {
        Target::Value(milli) | Target::AverageValue(milli) => milli,
        Target::AverageUtilization(percent) => {
            let memory = key.ends_with("memory");
            let request = if memory { 1_048_576_000 } else { 200 };
            request * i64::from(percent) / 100 * i64::try_from(template.containers.len().max(1)).unwrap()
        }
        Target::Missing => 1000,
    };
    Some((key, target))
}

fn read(rough: &RoughReading, metric: &MetricSpec, target: i64, pods: usize, now: i64) -> Reading {
    if rough.fails {
        return Reading { error: "down".into(), ..Reading::default() };
    }
    let part = target * rough.level / 1000 * rough.times;
    let mut values = vec![part; rough.parts];
    // what is beyond 32 bits is defined for this one only
    if rough.extreme && metric.external.as_ref().is_some_and(|of| of.target.average_value.is_some()) {
        values.push(i64::MAX - 5);
    }
    let sample = |(value, _, age, window): &(i64, bool, i64, i64)| Sample {
        value: target * value / 1000 * rough.level.max(0) / 1000,
        at: now - age,
        window: *window,
    };
    let present = rough.samples.iter().enumerate().take(pods).filter(|(_, sample)| sample.1);
    let mut samples: BTreeMap<_, _> = present.map(|(at, seed)| (format!("p{at}"), sample(seed))).collect();
    if rough.stranger {
        samples.insert("stranger".into(), Sample { value: target, at: now, window: 60 });
    }
    if samples.is_empty() && metric.external.is_none() && metric.object.is_none() {
        // the API answers with an error then
        return Reading { error: "nothing there".into(), ..Reading::default() };
    }
    Reading { error: String::new(), pods: samples, values }
}
