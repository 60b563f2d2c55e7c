use contract::Loaded;
use contract::claim::{Better, Bound, Metric, MetricInfo};
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A bound does not fit its metric: the wrong direction, a unit that is missing or means nothing, a value that no run can
    /// reach, or any bound at all on a yes-or-no metric.
    ///
    /// ## Why is this bad?
    /// An error that must be *at least* something passes when the code is wrong, and a throughput without a unit is a number.
    ///
    /// ## Example
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_least: 1.0e-6}}
    /// claim: {metric: throughput, bound: {at_least: 500}}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// claim: {metric: max_abs, bound: {at_most: 1.0e-6}}
    /// claim: {metric: throughput, bound: {at_least: 500, unit: tok/s}}
    /// ```
    "unfit-bound", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Some((claim, bound)) = falsifier.claim.as_ref().and_then(|claim| Some((claim, claim.bound.as_ref()?)))
        else {
            continue;
        };
        for (key, message) in misfits(claim.metric, bound) {
            sink.at(loaded, &format!("{pointer}/claim/bound{key}"), message);
        }
    }
}

/// What is wrong with a bound, each at the key under `bound` that it is about.
fn misfits(metric: Metric, bound: &Bound) -> Vec<(&'static str, String)> {
    let MetricInfo { name, better, unit, what, .. } = metric.info();
    let Some(better) = better else {
        return vec![("", format!("`{name}` holds or does not ({what}); it takes no bound"))];
    };
    let mut found = Vec::new();
    match (better, bound.at_most, bound.at_least) {
        // A number of things may be bounded from either side.
        _ if metric == Metric::Count => {}
        (Better::Smaller, _, Some(_)) => {
            found.push(("/at_least", format!("`{name}` is better when smaller; bound it with `at_most`")));
        }
        (Better::Larger, Some(_), _) => {
            found.push(("/at_most", format!("`{name}` is better when larger; bound it with `at_least`")));
        }
        _ => {}
    }
    if let (Better::Smaller, Some(value @ ..0.0)) = (better, bound.at_most) {
        found.push(("/at_most", format!("`{name}` is never below zero, so it is never at most {value}")));
    }
    if let (Metric::Cosine, Some(value)) = (metric, bound.at_least)
        && value > 1.0
    {
        found.push(("/at_least", format!("a cosine is never above one, so it is never at least {value}")));
    }
    match (unit, &bound.unit) {
        (true, None) => found.push(("", format!("a bound on `{name}` needs a unit"))),
        (false, Some(_)) if !matches!(metric, Metric::Count | Metric::Ratio) => {
            found.push(("/unit", format!("`{name}` has no unit")));
        }
        _ => {}
    }
    found
}
