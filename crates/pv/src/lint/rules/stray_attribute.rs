use crate::binding::{Bindings, Stray};
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

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
    for Stray { test, marker, declared } in &bindings.strays {
        let why = if *declared { "which is bound to another test" } else { "which no contract declares" };
        let message = format!("{test} names `{}`, {why}", marker.id);
        let Some(source) = workspace.source(&marker.file) else { continue };
        sink.add(&source, source.line(marker.line), message);
    }
}
