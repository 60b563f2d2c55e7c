use crate::binding::{Bindings, Part, State};
use crate::lint::{Check, Sink, resolutions};
use crate::workspace::Workspace;

rule! {
    /// A falsifier is bound to a test that is not compiled.
    ///
    /// ## Why is this bad?
    /// It was renamed, deleted, moved to another target, stands in a comment or behind a `cfg` that is never on, or never existed.
    /// Nothing runs for the claim.
    ///
    /// ## Example
    /// ```yaml
    /// test: cargo test -p tests --test it router::wieghts
    /// ```
    ///
    /// ## Instead
    /// Correct package, target or path; the finding says what is near. `cargo test -p PACKAGE --test TARGET -- --list` prints the
    /// paths.
    "missing-test", Error, &[Check::Bindings(check)]
}

fn check(workspace: &Workspace, bindings: &Bindings, sink: &mut Sink<'_>) {
    for found in resolutions(workspace, bindings) {
        let (message, label) = match &found.resolution.state {
            State::Missing { what: Part::Prefix, .. } => continue,
            State::Missing { what, meant, note } => {
                let named = match (what, &found.resolution.declared) {
                    (Part::Package, Some(test)) => format!(" `{}`", test.package),
                    (Part::Target, Some(test)) => format!(" `{}`", test.target),
                    (Part::Test, Some(test)) => format!(" `{}`", test.path.as_deref().unwrap_or_default()),
                    _ => String::new(),
                };
                let meant = meant.as_ref().map(|meant| format!("did you mean `{meant}`?"));
                (format!("there is no {}{named}", what.name()), meant.or_else(|| note.clone()))
            }
            State::WrongTarget { found } => {
                let places = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                ("the test is in another target".to_owned(), Some(format!("it is {places}")))
            }
            State::Unreadable { reason } => ("the binding names no test".to_owned(), Some(reason.clone())),
            _ => continue,
        };
        let finding = sink.add(&found.file.source, found.span(), format!("`{}`: {message}", found.id));
        finding.label = label;
    }
}
