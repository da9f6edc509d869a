//! What holds whatever gateways tell.

use deepseek_core::decide::autoscale::Wrote;
use deepseek_core::demand::Demand;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, world};

fn wanted() -> impl Strategy<Value = Value> {
    let behavior = prop_oneof![
        3 => Just(json!(null)),
        1 => Just(json!({"scaleDown": {"stabilizationWindowSeconds": 0}})),
        1 => Just(json!({"scaleUp": {"stabilizationWindowSeconds": 60}, "scaleDown": {"policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 30}]}})),
    ];
    let target = prop_oneof![
        Just(json!({"requestsPerSecond": "2"})),
        Just(json!({"requestsPerSecond": "700m", "concurrency": "3"})),
        Just(json!({"concurrency": "1", "queued": "1", "tokensPerSecond": "9"})),
    ];
    let compensation = prop_oneof![Just("Enabled"), Just("Disabled")];
    (behavior, target, 1..3_i32, compensation).prop_map(|(behavior, target, min, compensation)| {
        let mut wanted =
            json!({"minReplicas": min, "maxReplicas": 30, "target": target, "coldStart": {"compensation": compensation}});
        if !behavior.is_null() {
            wanted["behavior"] = behavior;
        }
        wanted
    })
}

/// A few minutes of some load, with some gateways silent, and a write that may fail.
type Spell = (u32, Vec<usize>, bool, u64);

fn spells() -> impl Strategy<Value = Vec<Spell>> {
    let arrivals = prop_oneof![3 => 0..60_u32, 1 => Just(0), 1 => Just(900_000_u32)];
    vec((arrivals, vec(0..3_usize, 0..3), any::<bool>(), 5..400_u64), 1..12)
}

fn spell(world: &mut World, (arrivals, silent, fails, _): &Spell) {
    world.silent.clone_from(silent);
    world.write = if *fails { Wrote::Failed("away".into()) } else { Wrote::Taken };
    world.pass(*arrivals);
}

fn series() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_constant_load_is_met_and_then_nothing_moves_and_nothing_is_told(
        wanted in wanted(), arrivals in 0..50_u32, cold in 0..400_u64, gateways in 1..4_usize,
    ) {
        let mut world = world(wanted, gateways);
        world.cold = cold;
        world.passes(2 * 3600, arrivals);
        let (settled, told) = (world.replicas, world.news);
        for _ in 0..720 {
            world.pass(arrivals);
            prop_assert_eq!(world.replicas, settled);
        }
        prop_assert_eq!(world.news, told, "{:?}", world.told);
    }

    #[test]
    fn never_down_while_a_gateway_is_silent_and_never_out_of_bounds(wanted in wanted(), spells in spells(), cold in 0..200_u64) {
        let mut world = world(wanted, 3);
        world.cold = cold;
        world.replicas = 2;
        for one in &spells {
            for _ in 0..one.3 / 5 {
                let before = world.replicas;
                spell(&mut world, one);
                prop_assert!((world.wanted.spec.min_replicas.min(2)..=30).contains(&world.replicas));
                prop_assert!(world.replicas >= before || world.silent.is_empty(), "{} after {before}", world.replicas);
                prop_assert!(world.hold.is_none(), "nobody else writes: {:?}", world.hold);
            }
        }
    }

    #[test]
    fn whatever_is_told_is_survived(all in vec((series(), series(), series(), any::<u64>()), 0..4), wanted in wanted()) {
        let mut world = world(wanted, 0);
        world.gateways = all.iter().map(|(arrivals, queued, tokens, seconds)| Demand {
            seconds: *seconds / 2,
            arrivals: arrivals.clone(),
            served: queued.clone(),
            tokens: tokens.clone(),
            in_flight: arrivals.clone(),
            queued: queued.clone(),
            waiting: u32::try_from(*seconds % 3).unwrap(),
        }).filter(|demand| demand.arrivals.len() == 20).collect();
        for demand in &world.gateways {
            let _ = demand.check();
        }
        if !world.gateways.is_empty() && world.gateways.iter().all(|demand| demand.queued.len() == 20 && demand.tokens.len() == 20) {
            world.passes(60, 1);
            prop_assert!((1..=30).contains(&world.replicas));
        }
    }
}
