//! What was felt, as JSON for programs and as a table for people.

use std::fmt::Write;

use anyhow::Result;
use deepseek_e2e::bench::machine::machine;
use deepseek_e2e::bench::summary::Summary;
use deepseek_e2e::bench::{Written, commit};
use deepseek_e2e::load::Felt;
use serde_json::{Value, json};

use crate::faults::Fault;

/// One fault, and what was felt of it each time.
pub struct Row {
    name: &'static str,
    told: &'static str,
    answer: &'static str,
    gaps: Vec<f64>,
    waits: Vec<f64>,
    lost: usize,
    cut: usize,
    broke_off: usize,
}

impl Row {
    /// Of a fault that was not made yet.
    pub fn of(fault: &Fault) -> Self {
        let Fault { name, told, answer, .. } = fault;
        Self { name, told, answer, gaps: Vec::new(), waits: Vec::new(), lost: 0, cut: 0, broke_off: 0 }
    }
}

/// All of it.
pub struct Book {
    rows: Vec<Row>,
    rounds: u32,
    per_second: u32,
}

impl Book {
    /// An empty one.
    pub fn new(rows: Vec<Row>, rounds: u32, per_second: u32) -> Self {
        Self { rows, rounds, per_second }
    }

    /// Takes down what was felt of a fault.
    pub fn add(&mut self, row: usize, felt: &Felt) {
        let row = &mut self.rows[row];
        row.gaps.push(felt.gap.as_secs_f64());
        row.waits.push(felt.longest.as_secs_f64());
        row.lost += felt.lost;
        row.cut += felt.told;
        row.broke_off += felt.untold;
    }

    /// Writes the results, and the table of a document.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub async fn write(&self, written: &Written) -> Result<()> {
        let commit = commit().await;
        let results = json!({
            "name": "faults", "date": jiff::Timestamp::now().to_string(), "commit": commit,
            "machine": machine(), "cases": self.rows.iter().flat_map(cases).collect::<Vec<_>>(),
        });
        std::fs::write(written.file("faults.json")?, format!("{results:#}\n"))?;
        std::fs::write(written.file("faults.svg")?, self.plot())?;
        written.renew("faults", &self.table(&commit))
    }

    fn table(&self, commit: &str) -> String {
        let mut table = format!(
            "Commit {commit}, {}; {} requests a second (a fifth of that for faults of all nodes and of the API server), and four long streams under way; {} rounds. *Gap*: from the fault until \
             the last request was sent that was not answered, the worst of all rounds. *Cut and told*: streams under way that ended with an \
             error event; *broken off*: without one. Sums and maxima are of all rounds.\n\n\
             | Fault | Rounds | Worst gap, s | Requests lost | Streams cut and told | Streams broken off | Longest wait for an answer, s | What happens |\n\
             |---|---|---|---|---|---|---|---|\n",
            machine(),
            self.per_second,
            self.rounds
        );
        for row in self.rows.iter().filter(|row| !row.gaps.is_empty()) {
            let worst = |samples: &[f64]| Summary::of(samples).map_or(0.0, |summary| summary.max());
            let _ = writeln!(
                table,
                "| {} | {} | {:.1} | {} | {} | {} | {:.1} | {} |",
                row.told,
                row.gaps.len(),
                worst(&row.gaps),
                row.lost,
                row.cut,
                row.broke_off,
                worst(&row.waits),
                row.answer
            );
        }
        table
    }

    /// A bar for the worst gap of each fault, and a thin one for the longest wait.
    fn plot(&self) -> String {
        let rows: Vec<_> = self.rows.iter().filter(|row| !row.gaps.is_empty()).collect();
        let worst = |samples: &[f64]| Summary::of(samples).map_or(0.0, |summary| summary.max());
        let most = rows.iter().flat_map(|row| row.gaps.iter().chain(&row.waits)).fold(4.0_f64, |most, s| most.max(*s));
        let (left, wide, high) = (140.0, 480.0, 34);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <text x=\"{left}\" y=\"14\">seconds: worst gap (dark), longest wait for an answer (light)</text>\n",
            rows.len() * high + 30
        );
        for (at, row) in rows.iter().enumerate() {
            let y = at * high + 26;
            let bar = |value: f64| wide * value / most;
            let (gap, wait) = (worst(&row.gaps), worst(&row.waits));
            let _ = writeln!(
                svg,
                "<text x=\"4\" y=\"{}\">{}</text>\n\
                 <rect x=\"{left}\" y=\"{y}\" width=\"{:.1}\" height=\"10\" fill=\"#334\"/>\n\
                 <rect x=\"{left}\" y=\"{}\" width=\"{:.1}\" height=\"8\" fill=\"#9ac\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\">{gap:.1} / {wait:.1}</text>",
                y + 12,
                row.name,
                bar(gap),
                y + 11,
                bar(wait),
                left + bar(gap.max(wait)) + 6.0,
                y + 13
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn cases(row: &Row) -> Vec<Value> {
    let case = |what: &str, samples: &[f64]| {
        let summary = Summary::of(samples)?;
        let mut case = json!({
            "name": format!("{}/{what}", row.name), "unit": "s", "better": "lower", "runs": samples.len(), "samples": samples,
        });
        if let (Some(case), Some(numbers)) = (case.as_object_mut(), summary.json().as_object()) {
            case.extend(numbers.clone());
        }
        Some(case)
    };
    [case("gap", &row.gaps), case("longest-wait", &row.waits)].into_iter().flatten().collect()
}
