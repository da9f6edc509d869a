//! Gateways, replicas that take a while, time.

use std::collections::BTreeSet;
use std::time::Duration;

use deepseek_core::decide::autoscale::heard::{Gateways, Telling};
use deepseek_core::decide::autoscale::told::Told;
use deepseek_core::decide::autoscale::wanted::Wanted;
use deepseek_core::decide::autoscale::{Hold, Seen, State, Wrote};
use deepseek_core::demand::{ASKED, Demand};
use deepseek_core::observed::{Canary, Pod};
use deepseek_crds::condition::Reason;
use jiff::Timestamp;
use serde_json::Value;

/// Seconds between two passes.
pub const PERIOD: u64 = 5;

pub struct World {
    pub wanted: Wanted,
    pub state: State,
    pub replicas: i32,
    pub suspended: bool,
    pub paused: bool,
    /// Each gateway that should tell, and what it has counted.
    pub gateways: Vec<Demand>,
    /// Those that do not tell.
    pub silent: Vec<usize>,
    /// How long a replica takes.
    pub cold: u64,
    pub revision: &'static str,
    /// So many wait at the first gateway at the time of a pass.
    pub waiting: u32,
    /// So many replicas find a place.
    pub places: usize,
    pub write: Wrote,
    pub now: u64,
    /// What was told last, and when; and how often.
    pub told: Option<(Told, u64)>,
    pub news: u32,
    pub hold: Option<Hold>,
    /// All reasons that a condition has had.
    pub reasons: BTreeSet<Reason>,
    /// The counts of gateways have stood still for a minute.
    pub stale: bool,
    pods: Vec<(u64, Pod)>,
}

/// One replica of `wanted` behind so many gateways, which have counted nothing for long.
pub fn world(wanted: Value, gateways: usize) -> World {
    let wanted = Wanted::of(&serde_json::from_value(wanted).unwrap(), Duration::from_secs(30)).unwrap();
    World {
        wanted,
        state: State::inherit(None),
        replicas: 1,
        suspended: false,
        paused: false,
        gateways: vec![quiet(); gateways],
        silent: Vec::new(),
        cold: 0,
        revision: "r",
        waiting: 0,
        places: usize::MAX,
        write: Wrote::Taken,
        now: 1_000_000,
        told: None,
        news: 0,
        hold: None,
        reasons: BTreeSet::new(),
        stale: false,
        pods: Vec::new(),
    }
}

fn quiet() -> Demand {
    let zeros = vec![0; ASKED];
    Demand {
        seconds: ASKED as u64,
        arrivals: zeros.clone(),
        served: zeros.clone(),
        tokens: zeros.clone(),
        in_flight: zeros.clone(),
        queued: zeros,
        waiting: 0,
    }
}

impl World {
    /// So many requests come in this second, spread over the gateways; each takes a second, and nobody waits.
    fn second(&mut self, arrivals: u32) {
        let gateways = u32::try_from(self.gateways.len()).unwrap();
        for (at, demand) in (0..).zip(&mut self.gateways) {
            let share = arrivals / gateways + u32::from(at < arrivals % gateways);
            demand.seconds += 1;
            for (series, count) in [
                (&mut demand.arrivals, share),
                (&mut demand.served, share),
                (&mut demand.tokens, share),
                (&mut demand.in_flight, share),
                (&mut demand.queued, 0),
            ] {
                series.remove(0);
                series.push(count);
            }
        }
        self.now += 1;
    }

    fn attend_pods(&mut self) {
        let wanted = usize::try_from(self.replicas).unwrap();
        while self.pods.len() < wanted {
            let name = format!("chat-{}-{}", self.now, self.pods.len());
            let pod = Pod { uid: name.clone(), name, revision: "r".into(), ..Pod::default() };
            self.pods.push((self.now + self.cold, pod));
        }
        self.pods.truncate(wanted);
        for (at, (ready, pod)) in self.pods.iter_mut().enumerate() {
            pod.unschedulable = (at >= self.places).then(|| "no node has room".to_owned());
            pod.ready = *ready <= self.now && pod.unschedulable.is_none();
            pod.canary = pod.ready.then_some(Canary::Answered);
        }
    }

    /// Seconds of so many requests each, then a pass.
    pub fn pass(&mut self, arrivals: u32) {
        (0..PERIOD).for_each(|_| self.second(arrivals));
        self.gateways[0].waiting = self.waiting;
        self.attend_pods();
        // no pass comes at a whole second, and the two clocks are read one after the other
        let late = Duration::from_millis(self.now * 37 % 1000);
        let now = Duration::from_secs(self.now) + late;
        let time =
            Timestamp::from_second(i64::try_from(self.now).unwrap()).unwrap() + late + Duration::from_millis(437);
        let advanced = now.saturating_sub(Duration::from_secs(if self.stale { 60 } else { 0 }));
        let telling = self.gateways.iter().enumerate().filter(|(at, _)| !self.silent.contains(at));
        let telling = telling.map(|(_, demand)| Telling { demand, advanced, known: true });
        let gateways = Gateways { known: u32::try_from(self.gateways.len()).unwrap(), told: telling.collect() };
        let pods: Vec<_> = self.pods.iter().map(|(_, pod)| pod.clone()).collect();
        let seen = Seen {
            now,
            time,
            namespace: "ai",
            replicas: self.replicas,
            suspended: self.suspended,
            paused: self.paused,
            gateways: &gateways,
            pods: &pods,
            revision: Some(self.revision),
            accelerators: Some(1),
            nodes: &[],
        };
        let pass = self.state.look(&self.wanted, &seen);
        let wrote = if pass.order().is_some() { self.write.clone() } else { Wrote::Nothing };
        let told = self.state.settle(&self.wanted, &seen, &pass, &wrote);
        if let (Some(rescale), Wrote::Taken) = (pass.order(), &wrote) {
            self.replicas = rescale.to;
        }
        self.hold = pass.hold;
        self.reasons.extend(told.verdicts.iter().map(|verdict| verdict.reason));
        let is_news = self
            .told
            .as_ref()
            .is_none_or(|(before, at)| told.is_news(before, Some(&self.wanted), Duration::from_secs(self.now - at)));
        if is_news {
            self.told = Some((told, self.now));
            self.news += 1;
        }
    }

    /// Passes for so many seconds.
    pub fn passes(&mut self, seconds: u64, arrivals: u32) {
        (0..seconds / PERIOD).for_each(|_| self.pass(arrivals));
    }

    /// What was told last.
    pub fn last(&self) -> &Told {
        &self.told.as_ref().unwrap().0
    }

    /// Type, status and reason of each condition.
    pub fn says(&self) -> Vec<String> {
        let verdicts = self.last().verdicts.iter();
        verdicts.map(|verdict| format!("{}={} {}", verdict.condition, verdict.status(), verdict.reason)).collect()
    }
}
