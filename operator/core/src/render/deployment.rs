//! The Deployment of the engine.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::v1alpha1::{EngineType, ModelSource};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, ExecAction, ImageVolumeSource, Lifecycle,
    LifecycleHandler, LocalObjectReference, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
    SeccompProfile, SecurityContext, SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::engine::{MODELS, args, env};
use super::probes::{probes, startup_budget_seconds};
use super::{
    ACCELERATOR, PER_REPLICA, PORT, REVISION_LABEL, SERVED_NAMES, child, fingerprint, label_selector, labels, metadata,
};
use crate::catalogue::AcceleratorEntry;
use crate::decide::accept::Accepted;
use crate::decide::place::{Placement, tolerations};
use crate::decide::rollout::Rollout;
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Between the order to stop and the signal, so that nobody sends requests any more when the engine stops taking them:
/// removal from the Service travels from the API server to every node within a second or two.
const LEAVE_SECONDS: i64 = 5;
/// Beyond the drain time, for the engine's own end.
const END_SECONDS: i64 = 25;
/// Where the operator's own program is mounted in an engine's container that needs help with draining.
const TOOLS: &str = "/deepseek";
const TOOLS_VOLUME: &str = "tools";
/// Nobody's user and group: no image of ours or upstream's owns files as this one.
const USER: i64 = 65532;

/// The Pod template of the engine, with the revision that it is.
#[derive(Clone, Debug)]
pub struct Template {
    pod: PodTemplateSpec,
    /// Fingerprint of everything that makes Pods differ.
    pub revision: String,
}

impl Template {
    /// Sets the image with the operator's own program. It is no part of the revision: a new operator must not restart engines.
    #[must_use]
    pub fn with_tools(mut self, image: &str) -> Self {
        let volumes = self.pod.spec.as_mut().and_then(|spec| spec.volumes.as_mut());
        if let Some(tools) = volumes.into_iter().flatten().find(|volume| volume.name == TOOLS_VOLUME) {
            tools.image =
                Some(ImageVolumeSource { reference: Some(image.to_owned()), pull_policy: Some("IfNotPresent".into()) });
        }
        self
    }
}

/// The image with the operator's own program that a stored Deployment uses.
pub fn tools_of(stored: &Deployment) -> Option<&str> {
    let volumes = stored.spec.as_ref()?.template.spec.as_ref()?.volumes.as_ref()?;
    volumes.iter().find(|volume| volume.name == TOOLS_VOLUME)?.image.as_ref()?.reference.as_deref()
}

/// Whether the engine cuts answers off when it is told to stop, so that somebody must first wait until it is idle. Of llama.cpp
/// this was seen; the simulator finishes what it has begun; of a custom engine nothing is known.
fn needs_tools(accepted: &Accepted<'_>, tools: bool) -> bool {
    tools && accepted.engine.engine == EngineType::LlamaCpp
}

/// Renders the Pod template; it depends on the spec and the placement alone. `tools`: whether there is an image with the
/// operator's own program.
pub fn template(
    owner: &DeepSeekDeployment,
    accepted: &Accepted<'_>,
    placement: &Placement,
    image: String,
    tools: bool,
) -> Template {
    let name = owner.name_any();
    let tools = needs_tools(accepted, tools);
    let mut pod = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(&name, Component::Engine)),
            annotations: Some([(SERVED_NAMES.to_owned(), accepted.served_names.join(","))].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(&name, accepted, placement, image, tools)),
    };
    let revision = fingerprint(&serde_json::to_value(&pod).unwrap_or_default());
    if let Some(labels) = pod.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
        labels.insert(REVISION_LABEL.into(), revision.clone());
    }
    Template { pod, revision }
}

/// Renders the Deployment.
pub fn deployment(
    owner: &DeepSeekDeployment,
    accepted: &Accepted<'_>,
    placement: &Placement,
    template: Template,
    rollout: Rollout,
) -> Child {
    let name = owner.name_any();
    let annotations: BTreeMap<_, _> = [
        (ACCELERATOR.to_owned(), placement.product().to_owned()),
        (PER_REPLICA.to_owned(), placement.per_replica.to_string()),
    ]
    .into();
    let deadline = startup_budget_seconds(accepted.facts.weights.0) + 600;
    let object = Deployment {
        metadata: metadata(owner, name.clone(), Component::Engine, annotations),
        spec: Some(DeploymentSpec {
            replicas: Some(accepted.replicas),
            selector: label_selector(&name, Component::Engine),
            strategy: Some(strategy(rollout)),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(i32::try_from(deadline).unwrap_or(i32::MAX)),
            template: template.pod,
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    child(ChildKind::Deployment, &object)
}

fn strategy(rollout: Rollout) -> DeploymentStrategy {
    let (surge, unavailable) = match rollout {
        Rollout::Surge => (1, 0),
        Rollout::InPlace => (0, 1),
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(surge)),
            max_unavailable: Some(IntOrString::Int(unavailable)),
        }),
    }
}

fn pod_spec(name: &str, accepted: &Accepted<'_>, placement: &Placement, image: String, tools: bool) -> PodSpec {
    let selector = &accepted.placement.node_selector;
    let pull_secrets = accepted.source.and_then(|s| s.image.as_ref()).map_or(&[][..], |i| &i.pull_secret_names);
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(LEAVE_SECONDS + accepted.drain_seconds + END_SECONDS),
        security_context: Some(pod_security_context()),
        node_selector: (!selector.is_empty()).then(|| selector.clone()),
        tolerations: Some(tolerations(&accepted.placement.tolerations, placement.accelerator))
            .filter(|t| !t.is_empty()),
        affinity: placement.accelerator.map(on_nodes_with),
        topology_spread_constraints: Some(vec![spread(name, Component::Engine)]),
        image_pull_secrets: (!pull_secrets.is_empty())
            .then(|| pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()),
        containers: vec![container(accepted, placement, image, tools)],
        volumes: Some(volumes(accepted, tools)),
        ..PodSpec::default()
    }
}

