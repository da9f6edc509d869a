//! The rest of Kubernetes, as tests meet it.

use serde_json::{Value, json};

use crate::World;
use crate::fixtures::{Any, Fixture, any, claim, namespace, node, pod};

const GPU: &str = "nvidia.com/gpu";
const H100: &str = "NVIDIA-H100-80GB-HBM3";

fn deployment(replicas: i64) -> Fixture<Any> {
    any("apps/v1", "Deployment", "chat")
        .within("ai")
        .with("/spec/replicas", replicas)
        .with("/spec/selector/matchLabels/app", "chat")
        .with("/spec/template/metadata/labels/app", "chat")
        .with("/spec/template/spec/containers", json!([{"name": "engine", "image": "v1"}]))
}

fn asking_gpus(deployment: Fixture<Any>, count: u32) -> Fixture<Any> {
    deployment.with("/spec/template/spec/containers/0/resources", json!({"limits": {GPU: count}}))
}

fn status(world: &World) -> Value {
    world.object("Deployment", "ai", "chat").unwrap()["status"].clone()
}

fn ready(world: &World) -> i64 {
    status(world)["readyReplicas"].as_i64().unwrap_or(0)
}

fn whys(world: &World) -> Vec<String> {
    let pods = world.objects("Pod").into_iter();
    let why = |pod: Value| pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
    pods.filter(|pod| pod["status"]["phase"] == "Pending").map(why).collect()
}

#[test]
fn a_deployment_comes_up_and_scales_both_ways() {
    let world = World::new();
    world.put(node("n1"));
    world.run_deployments();
    world.put(deployment(3));
    assert_eq!(ready(&world), 3);
    let pods = world.objects("Pod");
    assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
    assert_eq!(pods[0]["metadata"]["labels"]["app"], "chat");
    assert_ne!(pods[0]["status"]["podIP"], pods[1]["status"]["podIP"]);
    world.edit("Deployment", "ai", "chat", |it| it["spec"]["replicas"] = json!(1));
    assert_eq!((ready(&world), world.objects("Pod").len()), (1, 1));
    assert_eq!(status(&world)["observedGeneration"], 2);
}

#[test]
fn gpus_are_honoured_and_what_does_not_fit_says_why() {
    let world = World::new();
    world.put(node("n1").with_gpus(8, H100));
    world.put(node("n2").with_gpus(2, H100).tainted(GPU, "", "NoSchedule"));
    world.put(node("n3").cordoned());
    world.run_deployments();
    world.put(asking_gpus(deployment(3), 4));
    assert_eq!((ready(&world), whys(&world).len()), (2, 1));
    let why = &whys(&world)[0];
    assert!(why.starts_with("0/3 nodes are available: 1 Insufficient nvidia.com/gpu"), "{why}");
    assert_eq!(status(&world)["conditions"][0]["status"], "False", "a quarter of three is none");
    world.put(node("n4").with_gpus(4, H100));
    assert_eq!((ready(&world), whys(&world).len()), (3, 0));
}

#[test]
fn sidecars_stay_and_what_runs_first_gives_back() {
    let fits = |first: &Value, left: u32| {
        let world = World::new();
        world.put(node("n1").with_gpus(3, H100));
        world.put(pod("a").asking(GPU, 1).with("/spec/initContainers", first.clone()));
        world.put(pod("b").asking(GPU, left));
        world.settle();
        whys(&world).is_empty()
    };
    let asks =
        |policy: Value| json!([{"name": "first", "restartPolicy": policy, "resources": {"requests": {GPU: "1"}}}]);
    assert!(fits(&asks(Value::Null), 2), "it has ended when the container starts");
    assert!(fits(&asks(json!("Always")), 1) && !fits(&asks(json!("Always")), 2), "it runs beside the container");
}

#[test]
fn pods_go_where_selectors_affinity_and_tolerations_let_them() {
    let world = World::new();
    world.put(node("a").labelled("zone", "a"));
    world.put(node("b").labelled("zone", "b").tainted("gpu", "yes", "NoSchedule"));
    world.put(pod("selects").with("/spec/nodeSelector/zone", "b").tolerating("gpu"));
    world.put(pod("shuns").with("/spec/nodeSelector/zone", "b"));
    let term = json!([{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]}]);
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    world.put(pod("likes").with(required, term));
    world.settle();
    let place = |name| world.object("Pod", "default", name).unwrap()["spec"]["nodeName"].clone();
    assert_eq!((place("selects"), place("shuns"), place("likes")), (json!("b"), Value::Null, json!("a")));
}

#[test]
fn a_roll_out_stays_within_its_bounds() {
    let world = World::new();
    world.put(node("n1").with_gpus(2, H100));
    world.run_on_command();
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    world.put(asking_gpus(deployment(2), 1).with("/spec/strategy", rolling));
    world.settle();
    world.edit("Deployment", "ai", "chat", |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v2");
    });
    while world.step() {
        assert!(ready(&world) >= 1, "at least one stays available");
        assert!(world.objects("Pod").len() <= 3, "no surge beyond one that is on its way out");
    }
    let images: Vec<Value> =
        world.objects("Pod").iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
    assert_eq!((images, ready(&world)), (vec![json!("v2"), json!("v2")], 2));
}

