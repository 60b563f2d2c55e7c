use contract::outline::{Item, Link};
use crate::graph::{Edge, circles};
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;
use std::collections::HashMap;

rule! {
    /// Contracts depend on each other in a circle, or stages come after each other.
    ///
    /// ## Why is this bad?
    /// In a circle nothing can be shown first, so every claim in it rests on itself.
    ///
    /// ## Example
    /// ```yaml
    /// # a-v1.yaml                     # b-v1.yaml
    /// depends_on: [b-v1]              depends_on: [a-v1]
    /// ```
    ///
    /// ## Instead
    /// Move what both need into a third contract. The finding prints the whole circle.
    "cycle", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    contracts(workspace, sink);
    for file in &workspace.files {
        let Some(outline) = &file.analysis.outline else { continue };
        let stages: Vec<&str> = outline.defined(Item::Stage).map(|definition| &*definition.name).collect();
        if stages.is_empty() {
            continue;
        }
        let numbers: HashMap<&str, usize> = stages.iter().enumerate().rev().map(|(at, stage)| (*stage, at)).collect();
        let number = |name: &str| numbers.get(name).copied();
        let edges = outline.referring(Link::After).filter_map(|after| {
            Some(Edge { from: number(after.from.as_deref()?)?, to: number(&after.name)?, label: after.span })
        });
        for circle in circles(stages.len(), edges) {
            let path = circle.nodes.iter().map(|node| stages[*node]).collect::<Vec<_>>().join(" -> ");
            sink.add(&file.source, circle.label, format!("stages come after each other: {path}"));
        }
    }
}

fn contracts(workspace: &Workspace, sink: &mut Sink<'_>) {
    let edges = workspace.files.iter().enumerate().flat_map(|(from, file)| {
        let outline = file.analysis.outline.iter();
        outline.flat_map(|outline| outline.referring(Link::DependsOn)).filter_map(move |depends_on| {
            let site = |item| workspace.sites(file, item, &depends_on.name).first();
            let to = site(Item::Contract).or_else(|| site(Item::Alias))?.file;
            Some(Edge { from, to, label: (from, depends_on.span) })
        })
    });
    for circle in circles(workspace.files.len(), edges) {
        let names = circle.nodes.iter().map(|node| workspace.files[*node].stem());
        let path = names.collect::<Vec<_>>().join(" -> ");
        let (file, span) = circle.label;
        sink.add(&workspace.files[file].source, span, format!("contracts depend on each other: {path}"));
    }
}
