//! The page of one falsifier: what it claims, why its status is what it is, what was measured, and its test.

use super::chart::{Chart, brief};
use super::page::{Html, html};
use super::{Basis, badge, contract_path, end_table, lacks, source, table};
use crate::commands::explain::of_claim;
use crate::status::text::host_line;
use contract::claim::Better;
use contract::evidence::Outcome;
use contract::schema::{Axis, Falsifier, Faults};
use contract::status::derive::{Inputs, stale_axes};
use contract::status::facts::{BindingFacts, Current, RecordFacts};
use contract::status::propagate::{ContractReport, FalsifierReport};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn content(
    basis: Basis<'_>,
    contract: &ContractReport,
    report: &FalsifierReport,
    falsifier: &Falsifier,
) -> Html {
    let mut out = Html::default();
    html!(out, "<nav aria-label=\"Way here\"><ol><li><a href=\"../index.html\">Overview</a></li>");
    html!(out, "<li><a href=\"../{}\">{}</a></li></ol></nav>\n", contract_path(&contract.id), contract.id);
    html!(out, "<h1>{}</h1>\n<p>", report.id);
    badge(&mut out, report);
    html!(out, "</p>\n<p>{}</p>\n", report.rule);
    reasons(&mut out, basis, report);
    claim(&mut out, falsifier);
    let records = basis.records.get(&report.id).map_or(&[][..], Vec::as_slice);
    let stale = Staleness::of(basis, falsifier);
    hosts(&mut out, report);
    measured(&mut out, falsifier, records, &stale);
    faults(&mut out, report, falsifier, records, &stale);
    tests(&mut out, basis, report);
    out
}

/// Why the status is no better.
fn reasons(out: &mut Html, basis: Basis<'_>, report: &FalsifierReport) {
    let derived = &report.derived;
    html!(out, "<h2>Why it is {}</h2>\n<p>{}</p>\n", derived.label(), derived.status.info().what);
    if let Some(status) = derived.without_waiver {
        html!(out, "<p>Waived; {} without the waiver.</p>\n", status);
    }
    if let Some(declared) = derived.over_claimed() {
        html!(out, "<p class=\"bad\">The contract says {}, which does not follow.</p>\n", declared);
    }
    if derived.lacks.is_empty() {
        html!(out, "<p>Nothing is lacking.</p>\n");
    } else {
        html!(out, "<h3>What is lacking</h3>\n");
        lacks(out, report);
    }
    for (axis, error) in basis.unheld.get(&report.id).into_iter().flatten() {
        html!(out, "<p class=\"bad\">Axis {} has no digest: {}</p>\n", axis, error);
    }
}

/// What is claimed, and what could show it false.
fn claim(out: &mut Html, falsifier: &Falsifier) {
    html!(out, "<h2>The claim</h2>\n<dl>\n");
    html!(out, "<dt>If it holds</dt><dd>{}</dd>\n", falsifier.prediction);
    html!(out, "<dt>If it fails, look at</dt><dd>{}</dd>\n", falsifier.if_fails);
    if let Some(claim) = &falsifier.claim {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = of_claim(&mut text, claim);
        let mut open = false;
        for line in text.lines() {
            // A reason may have several lines, of which the first carries the name.
            match line.split_once(": ").filter(|(name, _)| NAMES.iter().any(|known| name.starts_with(known)))
            {
                Some((name, value)) => {
                    if open {
                        html!(out, "</dd>\n");
                    }
                    html!(out, "<dt>{}</dt><dd>{}", name, value);
                    open = true;
                }
                None => html!(out, " {}", line),
            }
        }
        if open {
            html!(out, "</dd>\n");
        }
    }
    for test in falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default() {
        html!(out, "<dt>Test</dt><dd><code>{}</code></dd>\n", test);
    }
    if let Some(command) = &falsifier.command {
        html!(out, "<dt>Command</dt><dd><code>{}</code></dd>\n", command.argv.join(" "));
    }
    if let Some(review) = &falsifier.review {
        html!(out, "<dt>Review</dt><dd>{}, {} until {}</dd>\n", review.by, review.date, review.expires);
    }
    if let Some(proposed) = &falsifier.proposed {
        html!(out, "<dt>Nothing is bound</dt><dd>{}</dd>\n", proposed.reason);
    }
    if let Some(waiver) = &falsifier.waiver {
        html!(out, "<dt>Waived until {}</dt><dd>{}</dd>\n", waiver.until, waiver.reason);
    }
    if let Some(notes) = &falsifier.notes {
        html!(out, "<dt>Notes</dt><dd>{}</dd>\n", notes);
    }
    html!(out, "<dt>Host classes</dt><dd>{}</dd>\n", falsifier.hosts.join(", "));
    if let Some(subjects) = &falsifier.subjects {
        html!(out, "<dt>Subjects</dt><dd>{}</dd>\n", subjects.join(", "));
    }
    let axes: Vec<_> = falsifier.fresh.iter().map(|axis| axis.name()).collect();
    html!(out, "<dt>Fresh in</dt><dd>{}</dd>\n", axes.join(", "));
    if let Some(Faults::None(none)) = &falsifier.faults {
        html!(out, "<dt>No fault can be planted</dt><dd>{}</dd>\n", none.none);
    }
    html!(out, "</dl>\n");
}

