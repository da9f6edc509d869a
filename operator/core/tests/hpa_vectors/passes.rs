//! Vectors of whole passes, and of single metrics, which are passes of which only the metric is looked at.

use deepseek_core::decide::scale::conditions::{Condition, Conditions};
use deepseek_core::decide::scale::guards::Guards;
use deepseek_core::decide::scale::input::{Controller, Identifier, Input, Metric, Pod, Scale, Source, Spec, Target};
use deepseek_core::decide::scale::memory::Memory;
use deepseek_core::decide::scale::reading::{Reading, Sample, Values};
use deepseek_core::decide::scale::{Decision, decide, v2};
use serde_json::{Value, json};

use crate::read::{NOW, behavior, controller, list, number, pods, recommendations, samples, seconds, small};
use crate::{Differences, same};

/// A pass, without any guard.
struct Scene {
    controller: Controller,
    spec: Spec,
    scale: Scale,
    pods: Vec<Pod>,
    readings: Vec<Reading>,
    memory: Memory,
}

impl Scene {
    fn decide(&self) -> Decision {
        decide(&Input {
            now: NOW,
            namespace: "test-namespace",
            controller: &self.controller,
            spec: &self.spec,
            scale: Ok(self.scale),
            pods: Ok(&self.pods),
            readings: &self.readings,
            guards: &Guards::default(),
            memory: &self.memory,
        })
    }
}

fn named(name: &str) -> Identifier {
    Identifier { name: name.to_owned(), selector: None }
}

/// The first of the keys that is there.
fn target(from: &Value, keys: [&str; 3]) -> Target {
    let of = |key: &str| Some(&from[key]).filter(|value| !value.is_null());
    let [value, average, percent] = keys;
    of(value)
        .map(|value| Target::Value(number(value)))
        .or_else(|| of(average).map(|value| Target::AverageValue(number(value))))
        .or_else(|| of(percent).map(|value| Target::AverageUtilization(small(value))))
        .unwrap_or(Target::Missing)
}

fn source(kind: &str, name: &str, container: Option<&str>) -> Source {
    let name = name.to_owned();
    match (kind, container) {
        ("Resource", None) => Source::Resource { name },
        ("Resource" | "ContainerResource", container) => {
            Source::ContainerResource { name, container: container.unwrap_or("container1").to_owned() }
        }
        ("Pods", _) => Source::Pods { metric: named(&name) },
        ("Object", _) => Source::Object { metric: named(&name), kind: "Deployment".into(), name: "some".into() },
        ("External", _) => Source::External { metric: named(&name) },
        (other, _) => Source::Unknown(other.to_owned()),
    }
}

pub fn metric(vector: &Value, harness: &Value) -> Differences {
    let (input, expect) = (&vector["input"], &vector["expect"]);
    let kind = vector["kind"].as_str().unwrap();
    let container = input["container"].as_str();
    let (kind, values) = if kind.starts_with("resource") {
        ("Resource", Values::PerPod(samples(&input["metrics"], container)))
    } else if kind.starts_with("pods") {
        ("Pods", Values::PerPod(samples(&input["metrics"], None)))
    } else if kind.starts_with("object") {
        ("Object", Values::Series(vec![number(&input["valueMilli"])]))
    } else {
        ("External", Values::Series(list(&input["valuesMilli"]).map(number).collect()))
    };
    let source = source(kind, input["resource"].as_str().unwrap_or("qps"), container);
    let target = target(input, ["targetValueMilli", "targetAverageValueMilli", "targetUtilizationPercent"]);
    let tolerances = behavior(
        &json!({ "tolerance": input["tolerance"]["up"].to_string() }),
        &json!({ "tolerance": input["tolerance"]["down"].to_string() }),
    );
    let current = small(&input["currentReplicas"]);
    let scene = Scene {
        controller: controller(input, harness),
        spec: Spec {
            min_replicas: 0,
            max_replicas: i32::MAX,
            metrics: vec![Metric { source, target }],
            behavior: Some(tolerances),
        },
        scale: Scale { spec_replicas: current, status_replicas: current },
        pods: pods(&input["pods"], input["resource"].as_str().unwrap_or("cpu")),
        readings: vec![Reading::of(values)],
        memory: Memory::default(),
    };
    match &scene.decide().metrics[0] {
        Ok(found) => {
            let usage = found.current.value.or(found.current.average_value);
            let ours = [
                ("replicas", json!(found.replicas)),
                ("usageMilli", json!(usage)),
                ("utilizationPercent", json!(found.current.average_utilization)),
                ("rawAverageMilli", json!(usage)),
            ];
            let asked = ours.iter().filter(|(key, _)| !expect[*key].is_null());
            let mut differences: Vec<_> = asked.flat_map(|(key, ours)| same(key, ours, &expect[*key])).collect();
            differences.extend(same("error", &Value::Null, &expect["error"]));
            differences
        }
        Err(failure) => match expect["error"].as_str() {
            Some(error) if failure.message.contains(error) => Vec::new(),
            _ => vec![format!("it failed: {}", failure.message)],
        },
    }
}

