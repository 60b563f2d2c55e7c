//! Which planted fault turns which falsifier red, contract by contract.

use super::page::{Html, html};
use super::{Basis, contract_path, end_table, falsifier_path, table};
use contract::evidence::{Cause, Outcome};
use contract::id::FaultName;
use contract::status::derive::FaultState;
use contract::status::facts::RecordFacts;
use contract::status::propagate::FalsifierReport;
use std::collections::BTreeSet;

/// A fault's effect on a falsifier that does not declare it, by its newest run under it.
fn undeclared(records: &[RecordFacts], fault: &FaultName) -> Option<&'static str> {
    let runs = records.iter().filter(|record| record.fault.as_ref() == Some(fault));
    let newest = runs.max_by(|a, b| (&a.started, &a.file).cmp(&(&b.started, &b.file)))?;
    Some(match &newest.outcome {
        Outcome::Failed { cause: Cause::Claim, .. } => "red, though not declared",
        Outcome::Failed { .. } => "red otherwise, not declared",
        Outcome::Passed => "green, not declared",
        Outcome::Skipped { .. } | Outcome::Error { .. } => "nothing learnt, not declared",
    })
}

pub(super) fn content(basis: Basis<'_>) -> Html {
    let mut out = Html::default();
    let all = || basis.status.contracts.iter().flat_map(|contract| &contract.falsifiers);
    let pairs = all().map(|report| report.derived.faults.len()).sum::<usize>();
    let caught = all()
        .flat_map(|report| report.derived.faults.values())
        .filter(|state| **state == FaultState::Caught)
        .count();
    html!(out, "<h1>Planted faults</h1>\n");
    html!(out, "<p>{} of {} declared pairs of fault and falsifier are caught. ", caught, pairs);
    html!(
        out,
        "A fault is caught when its site was reached, the claim's comparison turned red, and the run without it is green. "
    );
    html!(
        out,
        "Of {} falsifiers, {} say that there is no fault to plant.</p>\n",
        basis.status.falsifiers.declared,
        basis.status.faultless
    );
    for contract in &basis.status.contracts {
        let records = |report: &FalsifierReport| basis.records.get(&report.id).map_or(&[][..], Vec::as_slice);
        let mut faults: BTreeSet<&FaultName> = BTreeSet::new();
        for report in &contract.falsifiers {
            faults.extend(report.derived.faults.keys());
            faults.extend(records(report).iter().filter_map(|record| record.fault.as_ref()));
        }
        if faults.is_empty() {
            continue;
        }
        html!(out, "<h2><a href=\"{}\">{}</a></h2>\n", contract_path(&contract.id), contract.id);
        let shown: Vec<&FalsifierReport> = contract
            .falsifiers
            .iter()
            .filter(|report| {
                !report.derived.faults.is_empty()
                    || records(report).iter().any(|record| record.fault.is_some())
            })
            .collect();
        let heads: Vec<&str> =
            ["Fault"].into_iter().chain(shown.iter().map(|report| report.id.as_str())).collect();
        let caption = format!("Faults by falsifiers of {}; an empty cell was not run", contract.id);
        table(&mut out, &format!("matrix-{}", contract.id), &caption, false, &heads);
        for fault in faults {
            html!(out, "<tr><th scope=\"row\">{}</th>", fault);
            for report in &shown {
                match report.derived.faults.get(fault) {
                    Some(state) => {
                        let tone = match state {
                            FaultState::Caught => "good",
                            FaultState::Missed | FaultState::OtherFailure | FaultState::NotHit => "bad",
                            FaultState::NotRun | FaultState::Stale | FaultState::NoControl => "warn",
                        };
                        let page = falsifier_path(&report.id);
                        html!(
                            out,
                            "<td class=\"cell {}\"><a href=\"{}#fault-{}\">{}</a></td>",
                            tone,
                            page,
                            fault,
                            state
                        );
                    }
                    None => html!(out, "<td>{}</td>", undeclared(records(report), fault).unwrap_or_default()),
                }
            }
            html!(out, "</tr>\n");
        }
        end_table(&mut out);
    }
    out
}
