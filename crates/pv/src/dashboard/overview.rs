//! The first page: the ladder with its denominator, what blocks the next rung, and every falsifier.

use super::page::{Html, html};
use super::{
    Basis, badge, contract_link, contract_path, end_table, falsifier_link, lacks, table, tone, word,
};
use contract::id::FalsifierId;
use contract::status::derive::{HostLack, Lack};
use contract::status::propagate::ContractReport;
use contract::status::summary::{SumError, Summary};
use contract::status::{FALSIFIER_STATUSES, FalsifierStatus};
use std::collections::BTreeMap;

pub(super) fn content(basis: Basis<'_>) -> Result<Html, SumError> {
    let Basis { status, .. } = basis;
    let mut out = Html::default();
    html!(out, "<h1>What is shown, and what is not</h1>\n");
    let stages: Vec<_> = status.contracts.iter().flat_map(|contract| &contract.stages).collect();
    let count = status.contracts.len();
    let contracts = Summary::count("contracts", count, status.contracts.iter().map(|c| c.transitive))?;
    let shipped = Summary::count("stages", stages.len(), stages.iter().map(|stage| stage.transitive))?;
    let declared = status.falsifiers.declared;
    html!(out, "<dl><dt>Falsifiers</dt><dd>{}</dd>\n", status.falsifiers);
    html!(out, "<dt>Contracts</dt><dd>{}</dd>\n<dt>Stages</dt><dd>{}</dd>\n", contracts, shipped);
    html!(out, "<dt>Without a fault to plant</dt><dd>{} of {}</dd>\n", status.faultless, declared);
    html!(out, "<dt>Skipped by a fresh run</dt><dd>{} of {}</dd>\n", status.skipped, declared);
    html!(out, "<dt>Binding unresolved</dt><dd>{} of {}</dd></dl>\n", status.unresolved, declared);
    remarks(&mut out, basis.notes);
    ladder(&mut out, basis);
    blocks(&mut out, basis);
    contract_table(&mut out, basis);
    stage_table(&mut out, basis);
    falsifiers(&mut out, basis);
    Ok(out)
}

/// What the counts leave out and what fails a check; folded when it would push the counts away.
fn remarks(out: &mut Html, notes: &[String]) {
    const OPEN: usize = 10;
    match notes.len() {
        0 => return,
        1..=OPEN => html!(out, "<details open>"),
        _ => html!(out, "<details>"),
    }
    html!(out, "<summary class=\"bad\">Remarks: {}</summary><ul>\n", notes.len());
    for note in notes {
        html!(out, "<li>{}</li>\n", note);
    }
    html!(out, "</ul></details>\n");
}

/// The rungs, and what stands beside them.
fn ladder(out: &mut Html, basis: Basis<'_>) {
    html!(out, "<h2 id=\"ladder\">The ladder</h2>\n");
    let falsifiers = &basis.status.falsifiers;
    let caption = format!("Falsifiers by status, of {} declared; the best rung first", falsifiers.declared);
    table(out, "rungs", &caption, false, &["Status", "Falsifiers", "Share", "What it says"]);
    let (mut rungs, beside): (Vec<_>, Vec<_>) =
        falsifiers.rows().partition(|(status, _)| status.rung().is_some());
    rungs.reverse();
    for (status, count) in rungs.into_iter().chain(beside) {
        #[expect(clippy::cast_precision_loss, reason = "falsifiers are counted in thousands")]
        let share = 100.0 * count as f64 / falsifiers.declared.max(1) as f64;
        let share = format!("{share:.1}%");
        html!(out, "<tr><th scope=\"row\"><a href=\"#status={}\">", status);
        html!(out, "<span class=\"status {}\">{}</span></a></th>", tone(status), status);
        html!(out, "<td class=\"number\">{} of {}</td>", count, falsifiers.declared);
        html!(
            out,
            "<td><span class=\"bar\" aria-hidden=\"true\"><span style=\"width:{}\"></span></span>{}</td>",
            share,
            share
        );
        html!(out, "<td>{}</td></tr>\n", status.info().what);
    }
    end_table(out);
}

/// What is lacking, without the names that make each falsifier's its own.
fn kind(lack: &Lack) -> String {
    match lack {
        Lack::Host { host, why } => match why {
            HostLack::Dark { .. } => format!("host {host}: no profile runs it there"),
            HostLack::Skipped { .. } => format!("host {host}: it was skipped there"),
            HostLack::Broke { .. } => format!("host {host}: its runs there broke"),
            HostLack::Unsigned { .. } => format!("host {host}: its records lack the required signature"),
            HostLack::NeverRan | HostLack::Undeclared | HostLack::Stale { .. } => lack.to_string(),
        },
        Lack::Fault { state, .. } => format!("a planted fault: {state}"),
        Lack::Cells { host, .. } => format!("host {host}: cells of the claim's domain were not hit"),
        Lack::Test { host, .. } => format!("host {host}: a test is in no fresh pass"),
        Lack::Failure { host, .. } => format!("host {host}: a fresh record fails"),
        Lack::Unbound { .. } => "a declared test is not bound".to_owned(),
        Lack::Vacuous { .. } => "a test cannot fail".to_owned(),
        Lack::Proposed { .. } => "proposed by its contract".to_owned(),
        Lack::Ended { what, .. } => format!("the {what} ended"),
        Lack::Pin { .. } => "a file has changed since its review".to_owned(),
        Lack::Nothing | Lack::Unresolved | Lack::Metrics { .. } | Lack::Exclusive { .. } | Lack::NoFault => {
            lack.to_string()
        }
    }
}

