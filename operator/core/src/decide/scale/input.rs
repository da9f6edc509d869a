//! What one decision looks at, as plain data with the names of `autoscaling/v2`.
//!
//! Values and targets are whole milli-units (1000 = 1). Times count from any one origin that is longer ago than every window.

use std::collections::BTreeMap;
use std::time::Duration;

use super::guards::Guards;
use super::memory::Memory;
use super::reading::Reading;

/// Everything that [`decide`](super::decide()) may look at.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// When.
    pub now: Duration,
    /// Namespace of the target; only messages name it.
    pub namespace: &'a str,
    /// Settings for all targets.
    pub controller: &'a Controller,
    /// What is wanted.
    pub spec: &'a Spec,
    /// The target's scale, or why it could not be read.
    pub scale: Result<Scale, String>,
    /// Pods that the scale's selector selects, or why it selects none.
    pub pods: Result<&'a [Pod], Selection>,
    /// What was read of each metric, in the order of `spec.metrics`. One that is not there has failed.
    pub readings: &'a [Reading],
    /// Where we differ from the HPA.
    pub guards: &'a Guards,
    /// What the last pass left.
    pub memory: &'a Memory,
}

/// Flags of kube-controller-manager, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controller {
    /// `--horizontal-pod-autoscaler-tolerance`: 0.1, in both directions.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`: 5 min.
    pub downscale_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`: 5 min.
    pub cpu_initialization_period: Duration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`: 30 s.
    pub initial_readiness_delay: Duration,
    /// Feature gate `HPAScaleToZero`: on since Kubernetes 1.37.
    pub scale_to_zero: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            downscale_stabilization: Duration::from_secs(300),
            cpu_initialization_period: Duration::from_secs(300),
            initial_readiness_delay: Duration::from_secs(30),
            scale_to_zero: true,
        }
    }
}

/// The target's `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`: the current number everywhere below.
    pub spec_replicas: i32,
    /// `status.replicas`; only `AverageValue` of Object and External metrics looks at it.
    pub status_replicas: i32,
}

/// Why a selector selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The scale has none.
    Missing,
    /// It cannot be read.
    Invalid(String),
    /// Another autoscaler selects some of the Pods: the message that says so.
    Ambiguous(String),
}

/// `spec` of an autoscaler, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `minReplicas`.
    pub min_replicas: i32,
    /// `maxReplicas`.
    pub max_replicas: i32,
    /// `metrics`.
    pub metrics: Vec<Metric>,
    /// `behavior`; both directions are filled in as soon as there is one.
    pub behavior: Option<Behavior>,
}

/// One entry of `metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// What is measured.
    pub source: Source,
    /// What it should be.
    pub target: Target,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Resource`: of each whole Pod.
    Resource {
        /// Name of the resource.
        name: String,
    },
    /// `ContainerResource`: of one container of each Pod.
    ContainerResource {
        /// Name of the resource.
        name: String,
        /// Name of the container.
        container: String,
    },
    /// `Pods`: a number of each Pod.
    Pods {
        /// Which number.
        metric: Identifier,
    },
    /// `Object`: a number of one object.
    Object {
        /// Which number.
        metric: Identifier,
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// `External`: a sum of numbers that belong to no object.
    External {
        /// Which numbers.
        metric: Identifier,
    },
    /// A type that does not exist.
    Unknown(String),
}

/// Name and selector of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Its name.
    pub name: String,
    /// Its selector as messages print it; `None` without one.
    pub selector: Option<String>,
}

/// What a metric should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `value`, in milli-units: all replicas together.
    Value(i64),
    /// `averageValue`, in milli-units: each replica.
    AverageValue(i64),
    /// `averageUtilization`, in per cent of what is requested.
    AverageUtilization(i32),
    /// None of those that the type of the metric could have.
    Missing,
}

/// `behavior`.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// `scaleUp`.
    pub scale_up: Rules,
    /// `scaleDown`.
    pub scale_down: Rules,
}

/// How fast one may go in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `stabilizationWindowSeconds`; `None` leaves it to the controller, which only `scaleDown` does.
    pub stabilization_window: Option<Duration>,
    /// `selectPolicy`.
    pub select_policy: SelectPolicy,
    /// `policies`.
    pub policies: Vec<Policy>,
    /// `tolerance`; `None` leaves it to the controller.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// A bound of the change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// How many of them.
    pub value: i32,
    /// `periodSeconds`.
    pub period: Duration,
}

/// What a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Replicas.
    Pods,
    /// Per cent of the replicas at the start of the period.
    Percent,
}

/// A Pod that the target's selector selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `status.phase`.
    pub phase: Phase,
    /// It is being deleted.
    pub deleted: bool,
    /// The condition `Ready`, if there is one.
    pub ready: Option<Ready>,
    /// `status.startTime`.
    pub started: Option<Duration>,
    /// Its containers, and those of its init containers that run beside them (`restartPolicy: Always`).
    pub containers: Vec<Container>,
    /// Requests of the Pod as a whole (`spec.resources`), in milli-units by resource.
    pub requests: Option<BTreeMap<String, i64>>,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All have ended well.
    Succeeded,
    /// One has ended badly.
    Failed,
    /// Its node does not say.
    Unknown,
}

/// The condition `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// `True`, `False`; `None` stands for `Unknown`.
    pub status: Option<bool>,
    /// `lastTransitionTime`.
    pub since: Duration,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its requests, in milli-units by resource.
    pub requests: BTreeMap<String, i64>,
}
