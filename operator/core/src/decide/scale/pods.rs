//! Metrics of single Pods: how many replicas would bring their average to the target?
//!
//! ```text
//! A Pod is, the first that applies:
//!   ignored    it is being deleted, or has failed
//!   unready    Pending
//!   missing    there is no sample of it
//!   unready    the resource is cpu, and: no condition Ready, or no start;
//!              within the initialization period: not Ready, or the sample's window began before Ready last changed;
//!              later: not Ready, and Ready last changed sooner than the initial delay after the start (it never was ready)
//!   ready      anything else: readiness is not asked for
//!
//! usage   u = floor(100 Σ usage / Σ request) / target      utilization: over the samples of Pods that exist, in whole per cent
//!         u = floor(Σ value / n) / target                   average value: over all samples, in whole milli-units
//!
//! u over the samples of neither ignored nor unready Pods gives the direction:
//!   nothing missing, and no Pod unready or u <= 1:   n = ceil(u × ready)
//!   else missing Pods count as 0 (u > 1), as the target or their request × max(100 %, target) (u < 1), not at all (u = 1),
//!   and unready Pods as 0 (u > 1);   u' over all of these,   n = ceil(u' × as many)
//! n = current replicas, if u' is within the tolerance, or u' or n points the other way than u
//! ```
//!
//! Source: `calcPlainMetricReplicas`, `GetResourceReplicas`, `groupPods`, `calculateRequests` of k8s.io/kubernetes
//! `pkg/controller/podautoscaler/replica_calculator.go` and `pkg/controller/podautoscaler/metrics/utilization.go`, v1.37.2.
//!
//! *Caveats*: whole numbers saturate where Go's would wrap around. Pod-level requests that leave a resource out fall back to the sum of
//! the containers; Kubernetes counts init containers that have ended, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::input::{Controller, Input, Phase, Pod};
use super::metric::Tolerance;
use super::number::{ceil32, count, float, narrow};
use super::reading::Sample;

/// The resource whose first samples may be skipped.
const CPU: &str = "cpu";

/// Pods by what their samples are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouped {
    /// Those that count, as a number.
    pub ready: i64,
    /// Those that damp going up and stay out of going down.
    pub unready: BTreeSet<String>,
    /// Those that damp both.
    pub missing: BTreeSet<String>,
    /// Those that are on their way out.
    pub ignored: BTreeSet<String>,
}

/// What each Pod should use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// As much of its requests, in per cent.
    Utilization(i32),
    /// As many milli-units.
    Average(i64),
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct PerPod {
    /// As many would do.
    pub replicas: i32,
    /// What is used, in per cent of the requests.
    pub utilization: Option<i32>,
    /// What a Pod uses on average, in milli-units.
    pub average: i64,
    /// That divided by the target (u).
    pub ratio: f64,
    /// The Pods.
    pub grouped: Grouped,
    /// The second look, at missing and unready Pods as well.
    pub again: Option<Again>,
}

/// The second look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Again {
    /// The ratio with what missing and unready Pods were taken to use (u').
    pub ratio: f64,
    /// Over as many samples.
    pub samples: i64,
}

/// Samples of a metric, and what they are to be measured by.
pub(super) struct Samples<'a> {
    /// Name of the resource; `None` for a metric that is none.
    pub resource: Option<&'a str>,
    /// The container that is meant, if one is.
    pub container: Option<&'a str>,
    /// The samples.
    pub of: &'a BTreeMap<String, Sample>,
}

/// How many replicas bring the average to the aim.
pub(super) fn per_pod(
    input: &Input,
    samples: &Samples,
    aim: Aim,
    tolerance: Tolerance,
    current: i32,
) -> Result<PerPod, String> {
    let pods = input.pods.as_deref().unwrap_or_default();
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".into());
    }
    let grouped = grouped(pods, samples.of, samples.resource, input.controller, input.now);
    let out = |name: &String| grouped.ignored.contains(name) || grouped.unready.contains(name);
    let kept = samples.of.iter().filter(|(name, _)| !out(name));
    let mut values: BTreeMap<&str, i64> = kept.map(|(name, sample)| (name.as_str(), sample.value)).collect();
    if values.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".into());
    }
    let requests = match aim {
        Aim::Utilization(_) => requests(pods, samples.resource.unwrap_or_default(), samples.container)?,
        Aim::Average(_) => BTreeMap::new(),
    };
    let usage = usage(&values, &requests, aim)?;
    let mut found = PerPod {
        replicas: current,
        utilization: usage.utilization,
        average: usage.average,
        ratio: usage.ratio,
        grouped,
        again: None,
    };
    let up_with_unready = !found.grouped.unready.is_empty() && usage.ratio > 1.0;
    if !up_with_unready && found.grouped.missing.is_empty() {
        if !tolerance.allows(usage.ratio) {
            found.replicas = ceil32(usage.ratio * float(found.grouped.ready));
        }
        return Ok(found);
    }
    fill_in(&mut values, &found.grouped, usage.ratio, &requests, aim);
    let again = Again { ratio: self::usage(&values, &requests, aim)?.ratio, samples: count(values.len()) };
    found.again = Some(again);
    found.replicas = second_look(usage.ratio, again, tolerance, current);
    Ok(found)
}

