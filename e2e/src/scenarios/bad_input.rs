//! Bad input that the API server cannot know to be bad: told within 10 s, and mended without a restart of the operator.

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, Wanted, real, simulated};
use crate::lab::{CLUSTER, images_folder};
use crate::namespace::Namespace;
use crate::scarce::Scarce;
use crate::scenarios::NO_ACCELERATORS;

/// A deployment that cannot work, what is said about it, and the change that mends it.
struct Case {
    wanted: Wanted,
    condition: ConditionType,
    reason: Reason,
    /// Words of the message: what is wrong, and what to do.
    words: &'static [&'static str],
    mend: Mend,
}

enum Mend {
    Spec(Value),
    Claim,
}

/// All cases side by side, beside a healthy neighbour.
pub async fn tell(namespace: Namespace) -> Result<()> {
    allow_no_accelerators(&namespace).await?;
    let neighbour = namespace.apply(&real("neighbour", &namespace.world.options)).await?;
    neighbour.is_ready().await?;
    let (pods, lives) = (neighbour.pod_uids().await?, namespace.world.operator.lives().await?);

    let cases = cases(&namespace);
    // told first, mended then: engines that start all at once would delay what is told
    let told = join_all(cases.iter().map(|case| told(&namespace, case))).await;
    let mended = join_all(cases.iter().map(|case| mended(&namespace, case))).await;
    let wrong: Vec<_> =
        told.into_iter().chain(mended).filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{} things are not as they should be: {}", wrong.len(), wrong.join("; "));
    ensure!(neighbour.pod_uids().await? == pods, "the neighbour's Pod was replaced");
    neighbour.is_ready().await?;
    neighbour.answers(TINY).await?;
    ensure!(namespace.world.operator.lives().await? == lives, "the operator was restarted");
    Ok(())
}

async fn told(namespace: &Namespace, case: &Case) -> Result<()> {
    let told = async {
        let deployed = namespace.apply(&case.wanted).await?;
        let message = deployed.says(case.condition, "False", case.reason, TOLD).await?;
        for word in case.words {
            ensure!(message.contains(word), "{word:?} is not in {message:?}");
        }
        Ok(())
    };
    told.await.with_context(|| case.wanted.name.clone())
}

async fn mended(namespace: &Namespace, case: &Case) -> Result<()> {
    let name = &case.wanted.name;
    let deployed = Deployed { namespace: namespace.clone(), name: name.clone() };
    mend(&deployed, &case.mend).await.with_context(|| format!("mending {name}"))?;
    deployed.is_ready().await.with_context(|| format!("{name}, after it was mended"))
}

async fn mend(deployed: &Deployed, mend: &Mend) -> Result<()> {
    match mend {
        Mend::Spec(change) => deployed.change(change.clone()).await,
        Mend::Claim => make_claim(&deployed.namespace).await,
    }
}

/// The claim that was missing, on a local volume that holds the tiny model.
async fn make_claim(namespace: &Namespace) -> Result<()> {
    let folder = images_folder().join("tiny-model");
    let lab = namespace.world.cluster.needed_lab()?;
    lab.call(&["volume", CLUSTER, "1", "weights", &folder.to_string_lossy()]).await?;
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "weights"},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "lab-local",
            "selector": {"matchLabels": {"lab.local/volume": "weights"}},
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }))?;
    namespace.api().create(&PostParams::default(), &claim).await?;
    Ok(())
}

fn cases(namespace: &Namespace) -> Vec<Case> {
    let mut cases = specs();
    cases.extend(images(namespace));
    match namespace.world.cluster.lab() {
        Some(_) => cases.push(missing_claim(namespace)),
        None => namespace.world.leave_out("bad-input: missing claim", "needs a volume of a lab"),
    }
    match &namespace.world.scarce {
        Some(scarce) => cases.push(no_quota(scarce)),
        None => namespace.world.leave_out("bad-input: no quota", NO_ACCELERATORS),
    }
    cases
}

fn case(wanted: Wanted, condition: ConditionType, reason: Reason, words: &'static [&'static str], mend: Value) -> Case {
    Case { wanted, condition, reason, words, mend: Mend::Spec(mend) }
}

