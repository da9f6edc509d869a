//! What was read of a metric: numbers, how old they are, and how many have told them.

use std::collections::BTreeMap;
use std::time::Duration;

/// What was read of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The numbers, or why there are none.
    pub values: Result<Values, String>,
    /// When they were taken, if that is known; see [`Validity`](super::guards::Validity).
    pub taken: Option<Duration>,
    /// How many of those that count have been heard; `None` for a source that is one.
    pub heard: Option<Heard>,
}

/// How many of those that count have been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// As many as answered.
    pub from: u32,
    /// As many as there are.
    pub of: u32,
}

/// Numbers, in milli-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of each Pod, by its name: Resource, `ContainerResource`, Pods.
    PerPod(BTreeMap<String, Sample>),
    /// Of an object, the first; External metrics: the sum.
    Series(Vec<i64>),
}

/// The number of one Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In milli-units.
    pub value: i64,
    /// The end of the window over which it was measured.
    pub taken: Duration,
    /// That window.
    pub window: Duration,
}

impl Reading {
    /// Numbers of which nothing else is known.
    pub fn of(values: Values) -> Self {
        Self { values: Ok(values), taken: None, heard: None }
    }

    /// No numbers.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { values: Err(why.into()), taken: None, heard: None }
    }
}
