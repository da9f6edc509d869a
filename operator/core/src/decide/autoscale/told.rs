//! What the status says of scaling, and when that is worth a write.
//!
//! Another number of replicas, and that scaling works, or why it does not, are told at once. All else moves with every request: it is
//! told beside that, or a minute after the last time; metrics only if they have moved by more than a tenth of their target. Under
//! a constant load nothing is written.

use std::time::Duration;

use deepseek_crds::condition::{ConditionType, Reason};
use deepseek_crds::v1alpha1::{
    AutoscalingStatus, DeepSeekDeploymentStatus, ExternalMetricStatus, MetricIdentifier, MetricStatus, MetricType,
    MetricValueStatus,
};
use jiff::Timestamp;

use super::Hold;
use super::wanted::{Measure, Wanted};
use crate::decide::scale::Decision;
use crate::decide::scale::conditions::{Condition, Conditions};
use crate::decide::scale::quantity::Quantity;
use crate::verdict::Verdict;

/// Conditions about scaling.
pub const CONDITIONS: [ConditionType; 4] = [
    ConditionType::AbleToScale,
    ConditionType::ScalingActive,
    ConditionType::ScalingLimited,
    ConditionType::ScaledToZero,
];

/// Reasons that only they have.
pub const REASONS: [Reason; 21] = [
    Reason::SucceededGetScale,
    Reason::ReadyForNewScale,
    Reason::ScaleDownStabilized,
    Reason::ScaleUpStabilized,
    Reason::SucceededRescale,
    Reason::FailedUpdateScale,
    Reason::ConflictingController,
    Reason::ValidMetricFound,
    Reason::FailedGetExternalMetric,
    Reason::StaleMetrics,
    Reason::ScalingDisabled,
    Reason::AutoscalingPaused,
    Reason::ExternalAutoscaler,
    Reason::DesiredWithinRange,
    Reason::TooFewReplicas,
    Reason::TooManyReplicas,
    Reason::ScaleUpLimit,
    Reason::ScaleDownLimit,
    Reason::Scheduled,
    Reason::RolloutFreeze,
    Reason::NotScaledToZero,
];

/// Numbers alone are told this long after the last time.
const PACE: Duration = Duration::from_secs(60);
/// Metrics that are shown before the rest is counted, as `kubectl get hpa` does.
const SHOWN: usize = 2;

/// What the status says of scaling.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Numbers.
    pub status: AutoscalingStatus,
    /// Conditions.
    pub verdicts: Vec<Verdict>,
}

impl Told {
    /// There is no replica because nobody asks.
    pub fn is_asleep(&self) -> bool {
        self.verdicts
            .iter()
            .any(|verdict| verdict.condition == ConditionType::ScaledToZero && verdict.holds == Some(true))
    }

    /// Nothing can be decided, for this reason.
    pub fn refused(reason: Reason, message: String, replicas: i32) -> Self {
        let status = AutoscalingStatus {
            current_replicas: replicas,
            desired_replicas: replicas,
            ..AutoscalingStatus::default()
        };
        Self { status, verdicts: vec![Verdict::no(ConditionType::ScalingActive, reason, message)] }
    }

    /// Whether it is to be told, `since` after `before` was.
    pub fn is_news(&self, before: &Self, wanted: Option<&Wanted>, since: Duration) -> bool {
        if self.facts() != before.facts() {
            return true;
        }
        since >= PACE && (self.words() != before.words() || self.is_put_off(before) || self.has_moved(before, wanted))
    }

    /// What is told at once.
    fn facts(&self) -> impl PartialEq + use<'_> {
        let AutoscalingStatus {
            current_replicas, desired_replicas, last_scale_time, cold_start, recent_decisions, ..
        } = &self.status;
        let works = self.verdicts.iter().filter(|verdict| verdict.condition != ConditionType::ScalingLimited);
        let verdicts: Vec<_> = works
            .map(|verdict| (verdict.condition, verdict.holds, (verdict.holds != Some(true)).then_some(verdict.reason)))
            .collect();
        (*current_replicas, *desired_replicas, last_scale_time, cold_start, recent_decisions, verdicts)
    }

    fn words(&self) -> impl PartialEq + use<'_> {
        let verdicts: Vec<_> = self.verdicts.iter().map(|verdict| (verdict.reason, &verdict.message)).collect();
        (&self.status.service_rate, verdicts)
    }

    /// Whether it goes down at another time: two clocks make the same moment a second more or less.
    fn is_put_off(&self, before: &Self) -> bool {
        match (&self.status.next_scale_down_time, &before.status.next_scale_down_time) {
            (Some(now), Some(then)) => (now.0.as_second() - then.0.as_second()).abs() > 1,
            (now, then) => now != then,
        }
    }

    fn has_moved(&self, before: &Self, wanted: Option<&Wanted>) -> bool {
        let milli = |status: &MetricStatus| {
            status
                .external
                .current
                .as_ref()
                .and_then(|value| Quantity::parse(&value.average_value))
                .map(Quantity::milli)
        };
        let (now, then) = (&self.status.current_metrics, &before.status.current_metrics);
        let targets = wanted.iter().flat_map(|wanted| wanted.measures.iter().map(|(_, target)| *target));
        let moved = |((now, then), target): ((&MetricStatus, &MetricStatus), i64)| match (milli(now), milli(then)) {
            (Some(now), Some(then)) => now.saturating_sub(then).saturating_abs() > target / 10,
            (now, then) => now != then,
        };
        now.len() != then.len() || now.iter().zip(then).zip(targets).any(moved)
    }
}

/// Whether a status says that there is no replica because nobody asks.
pub fn says_asleep(status: Option<&DeepSeekDeploymentStatus>) -> bool {
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    conditions.any(|one| one.type_ == ConditionType::ScaledToZero.as_str() && one.status == "True")
}

