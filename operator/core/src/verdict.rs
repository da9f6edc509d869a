//! Refusals and facts for the user, as data: which condition, true or not, why, and what to do next.

use deepseek_crds::condition::{ConditionType, Reason};

/// One condition as it should stand in the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// About what.
    pub condition: ConditionType,
    /// `Some(true)` and `Some(false)` as they say; `None` is Unknown.
    pub holds: Option<bool>,
    /// Why, in one stable word.
    pub reason: Reason,
    /// What, why, and the next step, in words.
    pub message: String,
}

impl Verdict {
    /// It holds.
    pub fn yes(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, holds: Some(true), reason, message: message.into() }
    }

    /// It does not hold.
    pub fn no(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, holds: Some(false), reason, message: message.into() }
    }

    /// Nobody can tell.
    pub fn unknown(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, holds: None, reason, message: message.into() }
    }

    /// The status as Kubernetes writes it.
    pub fn status(&self) -> &'static str {
        match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// Why a spec is refused, or cannot be served now: a reason and a sentence with the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, in one stable word.
    pub reason: Reason,
    /// What, why, and the next step, in words.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// As a condition that does not hold.
    pub fn about(self, condition: ConditionType) -> Verdict {
        Verdict { condition, holds: Some(false), reason: self.reason, message: self.message }
    }
}
