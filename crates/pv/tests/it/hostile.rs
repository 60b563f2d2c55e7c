//! Hostile files on the command line: the right verdict at its place, within bounded memory, and the other file of
//! the folder judged as if it stood there alone.

#[path = "../../../contract/tests/it/hostile/cases.rs"]
mod cases;

use crate::report::repository;
use cases::{CASES, Case, good};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// 500 MB of address space, in the units of `ulimit -v`.
const MEMORY_KIB: u32 = 488_281;

/// A reader that is not linear takes minutes. The second that a case may take on an idle machine is measured by
/// `cargo bench -p pv --bench scale -- hostile`, with an optimised build.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `pv validate` says of a folder: the exit code and the report.
fn validate(dir: &Path) -> (i32, Value) {
    let report = dir.join("report.json");
    let script = format!("ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_pv"), "validate", "contracts", "--format", "json"])
        .current_dir(dir)
        .env_remove("PV_ROOT")
        // Each thread would reserve address space of its own.
        .envs([("RAYON_NUM_THREADS", "2"), ("MALLOC_ARENA_MAX", "2")])
        .stdout(fs::File::create(&report).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("no verdict within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = fs::read_to_string(&report).unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let code = status.code().unwrap_or_else(|| panic!("killed: {status}: {said}"));
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{said}")))
}

/// The findings of one file, as rule, line and column.
fn findings(report: &Value, path: &str) -> Vec<(String, u64, u64)> {
    let all = report["findings"].as_array().unwrap();
    let of_file = all.iter().filter(|finding| finding["location"]["path"] == path);
    of_file
        .map(|finding| {
            let start = &finding["location"]["start"];
            let number = |key: &str| start[key].as_u64().unwrap();
            (finding["rule"].as_str().unwrap().to_owned(), number("line"), number("column"))
        })
        .collect()
}

#[test]
fn every_case_is_judged_and_hides_no_other_file() {
    let dir = repository(&[("contracts/good.yaml", &good("good")), ("contracts/bad.yaml", "schema: 1\n")]);
    let contracts = dir.path().join("contracts");
    for Case { name, bytes, rule, at } in CASES {
        fs::write(contracts.join("x.yaml"), bytes()).unwrap();
        let (code, report) = validate(dir.path());
        let found = findings(&report, "contracts/x.yaml");
        let expected = rule.map(|rule| (rule.to_owned(), u64::from(at.0), u64::from(at.1)));
        match expected {
            Some(expected) => assert!(found.contains(&expected), "{name}: {found:?}"),
            None => assert_eq!(found, [], "{name}"),
        }
        assert_eq!(code, 1, "{name}");
        assert_eq!(findings(&report, "contracts/good.yaml"), [], "{name}");
        assert_eq!(findings(&report, "contracts/bad.yaml")[0].0, "missing-key", "{name}");
        assert_eq!(report["counts"]["files"], 3, "{name}");
    }
}

/// Each of these would be held against everything else in a reader that is not careful.
#[test]
fn very_many_comments_references_and_stages_are_judged_in_time() {
    let stages: String = (0..30_000)
        .map(|n| {
            format!("- {{id: M-{n}, description: d, after: [M-{}], accepts: [FALSIFY-GONE-{n}]}}\n", n + 1)
        })
        .collect();
    let chain = good("chain") + "implementation_stages:\n" + &stages;
    let comments = "# pv: allow(dangling-reference): r\n- {id: FALSIFY-L, rule: r, prediction: p, if_fails: i, test: t}\n";
    let allowed = "metadata: {version: 1, description: d}\nfalsification_tests:\n".to_owned()
        + &comments.repeat(20_000);
    let dir = repository(&[("contracts/chain.yaml", &chain), ("contracts/allowed.yaml", &allowed)]);
    let start = Instant::now();
    let out = crate::report::pv(dir.path(), &["lint", "--format", "json"]);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let count = |rule: &str| {
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["rule"] == rule).count()
    };
    assert_eq!((count("malformed-allow"), count("cycle")), (1, 0));
    // Every name that leads nowhere is told: those of the falsifiers and the last stage.
    assert_eq!(count("dangling-reference"), 30_001);
}

/// Something in a folder that is no ordinary file.
struct Oddity {
    name: &'static str,
    make: fn(&Path),
    /// The rule and the exit code.
    verdict: (&'static str, i32),
    files: u32,
}

const ODDITIES: &[Oddity] = &[
    Oddity {
        name: "a folder that links to itself",
        make: |dir| symlink(".", dir.join("again")).unwrap(),
        verdict: ("link-loop", 0),
        files: 1,
    },
    Oddity {
        name: "two folders that link to each other",
        make: |dir| {
            for (from, to) in [("a", "b"), ("b", "a")] {
                fs::create_dir(dir.join(from)).unwrap();
                symlink(format!("../{to}"), dir.join(from).join(to)).unwrap();
            }
        },
        verdict: ("link-loop", 0),
        files: 1,
    },
    Oddity {
        name: "a file that links to itself",
        make: |dir| symlink("x.yaml", dir.join("x.yaml")).unwrap(),
        verdict: ("unreadable-file", 1),
        files: 2,
    },
    Oddity {
        name: "a link to nothing",
        make: |dir| symlink("nowhere", dir.join("x.yaml")).unwrap(),
        verdict: ("unreadable-file", 1),
        files: 2,
    },
    Oddity {
        name: "a pipe",
        make: |dir| assert!(Command::new("mkfifo").arg(dir.join("x.yaml")).status().unwrap().success()),
        verdict: ("unreadable-file", 1),
        files: 2,
    },
    Oddity {
        name: "a device without end",
        make: |dir| symlink("/dev/zero", dir.join("x.yaml")).unwrap(),
        verdict: ("unreadable-file", 1),
        files: 2,
    },
    Oddity {
        name: "a file without permission",
        make: |dir| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::write(dir.join("x.yaml"), "a:\n\tb: c\n").unwrap();
            fs::set_permissions(dir.join("x.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
        },
        // Who may read everything reads this too, and finds the tab.
        verdict: ("unreadable-file|syntax", 1),
        files: 2,
    },
];

#[test]
fn what_is_no_ordinary_file_is_told_and_hides_no_other() {
    for Oddity { name, make, verdict: (rules, exit), files } in ODDITIES {
        let dir = repository(&[("contracts/good.yaml", &good("good"))]);
        make(&dir.path().join("contracts"));
        let (code, report) = validate(dir.path());
        assert_eq!(code, *exit, "{name}: {report}");
        assert_eq!(report["counts"]["files"], *files, "{name}");
        let all = report["findings"].as_array().unwrap();
        assert!(!all.is_empty(), "{name}");
        let known = |finding: &Value| rules.split('|').any(|rule| finding["rule"] == json!(rule));
        assert!(all.iter().all(known), "{name}: {all:?}");
    }
}
