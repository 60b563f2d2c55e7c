//! Commands that write: `fix`, `migrate`, `new`. What they do not mean stays as it is, comments and spacing included.

use crate::report::{corpus, pv, repository};
use std::collections::BTreeSet;
use std::fs;

const GOOD: &str = "# head
schema: 1   # one
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}

falsification_tests:
- id: FALSIFY-A-001
  rule: r        # why
  prediction: |
    p
  if_fails: i
  proposed: {reason: later}
# tail
";

fn stdout(out: &std::process::Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn fix_repairs_what_is_safe_and_keeps_the_rest() {
    let bad = GOOD
        .replace("if_fails: i", "If_Fails: i   # where")
        .replace("title: t", "title: 7")
        .replace("kind: kernel", "kind: kernels")
        .replace("rule: r  ", "rule: off");
    let dir = repository(&[("contracts/a-v1.yaml", &bad)]);
    let check = pv(dir.path(), &["fix", "--check"]);
    assert_eq!(check.status.code(), Some(1), "{}", stdout(&check));
    assert_eq!(fs::read_to_string(dir.path().join("contracts/a-v1.yaml")).unwrap(), bad, "--check wrote");
    let out = pv(dir.path(), &["fix"]);
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    assert!(stdout(&out).contains("4 repairs in 1 of 1 files"), "{}", stdout(&out));
    let expected = GOOD
        .replace("if_fails: i", "if_fails: i   # where")
        .replace("title: t", "title: \"7\"")
        .replace("rule: r  ", "rule: \"off\"");
    assert_eq!(fs::read_to_string(dir.path().join("contracts/a-v1.yaml")).unwrap(), expected);
    assert_eq!(pv(dir.path(), &["lint"]).status.code(), Some(0));
    assert_eq!(pv(dir.path(), &["fix", "--check"]).status.code(), Some(0));
}

#[test]
fn fix_corrects_references_and_removes_idle_comments() {
    let bad = GOOD
        .replace("references:", "depends_on: [b-v2], references:")
        .replace("- id:", "# pv: allow(cycle): there is none\n- id:")
        .replace("  if_fails: i\n", "  if_fails: i   # pv: allow(shared-test): nor here\n");
    let other = GOOD.replace("a-v1", "b-v1").replace("FALSIFY-A", "FALSIFY-B");
    let dir = repository(&[("contracts/a-v1.yaml", &bad), ("contracts/b-v1.yaml", &other)]);
    assert_eq!(pv(dir.path(), &["fix"]).status.code(), Some(0));
    let expected = GOOD.replace("references:", "depends_on: [b-v1], references:");
    assert_eq!(fs::read_to_string(dir.path().join("contracts/a-v1.yaml")).unwrap(), expected);
    assert_eq!(fs::read_to_string(dir.path().join("contracts/b-v1.yaml")).unwrap(), other);
}

/// The comments of a YAML text.
fn comments(text: &str) -> BTreeSet<String> {
    let source = contract::source::Source::new("x", text);
    let tree = contract::yaml::parse(&source, &mut contract::yaml::Findings::new(&source)).unwrap();
    tree.comments.iter().map(|span| source.slice(*span).trim_end().to_owned()).collect()
}

#[test]
fn every_contract_of_the_corpus_migrates_to_a_valid_one_with_its_comments() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for folder in ["upstream", "upstream/aprender", "upstream-aprender"] {
        for entry in fs::read_dir(corpus().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let copy = dir.path().join(folder.replace('/', "-")).join(path.file_name().unwrap());
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(&path, &copy).unwrap();
                files.push((path, copy));
            }
        }
    }
    assert_eq!(files.len(), 101);
    let check = pv(dir.path(), &["migrate", "--check", "."]);
    assert_eq!(check.status.code(), Some(1));
    assert!(
        files.iter().all(|(path, copy)| fs::read(path).unwrap() == fs::read(copy).unwrap()),
        "--check wrote"
    );
    let out = pv(dir.path(), &["migrate", "."]);
    // One contract has an id in capitals, and so a file that must be renamed; one file is no contract.
    let summary = "101 files = 99 migrated + 1 to be done by hand + 1 skipped";
    assert!(stdout(&out).ends_with(&format!("{summary}\n")), "{}", stdout(&out));
    let mut migrated = 0;
    for (path, copy) in &files {
        let (before, after) = (fs::read_to_string(path).unwrap(), fs::read_to_string(copy).unwrap());
        if before == after {
            continue;
        }
        migrated += 1;
        let loaded = contract::load(copy, copy);
        assert_eq!(loaded.findings, [], "{}", copy.display());
        assert!(loaded.contract.is_some());
        let lost: Vec<String> = comments(&before).difference(&comments(&after)).cloned().collect();
        assert_eq!(lost, Vec::<String>::new(), "{}", copy.display());
    }
    assert_eq!(migrated, 99);
    let again = pv(dir.path(), &["migrate", "upstream"]);
    assert!(
        stdout(&again).ends_with("0 migrated + 0 to be done by hand + 87 skipped\n"),
        "{}",
        stdout(&again)
    );
}

