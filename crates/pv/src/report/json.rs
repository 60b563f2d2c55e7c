//! For programs: one object with everything a finding holds and a stable fingerprint.

use super::{Report, slashes};
use contract::diagnostic::{Location, Severity};
use serde_json::{Value, json};
use std::io::{self, Write};

/// The version of the object's form; it grows by new keys and changes by a new number.
const SCHEMA: u32 = 1;

pub(super) fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .zip(report.fingerprints())
        .map(|(finding, fingerprint)| {
            let related = finding
                .related
                .iter()
                .map(|related| json!({ "location": place(&related.location), "message": related.message }));
            json!({
                "rule": finding.rule,
                "severity": finding.severity,
                "location": place(&finding.location),
                "message": finding.message,
                "label": finding.label,
                "help": finding.help,
                "related": related.collect::<Vec<_>>(),
                "fix": finding.fix,
                "fingerprint": fingerprint,
            })
        })
        .collect();
    let object = json!({
        "schema": SCHEMA,
        "pv": env!("CARGO_PKG_VERSION"),
        "counts": report.counts,
        "notes": report.notes,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "findings": findings,
    });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}

fn place(location: &Location) -> Value {
    json!({
        "path": slashes(&location.path),
        "start": { "line": location.start.line, "column": location.start.column, "byte": location.span.start },
        "end": { "line": location.end.line, "column": location.end.column, "byte": location.span.end },
    })
}
