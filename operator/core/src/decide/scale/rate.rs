//! How far, and how fast? From what the metrics ask for to what is ordered.
//!
//! ```text
//! m  what the metrics ask for          c  current replicas          log: what they asked for before
//!
//! without behavior      s = max(m, log not older than the window down)           the edge of the window counts
//!                       most = min(max, max(2 c, 4)),  n = s between min and most
//!
//! with behavior         lo = min(m, log newer than the window up)                the edge does not count
//!                       hi = max(m, log newer than the window down)
//!                       s  = c moved up to lo, or else down to hi
//!   s > c               start = c - added within the period + removed within the period        for each policy
//!                       Pods: start + v        Percent: ceil(start (1 + v / 100))
//!                       limit = max(c, the largest (Max), the smallest (Min), c (Disabled)),  n = min(s, max, limit)
//!   s < c               Pods: start - v        Percent: trunc(start (1 - v / 100))
//!                       limit = min(c, the smallest (Max), the largest (Min), c (Disabled)),  n = max(s, min, limit)
//! ```
//!
//! From zero a lone Percent policy allows nothing for ever, as in the HPA.
//!
//! Source: `normalizeDesiredReplicas`, `stabilizeRecommendation`, `convertDesiredReplicasWithRules`,
//! `stabilizeRecommendationWithBehaviors`, `convertDesiredReplicasWithBehaviorRate`, `calculateScaleUpLimitWithScalingRules`,
//! `calculateScaleDownLimitWithBehaviors` of k8s.io/kubernetes `pkg/controller/podautoscaler/horizontal.go`, v1.37.2.

use std::cmp::Ordering;
use std::time::Duration;

use super::input::{Behavior, PolicyKind, Rules, SelectPolicy};
use super::memory::{Memory, Recommendation, changed};
use super::number::{ceil32, trunc32};

/// What is known of the target when its size is limited.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// When.
    pub now: Duration,
    /// Its size now.
    pub current: i32,
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// Window down where none is set.
    pub window_down: Duration,
}

/// A recommendation after earlier ones were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stabilised {
    /// The metrics ask for as many (m).
    pub asked: i32,
    /// All recent recommendations ask for as many at least (lo).
    pub lowest: i32,
    /// None of the recent recommendations asks for more (hi).
    pub highest: i32,
    /// As many (s).
    pub replicas: i32,
    /// Until when a recommendation that asked for more is heard; `None` if there is none.
    pub held_until: Option<Duration>,
}

/// What is ordered of a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rated {
    /// The rate allows as many, at least or at most; `None` where nothing was asked.
    pub limit: Option<i32>,
    /// As many.
    pub replicas: i32,
    /// Reason of `ScalingLimited`.
    pub reason: &'static str,
    /// In words.
    pub message: &'static str,
}

const WITHIN: (&str, &str) = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FEW: (&str, &str) = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_MANY: (&str, &str) = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const UP_LIMIT: (&str, &str) =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const DOWN_LIMIT: (&str, &str) =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

fn rated(limit: Option<i32>, replicas: i32, (reason, message): (&'static str, &'static str)) -> Rated {
    Rated { limit, replicas, reason, message }
}

/// The largest recent recommendation; this one is logged.
pub fn stabilise_down(asked: i32, bounds: Bounds, memory: &mut Memory) -> Stabilised {
    let cutoff = bounds.now.saturating_sub(bounds.window_down);
    let recent = || memory.recommendations.iter().flatten().filter(|logged| logged.at >= cutoff);
    let highest = recent().map(|logged| logged.replicas).fold(asked, i32::max);
    let held_until = held_until(asked, bounds.window_down, recent());
    memory.recommend(asked, bounds.now, |logged| logged.at < cutoff);
    Stabilised { asked, lowest: asked, highest, replicas: highest, held_until }
}

/// Between `min` and `max`, and at most twice as many as now.
pub fn limit(stabilised: i32, bounds: Bounds) -> Rated {
    let rate = bounds.current.saturating_mul(2).max(4);
    let (most, reason) = if bounds.max > rate { (rate, UP_LIMIT) } else { (bounds.max, TOO_MANY) };
    if stabilised < bounds.min {
        rated(Some(rate), bounds.min, TOO_FEW)
    } else if stabilised > most {
        rated(Some(rate), most, reason)
    } else {
        rated(Some(rate), stabilised, WITHIN)
    }
}

