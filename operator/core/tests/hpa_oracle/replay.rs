//! The same passes, decided by us.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use deepseek_core::decide::scale::conditions::Condition;
use deepseek_core::decide::scale::guards::Guards;
use deepseek_core::decide::scale::input::{self, Controller, Input, Phase, Ready, Scale, Selection, Source, Spec};
use deepseek_core::decide::scale::memory::{Memory, Status};
use deepseek_core::decide::scale::metric::Current;
use deepseek_core::decide::scale::quantity::Quantity;
use deepseek_core::decide::scale::reading::{self, Values};
use deepseek_core::decide::scale::{decide, v2};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerStatus, MetricStatus, MetricValueStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::scenario::{Pass, Pod, Reading, Sample, Scenario, World};

/// The first pass, long after everything that is old; the oracle's is midnight of 2000-01-01.
const FIRST: i64 = 1_000_000;
const FIRST_THERE: i64 = 946_684_800;

fn at(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(FIRST + seconds).expect("the first pass is late enough"))
}

/// What is compared, in one form for both.
#[derive(Debug, PartialEq)]
struct View {
    written: i32,
    current: i32,
    desired: i32,
    last_scale: Option<i64>,
    metrics: Vec<Option<Current>>,
    conditions: BTreeMap<String, (String, String, String)>,
}

/// The first difference.
pub fn compare(scenario: &Scenario, theirs: &[Pass]) -> Result<(), String> {
    let mut ours = Ours::new(scenario);
    for pass in theirs {
        let (status, replicas) = ours.pass(pass.at, pass.world);
        let there = their_view(pass);
        let mut here = our_view(&status, replicas);
        // with no replica at all the HPA shows what a division by zero gives
        for (ours, theirs) in here.metrics.iter_mut().zip(&there.metrics) {
            if ours.is_some_and(|ours| ours == Current::default()) {
                *ours = *theirs;
            }
        }
        if here != there {
            return Err(format!("at {} s, in world {}\nours:   {here:?}\ntheirs: {there:?}", pass.at, pass.world));
        }
    }
    Ok(())
}

struct Ours<'a> {
    scenario: &'a Scenario,
    spec: Spec,
    entered: Option<usize>,
    replicas: i32,
    memory: Memory,
}

impl<'a> Ours<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let spec = v2::spec(&scenario.spec).expect("the spec is one");
        Self { scenario, spec, entered: None, replicas: scenario.replicas, memory: Memory::default() }
    }

    fn enter(&mut self, until: usize) {
        let from = self.entered.map_or(0, |world| world + 1);
        for world in self.scenario.worlds.get(from..=until).unwrap_or_default() {
            self.replicas = world.replicas.unwrap_or(self.replicas);
            if let Some(edited) = &world.spec {
                self.spec = v2::spec(edited).expect("the spec is one");
            }
            if world.restart {
                self.memory = Memory { status: self.memory.status.clone(), ..Memory::default() };
            }
        }
        self.entered = Some(until);
    }

    fn pass(&mut self, seconds: i64, world: usize) -> (Status, i32) {
        self.enter(world);
        let world = &self.scenario.worlds[world];
        let flags = &self.scenario.controller;
        let controller = Controller {
            tolerance: flags.tolerance,
            downscale_stabilization: Duration::from_secs(flags.downscale_stabilization),
            cpu_initialization_period: Duration::from_secs(flags.cpu_initialization_period),
            initial_readiness_delay: Duration::from_secs(flags.initial_readiness_delay),
            scale_to_zero: flags.scale_to_zero,
        };
        let pods: Vec<_> = world.pods.iter().map(pod).collect();
        let readings: Vec<_> = self.spec.metrics.iter().map(|metric| read(world, &metric.source)).collect();
        let status_replicas = (self.replicas + world.status_ahead).max(0);
        let decision = decide(&Input {
            now: at(seconds),
            namespace: "space",
            controller: &controller,
            spec: &self.spec,
            scale: if world.scale_error.is_empty() {
                Ok(Scale { spec_replicas: self.replicas, status_replicas })
            } else {
                Err(world.scale_error.clone())
            },
            pods: selection(world.selector.as_deref()).map_or(Ok(&pods), Err),
            readings: &readings,
            guards: &Guards::default(),
            memory: &self.memory,
        });
        let wrote = if world.update_error.is_empty() { Ok(()) } else { Err(world.update_error.as_str()) };
        if let Some(rescale) = decision.rescale.as_ref().filter(|_| wrote.is_ok()) {
            self.replicas = rescale.to;
        }
        self.memory = decision.settle(wrote);
        (self.memory.status.clone(), self.replicas)
    }
}

fn selection(selector: Option<&str>) -> Option<Selection> {
    match selector {
        None => None,
        Some("") => Some(Selection::Missing),
        Some(_) => Some(Selection::Invalid(String::new())),
    }
}

