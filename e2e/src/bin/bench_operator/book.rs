//! The numbers, and the file they are written to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
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

/// Samples of one measure, in order of size.
#[derive(Clone, Debug)]
pub struct Summary(Vec<f64>);

impl Summary {
    /// None without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The nearest sample at or above this share of all.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// The middle one; of two, their mean.
    pub fn median(&self) -> f64 {
        let n = self.0.len();
        f64::midpoint(self.0[(n - 1) / 2], self.0[n / 2])
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    fn json(&self) -> Value {
        let r = rounded;
        json!({"min": r(self.min()), "p50": r(self.median()), "p95": r(self.percentile(95)), "max": r(self.max())})
    }
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

/// Four digits behind the point are more than anything here is good for.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let summary = Summary::of(&[3.0, 1.0, 2.0, 4.0]).unwrap();
        assert!((summary.median() - 2.5).abs() < 1e-9);
        assert!((summary.percentile(95) - 4.0).abs() < 1e-9);
        assert!((summary.percentile(50) - 2.0).abs() < 1e-9);
        assert!(Summary::of(&[]).is_none());
    }
}
