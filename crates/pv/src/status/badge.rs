//! A status as a badge: one line of SVG that loads nothing, for a README. What it says and its colour follow from
//! the status; like STATUS.md it holds no time and no commit.

use super::tone::Tone;
use contract::status::FalsifierStatus;
use contract::status::propagate::{ContractReport, Status};
use contract::status::summary::Summary;
use std::fmt::Write as _;

/// Pixels of a character of the 11-pixel font; the text is told to be as long as they add up to.
const CHARACTER: usize = 7;
const MARGIN: usize = 8;
const HEIGHT: usize = 20;

/// The badge of all falsifiers.
#[must_use]
pub fn overall(status: &Status) -> String {
    let falsifiers = &status.falsifiers;
    let worst = falsifiers.counts.keys().copied().min_by_key(|status| status.order());
    draw("falsifiers", &counts(falsifiers), worst.map_or(Tone::Warn, Tone::from))
}

/// The badge of one contract.
#[must_use]
pub fn contract(report: &ContractReport) -> String {
    let said = format!("{}: {}", report.transitive, counts(&report.summary));
    draw(report.id.as_str(), &said, Tone::from(report.transitive))
}

/// How many are discharged, and how many are wrong in some way, out of how many.
fn counts(falsifiers: &Summary<FalsifierStatus>) -> String {
    let declared = falsifiers.declared;
    let mut text = format!("{} of {declared} DISCHARGED", falsifiers.of(&FalsifierStatus::Discharged));
    for (status, count) in falsifiers.rows().filter(|(status, _)| Tone::from(*status) == Tone::Bad) {
        if count > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, ", {count} of {declared} {status}");
        }
    }
    text
}

fn draw(label: &str, value: &str, tone: Tone) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let long = |text: &str| text.chars().count() * CHARACTER;
    let (left, right) = (long(label) + 2 * MARGIN, long(value) + 2 * MARGIN);
    let (whole, ground) = (left + right, tone.ground());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{HEIGHT}\" viewBox=\"0 0 {whole} \
         {HEIGHT}\" role=\"img\" aria-label=\"{0}: {1}\">\n<title>{0}: {1}</title>\n\
         <rect width=\"{whole}\" height=\"{HEIGHT}\" rx=\"3\" fill=\"#24292f\"/>\n\
         <path d=\"M{left} 0h{2}a3 3 0 0 1 3 3v{3}a3 3 0 0 1 -3 3h-{2}z\" fill=\"{ground}\"/>\n\
         <g fill=\"#ffffff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\n",
        escaped(label),
        escaped(value),
        right - 3,
        HEIGHT - 6,
    );
    for (text, x) in [(label, MARGIN), (value, left + MARGIN)] {
        let _ =
            writeln!(svg, "<text x=\"{x}\" y=\"14\" textLength=\"{}\">{}</text>", long(text), escaped(text));
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}
