//! `spec.autoscaling` with its defaults, as the decision takes it.
//!
//! ```text
//! target.requestsPerSecond   deepseek_requests_per_second      the mean of a minute; that of 15 s if it is above by more than chance
//! target.concurrency         deepseek_requests_in_flight       the mean of 15 s
//! target.queued              deepseek_requests_queued          the mean of 15 s
//! target.tokensPerSecond     deepseek_tokens_per_second        the mean of a minute
//! ```

use std::time::Duration;

use deepseek_crds::condition::Reason;
use deepseek_crds::unit::duration;
use deepseek_crds::v1alpha1::{
    Autoscaling, MetricName, ScaleToZero, ScalingBehavior, ScalingMode, ScalingSchedule, ScalingTarget, Switch,
    WhenUnschedulable,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;

use super::schedule::Schedule;
use crate::decide::scale::input::{Behavior, Identifier, Metric, Source, Spec, Target};
use crate::decide::scale::quantity::Quantity;
use crate::decide::scale::v2;
use crate::verdict::Refusal;

/// Nobody has asked for so long: no replica is needed.
const IDLE_AFTER: Duration = Duration::from_secs(900);
/// A request is held for so long.
const HOLD: Duration = Duration::from_secs(120);
/// Two passes.
const SHORTEST: Duration = Duration::from_secs(10);

/// What is wanted of a deployment that scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Somebody else sets the number.
    pub external: bool,
    /// Bounds, metrics and behaviour.
    pub spec: Spec,
    /// What each metric of `spec` is, in its order, with its target in milli-units.
    pub measures: Vec<(Measure, i64)>,
    /// Whether a forecast is made.
    pub compensates: bool,
    /// How long a replica takes to be ready, if somebody has said it.
    pub expected: Option<Duration>,
    /// How long a request waits for a replica.
    pub patience: Duration,
    /// Other bounds at certain hours.
    pub schedules: Vec<Schedule>,
    /// The most that all replicas may hold. Unit: accelerators.
    pub accelerators: Option<i32>,
    /// Replicas for which no node has room are taken back.
    pub caps: bool,
    /// When none is needed at all.
    pub zero: Option<Zero>,
}

/// Without requests there is no replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zero {
    /// Nobody has asked for so long.
    pub idle_after: Duration,
    /// A request is held for so long while a replica starts for it.
    pub hold: Duration,
}

/// What gateways count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Arrivals per second.
    RequestsPerSecond,
    /// Requests under way, those that wait included.
    Concurrency,
    /// Requests that wait.
    Queued,
    /// Tokens per second.
    TokensPerSecond,
}

impl Measure {
    fn of(name: &MetricName) -> Option<Self> {
        Some(match name {
            MetricName::RequestsPerSecond => Self::RequestsPerSecond,
            MetricName::RequestsInFlight => Self::Concurrency,
            MetricName::RequestsQueued => Self::Queued,
            MetricName::TokensPerSecond => Self::TokensPerSecond,
            MetricName::Other(_) => return None,
        })
    }

    /// Its name as a metric.
    pub fn name(self) -> MetricName {
        match self {
            Self::RequestsPerSecond => MetricName::RequestsPerSecond,
            Self::Concurrency => MetricName::RequestsInFlight,
            Self::Queued => MetricName::RequestsQueued,
            Self::TokensPerSecond => MetricName::TokensPerSecond,
        }
    }
}