/// What the operator sees from the spec and the nodes alone.
fn specs() -> Vec<Case> {
    use ConditionType::{Accepted, Placed};
    vec![
        case(
            simulated("unknown-model").but(json!({"model": {"name": "deepseek-tinny"}})),
            Accepted,
            Reason::UnknownModel,
            &["spec.model.name", "Did you mean deepseek-tiny", "spec.model.custom"],
            json!({"model": {"name": TINY}}),
        ),
        case(
            simulated("unknown-product").on("nvidia-h1000"),
            Accepted,
            Reason::UnknownAccelerator,
            &["spec.accelerator.anyOf[0].product", "Did you mean", "nvidia-h100"],
            json!({"accelerator": {"anyOf": null, "cpu": {}}}),
        ),
        case(
            simulated("forbidden-argument").but(json!({"engine": {"args": ["--seed", "1", "--port=9000"]}})),
            Accepted,
            Reason::ForbiddenArgument,
            &["spec.engine.args[2]", "--port", "remove it"],
            json!({"engine": {"args": null}}),
        ),
        case(
            simulated("too-long").but(json!({"model": {"contextLength": 40_000}})),
            Accepted,
            Reason::InvalidValue,
            &["spec.model.contextLength", "choose at most 32768"],
            json!({"model": {"contextLength": null}}),
        ),
        case(
            simulated("no-such-node").but(json!({"placement": {"nodeSelector": {"pool": "absent"}}})),
            Placed,
            Reason::NoMatchingNode,
            &["spec.placement", "Loosen", "add such a node"],
            json!({"placement": null}),
        ),
        case(
            simulated("too-much-memory").but(json!({"resources": {"memory": "900Ti"}})),
            Placed,
            Reason::InsufficientResources,
            &["Insufficient memory", "Lower spec.resources"],
            json!({"resources": {"memory": "96Mi"}}),
        ),
    ]
}

/// What shows only when a node starts the Pod.
fn images(namespace: &Namespace) -> Vec<Case> {
    use ConditionType::{Available, WeightsReady};
    let options = &namespace.world.options;
    let source = |reference: &str| json!({"model": {"source": {"image": {"reference": reference}}}});
    vec![
        case(
            real("no-weights", options).but(source("lab.local/absent-weights:1")),
            WeightsReady,
            Reason::ImageUnavailable,
            &["lab.local/absent-weights:1", "Correct spec.model.source.image"],
            source(&options.weights_image),
        ),
        case(
            simulated("no-engine").but(json!({"engine": {"image": "lab.local/absent-engine:1"}})),
            Available,
            Reason::ImageUnavailable,
            &["lab.local/absent-engine:1", "spec.engine.image"],
            json!({"engine": {"image": null}}),
        ),
        case(
            simulated("crashes").but(json!({"engine": {"type": "Custom", "image": options.crash_image}})),
            Available,
            Reason::EngineCrashing,
            &["exit code 1", "cannot load model", "kubectl logs", "correct spec.engine"],
            json!({"engine": {"type": "Simulator", "image": null}}),
        ),
    ]
}

fn missing_claim(namespace: &Namespace) -> Case {
    let claim = json!({"claimName": "weights", "path": "model.gguf"});
    let source = json!({"model": {"source": {"image": null, "persistentVolumeClaim": claim}}});
    Case {
        wanted: real("no-claim", &namespace.world.options).but(source),
        condition: ConditionType::WeightsReady,
        reason: Reason::ClaimMissing,
        words: &["PersistentVolumeClaim \"weights\" does not exist", "Create it", "claimName"],
        mend: Mend::Claim,
    }
}

/// A quota that only those feel who want accelerators.
async fn allow_no_accelerators(namespace: &Namespace) -> Result<()> {
    let Some(scarce) = &namespace.world.scarce else { return Ok(()) };
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "no-accelerators"},
        "spec": {"hard": {format!("requests.{}", scarce.resource): "0"}},
    }))?;
    namespace.api().create(&PostParams::default(), &quota).await?;
    Ok(())
}

fn no_quota(scarce: &Scarce) -> Case {
    case(
        scarce.taken_by("no-quota"),
        ConditionType::Available,
        Reason::PodRefused,
        &["exceeded quota: no-accelerators", "kubectl"],
        json!({"accelerator": {"anyOf": null, "cpu": {}}, "placement": null}),
    )
}
