use contract::Loaded;
use contract::schema::Falsifier;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A falsifier is bound to nothing: no test, review or command, and not even a note why.
    ///
    /// ## Why is this bad?
    /// It will never run, and it is counted among the claims of the contract all the same.
    ///
    /// ## Example
    /// ```yaml
    /// - {id: FALSIFY-ROUTER-001, rule: weights sum to one, prediction: they do, if_fails: route.rs}
    /// ```
    ///
    /// ## Instead
    /// Bind it, or say why not:
    /// ```yaml
    ///   proposed: {reason: waits for the tracing of routes}
    /// ```
    "unbound-falsifier", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Falsifier { test, review, command, proposed, .. } = falsifier;
        if test.is_none() && review.is_none() && command.is_none() && proposed.is_none() {
            let message = format!("falsifier `{}` is bound to nothing", falsifier.id);
            sink.at(loaded, &format!("{pointer}/id"), message)
                .help("write `test:`, `review:`, `command:`, or `proposed: {reason: ...}`");
        }
    }
}
