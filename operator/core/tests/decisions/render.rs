//! What becomes of a plan.

use std::path::Path;

use deepseek_core::Observed;
use deepseek_core::decide::accept::accept;
use deepseek_core::decide::place::place;
use deepseek_core::observed::Component;
use deepseek_core::plan::{ChildKind, Plan, plan};
use deepseek_core::render::engine::{args, env, own_flags};
use deepseek_core::verdict::Refusal;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::scene::{
    chat, child, cluster, from_claim, h100s, named, plain_node, serving, simulated, typed, with, with_gateways,
};

/// The most that a spec can say.
fn rich() -> Value {
    json!({
        "model": {
            "name": "our-model", "servedNames": ["ours", "default"], "contextLength": 8192,
            "custom": {"weightBytes": "15Gi", "kvBytesPerToken": 57344, "maxContextLength": 32768},
            "source": {"image": {"reference": "example.org/weights:1", "path": "model", "pullSecretNames": ["registry"]}},
        },
        "engine": {
            "type": "Custom", "image": "example.org/engine:2", "maxConcurrentSequences": 16,
            "args": ["--quick"], "env": [{"name": "MOOD", "value": "good"}],
        },
        "accelerator": {"anyOf": [{"product": "nvidia-h100", "count": 2}]},
        "replicas": 3,
        "resources": {"cpu": "8", "memory": "64Gi", "sharedMemory": "16Gi"},
        "placement": {"nodeSelector": {"pool": "a"}, "tolerations": [{"key": "dedicated", "operator": "Exists"}]},
        "shutdown": {"drainTimeout": "90s"},
    })
}

/// The most that can be asked of a gateway.
fn guarded() -> Value {
    let gateway = json!({
        "replicas": 3, "routing": "LeastLoad", "accessLog": true,
        "authentication": {"apiKeysSecretName": "keys"}, "tls": {"secretName": "certificate"},
        "clients": [{"name": "batch", "priority": "Low", "tokensPerMinute": 1000}],
        "limits": {"maxQueueLength": 9, "maxQueueTime": "5s", "maxBodySize": "1Mi"},
        "resources": {"cpu": "2", "memory": "512Mi"},
    });
    with(simulated(), json!({"gateway": gateway}))
}

fn specs() -> [(&'static str, Value); 3] {
    let on_processors = with(simulated(), json!({"accelerator": {"cpu": {}}, "replicas": 2}));
    [
        ("llama-cpp-from-claim", from_claim()),
        ("custom-with-everything", rich()),
        ("simulator-on-processors", on_processors),
    ]
}

/// A cluster in which each of them finds a place.
fn observed() -> Observed {
    let mut pool = h100s("n2", 8);
    pool.labels.insert("pool".into(), "a".into());
    cluster([h100s("n1", 8), pool, plain_node("n3")])
}

fn workload(spec: Value) -> Value {
    child(&plan(&chat(spec), &observed()), ChildKind::Deployment).expect("a Deployment is planned")
}

#[test]
fn golden_files_say_what_is_rendered() {
    let bare = specs().map(|(name, spec)| (name, spec, observed()));
    let behind_gateways = [
        ("simulator-behind-gateways", simulated(), with_gateways(observed())),
        ("simulator-behind-guarded-gateways", guarded(), with_gateways(observed())),
    ];
    for (name, spec, observed) in bare.into_iter().chain(behind_gateways) {
        let plan = plan(&chat(spec), &observed);
        let children = plan.resources.expect("there is a place").children;
        let documents = children.iter().map(|child| serde_saphyr::to_string(&child.body).unwrap());
        let text = documents.collect::<Vec<_>>().join("---\n");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{}: look at the difference, then rewrite it with UPDATE=1", path.display());
    }
}

#[test]
fn every_flag_and_variable_of_ours_is_kept_for_us() -> Result<(), Refusal> {
    for (name, spec) in specs() {
        let plain = with(spec, json!({"engine": {"args": null, "env": null}}));
        let (deployment, observed) = (chat(plain), observed());
        let accepted = accept(&deployment.spec)?;
        let placement = place(&accepted, &observed, None)?;
        let owned = own_flags(&accepted.engine.engine);
        for flag in args(&accepted, &placement).iter().filter(|arg| arg.starts_with('-')) {
            assert!(owned.iter().any(|own| own.flags.contains(&flag.as_str())), "{name}: {flag} may be overridden");
        }
        for variable in env(&accepted, &placement) {
            assert!(
                owned.iter().any(|own| own.env == Some(variable.name.as_str())),
                "{name}: {} may be",
                variable.name
            );
        }
    }
    Ok(())
}

fn of_kind(plan: &Plan, kind: ChildKind) -> Vec<Value> {
    let children = plan.resources.iter().flat_map(|resources| &resources.children);
    children.filter(|child| child.kind == kind).map(|child| child.body.clone()).collect()
}

#[test]
fn a_gateway_passes_the_restricted_pod_security_standard_and_reads_no_secret() {
    let plan = plan(&chat(guarded()), &with_gateways(observed()));
    let gateway = of_kind(&plan, ChildKind::Deployment).into_iter().find(|d| d["metadata"]["name"] == "chat-gateway");
    let pod = gateway.expect("a gateway is planned")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
    let [role] = &of_kind(&plan, ChildKind::Role)[..] else { panic!("one Role is planned") };
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["list", "watch"]));
        let own = rule["resources"] == json!(["configmaps"]) && rule["resourceNames"] == json!(["chat-gateway"]);
        assert!(own || rule["resources"] == json!(["endpointslices"]), "{rule}");
    }
}

