//! One metric: how many replicas does it ask for?
//!
//! ```text
//! c  current replicas (spec.replicas)          s  status.replicas         r  Pods that run and are Ready
//! T  target                                    V  the object's number, or the sum of the external ones
//! within(x)   1 - tolerance down <= x <= 1 + tolerance up             NaN and infinity are not
//!
//! AverageValue   Object, External    n = s if within(V / (T s)), else ceil(V / T)          shown: ceil(V / s)
//! Value          Object, External    n = c if within(V / T), else ceil(V / T × r);   c = 0: ceil(V / T), nothing else counts
//! Pods, Resource, ContainerResource: see `pods`
//! ```
//!
//! `AverageValue` holds at `status.replicas`, and `Value` multiplies by ready Pods: a target that counts them late shrinks, and one
//! that loses Pods under load loses more. The guard `count_ordered` puts c in place of s and r.
//!
//! A negative sum of external numbers counts as the largest number there is when the target is an `AverageValue`: Go takes it for an
//! overflow. `ceil(V / s)` is left out when s = 0, where the HPA shows what a division by zero gives. An Object's `AverageValue`
//! proposal beyond 32 bits is the largest number; on amd64 Go makes it negative, which is 0.
//!
//! Source: `GetObjectMetricReplicas`, `GetObjectPerPodMetricReplicas`, `GetExternalMetricReplicas`, `GetExternalPerPodMetricReplicas`,
//! `getUsageRatioReplicaCount` of k8s.io/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`, and `computeReplicasForMetric`,
//! `tolerancesForHpa` of `horizontal.go`, v1.37.2.

use std::collections::BTreeMap;

use super::guards::{Checked, checked};
use super::input::{Behavior, Controller, Input, Metric, Scale, Source, Target};
use super::number::{ceil32, ceil64, float};
use super::pods::{self, Aim, PerPod, Samples};
use super::reading::{Reading, Sample, Values};
use super::words::{failure, misfit, printed, unreadable};

/// What one metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The metric, as messages name it.
    pub metric: String,
    /// As many replicas.
    pub replicas: i32,
    /// What `status.currentMetrics` shows.
    pub current: Current,
    /// How it was found.
    pub working: Working,
}

/// `current` of an entry of `status.currentMetrics`, in milli-units and per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// `value`.
    pub value: Option<i64>,
    /// `averageValue`.
    pub average_value: Option<i64>,
    /// `averageUtilization`.
    pub average_utilization: Option<i32>,
}

/// How a proposal was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Working {
    /// From a number that belongs to no Pod.
    Total(Total),
    /// From the numbers of single Pods.
    PerPod(PerPod),
}

/// From a number that belongs to no Pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// The number, in milli-units (V).
    pub total: i64,
    /// The target, in milli-units (T).
    pub target: i64,
    /// What is compared with 1.
    pub ratio: f64,
    /// Replicas that are kept within the tolerance.
    pub held: i32,
    /// What the ratio was multiplied with, where it was: ready Pods.
    pub times: Option<i64>,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Reason of the condition.
    pub reason: &'static str,
    /// In words.
    pub message: String,
    /// What was heard of it asks for as many at least: see [`Validity`](super::guards::Validity).
    pub at_least: Option<i32>,
}

/// How far from 1 a ratio may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Below.
    pub down: f64,
    /// Above.
    pub up: f64,
}

impl Tolerance {
    /// That of the controller, or else that of `behavior`.
    pub fn of(controller: &Controller, behavior: Option<&Behavior>) -> Self {
        let of = |own: Option<Option<f64>>| own.flatten().unwrap_or(controller.tolerance);
        Self {
            down: of(behavior.map(|behavior| behavior.scale_down.tolerance)),
            up: of(behavior.map(|behavior| behavior.scale_up.tolerance)),
        }
    }

    /// Whether a ratio is close enough to 1.
    pub fn allows(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What a metric asks for.
pub(super) fn proposal(
    input: &Input,
    scale: Scale,
    tolerance: Tolerance,
    metric: &Metric,
    reading: &Reading,
) -> Result<Proposal, Failure> {
    let weigh = |values: &Values| Weighing { input, scale, tolerance, metric }.weigh(values);
    let fail = |why: String| failure(&metric.source, &why);
    match checked(reading, input.guards.validity.as_ref(), input.now) {
        Checked::Valid(values) => weigh(values).map_err(fail),
        Checked::Unread(why) => Err(fail(unreadable(input.namespace, metric, why))),
        Checked::Refused(why) => Err(fail(why)),
        Checked::Stale(why) => Err(Failure { reason: "StaleMetrics", ..fail(why) }),
        Checked::Partial(values, why) => {
            let at_least = weigh(values).ok().map(|proposal| proposal.replicas);
            Err(Failure { at_least, ..fail(why) })
        }
    }
}

struct Weighing<'a> {
    input: &'a Input<'a>,
    scale: Scale,
    tolerance: Tolerance,
    metric: &'a Metric,
}

impl Weighing<'_> {
    fn weigh(&self, values: &Values) -> Result<Proposal, String> {
        if let Some(wrong) = misfit(self.metric) {
            return Err(wrong);
        }
        match (&self.metric.source, values) {
            (Source::Resource { name }, Values::PerPod(samples)) => self.resource(name, None, samples),
            (Source::ContainerResource { name, container }, Values::PerPod(samples)) => {
                self.resource(name, Some(container), samples)
            }
            (Source::Pods { metric }, Values::PerPod(samples)) => {
                let samples = Samples { resource: None, container: None, of: samples };
                Ok(of_pods(format!("pods metric {}", metric.name), self.per_pod(&samples)?))
            }
            (Source::Object { metric, kind, .. }, Values::Series(series)) => {
                let total = series.first().copied().ok_or_else(|| self.empty("custom"))?;
                let named = match self.metric.target {
                    Target::Value(_) => format!("{kind} metric {}", metric.name),
                    _ => format!("external metric {}({})", metric.name, printed(metric)),
                };
                self.total(named, total)
            }
            (Source::External { metric }, Values::Series(series)) => {
                if series.is_empty() {
                    return Err(self.empty("external"));
                }
                let named = format!("external metric {}({})", metric.name, printed(metric));
                self.total(named, sum(series, self.metric.target))
            }
            _ => Err("the numbers are not of the kind that the metric has".into()),
        }
    }

