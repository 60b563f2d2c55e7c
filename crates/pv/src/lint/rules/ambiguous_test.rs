use crate::binding::{Bindings, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A binding's path is the end of several tests' paths and the whole path of none.
    ///
    /// ## Why is this bad?
    /// It is anybody's guess which test the claim rests on, and tomorrow another one.
    ///
    /// ## Example
    /// ```yaml
    /// path: weights        # there are router::weights and loader::weights
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// path: "router::weights"
    /// ```
    "ambiguous-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        if let State::Ambiguous { candidates } = &found.resolution.state {
            let paths = candidates.iter().map(|test| &*test.path).collect::<Vec<_>>().join(", ");
            let message = format!("`{}`: several tests end in this path", found.id);
            sink.add(&found.file.source, found.span(), message).label(format!("one of {paths}"));
        }
    }
}
