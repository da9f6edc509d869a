//! The table for people.

use std::fmt::Write;

use crate::book::{Book, Head};
use crate::measures::{AFFINITY, Measure, OTHERS};
use crate::subject::{Subject, in_table};

/// The whole table, in Markdown.
pub fn markdown(book: &Book, head: &Head) -> String {
    let mut text = format!(
        "`make bench-gateway ROUNDS={}` at {}, commit {}; {}; {}.\nMedians, ranges in brackets.\n\n",
        head.rounds, head.date, head.commit, head.machine, head.peers
    );
    text.push_str("| | aim | gateway | direct¹ | haproxy | – abortonclose | nginx | litellm² |\n|---|---|---|---|---|---|---|---|\n");
    for measure in in_table().filter(|measure| book.summary(Subject::Gateway, *measure).is_some()) {
        let unit = if measure.unit.is_empty() { String::new() } else { format!(", {}", measure.unit) };
        let cells: Vec<_> =
            Subject::ALL.into_iter().filter(|subject| subject.has_column()).map(|s| cell(book, s, measure)).collect();
        let _ = writeln!(text, "| {}{unit} | {} | {} |", measure.name, aim(book, measure), cells.join(" | "));
    }
    text.push_str(
        "\n¹ Engines and client on their core with nobody in between; that core is the limit of the closed loop. ² One round and a small\n\
         load: 8 connections, 20 requests/s, 50 streams × 5 tokens/s. A median in bold misses its aim.\n",
    );
    let median = |subject| book.summary(subject, AFFINITY).map(|summary| summary.cell(AFFINITY.digits));
    if let (Some(on), Some(off)) = (median(Subject::Gateway), median(Subject::ByLoad)) {
        let _ = writeln!(
            text,
            "\n**Affinity.** 200 conversations of 8 turns, in any order, over four engines that remember 64 conversations each: of all\n\
             messages that are not new {on} % were still in the cache of the engine that the gateway chose, with affinity off {off} %."
        );
    }
    text
}

fn aim(book: &Book, measure: Measure) -> String {
    let sign = if measure.more { "≥" } else { "≤" };
    book.aim(measure).map_or(String::new(), |(aim, _)| format!("{sign} {aim:.*}", measure.digits))
}

fn cell(book: &Book, subject: Subject, measure: Measure) -> String {
    let Some(summary) = book.summary(subject, measure) else { return String::new() };
    let missed = subject == Subject::Gateway && book.aim(measure).is_some_and(|(_, holds)| !holds);
    let mark = if missed { "**" } else { "" };
    // of what others did the most counts, not the middle
    let text = if measure.name == OTHERS.name {
        format!("at most {:.2}", summary.max())
    } else {
        summary.cell(measure.digits)
    };
    format!("{mark}{text}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::REST;

    #[test]
    fn a_missed_aim_stands_out() {
        let mut book = Book::default();
        book.add(Subject::Gateway, REST, 16.0);
        book.add(Subject::Nginx, REST, 17.0);
        assert_eq!(cell(&book, Subject::Gateway, REST), "**16.0**");
        assert_eq!(cell(&book, Subject::Nginx, REST), "17.0");
        assert_eq!(aim(&book, REST), "≤ 15.0");
    }
}