#[test]
fn a_broken_roll_out_keeps_what_serves_and_can_be_taken_back() {
    let world = World::new();
    world.put(node("n1"));
    world.run_deployments();
    world.put(deployment(2));
    let before = world.snapshot().only(&["pods"]);
    world.keep_unready(|pod| pod["spec"]["containers"][0]["image"] == "broken");
    let image = |image: &'static str| {
        world.edit("Deployment", "ai", "chat", |it| {
            it["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        });
    };
    image("broken");
    assert_eq!((ready(&world), world.objects("Pod").len()), (2, 3));
    image("v1");
    world.snapshot().only(&["pods"]).assert_same(&before);
}

#[test]
fn recreate_stops_all_before_it_starts_any() {
    let world = World::new();
    world.put(node("n1"));
    world.run_on_command();
    world.put(deployment(2).with("/spec/strategy/type", "Recreate"));
    world.settle();
    world.edit("Deployment", "ai", "chat", |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v2");
    });
    while world.step() {
        let pods = world.objects("Pod");
        let old = pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == "v1").count();
        assert!(old == 0 || old == pods.len());
    }
    assert_eq!(ready(&world), 2);
}

#[test]
fn a_silent_node_leaves_its_pods_unready_and_unending() {
    let world = World::new();
    world.put(node("n1"));
    world.run_deployments();
    world.put(deployment(1));
    world.put(node("n1").not_ready());
    assert_eq!(ready(&world), 0);
    let name = world.objects("Pod")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    world.remove("Pod", "ai", &name);
    let pods = world.objects("Pod");
    assert_eq!(pods.len(), 2, "one that cannot end, one that has no node");
    assert!(pods.iter().any(|pod| !pod["metadata"]["deletionTimestamp"].is_null()));
    world.remove("Node", "", "n1");
    assert_eq!(world.objects("Pod").len(), 1, "a pod whose node is gone is collected");
    world.put(node("n2"));
    assert_eq!(ready(&world), 1);
}

#[test]
fn a_kubelet_ends_its_pods() {
    let world = World::new();
    world.put(node("n1"));
    world.run_on_command();
    world.put(pod("a").on("n1").ready());
    world.remove("Pod", "default", "a");
    let going = world.object("Pod", "default", "a").unwrap();
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    world.settle();
    assert_eq!(world.object("Pod", "default", "a"), None);
}

#[test]
fn claims_are_bound_and_pods_wait_for_theirs() {
    let world = World::new();
    world.put(node("n1"));
    world.run_deployments();
    let volume = json!([{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}]);
    world.put(pod("a").with("/spec/volumes", volume));
    assert_eq!(whys(&world), ["persistentvolumeclaim \"weights\" not found"]);
    world.put(claim("weights").of_size("1Ti"));
    assert_eq!(world.object("PersistentVolumeClaim", "default", "weights").unwrap()["status"]["phase"], "Bound");
    assert!(whys(&world).is_empty());
}

#[test]
fn a_refused_pod_shows_in_the_status_of_its_deployment() {
    let world = World::new();
    world.put(namespace("ai"));
    world.put(node("n1"));
    world.admit(|_, object| {
        let refused = object["kind"] == "Pod";
        if refused { Err(crate::refusal::forbidden("exceeded quota: gpus")) } else { Ok(object.clone()) }
    });
    world.run_deployments();
    world.put(deployment(1));
    let conditions = status(&world)["conditions"].clone();
    assert_eq!(conditions[2]["type"], "ReplicaFailure");
    assert_eq!(conditions[2]["message"], "exceeded quota: gpus");
}

#[test]
fn deleting_a_deployment_takes_everything_along() {
    let world = World::new();
    world.put(node("n1"));
    world.run_deployments();
    world.put(deployment(2));
    world.remove("Deployment", "ai", "chat");
    assert!(world.objects("ReplicaSet").is_empty() && world.objects("Pod").is_empty());
}

#[test]
fn a_pod_asks_for_what_it_is_limited_to() {
    let world = World::new();
    world.put(pod("chat-0").with(
        "/spec/containers/0/resources",
        json!({
            "limits": {"nvidia.com/gpu": "1", "memory": "8Gi"}, "requests": {"cpu": "1", "memory": "4Gi"},
        }),
    ));
    let requests = &world.objects("Pod")[0]["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!(*requests, json!({"nvidia.com/gpu": "1", "memory": "4Gi", "cpu": "1"}));
}

#[test]
fn quantities_come_back_in_the_spelling_of_the_server() {
    let world = World::new();
    let spellings = [("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("2000m", "2"), ("8", "8"), ("3G", "3G")];
    for (sent, stored) in spellings {
        world.put(pod("chat-0").with("/spec/containers/0/resources/requests/x", sent));
        let found = &world.objects("Pod")[0]["spec"]["containers"][0]["resources"]["requests"]["x"];
        assert_eq!(found, stored);
        world.remove("Pod", "default", "chat-0");
    }
}
