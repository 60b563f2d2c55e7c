//! What builds on what, as SVG in layers: what nothing stands below is left, what builds on it right of it.

use super::page::{Html, html};
use super::{Basis, contract_link, contract_path, end_table, table, tone, word};
use std::collections::BTreeMap;

const BOX: (usize, usize) = (230, 44);
const GAP: (usize, usize) = (70, 16);
/// Characters of a label that fit into a box.
const FITS: usize = 30;

/// One box.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) tone: &'static str,
    /// What stands below the label.
    pub(super) note: String,
}

/// Boxes and from each the boxes that it builds on.
#[derive(Debug, Default)]
pub(super) struct Layout {
    names: BTreeMap<String, usize>,
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
}

impl Layout {
    pub(super) fn node(&mut self, name: &str, node: Node) {
        self.names.insert(name.to_owned(), self.nodes.len());
        self.nodes.push(node);
    }

    /// An edge to what is no node is left out; the table beside the picture names it.
    pub(super) fn edge(&mut self, from: &str, to: &str) {
        if let (Some(from), Some(to)) = (self.names.get(from), self.names.get(to)) {
            self.edges.push((*from, *to));
        }
    }

    /// The layer of each node: one more than the highest that it builds on. A circle ends after as many rounds as
    /// there are nodes.
    fn layers(&self) -> Vec<usize> {
        let mut layers = vec![0; self.nodes.len()];
        for _ in 0..self.nodes.len() {
            let mut changed = false;
            for (from, to) in &self.edges {
                let least = layers[*to] + 1;
                if layers[*from] < least && least < self.nodes.len() {
                    layers[*from] = least;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        layers
    }

    pub(super) fn draw(&self, out: &mut Html, caption: &str) {
        let layers = self.layers();
        let mut filled: BTreeMap<usize, usize> = BTreeMap::new();
        let mut columns: Vec<usize> = layers.clone();
        columns.sort_unstable();
        columns.dedup();
        let place = |layer: usize, row: usize| {
            let column = columns.iter().position(|one| *one == layer).unwrap_or(0);
            (8 + column * (BOX.0 + GAP.0), 8 + row * (BOX.1 + GAP.1))
        };
        let mut at = Vec::with_capacity(self.nodes.len());
        for layer in &layers {
            let row = filled.entry(*layer).or_insert(0);
            at.push(place(*layer, *row));
            *row += 1;
        }
        let width = 16 + columns.len() * (BOX.0 + GAP.0) - GAP.0.min(columns.len() * GAP.0);
        let height = 16 + filled.values().max().copied().unwrap_or(0) * (BOX.1 + GAP.1);
        html!(out, "<figure><figcaption>{}</figcaption>", caption);
        html!(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">", caption);
        html!(
            out,
            "<svg role=\"group\" aria-label=\"{}\" width=\"{}\" height=\"{}\" ",
            caption,
            width,
            height
        );
        html!(out, "style=\"max-width:none\" viewBox=\"0 0 {} {}\">\n", width, height);
        for (from, to) in &self.edges {
            let ((x1, y1), (x2, y2)) = (at[*from], at[*to]);
            let (y1, y2, x2) = (y1 + BOX.1 / 2, y2 + BOX.1 / 2, x2 + BOX.0);
            let middle = x1.midpoint(x2);
            html!(
                out,
                "<path class=\"edge\" d=\"M{} {} C{} {} {} {} {} {}\"/>\n",
                x1,
                y1,
                middle,
                y1,
                middle,
                y2,
                x2,
                y2
            );
        }
        for (node, (x, y)) in self.nodes.iter().zip(&at) {
            let Node { label, href, tone, note } = node;
            let mut shown: String = label.chars().take(FITS).collect();
            if shown.len() < label.len() {
                shown.push('…');
            }
            html!(out, "<a href=\"{}\" class=\"{}\" aria-label=\"{}: {}\">", href, tone, label, note);
            html!(out, "<title>{}: {}</title>", label, note);
            html!(
                out,
                "<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"/>",
                x,
                y,
                BOX.0,
                BOX.1
            );
            html!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 8, y + 18, shown);
            html!(out, "<text class=\"small\" x=\"{}\" y=\"{}\">{}</text></a>\n", x + 8, y + 35, note);
        }
        html!(out, "</svg></div></figure>\n");
    }
}

pub(super) fn content(basis: Basis<'_>) -> Html {
    let reports = &basis.status.contracts;
    let mut layout = Layout::default();
    for report in reports {
        let tone = tone(report.transitive);
        let (label, note) = (report.id.to_string(), report.transitive.to_string());
        layout.node(report.id.as_str(), Node { href: contract_path(&report.id), tone, note, label });
    }
    for contract in basis.contracts {
        for below in &contract.metadata.depends_on {
            layout.edge(contract.metadata.id.as_str(), below.as_str());
        }
    }
    let mut out = Html::default();
    html!(out, "<h1>What builds on what</h1>\n");
    layout.draw(&mut out, "Contracts, those that build on nothing left");
    table(&mut out, "edges", "The same as a table", true, &["Contract", "Status", "Builds on"]);
    for contract in basis.contracts {
        let id = &contract.metadata.id;
        let report = reports.iter().find(|report| report.id == *id);
        html!(out, "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>", contract_path(id), id);
        html!(out, "<td>");
        if let Some(report) = report {
            word(&mut out, report.transitive);
        }
        html!(out, "</td><td>");
        for (at, below) in contract.metadata.depends_on.iter().enumerate() {
            html!(out, "{}", if at > 0 { ", " } else { "" });
            contract_link(&mut out, "", below, reports);
        }
        html!(out, "</td></tr>\n");
    }
    end_table(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stands_right_of_what_it_builds_on_and_a_circle_ends() {
        let mut layout = Layout::default();
        for name in ["a", "b", "c"] {
            let (label, href, note) = (name.to_owned(), String::new(), String::new());
            layout.node(name, Node { label, href, tone: "calm", note });
        }
        layout.edge("a", "b");
        layout.edge("b", "c");
        layout.edge("b", "elsewhere");
        assert_eq!(layout.layers(), [2, 1, 0]);
        layout.edge("c", "a");
        let layers = layout.layers();
        assert!(layers.iter().all(|layer| *layer < 3), "{layers:?}");
        layout.draw(&mut Html::default(), "a circle is drawn too");
    }
}
