//! On which accelerator does a replica run, and how many does it take?
//!
//! 1. Candidates: what the spec welcomes, in its order; or else every product that a node shows, least memory first.
//! 2. A candidate must *fit* (`fit`), and some node that labels and taints admit must be able to carry a whole replica.
//! 3. Taken is the first candidate on which every replica that still needs a place finds one free; or else the first that
//!    could carry them once something else gives way. A replica of ours has its place only if it holds just what the candidate
//!    would give it; what one of an older choice holds counts as free where the candidate can use it, since that one will go.
//! 4. A choice stays as long as a Pod of it sits on a node: replicas of one revision never mix accelerators.

use std::collections::{BTreeMap, BTreeSet};

use deepseek_crds::condition::Reason;
use deepseek_crds::unit::Bytes;
use k8s_openapi::api::core::v1::Toleration;

use crate::catalogue::{AcceleratorEntry, Catalogue};
use crate::decide::accept::{Accepted, Welcome};
use crate::decide::fit::{Device, Fit, TooSmall, fit, fit_host, smallest};
use crate::decide::node_loss::NodeState;
use crate::observed::{Node, Observed, Pod};
use crate::verdict::Refusal;

/// Memory of the host that an engine's process takes by itself, in bytes.
pub const PROCESS: u64 = 512 << 20;
/// Most accelerators of one replica on one node; the largest machines have 16.
const MOST_PER_NODE: u32 = 16;

/// Where and how a replica runs. Built only here, from a fit and from nodes that exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The accelerator; `None` for plain processors.
    pub accelerator: Option<&'static AcceleratorEntry>,
    /// Accelerators of one replica.
    pub per_replica: u32,
    /// Longest conversation, in tokens.
    pub context_length: u32,
    /// Conversations at once.
    pub sequences: u32,
    /// Memory of the host that a replica reserves when the spec does not say, in bytes.
    pub host_memory: u64,
    /// The arithmetic, in words.
    pub explanation: String,
    /// Replicas that hold their accelerators, could get them now, or could once replicas of an older choice have gone.
    pub places: i64,
    /// Replicas that could get accelerators now, without any of ours going.
    pub free: i64,
    /// Whether a replica of ours that goes makes a place for its successor.
    pub gives_way: bool,
    /// Nodes that could carry a replica if nothing else ran there.
    pub nodes: BTreeSet<String>,
}

impl Placement {
    /// Catalogue name of the accelerator, or `cpu`.
    pub fn product(&self) -> &str {
        self.accelerator.map_or("cpu", |a| a.product.as_str())
    }
}

/// The choice that the running revision was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Catalogue name of the accelerator, or `cpu`.
    pub product: String,
    /// Accelerators of one replica.
    pub per_replica: u32,
}

/// Finds a place, or says what is missing and what would fit.
///
/// # Errors
/// A [`Refusal`] for the condition `Placed`.
pub fn place(accepted: &Accepted<'_>, observed: &Observed, kept: Option<&Choice>) -> Result<Placement, Refusal> {
    let world = World::new(accepted, observed, kept);
    match &accepted.welcome {
        Welcome::Processors => world.on_processors(),
        Welcome::AnyOf(choices) => {
            let wanted = choices.iter().map(|(entry, choice)| (*entry, choice.count.map(i32::unsigned_abs))).collect();
            world.on_accelerators(wanted)
        }
        Welcome::Whatever => world.on_accelerators(world.products_in_cluster()),
    }
}

struct World<'a> {
    accepted: &'a Accepted<'a>,
    observed: &'a Observed,
    kept: Option<&'a Choice>,
    /// Pods of ours that stay, each with its node if that is seen.
    seated: Vec<(&'a Pod, Option<&'a Node>)>,
}

