//! What is measured, in the order of the table, and what is aimed at.

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Digits behind the point, for people.
    pub digits: usize,
    /// The median should not be above this.
    pub aim: Option<f64>,
}

const fn measure(name: &'static str, unit: &'static str, digits: usize) -> Measure {
    Measure { name, unit, digits, aim: None }
}

const fn aimed(name: &'static str, unit: &'static str, digits: usize, aim: f64) -> Measure {
    Measure { name, unit, digits, aim: Some(aim) }
}

/// All of it that lies in memory, before there is anything to do.
pub const RSS_IDLE: Measure = aimed("RSS idle", "MiB", 1, 15.0);
/// The part of it that is no file's.
pub const ANON_IDLE: Measure = measure("anonymous memory idle", "MiB", 1);
/// All of it with all deployments.
pub const RSS_STEADY: Measure = measure("RSS with N, steady", "MiB", 1);
/// The part of it that is no file's.
pub const ANON_STEADY: Measure = measure("anonymous memory with N, steady", "MiB", 1);
/// The most up to then.
pub const RSS_PEAK: Measure = measure("RSS peak", "MiB", 1);
/// What one more deployment costs.
pub const ANON_EACH: Measure = aimed("anonymous memory per deployment", "KiB", 1, 25.0);
/// Processor time.
pub const CPU: Measure = measure("CPU, creation to all Ready", "s", 2);
/// Processor time of one.
pub const CPU_EACH: Measure = aimed("CPU per deployment", "ms", 1, 15.0);
/// From the first creation to the last that is Ready.
pub const ALL_READY: Measure = measure("all Ready", "s", 2);
/// From the first creation until half of them are Ready.
pub const HALF_READY: Measure = measure("half Ready", "s", 2);
/// Beside the floor of the same round.
pub const OVER_FLOOR: Measure = aimed("all Ready, over the plain Deployments of the same round", "×", 2, 1.2);
/// Beside the same children without the operator, in the same round.
pub const OVER_CHILDREN: Measure = measure("all Ready, over the same children without an operator", "×", 2);
/// Whether they come one after the other, or all at the end.
pub const HALF_SHARE: Measure = aimed("half Ready, as a share of all Ready", "%", 0, 50.0);
/// All requests.
pub const REQUESTS: Measure = measure("API requests per deployment", "", 2);
/// Creations, of events mostly: children are applied.
pub const CREATES: Measure = measure("– create (events)", "", 2);
/// Applies: children and status.
pub const PATCHES: Measure = measure("– patch (children, status)", "", 2);
/// Updates.
pub const UPDATES: Measure = measure("– update", "", 2);
/// Deletions.
pub const DELETES: Measure = measure("– delete", "", 2);
/// Reads.
pub const READS: Measure = measure("– get, list, watch beyond start-up", "", 2);
/// Requests that made no child.
pub const BEYOND: Measure = aimed("– beyond the creation of children", "", 2, 6.0);
/// Requests that were answered with an error.
pub const FAILED: Measure = aimed("failed requests", "", 0, 0.0);
/// Requests that change something while nothing happens.
pub const REST_WRITES: Measure = aimed("mutating requests in 60 s at rest", "", 0, 0.0);
/// Leases in that time.
pub const REST_LEASES: Measure = measure("– and lease requests", "", 0);
/// Processor time while nothing happens.
pub const REST_CPU: Measure = measure("CPU in 60 s at rest", "s", 2);
/// With no deployments.
pub const START_EMPTY: Measure = measure("start to healthy, no objects", "s", 3);
/// With all deployments.
pub const START_FULL: Measure = measure("start to healthy, N objects", "s", 3);
/// From the signal to stop.
pub const RESTART: Measure = aimed("restart with N objects → a new one Ready", "s", 2, 2.0);
/// From the signal to the end of the process.
pub const STOP: Measure = measure("– of it until the old one has ended", "s", 3);
/// Requests that change something although nothing has changed.
pub const RESTART_WRITES: Measure = aimed("– writes in the 30 s after it", "", 0, 0.0);
/// Processor time in that time.
pub const RESTART_CPU: Measure = measure("– CPU in those 30 s", "s", 2);
/// Memory after that time.
pub const RESTART_RSS: Measure = measure("RSS after the restart", "MiB", 1);
/// From the request to delete it.
pub const BACK_SERVICE: Measure = aimed("deleted Service back", "ms", 0, 50.0);
/// From the request to delete it.
pub const BACK_BUDGET: Measure = aimed("deleted PodDisruptionBudget back", "ms", 0, 50.0);
/// From the request to delete it.
pub const BACK_WORKLOAD: Measure = aimed("deleted Deployment back", "ms", 0, 50.0);
/// What else ran on the machine.
pub const OTHERS: Measure = measure("cores that others used meanwhile", "", 2);

/// In the order of the table.
pub const ALL: [Measure; 35] = [
    ALL_READY,
    HALF_READY,
    OVER_FLOOR,
    OVER_CHILDREN,
    HALF_SHARE,
    RSS_IDLE,
    ANON_IDLE,
    RSS_STEADY,
    ANON_STEADY,
    RSS_PEAK,
    ANON_EACH,
    CPU,
    CPU_EACH,
    REQUESTS,
    CREATES,
    PATCHES,
    UPDATES,
    DELETES,
    READS,
    BEYOND,
    FAILED,
    REST_WRITES,
    REST_LEASES,
    REST_CPU,
    START_EMPTY,
    START_FULL,
    RESTART,
    STOP,
    RESTART_WRITES,
    RESTART_CPU,
    RESTART_RSS,
    BACK_SERVICE,
    BACK_BUDGET,
    BACK_WORKLOAD,
    OTHERS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_has_an_aim() {
        let promised = [
            (OVER_FLOOR, 1.2),
            (HALF_SHARE, 50.0),
            (RSS_IDLE, 15.0),
            (ANON_EACH, 25.0),
            (CPU_EACH, 15.0),
            (BEYOND, 6.0),
            (FAILED, 0.0),
            (REST_WRITES, 0.0),
            (RESTART, 2.0),
            (RESTART_WRITES, 0.0),
            (BACK_SERVICE, 50.0),
            (BACK_BUDGET, 50.0),
            (BACK_WORKLOAD, 50.0),
        ];
        for (measure, aim) in promised {
            assert_eq!(measure.aim, Some(aim), "{}", measure.name);
        }
        let aims = ALL.iter().filter(|measure| measure.aim.is_some()).count();
        assert_eq!(aims, promised.len(), "the table shows every aim, and no other");
    }
}