/// What the lines of a claim in words start with.
const NAMES: &[&str] = &["Claimed", "Why that bound", "For every ", "Against"];

/// In which axes each record differs from the tree.
struct Staleness<'a> {
    basis: Basis<'a>,
    falsifier: &'a Falsifier,
    current: Current,
}

impl<'a> Staleness<'a> {
    fn of(basis: Basis<'a>, falsifier: &'a Falsifier) -> Self {
        let current = basis.current.get(&falsifier.id).cloned().unwrap_or_default();
        Self { basis, falsifier, current }
    }

    fn axes(&self, record: &RecordFacts) -> BTreeSet<Axis> {
        let inputs = Inputs {
            falsifier: self.falsifier,
            settings: self.basis.settings,
            binding: &BindingFacts::Unresolved,
            dark: &BTreeMap::new(),
            current: &self.current,
            records: &[],
            today: None,
        };
        stale_axes(inputs, record)
    }

    fn words(&self, record: &RecordFacts) -> String {
        let axes = self.axes(record);
        let axes: Vec<_> = axes.into_iter().map(Axis::name).collect();
        if axes.is_empty() { "fresh".to_owned() } else { format!("stale in {}", axes.join(", ")) }
    }
}

fn hosts(out: &mut Html, report: &FalsifierReport) {
    html!(out, "<h2>Hosts</h2>\n");
    if report.derived.hosts.is_empty() {
        html!(out, "<p>No record of a host class counts for this status.</p>\n");
        return;
    }
    table(out, "hosts", "What is known of each needed host class", false, &["Host class", "What is known"]);
    for (host, state) in &report.derived.hosts {
        html!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", host, host_line(state));
    }
    end_table(out);
}

/// How a run ended, in words.
fn ending(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed { message, .. } => format!("failed: {message}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
        Outcome::Error { message } => format!("broke: {message}"),
    }
}

/// What runs without a planted fault measured, per host class over time.
fn measured(out: &mut Html, falsifier: &Falsifier, records: &[RecordFacts], stale: &Staleness<'_>) {
    html!(out, "<h2>Measured over time</h2>\n");
    let mut by_host: BTreeMap<&str, Vec<&RecordFacts>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.fault.is_none()) {
        by_host.entry(&record.host.class).or_default().push(record);
    }
    if by_host.is_empty() {
        html!(out, "<p>No record.</p>\n");
    }
    let metric = falsifier.claim.as_ref().map(|claim| claim.metric.info());
    let bound = falsifier.claim.as_ref().and_then(|claim| claim.bound.as_ref());
    let limit = bound.and_then(|bound| match metric.and_then(|metric| metric.better) {
        Some(Better::Larger) => bound.at_least.or(bound.equals),
        Some(Better::Smaller) => bound.at_most.or(bound.equals),
        None => bound.equals,
    });
    for (host, mut records) in by_host {
        records.sort_by(|a, b| (&a.started, &a.file).cmp(&(&b.started, &b.file)));
        html!(out, "<h3>Host class {}</h3>\n", host);
        let of_claim = |record: &&&RecordFacts| {
            let computed = record.measure.as_ref().map(|measure| measure.metric);
            computed.is_some() && computed == metric.map(|metric| metric.metric)
        };
        let worst = records.iter().filter(of_claim).filter_map(|record| {
            let text = record.measure.as_ref()?.worst.as_ref()?;
            Some((record.started.as_str(), text.split(' ').next()?.parse().ok()?))
        });
        Chart { title: "Worst measured value", points: worst.collect(), limit }.draw(out);
        let headroom = records
            .iter()
            .filter(of_claim)
            .filter_map(|record| Some((record.started.as_str(), record.measure.as_ref()?.headroom?)));
        Chart {
            title: "Headroom: how often the worst value fits into the bound",
            points: headroom.collect(),
            limit: Some(1.0),
        }
        .draw(out);
        let heads = [
            "Started",
            "Outcome",
            "Worst value",
            "Headroom",
            "Comparisons",
            "Cells",
            "Seconds",
            "Commit",
            "Content",
            "Machine",
            "Record",
        ];
        let id = format!("records-{host}");
        table(out, &id, &format!("Records of host class {host}"), true, &heads);
        for record in records {
            row(out, record, stale);
        }
        end_table(out);
    }
}

