//! The plot: how many are ready at which time, beside the floor.

use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 36.0;
const STEP: f64 = LEFT + WIDTH + 28.0;

/// The curves of one number of deployments: seconds until each was ready, of the last round.
#[derive(Clone, Debug)]
pub struct Panel {
    /// How many.
    pub n: u32,
    /// Without an operator.
    pub floor: Vec<f64>,
    /// Without an operator, but with all that it creates.
    pub children: Vec<f64>,
    /// With it.
    pub operator: Vec<f64>,
}

/// All panels side by side, as SVG.
pub fn plot(panels: &[Panel]) -> String {
    let count = u32::try_from(panels.len()).unwrap_or(1);
    let (width, height) = (f64::from(count) * STEP + 8.0, TOP + HEIGHT + 64.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (at, panel) in (0_u32..).zip(panels) {
        let _ = writeln!(svg, "<g transform=\"translate({},{TOP})\">", LEFT + f64::from(at) * STEP);
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel) {
    let last = |curve: &[f64]| curve.last().copied().unwrap_or(1.0);
    let longest = last(&panel.floor).max(last(&panel.children)).max(last(&panel.operator));
    let step = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|step| longest / step <= 8.0).unwrap_or(100.0);
    let end = (longest / step).ceil() * step;
    let x = |seconds: f64| seconds / end * WIDTH;
    let y = |share: f64| HEIGHT - share * HEIGHT;
    let _ = writeln!(svg, "<text x=\"0\" y=\"-14\" font-weight=\"bold\">{} deployments of two Pods</text>", panel.n);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (line, percent) = (y(share), share * 100.0);
        let _ = writeln!(svg, "<path d=\"M0 {line:.1}h{WIDTH}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>", line + 4.0);
    }
    let mut seconds = 0.0;
    while seconds <= end {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds}</text>",
            x(seconds),
            HEIGHT + 18.0
        );
        seconds += step;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">s since the first creation</text>",
        WIDTH / 2.0,
        HEIGHT + 38.0
    );
    for (curve, colour, name, line) in [
        (&panel.floor, "#888", "plain Deployments", 18.0),
        (&panel.operator, "#06c", "operator: each has answered", 36.0),
    ] {
        let total = f64::from(panel.n);
        let points = (1_u32..).zip(curve).map(|(rank, at)| format!("{:.1},{:.1}", x(*at), y(f64::from(rank) / total)));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"0,{HEIGHT} {points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        let _ = writeln!(svg, "<text x=\"10\" y=\"{line}\" fill=\"{colour}\">{name}</text>");
    }
}
