//! Which accelerators are taken, and what is said when there are none.

use deepseek_core::decide::accept::accept;
use deepseek_core::decide::place::{Choice, Placement, place};
use deepseek_core::observed::{Node, Observed, Pod};
use deepseek_core::plan::plan;
use deepseek_core::verdict::Refusal;
use deepseek_crds::condition::{ConditionType, Reason};
use serde_json::{Value, json};

use crate::scene::{
    GPU, PRODUCT, chat, cluster, h100s, node, plain_node, serving, serving_on, simulated, taint, verdict, with,
};

fn placed(spec: &Value, observed: &Observed, kept: Option<&Choice>) -> Result<Placement, Refusal> {
    let deployment = chat(spec.clone());
    let accepted = accept(&deployment.spec).expect("the spec is accepted");
    place(&accepted, observed, kept)
}

fn any_of(products: &[&str]) -> Value {
    let choices: Vec<_> = products.iter().map(|product| json!({"product": product})).collect();
    with(simulated(), json!({"accelerator": {"anyOf": choices}}))
}

fn busy(mut node: Node, held: i64) -> Node {
    node.held = [(GPU.into(), held)].into();
    node
}

fn message(spec: &Value, nodes: impl IntoIterator<Item = Node>) -> (Reason, String) {
    let refusal = placed(spec, &cluster(nodes), None).expect_err("there is no place");
    (refusal.reason, refusal.message)
}

#[test]
fn the_first_welcome_product_with_room_is_taken() {
    let nodes = |h100_held| cluster([busy(h100s("a", 2), h100_held), node("b", 2, "NVIDIA-L4")]);
    let spec = any_of(&["nvidia-h100", "nvidia-l4"]);
    assert_eq!(placed(&spec, &nodes(0), None).unwrap().product(), "nvidia-h100");
    assert_eq!(placed(&spec, &nodes(2), None).unwrap().product(), "nvidia-l4", "the first one is taken by others");
    let two = with(spec, json!({"replicas": 2}));
    assert_eq!(placed(&two, &nodes(1), None).unwrap().product(), "nvidia-l4", "not all replicas would fit");
    let three = with(any_of(&["nvidia-h100", "nvidia-l4"]), json!({"replicas": 3}));
    let crowded = placed(&three, &nodes(0), None).unwrap();
    assert_eq!(
        (crowded.product(), crowded.places),
        ("nvidia-h100", 2),
        "nowhere is enough room: the preferred one waits"
    );
}

#[test]
fn without_a_wish_the_smallest_product_that_fits_is_taken() {
    let nodes = [h100s("a", 1), node("b", 1, "NVIDIA-L4"), node("c", 1, "NVIDIA-H200")];
    assert_eq!(placed(&simulated(), &cluster(nodes), None).unwrap().product(), "nvidia-l4");
    let large = with(simulated(), json!({"model": {"name": "deepseek-v3"}}));
    let nodes = [h100s("a", 8), node("b", 8, "NVIDIA-H200")];
    let placement = placed(&large, &cluster(nodes), None).unwrap();
    assert_eq!((placement.product(), placement.per_replica), ("nvidia-h200", 8));
}

#[test]
fn a_choice_is_kept_while_a_replica_of_it_sits_on_a_node() {
    let spec = any_of(&["nvidia-h100", "nvidia-l4"]);
    let kept = Choice { product: "nvidia-l4".into(), per_replica: 1 };
    let mut observed = cluster([h100s("a", 4), node("b", 4, "NVIDIA-L4")]);
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-h100", "nobody sits there");
    observed.pods = vec![serving_on("b", 1, "chat-0")];
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-l4");
    let of_two = Choice { per_replica: 2, ..kept.clone() };
    assert_eq!(
        placed(&spec, &observed, Some(&of_two)).unwrap().product(),
        "nvidia-h100",
        "another number is another choice"
    );
    observed.pods[0].terminating = true;
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-h100", "who leaves keeps nothing");
    observed.pods = vec![serving_on("n3", 1, "chat-0")];
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-l4", "a node that is not seen yet");
    let no_longer_welcome = any_of(&["nvidia-h100"]);
    observed.pods = vec![serving_on("b", 1, "chat-0")];
    assert_eq!(placed(&no_longer_welcome, &observed, Some(&kept)).unwrap().product(), "nvidia-h100");
}

#[test]
fn places_are_what_is_free_and_what_we_sit_on() {
    let mut observed = cluster([busy(h100s("a", 8), 6), busy(h100s("b", 8), 8), h100s("c", 1)]);
    let spec = any_of(&["nvidia-h100"]);
    assert_eq!(placed(&spec, &observed, None).unwrap().places, 3);
    let leaving = Pod { terminating: true, ..serving_on("a", 1, "chat-1") };
    let waiting = Pod { node: None, ..serving("chat-2", "r") };
    observed.pods = vec![serving_on("a", 1, "chat-0"), leaving, waiting];
    assert_eq!(placed(&spec, &observed, None).unwrap().places, 4, "who leaves still holds, who waits holds nothing");
    let pairs = with(spec, json!({"accelerator": {"anyOf": [{"product": "nvidia-h100", "count": 2}]}}));
    let placement = placed(&pairs, &cluster([h100s("a", 3), h100s("b", 3)]), None).unwrap();
    assert_eq!(placement.places, 2, "a replica does not span nodes");
}

