use crate::binding::{Bindings, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// Nobody can say whether a bound test exists: no profile that builds its package could be built.
    ///
    /// ## Why is this bad?
    /// A test that does not compile runs nowhere.
    ///
    /// ## Example
    /// A compile error in the tests of the package.
    ///
    /// ## Instead
    /// Repair the build; the finding gives its first error.
    "unresolved-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        if let State::Unresolved { reason } = &found.resolution.state {
            let message = format!("`{}`: its test could not be compiled", found.id);
            sink.add(&found.file.source, found.span(), message).label(reason.clone());
        }
    }
}