impl<'a> World<'a> {
    fn new(accepted: &'a Accepted<'a>, observed: &'a Observed, kept: Option<&'a Choice>) -> Self {
        let node = |name: &str| observed.nodes.iter().map(AsRef::as_ref).find(|node| node.name == name);
        let stays = observed.pods.iter().filter(|pod| !pod.terminating && observed.state_of(pod) < NodeState::Suspect);
        let seated = stays.filter_map(|pod| Some((pod, node(pod.node.as_deref()?)))).collect();
        Self { accepted, observed, kept, seated }
    }

    fn on_processors(&self) -> Result<Placement, Refusal> {
        let nodes = self.admitting(&self.accepted.placement.tolerations, |_| true);
        if nodes.is_empty() {
            return Err(Refusal::new(
                Reason::NoMatchingNode,
                format!(
                    "None of the {} nodes is ready and has the labels and taints that spec.placement allows. Loosen \
                     spec.placement, or add such a node.",
                    self.observed.nodes.len()
                ),
            ));
        }
        let host = fit_host(&self.accepted.facts, &self.accepted.wish);
        // a simulator loads nothing
        let memory = if self.accepted.source.is_some() { host.memory.0 } else { staging_memory(0) };
        Ok(Placement {
            accelerator: None,
            per_replica: 0,
            context_length: host.context_length,
            sequences: host.sequences,
            host_memory: memory,
            explanation: format!(
                "weights, runtime and a cache for {} conversations of {} tokens take {} of the host's memory",
                host.sequences,
                host.context_length,
                Bytes(memory)
            ),
            places: i64::from(self.accepted.replicas),
            free: i64::from(self.accepted.replicas) - i64::try_from(self.seated.len()).unwrap_or(i64::MAX),
            gives_way: false,
            nodes: nodes.iter().map(|n| n.name.clone()).collect(),
        })
    }

