use contract::Loaded;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A falsifier runs a test or a command and states no claim.
    ///
    /// ## Why is this bad?
    /// Without a claim there is nothing that the run measures: a green test shows that something did not panic.
    ///
    /// ## Example
    /// ```yaml
    /// - id: FALSIFY-ROUTER-001
    ///   test: cargo test -p tests --test it router::weights
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// - id: FALSIFY-ROUTER-001
    ///   claim: {metric: max_abs, bound: {at_most: 1.0e-6}, why: about 8 ulp}
    ///   test: cargo test -p tests --test it router::weights
    /// ```
    /// A yes-or-no property has `metric: predicate`.
    "claimless-falsifier", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        if falsifier.claim.is_none() && (falsifier.test.is_some() || falsifier.command.is_some()) {
            let message = format!("falsifier `{}` runs something and claims nothing", falsifier.id);
            sink.at(loaded, &format!("{pointer}/id"), message)
                .help("write `claim: {metric: ...}`; a yes-or-no property has `metric: predicate`");
        }
    }
}
