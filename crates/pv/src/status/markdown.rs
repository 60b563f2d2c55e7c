//! A status as Markdown: the text of STATUS.md and of a job's summary. It holds no time, no age and no commit, so
//! that the same tree gives the same bytes.

use contract::status::propagate::{ContractReport, Status};
use contract::status::summary::{SumError, Summary};
use std::fmt::Write as _;

/// The whole text.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn all(status: &Status) -> Result<String, SumError> {
    let mut text = String::from(
        "# Status\n\nDerived from the contracts and the evidence in this tree by `pv status --format markdown`; \
         not written by hand.\n\n",
    );
    text.push_str(&overview(status)?);
    for report in &status.contracts {
        contract(&mut text, report);
    }
    Ok(text)
}

/// The counts.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn overview(status: &Status) -> Result<String, SumError> {
    let stages: Vec<_> = status.contracts.iter().flat_map(|contract| &contract.stages).collect();
    let contracts = Summary::count(
        "contracts",
        status.contracts.len(),
        status.contracts.iter().map(|contract| contract.transitive),
    )?;
    let shipped = Summary::count("stages", stages.len(), stages.iter().map(|stage| stage.transitive))?;
    let mut text = String::new();
    let _ = writeln!(text, "- Falsifiers: {}", status.falsifiers);
    let _ = writeln!(text, "- Contracts: {contracts}");
    let _ = writeln!(text, "- Stages: {shipped}");
    let declared = status.falsifiers.declared;
    let _ = writeln!(text, "- Without a fault to plant: {} of {declared}", status.faultless);
    if status.unresolved > 0 {
        let _ = writeln!(text, "- Binding unresolved: {} of {declared}", status.unresolved);
    }
    text.push('\n');
    Ok(text)
}

fn contract(text: &mut String, report: &ContractReport) {
    let _ = writeln!(text, "## {}\n", cell(report.id.as_str()));
    let _ = write!(text, "{}: {}", cell(&report.title), report.transitive);
    if report.transitive != report.direct {
        let held: Vec<_> = report.held_by.iter().map(|id| cell(id.as_str())).collect();
        let _ = write!(text, " (by itself {}, held by {})", report.direct, held.join(", "));
    }
    let _ = writeln!(text, ". {}.\n", report.summary);
    if !report.falsifiers.is_empty() {
        text.push_str("| falsifier | status | claim | lacking |\n|---|---|---|---|\n");
        for falsifier in &report.falsifiers {
            let lacks: Vec<_> = falsifier.derived.lacks.iter().map(|lack| cell(&lack.to_string())).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                cell(falsifier.id.as_str()),
                cell(&falsifier.derived.label()),
                cell(&falsifier.rule),
                lacks.join("<br>")
            );
        }
        text.push('\n');
    }
    if !report.stages.is_empty() {
        text.push_str("| stage | status | by itself | accepted |\n|---|---|---|---|\n");
        for stage in &report.stages {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} of {} |",
                cell(stage.id.as_str()),
                stage.transitive,
                stage.direct,
                stage.satisfied,
                stage.accepts
            );
        }
        text.push('\n');
    }
    if !report.obligations.is_empty() {
        text.push_str("| obligation | worst falsifier | falsifiers |\n|---|---|---|\n");
        for obligation in &report.obligations {
            let worst = obligation.worst.map_or("none", contract::status::FalsifierStatus::name);
            let count = obligation.falsifiers.len();
            let _ = writeln!(text, "| {} | {worst} | {count} |", cell(obligation.id.as_str()));
        }
        text.push('\n');
    }
}

/// Text that cannot leave its cell or become markup.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '[' | ']' | '<' | '>' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn text_stays_in_its_cell() {
        assert_eq!(cell("a|b\n`c` <d>"), "a\\|b \\`c\\` \\<d\\>");
    }
}
