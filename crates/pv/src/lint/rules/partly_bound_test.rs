use crate::binding::{Bindings, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A bound test is compiled under some profiles only, or its executable cannot be asked for its tests here.
    ///
    /// ## Why is this bad?
    /// It is not: such is the life of a GPU test. But a reader should know where the binding was checked.
    ///
    /// ## Example
    /// A test behind `#[cfg(feature = "cuda")]`, seen from a profile without the feature.
    ///
    /// ## Instead
    /// Nothing to do. `pv doctor` says which profile would run it.
    "partly-bound-test", Note, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        let message = match &found.resolution.state {
            State::BoundOnlyUnder { profiles } => {
                let profiles = profiles.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                format!("`{}` is bound under profile {profiles} only", found.id)
            }
            State::UnlistableHere { reason } => format!("`{}` cannot be listed here: {reason}", found.id),
            _ => continue,
        };
        sink.add(&found.file.source, found.span(), message);
    }
}
