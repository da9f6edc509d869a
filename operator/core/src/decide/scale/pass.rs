//! A pass over a target whose scale has been read: see the table in [`scale`](super).

use std::cmp::Ordering;
use std::time::Duration;

use super::conditions::{Condition, Conditions};
use super::forecast::Forecast;
use super::guards::our_behavior;
use super::input::{Behavior, Input, Scale, Selection, Source};
use super::memory::Recommendation;
use super::metric::{self, Failure, Proposal, Tolerance};
use super::rate::{self, Bounds, Stabilised};
use super::reading::Reading;
use super::{Decision, Rescale, Written};

/// A pass over a target whose scale has been read.
pub(super) struct Pass<'a> {
    input: &'a Input<'a>,
    scale: Scale,
    behavior: Option<Behavior>,
    decision: Decision,
}

impl<'a> Pass<'a> {
    pub(super) fn new(input: &'a Input, scale: Scale) -> Self {
        let behavior = input.spec.behavior.clone().or_else(|| input.guards.our_behavior.then(our_behavior));
        let current = scale.spec_replicas;
        let mut memory = input.memory.clone();
        let first = Recommendation { replicas: current, at: input.now };
        memory.recommendations.get_or_insert_with(|| vec![first]);
        let message = "the HPA controller was able to get the target's current scale";
        memory.status.conditions.able_to_scale = Some(Condition::yes("SucceededGetScale", message));
        memory.status.current_replicas = current;
        memory.status.current_metrics = Vec::new();
        let tolerance = Tolerance::of(input.controller, behavior.as_ref());
        let decision = Decision::nothing(current, tolerance, memory);
        Self { input, scale, behavior, decision }
    }

    /// Makes it.
    pub(super) fn run(mut self) -> Decision {
        let (current, spec) = (self.scale.spec_replicas, self.input.spec);
        if current == 0 && !self.may_wake() {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.conditions().scaling_active = Some(Condition::no("ScalingDisabled", message));
            if !self.input.controller.scale_to_zero {
                self.conditions().scaled_to_zero = None;
            }
            self.decision.memory.status.desired_replicas = 0;
        } else if current > spec.max_replicas && current != 0 {
            self.jump(spec.max_replicas, "Current number of replicas above Spec.MaxReplicas");
        } else if current < spec.min_replicas && current != 0 {
            self.jump(spec.min_replicas, "Current number of replicas below Spec.MinReplicas");
        } else {
            self.weigh();
        }
        self.decision
    }

    fn conditions(&mut self) -> &mut Conditions {
        &mut self.decision.memory.status.conditions
    }

    /// From zero only where it was us who went there.
    fn may_wake(&self) -> bool {
        let ours = self.input.controller.scale_to_zero && self.input.memory.status.conditions.is_scaled_to_zero();
        ours && (self.input.spec.min_replicas != 0 || self.sees_from_outside())
    }

    /// Whether a metric exists that has a number without any Pod.
    fn sees_from_outside(&self) -> bool {
        let outside = |source: &Source| matches!(source, Source::Object { .. } | Source::External { .. });
        self.input.spec.metrics.iter().any(|metric| outside(&metric.source))
    }

    fn jump(&mut self, to: i32, reason: &str) {
        let to = self.limited(to, false);
        self.order(to, reason.to_owned());
    }

    fn weigh(&mut self) {
        let current = self.scale.spec_replicas;
        match self.asked() {
            Err(refused) => self.fail(refused),
            Ok((asked, by)) => {
                let asked = asked.max(0);
                let mut reason = match asked.cmp(&current) {
                    Ordering::Greater => format!("{by} above target"),
                    Ordering::Less => "All metrics below target".to_owned(),
                    Ordering::Equal => String::new(),
                };
                let mut to = self.normalise(asked);
                let min = self.input.spec.min_replicas;
                if current == 0 && to < min {
                    to = min;
                    if reason.is_empty() {
                        "Current number of replicas below Spec.MinReplicas".clone_into(&mut reason);
                    }
                }
                let to = self.limited(to, true);
                self.order(to, reason);
            }
        }
    }

    /// What all metrics together ask for, and which of them; or why they ask for nothing.
    fn asked(&mut self) -> Result<(i32, String), Option<Condition>> {
        if let Err(wrong) = &self.input.pods {
            return Err(Some(no_selection(wrong)));
        }
        let unread = Reading::failed("nothing was read");
        let (input, scale, tolerance) = (self.input, self.scale, self.decision.tolerance);
        let metrics = &input.spec.metrics;
        let readings = input.readings.iter().chain(std::iter::repeat(&unread));
        let found = metrics.iter().zip(readings);
        let found: Vec<_> =
            found.map(|(metric, reading)| metric::proposal(input, scale, tolerance, metric, reading)).collect();
        self.decision.memory.status.current_metrics =
            found.iter().map(|one| one.as_ref().ok().map(|proposal| proposal.current)).collect();
        self.decision.metrics = found;
        self.decision.forecast =
            input.guards.forecast.as_ref().and_then(|load| load.forecast(scale.spec_replicas, tolerance));
        let (replicas, by) = merge(&self.decision.metrics, self.decision.forecast, scale.spec_replicas)?;
        let message = format!("the HPA was able to successfully calculate a replica count from {by}");
        self.conditions().scaling_active = Some(Condition::yes("ValidMetricFound", message));
        Ok((replicas, by))
    }

    /// Nothing is known: the number stays, but for what is known without metrics.
    fn fail(&mut self, refused: Option<Condition>) {
        let current = self.scale.spec_replicas;
        if refused.is_some() {
            self.conditions().scaling_active = refused;
        }
        if self.input.guards.outage {
            let cutoff = self.input.now.saturating_sub(self.longest_window());
            self.decision.memory.recommend(current, self.input.now, |logged| logged.at < cutoff);
        }
        let to = self.limited(current, true);
        if to != current {
            self.order(to, "Metrics are unknown".to_owned());
        }
    }