    fn on_accelerators(&self, wanted: Vec<(&'static AcceleratorEntry, Option<u32>)>) -> Result<Placement, Refusal> {
        let mut misses = Vec::new();
        let mut candidates = Vec::new();
        for (entry, count) in wanted {
            match self.candidate(entry, count) {
                Ok(candidate) => candidates.push(candidate),
                Err(miss) => misses.push(miss),
            }
        }
        let enough = |p: &Placement| p.places >= i64::from(self.accepted.replicas);
        let at = (candidates.iter().position(|candidate| self.is_kept(candidate)))
            .or_else(|| candidates.iter().position(enough))
            .or_else(|| (!candidates.is_empty()).then_some(0));
        at.map(|at| candidates.swap_remove(at)).ok_or_else(|| self.nothing_fits(&misses))
    }

    fn candidate(&self, entry: &'static AcceleratorEntry, count: Option<u32>) -> Result<Placement, Miss> {
        let device = Device { memory: entry.memory };
        let Accepted { facts, wish, .. } = self.accepted;
        let fitted = match count {
            Some(count) => fit(facts, wish, &device, count),
            None => smallest(facts, wish, &device, MOST_PER_NODE),
        }
        .map_err(|small| Miss::Memory(entry, small))?;
        let per_replica = i64::from(fitted.count());
        let tolerations = self.tolerations(entry);
        let nodes = self.admitting(&tolerations, |node| {
            Catalogue::builtin().accelerator_of(&node.labels) == Some(entry)
                && node.capacity(&entry.resource) >= per_replica
        });
        if nodes.is_empty() {
            return Err(Miss::Nodes(entry, fitted.count()));
        }
        Ok(self.placement(entry, &fitted, &nodes))
    }

    fn placement(&self, entry: &'static AcceleratorEntry, fitted: &Fit, nodes: &[&Node]) -> Placement {
        let share = Share { entry, count: i64::from(fitted.count()) };
        let settled = self.seated.iter().filter(|(pod, node)| self.has_its_place(pod, *node, share)).count();
        let is_of_older_choice = |pod: &Pod, node: &Node| !self.has_its_place(pod, Some(node), share);
        let free = self.room(share, nodes, |_, _| false);
        let without_ours = self.room(share, nodes, |_, _| true);
        let gives_way = match self.kept {
            // Pods that are on no node yet will hold what they were made with
            Some(kept) if self.seated.is_empty() => kept.product == entry.product,
            None if self.seated.is_empty() => true,
            _ => without_ours > free,
        };
        Placement {
            accelerator: Some(entry),
            per_replica: fitted.count(),
            context_length: fitted.context_length(),
            sequences: fitted.sequences(),
            host_memory: staging_memory(self.accepted.facts.weights.0),
            explanation: fitted.explanation(),
            places: i64::try_from(settled).unwrap_or(i64::MAX) + self.room(share, nodes, is_of_older_choice),
            free,
            gives_way,
            nodes: nodes.iter().map(|n| n.name.clone()).collect(),
        }
    }

    /// Replicas that find room on these nodes once those Pods of ours that `goes` names have gone.
    fn room(&self, share: Share, nodes: &[&Node], goes: impl Fn(&Pod, &Node) -> bool) -> i64 {
        let resource = &share.entry.resource;
        let on = |node: &Node| {
            let ours = self.seated.iter().filter(|(pod, _)| pod.node.as_deref() == Some(&node.name) && goes(pod, node));
            let given_back: i64 = ours.map(|(pod, _)| pod.holds(resource)).sum();
            (node.free(resource) + given_back).min(node.capacity(resource)) / share.count
        };
        nodes.iter().map(|node| on(node)).sum()
    }

    /// Whether a Pod on a node holds just what a candidate would give it, where `spec.placement` still allows it. A node that is
    /// not seen, because it has just come or gone, is believed to be the right one: engines must not restart for that.
    fn has_its_place(&self, pod: &Pod, node: Option<&Node>, share: Share) -> bool {
        let is_right = |node: &Node| {
            Catalogue::builtin().accelerator_of(&node.labels) == Some(share.entry)
                && node.is_selected(&self.accepted.placement.node_selector)
        };
        pod.holds(&share.entry.resource) == share.count && node.is_none_or(is_right)
    }

    fn is_kept(&self, candidate: &Placement) -> bool {
        let (Some(entry), Some(kept)) = (candidate.accelerator, self.kept) else { return false };
        let share = Share { entry, count: i64::from(candidate.per_replica) };
        kept.product == entry.product
            && kept.per_replica == candidate.per_replica
            && self.seated.iter().any(|(pod, node)| self.has_its_place(pod, *node, share))
    }

    /// Silent ones are left out: what is free there, nobody can use.
    fn nodes(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        let watch = &self.observed.watch;
        let answers = |node: &&Node| watch.state(&node.name) == NodeState::Answers;
        self.observed.nodes.iter().map(AsRef::as_ref).filter(answers)
    }

    fn admitting(&self, tolerations: &[Toleration], has_room: impl Fn(&Node) -> bool) -> Vec<&'a Node> {
        let selector = &self.accepted.placement.node_selector;
        self.nodes().filter(|node| node.admits(selector, tolerations) && has_room(node)).collect()
    }

    fn tolerations(&self, entry: &AcceleratorEntry) -> Vec<Toleration> {
        tolerations(&self.accepted.placement.tolerations, Some(entry))
    }

    fn products_in_cluster(&self) -> Vec<(&'static AcceleratorEntry, Option<u32>)> {
        let shown = self.nodes().filter_map(|node| Catalogue::builtin().accelerator_of(&node.labels));
        let by_memory: BTreeMap<_, _> = shown.map(|entry| ((entry.memory, entry.product.as_str()), entry)).collect();
        by_memory.into_values().map(|entry| (entry, None)).collect()
    }

