//! Can a contract be met? The time from the loss of a whole site to a client's next success, as a sum with names.
//!
//! ```text
//! claimed = poll + lease + poll + request limit              last renewal seen, expiry, candidate's next look, CAS
//! awake   = failures x probe + probe + wake                  suspicion starts waking while the lease still runs
//! ready   = max(claimed + gate, awake) + switch
//! told    = max(claimed, ready if it sleeps) + write + event + provider + TTL + retry + slack
//! ```
//!
//! Numbers of the fast profile: claimed 11.5 s, ready 14.0 s, told 26.0 s with a hot standby and 28.5 s with one that wakes in 8 s.

use std::fmt;
use std::time::Duration;

use super::time::Timing;

const PROBE: Duration = Duration::from_secs(1);
const GATE: Duration = Duration::from_millis(500);
const SWITCH: Duration = Duration::from_secs(2);

/// From a write to the record until a client that follows DNS alone has retried: write, controller's event, provider, retry, slack.
const DNS_BEFORE_TTL: [(&str, Duration); 3] = [
    ("write of the DNS record", Duration::from_secs(1)),
    ("DNS controller's next look", Duration::from_secs(5)),
    ("DNS provider", Duration::from_secs(3)),
];
const DNS_AFTER_TTL: [(&str, Duration); 2] =
    [("client's next attempt", Duration::from_secs(2)), ("slack", Duration::from_millis(1500))];

/// How ready the standby is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Loaded and answering.
    Hot,
    /// Its weights are in host memory.
    Sleep {
        /// How long it takes to wake.
        wake: Duration,
    },
    /// Its weights must be loaded.
    Cold {
        /// How long that takes.
        load: Duration,
    },
}

impl Standby {
    /// One that sleeps with weights that host memory cannot hold is cold. `rate` is in bytes a second.
    pub fn asleep(weights: u64, host_memory: u64, wake: Duration, rate: u64) -> Self {
        if host_memory >= weights { Self::Sleep { wake } } else { Self::cold(weights, rate) }
    }

    /// One that must load so many bytes at so many bytes a second.
    pub fn cold(weights: u64, rate: u64) -> Self {
        let millis = u128::from(weights) * 1000 / u128::from(rate.max(1));
        Self::Cold { load: Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) }
    }

    fn wake(self) -> Duration {
        match self {
            Self::Hot => Duration::ZERO,
            Self::Sleep { wake } => wake,
            Self::Cold { load } => load,
        }
    }
}

/// How clients find the active site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// They know both gateways, and one of them lives.
    BothAddresses,
    /// They follow DNS alone.
    Dns {
        /// Time to live of the record.
        ttl: Duration,
    },
}

/// One part of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What takes the time.
    pub name: &'static str,
    /// How long at worst.
    pub time: Duration,
}

/// The longest path from the fault to success, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In the order in which they pass.
    pub terms: Vec<Term>,
}

/// A contract that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub rto: Duration,
    /// What it takes.
    pub budget: Budget,
}

/// The sum for these times, this standby and these clients.
pub fn budget(timing: &Timing, standby: Standby, clients: Clients) -> Budget {
    let claim = claim(timing);
    let awake = awake(timing, standby);
    let gated = [&claim[..], &[Term { name: "readiness gate", time: GATE }]].concat();
    let hot_by_name = matches!((standby, clients), (Standby::Hot, Clients::Dns { .. }));
    let mut terms = match clients {
        _ if hot_by_name => claim,
        _ if sum(&awake) > sum(&gated) => awake,
        _ => gated,
    };
    if !hot_by_name {
        terms.push(Term { name: "local switch", time: SWITCH });
    }
    if let Clients::Dns { ttl } = clients {
        let named = |(name, time)| Term { name, time };
        terms.extend(DNS_BEFORE_TTL.map(named));
        terms.push(Term { name: "time to live of the record", time: ttl });
        terms.extend(DNS_AFTER_TTL.map(named));
    }
    Budget { terms }
}

fn claim(timing: &Timing) -> Vec<Term> {
    vec![
        Term { name: "last renewal seen", time: timing.poll },
        Term { name: "role lease", time: timing.lease },
        Term { name: "candidate's next look", time: timing.poll },
        Term { name: "claim of the role", time: timing.request },
    ]
}

