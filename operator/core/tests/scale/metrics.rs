//! Single metrics: facts from `replica_calculator_test.go` of v1.37.2, in our own words.

use std::collections::BTreeMap;
use std::time::Duration;

use deepseek_core::decide::scale::input::{Container, Identifier, Metric, Phase, Pod, Source, Target};
use deepseek_core::decide::scale::metric::{Failure, Proposal, Working};
use deepseek_core::decide::scale::reading::{Reading, Sample, Values};

use crate::scene::{Scene, external, pods, scene, total};

/// The first metric of a decision.
fn first(scene: &Scene) -> Result<Proposal, Failure> {
    scene.decide().metrics.remove(0)
}

fn replicas(scene: &Scene) -> i32 {
    first(scene).unwrap().replicas
}

#[test]
fn an_average_of_a_sum_holds_at_what_the_status_says() {
    for (replicas_there, sum, expected) in
        [(4, 8000, 4), (4, 8800, 4), (4, 8801, 5), (4, 7200, 4), (4, 7199, 4), (4, 5999, 3), (3, 8000, 4), (5, 9500, 5)]
    {
        let target = scene(4).with(|scene| {
            scene.status = Some(replicas_there);
            scene.readings = vec![total(sum)];
        });
        assert_eq!(replicas(&target), expected, "{replicas_there} there, {sum}");
    }
}

