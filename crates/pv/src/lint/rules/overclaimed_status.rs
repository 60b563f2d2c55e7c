use contract::Loaded;
use contract::evidence::Outcome;
use contract::id::FaultName;
use contract::schema::{Falsifier, Faults};
use contract::status::FalsifierStatus;
use contract::status::facts::RecordFacts;
use crate::evidence::index::Index;
use crate::evidence::store::Store;
use crate::workspace::Workspace;
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
    /// `faults: {none: ...}` at most FUNCTIONAL, one bound to prose PROPOSED. What has no committed record of a pass is at
    /// most ALGORITHM_LEVEL_DISCHARGED, and FUNCTIONAL without one for each host class and each caught fault. Whether
    /// records still count for the content of the tree is for `pv status` to say.
    "overclaimed-status", Error, &[Check::File(check), Check::Workspace(by_evidence)]
}

/// Hold every status above the one that needs no record against the committed ones.
fn by_evidence(workspace: &Workspace, sink: &mut Sink<'_>) {
    let Some(root) = &workspace.repository.root else { return };
    let claimed = |falsifier: &Falsifier| {
        let rung = falsifier.status.map(FalsifierStatus::rung);
        // What is ruled out by what is written is found without records.
        rung > Some(FalsifierStatus::AlgorithmLevelDischarged.rung()) && most(falsifier).is_none()
    };
    let mut index: Option<Result<Index, String>> = None;
    for (file, contract) in workspace.bound().filter(|(file, _)| file.rooted) {
        for (at, falsifier) in contract.falsification_tests.iter().enumerate().filter(|(_, f)| claimed(f)) {
            let span = file.span(&format!("/falsification_tests/{at}/status"));
            let read = || {
                let kept = root.dir().join("target/pv/evidence.index");
                Index::read(&Store::committed(root.dir()), &kept).map_err(|error| error.to_string())
            };
            let records = match index.get_or_insert_with(read) {
                Ok(index) => index.records.get(&falsifier.id).map(Vec::as_slice).unwrap_or_default(),
                Err(error) => {
                    sink.add(&file.source, span, format!("the evidence cannot be read: {error}"));
                    return;
                }
            };
            let Some((most, why)) = recorded(falsifier, records) else { continue };
            let Some(claimed) = falsifier.status.filter(|claimed| claimed.rung() > most.rung()) else { continue };
            let message = format!("`{}` is said to be {claimed} and is at most {most}", falsifier.id);
            sink.add(&file.source, span, message).label(why);
        }
    }
}

/// The most that committed records can make of a falsifier, and why it is no more; none when they rule nothing out.
fn recorded(falsifier: &Falsifier, records: &[RecordFacts]) -> Option<(FalsifierStatus, String)> {
    let passes: Vec<_> = records.iter().filter(|r| r.fault.is_none() && r.outcome.is_pass()).collect();
    if passes.is_empty() {
        let why = "there is no committed record of a pass".to_owned();
        return Some((FalsifierStatus::AlgorithmLevelDischarged, why));
    }
    let host = falsifier.hosts.iter().find(|host| passes.iter().all(|record| record.host.class != **host));
    if let Some(host) = host {
        return Some((FalsifierStatus::Functional, format!("there is none of host class `{host}`")));
    }
    let Some(Faults::Named(faults)) = &falsifier.faults else { return None };
    let caught = |fault: &&FaultName| {
        let of_fault = records.iter().filter(|record| record.fault.as_ref() == Some(*fault));
        of_fault.into_iter().any(|record| matches!(record.outcome, Outcome::Failed { .. }))
    };
    let fault = faults.iter().find(|fault| !caught(fault))?;
    Some((FalsifierStatus::Functional, format!("there is none of fault `{fault}` being caught")))
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
