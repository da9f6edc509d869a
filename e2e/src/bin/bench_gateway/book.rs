//! The numbers, and the file they are written to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use deepseek_e2e::bench::summary::{Summary, rounded};
use serde_json::{Value, json};

use crate::measures::{ALL, Aim, Measure};
use crate::subject::Subject;

/// All samples of a run.
#[derive(Debug, Default)]
pub struct Book {
    samples: BTreeMap<(&'static str, Subject), Vec<f64>>,
}

/// Where and when it was measured.
#[derive(Clone, Debug)]
pub struct Head {
    /// The day and the minute.
    pub date: String,
    /// Of the gateway.
    pub commit: String,
    /// In words.
    pub machine: String,
    /// Versions of the others.
    pub peers: String,
    /// Rounds.
    pub rounds: u32,
}

impl Book {
    /// One more sample.
    pub fn add(&mut self, subject: Subject, measure: Measure, value: f64) {
        self.samples.entry((measure.name, subject)).or_default().push(value);
    }

    /// The last sample.
    pub fn last(&self, subject: Subject, measure: Measure) -> Option<f64> {
        self.samples.get(&(measure.name, subject))?.last().copied()
    }

    /// All samples.
    pub fn summary(&self, subject: Subject, measure: Measure) -> Option<Summary> {
        Summary::of(self.samples.get(&(measure.name, subject))?)
    }

    /// What is aimed at, and whether the gateway is as good as that.
    pub fn aim(&self, measure: Measure) -> Option<(f64, bool)> {
        let aim = match measure.aim {
            Aim::None => return None,
            Aim::Is(aim) => aim,
            Aim::As(peer) => self.summary(peer, measure)?.median(),
        };
        let own = self.summary(Subject::Gateway, measure)?.median();
        Some((aim, if measure.more { own >= aim } else { own <= aim }))
    }

    /// Writes the results in the form that all benchmarks share.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, head: &Head) -> Result<()> {
        let cases: Vec<_> = ALL.iter().filter_map(|measure| self.case(*measure)).collect();
        let text = json!({
            "name": "gateway",
            "date": head.date,
            "commit": head.commit,
            "machine": head.machine,
            "peers": head.peers,
            "cases": cases,
        });
        std::fs::write(path, format!("{text:#}\n"))?;
        Ok(())
    }

    fn case(&self, measure: Measure) -> Option<Value> {
        let samples = self.samples.get(&(measure.name, Subject::Gateway))?;
        let mut case = json!({
            "name": measure.name.trim_start_matches("– "),
            "unit": measure.unit,
            "better": if measure.more { "higher" } else { "lower" },
            "runs": samples.len(),
            "samples": samples.iter().copied().map(rounded).collect::<Vec<_>>(),
            "against": {},
        });
        if let (Value::Object(case), Value::Object(numbers)) = (&mut case, Summary::of(samples)?.json()) {
            case.extend(numbers);
        }
        if let Some((aim, holds)) = self.aim(measure) {
            (case["aim"], case["holds"]) = (json!(rounded(aim)), json!(holds));
        }
        for peer in Subject::ALL.into_iter().filter(|peer| *peer != Subject::Gateway) {
            if let Some(summary) = self.summary(peer, measure) {
                case["against"][peer.name()] = summary.json();
            }
        }
        Some(case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::{REST, SMALL};

    #[test]
    fn an_aim_is_a_number_or_a_peer() {
        let mut book = Book::default();
        book.add(Subject::Gateway, REST, 14.0);
        book.add(Subject::Gateway, SMALL, 50_000.0);
        assert_eq!(book.aim(REST), Some((15.0, true)));
        assert_eq!(book.aim(SMALL), None, "the peer was not measured");
        book.add(Subject::Haproxy, SMALL, 60_000.0);
        assert_eq!(book.aim(SMALL), Some((60_000.0, false)));
    }
}
