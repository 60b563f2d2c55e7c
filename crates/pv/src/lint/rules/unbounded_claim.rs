use contract::Loaded;
use contract::claim::Better;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A claim measures something and sets no bound on it.
    ///
    /// ## Why is this bad?
    /// Every value would do, so no run could show the claim false.
    ///
    /// ## Example
    /// ```yaml
    /// claim: {metric: max_abs}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_most: 1.0e-6}, why: about 8 ulp}
    /// ```
    "unbounded-claim", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Some(claim) = &falsifier.claim else { continue };
        let info = claim.metric.info();
        if let (Some(better), None) = (info.better, &claim.bound) {
            let key = match better {
                Better::Smaller => "at_most",
                Better::Larger => "at_least",
            };
            let message = format!("the claim of `{}` measures {} and sets no bound", falsifier.id, info.name);
            sink.at(loaded, &format!("{pointer}/claim/metric"), message)
                .help(format!("write `bound: {{{key}: ...}}` and `why:`"));
        }
    }
}