/// What keeps falsifiers from the next rung, the most frequent first.
fn blocks(out: &mut Html, basis: Basis<'_>) {
    html!(out, "<h2 id=\"blocks\">What blocks the next rung</h2>\n");
    let mut groups: BTreeMap<(FalsifierStatus, String), Vec<&FalsifierId>> = BTreeMap::new();
    for report in basis.status.contracts.iter().flat_map(|contract| &contract.falsifiers) {
        for lack in &report.derived.lacks {
            let held = groups.entry((report.derived.status, kind(lack))).or_default();
            if held.last() != Some(&&report.id) {
                held.push(&report.id);
            }
        }
    }
    if groups.is_empty() {
        html!(out, "<p>Nothing: no falsifier lacks anything.</p>\n");
        return;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((status, _), held)| (status.order(), std::cmp::Reverse(held.len())));
    let caption = "What is lacking, by status; a falsifier may lack several things";
    table(out, "lacking", caption, true, &["Status", "Lacking", "Falsifiers", "Which"]);
    for ((status, lacking), held) in groups {
        let all = basis.status.falsifiers.of(&status);
        html!(
            out,
            "<tr><th scope=\"row\"><span class=\"status {}\">{}</span></th><td>{}</td>",
            tone(status),
            status,
            lacking
        );
        html!(out, "<td class=\"number\">{} of {}</td><td><details><summary>", held.len(), all);
        html!(out, "{} of {} {}</summary><ul>", held.len(), all, status);
        for id in held {
            html!(out, "<li>");
            falsifier_link(out, "", id);
            html!(out, "</li>");
        }
        html!(out, "</ul></details></td></tr>\n");
    }
    end_table(out);
}

fn contract_table(out: &mut Html, basis: Basis<'_>) {
    html!(out, "<h2 id=\"contracts\">Contracts</h2>\n");
    let heads = ["Contract", "Title", "Status", "By itself", "Held by", "Falsifiers"];
    table(out, "contract-table", "Every contract", true, &heads);
    for report in &basis.status.contracts {
        html!(out, "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>", contract_path(&report.id), report.id);
        html!(out, "<td>{}</td><td>", report.title);
        word(out, report.transitive);
        html!(out, "</td><td>");
        word(out, report.direct);
        html!(out, "</td><td>");
        for (at, id) in report.held_by.iter().enumerate() {
            html!(out, "{}", if at > 0 { ", " } else { "" });
            contract_link(out, "", id, &basis.status.contracts);
        }
        html!(out, "</td><td>{}</td></tr>\n", report.summary);
    }
    end_table(out);
}

/// Every stage of every contract.
fn stage_table(out: &mut Html, basis: Basis<'_>) {
    let all =
        || basis.status.contracts.iter().flat_map(|report| report.stages.iter().map(move |s| (report, s)));
    if all().next().is_none() {
        return;
    }
    html!(out, "<h2 id=\"stages\">Stages</h2>\n");
    let caption = format!("Every stage, {} declared", all().count());
    table(
        out,
        "stage-table",
        &caption,
        true,
        &["Stage", "Contract", "Status", "By itself", "Accepted", "Held by"],
    );
    for (report, stage) in all() {
        let page = contract_path(&report.id);
        html!(out, "<tr><th scope=\"row\"><a href=\"{}#stage-{}\">{}</a></th>", page, stage.id, stage.id);
        html!(out, "<td><a href=\"{}\">{}</a></td><td>", page, report.id);
        word(out, stage.transitive);
        html!(out, "</td><td>");
        word(out, stage.direct);
        let held: Vec<_> = stage.held_by.iter().map(ToString::to_string).collect();
        html!(out, "</td><td class=\"number\">{} of {}</td>", stage.satisfied, stage.accepts);
        html!(out, "<td>{}</td></tr>\n", held.join(", "));
    }
    end_table(out);
}

/// Every falsifier, with the controls that a script makes work.
fn falsifiers(out: &mut Html, basis: Basis<'_>) {
    let contracts = &basis.status.contracts;
    html!(out, "<h2 id=\"falsifiers\">Falsifiers</h2>\n");
    html!(
        out,
        "<form class=\"filter\" role=\"search\" aria-label=\"Falsifiers\" data-table=\"falsifier-table\" hidden>\n"
    );
    html!(out, "<p><label for=\"q\">Search</label><input id=\"q\" name=\"q\" type=\"search\"></p>\n");
    html!(
        out,
        "<p><label for=\"status\">Status</label><select id=\"status\" name=\"status\"><option value=\"\">all</option>"
    );
    for info in FALSIFIER_STATUSES {
        html!(out, "<option>{}</option>", info.name);
    }
    html!(out, "</select></p>\n<p><label for=\"contract\">Contract</label>");
    html!(out, "<select id=\"contract\" name=\"contract\"><option value=\"\">all</option>");
    for ContractReport { id, .. } in contracts {
        html!(out, "<option>{}</option>", id);
    }
    html!(out, "</select></p>\n<p><button type=\"reset\">Show all</button></p>\n");
    html!(out, "<p><output aria-live=\"polite\" for=\"q status contract\"></output></p></form>\n");
    let caption = format!("Every falsifier, {} declared", basis.status.falsifiers.declared);
    let heads = ["Falsifier", "Contract", "Status", "Claim", "Lacking"];
    table(out, "falsifier-table", &caption, true, &heads);
    for contract in contracts {
        for report in &contract.falsifiers {
            html!(out, "<tr data-status=\"{}\" data-contract=\"{}\">", report.derived.status, contract.id);
            html!(out, "<th scope=\"row\">");
            falsifier_link(out, "", &report.id);
            html!(out, "</th><td><a href=\"{}\">{}</a></td><td>", contract_path(&contract.id), contract.id);
            badge(out, report);
            html!(out, "</td><td>{}</td><td>", report.rule);
            lacks(out, report);
            html!(out, "</td></tr>\n");
        }
    }
    end_table(out);
}