#[test]
fn a_service_turns_to_gateways_when_one_is_ready() {
    let way = |spec: Value, change: &dyn Fn(&mut Observed)| {
        let mut observed = with_gateways(observed());
        change(&mut observed);
        let service = child(&plan(&chat(spec), &observed), ChildKind::Service).unwrap();
        service["spec"]["selector"]["app.kubernetes.io/component"].as_str().unwrap().to_owned()
    };
    let without = with(simulated(), json!({"gateway": {"replicas": 0}}));
    let turned = |observed: &mut Observed| observed.leads_to = Some(Component::Gateway);
    let to_engines = |observed: &mut Observed| observed.leads_to = Some(Component::Engine);
    let ready = |observed: &mut Observed| {
        observed.leads_to = Some(Component::Engine);
        observed.gateways = vec![serving("chat-gateway-0", "")];
    };
    assert_eq!(way(simulated(), &|_| {}), "gateway", "from the start");
    assert_eq!(way(simulated(), &to_engines), "engine", "nobody is turned away meanwhile");
    assert_eq!(way(simulated(), &ready), "gateway");
    assert_eq!(way(simulated(), &turned), "gateway", "and it stays");
    assert_eq!(way(guarded(), &to_engines), "gateway", "who asks for keys leaves no way around them");
    assert_eq!(way(without, &turned), "engine", "none is wanted any more");
}

#[test]
fn pods_pass_the_restricted_pod_security_standard() {
    for (name, spec) in specs() {
        let pod = workload(spec)["spec"]["template"]["spec"].clone();
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[field].is_null(), "{name}: {field}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
            assert!(container["ports"][0]["hostPort"].is_null(), "{name}");
        }
        let kinds = pod["volumes"].as_array().unwrap().iter().flat_map(|volume| volume.as_object().unwrap().keys());
        for kind in kinds {
            assert!(["name", "emptyDir", "persistentVolumeClaim", "image"].contains(&kind.as_str()), "{name}: {kind}");
        }
    }
}

#[test]
fn the_longest_name_makes_no_field_too_long() {
    let name = format!("a{}", "b".repeat(62));
    let plan = plan(&named(&name, rich()), &with_gateways(observed()));
    let children = plan.resources.expect("there is a place").children;
    assert_eq!(children.len(), 11);
    for child in children {
        assert!(child.name.len() <= 63, "{}", child.name);
        for place in
            ["/metadata/labels", "/spec/selector/matchLabels", "/spec/template/metadata/labels", "/spec/selector"]
        {
            for (key, value) in child.body.pointer(place).and_then(Value::as_object).into_iter().flatten() {
                let long =
                    value.as_str().is_some_and(|value| value.len() > 63) || key.rsplit('/').next().unwrap().len() > 63;
                assert!(!long, "{place}: {key}={value}");
            }
        }
    }
}

#[test]
fn a_new_operator_does_not_restart_engines() {
    let observed = |image: Option<&str>| {
        let mut observed = observed();
        observed.settings = std::sync::Arc::new(deepseek_core::observed::Settings {
            tools_image: image.map(Into::into),
            ..Default::default()
        });
        observed
    };
    let deployment = chat(from_claim());
    let first = child(&plan(&deployment, &observed(Some("operator:1"))), ChildKind::Deployment).unwrap();
    let second = child(&plan(&deployment, &observed(Some("operator:2"))), ChildKind::Deployment).unwrap();
    let label = "/spec/template/metadata/labels/deepseek-operator.io~1revision";
    assert_eq!(first.pointer(label), second.pointer(label), "the program that helps is no part of the revision");
    let mut running = observed(Some("operator:2"));
    running.workload = Some(typed::<Deployment>(&first));
    assert_eq!(
        child(&plan(&deployment, &running), ChildKind::Deployment).unwrap(),
        first,
        "a revision keeps its program"
    );
}
