//! The Deployment of the gateway.

use std::collections::{BTreeMap, BTreeSet};

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
    NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodAntiAffinity, PodSpec,
    PodTemplateSpec, PreferredSchedulingTerm, Probe, ResourceRequirements, SecretVolumeSource, SecurityContext,
    Toleration, Volume, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::deployment::{pod_security_context, spread};
use super::gateway_config::CONFIG_FILE;
use super::service::engines_name;
use super::{ADMIN_PORT, PORT, child, child_name, label_selector, labels, metadata};
use crate::catalogue::Catalogue;
use crate::decide::accept::Accepted;
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Beyond the drain time: it goes on taking connections while its removal from the Service travels to every node, gives idle ones a
/// grace, and ends. No hook has to wait before the signal.
const END_SECONDS: i64 = 35;
/// Until Kubernetes by itself replaces a gateway on a node that it has lost; a gateway costs nothing to replace.
const TOLERATED_SECONDS: i64 = 30;
const CONFIG: &str = "/etc/deepseek/gateway";
const KEYS: &str = "/etc/deepseek/keys";
const TLS: &str = "/etc/deepseek/tls";
const STATE: &str = "/var/lib/deepseek";

/// Name of everything that belongs to the gateway of a deployment.
pub fn gateway_name(owner: &str) -> String {
    child_name(owner, Component::Gateway.as_str())
}

/// Renders the Deployment. A new gateway is ready before an old one goes.
pub fn gateway(owner: &DeepSeekDeployment, accepted: &Accepted<'_>, image: &str) -> Child {
    let name = owner.name_any();
    let object = Deployment {
        metadata: metadata(owner, gateway_name(&name), Component::Gateway, BTreeMap::new()),
        spec: Some(DeploymentSpec {
            replicas: Some(accepted.front.replicas),
            selector: label_selector(&name, Component::Gateway),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(2),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels(&name, Component::Gateway)), ..ObjectMeta::default() }),
                spec: Some(pod_spec(owner, accepted, image)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    child(ChildKind::Deployment, &object)
}

fn pod_spec(owner: &DeepSeekDeployment, accepted: &Accepted<'_>, image: &str) -> PodSpec {
    let name = &owner.name_any();
    PodSpec {
        service_account_name: Some(gateway_name(name)),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(accepted.drain_seconds + END_SECONDS),
        security_context: Some(pod_security_context()),
        tolerations: Some(tolerations(accepted)),
        affinity: Some(affinity(name)),
        topology_spread_constraints: Some(vec![spread(name, Component::Gateway)]),
        containers: vec![container(owner, accepted, image)],
        volumes: Some(volumes(name, accepted)),
        ..PodSpec::default()
    }
}

fn container(owner: &DeepSeekDeployment, accepted: &Accepted<'_>, image: &str) -> Container {
    let port = |name: &str, port| ContainerPort {
        name: Some(name.into()),
        container_port: port,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    Container {
        name: "gateway".into(),
        image: Some(image.to_owned()),
        args: Some(args(owner, accepted)),
        ports: Some(vec![port("http", PORT), port("admin", ADMIN_PORT)]),
        resources: Some(resources(accepted)),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(accepted)),
        ..Container::default()
    }
}

fn args(owner: &DeepSeekDeployment, accepted: &Accepted<'_>) -> Vec<String> {
    let (name, front) = (owner.name_any(), &accepted.front);
    let fixed = [
        "gateway".to_owned(),
        format!("--config={CONFIG}/{CONFIG_FILE}"),
        format!("--namespace={}", owner.namespace().unwrap_or_default()),
        format!("--config-map={}", gateway_name(&name)),
        format!("--service={}", engines_name(&name)),
        format!("--state={STATE}"),
    ];
    let keys = front.keys_secret.as_ref().map(|_| format!("--keys={KEYS}"));
    let tls = front.tls_secret.as_ref().map(|_| format!("--tls={TLS}"));
    fixed.into_iter().chain(keys).chain(tls).collect()
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("admin".into()),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        success_threshold: Some(1),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn resources(accepted: &Accepted<'_>) -> ResourceRequirements {
    let asked = &accepted.front.resources;
    let quantity = |text: Option<&str>, usual: &str| Quantity(text.unwrap_or(usual).to_owned());
    let memory = asked.memory.as_deref();
    ResourceRequirements {
        requests: Some(
            [
                ("cpu".to_owned(), quantity(asked.cpu.as_deref(), "50m")),
                ("memory".to_owned(), quantity(memory, "64Mi")),
            ]
            .into(),
        ),
        limits: Some([("memory".to_owned(), quantity(memory, "1Gi"))].into()),
        ..ResourceRequirements::default()
    }
}

fn mounts(accepted: &Accepted<'_>) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let keys = accepted.front.keys_secret.as_ref().map(|_| mount("keys", KEYS, true));
    let tls = accepted.front.tls_secret.as_ref().map(|_| mount("tls", TLS, true));
    [mount("config", CONFIG, true), mount("state", STATE, false)].into_iter().chain(keys).chain(tls).collect()
}

/// A Secret that is missing keeps no Pod from starting: the gateway itself says what it lacks, and takes it when it comes.
fn volumes(name: &str, accepted: &Accepted<'_>) -> Vec<Volume> {
    let secret = |volume: &str, secret: &String| Volume {
        name: volume.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.clone()),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let config = Volume {
        name: "config".into(),
        config_map: Some(ConfigMapVolumeSource { name: gateway_name(name), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let state = Volume { name: "state".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    let keys = accepted.front.keys_secret.as_ref().map(|name| secret("keys", name));
    let tls = accepted.front.tls_secret.as_ref().map(|name| secret("tls", name));
    [config, state].into_iter().chain(keys).chain(tls).collect()
}

/// Those of the spec; that of accelerator nodes, for clusters that have no others; and a short patience with lost nodes.
fn tolerations(accepted: &Accepted<'_>) -> Vec<Toleration> {
    let resources: BTreeSet<_> = Catalogue::builtin().accelerators().iter().map(|entry| &entry.resource).collect();
    let accelerators = resources.into_iter().map(|resource| Toleration {
        key: Some(resource.clone()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    });
    let lost = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(|key| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        toleration_seconds: Some(TOLERATED_SECONDS),
        ..Toleration::default()
    });
    accepted.placement.tolerations.iter().cloned().chain(accelerators).chain(lost).collect()
}

/// Rather where no accelerators are, and rather apart: a node that fails should not take engine and gateway, or two gateways.
fn affinity(name: &str) -> Affinity {
    let keys: BTreeSet<_> = Catalogue::builtin().accelerators().iter().flat_map(|entry| entry.labels.keys()).collect();
    let no_accelerator = keys.into_iter().map(|key| NodeSelectorRequirement {
        key: key.clone(),
        operator: "DoesNotExist".into(),
        values: None,
    });
    let elsewhere = PodAffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        label_selector: Some(label_selector(name, Component::Gateway)),
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        ..PodAffinityTerm::default()
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![PreferredSchedulingTerm {
                weight: 50,
                preference: NodeSelectorTerm {
                    match_expressions: Some(no_accelerator.collect()),
                    ..NodeSelectorTerm::default()
                },
            }]),
            ..NodeAffinity::default()
        }),
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: elsewhere,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
