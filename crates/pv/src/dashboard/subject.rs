//! The page of one contract: what it says, its stages, its obligations and its falsifiers.

use super::graph::{Layout, Node};
use super::page::{Html, html};
use super::{badge, end_table, falsifier_link, lacks, table, tone, word};
use contract::schema::Contract;
use contract::status::propagate::ContractReport;

pub(super) fn content(contract: &Contract, report: &ContractReport) -> Html {
    let mut out = Html::default();
    let metadata = &contract.metadata;
    html!(
        out,
        "<nav aria-label=\"Way here\"><ol><li><a href=\"../index.html\">Overview</a></li></ol></nav>\n"
    );
    html!(out, "<h1>{}: {}</h1>\n<p>{}</p>\n", report.id, report.title, metadata.description);
    html!(out, "<dl><dt>Status</dt><dd>");
    word(&mut out, report.transitive);
    html!(out, "</dd>\n");
    if report.transitive != report.direct {
        html!(out, "<dt>By itself</dt><dd>");
        word(&mut out, report.direct);
        html!(out, " held by ");
        for (at, id) in report.held_by.iter().enumerate() {
            html!(out, "{}<a href=\"{}.html\">{}</a>", if at > 0 { ", " } else { "" }, id, id);
        }
        html!(out, "</dd>\n");
    }
    html!(out, "<dt>Falsifiers</dt><dd>{}</dd>\n", report.summary);
    html!(out, "<dt>Version</dt><dd>{}, {}</dd>\n", metadata.version, metadata.kind);
    html!(out, "<dt>References</dt><dd>{}</dd></dl>\n", metadata.references.join("; "));
    if !contract.equations.is_empty() {
        html!(out, "<h2>Equations</h2><dl>\n");
        for (name, equation) in &contract.equations {
            html!(out, "<dt>{}</dt><dd><code>{}</code></dd>\n", name, equation.formula);
        }
        html!(out, "</dl>\n");
    }
    falsifiers(&mut out, report);
    stages(&mut out, contract, report);
    if !report.obligations.is_empty() {
        html!(out, "<h2>Obligations</h2>\n");
        let heads = ["Obligation", "What must hold", "Worst falsifier", "Falsifiers"];
        table(&mut out, "obligations", "Obligations with the worst of their falsifiers", true, &heads);
        for one in &report.obligations {
            let declared = contract.proof_obligations.iter().find(|o| o.id.as_ref() == Some(&one.id));
            let property = declared.map_or("", |obligation| obligation.property.as_str());
            html!(out, "<tr><th scope=\"row\">{}</th><td>{}</td><td>", one.id, property);
            match one.worst {
                Some(worst) => word(&mut out, worst),
                None => html!(out, "none"),
            }
            html!(out, "</td><td>");
            for (at, id) in one.falsifiers.iter().enumerate() {
                html!(out, "{}", if at > 0 { ", " } else { "" });
                falsifier_link(&mut out, "../", id);
            }
            html!(out, "</td></tr>\n");
        }
        end_table(&mut out);
    }
    out
}

fn falsifiers(out: &mut Html, report: &ContractReport) {
    html!(out, "<h2>Falsifiers</h2>\n");
    table(
        out,
        "falsifiers",
        "How each claim could be shown false",
        true,
        &["Falsifier", "Status", "Claim", "Lacking"],
    );
    for one in &report.falsifiers {
        html!(out, "<tr><th scope=\"row\">");
        falsifier_link(out, "../", &one.id);
        html!(out, "</th><td>");
        badge(out, one);
        html!(out, "</td><td>{}</td><td>", one.rule);
        lacks(out, one);
        html!(out, "</td></tr>\n");
    }
    end_table(out);
}

fn stages(out: &mut Html, contract: &Contract, report: &ContractReport) {
    if report.stages.is_empty() {
        return;
    }
    html!(out, "<h2>Stages</h2>\n");
    let mut layout = Layout::default();
    for stage in &report.stages {
        let tone = tone(stage.transitive);
        let label = stage.id.to_string();
        let node = Node { href: format!("#stage-{label}"), tone, note: stage.transitive.to_string(), label };
        layout.node(stage.id.as_str(), node);
    }
    for stage in &contract.implementation_stages {
        for before in &stage.after {
            layout.edge(stage.id.as_str(), before.as_str());
        }
    }
    layout.draw(out, "Stages, the first ones left");
    let heads = ["Stage", "What is built", "Status", "By itself", "Accepted", "Open", "Held by"];
    table(out, "stages", "Stages of the implementation", false, &heads);
    for one in &report.stages {
        let declared = contract.implementation_stages.iter().find(|stage| stage.id == one.id);
        let what = declared.map_or("", |stage| stage.description.as_str());
        html!(out, "<tr id=\"stage-{}\"><th scope=\"row\">{}</th><td>{}</td>", one.id, one.id, what);
        for status in [one.transitive, one.direct] {
            html!(out, "<td>");
            word(out, status);
            html!(out, "</td>");
        }
        html!(out, "<td class=\"number\">{} of {}</td><td>", one.satisfied, one.accepts);
        for (at, id) in one.open.iter().enumerate() {
            html!(out, "{}", if at > 0 { ", " } else { "" });
            // A stage may accept what another contract defines.
            if report.falsifiers.iter().any(|f| f.id == *id) {
                falsifier_link(out, "../", id);
            } else {
                html!(out, "{}", id);
            }
        }
        let held: Vec<_> = one.held_by.iter().map(ToString::to_string).collect();
        html!(out, "</td><td>{}</td></tr>\n", held.join(", "));
    }
    end_table(out);
}
