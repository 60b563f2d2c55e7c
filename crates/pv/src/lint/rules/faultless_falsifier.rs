use contract::Loaded;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A test is never shown to fail: its falsifier names no planted fault, and no reason why there is none.
    ///
    /// ## Why is this bad?
    /// A test that cannot fail passes for ever. Only a falsifier that has caught a fault becomes DISCHARGED.
    ///
    /// ## Example
    /// ```yaml
    /// test: cargo test -p tests --test it router::weights
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// test: cargo test -p tests --test it router::weights
    /// faults: [router-skip-renorm]
    /// ```
    /// with `if fault!("router-skip-renorm") { ... }` in the code at the place where it would go wrong, or, rarely,
    /// `faults: {none: the reason}`.
    "faultless-falsifier", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        if falsifier.test.is_some() && falsifier.faults.is_none() {
            let message = format!("no fault shows that `{}` can fail", falsifier.id);
            sink.at(loaded, &format!("{pointer}/id"), message)
                .help("write `faults: [name]`, or `faults: {none: reason}`");
        }
    }
}
