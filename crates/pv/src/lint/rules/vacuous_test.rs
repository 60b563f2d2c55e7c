use crate::binding::{Bindings, Defect};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A bound test cannot show its claim false: its body is empty, compares nothing through its claim, or returns first.
    ///
    /// ## Why is this bad?
    /// It is green whatever the code does. An `assert!` stops at the first failure and leaves no measure; only comparisons through
    /// the claim count.
    ///
    /// ## Example
    /// ```rust
    /// #[falsifier("FALSIFY-ROUTER-001")]
    /// fn weights(claim: &mut Claim) {
    ///     let _ = route(&input());
    /// }
    /// ```
    ///
    /// ## Instead
    /// ```rust
    /// #[falsifier("FALSIFY-ROUTER-001")]
    /// fn weights(claim: &mut Claim) {
    ///     claim.compare(&expected(), &route(&input()));
    /// }
    /// ```
    "vacuous-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        for defect in &found.resolution.defects {
            if let Defect::Vacuous { test, vacuity } = defect {
                let message = format!("`{}` is bound to {test}, which cannot fail", found.id);
                sink.add(&found.file.source, found.span(), message).label(vacuity.to_string());
            }
        }
    }
}
