//! Good files become contracts; every error of a bad file is found, at its place.

use contract::schema::{Faults, Tests};
use contract::source::Source;
use contract::walk::Dialect;
use contract::{Loaded, load};
use std::path::Path;

const EXAMPLE: &str = include_str!("data/moe-router-v1.yaml");

fn read(text: &str) -> Loaded {
    load::read(Source::new("moe-router-v1.yaml", text))
}

/// `rule line:column` of every finding.
fn findings(text: &str) -> Vec<String> {
    let place = |f: &contract::diagnostic::Diagnostic| {
        format!("{} {}:{}", f.rule, f.location.start.line, f.location.start.column)
    };
    read(text).findings.iter().map(place).collect()
}

#[test]
fn the_example_reads() {
    let loaded = load(Path::new("tests/it/data/moe-router-v1.yaml"), Path::new("moe-router-v1.yaml"));
    assert_eq!(loaded.findings, []);
    assert_eq!(loaded.dialect, Dialect::Schema1);
    let contract = loaded.contract.unwrap();
    let [first, second] = contract.falsification_tests.as_slice() else { panic!("two falsifiers") };
    let claim = first.claim.as_ref().unwrap();
    assert_eq!(claim.bound.as_ref().unwrap().at_most, Some(1e-6));
    assert_eq!(claim.over["case"].len(), 3);
    assert!(matches!(&first.test, Some(Tests::One(test)) if test.timeout_s == Some(60)));
    assert!(matches!(&second.test, Some(Tests::Shorthand(_))));
    assert!(matches!(&second.faults, Some(Faults::None(_))));
    assert_eq!(second.hosts, ["cpu"]);
}

#[test]
fn spans_are_found_by_json_pointer() {
    let loaded = read(EXAMPLE);
    let tree = loaded.tree.unwrap();
    let text = |span: Option<_>| loaded.source.slice(span.unwrap()).to_owned();
    assert_eq!(text(tree.span("/falsification_tests/0/claim/bound/at_most")), "1.0e-6");
    assert_eq!(text(tree.key_span("/falsification_tests/1/test")), "test");
    assert_eq!(text(tree.span("/metadata/references/0")), "README.md");
    assert_eq!(text(tree.span("/equations/route/formula")), "\"w = softmax(W x)[topk] / sum\"");
    assert_eq!(tree.span("/falsification_tests/7"), None);
    assert_eq!(tree.span("/metadata/no"), None);
}

#[test]
fn a_value_ends_with_its_last_character() {
    let text = "a: |\n  one\n  two\n\n# comment\nb: >-\n  three\nc: \"four\"   # comment\nd: five   # comment\ne: [x, y]\nf:\n- g: h\n";
    let loaded = read(text);
    let tree = loaded.tree.unwrap();
    let ends = |key: &str| {
        let slice = loaded.source.slice(tree.span(&format!("/{key}")).unwrap());
        slice.split('\n').next_back().unwrap().trim().to_owned()
    };
    assert_eq!(
        ["a", "b", "c", "d", "e", "f"].map(ends),
        ["two", "three", "\"four\"", "five", "[x, y]", "g: h"]
    );
}

#[test]
fn every_error_of_a_file_is_reported_at_its_place() {
    let text = "\
schema: 1
metadata:
  id: moe-router-v1
  version: 1.0
  kind: kernal
  title: ''
  description: d
  references: []
  dependson: []
proof_obligations:
- {type: equivalence, property: p, id: 'a b'}
implementation_stages: none
falsification_tests:
- id: F-1
  rule: yes
  prediction: p
  if_fail: x
  claim: {metric: max_abs, bound: {at_most: .nan, at_least: 1}, reference: {kind: data}}
  test: cargo test -p a --lib b and more
  proposed: {reason: r}
  hosts:
";
    assert_eq!(
        findings(text),
        [
            "ambiguous-boolean 15:9",
            "wrong-type 4:12",
            "unknown-value 5:9",
            "empty-value 6:10",
            "empty-value 8:15",
            "unknown-key 9:3",
            "invalid-id 11:40",
            "wrong-type 12:24",
            "unknown-key 17:3",
            "out-of-range 18:45",
            "conflicting-keys 18:51",
            "missing-key 18:83",
            "invalid-test 19:33",
            "empty-value 21:8",
            "missing-key 14:3",
            "conflicting-keys 20:3",
        ]
    );
}

#[test]
fn suggestions_and_fixes_say_what_to_write() {
    let bad = EXAMPLE.replace("if_fails", "if_fail").replacen("max_abs", "maxabs", 1);
    let loaded = read(&bad);
    let fixes: Vec<_> = loaded
        .findings
        .iter()
        .filter_map(|f| f.fix.as_ref())
        .flat_map(|fix| fix.edits.iter().map(|edit| (loaded.source.slice(edit.span), edit.text.as_str())))
        .collect();
    assert_eq!(fixes, [("if_fail", "if_fails"), ("maxabs", "max_abs"), ("if_fail", "if_fails")]);
}

#[test]
fn a_value_that_both_languages_read_alike_is_needed() {
    for (yaml, rule) in
        [("no", Some("ambiguous-boolean")), ("\"no\"", None), ("Off", Some("ambiguous-boolean"))]
    {
        let text = EXAMPLE.replacen("title: Router", &format!("title: {yaml}"), 1);
        let found = read(&text).findings.into_iter().map(|f| f.rule).collect::<Vec<_>>();
        assert_eq!(found, Vec::from_iter(rule), "{yaml}");
    }
}

#[test]
fn a_file_without_schema_is_legacy_and_read_with_warnings() {
    let text = "metadata: {version: 1, description: d}\nproof_obligation: []\ntoyota: {}\n";
    let loaded = read(text);
    assert_eq!(loaded.dialect, Dialect::Legacy);
    let found: Vec<_> = loaded.findings.iter().map(|f| (f.rule.as_ref(), f.severity.name())).collect();
    assert_eq!(found, [("unknown-key", "error"), ("unknown-key", "warning")]);
}

#[test]
fn an_unknown_schema_version_says_which_are_known() {
    let loaded = read(&EXAMPLE.replace("schema: 1", "schema: 2"));
    let [finding] = loaded.findings.as_slice() else { panic!("{:?}", loaded.findings) };
    assert_eq!((finding.rule.as_ref(), finding.help.as_deref()), ("out-of-range", Some("accepted: 1")));
}

#[test]
fn the_file_name_is_the_id() {
    let loaded = load::read(Source::new("contracts/other-v1.yaml", EXAMPLE));
    let [finding] = loaded.findings.as_slice() else { panic!("{:?}", loaded.findings) };
    assert_eq!(finding.rule, "misnamed-contract");
}