    /// No numbers are no zero.
    fn empty(&self, api: &str) -> String {
        unreadable(self.input.namespace, self.metric, &format!("no metrics returned from {api} metrics API"))
    }

    fn resource(
        &self,
        name: &str,
        container: Option<&str>,
        samples: &BTreeMap<String, Sample>,
    ) -> Result<Proposal, String> {
        if samples.is_empty() {
            return Err(self.empty("resource"));
        }
        let samples = Samples { resource: Some(name), container, of: samples };
        let (what, named) = match (self.metric.target, container) {
            (Target::AverageValue(_), _) => ("usage", format!("{name} resource")),
            (_, None) => ("utilization", format!("{name} resource utilization (percentage of request)")),
            (_, Some(_)) => ("utilization", format!("{name} container resource utilization (percentage of request)")),
        };
        let found = self.per_pod(&samples).map_err(|why| format!("failed to get {name} {what}: {why}"))?;
        Ok(of_pods(named, found))
    }

    fn per_pod(&self, samples: &Samples) -> Result<PerPod, String> {
        if samples.of.is_empty() {
            return Err(self.empty("custom"));
        }
        let aim = match self.metric.target {
            Target::AverageUtilization(percent) => Aim::Utilization(percent),
            Target::AverageValue(target) | Target::Value(target) => Aim::Average(target),
            Target::Missing => Aim::Average(0),
        };
        pods::per_pod(self.input, samples, aim, self.tolerance, self.scale.spec_replicas)
    }

    fn total(&self, metric: String, total: i64) -> Result<Proposal, String> {
        let current = self.scale.spec_replicas;
        match self.metric.target {
            Target::AverageValue(target) => Ok(self.average(metric, total, target)),
            Target::Value(target) => {
                let ratio = float(total) / float(target);
                let mut found = Total { total, target, ratio, held: current, times: None };
                let replicas = if current == 0 {
                    ceil32(ratio)
                } else if self.tolerance.allows(ratio) {
                    current
                } else {
                    let times = self.multiplier()?;
                    found.times = Some(times);
                    ceil32(ratio * float(times))
                };
                let shown = Current { value: Some(total), ..Current::default() };
                Ok(Proposal { metric, replicas, current: shown, working: Working::Total(found) })
            }
            Target::AverageUtilization(_) | Target::Missing => Err("there is no target".into()),
        }
    }

    fn average(&self, metric: String, total: i64, target: i64) -> Proposal {
        let ordered = self.input.guards.count_ordered;
        let held = if ordered { self.scale.spec_replicas } else { self.scale.status_replicas };
        let ratio = float(total) / (float(target) * f64::from(held));
        let replicas = if self.tolerance.allows(ratio) { held } else { ceil32(float(total) / float(target)) };
        let share = || if float(total) >= float(i64::MAX) { i64::MAX } else { ceil64(float(total) / f64::from(held)) };
        let current = Current { average_value: (held != 0).then(share), ..Current::default() };
        let found = Total { total, target, ratio, held, times: None };
        Proposal { metric, replicas, current, working: Working::Total(found) }
    }

    fn multiplier(&self) -> Result<i64, String> {
        if self.input.guards.count_ordered {
            return Ok(i64::from(self.scale.spec_replicas));
        }
        pods::ready(self.input).map_err(|why| format!("unable to calculate ready pods: {why}"))
    }
}

fn of_pods(metric: String, found: PerPod) -> Proposal {
    let current = Current { value: None, average_value: Some(found.average), average_utilization: found.utilization };
    Proposal { metric, replicas: found.replicas, current, working: Working::PerPod(found) }
}

/// The sum of a series.
fn sum(series: &[i64], target: Target) -> i64 {
    let mut sum = 0_i64;
    for value in series {
        sum = sum.saturating_add(*value);
        if sum < 0 && matches!(target, Target::AverageValue(_)) {
            return i64::MAX;
        }
    }
    sum
}
