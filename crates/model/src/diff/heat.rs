//! The heat map of a report as a picture: layer by stage, the error against its bound in decades.

use super::{Line, Report};
use crate::compare::Verdict;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Side of a cell, and the room for the names of stages, in pixels.
const CELL: usize = 12;
const NAMES: usize = 150;
const TOP: usize = 34;
/// Decades above and below the bound that are told apart.
const SPAN: i32 = 6;
/// From far below the bound to the bound, light to dark; then from the bound to far above it.
const BELOW: [&str; 7] = ["#d4dfee", "#c3d2e7", "#b2c5e0", "#a1b8d9", "#8facd2", "#7e9fcb", "#6d92c4"];
const ABOVE: [&str; 7] = ["#e29080", "#dd7f6d", "#d66d59", "#cb5b46", "#b84a35", "#a13d2a", "#882f20"];
const NOT_FINITE: &str = "#8e24aa";
const MISSING: &str = "#d9dbde";

fn colour(line: &Line) -> &'static str {
    match (line.verdict, &line.comparison) {
        (Verdict::Missing, _) => MISSING,
        (Verdict::NanLeft | Verdict::NanRight | Verdict::NanBoth, _) => NOT_FINITE,
        (Verdict::Match, None) => BELOW[0],
        (Verdict::Diverge, None) => ABOVE[SPAN as usize],
        (verdict, Some(c)) => {
            let decades = (c.nmse / line.bound).log10().floor() as i32 + 1;
            match verdict {
                Verdict::Match => BELOW[(decades + SPAN).clamp(0, SPAN) as usize],
                _ => ABOVE[decades.clamp(0, SPAN) as usize],
            }
        }
    }
}

impl Report {
    /// The heat map as an SVG picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let layers = self.rows.iter().filter_map(|r| r.layer).max().map_or(1, |l| l + 1);
        let mut stages: Vec<&str> = Vec::new();
        let mut seen = BTreeSet::new();
        for row in &self.rows {
            if seen.insert(row.stage.as_str()) {
                stages.push(&row.stage);
            }
        }
        let (width, height) = (NAMES + layers * CELL + 10, TOP + stages.len() * CELL + 24);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"10\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let title = format!(
            "{}:{} against {}:{}, {} of {} tensors match",
            self.right.backend,
            self.right.precision,
            self.left.backend,
            self.left.precision,
            self.matched,
            self.rows.len()
        );
        let _ = writeln!(out, "<text x=\"6\" y=\"13\" font-size=\"11\">{}</text>", escape(&title));
        for layer in (0..layers).step_by(if layers > 16 { 4 } else { 1 }) {
            let x = NAMES + layer * CELL;
            let _ = writeln!(out, "<text x=\"{x}\" y=\"{}\" fill=\"#666\">{layer}</text>", TOP - 5);
        }
        for (i, stage) in stages.iter().enumerate() {
            let y = TOP + i * CELL;
            let (x, base) = (NAMES - 6, y + CELL - 3);
            let _ =
                writeln!(out, "<text x=\"{x}\" y=\"{base}\" text-anchor=\"end\">{}</text>", escape(stage));
            let mut cells: Vec<(usize, usize, &str)> = Vec::new();
            for row in self.rows.iter().filter(|r| r.stage == *stage) {
                let (first, span) = row.layer.map_or((0, layers), |l| (l, 1));
                match cells.last_mut() {
                    // Neighbours of one colour are one cell of the file.
                    Some((start, n, c)) if *start + *n == first && *c == colour(row) => *n += span,
                    _ => cells.push((first, span, colour(row))),
                }
            }
            for (first, n, colour) in cells {
                let (x, w, h) = (NAMES + first * CELL, n * CELL - 1, CELL - 1);
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{colour}\"/>"
                );
            }
        }
        let y = TOP + stages.len() * CELL + 6;
        let legend = BELOW.iter().chain(&ABOVE).enumerate();
        for (i, colour) in legend {
            let x = NAMES + i * CELL;
            let _ =
                writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"8\" fill=\"{colour}\"/>");
        }
        let x = NAMES - 6;
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"end\" fill=\"#666\">error / bound, 1e-{SPAN} to 1e{SPAN}</text>\n</svg>",
            y + 8
        );
        out
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
