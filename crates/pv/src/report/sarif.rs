//! SARIF 2.1.0 (OASIS), for services that show findings in code review and follow them over time.

use super::{Report, slashes};
use crate::lint::{self, Rule};
use contract::diagnostic::{Diagnostic, Fix, Location, Severity};
use contract::source::Source;
use serde_json::{Value, json};
use std::io::{self, Write};

pub(super) fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let results: Vec<Value> = report
        .findings
        .iter()
        .zip(report.fingerprints())
        .map(|(finding, fingerprint)| result(report, finding, fingerprint))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "pv",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": lint::RULES.iter().map(descriptor).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.summary() },
        "help": { "text": rule.page(), "markdown": rule.page() },
        "defaultConfiguration": { "level": level(rule.severity) },
    })
}

fn result(report: &Report<'_>, finding: &Diagnostic, fingerprint: String) -> Value {
    let mut text = finding.message.clone();
    for more in [&finding.label, &finding.help].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": place(&finding.location) }],
        "partialFingerprints": { "pv/v1": fingerprint },
    });
    if let Some(index) = lint::RULES.iter().position(|rule| rule.id == finding.rule) {
        result["ruleIndex"] = json!(index);
    }
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|related| {
            json!({
                "physicalLocation": place(&related.location),
                "message": { "text": related.message },
            })
        });
        result["relatedLocations"] = related.collect();
    }
    if let (Some(fix), Some(source)) = (&finding.fix, report.source(&finding.location.path)) {
        result["fixes"] = json!([change(fix, source)]);
    }
    result
}

fn place(location: &Location) -> Value {
    json!({
        "artifactLocation": { "uri": uri(location) },
        "region": {
            "startLine": location.start.line,
            "startColumn": location.start.column,
            "endLine": location.end.line,
            "endColumn": location.end.column,
            "byteOffset": location.span.start,
            "byteLength": location.span.end - location.span.start,
        },
    })
}

fn change(fix: &Fix, source: &Source) -> Value {
    let replacements = fix.edits.iter().map(|edit| {
        let at = source.location(edit.span);
        json!({
            "deletedRegion": {
                "startLine": at.start.line,
                "startColumn": at.start.column,
                "endLine": at.end.line,
                "endColumn": at.end.column,
            },
            "insertedContent": { "text": edit.text },
        })
    });
    let location = source.location(contract::diagnostic::Span::default());
    json!({
        "description": { "text": fix.title },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(&location) },
            "replacements": replacements.collect::<Vec<_>>(),
        }],
    })
}

/// A relative path as a URI reference (RFC 3986): everything but the unreserved characters and `/` escaped.
fn uri(location: &Location) -> String {
    let path = slashes(&location.path);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    path.bytes().fold(String::with_capacity(path.len()), |mut uri, byte| {
        if plain(byte) {
            uri.push(byte as char);
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}