    fn longest_window(&self) -> Duration {
        let windows = self.behavior.iter().flat_map(|behavior| [&behavior.scale_up, &behavior.scale_down]);
        windows.filter_map(|rules| rules.stabilization_window).fold(self.window_down(), Duration::max)
    }

    fn window_down(&self) -> Duration {
        let two_cold_starts = self.input.guards.cold_start.unwrap_or_default().saturating_mul(2);
        self.input.controller.downscale_stabilization.max(two_cold_starts)
    }

    fn normalise(&mut self, asked: i32) -> i32 {
        let bounds = Bounds {
            now: self.input.now,
            current: self.scale.spec_replicas,
            min: self.input.spec.min_replicas,
            max: self.input.spec.max_replicas,
            window_down: self.window_down(),
        };
        let memory = &mut self.decision.memory;
        let (stabilised, rated) = if let Some(behavior) = &self.behavior {
            let stabilised = rate::stabilise(asked, behavior, bounds, memory);
            (stabilised, rate::limit_rate(stabilised.replicas, behavior, bounds, memory))
        } else {
            let stabilised = rate::stabilise_down(asked, bounds, memory);
            (stabilised, rate::limit(stabilised.replicas, bounds))
        };
        let up = self.behavior.is_some() && asked >= bounds.current;
        let conditions = self.conditions();
        conditions.able_to_scale = Some(able_to_scale(stabilised, up));
        let limited = rated.replicas != stabilised.replicas;
        conditions.scaling_limited = if limited {
            Some(Condition::yes(rated.reason, rated.message))
        } else {
            Some(Condition::no(rated.reason, rated.message))
        };
        self.decision.stabilised = Some(stabilised);
        self.decision.rated = Some(rated);
        rated.replicas
    }

    /// What the guards leave of a number.
    fn limited(&mut self, desired: i32, weighed: bool) -> i32 {
        let limits = &self.input.guards.limits;
        let (left, limited) = limits.apply(self.scale.spec_replicas, desired, self.input.spec.max_replicas, weighed);
        if let Some(last) = limited.last() {
            self.conditions().scaling_limited = Some(Condition::yes(last.by, last.message));
        }
        self.decision.limited_by = limited;
        left
    }

    fn order(&mut self, to: i32, reason: String) {
        let from = self.scale.spec_replicas;
        self.decision.desired = to;
        if to == from {
            self.decision.memory.status.desired_replicas = from;
            return;
        }
        let longest = self.behavior.as_ref().map(|behavior| {
            [&behavior.scale_up, &behavior.scale_down]
                .map(|rules| rules.policies.iter().map(|policy| policy.period).max().unwrap_or_default())
        });
        let scaled_to_zero = self.scaled_to_zero(from, to);
        self.decision.written = Some(Written { scaled_to_zero, longest, now: self.input.now });
        self.decision.rescale = Some(Rescale { from, to, reason });
    }

    fn scaled_to_zero(&self, from: i32, to: i32) -> Option<Condition> {
        if !self.input.controller.scale_to_zero {
            return None;
        }
        if from > 0 && to == 0 && self.input.spec.min_replicas == 0 && self.sees_from_outside() {
            return Some(Condition::gone_to_zero());
        }
        Some(Condition::no("NotScaledToZero", "the HPA controller did not scale the workload to zero"))
    }
}

/// The most that any metric asks for. As long as one is unknown, not less than there is. What was heard of a metric that failed, and
/// the forecast, may raise it.
fn merge(
    metrics: &[Result<Proposal, Failure>],
    forecast: Option<Forecast>,
    current: i32,
) -> Result<(i32, String), Option<Condition>> {
    let (mut replicas, mut by) = (0, String::new());
    for proposal in metrics.iter().flatten() {
        if replicas == 0 || proposal.replicas > replicas {
            (replicas, by) = (proposal.replicas, proposal.metric.clone());
        }
    }
    let failures = || metrics.iter().filter_map(|metric| metric.as_ref().err());
    let failed = failures().count();
    let forecast = forecast.map(|forecast| (forecast.replicas, "the forecast"));
    let bounds = failures().filter_map(|failure| Some((failure.at_least?, "what is known of a metric")));
    let raise = bounds.chain(forecast).max_by_key(|(replicas, _)| *replicas);
    let unknown = failed >= metrics.len() || (failed > 0 && replicas < current);
    match raise {
        Some((more, why)) if more > replicas && (more > current || !unknown) => Ok((more, why.to_owned())),
        _ if unknown => Err(failures().next().map(|first| Condition::no(first.reason, first.message.clone()))),
        _ => Ok((replicas, by)),
    }
}

fn no_selection(wrong: &Selection) -> Condition {
    match wrong {
        Selection::Missing => Condition::no("InvalidSelector", "the HPA target's scale is missing a selector"),
        Selection::Invalid(why) => {
            let message = format!("couldn't convert selector into a corresponding internal selector object: {why}");
            Condition::no("InvalidSelector", message)
        }
        Selection::Ambiguous(message) => Condition::no("AmbiguousSelector", message.clone()),
    }
}

fn able_to_scale(stabilised: Stabilised, up: bool) -> Condition {
    if stabilised.replicas == stabilised.asked {
        Condition::yes("ReadyForNewScale", "recommended size matches current size")
    } else if up {
        let message = "recent recommendations were lower than current one, applying the lowest recent recommendation";
        Condition::yes("ScaleUpStabilized", message)
    } else {
        let message = "recent recommendations were higher than current one, applying the highest recent recommendation";
        Condition::yes("ScaleDownStabilized", message)
    }
}