fn read(world: &World, source: &Source) -> reading::Reading {
    let (key, single) = match source {
        Source::Resource { name } => (format!("resource:{name}"), false),
        Source::ContainerResource { name, container } => (format!("container:{container}:{name}"), false),
        Source::Pods { metric } => (format!("pods:{}", metric.name), false),
        Source::Object { metric, .. } => (format!("object:{}", metric.name), true),
        Source::External { metric } => (format!("external:{}", metric.name), true),
        Source::Unknown(_) => return reading::Reading::failed("no such type"),
    };
    let Some(Reading { error, pods, values }) = world.readings.get(&key) else {
        return reading::Reading::failed("no such metric");
    };
    if !error.is_empty() {
        return reading::Reading::failed(error.clone());
    }
    if single {
        return reading::Reading::of(Values::Series(values.clone()));
    }
    let sample = |sample: &Sample| reading::Sample {
        value: sample.value,
        taken: at(sample.at),
        window: Duration::from_secs(sample.window.unsigned_abs()),
    };
    reading::Reading::of(Values::PerPod(pods.iter().map(|(name, one)| (name.clone(), sample(one))).collect()))
}

fn milli(text: &str) -> i64 {
    Quantity::parse(text).expect("it is a quantity").milli()
}

fn requests(written: &BTreeMap<String, String>) -> BTreeMap<String, i64> {
    written.iter().map(|(name, text)| (name.clone(), milli(text))).collect()
}

fn pod(pod: &Pod) -> input::Pod {
    let ready = |status| Ready { status, since: at(pod.transition) };
    let container = |sidecar| pod.containers.iter().filter(move |one| one.sidecar == sidecar);
    input::Pod {
        name: pod.name.clone(),
        phase: match pod.phase.as_str() {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Unknown,
        },
        deleted: pod.deleted,
        ready: match pod.ready.as_str() {
            "" => None,
            "True" => Some(ready(Some(true))),
            "False" => Some(ready(Some(false))),
            _ => Some(ready(None)),
        },
        started: pod.start.map(at),
        containers: container(false)
            .chain(container(true))
            .map(|one| input::Container { name: one.name.clone(), requests: requests(&one.requests) })
            .collect(),
        requests: pod.requests.as_ref().map(requests),
    }
}

/// Without what nobody can foresee: which of several Pods is named, and how Go names what is wrong with a selector.
fn foreseen(message: &str) -> String {
    let cuts = [" in container ", " in Pod ", " not found in Pod ", "internal selector object: "];
    let cut = cuts.iter().filter_map(|cut| message.find(cut)).min();
    message[..cut.unwrap_or(message.len())].to_owned()
}

fn our_view(status: &Status, written: i32) -> View {
    let all = &status.conditions;
    let condition = |name: &str, condition: &Option<Condition>| {
        let condition = condition.as_ref()?;
        let holds = if condition.status { "True" } else { "False" };
        Some((name.to_owned(), (holds.to_owned(), condition.reason.to_owned(), foreseen(&condition.message))))
    };
    let conditions = [
        condition("AbleToScale", &all.able_to_scale),
        condition("ScalingActive", &all.scaling_active),
        condition("ScalingLimited", &all.scaling_limited),
        condition("ScaledToZero", &all.scaled_to_zero),
    ];
    View {
        written,
        current: status.current_replicas,
        desired: status.desired_replicas,
        last_scale: status.last_scale_time.map(|time| i64::try_from(time.as_secs()).unwrap() - FIRST),
        metrics: status.current_metrics.clone(),
        conditions: conditions.into_iter().flatten().collect(),
    }
}

fn their_view(pass: &Pass) -> View {
    let HorizontalPodAutoscalerStatus {
        conditions,
        current_metrics,
        current_replicas,
        desired_replicas,
        last_scale_time,
        ..
    } = &pass.status;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    View {
        written: pass.replicas,
        current: current_replicas.unwrap_or(0),
        desired: *desired_replicas,
        last_scale: last_scale_time.as_ref().map(|time| time.0.as_second() - FIRST_THERE),
        metrics: current_metrics.iter().flatten().map(current).collect(),
        conditions: conditions
            .iter()
            .flatten()
            .map(|one| (one.type_.clone(), (one.status.clone(), text(&one.reason), foreseen(&text(&one.message)))))
            .collect(),
    }
}

/// What a pass of the controller says, in words that can be counted.
pub fn told(pass: &Pass) -> Vec<String> {
    let conditions = pass.status.conditions.iter().flatten();
    let said =
        conditions.map(|one| format!("{}={}/{}", one.type_, one.status, one.reason.as_deref().unwrap_or_default()));
    let size = match pass.replicas.cmp(&pass.status.current_replicas.unwrap_or(0)) {
        Ordering::Less => "smaller",
        Ordering::Equal => "same size",
        Ordering::Greater => "larger",
    };
    said.chain([size.to_owned(), "pass".to_owned()]).collect()
}

fn current(status: &MetricStatus) -> Option<Current> {
    let MetricStatus { container_resource, external, object, pods, resource, .. } = status;
    let shown = container_resource.as_ref().map(|of| &of.current);
    let shown = shown.or(external.as_ref().map(|of| &of.current)).or(object.as_ref().map(|of| &of.current));
    let shown = shown.or(pods.as_ref().map(|of| &of.current)).or(resource.as_ref().map(|of| &of.current))?;
    let MetricValueStatus { average_utilization, average_value, value } = shown;
    let milli = |text: &Option<Text>| text.as_ref().map(|text| milli(&text.0));
    Some(Current {
        value: milli(value),
        average_value: milli(average_value),
        average_utilization: *average_utilization,
    })
}
