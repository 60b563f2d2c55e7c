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
use rayon::prelude::*;
use source::Tests;
use std::collections::BTreeMap;

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

/// One file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its path in the folder of the site.
    pub path: String,
    /// Its bytes.
    pub text: String,
}

/// Every page.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn pages(basis: Basis<'_>) -> Result<Vec<Page>, SumError> {
    let foot = format!(
        "Derived by pv {} from contracts and evidence, as of {}. {}.",
        env!("CARGO_PKG_VERSION"),
        basis.today,
        basis.status.falsifiers
    );
    let page = |path: String, title: &str, content: &Html| {
        let text = Frame { path: &path, title, foot: &foot }.around(content);
        Page { path, text }
    };
    let fixed =
        [overview::content(basis)?, matrix::content(basis), hosts::content(basis), graph::content(basis)];
    let mut pages: Vec<Page> = page::PLACES
        .iter()
        .zip(&fixed)
        .map(|((file, name), content)| page((*file).to_owned(), name, content))
        .collect();
    let contracts: BTreeMap<&ContractId, &Contract> =
        basis.contracts.iter().map(|contract| (&contract.metadata.id, *contract)).collect();
    let parts: Vec<Vec<Page>> = basis
        .status
        .contracts
        .par_iter()
        .filter_map(|report| Some((report, *contracts.get(&report.id)?)))
        .map(|(report, contract)| {
            let whole = subject::content(contract, report);
            let mut pages = vec![page(contract_path(&report.id), report.id.as_str(), &whole)];
            let declared: BTreeMap<&FalsifierId, &Falsifier> =
                contract.falsification_tests.iter().map(|f| (&f.id, f)).collect();
            for one in &report.falsifiers {
                let Some(falsifier) = declared.get(&one.id) else { continue };
                let content = falsifier::content(basis, report, one, falsifier);
                pages.push(page(falsifier_path(&one.id), one.id.as_str(), &content));
            }
            pages
        })
        .collect();
    pages.extend(parts.into_iter().flatten());
    let file =
        |(file, text): (&String, &String)| page(source::path(file), file, &source::content(file, text));
    pages.par_extend(basis.tests.files.par_iter().map(file));
    pages.push(Page { path: "badge.svg".to_owned(), text: svg::overall(basis.status) });
    let one = |report: &ContractReport| Page {
        path: format!("badge/{}.svg", report.id),
        text: svg::contract(report),
    };
    pages.extend(basis.status.contracts.iter().map(one));
    Ok(pages)
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
