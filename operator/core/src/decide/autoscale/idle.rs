//! For how long nobody has asked, and whether a deployment without replicas is asked now.
//!
//! Time counts while a replica serves: who loads for minutes has not been idle. Gateways tell of minutes, and somebody may want to wait for hours: what they tell is joined from pass to pass. What is not known is
//! no silence.

use std::time::Duration;

use super::heard::Gateways;

/// Since when nobody has asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    since: Option<Duration>,
    looked: Duration,
    /// Since when a replica has served.
    serves: Option<Duration>,
}

impl Idle {
    /// For how long nobody has asked, although somebody would have answered.
    pub fn look(&mut self, gateways: &Gateways<'_>, serves: bool, now: Duration) -> Duration {
        self.serves = serves.then(|| self.serves.unwrap_or(now));
        let begun = gateways.quiet().map(|quiet| now.saturating_sub(quiet));
        self.since = match (begun, self.since) {
            // what they tell reaches back to the last look, and is silence all the way
            (Some(begun), Some(since)) if begun <= self.looked => Some(since.min(begun)),
            (begun, _) => begun,
        };
        self.looked = now;
        let since = self.since.zip(self.serves).map(|(quiet, serves)| quiet.max(serves));
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::autoscale::heard::Telling;
    use crate::demand::Demand;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The last so many seconds of a gateway, with this many requests in the first of them.
    fn told(count: usize, arrivals: u32) -> Demand {
        let mut series = vec![0; count];
        series[0] = arrivals;
        let zeros = vec![0; count];
        Demand {
            seconds: 5000,
            arrivals: series,
            served: zeros.clone(),
            tokens: zeros.clone(),
            in_flight: zeros.clone(),
            queued: zeros,
            waiting: 0,
        }
    }

    fn look(idle: &mut Idle, demand: &Demand, known: u32, now: u64) -> u64 {
        let telling = Telling { demand, advanced: seconds(now), known: true };
        idle.look(&Gateways { known, told: vec![telling] }, true, seconds(now)).as_secs()
    }

    /// It has served all day.
    fn served() -> Idle {
        Idle { serves: Some(Duration::ZERO), ..Idle::default() }
    }

    #[test]
    fn silence_is_joined_from_look_to_look() {
        let mut idle = served();
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_000), 300);
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_200), 500);
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_600), 300, "nobody knows what was between");
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_900), 600);
        assert_eq!(look(&mut idle, &told(300, 1), 1, 11_200), 299, "somebody came in the second after the last look");
        assert_eq!(look(&mut idle, &told(5, 1), 1, 11_205), 4);
    }

    #[test]
    fn what_is_not_known_is_no_silence() {
        let mut idle = served();
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_000), 300);
        assert_eq!(look(&mut idle, &told(300, 0), 2, 10_005), 0, "another gateway does not tell");
        assert_eq!(look(&mut idle, &told(300, 0), 1, 10_010), 300);
        let waits = Demand { waiting: 1, ..told(300, 0) };
        assert_eq!(look(&mut idle, &waits, 1, 10_015), 0);
        assert_eq!(idle.look(&Gateways::default(), true, seconds(10_020)), Duration::ZERO);
    }

    #[test]
    fn who_does_not_serve_is_not_idle() {
        let (mut idle, quiet) = (Idle::default(), told(300, 0));
        let mut at = |serves: bool, now: u64| {
            let telling = Telling { demand: &quiet, advanced: seconds(now), known: true };
            idle.look(&Gateways { known: 1, told: vec![telling] }, serves, seconds(now)).as_secs()
        };
        assert_eq!((at(false, 10_000), at(true, 10_005), at(true, 10_030)), (0, 0, 25));
        assert_eq!((at(false, 10_035), at(true, 10_040)), (0, 0));
    }
}
