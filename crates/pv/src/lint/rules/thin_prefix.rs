use crate::binding::{Bindings, Defect, Part, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// Fewer tests start with a binding's prefix than it asks for.
    ///
    /// ## Why is this bad?
    /// One of the tests that the claim rests on was renamed or deleted, and the others stay green.
    ///
    /// ## Example
    /// ```yaml
    /// test: {package: tests, target: "test:it", prefix: "router::case_", at_least: 5}    # four are left
    /// ```
    ///
    /// ## Instead
    /// Bring the test back, or lower `at_least` and say in the change why four are enough.
    "thin-prefix", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        if let State::Missing { what: Part::Prefix, meant, .. } = &found.resolution.state {
            let message = format!("`{}`: no test starts with the prefix", found.id);
            let finding = sink.add(&found.file.source, found.span(), message);
            finding.label = meant.as_ref().map(|meant| format!("did you mean `{meant}`?"));
        }
        for defect in &found.resolution.defects {
            if let Defect::TooFew { found: there, at_least } = defect {
                let message = format!("`{}`: {there} tests start with the prefix", found.id);
                sink.add(&found.file.source, found.span(), message)
                    .label(format!("there must be at least {at_least}"));
            }
        }
    }
}
