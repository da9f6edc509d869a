//! What holds whatever comes.

use std::collections::BTreeMap;
use std::time::Duration;

use deepseek_core::decide::scale::forecast::Load;
use deepseek_core::decide::scale::guards::{Freeze, Guards, Limits, Validity};
use deepseek_core::decide::scale::input::{Behavior, Policy, PolicyKind, Rules, SelectPolicy, Target};
use deepseek_core::decide::scale::memory::Recommendation;
use deepseek_core::decide::scale::reading::{Heard, Reading, Sample, Values};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::scene::{Scene, external, pods, scene, total};

fn rules() -> impl Strategy<Value = Rules> {
    let policy = (any::<bool>(), 1..300_i32, 1..1800_u64).prop_map(|(pods, value, period)| Policy {
        kind: if pods { PolicyKind::Pods } else { PolicyKind::Percent },
        value,
        period: Duration::from_secs(period),
    });
    let select = prop_oneof![Just(SelectPolicy::Max), Just(SelectPolicy::Min), Just(SelectPolicy::Disabled)];
    (of(0..3600_u64), select, vec(policy, 1..4), of(0.0..1.0_f64)).prop_map(
        |(window, select_policy, policies, tolerance)| Rules {
            stabilization_window: window.map(Duration::from_secs),
            select_policy,
            policies,
            tolerance,
        },
    )
}

fn behaviors() -> impl Strategy<Value = Option<Behavior>> {
    of((rules(), rules()).prop_map(|(scale_up, scale_down)| Behavior { scale_up, scale_down }))
}

fn limits() -> impl Strategy<Value = Limits> {
    let frozen = of(prop_oneof![Just(Freeze::Rollout), Just(Freeze::Failover)]);
    (frozen, of((0..20_i32, 0..40_i32)), of(0..40_i32), of(0..40_i32), of(0..40_i32)).prop_map(
        |(frozen, schedule, failover_floor, budget, schedulable)| Limits {
            frozen,
            schedule,
            failover_floor,
            budget,
            schedulable,
        },
    )
}

fn loads() -> impl Strategy<Value = Load> {
    let rates =
        (0.1..10.0_f64, of(0.01..20.0_f64), 0.0..200.0_f64, 0.0..200.0_f64, of((0.0..200.0_f64, 0.0..200.0_f64)));
    let pending = vec((0..900_u64).prop_map(Duration::from_secs), 0..10);
    (rates, 0.0..5000.0_f64, 0..40_u32, pending, 0..900_u64).prop_map(
        |((target, service_rate, mean_60s, mean_15s, trend), queued, ready, pending, cold)| Load {
            target,
            service_rate,
            mean_60s,
            mean_15s,
            trend,
            season: None,
            queued,
            patience: Duration::from_secs(120),
            ready,
            pending,
            cold_start: Duration::from_secs(cold),
        },
    )
}

fn guards() -> impl Strategy<Value = Guards> {
    let validity = of(Just(Validity { stale_after: Duration::from_secs(30) }));
    (validity, any::<[bool; 3]>(), of(loads()), of(0..900_u64), limits()).prop_map(
        |(validity, [count_ordered, our_behavior, outage], forecast, cold, limits)| Guards {
            validity,
            count_ordered,
            forecast,
            our_behavior,
            cold_start: cold.map(Duration::from_secs),
            outage,
            limits,
        },
    )
}

/// Numbers of all sizes, old ones, halves, none at all.
fn readings() -> impl Strategy<Value = Reading> {
    let milli = prop_oneof![6 => 0..100_000_i64, 1 => any::<i64>()];
    let heard = of((0..4_u32, 0..4_u32).prop_map(|(from, of)| Heard { from, of }));
    let taken = of((0..120_u64).prop_map(|age| Duration::from_secs(1_000_000 - age)));
    let values = prop_oneof![6 => vec(milli, 0..3).prop_map(Ok), 1 => Just(Err("down".to_owned()))];
    (values, taken, heard).prop_map(|(values, taken, heard)| Reading {
        values: values.map(Values::Series),
        taken,
        heard,
    })
}

/// Any target with external metrics, at any moment.
fn scenes() -> impl Strategy<Value = Scene> {
    let target = prop_oneof![3 => 1..20_000_i64, 1 => any::<i64>()];
    let targets = prop_oneof![target.clone().prop_map(Target::AverageValue), target.prop_map(Target::Value)];
    let metrics = vec((targets, readings()), 1..4);
    let log = vec((0..40_i32, 0..4000_u64), 0..6);
    (0..40_i32, (0..10_i32, 0..30_i32), metrics, behaviors(), guards(), log, 0..10_i32).prop_map(
        |(replicas, (min, more), metrics, behavior, guards, log, ready)| {
            scene(replicas).with(|scene| {
                scene.spec.min_replicas = min;
                scene.spec.max_replicas = (min + more).max(1);
                (scene.spec.metrics, scene.readings) =
                    metrics.into_iter().map(|(target, reading)| (external(target), reading)).unzip();
                scene.spec.behavior = behavior;
                scene.guards = guards;
                scene.pods = pods(replicas, ready);
                let logged = |(replicas, age)| Recommendation { replicas, at: Duration::from_secs(1_000_000 - age) };
                scene.memory.recommendations = Some(log.into_iter().map(logged).collect());
            })
        },
    )
}