#[test]
fn the_four_tracing_contracts_keep_what_they_said() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "apr-cli-trace-save-tensor-v1",
        "qwen3-moe-forward-gpu-v1",
        "trace-attn-sub-stages-v1",
        "trace-moe-gpu-sub-stages-v1",
    ] {
        let copy = dir.path().join(format!("{name}.yaml"));
        fs::copy(corpus().join("upstream-aprender").join(format!("{name}.yaml")), &copy).unwrap();
        assert_eq!(pv(dir.path(), &["migrate", copy.to_str().unwrap()]).status.code(), Some(0), "{name}");
        assert_eq!(pv(dir.path(), &["validate", copy.to_str().unwrap()]).status.code(), Some(0), "{name}");
        insta::assert_snapshot!(name, fs::read_to_string(&copy).unwrap());
    }
}

#[test]
fn new_falsifiers_take_a_free_id_and_stand_at_the_end_of_the_list() {
    let dir = repository(&[("contracts/a-v1.yaml", GOOD)]);
    let out = pv(dir.path(), &["new", "falsifier", "a-v1"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(stdout(&out).starts_with("FALSIFY-A-002 in "), "{}", stdout(&out));
    let text = fs::read_to_string(dir.path().join("contracts/a-v1.yaml")).unwrap();
    assert!(text.starts_with(GOOD.trim_end_matches("# tail\n")) && text.ends_with("# tail\n"), "{text}");
    assert_eq!(pv(dir.path(), &["lint"]).status.code(), Some(0));
    for (args, said) in [
        (&["new", "falsifier", "a-v1", "FALSIFY-A-001"][..], "is taken: contracts/a-v1.yaml:6"),
        (&["new", "falsifier", "a-v2"], "did you mean `a-v1`?"),
        (&["new", "falsifier", "a-v1", "no id"], "is no falsifier id"),
        (&["new", "contract", "a-v1"], "already"),
        (&["new", "contract", "A v1"], "is no contract id"),
    ] {
        let out = pv(dir.path(), args);
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        let said_so = String::from_utf8_lossy(&out.stderr).contains(said);
        assert!(said_so, "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_new_contract_is_clean() {
    let dir = repository(&[]);
    assert_eq!(pv(dir.path(), &["new", "contract", "moe-router-v1"]).status.code(), Some(0));
    let out = pv(dir.path(), &["lint", "--no-config", "--no-allow"]);
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    assert!(stdout(&out).contains("findings 0 ="), "{}", stdout(&out));
    assert!(
        fs::read_to_string(dir.path().join("contracts/moe-router-v1.yaml"))
            .unwrap()
            .contains("FALSIFY-MOE-ROUTER-001")
    );
}