/// Neither what is missing nor what is unready may turn the direction.
fn second_look(first: f64, again: Again, tolerance: Tolerance, current: i32) -> i32 {
    let turned = (first < 1.0 && again.ratio > 1.0) || (first > 1.0 && again.ratio < 1.0);
    if tolerance.allows(again.ratio) || turned {
        return current;
    }
    let replicas = ceil32(again.ratio * float(again.samples));
    let turned = (again.ratio < 1.0 && replicas > current) || (again.ratio > 1.0 && replicas < current);
    if turned { current } else { replicas }
}

fn fill_in<'a>(
    values: &mut BTreeMap<&'a str, i64>,
    grouped: &'a Grouped,
    ratio: f64,
    requests: &BTreeMap<&str, i64>,
    aim: Aim,
) {
    for name in &grouped.missing {
        if ratio < 1.0 {
            let value = match aim {
                Aim::Average(target) => target,
                Aim::Utilization(target) => {
                    requests.get(name.as_str()).copied().unwrap_or(0).saturating_mul(i64::from(target.max(100))) / 100
                }
            };
            values.insert(name, value);
        } else if ratio > 1.0 {
            values.insert(name, 0);
        }
    }
    if ratio > 1.0 {
        values.extend(grouped.unready.iter().map(|name| (name.as_str(), 0)));
    }
}

struct Usage {
    ratio: f64,
    utilization: Option<i32>,
    average: i64,
}

fn usage(values: &BTreeMap<&str, i64>, requests: &BTreeMap<&str, i64>, aim: Aim) -> Result<Usage, String> {
    match aim {
        Aim::Average(target) => {
            let total = values.values().fold(0_i64, |sum, value| sum.saturating_add(*value));
            let average = total / count(values.len()).max(1);
            Ok(Usage { ratio: float(average) / float(target), utilization: None, average })
        }
        Aim::Utilization(target) => {
            // samples of Pods that do not exist stay out
            let known = values.iter().filter_map(|(name, value)| Some((*value, *requests.get(name)?)));
            let (mut used, mut requested, mut number) = (0_i64, 0_i64, 0_i64);
            for (value, request) in known {
                (used, requested, number) = (used.saturating_add(value), requested.saturating_add(request), number + 1);
            }
            if requested == 0 {
                return Err("no metrics returned matched known pods".into());
            }
            let utilization = narrow(used.saturating_mul(100) / requested);
            let ratio = f64::from(utilization) / f64::from(target);
            Ok(Usage { ratio, utilization: Some(utilization), average: used / number.max(1) })
        }
    }
}

/// Sorts Pods by what their samples are good for.
pub fn grouped(
    pods: &[Pod],
    samples: &BTreeMap<String, Sample>,
    resource: Option<&str>,
    controller: &Controller,
    now: Duration,
) -> Grouped {
    let mut grouped = Grouped::default();
    for pod in pods {
        let sample = samples.get(&pod.name);
        let group = if pod.deleted || pod.phase == Phase::Failed {
            &mut grouped.ignored
        } else if pod.phase == Phase::Pending {
            &mut grouped.unready
        } else if let Some(sample) = sample {
            if resource == Some(CPU) && is_unready(pod, sample, controller, now) {
                &mut grouped.unready
            } else {
                grouped.ready += 1;
                continue;
            }
        } else {
            &mut grouped.missing
        };
        group.insert(pod.name.clone());
    }
    grouped
}

/// Whether a sample of processor time says nothing: the process was still starting.
fn is_unready(pod: &Pod, sample: &Sample, controller: &Controller, now: Duration) -> bool {
    let (Some(ready), Some(started)) = (pod.ready, pod.started) else { return true };
    let is_not = ready.status == Some(false);
    if started.saturating_add(controller.cpu_initialization_period) > now {
        is_not || sample.taken < ready.since.saturating_add(sample.window)
    } else {
        is_not && started.saturating_add(controller.initial_readiness_delay) > ready.since
    }
}

/// Requests of each Pod, those that are not counted included: one without them is an error for all.
fn requests<'a>(pods: &'a [Pod], resource: &str, container: Option<&str>) -> Result<BTreeMap<&'a str, i64>, String> {
    pods.iter().map(|pod| Ok((pod.name.as_str(), request(pod, resource, container)?))).collect()
}

fn request(pod: &Pod, resource: &str, container: Option<&str>) -> Result<i64, String> {
    if let Some(own) = pod.requests.as_ref().filter(|own| container.is_none() && !own.is_empty()) {
        let sum =
            || pod.containers.iter().filter_map(|c| c.requests.get(resource)).copied().reduce(i64::saturating_add);
        let missing = || format!("missing pod-level request for {resource} in Pod {}", pod.name);
        return own.get(resource).copied().or_else(sum).ok_or_else(missing);
    }
    let mut sum = 0_i64;
    for one in pod.containers.iter().filter(|one| container.is_none_or(|name| name == one.name)) {
        let Some(request) = one.requests.get(resource) else {
            return Err(format!("missing request for {resource} in container {} of Pod {}", one.name, pod.name));
        };
        sum = sum.saturating_add(*request);
        if container.is_some() {
            return Ok(sum);
        }
    }
    match container {
        Some(name) => Err(format!("container {name} not found in Pod {}", pod.name)),
        None => Ok(sum),
    }
}

/// How many Pods run and are Ready, whatever their samples.
pub(super) fn ready(input: &Input) -> Result<i64, String> {
    let pods = input.pods.as_deref().unwrap_or_default();
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".into());
    }
    let is_ready =
        |pod: &&Pod| pod.phase == Phase::Running && pod.ready.is_some_and(|ready| ready.status == Some(true));
    Ok(count(pods.iter().filter(is_ready).count()))
}
