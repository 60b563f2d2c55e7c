//! Hostile files: what each holds, the rule that its first finding breaks, and where. The reader is held to the
//! table by the tests of this crate, the command line by those of `pv`.

/// One file.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: fn() -> Vec<u8>,
    /// The rule of the first finding; none for a file that is well.
    pub(crate) rule: Option<&'static str>,
    /// Line and column of the first finding.
    pub(crate) at: (u32, u32),
}

/// A contract without a finding, for a file of that stem.
pub(crate) fn good(id: &str) -> String {
    format!(
        "schema: 1
metadata: {{id: {id}, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}}
falsification_tests:
- id: FALSIFY-{}-1
  rule: r
  prediction: p
  if_fails: i
  proposed: {{reason: later}}
",
        id.to_uppercase()
    )
}

fn nested(open: &str, close: &str) -> Vec<u8> {
    (open.repeat(100_000) + &close.repeat(100_000)).into_bytes()
}

/// Every alias stands for four of the one before: 4^59 values.
fn bomb() -> Vec<u8> {
    let first = "a0: &a0 [x]\n".to_owned();
    let text = (1..60).fold(first, |text, level| {
        let below = level - 1;
        text + &format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}]\n")
    });
    text.into_bytes()
}

fn utf16() -> Vec<u8> {
    let units = "schema: 1\n".encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

/// As many keys as fit under the limit, each of them twice.
fn every_key_twice() -> Vec<u8> {
    let keys: String = (0..240_000).map(|key| format!("k{key}: 1\n")).collect();
    format!("schema: 1\n{keys}{keys}").into_bytes()
}

macro_rules! cases {
    ($($name:literal: $bytes:expr => $rule:expr, $at:expr;)*) => {
        /// Every case, for a file that is called `x.yaml`.
        pub(crate) const CASES: &[Case] =
            &[$(Case { name: $name, bytes: || Vec::from($bytes), rule: $rule, at: $at },)*];
    };
}

cases! {
    "empty": b"" => Some("empty-document"), (1, 1);
    "blank": b"\n\n  \n" => Some("empty-document"), (1, 1);
    "comment only": b"# nothing here\n" => Some("empty-document"), (1, 1);
    "null": b"~\n" => Some("empty-document"), (1, 1);
    "mark only": b"\xef\xbb\xbf" => Some("empty-document"), (1, 1);
    "scalar": b"just words\n" => Some("wrong-type"), (1, 1);
    "list": b"- a\n- b\n" => Some("wrong-type"), (1, 3);
    "tab": b"metadata:\n\tid: x\n" => Some("syntax"), (2, 2);
    "unclosed": b"schema: 1\nmetadata: [a, b\n" => Some("syntax"), (2, 11);
    "colon": b"schema: 1\nnotes: a: b\n" => Some("syntax"), (2, 9);
    "duplicate key": b"schema: 1\nnotes: a\nnotes: b\n" => Some("duplicate-key"), (3, 1);
    "two documents": b"schema: 1\n---\nschema: 1\n" => Some("several-documents"), (2, 1);
    "key that is a list": b"schema: 1\n[a, b]: c\n" => Some("wrong-type"), (2, 2);
    "unknown alias": b"schema: *one\n" => Some("syntax"), (1, 9);
    "recursive alias": b"notes: &a [*a]\n" => Some("recursive-alias"), (1, 12);
    "foreign tag": b"schema: !python/object 1\n" => Some("wrong-type"), (1, 24);
    "binary": b"\x7fELF\x02\x01\x01\x00" => Some("encoding"), (1, 1);
    "Latin-1": b"schema: 1\nnotes: caf\xe9\n" => Some("encoding"), (2, 11);
    "UTF-16": utf16() => Some("encoding"), (1, 1);
    "NUL": b"schema: 1\nnotes: \"a\x00b\"\n" => Some("encoding"), (2, 10);
    "byte order mark": format!("\u{feff}{}", good("x")) => None, (1, 1);
    "CRLF": good("x").replace('\n', "\r\n") => None, (1, 1);
    "YAML 1.1 boolean": good("x").replace("rule: r", "rule: off") => Some("ambiguous-boolean"), (5, 9);
    "nested lists": nested("[", "]") => Some("limit"), (1, 129);
    "unclosed lists": "[".repeat(100_000) => Some("limit"), (1, 129);
    "nested mappings": nested("{a: ", "}") => Some("limit"), (1, 513);
    "nested block lists": "- ".repeat(100_000) => Some("limit"), (1, 257);
    "alias bomb": bomb() => Some("limit"), (7, 15);
    "two million values": "- a\n".repeat(2_000_000) => Some("limit"), (1_000_000, 3);
    "a line of 50 MB": format!("notes: {}", "x".repeat(50_000_000)) => Some("limit"), (1, 1);
    "every key twice": every_key_twice() => Some("duplicate-key"), (240_002, 1);
    "a line of 10 MB": format!("schema: 1\nnotes: {}", "x ".repeat(5_000_000)) => Some("missing-key"), (1, 1);
}
