//! From the words of the file to the input of a decision.

use std::collections::BTreeMap;
use std::time::Duration;

use deepseek_core::decide::scale::input::{Behavior, Container, Controller, Phase, Pod, Ready, Rules};
use deepseek_core::decide::scale::memory::{Change, Recommendation};
use deepseek_core::decide::scale::reading::Sample;
use deepseek_core::decide::scale::v2;
use serde_json::{Value, json};

/// Long after everything that the file calls old.
pub const NOW: Duration = Duration::from_secs(1_000_000_000);

pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

pub fn small(value: &Value) -> i32 {
    i32::try_from(number(value)).unwrap()
}

pub fn seconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or_else(|| panic!("{value} is no number of seconds")))
}

/// So many seconds ago; "zero" is Go's zero time.
pub fn ago(age: &Value) -> Duration {
    if age.as_str() == Some("zero") || age.is_null() {
        Duration::ZERO
    } else {
        NOW.checked_sub(seconds(age)).expect("it is that long ago")
    }
}

pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn controller(input: &Value, harness: &Value) -> Controller {
    let of = |key: &str| [&input[key], &harness[key]].into_iter().find(|value| !value.is_null()).map(seconds);
    let usual = Controller::default();
    Controller {
        tolerance: input["tolerance"].as_f64().or(harness["tolerance"].as_f64()).unwrap_or(usual.tolerance),
        downscale_stabilization: of("downscaleStabilizationSeconds").unwrap_or(usual.downscale_stabilization),
        cpu_initialization_period: of("cpuInitializationPeriodSeconds").unwrap_or(usual.cpu_initialization_period),
        initial_readiness_delay: of("initialReadinessDelaySeconds").unwrap_or(usual.initial_readiness_delay),
        ..usual
    }
}

/// One direction, the other one as usual.
pub fn behavior(up: &Value, down: &Value) -> Behavior {
    let written = json!({ "scaleUp": with_window(up), "scaleDown": with_window(down) });
    v2::behavior(&serde_json::from_value(written).unwrap()).unwrap()
}

fn with_window(rules: &Value) -> Value {
    if rules.is_null() { json!({}) } else { rules.clone() }
}

pub fn up_rules(rules: &Value) -> Rules {
    behavior(rules, &Value::Null).scale_up
}

pub fn recommendations(from: &Value) -> Vec<Recommendation> {
    list(from).map(|one| Recommendation { replicas: small(&one["replicas"]), at: ago(&one["ageSeconds"]) }).collect()
}

pub fn changes(from: &Value) -> Vec<Change> {
    let change = |one: &Value| Change {
        replicas: small(&one["replicaChange"]),
        at: ago(&one["ageSeconds"]),
        outdated: one["outdated"].as_bool().unwrap_or(false),
    };
    list(from).map(change).collect()
}

/// What their containers ask for is of this resource.
pub fn pods(from: &Value, resource: &str) -> Vec<Pod> {
    list(from).map(|one| pod(one, resource)).collect()
}

fn pod(from: &Value, resource: &str) -> Pod {
    let status = |text| match text {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    let ready = if from.get("ready").is_none() { Some("True") } else { from["ready"].as_str() };
    Pod {
        name: from["name"].as_str().unwrap().to_owned(),
        phase: match from["phase"].as_str().unwrap_or("Running") {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Unknown,
        },
        deleted: from["deleted"].as_bool().unwrap_or(false),
        ready: ready.map(|text| Ready { status: status(text), since: ago(&from["readyTransitionAgeSeconds"]) }),
        started: (!from["startAgeSeconds"].is_null()).then(|| ago(&from["startAgeSeconds"])),
        containers: containers(from, resource),
        requests: None,
    }
}

fn containers(from: &Value, resource: &str) -> Vec<Container> {
    let container = |name: &str, request: Option<&Value>| Container {
        name: name.to_owned(),
        requests: request.map(|request| (resource.to_owned(), number(request))).into_iter().collect(),
    };
    match from["containerRequestsMilli"].as_object() {
        Some(requests) => requests.iter().map(|(name, request)| container(name, Some(request))).collect(),
        None => vec![container("container1", Some(&from["cpuRequestMilli"]).filter(|request| !request.is_null()))],
    }
}

/// Samples by Pod: of one container, or of all together.
pub fn samples(from: &Value, container: Option<&str>) -> BTreeMap<String, Sample> {
    let value = |one: &Value| match (one["containerUsageMilli"].as_object(), container) {
        (Some(usage), Some(container)) => usage.get(container).map(number),
        (Some(usage), None) => Some(usage.values().map(number).sum()),
        (None, _) => Some(number(&one["valueMilli"])),
    };
    let sample = |one: &Value| {
        Some(Sample { value: value(one)?, taken: ago(&one["ageSeconds"]), window: seconds(&one["windowSeconds"]) })
    };
    let all = from.as_object().into_iter().flatten();
    all.filter_map(|(name, one)| Some((name.clone(), sample(one)?))).collect()
}
