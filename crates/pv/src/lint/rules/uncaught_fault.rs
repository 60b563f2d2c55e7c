use contract::outline::Link;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;
use std::collections::HashSet;

rule! {
    /// A source plants a fault that no falsifier must catch.
    ///
    /// ## Why is this bad?
    /// It stands in the product code for nothing, or its falsifier lost it.
    ///
    /// ## Example
    /// `fault!("router-swap-experts")` in a source and in no contract.
    ///
    /// ## Instead
    /// Name it in `faults:` of the falsifier that would see it, or remove it.
    "uncaught-fault", Warning, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    // A part of the contracts cannot say that none of them names a fault.
    if !workspace.is_whole() {
        return;
    }
    let outlines = || workspace.files.iter().filter_map(|file| file.analysis.outline.as_ref());
    let named: HashSet<&str> =
        outlines().flat_map(|outline| outline.referring(Link::Fault)).map(|fault| &*fault.name).collect();
    for (fault, site) in workspace.faults() {
        if site.product && !named.contains(fault.as_str()) {
            sink.add(&site.source, site.span, format!("no falsifier must catch fault `{fault}`"))
                .help("name it in `faults:` of the falsifier that would see it");
        }
    }
}