impl Wanted {
    /// Fills in every default. `patience`: how long a request may wait at the gateway.
    ///
    /// # Errors
    /// A [`Refusal`] for the condition `Accepted`. The API server refuses most of it before; what was stored under other rules comes
    /// here.
    pub fn of(asked: &Autoscaling, patience: Duration) -> Result<Self, Refusal> {
        let Autoscaling {
            mode,
            min_replicas,
            max_replicas,
            target,
            metrics,
            behavior,
            cold_start,
            schedules,
            accelerators,
            scale_to_zero,
        } = asked;
        let zero = scale_to_zero.as_ref().map(zero).transpose()?.filter(|_| *min_replicas == 0);
        if *min_replicas == 0 && zero.is_none() {
            return Err(refused(
                ".minReplicas",
                "0 needs scaleToZero; write scaleToZero: {} for its defaults, or choose 1",
            ));
        }
        if *min_replicas < 0 || *max_replicas < 1 || min_replicas > max_replicas {
            let why = format!(
                "minReplicas {min_replicas} and maxReplicas {max_replicas} leave no number; choose 0 <= minReplicas <= maxReplicas, \
                 and maxReplicas at least 1"
            );
            return Err(refused("", why));
        }
        let measures = match (target, metrics) {
            (Some(target), None) => of_target(target)?,
            (None, Some(metrics)) => {
                let each = metrics.iter().enumerate().map(|(at, metric)| {
                    let (name, path) = (&metric.external.metric.name, format!(".metrics[{at}].external"));
                    let measure = Measure::of(name).ok_or_else(|| unknown(&path, name))?;
                    Ok((
                        measure,
                        positive(&format!("{path}.target.averageValue"), &metric.external.target.average_value)?,
                    ))
                });
                each.collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        if measures.is_empty() {
            let why = "either target or metrics has to say what to scale by; set target.requestsPerSecond, for example";
            return Err(refused("", why));
        }
        let mode = mode.clone().unwrap_or(ScalingMode::Native);
        if let ScalingMode::Other(unknown) = &mode {
            return Err(refused(".mode", format!("this operator does not know {unknown:?}; write Native or External")));
        }
        let cold_start = cold_start.clone().unwrap_or_default();
        let accelerators = accelerators.clone().unwrap_or_default();
        Ok(Self {
            external: mode == ScalingMode::External,
            spec: Spec {
                min_replicas: *min_replicas,
                max_replicas: *max_replicas,
                metrics: measures.iter().map(|(measure, target)| metric(*measure, *target)).collect(),
                behavior: behavior.as_ref().map(behaviour).transpose()?,
            },
            measures,
            compensates: cold_start.compensation != Some(Switch::Disabled),
            expected: cold_start.expected.as_deref().map(expected).transpose()?,
            patience,
            schedules: schedules.iter().enumerate().map(schedule).collect::<Result<_, _>>()?,
            accelerators: accelerators.max,
            caps: caps(accelerators.when_unschedulable)?,
            zero,
        })
    }

    /// Whether so many replicas of so many accelerators may run.
    pub fn affords(&self, replicas: i32, each: u32) -> bool {
        self.accelerators.is_none_or(|max| i64::from(replicas) * i64::from(each) <= i64::from(max))
    }

    /// The target of a measure, if it has one.
    pub fn target(&self, of: Measure) -> Option<i64> {
        self.measures.iter().find(|(measure, _)| *measure == of).map(|(_, target)| *target)
    }
}

fn of_target(target: &ScalingTarget) -> Result<Vec<(Measure, i64)>, Refusal> {
    let ScalingTarget { requests_per_second, concurrency, queued, tokens_per_second } = target;
    let all = [
        (Measure::RequestsPerSecond, "requestsPerSecond", requests_per_second),
        (Measure::Concurrency, "concurrency", concurrency),
        (Measure::Queued, "queued", queued),
        (Measure::TokensPerSecond, "tokensPerSecond", tokens_per_second),
    ];
    let set = all.into_iter().filter_map(|(measure, field, text)| Some((measure, field, text.as_deref()?)));
    set.map(|(measure, field, text)| Ok((measure, positive(&format!(".target.{field}"), text)?))).collect()
}

fn metric(measure: Measure, target: i64) -> Metric {
    let metric = Identifier { name: measure.name().to_string(), selector: None };
    Metric { source: Source::External { metric }, target: Target::AverageValue(target) }
}

fn positive(path: &str, text: &str) -> Result<i64, Refusal> {
    let milli = Quantity::parse(text).map(Quantity::milli).filter(|milli| *milli > 0);
    milli.ok_or_else(|| {
        refused(path, format!("{text:?} is no number above 0; write a Kubernetes quantity such as \"2\" or \"500m\""))
    })
}

fn unknown(path: &str, name: &MetricName) -> Refusal {
    let known: Vec<_> = MetricName::KNOWN.iter().map(MetricName::as_str).collect();
    let why = format!("gateways do not count {:?}; choose one of {}", name.as_str(), known.join(", "));
    refused(&format!("{path}.metric.name"), why)
}

fn expected(text: &str) -> Result<Duration, Refusal> {
    duration(text).ok_or_else(|| {
        let why = format!("{text:?} is no duration; write hours, minutes and seconds, such as 3m");
        refused(".coldStart.expected", why)
    })
}

fn schedule((at, asked): (usize, &ScalingSchedule)) -> Result<Schedule, Refusal> {
    Schedule::of(asked).map_err(|(field, why)| refused(&format!(".schedules[{at}].{field}"), why))
}

fn zero(asked: &ScaleToZero) -> Result<Zero, Refusal> {
    let time = |field, text: &Option<String>, usual| match text.as_deref().map(|text| (text, duration(text))) {
        None => Ok(usual),
        Some((_, Some(time))) if time >= SHORTEST => Ok(time),
        Some((text, _)) => {
            let why = format!("{text:?} is no time of at least 10s; write hours, minutes and seconds, such as 15m");
            Err(refused(&format!(".scaleToZero.{field}"), why))
        }
    };
    Ok(Zero {
        idle_after: time("idleAfter", &asked.idle_after, IDLE_AFTER)?,
        hold: time("holdTimeout", &asked.hold_timeout, HOLD)?,
    })
}

fn caps(asked: Option<WhenUnschedulable>) -> Result<bool, Refusal> {
    match asked.unwrap_or(WhenUnschedulable::Cap) {
        WhenUnschedulable::Cap => Ok(true),
        WhenUnschedulable::Wait => Ok(false),
        WhenUnschedulable::Other(unknown) => {
            let why = format!("this operator does not know {unknown:?}; write Cap or Wait");
            Err(refused(".accelerators.whenUnschedulable", why))
        }
    }
}

/// It has the form of `autoscaling/v2`, and is read as that.
fn behaviour(asked: &ScalingBehavior) -> Result<Behavior, Refusal> {
    let written = serde_json::to_value(asked).and_then(serde_json::from_value::<HorizontalPodAutoscalerBehavior>);
    let read = written.map_err(|error| error.to_string()).and_then(|written| v2::behavior(&written));
    read.map_err(|why| refused(".behavior", why))
}

fn refused(path: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::InvalidValue, format!("spec.autoscaling{path}: {why}."))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decide::scale::input::SelectPolicy;

    fn wanted(written: Value) -> Result<Wanted, Refusal> {
        Wanted::of(&serde_json::from_value(written).unwrap(), Duration::from_secs(30))
    }

    #[test]
    fn the_short_form_is_the_long_one() {
        let short = json!({"maxReplicas": 4, "target": {"concurrency": "16", "requestsPerSecond": "500m"}});
        let metric = |name: &str, value: &str| {
            let target = json!({"type": "AverageValue", "averageValue": value});
            json!({"type": "External", "external": {"metric": {"name": name}, "target": target}})
        };
        let long = json!({"maxReplicas": 4, "minReplicas": 1, "mode": "Native", "metrics": [
            metric("deepseek_requests_per_second", "0.5"), metric("deepseek_requests_in_flight", "16")]});
        let short = wanted(short).unwrap();
        assert_eq!(Ok(&short), wanted(long).as_ref());
        assert_eq!(short.measures, [(Measure::RequestsPerSecond, 500), (Measure::Concurrency, 16_000)]);
        assert_eq!((short.compensates, short.expected, short.external), (true, None, false));
        assert_eq!((short.target(Measure::Concurrency), short.target(Measure::Queued)), (Some(16_000), None));
    }

    #[test]
    fn behaviour_is_that_of_autoscaling_v2() {
        let written = json!({"maxReplicas": 4, "target": {"queued": "1"}, "behavior": {
            "scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Disabled", "tolerance": "0.2"}}});
        let behavior = wanted(written).unwrap().spec.behavior.unwrap();
        assert_eq!(behavior.scale_down.stabilization_window, Some(Duration::from_secs(60)));
        assert_eq!(behavior.scale_down.select_policy, SelectPolicy::Disabled);
        assert_eq!((behavior.scale_up.policies.len(), behavior.scale_up.tolerance), (2, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_path() {
        let target = json!({"requestsPerSecond": "2"});
        for (written, says) in [
            (json!({"maxReplicas": 2, "minReplicas": 3, "target": target}), "minReplicas 3 and maxReplicas 2"),
            (
                json!({"maxReplicas": 2, "minReplicas": 0, "target": target}),
                "spec.autoscaling.minReplicas: 0 needs scaleToZero",
            ),
            (json!({"maxReplicas": 2, "minReplicas": -1, "target": target}), "0 <= minReplicas"),
            (
                json!({"maxReplicas": 0, "minReplicas": 0, "target": target, "scaleToZero": {}}),
                "maxReplicas at least 1",
            ),
            (
                json!({"maxReplicas": 2, "minReplicas": 0, "target": target, "scaleToZero": {"idleAfter": "9s"}}),
                "spec.autoscaling.scaleToZero.idleAfter: \"9s\" is no time of at least 10s",
            ),
            (json!({"maxReplicas": 2}), "either target or metrics"),
            (json!({"maxReplicas": 2, "target": {}}), "either target or metrics"),
            (
                json!({"maxReplicas": 2, "target": {"queued": "0"}}),
                "spec.autoscaling.target.queued: \"0\" is no number above 0",
            ),
            (json!({"maxReplicas": 2, "target": {"queued": "-1"}}), "spec.autoscaling.target.queued"),
            (json!({"maxReplicas": 2, "target": {"queued": "NaN"}}), "spec.autoscaling.target.queued"),
            (json!({"maxReplicas": 2, "target": target, "mode": "Magic"}), "spec.autoscaling.mode"),
            (
                json!({"maxReplicas": 2, "target": target, "coldStart": {"expected": "soon"}}),
                "coldStart.expected: \"soon\"",
            ),
            (
                json!({"maxReplicas": 2, "target": target, "behavior": {"scaleUp": {"tolerance": "much"}}}),
                "behavior: \"much\"",
            ),
            (
                json!({"maxReplicas": 2, "target": target, "schedules": [
                    {"start": "07:00", "end": "18:00", "timeZone": "Mars/Olympus", "minReplicas": 2}]}),
                "spec.autoscaling.schedules[0].timeZone: \"Mars/Olympus\"",
            ),
            (
                json!({"maxReplicas": 2, "target": target, "accelerators": {"whenUnschedulable": "Panic"}}),
                "accelerators.whenUnschedulable: this operator does not know \"Panic\"",
            ),
            (
                json!({"maxReplicas": 2, "metrics": [{"type": "External", "external": {
                    "metric": {"name": "cpu"}, "target": {"type": "AverageValue", "averageValue": "1"}}}]}),
                "metrics[0].external.metric.name: gateways do not count \"cpu\"; choose one of deepseek_requests_per_second",
            ),
        ] {
            let refusal = wanted(written.clone()).unwrap_err();
            assert!(refusal.message.contains(says) && refusal.message.ends_with('.'), "{written}: {}", refusal.message);
        }
    }
}
