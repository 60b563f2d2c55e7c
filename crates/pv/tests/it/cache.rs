//! The memory of unchanged files: it is used, it says what reading would say, and it counts for nothing when bytes,
//! settings or the program are others.

use crate::report::{corpus, pv, repository};
use contract::date::Date;
use pv::cache::Cache;
use pv::context::Context;
use pv::lint::levels::Levels;
use pv::lint::{self, Comments};
use pv::workspace::{Open, Workspace};
use std::fs;
use std::path::{Path, PathBuf};

const BAD: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- {id: FALSIFY-A-1, rule: r, prediction: p, if_fails: i}
";

fn lint(dir: &Path) -> (Option<i32>, String) {
    let out = pv(dir, &["lint"]);
    (out.status.code(), String::from_utf8(out.stdout).unwrap())
}

fn cache(dir: &Path) -> PathBuf {
    dir.join("target/pv/contracts.cache")
}

#[test]
fn what_is_known_is_what_reading_says() {
    let context = Context::at(corpus(), Date::parse("2026-11-20").unwrap());
    let paths = ["upstream", "upstream-aprender"].map(Into::into);
    let mut cache = Cache::default();
    let mut read = || {
        let open = Open::default();
        let repository = context.repository().unwrap();
        let workspace = Workspace::of(&context, repository, &paths, &mut cache, &open).unwrap();
        let findings = lint::run(&workspace, None, Levels::DEFAULT, Comments::Heeded);
        let analyses: Vec<_> = workspace.files.iter().map(|file| file.analysis.clone()).collect();
        (analyses, workspace.report(findings, false).findings)
    };
    assert_eq!(read(), read());
}

#[test]
fn an_unchanged_file_is_not_parsed_again_and_a_changed_one_is() {
    let dir = repository(&[("contracts/a-v1.yaml", BAD)]);
    let first = lint(dir.path());
    assert_eq!(first.0, Some(1));
    assert_eq!(lint(dir.path()), first);
    // What the cache says is believed: a finding that is taken out of it is not made again.
    let known = fs::read_to_string(cache(dir.path())).unwrap();
    let (before, after) = known.split_once("\"findings\":[").unwrap();
    let (_, after) = after.split_once("],\"allows\"").unwrap();
    fs::write(cache(dir.path()), format!("{before}\"findings\":[],\"allows\"{after}")).unwrap();
    assert_eq!(lint(dir.path()).0, Some(0), "{known}");
    // Of other bytes nothing is known, even when their number is the same.
    fs::write(dir.path().join("contracts/a-v1.yaml"), BAD.replace("title: t", "title: u")).unwrap();
    assert_eq!(lint(dir.path()).0, Some(1));
    fs::write(dir.path().join("contracts/a-v1.yaml"), BAD).unwrap();
    assert_eq!(lint(dir.path()), first);
}

#[test]
fn settings_count_whatever_is_known() {
    let dir = repository(&[("contracts/a-v1.yaml", BAD)]);
    assert_eq!(lint(dir.path()).0, Some(1));
    fs::write(dir.path().join("pv.toml"), "pv = \"0.1\"\nlint.severity.unbound-falsifier = \"note\"\n")
        .unwrap();
    assert_eq!(lint(dir.path()).0, Some(0));
}

#[test]
fn what_another_program_wrote_or_nobody_can_read_counts_for_nothing() {
    let dir = repository(&[("contracts/a-v1.yaml", BAD)]);
    let first = lint(dir.path());
    let known = fs::read_to_string(cache(dir.path())).unwrap();
    let (head, body) = known.split_once('\n').unwrap();
    let silent = body.replace("unbound-falsifier", "cycle");
    for (what, text) in [
        ("another version", format!("{} 9.9.9 {}\n{silent}", &head[..4], &head[10..])),
        ("another build", format!("{head}1\n{silent}")),
        ("half a line", format!("{head}\n{}", &body[..body.len() / 2])),
        ("nothing", String::new()),
        ("no text", "\u{0}\u{fffd}".to_owned()),
    ] {
        fs::write(cache(dir.path()), text).unwrap();
        assert_eq!(lint(dir.path()), first, "{what}");
    }
}

#[test]
fn the_cache_shows_in_no_work_tree() {
    let dir = repository(&[("contracts/a-v1.yaml", BAD)]);
    let git = |args: &[&str]| {
        let out = std::process::Command::new("git").arg("-C").arg(dir.path()).args(args).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    assert_eq!(lint(dir.path()).0, Some(1));
    assert!(cache(dir.path()).is_file());
    assert_eq!(
        git(&["status", "--porcelain", "--untracked-files=all"]),
        "A  contracts/a-v1.yaml\nA  pv.toml\n"
    );
}

#[test]
fn a_tree_that_cannot_be_written_to_is_judged_all_the_same() {
    let dir = repository(&[("contracts/a-v1.yaml", BAD), ("target", "in the way")]);
    assert_eq!(lint(dir.path()).0, Some(1));
}
