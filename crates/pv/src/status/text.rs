//! A status as a table for the terminal. Every line of counts carries its denominator.

use contract::evidence::Outcome;
use contract::status::derive::{Derived, HostState};
use contract::status::facts::RecordFacts;
use contract::status::propagate::{ContractReport, FalsifierReport, StageReport, Status};
use contract::status::summary::{SumError, Summary};
use std::fmt::Write as _;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One line per falsifier.
    Lines,
    /// And everything that keeps each from the next rung.
    Why,
}

/// The whole status.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn all(status: &Status, detail: Detail) -> Result<String, SumError> {
    let mut text = String::new();
    for report in &status.contracts {
        contract(&mut text, report, detail);
        text.push('\n');
    }
    text.push_str(&totals(status)?);
    Ok(text)
}

/// The lines of counts.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn totals(status: &Status) -> Result<String, SumError> {
    let stages: Vec<_> = status.contracts.iter().flat_map(|contract| &contract.stages).collect();
    let contracts = Summary::count(
        "contracts",
        status.contracts.len(),
        status.contracts.iter().map(|contract| contract.transitive),
    )?;
    let shipped = Summary::count("stages", stages.len(), stages.iter().map(|stage| stage.transitive))?;
    let mut text = format!("falsifiers: {}\n", status.falsifiers);
    let _ = writeln!(text, "contracts: {contracts}");
    if !stages.is_empty() {
        let _ = writeln!(text, "stages: {shipped}");
    }
    let declared = status.falsifiers.declared;
    for (count, what) in [
        (
            status.unresolved,
            "have an unresolved binding: their status is the best it can be (`pv check` compiles)",
        ),
        (status.skipped, "were skipped by a fresh run, which counts for nothing"),
        (status.faultless, "declare that there is no fault to plant"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{count} of {declared} {what}");
        }
    }
    Ok(text)
}

/// One contract.
pub fn contract(text: &mut String, report: &ContractReport, detail: Detail) {
    let _ = write!(text, "{}  {}", report.id, report.transitive);
    if report.transitive != report.direct {
        let held: Vec<_> = report.held_by.iter().map(ToString::to_string).collect();
        let _ = write!(text, " (by itself {}; held by {})", report.direct, held.join(", "));
    }
    let _ = writeln!(text, "  {}", report.summary);
    let width = report.falsifiers.iter().map(|f| f.id.as_str().len()).max().unwrap_or(0);
    let label = report.falsifiers.iter().map(|f| f.derived.label().len()).max().unwrap_or(0);
    for falsifier in &report.falsifiers {
        let FalsifierReport { id, rule, derived } = falsifier;
        let _ = writeln!(text, "  {:width$}  {:label$}  {rule}", id.as_str(), derived.label());
        if detail == Detail::Why {
            reasons(text, derived, "      ");
        }
    }
    for stage in &report.stages {
        let _ = writeln!(text, "  {}", stage_line(stage));
    }
}

/// One stage.
#[must_use]
pub fn stage_line(stage: &StageReport) -> String {
    let mut line = format!(
        "stage {}  {}  {} of {} accepted",
        stage.id, stage.transitive, stage.satisfied, stage.accepts
    );
    if stage.transitive != stage.direct {
        let held: Vec<_> = stage.held_by.iter().map(ToString::to_string).collect();
        let _ = write!(line, " (by itself {}; held by {})", stage.direct, held.join(", "));
    }
    line
}

/// One falsifier, with everything that is known of it.
#[must_use]
pub fn falsifier(report: &FalsifierReport) -> String {
    let FalsifierReport { id, rule, derived } = report;
    let mut text = format!("{id}  {}\n  {rule}\n", derived.label());
    reasons(&mut text, derived, "  ");
    for (host, state) in &derived.hosts {
        let _ = writeln!(text, "  host {host}: {}", host_line(state));
    }
    for (fault, state) in &derived.faults {
        let _ = writeln!(text, "  fault {fault}: {state}");
    }
    text
}

/// Why a falsifier's status is no better, and what the contract says of it.
fn reasons(text: &mut String, derived: &Derived, indent: &str) {
    if let Some(status) = derived.without_waiver {
        let _ = writeln!(text, "{indent}waived; {status} without the waiver");
    }
    if let Some(declared) = derived.over_claimed() {
        let _ = writeln!(text, "{indent}the contract says {declared}, which does not follow");
    }
    for lack in &derived.lacks {
        let _ = writeln!(text, "{indent}{lack}");
    }
}

/// What is known of a falsifier on one host class.
#[must_use]
pub fn host_line(state: &HostState) -> String {
    let mut parts = Vec::new();
    match (&state.failure, &state.pass) {
        (Some(failure), _) => parts.push(format!("fails: {failure}")),
        (None, Some(pass)) => parts.push(format!("passed ({pass})")),
        (None, None) if state.stale.is_empty() => parts.push("no fresh result".to_owned()),
        (None, None) => {
            let axes: Vec<_> = state.stale.iter().map(|axis| axis.name()).collect();
            let since = state.stale_since.as_deref().map(|commit| format!(" since commit {commit}"));
            parts.push(format!("stale in {}{}", axes.join(", "), since.unwrap_or_default()));
        }
    }
    parts.extend(state.skipped.iter().map(|reason| format!("skipped: {reason}")));
    parts.extend(state.errors.iter().map(|message| format!("broke: {message}")));
    if state.unsigned > 0 {
        parts.push(format!("{} unsigned record(s) do not count", state.unsigned));
    }
    parts.join("; ")
}

/// One record.
#[must_use]
pub fn record_line(record: &RecordFacts) -> String {
    let outcome = match &record.outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed { message, .. } => format!("failed: {message}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
        Outcome::Error { message } => format!("broke: {message}"),
    };
    let fault = record.fault.as_ref().map(|f| format!(" with {f} ({} hits)", record.fault_hits));
    let worst = record.measure.as_ref().and_then(|measure| measure.worst.as_ref());
    let worst = worst.map(|worst| format!(", worst {worst}")).unwrap_or_default();
    format!("{}{}: {outcome}{worst}", record.file, fault.unwrap_or_default())
}