pub fn pass(vector: &Value, harness: &Value) -> Differences {
    let (input, expect) = (&vector["input"], &vector["expect"]);
    let mut scene = scene(input, harness);
    if vector["validBelow"].is_null() {
        return compared(&scene.decide(), expect);
    }
    // who was put to zero by somebody else is left there
    let asleep = json!({
        "replicas": input["specReplicas"],
        "conditions": [{ "type": "ScalingActive", "status": "False", "reason": "ScalingDisabled" }],
    });
    let mut differences = compared(&scene.decide(), &asleep);
    let ours = Condition { status: true, reason: "ScaledToZero", message: String::new() };
    scene.memory.status.conditions.scaled_to_zero = Some(ours);
    differences.extend(compared(&scene.decide(), expect));
    differences
}

fn scene(input: &Value, harness: &Value) -> Scene {
    let levels: Vec<_> = list(&input["reportedLevels"]).map(number).collect();
    let failing = |metric: &Value| {
        list(&input["failingMetrics"])
            .any(|one| *one == metric["type"] || *one == metric["name"] || *one == json!("all"))
    };
    let reading = |metric: &Value| {
        if failing(metric) {
            return Reading::failed("something went wrong");
        }
        let sample = |value| Sample { value, taken: NOW, window: seconds(&json!(60)) };
        Reading::of(match metric["type"].as_str() {
            Some("Object" | "External") => Values::Series(levels.clone()),
            _ => Values::PerPod(
                levels.iter().enumerate().map(|(at, value)| (format!("p{at}"), sample(*value))).collect(),
            ),
        })
    };
    let metric = |from: &Value| Metric {
        source: source(
            from["type"].as_str().unwrap(),
            from["name"].as_str().unwrap_or("cpu"),
            from["container"].as_str(),
        ),
        target: target(from, ["valueMilli", "averageValueMilli", "averageUtilization"]),
    };
    let given = pods(&input["pods"], "cpu");
    let usual =
        (0..number(&input["statusReplicas"])).map(|at| json!({ "name": format!("p{at}"), "startAgeSeconds": "zero" }));
    Scene {
        controller: controller(input, harness),
        spec: Spec {
            min_replicas: if input["minReplicas"].is_null() { 1 } else { small(&input["minReplicas"]) },
            max_replicas: small(&input["maxReplicas"]),
            metrics: list(&input["metrics"]).map(metric).collect(),
            behavior: serde_json::from_value(input["behavior"].clone())
                .ok()
                .map(|written| v2::behavior(&written).unwrap()),
        },
        scale: Scale { spec_replicas: small(&input["specReplicas"]), status_replicas: small(&input["statusReplicas"]) },
        pods: if given.is_empty() { pods(&usual.collect(), "cpu") } else { given },
        readings: list(&input["metrics"]).map(reading).collect(),
        memory: Memory {
            recommendations: match input["recommendations"].as_str() {
                Some("initial") => None,
                _ => Some(recommendations(&input["recommendations"])),
            },
            ..Memory::default()
        },
    }
}

/// Only what the file asks for.
fn compared(decision: &Decision, expect: &Value) -> Differences {
    let mut differences = same("replicas", &json!(decision.desired), &expect["replicas"]);
    let Conditions { able_to_scale, scaling_active, scaling_limited, scaled_to_zero } =
        decision.settle(Ok(())).status.conditions;
    for expected in list(&expect["conditions"]) {
        let ours = match expected["type"].as_str().unwrap() {
            "AbleToScale" => &able_to_scale,
            "ScalingActive" => &scaling_active,
            "ScalingLimited" => &scaling_limited,
            _ => &scaled_to_zero,
        };
        let Some(ours) = ours else {
            differences.push(format!("{expected} is not there"));
            continue;
        };
        let status = if ours.status { "True" } else { "False" };
        let ours = json!({ "type": expected["type"], "status": status, "reason": ours.reason });
        differences.extend(same("condition", &ours, expected));
    }
    differences
}
