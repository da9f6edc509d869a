//! The table for people.

use std::fmt::Write;

use crate::book::{Book, Head, Peer};
use crate::measures::{ALL, Measure};

/// The whole table, in Markdown.
pub fn markdown(book: &Book, sizes: &[u32], head: &Head) -> String {
    let list = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let mut text = format!(
        "`make bench-operator N=\"{list}\"` at {}, commit {}; {}; Kubernetes {}.\nMedians, ranges in brackets.\n\n",
        head.date, head.commit, head.machine, head.kubernetes
    );
    let columns = sizes.iter().map(|n| format!(" N={n} | plain¹ | children² |")).collect::<Vec<_>>().concat();
    let _ = writeln!(text, "| | aim |{columns}");
    let _ = writeln!(text, "|---|---|{}", "---|---|---|".repeat(sizes.len()));
    for measure in ALL {
        let cells: String = sizes.iter().map(|n| cells(book, *n, measure)).collect();
        let unit = if measure.unit.is_empty() { String::new() } else { format!(", {}", measure.unit) };
        let aim = measure.aim.map_or(String::new(), |aim| format!("≤ {aim}"));
        let _ = writeln!(text, "| {}{unit} | {aim} |{cells}", measure.name);
    }
    text.push_str(
        "\n¹ N plain Deployments with two Pods of one GPU, nothing else, no operator. ² What the operator creates for N deployments\n\
         (Deployment, Service, PodDisruptionBudget), created by somebody else, no operator. A median in bold misses its aim.\n",
    );
    text
}

fn cells(book: &Book, n: u32, measure: Measure) -> String {
    let own = book.summary(n, measure);
    let missed = own.as_ref().zip(measure.aim).is_some_and(|(summary, aim)| summary.median() > aim);
    let text = own.map_or(String::new(), |summary| summary.cell(measure.digits));
    let mark = if missed { "**" } else { "" };
    let peer = |peer| book.against(n, measure, peer).map_or(String::new(), |summary| summary.cell(measure.digits));
    format!(" {mark}{text}{mark} | {} | {} |", peer(Peer::Floor), peer(Peer::Children))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::{ALL_READY, FAILED};

    #[test]
    fn a_missed_aim_stands_out() {
        let mut book = Book::default();
        book.add(10, FAILED, 2.0);
        book.add(10, ALL_READY, 1.0);
        book.add(10, ALL_READY, 3.0);
        book.add_against(10, ALL_READY, Peer::Floor, 1.5);
        assert_eq!(cells(&book, 10, FAILED), " **2** |  |  |");
        assert_eq!(cells(&book, 10, ALL_READY), " 2.00 (1.00–3.00) | 1.50 |  |");
    }
}
