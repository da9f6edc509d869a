//! Bad input that the API server refuses, with the field and what to do.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::fixtures::{Wanted, simulated};
use crate::namespace::Namespace;

/// A change that makes a good spec bad, and words of the message: the field, and the remedy or the limit.
type Case = (&'static str, Value, &'static [&'static str]);

/// Everything that the schema and its rules can tell.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, change, words) in cases().into_iter().chain(of_scaling()).chain(long_texts()) {
        if let Err(error) = is_refused(&namespace, &simulated("chat").but(change), words).await {
            wrong.push(format!("{name}: {error:#}"));
        }
    }
    let long = Wanted { name: "a".repeat(64), ..simulated("chat") };
    is_refused(&namespace, &long, &["metadata.name", "at most 63 characters", "rename"]).await.context("long name")?;
    let no_weights = Wanted { name: "chat".into(), spec: json!({"model": {"name": "deepseek-tiny"}}) };
    is_refused(&namespace, &no_weights, &["spec.model.source is required", "set spec.model.source"]).await?;
    if !wrong.is_empty() {
        bail!("{} of the refusals are not as they should be: {}", wrong.len(), wrong.join("; "));
    }
    Ok(())
}

async fn is_refused(namespace: &Namespace, wanted: &Wanted, words: &[&str]) -> Result<()> {
    let message = namespace.refusal(wanted).await?;
    let shown: String = message.chars().take(400).collect();
    for word in words {
        ensure!(message.contains(word), "{word:?} is not in {shown:?}");
    }
    Ok(())
}

fn cases() -> Vec<Case> {
    let claim = || json!({"claimName": "weights", "path": "model.gguf"});
    let image = || json!({"reference": "lab.local/tiny-deepseek:1", "path": "model.gguf"});
    let with_source = |source: Value| json!({"model": {"source": source}});
    vec![
        ("typo", json!({"replica": 2}), &["replica", "unknown field"]),
        ("negative replicas", json!({"replicas": -1}), &["spec.replicas", "greater than or equal to 0"]),
        ("too many replicas", json!({"replicas": 1001}), &["spec.replicas", "less than or equal to 1000"]),
        ("replicas in words", json!({"replicas": "two"}), &["replicas"]),
        (
            "no accelerators",
            json!({"accelerator": {"cpu": null, "anyOf": [{"product": "nvidia-h100", "count": 0}]}}),
            &["spec.accelerator.anyOf[0].count", "greater than or equal to 1"],
        ),
        ("no choice", json!({"accelerator": {"cpu": null, "anyOf": []}}), &["spec.accelerator.anyOf", "at least 1"]),
        (
            "processors and accelerators",
            json!({"accelerator": {"anyOf": [{"product": "nvidia-h100"}]}}),
            &["spec.accelerator", "exactly one of anyOf and cpu", "leave spec.accelerator out"],
        ),
        (
            "no sequences",
            json!({"engine": {"maxConcurrentSequences": 0}}),
            &["spec.engine.maxConcurrentSequences", "greater than or equal to 1"],
        ),
        ("negative context", json!({"model": {"contextLength": -5}}), &["spec.model.contextLength", "128"]),
        (
            "unknown engine",
            json!({"engine": {"type": "vLLM"}}),
            &["spec.engine.type", "LlamaCpp", "Simulator", "Custom"],
        ),
        (
            "custom without image",
            json!({"engine": {"type": "Custom"}}),
            &["spec.engine.image is required", "name the container image"],
        ),
        ("unknown precision", json!({"model": {"precision": "FP7"}}), &["spec.model.precision", "Q4_K_M"]),
        (
            "two sources",
            with_source(json!({"persistentVolumeClaim": claim(), "image": image()})),
            &["spec.model.source", "exactly one of persistentVolumeClaim and image", "remove the other"],
        ),
        ("no source", with_source(json!({})), &["spec.model.source", "exactly one of persistentVolumeClaim and image"]),
        (
            "path that leaves the volume",
            with_source(json!({"persistentVolumeClaim": {"claimName": "weights", "path": "../../etc/passwd"}})),
            &["spec.model.source.persistentVolumeClaim.path", "must stay inside the volume"],
        ),
        (
            "path that leaves the image",
            with_source(json!({"image": {"reference": "a:1", "path": "a/../../b"}})),
            &["spec.model.source.image.path", "must stay inside the image"],
        ),
        ("absolute path", with_source(json!({"image": {"reference": "a:1", "path": "/etc"}})), &["source.image.path"]),
        ("bad served name", json!({"model": {"servedNames": ["a b"]}}), &["spec.model.servedNames[0]"]),
        ("empty served name", json!({"model": {"servedNames": [""]}}), &["spec.model.servedNames[0]"]),
        (
            "served name twice",
            json!({"model": {"servedNames": ["a", "a"]}}),
            &["spec.model.servedNames[1]", "Duplicate"],
        ),
        ("model name of 64", json!({"model": {"name": "a".repeat(64)}}), &["spec.model.name", "63"]),
        ("model name with capitals", json!({"model": {"name": "DeepSeek-R1"}}), &["spec.model.name"]),
        ("no model", json!({"model": null}), &["spec.model"]),
        ("odd memory", json!({"resources": {"memory": "lots"}}), &["spec.resources.memory"]),
        ("negative memory", json!({"resources": {"memory": "-1Gi"}}), &["spec.resources.memory"]),
        ("odd drain time", json!({"shutdown": {"drainTimeout": "soon"}}), &["spec.shutdown.drainTimeout"]),
        (
            "long drain time",
            json!({"shutdown": {"drainTimeout": "25h"}}),
            &["spec.shutdown.drainTimeout", "at most 24h"],
        ),
        ("odd variable", json!({"engine": {"env": [{"name": "A-B", "value": "x"}]}}), &["spec.engine.env[0].name"]),
        (
            "no cache per token",
            json!({"model": {"custom": {"weightBytes": "1Gi", "kvBytesPerToken": 0, "maxContextLength": 4096}}}),
            &["spec.model.custom.kvBytesPerToken", "greater than or equal to 1"],
        ),
    ]
}