#[test]
fn a_value_is_multiplied_with_ready_pods() {
    let lost = |sum, ready| {
        scene(8).with(|scene| {
            scene.spec.metrics = vec![external(Target::Value(10_000))];
            scene.pods = pods(8, ready);
            scene.readings = vec![total(sum)];
        })
    };
    assert_eq!(replicas(&lost(19_000, 8)), 16);
    assert_eq!(replicas(&lost(19_000, 2)), 4, "six of eight are lost under load, and it shrinks");
    assert_eq!(replicas(&lost(19_000, 0)), 0);
    assert_eq!(replicas(&lost(10_500, 2)), 8, "within the tolerance nothing is counted");
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_turn() {
    let most = |target, sum| {
        scene(4).with(|scene| {
            scene.spec.metrics = vec![external(target)];
            scene.readings = vec![Reading::of(Values::Series(sum))];
        })
    };
    assert_eq!(replicas(&most(Target::AverageValue(1), vec![i64::MAX, i64::MAX])), i32::MAX);
    assert_eq!(replicas(&most(Target::Value(1), vec![i64::MAX, 5])), i32::MAX);
    assert_eq!(replicas(&most(Target::AverageValue(1), vec![-5])), i32::MAX, "Go takes it for an overflow");
    assert_eq!(replicas(&most(Target::AverageValue(0), vec![0])), 0, "the API server refuses such a target");
}

fn sample(value: i64) -> Sample {
    Sample { value, taken: Duration::from_secs(1_000_000), window: Duration::from_secs(60) }
}

fn samples(values: &[Option<i64>]) -> Reading {
    let named = values.iter().enumerate().filter_map(|(at, value)| Some((format!("p{at}"), sample((*value)?))));
    Reading::of(Values::PerPod(named.collect()))
}

/// Pods with one container that asks for a processor; `cpu` at so many per cent.
fn on_processors(percent: i32, pods: Vec<Pod>, values: &[Option<i64>]) -> Scene {
    let number = i32::try_from(pods.len()).unwrap();
    let container = || Container { name: "engine".into(), requests: BTreeMap::from([("cpu".to_owned(), 1000)]) };
    scene(number).with(|scene| {
        scene.spec.metrics = vec![Metric {
            source: Source::Resource { name: "cpu".into() },
            target: Target::AverageUtilization(percent),
        }];
        scene.pods = pods.into_iter().map(|pod| Pod { containers: vec![container()], ..pod }).collect();
        scene.readings = vec![samples(values)];
    })
}

#[test]
fn utilization_is_a_whole_number_of_per_cent() {
    assert_eq!(replicas(&on_processors(30, pods(3, 3), &[Some(300), Some(500), Some(700)])), 5);
    assert_eq!(replicas(&on_processors(100, pods(3, 3), &[Some(1109), Some(1109), Some(1109)])), 3, "110 per cent");
    let shown = first(&on_processors(30, pods(3, 3), &[Some(300), Some(500), Some(701)])).unwrap().current;
    assert_eq!((shown.average_utilization, shown.average_value), (Some(50), Some(500)));
}

#[test]
fn what_is_missing_damps_both_ways() {
    assert_eq!(
        replicas(&on_processors(50, pods(4, 4), &[Some(900), Some(900), Some(900), None])),
        6,
        "it counts as nothing"
    );
    assert_eq!(
        replicas(&on_processors(50, pods(4, 4), &[Some(100), Some(100), Some(100), None])),
        3,
        "it counts as all of it"
    );
    assert_eq!(replicas(&on_processors(50, pods(2, 2), &[Some(600), None])), 2, "it may not turn the direction");
    let again = match first(&on_processors(50, pods(4, 4), &[Some(900), Some(900), Some(900), None])).unwrap().working {
        Working::PerPod(found) => found.again.unwrap(),
        Working::Total(_) => panic!("it is of Pods"),
    };
    assert_eq!((again.samples, again.ratio.to_string().as_str()), (4, "1.34"));
}

#[test]
fn what_still_starts_damps_going_up() {
    let young = |ready| {
        let mut three = pods(3, 3);
        three[2].started = Some(Duration::from_secs(999_900));
        three[2].ready = Some(deepseek_core::decide::scale::input::Ready {
            status: Some(ready),
            since: Duration::from_secs(999_970),
        });
        three
    };
    let hot = [Some(900), Some(900), Some(1000)];
    assert_eq!(replicas(&on_processors(30, young(false), &hot)), 6, "it is not ready: nothing of it is counted");
    assert_eq!(replicas(&on_processors(30, young(true), &hot)), 6, "its sample began before it was ready");
    let mut failed = pods(3, 3);
    failed[2].phase = Phase::Failed;
    assert_eq!(replicas(&on_processors(30, failed, &hot)), 6, "it is gone: two Pods at 90 per cent");
}

#[test]
fn requests_are_needed_of_every_container() {
    let mut bare = on_processors(50, pods(2, 2), &[Some(600), Some(600)]);
    bare.pods[1].containers.push(Container { name: "side".into(), requests: BTreeMap::new() });
    let failure = first(&bare).unwrap_err();
    assert_eq!(failure.reason, "FailedGetResourceMetric");
    assert!(failure.message.ends_with("missing request for cpu in container side of Pod p1"), "{}", failure.message);
    for pod in &mut bare.pods {
        pod.requests = Some(BTreeMap::from([("cpu".to_owned(), 2000)]));
    }
    assert_eq!(first(&bare).unwrap().current.average_utilization, Some(30), "requests of the whole Pod win");
}

#[test]
fn no_numbers_are_no_zero() {
    let none = on_processors(50, pods(2, 2), &[]);
    assert!(first(&none).unwrap_err().message.ends_with("no metrics returned from resource metrics API"));
    let mut external = scene(2);
    external.readings = vec![Reading::of(Values::Series(Vec::new()))];
    assert!(first(&external).unwrap_err().message.ends_with("no metrics returned from external metrics API"));
    external.readings = Vec::new();
    assert!(first(&external).is_err());
}

#[test]
fn samples_of_strangers_count_for_numbers_and_not_for_utilization() {
    let metric = Identifier { name: "queue".into(), selector: None };
    let of_pods = scene(2).with(|scene| {
        scene.spec.metrics = vec![Metric { source: Source::Pods { metric }, target: Target::AverageValue(1000) }];
        scene.readings = vec![samples(&[Some(1000), Some(1000), Some(7000)])];
    });
    assert_eq!(replicas(&of_pods), 6, "three samples, two Pods");
    assert_eq!(replicas(&on_processors(100, pods(2, 2), &[Some(1000), Some(1000), Some(7000)])), 2);
}