/// Before this nothing goes down; in whole seconds, as the API keeps them.
pub(super) fn next_down(decision: &Decision, least: i32, now: Duration, time: Timestamp) -> Option<Timestamp> {
    let stabilised = decision.stabilised.filter(|stabilised| stabilised.asked.max(least) < decision.current)?;
    let left = stabilised.held_until?.saturating_sub(now);
    Timestamp::from_second(time.checked_add(left).ok()?.as_second()).ok()
}

fn averages(decision: &Decision) -> impl Iterator<Item = Option<i64>> {
    let all = decision.memory.status.current_metrics.iter();
    all.map(|current| current.and_then(|current| current.average_value)).chain(std::iter::repeat(None))
}

/// The metrics in the form of `autoscaling/v2`.
pub(super) fn metrics(wanted: &Wanted, decision: &Decision) -> Vec<MetricStatus> {
    let status = |((measure, _), average): (&(Measure, i64), Option<i64>)| MetricStatus {
        type_: MetricType::External,
        external: ExternalMetricStatus {
            metric: MetricIdentifier { name: measure.name() },
            current: average.map(|milli| MetricValueStatus { average_value: of_milli(milli) }),
        },
    };
    wanted.measures.iter().zip(averages(decision)).map(status).collect()
}

/// The metrics for people, as `kubectl get hpa` shows them.
pub(super) fn targets(wanted: &Wanted, decision: &Decision) -> String {
    let one = |((measure, target), average): (&(Measure, i64), Option<i64>)| {
        let average = average.map_or_else(|| "<unknown>".to_owned(), decimal);
        format!("{} {average}/{} (avg)", label(*measure), decimal(*target))
    };
    let all: Vec<_> = wanted.measures.iter().zip(averages(decision)).map(one).collect();
    match all.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} + {more} more...", all[..SHOWN].join(", ")),
        _ => all.join(", "),
    }
}

fn label(measure: Measure) -> &'static str {
    match measure {
        Measure::RequestsPerSecond => "rps",
        Measure::Concurrency => "inflight",
        Measure::Queued => "queued",
        Measure::TokensPerSecond => "tps",
    }
}

/// A quantity in thousandths, as the API server writes it.
fn of_milli(milli: i64) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// A number as a quantity, in thousandths.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub(super) fn quantity(number: f64) -> String {
    of_milli((number * 1000.0).round() as i64)
}

/// With at most two digits behind the point.
fn decimal(milli: i64) -> String {
    let hundredths = milli / 10 + i64::from(milli % 10 >= 5);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The conditions, as the decision and the hold leave them. `zero`: it may be without a replica.
pub(super) fn verdicts(conditions: &Conditions, hold: Option<&Hold>, zero: bool) -> Vec<Verdict> {
    use ConditionType::{AbleToScale, ScaledToZero, ScalingActive, ScalingLimited};
    let Conditions { able_to_scale, scaling_active, scaling_limited, scaled_to_zero } = conditions;
    let zero = if zero || conditions.is_scaled_to_zero() { scaled_to_zero } else { &None };
    let each = [
        (AbleToScale, able_to_scale),
        (ScalingActive, scaling_active),
        (ScalingLimited, scaling_limited),
        (ScaledToZero, zero),
    ];
    let said = each.into_iter().filter_map(|(condition, said)| spoken(condition, said.as_ref()?));
    match hold.map(in_words) {
        None => said.collect(),
        Some(instead) => {
            said.filter(|verdict| verdict.condition != instead.condition).chain([instead.clone()]).collect()
        }
    }
}

/// As a sentence.
fn spoken(condition: ConditionType, said: &Condition) -> Option<Verdict> {
    let message = plainly(&said.message);
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let message = format!("{first}{}.", letters.as_str().trim_end_matches('.'));
    Some(Verdict { condition, holds: Some(said.status), reason: Reason::find(said.reason)?, message })
}

/// In the HPA's words, but for its name, and for selectors, which our metrics do not have.
pub fn plainly(text: &str) -> String {
    text.replace("the HPA controller", "the autoscaler").replace("the HPA", "the autoscaler").replace("(nil)", "")
}

fn in_words(hold: &Hold) -> Verdict {
    use ConditionType::{AbleToScale, ScalingActive};
    match hold {
        Hold::Suspended => {
            Verdict::no(ScalingActive, Reason::Suspended, "spec.suspend is true: no replica runs, and nothing scales.")
        }
        Hold::Paused => Verdict::no(
            ScalingActive,
            Reason::AutoscalingPaused,
            format!(
                "The annotation {} is \"true\": the number of replicas is left alone, and status.autoscaling says what would be \
                 done. Remove it to go on.",
                super::PAUSED
            ),
        ),
        Hold::External => Verdict::no(
            ScalingActive,
            Reason::ExternalAutoscaler,
            "spec.autoscaling.mode is External: somebody else sets spec.replicas, and status.autoscaling says what would be done. \
             Set it to Native to let the operator do it.",
        ),
        Hold::Rival(name) => {
            let who = name.as_deref().unwrap_or("Somebody else");
            let hint = if who == "kube-controller-manager" {
                " A HorizontalPodAutoscaler writes under this name."
            } else {
                ""
            };
            Verdict::no(
                AbleToScale,
                Reason::ConflictingController,
                format!(
                    "{who} writes spec.replicas, too, and has overruled the operator twice within five minutes; it is left alone \
                     until nobody else has written for ten minutes.{hint} Remove the other one, leave replicas out of manifests, or \
                     set spec.autoscaling.mode to External."
                ),
            )
        }
    }
}