fn of_scaling() -> Vec<Case> {
    let with = |autoscaling: Value| json!({"autoscaling": autoscaling});
    let target = || json!({"requestsPerSecond": "2"});
    let metric = |name: &str, kind: &str| {
        let target = json!({"type": kind, "averageValue": "2"});
        json!([{"type": "External", "external": {"metric": {"name": name}, "target": target}}])
    };
    vec![
        (
            "least above most",
            with(json!({"minReplicas": 3, "maxReplicas": 2, "target": target()})),
            &["spec.autoscaling.minReplicas is above", "lower minReplicas or raise maxReplicas"],
        ),
        ("no most", with(json!({"target": target()})), &["spec.autoscaling.maxReplicas", "Required"]),
        (
            "zero as the least",
            with(json!({"minReplicas": 0, "maxReplicas": 2, "target": target()})),
            &["spec.autoscaling.minReplicas is 0", "write scaleToZero: {}", "raise minReplicas"],
        ),
        (
            "idle for no time that can be",
            with(json!({"minReplicas": 0, "maxReplicas": 2, "target": target(), "scaleToZero": {"idleAfter": "soon"}})),
            &["spec.autoscaling.scaleToZero.idleAfter"],
        ),
        (
            "schedule without bounds",
            with(json!({"maxReplicas": 2, "target": target(), "schedules": [{"start": "07:00", "end": "18:00"}]})),
            &["spec.autoscaling.schedules changes nothing", "set its minReplicas"],
        ),
        (
            "hour that no day has",
            with(json!({"maxReplicas": 2, "target": target(), "schedules": [
                {"start": "7:00", "end": "24:00", "minReplicas": 2}]})),
            &["spec.autoscaling.schedules[0].start", "spec.autoscaling.schedules[0].end"],
        ),
        (
            "budget of nothing",
            with(json!({"maxReplicas": 2, "target": target(), "accelerators": {"max": 0}})),
            &["spec.autoscaling.accelerators.max", "greater than or equal to 1"],
        ),
        ("nothing to scale by", with(json!({"maxReplicas": 2})), &["nothing to scale by", "requestsPerSecond: \"2\""]),
        (
            "empty target",
            with(json!({"maxReplicas": 2, "target": {}})),
            &["spec.autoscaling.target is empty", "concurrency"],
        ),
        (
            "target and metrics",
            with(
                json!({"maxReplicas": 2, "target": target(), "metrics": metric("deepseek_requests_queued", "AverageValue")}),
            ),
            &["short form of spec.autoscaling.metrics", "remove one"],
        ),
        (
            "target of zero",
            with(json!({"maxReplicas": 2, "target": {"concurrency": "0.0"}})),
            &["spec.autoscaling.target.concurrency", "must be above 0", "raise it"],
        ),
        (
            "negative target",
            with(json!({"maxReplicas": 2, "target": {"queued": "-1"}})),
            &["spec.autoscaling.target.queued"],
        ),
        (
            "target that is no number",
            with(json!({"maxReplicas": 2, "target": {"tokensPerSecond": "NaN"}})),
            &["spec.autoscaling.target.tokensPerSecond"],
        ),
        (
            "metric that nobody counts",
            with(json!({"maxReplicas": 2, "metrics": metric("cpu", "AverageValue")})),
            &["spec.autoscaling.metrics[0].external.metric.name", "deepseek_requests_per_second"],
        ),
        (
            "target of a kind that shrinks",
            with(json!({"maxReplicas": 2, "metrics": metric("deepseek_requests_queued", "Value")})),
            &["spec.autoscaling.metrics[0].external.target.type", "AverageValue"],
        ),
        (
            "window of a day",
            with(
                json!({"maxReplicas": 2, "target": target(), "behavior": {"scaleDown": {"stabilizationWindowSeconds": 86400}}}),
            ),
            &["spec.autoscaling.behavior.scaleDown.stabilizationWindowSeconds", "less than or equal to 3600"],
        ),
        (
            "no policy",
            with(json!({"maxReplicas": 2, "target": target(), "behavior": {"scaleUp": {"policies": []}}})),
            &["spec.autoscaling.behavior.scaleUp.policies", "at least 1"],
        ),
        (
            "scaling without a gateway",
            json!({"autoscaling": {"maxReplicas": 2, "target": target()}, "gateway": {"replicas": 0}}),
            &["spec.gateway.replicas is 0", "raise it, or remove spec.autoscaling"],
        ),
    ]
}

