//! Every vector in the file that `HPA_VECTORS` names: `make test-hpa-vectors`.
//!
//! The file is not part of the project. One vector is an input and what Kubernetes (or Knative) makes of it. A vector that is marked
//! `validBelow: 1.36` must hold when it was the autoscaler itself that went to zero, and nothing may be woken otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "the file is named by the environment")]

mod knative;
mod parts;
mod passes;
mod read;

use serde_json::Value;

/// What differs; empty when nothing does.
type Differences = Vec<String>;

#[test]
#[ignore = "needs HPA_VECTORS, a file that is not part of the project: make test-hpa-vectors"]
fn every_vector_of_the_file_is_met() {
    let path = std::env::var("HPA_VECTORS").expect("HPA_VECTORS names the file of vectors");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("HPA_VECTORS={path}: {why}"));
    let file: Value = serde_json::from_str(&text).expect("the file is JSON");
    let vectors = file["vectors"].as_array().expect("the file has vectors");
    let harness = &file["meta"]["harness"];
    let mut equal = 0;
    for vector in vectors {
        let differences = compare(vector, harness);
        equal += usize::from(differences.is_empty());
        for difference in differences {
            println!("{} ({}): {difference}", vector["id"], vector["goTest"]);
        }
    }
    println!("{} vectors, {equal} equal", vectors.len());
    assert!(!vectors.is_empty(), "there is no vector in {path}");
    assert_eq!(equal, vectors.len());
}

fn compare(vector: &Value, harness: &Value) -> Differences {
    let (input, expect) = (&vector["input"], &vector["expect"]);
    match vector["kind"].as_str().unwrap_or_default() {
        "endToEnd" => passes::pass(vector, harness),
        "resourceUtilization"
        | "resourceAverageValue"
        | "podsMetricAverageValue"
        | "objectValue"
        | "objectAverageValue"
        | "externalValue"
        | "externalAverageValue" => passes::metric(vector, harness),
        "groupPods" => parts::group_pods(input, expect, harness),
        "limitsNoBehavior" => parts::limits_no_behavior(input, expect),
        "behaviorRate" => parts::behavior_rate(input, expect),
        "scaleUpLimit" => parts::scale_limit(input, expect, true),
        "scaleDownLimit" => parts::scale_limit(input, expect, false),
        "stabilizeDownOnly" => parts::stabilize_down_only(input, expect),
        "stabilizeWithBehavior" => parts::stabilize_with_behavior(input, expect),
        "storeScaleEvent" => parts::store_scale_event(input, expect),
        "kpaSequence" => parts::kpa_sequence(input, expect),
        other => vec![format!("nobody knows the kind {other:?}")],
    }
}

/// One line if they differ.
fn same(what: &str, ours: &Value, theirs: &Value) -> Differences {
    if ours == theirs { Vec::new() } else { vec![format!("{what} is {ours}, not {theirs}")] }
}
