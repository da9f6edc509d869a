//! What limits the number of replicas beside `minReplicas` and `maxReplicas`: hours, accelerators, and nobody who asks.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::open_enum;
use super::patterns::{DURATION, HOUR, TIME_ZONE};

open_enum! {
    /// What becomes of replicas for which no node has room.
    WhenUnschedulable {
        /// They are taken back after a minute, and ordered again when there is room.
        Cap = "Cap",
        /// They wait.
        Wait = "Wait",
    }
}

open_enum! {
    /// A day of the week.
    Weekday {
        /// The first day of the week.
        Monday = "Monday",
        /// The second.
        Tuesday = "Tuesday",
        /// The third.
        Wednesday = "Wednesday",
        /// The fourth.
        Thursday = "Thursday",
        /// The fifth.
        Friday = "Friday",
        /// The sixth.
        Saturday = "Saturday",
        /// The last.
        Sunday = "Sunday",
    }
}

/// Other bounds at certain hours. Where several are in force, the largest `minReplicas` and the smallest `maxReplicas` count, and
/// `minReplicas` before `maxReplicas`; neither goes beyond `spec.autoscaling.maxReplicas`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.minReplicas) || has(self.maxReplicas)").message(
        "a schedule in spec.autoscaling.schedules changes nothing; set its minReplicas or its maxReplicas"
    ),
    validation = Rule::new(
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas"
    )
    .message("the minReplicas of a schedule in spec.autoscaling.schedules is above its maxReplicas; lower it")
)]
#[serde(rename_all = "camelCase")]
pub struct ScalingSchedule {
    /// Days on which it begins. Unit: days of the week, up to 7. Default: every day. Example: [Monday, Friday].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,

    /// From this minute on. Unit: hours and minutes of a day, 00:00 to 23:59. Default: none, it is required. Example: "07:30".
    #[schemars(length(min = 5, max = 5), regex(pattern = HOUR))]
    pub start: String,

    /// Until this minute, on the same day if it is later than `start`, else on the next. Unit: hours and minutes of a day, 00:00
    /// to 23:59. Default: none, it is required. Example: "18:00".
    #[schemars(length(min = 5, max = 5), regex(pattern = HOUR))]
    pub end: String,

    /// Whose clock. Unit: a name of the IANA time zone database. Default: UTC. Example: Europe/Berlin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: Option<String>,

    /// The least meanwhile. Unit: replicas, 1 to 1000. Default: that of `spec.autoscaling`. Example: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// The most meanwhile. Unit: replicas, 1 to 1000. Default: that of `spec.autoscaling`. Example: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
}

/// What accelerators allow.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingAccelerators {
    /// The most that all replicas hold together, those on their way out included. It goes before `minReplicas`, but one replica
    /// may always run. Unit: accelerators, 1 to 100000. Default: as many as there are. Example: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max: Option<i32>,

    /// What becomes of replicas beyond `minReplicas` for which no node has had room for a minute. Unit: one of Cap (they are taken
    /// back, and ordered again when there is room, or after five minutes, each time twice as long up to an hour), Wait (they
    /// wait). Default: Cap. Example: Wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_unschedulable: Option<WhenUnschedulable>,
}

/// When no replica runs, and how long the first request is held.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleToZero {
    /// Nobody has asked for so long, and no answer is under way: no replica runs until somebody asks. The window of
    /// `behavior.scaleDown` counts, too. Unit: a duration of hours, minutes and seconds, at least 10s. Default: 15m. Example: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub idle_after: Option<String>,

    /// A request is held at the gateway for so long while no replica answers; then it is refused, with the time after which to come
    /// back. As many are held as `spec.gateway.limits.maxQueueLength` says. Unit: a duration of hours, minutes and seconds, at
    /// least 10s. Default: 2m. Example: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub hold_timeout: Option<String>,
}
