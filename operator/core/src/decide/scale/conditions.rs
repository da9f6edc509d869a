//! The HPA's conditions, with its reasons and its words.
//!
//! Source: the calls of `setCondition` in k8s.io/kubernetes `pkg/controller/podautoscaler/horizontal.go`, v1.37.2.

/// One condition. Its status is never unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: bool,
    /// Why.
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

/// All conditions; `None` is one that was never set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `AbleToScale`: the scale can be read and written.
    pub able_to_scale: Option<Condition>,
    /// `ScalingActive`: there is a recommendation.
    pub scaling_active: Option<Condition>,
    /// `ScalingLimited`: the recommendation was not followed.
    pub scaling_limited: Option<Condition>,
    /// `ScaledToZero`: the last change was ours, to zero.
    pub scaled_to_zero: Option<Condition>,
}

impl Condition {
    /// We have gone to zero ourselves.
    pub fn gone_to_zero() -> Self {
        Self::yes("ScaledToZero", "the HPA controller scaled the workload to zero")
    }

    pub(super) fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: true, reason, message: message.into() }
    }

    pub(super) fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: false, reason, message: message.into() }
    }
}

impl Conditions {
    /// Whether it was us who went to zero: nothing else is woken.
    pub fn is_scaled_to_zero(&self) -> bool {
        self.scaled_to_zero.as_ref().is_some_and(|condition| condition.status)
    }
}