/// A spec that asks for `count` H100 each, and what its replicas hold until now.
struct Change {
    what: &'static str,
    replicas: i32,
    count: i32,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    /// Places, of them free, and whether a replica that goes makes one.
    makes: (i64, i64, bool),
}

/// Two replicas with one accelerator each on node a, where nothing else runs.
fn two_on_a() -> Vec<Pod> {
    vec![serving_on("a", 1, "chat-0"), serving_on("a", 1, "chat-1")]
}

fn on_processors() -> Vec<Pod> {
    vec![serving_on("a", 0, "chat-0"), serving_on("a", 0, "chat-1")]
}

fn changes() -> Vec<Change> {
    let change = |what, count, nodes, pods, makes| Change { what, replicas: 2, count, nodes, pods, makes };
    let full = |held| busy(h100s("a", 2), held);
    let l4 = || node("a", 2, "NVIDIA-L4");
    let elsewhere = Node { labels: [(PRODUCT.into(), "NVIDIA-H100-80GB-HBM3".into())].into(), ..full(2) };
    vec![
        change("nothing but the engine changes", 1, vec![full(2)], two_on_a(), (2, 0, true)),
        change("the same with one to spare", 1, vec![full(2), h100s("b", 1)], two_on_a(), (3, 1, true)),
        change("processors to accelerators, none free", 1, vec![full(2)], on_processors(), (0, 0, false)),
        change("processors to accelerators, one free", 1, vec![full(1)], on_processors(), (1, 1, false)),
        change("another product, none free", 1, vec![l4(), busy(h100s("b", 2), 2)], two_on_a(), (0, 0, false)),
        change("another product, two free", 1, vec![l4(), h100s("b", 2)], two_on_a(), (2, 2, false)),
        change("twice as many, one place in all", 2, vec![full(2)], two_on_a(), (1, 0, true)),
        change("twice as many, once the old ones go", 2, vec![busy(h100s("a", 4), 2)], two_on_a(), (2, 1, true)),
        change(
            "twice as many, where only others sit",
            2,
            vec![full(2), h100s("b", 1)],
            vec![serving_on("b", 1, "chat-0")],
            (0, 0, false),
        ),
        change(
            "half as many",
            1,
            vec![busy(h100s("a", 4), 4)],
            vec![serving_on("a", 2, "chat-0"), serving_on("a", 2, "chat-1")],
            (4, 0, true),
        ),
        change(
            "a closed node keeps its replicas and takes no others",
            1,
            vec![Node { schedulable: false, ..full(2) }, busy(h100s("b", 1), 1)],
            two_on_a(),
            (2, 0, false),
        ),
        change("a node that is not seen", 1, vec![elsewhere], vec![serving_on("gone", 1, "chat-0")], (1, 0, false)),
    ]
}

#[test]
fn only_a_replica_that_holds_what_is_wanted_has_its_place() {
    for Change { what, replicas, count, nodes, pods, makes } in changes() {
        let choice = json!({"anyOf": [{"product": "nvidia-h100", "count": count}]});
        let spec = with(simulated(), json!({"replicas": replicas, "accelerator": choice}));
        let observed = Observed { pods, ..cluster(nodes) };
        let placement = placed(&spec, &observed, None).expect(what);
        assert_eq!((placement.places, placement.free, placement.gives_way), makes, "{what}");
        let (fits, reason, _) = verdict(&plan(&chat(spec), &observed), ConditionType::Placed);
        let expected = if makes.0 < i64::from(replicas) { Reason::InsufficientAccelerators } else { Reason::Fits };
        assert_eq!((fits, reason), (Some(expected == Reason::Fits), expected), "{what}");
    }
}

#[test]
fn a_replica_where_the_spec_no_longer_allows_it_has_no_place() {
    let pool = |name: &str, pool: &str| {
        let mut node = busy(h100s(name, 1), 1);
        node.labels.insert("pool".into(), pool.into());
        node
    };
    let observed =
        Observed { pods: vec![serving_on("a", 1, "chat-0")], ..cluster([pool("a", "old"), pool("b", "new")]) };
    let spec = |pool: &str| with(any_of(&["nvidia-h100"]), json!({"placement": {"nodeSelector": {"pool": pool}}}));
    assert_eq!(placed(&spec("old"), &observed, None).unwrap().places, 1);
    let moved = placed(&spec("new"), &observed, None).unwrap();
    assert_eq!((moved.places, moved.gives_way), (0, false));
}

