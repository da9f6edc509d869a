//! The plot: a panel for each of the main measures, a bar for each subject, a line from its best to its worst round.

use std::fmt::Write;

use crate::book::Book;
use crate::measures::{ADDED_P50, ADDED_P99, AFFINITY, IDLE, JITTER_P99, LEFT, Measure, SMALL, TOKEN_CPU, TOKEN_P99};
use crate::subject::Subject;

const PANELS: [Measure; 9] = [SMALL, ADDED_P50, ADDED_P99, TOKEN_P99, JITTER_P99, TOKEN_CPU, IDLE, LEFT, AFFINITY];
/// Without litellm, beside which all others would look alike.
const BARS: [(Subject, &str); 6] = [
    (Subject::Gateway, "#06c"),
    (Subject::ByLoad, "#9bf"),
    (Subject::Direct, "#ccc"),
    (Subject::Haproxy, "#888"),
    (Subject::HaproxyAbort, "#aaa"),
    (Subject::Nginx, "#696"),
];
const LABEL: f64 = 170.0;
const WIDTH: f64 = 300.0;
const BAR: f64 = 18.0;
const COLUMN: f64 = LABEL + WIDTH + 110.0;
const ROW: f64 = 160.0;
const COLUMNS: usize = 2;

/// All panels, as SVG.
pub fn plot(book: &Book) -> String {
    let panels: Vec<_> = PANELS.iter().filter(|panel| book.summary(Subject::Gateway, **panel).is_some()).collect();
    let lines = u32::try_from(panels.len().div_ceil(COLUMNS)).unwrap_or(1);
    let (width, height) = (COLUMN * 2.0, ROW * f64::from(lines) + 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (at, panel) in (0_u32..).zip(panels) {
        let (x, y) = (COLUMN * f64::from(at % 2), ROW * f64::from(at / 2));
        let _ = writeln!(svg, "<g transform=\"translate({x},{y})\">");
        draw(&mut svg, book, *panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, book: &Book, measure: Measure) {
    let bars: Vec<_> = BARS
        .iter()
        .filter_map(|(subject, colour)| Some((subject.name(), *colour, book.summary(*subject, measure)?)))
        .collect();
    let most = bars.iter().map(|(.., summary)| summary.max()).fold(f64::MIN_POSITIVE, f64::max);
    let unit = if measure.unit.is_empty() { String::new() } else { format!(", {}", measure.unit) };
    let better = if measure.more { "more is better" } else { "less is better" };
    let name = measure.name.trim_start_matches("– ");
    let _ = writeln!(svg, "<text x=\"8\" y=\"20\" font-weight=\"bold\">{name}{unit} ({better})</text>");
    let mut y = 32.0;
    for (name, colour, summary) in bars {
        let x = |value: f64| LABEL + value.max(0.0) / most * WIDTH;
        let (middle, length) = (y + BAR / 2.0, x(summary.median()) - LABEL);
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", LABEL - 6.0, middle + 4.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            BAR - 3.0
        );
        let (low, high) = (x(summary.min()), x(summary.max()));
        let _ = writeln!(svg, "<path d=\"M{low:.1} {middle:.1}H{high:.1}\" stroke=\"#000\"/>");
        let told = format!("{:.*}", measure.digits, summary.median());
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{told}</text>", high + 5.0, middle + 4.0);
        y += BAR;
    }
}
