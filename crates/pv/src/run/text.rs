//! A run as text: what did not pass, what was not run and why, the faults and who caught them, and the counts.

use super::job::Left;
use super::{Catch, Done, Report};
use contract::evidence::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One result in one line.
#[must_use]
pub fn line(done: &Done) -> String {
    let (word, message) = match &done.outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed { message, .. } => ("FAILED: ", message.as_str()),
        Outcome::Skipped { reason } => ("skipped: ", reason.as_str()),
        Outcome::Error { message } => ("broke: ", message.as_str()),
    };
    let first = message.lines().next().unwrap_or_default();
    format!("{} on {}: {word}{first}", done.falsifier, done.host)
}

/// The results of a plain run.
#[must_use]
pub fn results(report: &Report, left: &[Left]) -> String {
    let mut text = String::new();
    for done in report.done.iter().filter(|done| !done.outcome.is_pass()) {
        let _ = writeln!(text, "{}", line(done));
    }
    for done in &report.done {
        let missed = done.measure.as_ref().map_or(0, |m| m.cells.declared - m.cells.hit);
        if missed > 0 && done.outcome.is_pass() {
            let _ = writeln!(
                text,
                "{} on {}: {missed} declared cells were not reached",
                done.falsifier, done.host
            );
        }
    }
    text.push_str(&not_run(left));
    let count = |keep: fn(&Outcome) -> bool| report.done.iter().filter(|done| keep(&done.outcome)).count();
    let _ = writeln!(
        text,
        "{} runs = {} passed + {} failed + {} broke + {} skipped; {} not run here",
        report.done.len(),
        count(Outcome::is_pass),
        count(|o| matches!(o, Outcome::Failed { .. })),
        count(|o| matches!(o, Outcome::Error { .. })),
        count(|o| matches!(o, Outcome::Skipped { .. })),
        left.len(),
    );
    text.push_str(&troubles(report));
    text
}

/// What is not run, by reason.
fn not_run(left: &[Left]) -> String {
    let mut reasons: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
    for one in left {
        reasons.entry((one.broken, &one.reason)).or_default().push(one.falsifier.as_str());
    }
    let mut text = String::new();
    for ((broken, reason), falsifiers) in reasons {
        let word = if broken { "cannot be run" } else { "not run here" };
        let _ = writeln!(text, "{word} ({}): {reason}", falsifiers.len());
        let _ = writeln!(text, "  {}", falsifiers.join(", "));
    }
    text
}

/// What kept results from becoming records.
fn troubles(report: &Report) -> String {
    let mut text = String::new();
    for (id, axis, error) in &report.unheld {
        let _ = writeln!(text, "{id}: nothing is recorded, the tree has no digest for axis {axis}: {error}");
    }
    if report.outdated > 0 {
        let _ = writeln!(
            text,
            "{} results are not recorded: the tree changed after it was compiled (run it again)",
            report.outdated
        );
    }
    if report.interrupted {
        text.push_str("interrupted: what had ended is recorded\n");
    }
    text
}

/// The results of a run under planted faults.
#[must_use]
pub fn faults(report: &Report, left: &[Left]) -> String {
    let mut text = String::new();
    let width = |of: fn(&Done) -> usize| report.done.iter().map(of).max().unwrap_or(0);
    let fault_width = width(|done| done.fault.as_ref().map_or(0, |fault| fault.as_str().len()));
    let id_width = width(|done| done.falsifier.as_str().len());
    let mut rows: Vec<&Done> = report.done.iter().collect();
    rows.sort_by(|a, b| (&a.fault, &a.falsifier, &a.host).cmp(&(&b.fault, &b.falsifier, &b.host)));
    for done in rows {
        let Some(fault) = &done.fault else { continue };
        // Of the whole matrix only what is declared, or caught beyond that, is worth a line.
        if !done.declared && done.catch() != Catch::Caught {
            continue;
        }
        let word = match done.catch() {
            Catch::Caught => format!("caught, {} hits", done.fault_hits),
            Catch::Missed => format!("MISSED, {} hits", done.fault_hits),
            Catch::NotReached => "NOT REACHED".to_owned(),
            Catch::OtherFailure => format!("FAILED OTHERWISE: {}", line(done)),
            Catch::Unknown => format!("NOTHING LEARNT: {}", line(done)),
        };
        let also = if done.declared { "" } else { " (not declared)" };
        let (fault, id) = (fault.as_str(), done.falsifier.as_str());
        let _ = writeln!(text, "{fault:fault_width$}  {id:id_width$}  {word}{also}");
    }
    for done in &report.red_controls {
        let _ = writeln!(text, "control not green, no fault armed: {}", line(done));
    }
    text.push_str(&not_run(left));
    let mut scores: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for done in report.done.iter().filter(|done| done.declared) {
        let (caught, of) = scores.entry(&done.profile).or_default();
        *of += 1;
        *caught += usize::from(done.catch() == Catch::Caught);
    }
    for (profile, (caught, of)) in scores {
        let _ = writeln!(
            text,
            "profile {profile}: {caught} of {of} declared pairs of fault and falsifier caught"
        );
    }
    text.push_str(&troubles(report));
    text
}
