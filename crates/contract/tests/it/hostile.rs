//! Hostile input: the right verdict, at a position, and never a panic. That it takes little time is measured by
//! hand; here a reader that is not linear would hang the suite.

mod cases;

use cases::{CASES, Case};
use contract::diagnostic::Position;
use contract::load;
use contract::source::Source;
use std::path::Path;

/// The first finding of some bytes.
fn verdict(bytes: &[u8]) -> Option<(String, Position)> {
    match Source::decode(Path::new("x.yaml"), bytes.to_vec()) {
        Err(refused) => Some((refused.finding.rule.to_string(), refused.finding.location.start)),
        Ok(source) => {
            let loaded = load::read(source);
            loaded.findings.first().map(|first| (first.rule.to_string(), first.location.start))
        }
    }
}

#[test]
fn every_case_has_its_verdict_at_its_place() {
    for Case { name, bytes, rule, at: (line, column) } in CASES {
        let expected = rule.map(|rule| (rule.to_owned(), Position { line: *line, column: *column }));
        assert_eq!(verdict(&bytes()), expected, "{name}");
    }
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    let plain = include_str!("data/moe-router-v1.yaml");
    for text in [plain.replace('\n', "\r\n"), format!("\u{feff}{plain}")] {
        let loaded = load::read(Source::new("moe-router-v1.yaml", text));
        assert_eq!(loaded.findings, []);
        assert!(loaded.contract.is_some());
    }
}

#[test]
fn a_long_line_and_many_errors_stay_linear() {
    let keys: String = (0..400_000).map(|n| format!("é{n}: 1, ")).collect();
    let text = format!("{{schema: 1, {keys}}}");
    let loaded = load::read(Source::new("x.yaml", text));
    assert_eq!(loaded.findings.len(), contract::yaml::MAX_FINDINGS + 1);
    let last = &loaded.findings[contract::yaml::MAX_FINDINGS];
    assert_eq!(last.rule, "limit");
    assert!(last.message.contains("more findings"), "{}", last.message);
}
