use crate::binding::{Bindings, Defect, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A bound test carries `#[ignore]` and its binding does not say so, or the other way round.
    ///
    /// ## Why is this bad?
    /// An ignored test does not run with the others. A binding that knows nothing of it waits for evidence that never comes.
    ///
    /// ## Example
    /// ```rust
    /// #[falsifier("FALSIFY-ROUTER-001")]
    /// #[ignore]
    /// fn weights(claim: &mut Claim) {}
    /// ```
    ///
    /// ## Instead
    /// Remove `#[ignore]`, or write `ignored: true` and `needs:` in the binding.
    "ignored-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        if found.resolution.state == State::BoundButIgnored {
            let message = format!("`{}` is bound to a test with `#[ignore]`", found.id);
            sink.add(&found.file.source, found.span(), message)
                .help("remove the attribute, or write `ignored: true` and `needs:`");
        }
        for defect in &found.resolution.defects {
            if let Defect::NotIgnored { test } = defect {
                let message = format!("`{}` says `ignored: true` and {test} is not", found.id);
                sink.add(&found.file.source, found.span(), message).help("remove `ignored`");
            }
        }
    }
}
