//! Hostile input: the right verdict, at a position, and never a panic. That it takes little time is measured by
//! hand; here a reader that is not linear would hang the suite.

use contract::diagnostic::Position;
use contract::load;
use contract::source::Source;
use std::path::Path;

/// The first finding of some bytes.
fn verdict(bytes: &[u8]) -> (String, Position) {
    match Source::decode(Path::new("x.yaml"), bytes.to_vec()) {
        Err(refused) => (refused.finding.rule.to_string(), refused.finding.location.start),
        Ok(source) => {
            let loaded = load::read(source);
            let first = loaded.findings.first().expect("hostile input has a finding");
            (first.rule.to_string(), first.location.start)
        }
    }
}

struct Case(&'static str, &'static [u8], &'static str, (u32, u32));

#[test]
fn what_is_no_contract_is_said_at_its_place() {
    let cases = [
        Case("empty", b"", "empty-document", (1, 1)),
        Case("blank", b"\n\n  \n", "empty-document", (1, 1)),
        Case("comment only", b"# nothing here\n", "empty-document", (1, 1)),
        Case("null", b"~\n", "empty-document", (1, 1)),
        Case("mark only", b"\xef\xbb\xbf", "empty-document", (1, 1)),
        Case("scalar", b"just words\n", "wrong-type", (1, 1)),
        Case("list", b"- a\n- b\n", "wrong-type", (1, 3)),
        Case("tab", b"metadata:\n\tid: x\n", "syntax", (2, 2)),
        Case("unclosed", b"schema: 1\nmetadata: [a, b\n", "syntax", (2, 11)),
        Case("colon", b"schema: 1\nnotes: a: b\n", "syntax", (2, 9)),
        Case("duplicate key", b"schema: 1\nnotes: a\nnotes: b\n", "duplicate-key", (3, 1)),
        Case("two documents", b"schema: 1\n---\nschema: 1\n", "several-documents", (2, 1)),
        Case("key that is a list", b"schema: 1\n[a, b]: c\n", "wrong-type", (2, 2)),
        Case("unknown alias", b"schema: *one\n", "syntax", (1, 9)),
        Case("recursive alias", b"notes: &a [*a]\n", "recursive-alias", (1, 12)),
        Case("foreign tag", b"schema: !python/object 1\n", "wrong-type", (1, 24)),
        Case("binary", b"\x7fELF\x02\x01\x01\x00", "encoding", (1, 1)),
        Case("Latin-1", b"schema: 1\nnotes: caf\xe9\n", "encoding", (2, 11)),
        Case("UTF-16", b"\xff\xfes\x00c\x00", "encoding", (1, 1)),
        Case("NUL", b"schema: 1\nnotes: \"a\x00b\"\n", "encoding", (2, 10)),
    ];
    for Case(name, bytes, rule, (line, column)) in cases {
        assert_eq!(verdict(bytes), (rule.to_owned(), Position { line, column }), "{name}");
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
fn limits_are_verdicts() {
    let nested = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let bomb: String = (1..60).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        let below = level - 1;
        text + &format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}]\n")
    });
    let cases = [
        ("flow lists", nested("[", "]"), (1, 129)),
        ("unclosed flow lists", "[".repeat(100_000), (1, 129)),
        ("flow mappings", nested("{a: ", "}"), (1, 513)),
        ("block lists", "- ".repeat(100_000), (1, 257)),
        ("alias bomb", bomb, (7, 15)),
        ("two million values", "- a\n".repeat(2_000_000), (1_000_000, 3)),
    ];
    for (name, text, (line, column)) in cases {
        assert_eq!(verdict(text.as_bytes()), ("limit".to_owned(), Position { line, column }), "{name}");
    }
    let long_line = format!("notes: {}", "x".repeat(50_000_000));
    assert_eq!(verdict(long_line.as_bytes()).0, "limit");
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
