//! What holds over time, for any load that does not change and any cold start.

use std::time::Duration;

use deepseek_core::decide::scale::forecast::Load;
use deepseek_core::decide::scale::guards::{Guards, Limits, Validity};
use proptest::prelude::*;

use crate::scene::{PERIOD, Scene, scene, total};

/// A target whose replicas take a while to be ready, under a constant load, in front of a queue.
struct World {
    scene: Scene,
    /// When each replica is ready.
    ready_at: Vec<u64>,
    arrivals: f64,
    queue: f64,
    cold: u64,
    time: u64,
}

/// Requests per second that each replica should get, and that it can end.
const TARGET: f64 = 2.0;
const CAPACITY: f64 = TARGET / 0.75;
/// A client waits two minutes.
const PATIENCE: u64 = 120;

impl World {
    fn new(replicas: i32, arrivals: f64, cold: u64, guarded: bool) -> Self {
        let guards = Guards {
            validity: Some(Validity { stale_after: Duration::from_secs(30) }),
            count_ordered: true,
            forecast: Some(Load::default()),
            our_behavior: true,
            cold_start: Some(Duration::from_secs(cold)),
            outage: true,
            limits: Limits::default(),
        };
        let scene = scene(replicas).with(|scene| {
            scene.spec.max_replicas = 60;
            scene.guards = if guarded { guards } else { Guards::default() };
        });
        let ready_at = vec![0; usize::try_from(replicas).unwrap()];
        Self { scene, ready_at, arrivals, queue: 0.0, cold, time: 0 }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
    fn pass(&mut self) -> i32 {
        let ready = self.ready_at.iter().filter(|at| **at <= self.time).count();
        let flow = self.arrivals - ready as f64 * CAPACITY;
        self.queue = (self.queue + flow * PERIOD as f64).clamp(0.0, self.arrivals * PATIENCE as f64);
        self.scene.readings = vec![total((self.arrivals * 1000.0) as i64)];
        if let Some(load) = &mut self.scene.guards.forecast {
            *load = Load {
                target: TARGET,
                service_rate: Some(CAPACITY),
                mean_60s: self.arrivals,
                mean_15s: self.arrivals,
                trend: Some((self.arrivals, self.arrivals)),
                season: None,
                queued: self.queue,
                patience: Duration::from_secs(PATIENCE),
                ready: u32::try_from(ready).unwrap(),
                pending: self
                    .ready_at
                    .iter()
                    .filter_map(|at| at.checked_sub(self.time))
                    .filter(|eta| *eta > 0)
                    .map(Duration::from_secs)
                    .collect(),
                cold_start: Duration::from_secs(self.cold),
            };
        }
        self.scene.pass();
        let wanted = usize::try_from(self.scene.replicas).unwrap();
        // the newest goes first
        self.ready_at.resize(wanted, self.time + self.cold);
        self.time += PERIOD;
        self.scene.replicas
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_constant_load_is_met_and_then_nothing_moves(
        replicas in 1..40_i32, arrivals in 0.1..100.0_f64, cold in 0..900_u64, guarded in any::<bool>(),
    ) {
        let mut world = World::new(replicas, arrivals, cold, guarded);
        for _ in 0..4 * 3600 / PERIOD {
            world.pass();
        }
        let settled = world.scene.replicas;
        prop_assert!(f64::from(settled) * TARGET * 1.1 + 1e-6 >= arrivals, "{settled} for {arrivals}");
        prop_assert!(f64::from(settled - 1) * TARGET <= arrivals / 0.8, "{settled} for {arrivals}");
        for _ in 0..2 * 3600 / PERIOD {
            prop_assert_eq!(world.pass(), settled);
        }
    }

    #[test]
    fn no_traffic_reaches_the_minimum(replicas in 1..40_i32, min in 0..4_i32, cold in 0..900_u64, guarded in any::<bool>()) {
        let mut world = World::new(replicas, 0.0, cold, guarded);
        world.scene.spec.min_replicas = min;
        let window = if guarded { (2 * cold).max(300) } else { 300 };
        // a quarter a minute where it is ours; all at once in the HPA
        let steps = if guarded { 16 * 60 } else { 0 };
        for _ in 0..(window + steps) / PERIOD + 2 {
            world.pass();
        }
        prop_assert_eq!(world.scene.replicas, min);
    }

    #[test]
    fn an_outage_takes_nothing_away(replicas in 1..40_i32, cold in 0..900_u64, passes in 1..80_usize) {
        let mut world = World::new(replicas, f64::from(replicas) * TARGET, cold, true);
        world.pass();
        let before = world.scene.replicas;
        world.scene.guards.forecast = None;
        world.scene.readings = Vec::new();
        for _ in 0..passes {
            world.scene.pass();
            prop_assert!(world.scene.replicas >= before);
        }
        // and little traffic afterwards takes nothing away within the window, whose edge does not count
        world.scene.readings = vec![total(1)];
        for _ in 1..(2 * cold).max(300) / PERIOD {
            world.scene.pass();
            prop_assert!(world.scene.replicas >= before);
        }
    }
}
