//! The memory of unchanged files: it is used, it says what reading would say, and it counts for nothing when bytes,
//! settings or the program are others.

use crate::report::{corpus, pv, repository};
use contract::date::Date;
use contract::diagnostic::Diagnostic;
use contract::hash::Digest;
use falsify::{Claim, falsifier};
use pv::cache::Cache;
use pv::context::Context;
use pv::lint::levels::Levels;
use pv::lint::{self, Comments};
use pv::report::Counts;
use pv::workspace::{Open, Workspace};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BAD: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- {id: FALSIFY-A-1, rule: r, prediction: p, if_fails: i}
";

const GOOD: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- {id: FALSIFY-A-1, rule: r, prediction: p, if_fails: i, proposed: {reason: later}}
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
        let mut workspace = Workspace::of(&context, repository, &paths, &mut cache, &open).unwrap();
        let analyses: Vec<_> = workspace.files.iter().map(|file| file.analysis.clone()).collect();
        let alone = workspace.take_findings();
        let findings = lint::run(&workspace, alone, None, Levels::DEFAULT, Comments::Heeded);
        (analyses, workspace.report(findings, false).findings)
    };
    assert_eq!(read(), read());
}

#[test]
fn an_unchanged_file_is_not_parsed_again_and_a_changed_one_is() {
    let dir = repository(&[("contracts/a-v1.yaml", GOOD)]);
    assert_eq!(lint(dir.path()).0, Some(0));
    // What the cache says of some bytes is believed: here it says of the bad ones what it found in the good ones.
    let known = fs::read(cache(dir.path())).unwrap();
    let digest = |text: &str| *Digest::of(text.as_bytes()).bytes();
    let at = known.windows(32).position(|window| window == digest(GOOD)).unwrap();
    let line = known.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // The digest of everything after it stands behind the first line.
    let body = [&known[line + 32..at], &digest(BAD), &known[at + 32..]].concat();
    let lie = [&known[..line], Digest::of(&body).bytes(), &body].concat();
    fs::write(dir.path().join("contracts/a-v1.yaml"), BAD).unwrap();
    fs::write(cache(dir.path()), &lie).unwrap();
    assert_eq!(lint(dir.path()).0, Some(0));
    // Of other bytes nothing is known, even when their number is the same.
    fs::write(dir.path().join("contracts/a-v1.yaml"), BAD.replace("title: t", "title: u")).unwrap();
    assert_eq!(lint(dir.path()).0, Some(1));
    fs::write(dir.path().join("contracts/a-v1.yaml"), BAD).unwrap();
    assert_eq!(lint(dir.path()).0, Some(1));
}

const LEGACY: &str =
    "metadata: {version: 1.0.0, description: d, references: [r], depends_on: [a-v1, gone-v1]}
# pv: allow-file(prose-test): a first day
falsification_tests:
- {id: FALSIFY-B-1, rule: r, prediction: p, test: prose about ü, if_fails: i}
";

/// Findings and counts of a tree, with what a cache remembers or without.
fn judged(dir: &Path, cache: &mut Cache) -> (Vec<Diagnostic>, Counts) {
    let context = Context::at(dir, Date::parse("2026-11-20").unwrap());
    let repository = context.repository().unwrap();
    let mut workspace = Workspace::of(&context, repository, &[], cache, &Open::default()).unwrap();
    let alone = workspace.take_findings();
    let levels = Levels::new(&workspace.repository).unwrap();
    let findings = lint::run(&workspace, alone, None, levels, Comments::Heeded);
    let report = workspace.report(findings, false);
    (report.findings, report.counts)
}

#[falsifier("FALSIFY-PV-LINT-001")]
fn a_memory_of_earlier_trees_changes_no_finding(claim: &mut Claim) {
    let dir = repository(&[("contracts/a-v1.yaml", BAD), ("contracts/b-v1.yaml", LEGACY)]);
    let put = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
    let (a, b) = ("contracts/a-v1.yaml", "contracts/b-v1.yaml");
    let place = Some(cache(dir.path()));
    // The disk remembers every tree before, and so does what is never written to it.
    let mut living = Cache::default();
    let changes: [(&str, &dyn Fn()); 13] = [
        ("none", &|| {}),
        // Only what nobody touched for two seconds is known by its stamp.
        ("left alone", &|| std::thread::sleep(Duration::from_millis(2100))),
        ("set back", &|| {
            let file = dir.path().join(b);
            let before = file.metadata().unwrap().modified().unwrap();
            put(b, &LEGACY.replace("gone-v1", "lost-v1"));
            File::options().write(true).open(file).unwrap().set_modified(before).unwrap();
        }),
        ("touched", &|| put(a, BAD)),
        ("edited", &|| put(a, GOOD)),
        ("same length", &|| put(b, &LEGACY.replace("a-v1", "c-v1"))),
        ("exchanged", &|| {
            put(a, LEGACY);
            put(b, GOOD);
        }),
        ("undone", &|| {
            put(a, BAD);
            put(b, LEGACY);
        }),
        ("broken", &|| put(a, "schema: 1\nmetadata: [\n")),
        ("binary", &|| fs::write(dir.path().join(b), [0, 159, 146, 150]).unwrap()),
        ("removed", &|| fs::remove_file(dir.path().join(b)).unwrap()),
        ("added", &|| put("contracts/gone-v1.yaml", &LEGACY.replace("gone-v1", "b-v1"))),
        ("settings", &|| put("pv.toml", "pv = \"0.1\"\nlint.severity.dangling-reference = \"note\"\n")),
    ];
    judged(dir.path(), &mut living);
    for (name, change) in changes {
        change();
        let read = judged(dir.path(), &mut Cache::default());
        let mut stored = Cache::load(place.clone());
        let mut all_the_same = judged(dir.path(), &mut living) == read;
        // Once with what was there before, once with what is there now.
        for _ in 0..2 {
            all_the_same &= judged(dir.path(), &mut stored) == read;
            stored.store(|path| dir.path().join(path).exists()).unwrap();
            stored = Cache::load(place.clone());
        }
        let what = format!("{} findings with and without a memory", read.0.len());
        claim.at("change", name).check(&what, all_the_same && !read.0.is_empty());
    }
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
    let known = fs::read(cache(dir.path())).unwrap();
    let line = known.iter().position(|byte| *byte == b'\n').unwrap();
    let (head, body) = known.split_at(line);
    let version = String::from_utf8(head.to_vec()).unwrap().replacen("0.1.0", "9.9.9", 1);
    // The finding itself is still there, only of another weight: who reads it prints something else.
    let lie: Vec<u8> = body.iter().map(|byte| if *byte == b'b' { b'x' } else { *byte }).collect();
    let mut long = body.to_vec();
    long[1] = 0xff;
    for (what, bytes) in [
        ("another version", [version.as_bytes(), &lie].concat()),
        ("another build", [head, b"1", &lie].concat()),
        ("half an entry", [head, &body[..body.len() / 2]].concat()),
        ("a length past the end", [head, &long].concat()),
        ("nothing", Vec::new()),
        ("no text", vec![0, 0xff]),
    ] {
        fs::write(cache(dir.path()), bytes).unwrap();
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
