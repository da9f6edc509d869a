//! Which accelerators are taken, and what is said when there are none.

use deepseek_core::decide::accept::accept;
use deepseek_core::decide::place::{Choice, Placement, place};
use deepseek_core::observed::{Node, Observed, Pod};
use deepseek_core::verdict::Refusal;
use deepseek_crds::condition::Reason;
use serde_json::{Value, json};

use crate::scene::{GPU, PRODUCT, cluster, h100s, node, plain_node, serving, simulated, taint, with};

fn placed(spec: &Value, observed: &Observed, kept: Option<&Choice>) -> Result<Placement, Refusal> {
    let deployment = crate::scene::chat(spec.clone());
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
    observed.pods = vec![serving("chat-0", "r")];
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-l4");
    let of_two = Choice { per_replica: 2, ..kept.clone() };
    assert_eq!(
        placed(&spec, &observed, Some(&of_two)).unwrap().product(),
        "nvidia-h100",
        "another number is another choice"
    );
    observed.pods[0].terminating = true;
    assert_eq!(placed(&spec, &observed, Some(&kept)).unwrap().product(), "nvidia-h100", "who leaves keeps nothing");
    let no_longer_welcome = any_of(&["nvidia-h100"]);
    observed.pods = vec![serving("chat-0", "r")];
    assert_eq!(placed(&no_longer_welcome, &observed, Some(&kept)).unwrap().product(), "nvidia-h100");
}

#[test]
fn places_are_what_is_free_and_what_we_sit_on() {
    let mut observed = cluster([busy(h100s("a", 8), 6), busy(h100s("b", 8), 8), h100s("c", 1)]);
    let spec = any_of(&["nvidia-h100"]);
    assert_eq!(placed(&spec, &observed, None).unwrap().places, 3);
    let leaving = Pod { terminating: true, ..serving("chat-1", "r") };
    let waiting = Pod { node: None, ..serving("chat-2", "r") };
    observed.pods = vec![serving("chat-0", "r"), leaving, waiting];
    assert_eq!(placed(&spec, &observed, None).unwrap().places, 4, "who leaves still holds, who waits holds nothing");
    let pairs = with(spec, json!({"accelerator": {"anyOf": [{"product": "nvidia-h100", "count": 2}]}}));
    let placement = placed(&pairs, &cluster([h100s("a", 3), h100s("b", 3)]), None).unwrap();
    assert_eq!(placement.places, 2, "a replica does not span nodes");
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
