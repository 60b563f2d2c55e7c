use crate::binding::{Bindings, Stray};
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;
use contract::outline::Item;
use contract::source::Source;
use std::collections::HashSet;

rule! {
    /// A test names a falsifier that does not name it.
    ///
    /// ## Why is this bad?
    /// It records evidence for a claim that rests on another test, or on none.
    ///
    /// ## Example
    /// ```rust
    /// #[falsifier("FALSIFY-ROUTER-001")]
    /// fn old_weights(claim: &mut Claim) {}      // the contract names router::weights
    /// ```
    ///
    /// ## Instead
    /// Bind the falsifier to the test, or make it a plain `#[test]`.
    "stray-attribute", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    let named = workspace.files.iter().filter(|file| file.named).filter_map(|file| file.analysis.outline.as_ref());
    let asked: HashSet<&str> =
        named.flat_map(|outline| outline.defined(Item::Falsifier)).map(|falsifier| &*falsifier.name).collect();
    for Stray { test, marker, declared } in &bindings.strays {
        // Of a part of the contracts, only its own falsifiers are of interest.
        if !workspace.is_whole() && !asked.contains(marker.id.as_str()) {
            continue;
        }
        let why = if *declared { "which is bound to another test" } else { "which no contract declares" };
        let message = format!("{test} names `{}`, {why}", marker.id);
        // A file that is gone since has no line to show.
        let source = workspace.source(&marker.file).unwrap_or_else(|| Source::new(&marker.file, ""));
        sink.add(&source, source.line(marker.line), message);
    }
}