/// The current number, moved as little as recent recommendations allow; this one is logged.
pub fn stabilise(asked: i32, behavior: &Behavior, bounds: Bounds, memory: &mut Memory) -> Stabilised {
    let window_up = behavior.scale_up.stabilization_window.unwrap_or_default();
    let window_down = behavior.scale_down.stabilization_window.unwrap_or(bounds.window_down);
    let [up, down] = [window_up, window_down].map(|window| bounds.now.saturating_sub(window));
    let newer = |cutoff| memory.recommendations.iter().flatten().filter(move |logged| logged.at > cutoff);
    let lowest = newer(up).map(|logged| logged.replicas).fold(asked, i32::min);
    let highest = newer(down).map(|logged| logged.replicas).fold(asked, i32::max);
    let held_until = held_until(asked, window_down, newer(down));
    memory.recommend(asked, bounds.now, |logged| logged.at < up && logged.at < down);
    Stabilised { asked, lowest, highest, replicas: bounds.current.max(lowest).min(highest), held_until }
}

/// When the last of those that ask for more is forgotten.
fn held_until<'a>(asked: i32, window: Duration, recent: impl Iterator<Item = &'a Recommendation>) -> Option<Duration> {
    let more = recent.filter(|logged| logged.replicas > asked);
    more.map(|logged| logged.at.saturating_add(window)).max()
}

/// Not faster than the policies allow, and between `min` and `max`.
pub fn limit_rate(stabilised: i32, behavior: &Behavior, bounds: Bounds, memory: &Memory) -> Rated {
    let Bounds { current, min, max, now, window_down: _ } = bounds;
    match stabilised.cmp(&current) {
        Ordering::Greater => {
            let limit = up_limit(current, &behavior.scale_up, memory, now).max(current);
            let (most, reason) = if max > limit { (limit, UP_LIMIT) } else { (max, TOO_MANY) };
            if stabilised > most { rated(Some(limit), most, reason) } else { rated(Some(limit), stabilised, WITHIN) }
        }
        Ordering::Less => {
            let limit = down_limit(current, &behavior.scale_down, memory, now).min(current);
            let (least, reason) = if min < limit { (limit, DOWN_LIMIT) } else { (min, TOO_FEW) };
            if stabilised < least { rated(Some(limit), least, reason) } else { rated(Some(limit), stabilised, WITHIN) }
        }
        Ordering::Equal => rated(None, stabilised, WITHIN),
    }
}

/// At most as many, as far as `rules` go.
pub fn up_limit(current: i32, rules: &Rules, memory: &Memory, now: Duration) -> i32 {
    let proposals = rules.policies.iter().map(|policy| {
        let start = start_of(current, policy.period, memory, now);
        match policy.kind {
            PolicyKind::Pods => start.saturating_add(policy.value),
            PolicyKind::Percent => ceil32(f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)),
        }
    });
    match rules.select_policy {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => proposals.fold(i32::MAX, i32::min),
        SelectPolicy::Max => proposals.fold(i32::MIN, i32::max),
    }
}

/// At least as many, as far as `rules` go.
pub fn down_limit(current: i32, rules: &Rules, memory: &Memory, now: Duration) -> i32 {
    let proposals = rules.policies.iter().map(|policy| {
        let start = start_of(current, policy.period, memory, now);
        match policy.kind {
            PolicyKind::Pods => start.saturating_sub(policy.value),
            PolicyKind::Percent => trunc32(f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)),
        }
    });
    match rules.select_policy {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => proposals.fold(i32::MIN, i32::max),
        SelectPolicy::Max => proposals.fold(i32::MAX, i32::min),
    }
}

/// As many there were at the start of a period.
fn start_of(current: i32, period: Duration, memory: &Memory, now: Duration) -> i32 {
    let added = changed(&memory.ups, period, now);
    let removed = changed(&memory.downs, period, now);
    current.saturating_sub(added).saturating_add(removed)
}
