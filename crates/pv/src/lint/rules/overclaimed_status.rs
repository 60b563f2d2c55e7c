use contract::Loaded;
use contract::schema::Falsifier;
use contract::status::FalsifierStatus;
use contract::walk::Dialect;
use contract::yaml::Node;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A falsifier's author expects a status that what is written around it rules out.
    ///
    /// ## Why is this bad?
    /// A status is derived from evidence. One that nothing can support is a wish, and a reader takes it for a result.
    ///
    /// ## Example
    /// ```yaml
    /// proposed: {reason: waits for tracing}
    /// status: DISCHARGED
    /// ```
    ///
    /// ## Instead
    /// Remove the status, or write the one that can be reached: a proposed falsifier is PROPOSED, one without faults and without
    /// `faults: {none: ...}` at most FUNCTIONAL, one bound to prose PROPOSED.
    "overclaimed-status", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Some(claimed) = falsifier.status else { continue };
        let Some((most, why)) = most(falsifier) else { continue };
        if claimed.rung() > most.rung() {
            let message = format!("`{}` is said to be {claimed} and is at most {most}", falsifier.id);
            sink.at(loaded, &format!("{pointer}/status"), message).label(why);
        }
    }
    if loaded.dialect == Dialect::Legacy {
        legacy(loaded, sink);
    }
}

/// The most that a falsifier can be by what is written, and why.
fn most(falsifier: &Falsifier) -> Option<(FalsifierStatus, &'static str)> {
    if falsifier.proposed.is_some() {
        return Some((FalsifierStatus::Proposed, "nothing is bound"));
    }
    if falsifier.test.is_some() && falsifier.faults.is_none() {
        return Some((FalsifierStatus::Functional, "no fault is declared"));
    }
    None
}

/// A legacy falsifier whose test is prose has no evidence at all.
fn legacy(loaded: &Loaded, sink: &mut Sink<'_>) {
    let falsifiers = loaded.tree.as_ref().and_then(|tree| tree.at("/falsification_tests"));
    for falsifier in falsifiers.map(Node::items).unwrap_or_default() {
        let (Some(status), Some(test)) = (falsifier.get("status"), falsifier.get("test")) else { continue };
        let claimed = status.text().unwrap_or_default();
        let prose = test.text().is_some_and(|text| !text.trim_start().starts_with("cargo "));
        if prose && matches!(claimed, "DISCHARGED" | "FUNCTIONAL" | "ALGORITHM_LEVEL_DISCHARGED") {
            let id = falsifier.get("id").and_then(Node::text).unwrap_or_default();
            let message = format!("`{id}` is said to be {claimed} and is at most PROPOSED");
            sink.add(&loaded.source, status.span, message).label("its test is prose");
        }
    }
}