    fn nothing_fits(&self, misses: &[Miss]) -> Refusal {
        let fits: Vec<_> =
            self.what_would_fit(misses).into_iter().map(|(n, product)| format!("{n} × {product}")).collect();
        let fits = if fits.is_empty() { String::new() } else { format!(" Fits: {}.", fits.join(", ")) };
        let name = format!("{} {}", self.accepted.facts.name, self.accepted.facts.precision);
        if misses.is_empty() {
            return Refusal::new(
                Reason::NoMatchingNode,
                format!(
                    "No ready node shows an accelerator that the catalogue knows.{fits} Check the labels that the device \
                     plug-in's feature discovery sets, or set spec.accelerator.cpu to run {name} on processors."
                ),
            );
        }
        let all_too_small = misses.iter().all(|miss| matches!(miss, Miss::Memory(..)));
        let reason = if all_too_small { Reason::DoesNotFit } else { Reason::NoMatchingNode };
        let told: Vec<_> = misses.iter().map(|miss| self.tell(miss)).collect();
        Refusal::new(reason, format!("{name}: {}.{fits} Change spec.accelerator, or add such a node.", told.join("; ")))
    }

    fn tell(&self, miss: &Miss) -> String {
        match miss {
            Miss::Memory(entry, small) => format!("{}: {small}", entry.product),
            Miss::Nodes(entry, count) => {
                let shown: Vec<&Node> = (self.nodes())
                    .filter(|node| Catalogue::builtin().accelerator_of(&node.labels) == Some(*entry))
                    .collect();
                let most = shown.iter().map(|node| node.capacity(&entry.resource)).max().unwrap_or(0);
                match shown.len() {
                    0 => format!("a replica needs {count} × {}, and no node shows one", entry.product),
                    _ if most < i64::from(*count) => {
                        format!(
                            "a replica needs {count} × {} on one node, and the largest node has {most}",
                            entry.product
                        )
                    }
                    n => format!(
                        "{n} nodes have {}, but none of those that are ready is allowed by spec.placement",
                        entry.product
                    ),
                }
            }
        }
    }

    /// What would carry a replica, whether or not the cluster has it; one size of each product. First those of the vendors
    /// that were looked for, then the smallest machines.
    fn what_would_fit(&self, misses: &[Miss]) -> Vec<(u32, &'static str)> {
        let Accepted { facts, wish, .. } = self.accepted;
        let familiar = |entry: &AcceleratorEntry| misses.iter().any(|miss| miss.entry().vendor == entry.vendor);
        let mut sizes: Vec<_> = (Catalogue::builtin().accelerators().iter())
            .filter_map(|entry| {
                let fitted = smallest(facts, wish, &Device { memory: entry.memory }, MOST_PER_NODE).ok()?;
                let memory = u128::from(entry.memory.0) * u128::from(fitted.count());
                Some((!familiar(entry), memory, fitted.count(), entry.product.as_str()))
            })
            .collect();
        sizes.sort_unstable();
        sizes.into_iter().take(4).map(|(_, _, count, product)| (count, product)).collect()
    }
}

/// What one replica would get: so many of an accelerator.
#[derive(Clone, Copy)]
struct Share {
    entry: &'static AcceleratorEntry,
    count: i64,
}

enum Miss {
    Memory(&'static AcceleratorEntry, TooSmall),
    Nodes(&'static AcceleratorEntry, u32),
}

impl Miss {
    fn entry(&self) -> &'static AcceleratorEntry {
        match self {
            Self::Memory(entry, _) | Self::Nodes(entry, _) => entry,
        }
    }
}

/// The spec's tolerations, and that of the taint which keeps other Pods off accelerator nodes: by convention it is named
/// after the resource.
pub fn tolerations(asked: &[Toleration], accelerator: Option<&AcceleratorEntry>) -> Vec<Toleration> {
    let own = accelerator.map(|entry| Toleration {
        key: Some(entry.resource.clone()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    });
    asked.iter().cloned().chain(own).collect()
}

/// Memory of the host that loading takes when the weights end up on accelerators: the process, and staging buffers of at
/// most 2 GiB. Pages of a mapped file are the kernel's to give back and are not counted.
fn staging_memory(weights: u64) -> u64 {
    const BUFFERS: u64 = 2 << 30;
    PROCESS + weights.min(BUFFERS)
}