fn row(out: &mut Html, record: &RecordFacts, stale: &Staleness<'_>) {
    html!(
        out,
        "<tr><th scope=\"row\" class=\"when\">{}</th><td>{}</td>",
        record.started,
        ending(&record.outcome)
    );
    match &record.measure {
        Some(measure) => {
            let worst = measure.worst.as_deref().map_or_else(|| "none".to_owned(), shortened);
            let headroom = measure.headroom.map_or_else(|| "none".to_owned(), |times| format!("{times:.3}"));
            html!(out, "<td>{}</td><td class=\"number\">{}</td>", worst, headroom);
            html!(out, "<td class=\"number\">{}</td>", measure.comparisons);
            html!(out, "<td class=\"number\">{} of {}</td>", measure.hit, measure.declared);
        }
        None => html!(out, "<td>nothing measured</td><td></td><td></td><td></td>"),
    }
    // Enough of a commit to find it by.
    let commit: String = record.commit.as_deref().unwrap_or("none").chars().take(12).collect();
    html!(out, "<td class=\"number\">{}</td><td>{}</td>", format!("{:.2}", record.wall_s), commit);
    // The folders above are contract, falsifier and host class, which the page names.
    let file = record.file.rsplit('/').next().unwrap_or_default();
    html!(out, "<td>{}</td><td>{}</td><td>{}</td></tr>\n", stale.words(record), machine(record), file);
}

/// A value in few digits, its unit kept.
fn shortened(value: &str) -> String {
    let (number, unit) = value.split_once(' ').map_or((value, None), |(number, unit)| (number, Some(unit)));
    let number = number.parse().map_or_else(|_| number.to_owned(), brief);
    unit.map_or_else(|| number.clone(), |unit| format!("{number} {unit}"))
}

/// The machine of a record.
pub(super) fn machine(record: &RecordFacts) -> String {
    let host = &record.host;
    let gpu = host.gpu.iter().map(String::as_str);
    let driver = host.driver.as_ref().map(|driver| format!("driver {driver}"));
    let parts = [host.arch.as_str(), host.cpu.as_str()].into_iter().chain(gpu).chain(driver.as_deref());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn faults(
    out: &mut Html,
    report: &FalsifierReport,
    falsifier: &Falsifier,
    records: &[RecordFacts],
    stale: &Staleness<'_>,
) {
    html!(out, "<h2 id=\"faults\">Planted faults</h2>\n");
    let named: Vec<_> = match &falsifier.faults {
        Some(Faults::Named(named)) => named.iter().collect(),
        Some(Faults::None(_)) | None => Vec::new(),
    };
    if named.is_empty() {
        html!(out, "<p>None is declared.</p>\n");
        return;
    }
    let heads = ["Fault", "State", "Runs under it"];
    table(out, "fault-table", "Faults that it must catch", false, &heads);
    for fault in named {
        let state =
            report.derived.faults.get(fault).map_or_else(|| "not judged".to_owned(), ToString::to_string);
        html!(out, "<tr id=\"fault-{}\"><th scope=\"row\">{}</th><td>{}</td><td><ul>", fault, fault, state);
        for record in records.iter().filter(|record| record.fault.as_ref() == Some(fault)) {
            html!(out, "<li>{} on {}: {}", record.started, record.host.class, ending(&record.outcome));
            html!(out, " ({} hits, {})</li>", record.fault_hits, stale.words(record));
        }
        html!(out, "</ul></td></tr>\n");
    }
    end_table(out);
}

/// The source of its tests.
fn tests(out: &mut Html, basis: Basis<'_>, report: &FalsifierReport) {
    html!(out, "<h2 id=\"test\">The test</h2>\n");
    let excerpts = basis.tests.of.get(report.id.as_str()).map_or(&[][..], Vec::as_slice);
    if excerpts.is_empty() {
        html!(out, "<p>No function of the sources carries this falsifier's attribute.</p>\n");
    }
    for excerpt in excerpts {
        let place = format!("{}:{}", excerpt.file, excerpt.line);
        let page = source::path(&excerpt.file);
        html!(
            out,
            "<figure><figcaption><a href=\"../{}#L{}\"><code>{}</code></a>",
            page,
            excerpt.line,
            place
        );
        html!(out, "</figcaption><pre tabindex=\"0\" role=\"region\" aria-label=\"{}\">", place);
        html!(out, "<code>{}</code></pre></figure>\n", excerpt.text);
    }
}
