//! Small pictures of a value over time, as SVG within a page.

use super::page::{Html, html};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 120.0;
const MARGIN: f64 = 12.0;

/// A value over time.
pub(super) struct Chart<'a> {
    /// What is drawn, in words.
    pub(super) title: &'a str,
    /// When, and the value; what is not finite is not drawn, and said.
    pub(super) points: Vec<(&'a str, f64)>,
    /// Where the claim ends.
    pub(super) limit: Option<f64>,
}

/// A number in four digits, with an exponent where it would otherwise be long.
pub(super) fn brief(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == 0.0 {
        return format!("{value}");
    }
    let text = if (1e-3..1e6).contains(&size) { format!("{value:.4}") } else { format!("{value:.3e}") };
    let (digits, exponent) = text.split_once('e').map_or((text.as_str(), None), |(d, e)| (d, Some(e)));
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    exponent.map_or_else(|| digits.to_owned(), |exponent| format!("{digits}e{exponent}"))
}

/// The name of a height, on the side of the picture where it is read, above the height unless that is its rim.
fn label(out: &mut Html, x: f64, y: f64, text: &str) {
    let above = if y < 2.0 * MARGIN { 14.0 } else { -6.0 };
    let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
    let y = format!("{:.1}", y + above);
    html!(out, "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, text);
}

impl Chart<'_> {
    /// Draw it; nothing when no point is finite. The table beside it holds the same values.
    pub(super) fn draw(&self, out: &mut Html) {
        let drawn: Vec<(&str, f64)> = self.points.iter().copied().filter(|(_, v)| v.is_finite()).collect();
        let lost = self.points.len() - drawn.len();
        if let (Some((first, _)), Some((last, newest))) = (drawn.first(), drawn.last()) {
            let limit = self.limit.filter(|limit| limit.is_finite());
            let values = || drawn.iter().map(|(_, value)| *value).chain(limit);
            // Errors range over decades; zero and what is below has no logarithm.
            let log = values().all(|value| value > 0.0);
            let scale = |value: f64| if log { value.log10() } else { value };
            let (mut low, mut high) = values()
                .map(scale)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
            if high <= low {
                (low, high) = (low - 0.5, high + 0.5);
            }
            let y = |value: f64| MARGIN + (high - scale(value)) / (high - low) * (HEIGHT - 2.0 * MARGIN);
            #[expect(clippy::cast_precision_loss, reason = "records are counted in hundreds")]
            let step = (WIDTH - 2.0 * MARGIN) / drawn.len().saturating_sub(1).max(1) as f64;
            #[expect(clippy::cast_precision_loss, reason = "records are counted in hundreds")]
            let x = |at: usize| MARGIN + step * at as f64;
            let bound = limit.map(|limit| format!(", the claim ends at {limit:e}")).unwrap_or_default();
            let axis = if log { ", logarithmic" } else { "" };
            let newest = brief(*newest);
            html!(
                out,
                "<figure><figcaption>{} ({} record(s), {} to {}{}{})</figcaption>",
                self.title,
                drawn.len(),
                first,
                last,
                axis,
                bound
            );
            html!(out, "<svg role=\"img\" viewBox=\"0 0 {} {}\" width=\"{}\" ", WIDTH, HEIGHT, WIDTH);
            html!(out, "aria-label=\"{}: newest {}{}\">\n", self.title, newest, bound);
            if let Some(limit) = limit {
                let at = y(limit);
                let (y, name) = (format!("{at:.1}"), format!("{limit:e}"));
                html!(out, "<line class=\"limit\" x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n", WIDTH, y, y);
                // Where the newest value is not named.
                label(out, if drawn.len() > 1 { MARGIN } else { WIDTH - MARGIN }, at, &name);
            }
            let line: Vec<String> =
                drawn.iter().enumerate().map(|(at, (_, v))| format!("{:.1},{:.1}", x(at), y(*v))).collect();
            html!(out, "<polyline class=\"trace\" points=\"{}\"/>\n", line.join(" "));
            for (at, (when, value)) in drawn.iter().enumerate() {
                let (x, y, value) =
                    (format!("{:.1}", x(at)), format!("{:.1}", y(*value)), format!("{value:e}"));
                html!(
                    out,
                    "<circle class=\"mark\" cx=\"{}\" cy=\"{}\" r=\"3\"><title>{}: {}</title></circle>\n",
                    x,
                    y,
                    when,
                    value
                );
            }
            if let Some((_, value)) = drawn.last() {
                label(out, x(drawn.len() - 1), y(*value), &newest);
            }
            html!(out, "</svg></figure>\n");
        }
        if lost > 0 {
            html!(out, "<p>{} of {} values are not finite and not drawn.</p>\n", lost, self.points.len());
        }
    }
}