/// The least of all upper bounds.
fn most(scene: &Scene) -> i32 {
    let Limits { schedule, budget, schedulable, .. } = scene.guards.limits;
    let all = [schedule.map(|(least, most)| most.max(least)), budget, schedulable, Some(scene.spec.max_replicas)];
    all.into_iter().flatten().min().unwrap_or(0)
}

proptest! {
    #[test]
    fn what_is_written_is_within_bounds(scene in scenes()) {
        let decision = scene.decide();
        if let Some(rescale) = &decision.rescale {
            prop_assert!(rescale.to <= scene.spec.max_replicas);
            prop_assert!(rescale.to >= scene.spec.min_replicas.min(most(&scene)), "{rescale:?}");
            prop_assert_ne!(rescale.to, scene.replicas);
        }
        prop_assert_eq!(decision.desired, decision.rescale.map_or(scene.replicas, |rescale| rescale.to));
    }

    #[test]
    fn never_above_the_budget(scene in scenes(), budget in 0..10_i32) {
        let scene = scene.with(|scene| scene.guards.limits.budget = Some(budget));
        let decision = scene.decide();
        prop_assert!(decision.desired <= budget || scene.replicas == 0, "{}", decision.desired);
        prop_assert!(decision.rescale.is_none_or(|rescale| rescale.to <= budget));
    }

    #[test]
    fn never_down_on_missing_data(scene in scenes(), which in 0..3_usize) {
        let scene = scene.with(|scene| {
            let which = which % scene.readings.len();
            scene.readings[which] = Reading::failed("down");
        });
        let decision = scene.decide();
        prop_assert!(decision.desired >= scene.replicas.min(most(&scene)), "{decision:?}");
    }

    #[test]
    fn more_demand_never_gives_less(scene in scenes(), milli in vec(0..200_000_i64, 3), more in vec(0..50_000_i64, 3)) {
        let asked = |of: &dyn Fn(usize) -> i64| {
            let mut scene = scene.clone();
            for (at, metric) in scene.spec.metrics.iter_mut().enumerate() {
                metric.target = Target::AverageValue(1 + i64::try_from(at).unwrap() * 700 + 500);
            }
            scene.readings = (0..scene.spec.metrics.len()).map(|at| total(of(at))).collect();
            scene.decide().desired
        };
        prop_assert!(asked(&|at| milli[at]) <= asked(&|at| milli[at] + more[at]));
    }

    #[test]
    fn a_longer_queue_and_more_arrivals_never_forecast_less(load in loads(), more in 1.0..3.0_f64, queued in 0.0..1000.0_f64) {
        let wanted = |load: Load| {
            let scene = scene(3).with(|scene| scene.guards.forecast = Some(load));
            scene.decide().forecast.unwrap().wanted
        };
        // means that are equal: a burst is measured by its own noise
        let load = Load { mean_15s: load.mean_60s, trend: None, ..load };
        let arrivals = load.mean_60s * more;
        let larger = Load { mean_60s: arrivals, mean_15s: arrivals, queued: load.queued + queued, ..load.clone() };
        prop_assert!(wanted(load) <= wanted(larger) + 1e-9);
    }

    #[test]
    fn the_order_of_metrics_does_not_matter(scene in scenes()) {
        let mut turned = scene.clone();
        turned.spec.metrics.reverse();
        turned.readings.truncate(turned.spec.metrics.len());
        turned.readings.reverse();
        prop_assert_eq!(scene.decide().desired, turned.decide().desired);
    }

    #[test]
    fn nothing_is_written_twice(scene in scenes()) {
        let decision = scene.decide();
        let mut again = scene.clone();
        again.memory = decision.settle(Ok(()));
        again.replicas = decision.desired;
        let conditions = &again.memory.status.conditions;
        prop_assert!(conditions.able_to_scale.is_some());
        prop_assert_eq!(scene.decide(), decision, "the same answer to the same input");
        prop_assert!(again.decide().memory.recommendations.is_some_and(|log| log.len() <= 8), "slots are used again");
    }

    #[test]
    fn numbers_of_pods_never_panic(values in vec(any::<i64>(), 0..6), target in any::<i64>(), percent in any::<i32>(), replicas in any::<i32>()) {
        use deepseek_core::decide::scale::input::{Container, Metric, Source};
        let samples: BTreeMap<_, _> = values.iter().enumerate().map(|(at, value)| {
            (format!("p{at}"), Sample { value: *value, taken: Duration::MAX, window: Duration::MAX })
        }).collect();
        for target in [Target::AverageValue(target), Target::AverageUtilization(percent)] {
            let scene = scene(3).with(|scene| {
                scene.replicas = replicas;
                scene.spec.metrics = vec![Metric { source: Source::Resource { name: "cpu".into() }, target }];
                for (pod, value) in scene.pods.iter_mut().zip(&values) {
                    pod.started = Some(Duration::MAX);
                    pod.containers = vec![Container { name: "main".into(), requests: BTreeMap::from([("cpu".to_owned(), *value)]) }];
                }
                scene.readings = vec![Reading::of(Values::PerPod(samples.clone()))];
            });
            let desired = scene.decide().desired;
            prop_assert!(desired == replicas || (1..=10).contains(&desired));
        }
    }
}
