//! The numbers, and the file they are written to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use deepseek_e2e::bench::summary::{Summary, rounded};
use serde_json::{Value, json};

use crate::measures::{ALL, Measure};

/// Without the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Plain Deployments.
    Floor,
    /// The operator's own children.
    Children,
}

/// All samples of a run.
#[derive(Debug, Default)]
pub struct Book {
    samples: BTreeMap<(&'static str, u32), Vec<f64>>,
    against: BTreeMap<(&'static str, u32, Peer), Vec<f64>>,
}

impl Book {
    /// One more sample with `n` deployments.
    pub fn add(&mut self, n: u32, measure: Measure, value: f64) {
        self.samples.entry((measure.name, n)).or_default().push(value);
    }

    /// One more sample without the operator.
    pub fn add_against(&mut self, n: u32, measure: Measure, peer: Peer, value: f64) {
        self.against.entry((measure.name, n, peer)).or_default().push(value);
    }

    /// All samples.
    pub fn summary(&self, n: u32, measure: Measure) -> Option<Summary> {
        Summary::of(self.samples.get(&(measure.name, n))?)
    }

    /// All samples without the operator.
    pub fn against(&self, n: u32, measure: Measure, peer: Peer) -> Option<Summary> {
        Summary::of(self.against.get(&(measure.name, n, peer))?)
    }

    /// Writes the results in the form that all benchmarks share.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, sizes: &[u32], head: &Head) -> Result<()> {
        let mut cases = Vec::new();
        for n in sizes {
            cases.extend(ALL.iter().filter_map(|measure| self.case(*n, *measure)));
        }
        let text = json!({
            "name": "operator",
            "date": head.date,
            "commit": head.commit,
            "machine": head.machine,
            "kubernetes": head.kubernetes,
            "cases": cases,
        });
        std::fs::write(path, format!("{text:#}\n"))?;
        Ok(())
    }

    fn case(&self, n: u32, measure: Measure) -> Option<Value> {
        let samples = self.samples.get(&(measure.name, n))?;
        let mut case = json!({
            "name": format!("{}, N={n}", measure.name.trim_start_matches("– ")),
            "unit": measure.unit,
            "better": "lower",
            "runs": samples.len(),
            "samples": samples.iter().copied().map(rounded).collect::<Vec<_>>(),
            "against": {},
        });
        if let (Value::Object(case), Value::Object(numbers)) = (&mut case, Summary::of(samples)?.json()) {
            case.extend(numbers);
        }
        if let Some(aim) = measure.aim {
            case["aim"] = json!(aim);
        }
        for (peer, name) in [(Peer::Floor, "floor"), (Peer::Children, "same-children")] {
            if let Some(summary) = self.against(n, measure, peer) {
                case["against"][name] = summary.json();
            }
        }
        Some(case)
    }
}

/// Where and when it was measured.
#[derive(Clone, Debug)]
pub struct Head {
    /// The day and the minute.
    pub date: String,
    /// Of the operator.
    pub commit: String,
    /// In words.
    pub machine: String,
    /// Version of the API server.
    pub kubernetes: String,
}