fn awake(timing: &Timing, standby: Standby) -> Vec<Term> {
    let name = if matches!(standby, Standby::Cold { .. }) { "loading the model" } else { "waking the standby" };
    vec![
        Term { name: "failed probes", time: PROBE.saturating_mul(u32::from(timing.failures) + 1) },
        Term { name, time: standby.wake() },
    ]
}

fn sum(terms: &[Term]) -> Duration {
    terms.iter().fold(Duration::ZERO, |sum, term| sum.saturating_add(term.time))
}

impl Budget {
    /// From the fault to a client's next success, at worst.
    pub fn total(&self) -> Duration {
        sum(&self.terms)
    }

    /// Whether the contract can be met.
    ///
    /// # Errors
    /// The sum that exceeds it.
    pub fn check(self, rto: Duration) -> Result<(), Refusal> {
        if self.total() <= rto { Ok(()) } else { Err(Refusal { rto, budget: self }) }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let plus = if at == 0 { "" } else { " + " };
            write!(f, "{plus}{} {:.1} s", term.name, term.time.as_secs_f64())?;
        }
        write!(f, " = {:.1} s", self.total().as_secs_f64())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s cannot be promised: {}", self.rto.as_secs_f64(), self.budget)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DNS: Clients = Clients::Dns { ttl: Duration::from_secs(2) };
    const ASLEEP: Standby = Standby::Sleep { wake: Duration::from_secs(8) };

    #[test]
    fn the_sums_are_those_of_the_design() {
        let rows = [
            (Timing::FAST, Standby::Hot, Clients::BothAddresses, 14_000),
            (Timing::FAST, ASLEEP, Clients::BothAddresses, 14_000),
            (Timing::FAST, Standby::Hot, DNS, 26_000),
            (Timing::FAST, ASLEEP, DNS, 28_500),
            (Timing::WAN, Standby::Hot, Clients::BothAddresses, 18_000),
            (Timing::WAN, Standby::Hot, DNS, 30_000),
            (Timing::FAST, Standby::cold(510_000_000_000, 3_000_000_000), DNS, 190_500),
        ];
        for (timing, standby, clients, millis) in rows {
            let budget = budget(&timing, standby, clients);
            assert_eq!(budget.total().as_millis(), millis, "{standby:?} {clients:?}: {budget}");
        }
    }

    #[test]
    fn a_cold_standby_is_refused_with_the_sum() {
        let cold = Standby::asleep(510_000_000_000, 256_000_000_000, 8 * SECOND, 3_000_000_000);
        let refusal = budget(&Timing::FAST, cold, Clients::BothAddresses).check(30 * SECOND).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "30.0 s cannot be promised: failed probes 4.0 s + loading the model 170.0 s + local switch 2.0 s = 176.0 s"
        );
    }

    #[test]
    fn what_host_memory_holds_may_sleep() {
        assert_eq!(Standby::asleep(10, 10, SECOND, 1), Standby::Sleep { wake: SECOND });
        assert!(budget(&Timing::FAST, ASLEEP, DNS).check(30 * SECOND).is_ok());
        assert!(budget(&Timing::WAN, ASLEEP, DNS).check(30 * SECOND).is_err());
    }

    proptest! {
        #[test]
        fn more_of_anything_is_never_faster(lease in 0..60_u64, wake in 0..600_u64, ttl in 0..300_u64, more in 0..60_u64) {
            let seconds = Duration::from_secs;
            let total = |lease, wake, ttl| {
                let timing = Timing { lease: seconds(lease), ..Timing::FAST };
                budget(&timing, Standby::Sleep { wake: seconds(wake) }, Clients::Dns { ttl: seconds(ttl) }).total()
            };
            let all = total(lease, wake, ttl);
            prop_assert!(total(lease + more, wake, ttl) >= all);
            prop_assert!(total(lease, wake + more, ttl) >= all);
            prop_assert_eq!(total(lease, wake, ttl + more), all + seconds(more));
        }

        #[test]
        fn a_contract_is_met_exactly_when_the_sum_fits(wake in 0..60_000_u64, rto in 0..90_000_u64) {
            let standby = Standby::Sleep { wake: Duration::from_millis(wake) };
            let budget = budget(&Timing::FAST, standby, DNS);
            let (sum, rto) = (budget.total(), Duration::from_millis(rto));
            prop_assert_eq!(budget.check(rto).is_ok(), sum <= rto);
        }
    }
}