#[test]
fn replicas_that_are_not_on_a_node_yet_will_hold_what_they_were_made_with() {
    let spec = any_of(&["nvidia-h100"]);
    let made_with = |product: &str| Choice { product: product.into(), per_replica: 1 };
    let gives_way = |kept: Option<Choice>| placed(&spec, &cluster([h100s("a", 1)]), kept.as_ref()).unwrap().gives_way;
    assert!(gives_way(None) && gives_way(Some(made_with("nvidia-h100"))));
    assert!(!gives_way(Some(made_with("cpu"))) && !gives_way(Some(made_with("nvidia-l4"))));
}

#[test]
fn taints_labels_and_readiness_decide_which_nodes_count() {
    let nodes = |node: Node| placed(&any_of(&["nvidia-h100"]), &cluster([node]), None).map_or(0, |p| p.nodes.len());
    let tainted = |key, effect| Node { taints: vec![taint(key, effect)], ..h100s("a", 1) };
    assert_eq!(nodes(h100s("a", 1)), 1);
    assert_eq!(nodes(tainted(GPU, "NoSchedule")), 1, "the taint of accelerator nodes is tolerated unasked");
    assert_eq!(nodes(tainted("dedicated", "NoSchedule")), 0);
    assert_eq!(nodes(tainted("dedicated", "NoExecute")), 0);
    assert_eq!(nodes(tainted("dedicated", "PreferNoSchedule")), 1);
    assert_eq!(nodes(Node { schedulable: false, ..h100s("a", 1) }), 0);
    let mut shared = h100s("a", 1);
    shared.labels.insert("nvidia.com/gpu.sharing-strategy".into(), "time-slicing".into());
    assert_eq!(nodes(shared), 0, "a part of an accelerator is none");

    let choosy = with(
        any_of(&["nvidia-h100"]),
        json!({"placement": {
            "nodeSelector": {"pool": "a"}, "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        }}),
    );
    let mut good = tainted("dedicated", "NoSchedule");
    good.labels.insert("pool".into(), "a".into());
    let placement = placed(&choosy, &cluster([good, h100s("b", 1)]), None).unwrap();
    assert_eq!(placement.nodes.into_iter().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn processors_need_a_node_that_admits_and_nothing_else() {
    let spec = with(simulated(), json!({"accelerator": {"cpu": {}}, "replicas": 40}));
    let placement = placed(&spec, &cluster([plain_node("a")]), None).unwrap();
    assert_eq!((placement.product(), placement.per_replica, placement.places), ("cpu", 0, 40));
    let (reason, said) = message(&spec, [Node { schedulable: false, ..plain_node("a") }]);
    assert_eq!(reason, Reason::NoMatchingNode);
    assert!(said.contains("None of the 1 nodes") && said.contains("Loosen spec.placement"), "{said}");
}

#[test]
fn a_refusal_says_what_is_missing_and_what_would_fit() {
    let v3 = |spec: Value| with(spec, json!({"model": {"name": "deepseek-v3", "precision": "FP8"}}));
    let elsewhere = Node { labels: [(PRODUCT.into(), "NVIDIA-H200".into())].into(), ..h100s("a", 8) };
    let tainted = Node { taints: vec![taint("dedicated", "NoSchedule")], ..h100s("a", 8) };
    let cases: [(Value, Node, Reason, &[&str]); 6] = [
        (
            v3(any_of(&["nvidia-t4"])),
            h100s("a", 8),
            Reason::DoesNotFit,
            &["deepseek-v3 FP8: nvidia-t4: needs", "Fits:", "8 × nvidia-h200", "Change spec.accelerator"],
        ),
        (
            v3(simulated()),
            h100s("a", 8),
            Reason::NoMatchingNode,
            &["needs 16 × nvidia-h100 on one node, and the largest node has 8", "Fits:"],
        ),
        (
            any_of(&["nvidia-h100"]),
            elsewhere,
            Reason::NoMatchingNode,
            &["a replica needs 1 × nvidia-h100, and no node shows one", "Fits:", "or add such a node"],
        ),
        (
            with(simulated(), json!({"accelerator": {"anyOf": [{"product": "nvidia-h100", "count": 4}]}})),
            h100s("a", 2),
            Reason::NoMatchingNode,
            &["needs 4 × nvidia-h100 on one node, and the largest node has 2", "Fits:"],
        ),
        (
            any_of(&["nvidia-h100"]),
            tainted,
            Reason::NoMatchingNode,
            &["1 nodes have nvidia-h100, but none of those that are ready is allowed by spec.placement"],
        ),
        (
            simulated(),
            plain_node("a"),
            Reason::NoMatchingNode,
            &["No ready node shows an accelerator that the catalogue knows", "Fits:", "spec.accelerator.cpu"],
        ),
    ];
    for (spec, node, reason, fragments) in cases {
        let (found, said) = message(&spec, [node]);
        assert_eq!(found, reason, "{said}");
        for fragment in fragments {
            assert!(said.contains(fragment), "{fragment:?} is missing in: {said}");
        }
    }
}