fn container(accepted: &Accepted<'_>, placement: &Placement, image: String, tools: bool) -> Container {
    let probes = probes(&accepted.engine.engine, accepted.facts.weights.0);
    let (args, env) = (args(accepted, placement), env(accepted, placement));
    Container {
        name: "engine".into(),
        image: Some(image),
        args: (!args.is_empty()).then_some(args),
        env: (!env.is_empty()).then_some(env),
        ports: Some(vec![ContainerPort {
            name: Some("http".into()),
            container_port: PORT,
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        }]),
        resources: Some(resources(accepted, placement)),
        startup_probe: Some(probes.startup),
        readiness_probe: Some(probes.readiness),
        liveness_probe: Some(probes.liveness),
        // what the engine said last, for the status
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        lifecycle: Some(Lifecycle { pre_stop: Some(pre_stop(accepted, tools)), ..Lifecycle::default() }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(accepted, tools)),
        ..Container::default()
    }
}

/// Leave the Service first; then, where the engine would cut answers off, wait until it is idle.
fn pre_stop(accepted: &Accepted<'_>, tools: bool) -> LifecycleHandler {
    if !tools {
        let sleep = Some(SleepAction { seconds: LEAVE_SECONDS });
        return LifecycleHandler { sleep, ..LifecycleHandler::default() };
    }
    let (after, timeout) = (LEAVE_SECONDS.to_string(), accepted.drain_seconds.to_string());
    let program = format!("{TOOLS}/deepseek-operator");
    let command = [program.as_str(), "drain", "--after", after.as_str(), "--timeout", timeout.as_str()]
        .map(str::to_owned)
        .to_vec();
    LifecycleHandler { exec: Some(ExecAction { command: Some(command) }), ..LifecycleHandler::default() }
}

/// Accelerators are asked for as limits, which is what device plug-ins want; memory that the user names is also the most
/// that may be used.
fn resources(accepted: &Accepted<'_>, placement: &Placement) -> ResourceRequirements {
    let asked = &accepted.resources;
    let quantity = |text: &str| Quantity(text.to_owned());
    let memory = asked.memory.clone().unwrap_or_else(|| format!("{}Mi", placement.host_memory.div_ceil(1 << 20)));
    let requests: BTreeMap<_, _> =
        [("cpu".to_owned(), quantity(asked.cpu.as_deref().unwrap_or("1"))), ("memory".to_owned(), quantity(&memory))]
            .into();
    let accelerators =
        placement.accelerator.map(|entry| (entry.resource.clone(), Quantity(placement.per_replica.to_string())));
    let limit = asked.memory.as_deref().map(|memory| ("memory".to_owned(), quantity(memory)));
    let limits: BTreeMap<_, _> = accelerators.into_iter().chain(limit).collect();
    ResourceRequirements {
        requests: Some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    }
}

fn mounts(accepted: &Accepted<'_>, tools: bool) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let weights = accepted.source.map(|_| mount("weights", MODELS, true));
    let shared = accepted.resources.shared_memory.as_ref().map(|_| mount("shared-memory", "/dev/shm", false));
    let tools = tools.then(|| mount(TOOLS_VOLUME, TOOLS, true));
    [mount("tmp", "/tmp", false)].into_iter().chain(weights).chain(shared).chain(tools).collect()
}

fn volumes(accepted: &Accepted<'_>, tools: bool) -> Vec<Volume> {
    let tmp = Volume { name: "tmp".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    let shared = accepted.resources.shared_memory.as_ref().map(|size| Volume {
        name: "shared-memory".into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".into()),
            size_limit: Some(Quantity(size.clone())),
        }),
        ..Volume::default()
    });
    let tools = tools.then(|| Volume { name: TOOLS_VOLUME.into(), ..Volume::default() });
    [tmp].into_iter().chain(accepted.source.map(weights)).chain(shared).chain(tools).collect()
}

fn weights(source: &ModelSource) -> Volume {
    let ModelSource { persistent_volume_claim, image } = source;
    Volume {
        name: "weights".into(),
        persistent_volume_claim: persistent_volume_claim.as_ref().map(|claim| PersistentVolumeClaimVolumeSource {
            claim_name: claim.claim_name.clone(),
            read_only: Some(true),
        }),
        image: image.as_ref().map(|image| ImageVolumeSource {
            reference: Some(image.reference.clone()),
            pull_policy: Some("IfNotPresent".into()),
        }),
        ..Volume::default()
    }
}

/// As Pod Security *restricted* asks.
pub(super) fn pod_security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Pods of one component avoid each other's nodes as long as another node will do.
pub(super) fn spread(name: &str, component: Component) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        topology_key: "kubernetes.io/hostname".into(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".into(),
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        label_selector: Some(label_selector(name, component)),
        ..TopologySpreadConstraint::default()
    }
}

/// Any label that names the product will do; vendors have several.
fn on_nodes_with(accelerator: &AcceleratorEntry) -> Affinity {
    let terms = accelerator.labels.iter().map(|(key, values)| NodeSelectorTerm {
        match_expressions: Some(vec![NodeSelectorRequirement {
            key: key.clone(),
            operator: "In".into(),
            values: Some(values.clone()),
        }]),
        ..NodeSelectorTerm::default()
    });
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: terms.collect(),
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}