/// A megabyte, where a word is expected.
fn long_texts() -> Vec<Case> {
    let long = || "a".repeat(1_000_000);
    vec![
        ("long model", json!({"model": {"name": long()}}), &["spec.model.name", "63"]),
        ("long served name", json!({"model": {"servedNames": [long()]}}), &["spec.model.servedNames[0]", "128"]),
        ("long image", json!({"engine": {"image": long()}}), &["spec.engine.image", "512"]),
        ("long argument", json!({"engine": {"args": [long()]}}), &["spec.engine.args[0]", "4096"]),
        (
            "long variable",
            json!({"engine": {"env": [{"name": "A", "value": long()}]}}),
            &["spec.engine.env[0].value", "4096"],
        ),
        (
            "long claim",
            json!({"model": {"source": {"persistentVolumeClaim": {"claimName": long()}}}}),
            &["persistentVolumeClaim.claimName", "253"],
        ),
        (
            "long product",
            json!({"accelerator": {"cpu": null, "anyOf": [{"product": long()}]}}),
            &["spec.accelerator.anyOf[0].product", "63"],
        ),
        ("long memory", json!({"resources": {"memory": long()}}), &["spec.resources.memory", "32"]),
        (
            "long label",
            json!({"placement": {"nodeSelector": {"pool": long()}}}),
            &["spec.placement.nodeSelector", "63"],
        ),
        (
            "long label name",
            json!({"placement": {"nodeSelector": {long(): "a"}}}),
            &["spec.placement.nodeSelector", "317"],
        ),
        (
            "long toleration",
            json!({"placement": {"tolerations": [{"key": long(), "operator": "Exists"}]}}),
            &["spec.placement.tolerations", "at most 317 characters"],
        ),
        ("long drain time", json!({"shutdown": {"drainTimeout": long()}}), &["spec.shutdown.drainTimeout", "16"]),
    ]
}
