use contract::Loaded;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A bound stands without a word on why it is what it is.
    ///
    /// ## Why is this bad?
    /// The next reader cannot tell a derived tolerance from one that was raised until the test passed.
    ///
    /// ## Example
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_most: 1.0e-3}}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_most: 1.0e-6}, why: f32 softmax over 128 experts, about 8 ulp}
    /// ```
    "unexplained-bound", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        if falsifier.claim.as_ref().is_some_and(|claim| claim.bound.is_some() && claim.why.is_none()) {
            let message = format!("the bound of `{}` has no `why`", falsifier.id);
            sink.at(loaded, &format!("{pointer}/claim/bound"), message)
                .help("write `why:` beside it: where the number comes from");
        }
    }
}
