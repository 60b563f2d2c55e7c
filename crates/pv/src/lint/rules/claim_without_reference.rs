use contract::Loaded;
use contract::claim::Metric;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A claim compares and does not say with what.
    ///
    /// ## Why is this bad?
    /// "Equal" to what? Parity with another backend and equality with a float64 reference are different claims.
    ///
    /// ## Example
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_most: 1.0e-6}, why: about 8 ulp}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// claim:
    ///   metric: max_abs
    ///   bound: {at_most: 1.0e-6}
    ///   why: about 8 ulp
    ///   reference: {kind: data, path: tests/data/router.safetensors}
    /// ```
    /// The kinds are `data` (a file), `backend` (`cpu:exact`) and `analytic` (a law, named in `name`).
    "claim-without-reference", Warning, &[Check::File(check)]
}

/// The metrics that are a distance between two things.
const COMPARISONS: &[Metric] = &[
    Metric::Bitwise,
    Metric::Ulp,
    Metric::MaxAbs,
    Metric::RelL2,
    Metric::Nmse,
    Metric::Cosine,
    Metric::Kl,
    Metric::Argmax,
    Metric::TopkSet,
];

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Some(claim) = &falsifier.claim else { continue };
        if COMPARISONS.contains(&claim.metric) && claim.reference.is_none() {
            let name = claim.metric.info().name;
            let message = format!("the claim of `{}` compares ({name}) and names no reference", falsifier.id);
            sink.at(loaded, &format!("{pointer}/claim/metric"), message)
                .help("write `reference: {kind: data|backend|analytic, ...}`");
        }
    }
}
