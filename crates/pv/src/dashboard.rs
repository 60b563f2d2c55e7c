//! The statuses of a repository as a site of pages: static, complete without a network, readable without scripts.

mod chart;
mod falsifier;
pub mod folder;
mod graph;
mod hosts;
mod matrix;
mod overview;
mod page;
pub mod source;
mod subject;

use crate::content::AxisError;
use crate::status::badge as svg;
use crate::status::tone::Tone;
use contract::date::Date;
use contract::id::{ContractId, FalsifierId};
use contract::schema::{Axis, Contract, Falsifier};
use contract::settings::Settings;
use contract::status::facts::{Current, RecordFacts};
use contract::status::propagate::{ContractReport, FalsifierReport, Status};
use contract::status::summary::SumError;
use page::{Frame, Html, html};
use source::Tests;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that the pages show.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The contracts.
    pub contracts: &'a [&'a Contract],
    /// pv.toml.
    pub settings: &'a Settings,
    /// The records that were not retracted, per falsifier.
    pub records: &'a BTreeMap<FalsifierId, Vec<RecordFacts>>,
    /// What the tree holds, per falsifier.
    pub current: &'a BTreeMap<FalsifierId, Current>,
    /// Why an axis of a falsifier has no digest.
    pub unheld: &'a BTreeMap<FalsifierId, Vec<(Axis, AxisError)>>,
    /// The statuses.
    pub status: &'a Status,
    /// The tests in the sources.
    pub tests: &'a Tests,
    /// What the counts leave out, one sentence each.
    pub notes: &'a [String],
    /// The day by which reviews and waivers were judged.
    pub today: Date,
}

/// A file of the site, drawn when it is written: a large site takes no more memory than a small one.
pub struct Draft<'b> {
    /// Its path in the folder of the site.
    pub path: String,
    draw: Box<dyn Fn() -> String + Send + Sync + 'b>,
}

impl<'b> Draft<'b> {
    /// The file at a path that holds what is drawn.
    pub fn new(path: String, draw: impl Fn() -> String + Send + Sync + 'b) -> Self {
        Self { path, draw: Box::new(draw) }
    }

    /// Its bytes.
    #[must_use]
    pub fn text(&self) -> String {
        (self.draw)()
    }
}

/// Every page.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn pages(basis: Basis<'_>) -> Result<Vec<Draft<'_>>, SumError> {
    let foot: Arc<str> = format!(
        "Derived by pv {} from contracts and evidence, as of {}. {}.",
        env!("CARGO_PKG_VERSION"),
        basis.today,
        basis.status.falsifiers
    )
    .into();
    let overview = overview::content(basis)?;
    let fixed: [Box<dyn Fn() -> Html + Send + Sync + '_>; 4] = [
        Box::new(move || overview.clone()),
        Box::new(move || matrix::content(basis)),
        Box::new(move || hosts::content(basis)),
        Box::new(move || graph::content(basis)),
    ];
    let mut drafts: Vec<Draft<'_>> = page::PLACES
        .iter()
        .zip(fixed)
        .map(|((file, name), content)| framed(&foot, (*file).to_owned(), name, content))
        .collect();
    let contracts: BTreeMap<&ContractId, &Contract> =
        basis.contracts.iter().map(|contract| (&contract.metadata.id, *contract)).collect();
    for report in &basis.status.contracts {
        let Some(contract) = contracts.get(&report.id).copied() else { continue };
        let whole = move || subject::content(contract, report);
        drafts.push(framed(&foot, contract_path(&report.id), report.id.as_str(), whole));
        let declared: BTreeMap<&FalsifierId, &Falsifier> =
            contract.falsification_tests.iter().map(|f| (&f.id, f)).collect();
        for one in &report.falsifiers {
            let Some(falsifier) = declared.get(&one.id).copied() else { continue };
            let content = move || falsifier::content(basis, report, one, falsifier);
            drafts.push(framed(&foot, falsifier_path(&one.id), one.id.as_str(), content));
        }
    }
    for (file, text) in &basis.tests.files {
        drafts.push(framed(&foot, source::path(file), file, move || source::content(file, text)));
    }
    drafts.push(Draft::new("badge.svg".to_owned(), move || svg::overall(basis.status)));
    for report in &basis.status.contracts {
        drafts.push(Draft::new(format!("badge/{}.svg", report.id), move || svg::contract(report)));
    }
    Ok(drafts)
}

/// A page with what stands around the content of every page.
fn framed<'b>(
    foot: &Arc<str>,
    path: String,
    title: &'b str,
    content: impl Fn() -> Html + Send + Sync + 'b,
) -> Draft<'b> {
    let (foot, here) = (Arc::clone(foot), path.clone());
    Draft::new(path, move || Frame { path: &here, title, foot: &foot }.around(&content()))
}

/// The page of a contract. An id holds nothing that a file name or a link could not.
fn contract_path(id: &ContractId) -> String {
    format!("contract/{id}.html")
}

/// The page of a falsifier.
fn falsifier_path(id: &FalsifierId) -> String {
    format!("falsifier/{id}.html")
}

/// The class of a status's tone.
fn tone(status: impl Into<Tone>) -> &'static str {
    status.into().class()
}

/// A status in its tone.
fn word<S: Copy + Into<Tone> + std::fmt::Display>(out: &mut Html, status: S) {
    html!(out, "<span class=\"status {}\">{}</span>", tone(status), status);
}

/// A falsifier's status with what it is about.
fn badge(out: &mut Html, report: &FalsifierReport) {
    let derived = &report.derived;
    html!(out, "<span class=\"status {}\">{}</span>", tone(derived.status), derived.label());
}

/// What a falsifier lacks.
fn lacks(out: &mut Html, report: &FalsifierReport) {
    if report.derived.lacks.is_empty() {
        return;
    }
    html!(out, "<ul>");
    for lack in &report.derived.lacks {
        html!(out, "<li>{}</li>", lack);
    }
    html!(out, "</ul>");
}

/// A link to a falsifier's page.
fn falsifier_link(out: &mut Html, up: &str, id: &FalsifierId) {
    html!(out, "<a href=\"{}{}\">{}</a>", up, falsifier_path(id), id);
}

/// A link to a contract's page; its name alone when no contract has the id.
fn contract_link(out: &mut Html, up: &str, id: &ContractId, reports: &[ContractReport]) {
    if reports.iter().any(|report| report.id == *id) {
        html!(out, "<a href=\"{}{}\">{}</a>", up, contract_path(id), id);
    } else {
        html!(out, "{} (no such contract)", id);
    }
}

/// The head of a table within a region that can be scrolled by keyboard.
fn table(out: &mut Html, id: &str, caption: &str, sortable: bool, heads: &[&str]) {
    html!(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">", caption);
    html!(out, "<table id=\"{}\"", id);
    if sortable {
        html!(out, " data-sortable");
    }
    html!(out, "><caption>{}</caption><thead><tr>", caption);
    for head in heads {
        html!(out, "<th scope=\"col\">{}</th>", head);
    }
    html!(out, "</tr></thead><tbody>\n");
}

/// The end of a table.
fn end_table(out: &mut Html) {
    html!(out, "</tbody></table></div>\n");
}
