//! A target with one autoscaler, and time.

use std::time::Duration;

use deepseek_core::decide::scale::conditions::Condition;
use deepseek_core::decide::scale::guards::Guards;
use deepseek_core::decide::scale::input::{
    Controller, Identifier, Input, Metric, Phase, Pod, Ready, Scale, Selection, Source, Spec, Target,
};
use deepseek_core::decide::scale::memory::Memory;
use deepseek_core::decide::scale::reading::{Reading, Values};
use deepseek_core::decide::scale::{Decision, decide, v2};
use serde_json::Value;

/// Seconds between two passes.
pub const PERIOD: u64 = 15;

#[derive(Clone, Debug)]
pub struct Scene {
    pub now: Duration,
    pub controller: Controller,
    pub spec: Spec,
    pub replicas: i32,
    /// `status.replicas` where it is not the same.
    pub status: Option<i32>,
    pub scale_error: Option<&'static str>,
    pub selection: Option<Selection>,
    pub pods: Vec<Pod>,
    pub readings: Vec<Reading>,
    pub guards: Guards,
    pub memory: Memory,
    pub write_error: Option<&'static str>,
}

/// As many replicas, between 1 and 10, of which each should get 2 of the external metric "arrivals"; it gets that.
pub fn scene(replicas: i32) -> Scene {
    Scene {
        now: Duration::from_secs(1_000_000),
        controller: Controller::default(),
        spec: Spec {
            min_replicas: 1,
            max_replicas: 10,
            metrics: vec![external(Target::AverageValue(2000))],
            behavior: None,
        },
        replicas,
        status: None,
        scale_error: None,
        selection: None,
        pods: pods(replicas, replicas),
        readings: vec![total(i64::from(replicas) * 2000)],
        guards: Guards::default(),
        memory: Memory::default(),
        write_error: None,
    }
}

pub fn external(target: Target) -> Metric {
    let metric = Identifier { name: "arrivals".into(), selector: None };
    Metric { source: Source::External { metric }, target }
}

pub fn total(milli: i64) -> Reading {
    Reading::of(Values::Series(vec![milli]))
}

/// Pods that have run for a day, the first few of them ready.
pub fn pods(number: i32, ready: i32) -> Vec<Pod> {
    let pod = |at: i32| Pod {
        name: format!("p{at}"),
        phase: Phase::Running,
        ready: Some(Ready { status: Some(at < ready), since: Duration::from_secs(913_600) }),
        started: Some(Duration::from_secs(913_600)),
        ..Pod::default()
    };
    (0..number).map(pod).collect()
}

impl Scene {
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// `behavior` as people write it.
    pub fn behaving(self, written: Value) -> Self {
        let written = serde_json::from_value(written).unwrap();
        self.with(|scene| scene.spec.behavior = Some(v2::behavior(&written).unwrap()))
    }

    pub fn decide(&self) -> Decision {
        let spec_replicas = self.replicas;
        let scale = Scale { spec_replicas, status_replicas: self.status.unwrap_or(spec_replicas) };
        decide(&Input {
            now: self.now,
            namespace: "space",
            controller: &self.controller,
            spec: &self.spec,
            scale: self.scale_error.map_or(Ok(scale), |why| Err(why.to_owned())),
            pods: self.selection.clone().map_or(Ok(self.pods.as_slice()), Err),
            readings: &self.readings,
            guards: &self.guards,
            memory: &self.memory,
        })
    }

    /// A whole pass; then it is time for the next one.
    pub fn pass(&mut self) -> Decision {
        let decision = self.decide();
        self.memory = decision.settle(self.write_error.map_or(Ok(()), Err));
        if let Some(rescale) = decision.rescale.as_ref().filter(|_| self.write_error.is_none()) {
            self.replicas = rescale.to;
        }
        self.now += Duration::from_secs(PERIOD);
        decision
    }

    /// Passes for as long; the replicas after each.
    pub fn passes(&mut self, seconds: u64) -> Vec<i32> {
        (0..seconds / PERIOD)
            .map(|_| {
                self.pass();
                self.replicas
            })
            .collect()
    }

    pub fn reasons(&self) -> [String; 4] {
        let all = &self.memory.status.conditions;
        [&all.able_to_scale, &all.scaling_active, &all.scaling_limited, &all.scaled_to_zero]
            .map(|one| told(one.as_ref()))
    }
}

/// Status and reason of a condition.
pub fn told(condition: Option<&Condition>) -> String {
    condition.map_or_else(|| "-".into(), |one| format!("{}/{}", one.status, one.reason))
}
