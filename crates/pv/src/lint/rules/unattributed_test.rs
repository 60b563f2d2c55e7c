use crate::binding::{Bindings, Defect};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A bound test does not carry the attribute of its falsifier.
    ///
    /// ## Why is this bad?
    /// Contract and test must name each other. Without the attribute the test does not know the bound, records nothing, and may
    /// be rewritten by somebody who never heard of the claim.
    ///
    /// ## Example
    /// ```rust
    /// #[test]
    /// fn weights() {}
    /// ```
    ///
    /// ## Instead
    /// ```rust
    /// #[falsifier("FALSIFY-ROUTER-001")]
    /// fn weights(claim: &mut Claim) {}
    /// ```
    "unattributed-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        for defect in &found.resolution.defects {
            if let Defect::Unattributed { test, carries } = defect {
                let message = format!("{test} does not carry `#[falsifier(\"{}\")]`", found.id);
                let finding = sink.add(&found.file.source, found.span(), message);
                if !carries.is_empty() {
                    let carries = carries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    finding.label(format!("it carries {carries}"));
                }
            }
        }
    }
}
