//! JUnit reports as weak evidence: what is attributed, what it can and cannot do to a status, and what is no report.

use crate::report::{committed, pv, repository};
use contract::evidence::{Cause, Host, Outcome};
use contract::id::FalsifierId;
use contract::schema::Contract;
use contract::settings::Settings;
use contract::status::FalsifierStatus;
use contract::status::facts::{Current, MeasureFacts, RecordFacts};
use falsify::{Claim, falsifier};
use pv::evidence::junit::{self, Attributed, Basis, JunitError};
use pv::status;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CONTRACT: &str = r#"schema: 1
metadata: {id: c-v1, version: 1.0.0, kind: kernel, title: C, description: D., references: [a]}
falsification_tests:
- {id: FALSIFY-ONE, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: {package: checks, target: "test:it", path: "router::one"}, hosts: [cpu], faults: {none: n}}
- {id: FALSIFY-TWO, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: [{package: checks, target: "test:it", path: "router::first"}, {package: checks, target: "test:it", path: "router::second"}], hosts: [cpu], faults: {none: n}}
- {id: FALSIFY-NEEDY, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: {package: checks, target: lib, path: "needy", needs: ["model:tiny"]}, hosts: [cpu], faults: {none: n}}
- {id: FALSIFY-SHARED-1, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: {package: checks, target: lib, path: "shared"}, hosts: [cpu], faults: {none: n}}
- {id: FALSIFY-SHARED-2, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: {package: checks, target: lib, path: "shared"}, hosts: [cpu], faults: {none: n}}
- {id: FALSIFY-FAR, rule: r, prediction: p, if_fails: f, claim: {metric: predicate}, test: {package: checks, target: lib, path: "far"}, hosts: [far], faults: {none: n}}
"#;

const SETTINGS: &str = "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n[host.far]\nmatch = { gpu = \"Far*\" }\n[profile]\nlight = { host = \"cpu\" }\n[model]\ntiny = { path = \"tiny.gguf\", sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }\n";

/// A report of one executable, as nextest writes it.
fn report(executable: &str, cases: &str) -> String {
    let (tests, failures) = (cases.matches("<testcase").count(), cases.matches("<failure").count());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"nextest-run\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\" timestamp=\"2026-11-20T11:15:02.120+01:00\" time=\"0.5\">\n\
         <testsuite name=\"{executable}\" tests=\"{tests}\" disabled=\"0\" errors=\"0\" failures=\"{failures}\">\n\
         {cases}</testsuite>\n</testsuites>\n"
    )
}

fn case(executable: &str, name: &str, inside: &str) -> String {
    format!("<testcase name=\"{name}\" classname=\"{executable}\" time=\"0.25\">{inside}</testcase>\n")
}

struct World {
    contract: Contract,
    settings: Settings,
    current: BTreeMap<FalsifierId, Current>,
}

impl World {
    fn new() -> Self {
        let contract: Contract = serde_yaml::from_str(CONTRACT).unwrap();
        let digest = |axis: &str| Some(format!("sha256:{axis}"));
        let held = Current {
            claim: digest("claim"),
            statement: digest("statement"),
            test: digest("test"),
            subjects: digest("subjects"),
            deps: digest("deps"),
            ..Current::default()
        };
        let ids = contract.falsification_tests.iter().map(|f| f.id.clone());
        let current = ids.map(|id| (id, held.clone())).collect();
        Self { settings: Settings::parse(SETTINGS).unwrap(), current, contract }
    }

    fn read(&self, text: &str) -> Attributed {
        let host = Host {
            class: "cpu".to_owned(),
            arch: "x86_64".to_owned(),
            cpu: "a processor".to_owned(),
            gpu: None,
            driver: None,
        };
        let contracts = [("contracts/c-v1.yaml".to_owned(), "0".repeat(64), &self.contract)];
        let (tree, commit) = ("1".repeat(40), "2".repeat(40));
        let basis = Basis {
            contracts: &contracts,
            current: &self.current,
            class: &self.settings.hosts["cpu"],
            host: &host,
            tree: &tree,
            commit: &commit,
        };
        let cases = junit::read(text.as_bytes()).unwrap();
        let found = junit::records(&basis, text.as_bytes(), cases);
        for statement in &found.statements {
            // What is written can be read, so its parts agree.
            let bytes = statement.to_bytes().unwrap();
            assert_eq!(&contract::evidence::Statement::from_bytes(&bytes).unwrap(), statement);
        }
        found
    }

    /// The status of a falsifier after these records.
    fn status(&self, id: &str, records: Vec<RecordFacts>) -> FalsifierStatus {
        let id = FalsifierId::parse(id).unwrap();
        let records = BTreeMap::from([(id.clone(), records)]);
        let basis = status::Basis {
            contracts: &[&self.contract],
            settings: &self.settings,
            bindings: None,
            current: &self.current,
            records: &records,
            today: None,
        };
        let status = status::of(basis).unwrap();
        status.contracts[0].falsifiers.iter().find(|f| f.id == id).unwrap().derived.status
    }
}

fn facts(found: &Attributed) -> Vec<RecordFacts> {
    found.statements.iter().map(|s| RecordFacts::of(s.clone(), "evidence/x.json".to_owned(), None)).collect()
}

const IT: &str = "checks::it";

/// What a report holds, by name; what it amounts to, in a word: an outcome, or why it is none.
const REPORTS: &[(&str, &str, &str, &str, &str)] = &[
    ("passed", IT, "router::one", "", "passed"),
    ("case-of-a-test", IT, "router::one::case_1", "", "passed"),
    ("failed", IT, "router::one", "<failure type=\"test failure\">left: 1</failure>", "failed"),
    ("flaky", IT, "router::one", "<flakyFailure type=\"test failure\">left: 1</flakyFailure>", "failed"),
    ("timeout", IT, "router::one", "<failure type=\"test timeout\"/>", "it broke"),
    ("abort", IT, "router::one", "<failure type=\"test abort\"/>", "it broke"),
    ("error", IT, "router::one", "<error type=\"execution failure\"/>", "it broke"),
    ("skipped", IT, "router::one", "<skipped/>", "it was skipped"),
    (
        "left-itself",
        IT,
        "router::one",
        "<system-err>FALSIFY-ONE: SKIPPED: no CUDA device</system-err>",
        "it was skipped",
    ),
    ("other-executable", "other::it", "router::one", "", "no contract binds a test of the executable"),
    ("other-target", "checks", "router::one", "", "no contract binds this test"),
    ("longer-path", IT, "router::one_more", "", "no contract binds this test"),
    ("deeper-path", IT, "outer::router::one", "", "no contract binds this test"),
    ("bound-twice", "checks", "shared", "", "several bindings mean this test"),
    ("other-host", "checks", "far", "", "needs no run on host class cpu"),
    ("needs", "checks", "needy", "", "which reads as a pass"),
    ("needs-failed", "checks", "needy", "<failure type=\"test failure\"/>", "failed"),
];

#[falsifier("FALSIFY-EVIDENCE-JUNIT-001")]
fn a_report_is_attributed_or_listed(claim: &mut Claim) {
    let world = World::new();
    for (name, executable, test, inside, wanted) in REPORTS {
        let found = world.read(&report(executable, &case(executable, test, inside)));
        let got = match (found.statements.as_slice(), found.others.as_slice()) {
            ([one], []) => match &one.predicate.pv_evidence.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed { cause: Cause::Reported, .. } => "failed".to_owned(),
                other => format!("{other:?}"),
            },
            ([], [one]) => one.reason.clone(),
            other => format!("{other:?}"),
        };
        let note = format!("{got:?}, wanted {wanted:?}");
        claim.at("report", *name).check(&note, got == *wanted || got.contains(wanted) && got.contains(' '));
    }
}

#[falsifier("FALSIFY-EVIDENCE-JUNIT-002")]
fn a_report_never_discharges_and_a_failure_falsifies(claim: &mut Claim) {
    let world = World::new();
    let one = |inside: &str| facts(&world.read(&report(IT, &case(IT, "router::one", inside))));
    let mut check = |what: &str, got: FalsifierStatus, wanted: FalsifierStatus| {
        claim.at("history", what).check(&format!("{got}, wanted {wanted}"), got == wanted);
    };
    check("pass", world.status("FALSIFY-ONE", one("")), FalsifierStatus::Functional);
    let failure = "<failure type=\"test failure\"/>";
    check("failure", world.status("FALSIFY-ONE", one(failure)), FalsifierStatus::Falsified);
    let mut both = one("");
    both.extend(one(failure));
    check("pass-and-failure", world.status("FALSIFY-ONE", both), FalsifierStatus::Falsified);
    // One test was measured; of the other there is an outcome alone.
    let cases = case(IT, "router::first", "") + &case(IT, "router::second", "");
    let weak = facts(&world.read(&report(IT, &cases)));
    let measure = MeasureFacts {
        metric: contract::claim::Metric::Predicate,
        comparisons: 1,
        worst: Some("0".to_owned()),
        headroom: None,
        declared: 0,
        hit: 0,
        missed: Vec::new(),
    };
    let passed = vec!["checks/test:it/router::first".to_owned()];
    let strong = RecordFacts { measure: Some(measure), passed, ..weak[0].clone() };
    let whole = RecordFacts { passed: weak[0].passed.clone(), ..strong.clone() };
    let measured = world.status("FALSIFY-TWO", vec![whole]);
    check("measured", measured, FalsifierStatus::Discharged);
    let beside = world.status("FALSIFY-TWO", vec![strong, weak[0].clone()]);
    check("beside-a-measure", beside, FalsifierStatus::Functional);
}

#[test]
fn the_worst_case_of_a_falsifier_decides_and_its_record_says_where_it_is_from() {
    let world = World::new();
    let cases = case(IT, "router::first", "")
        + &case(
            IT,
            "router::second",
            "<failure type=\"test failure with exit code 101\" message=\"thread panicked at /home/me/src/a.rs:3:5&#10;more\"/>",
        );
    let found = world.read(&report(IT, &cases));
    let [one] = found.statements.as_slice() else { panic!("{found:?}") };
    let predicate = &one.predicate;
    let record = &predicate.pv_evidence;
    let message = "test failure with exit code 101 thread panicked at a.rs:3:5".to_owned();
    assert_eq!(record.outcome, Outcome::Failed { cause: Cause::Reported, message });
    assert_eq!(predicate.passed_tests, ["checks/test:it/router::first"]);
    assert_eq!(predicate.failed_tests, ["checks/test:it/router::second"]);
    assert_eq!((record.measure.as_ref(), record.wall_s), (None, 0.5));
    assert_eq!(record.started, "2026-11-20T10:15:02Z", "an offset is taken away");
    assert_eq!(
        record.run,
        format!("junit:{}", contract::evidence::sha256_hex(report(IT, &cases).as_bytes()))
    );
    assert_eq!(one, &world.read(&report(IT, &cases)).statements[0], "the same report is the same record");
    let timeless = report(IT, &case(IT, "router::one", "")).replace("timestamp", "when");
    let others = world.read(&timeless).others;
    assert!(others.len() == 1 && others[0].reason.contains("timestamp"), "{others:?}");
}

#[test]
fn what_is_no_report_is_refused_with_the_reason() {
    let whole = report(IT, &case(IT, "router::one", "<failure>x</failure>"));
    assert_eq!(junit::read(whole.as_bytes()).unwrap().len(), 1);
    let end = whole.trim_end().len();
    for cut in (0..end).filter(|at| whole.is_char_boundary(*at)) {
        assert!(junit::read(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE t [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">\
        <!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><testsuite name=\"&c;\"><testcase name=\"&c;\" classname=\"x\"/></testsuite>";
    let file = "<!DOCTYPE t [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><testsuite><testcase name=\"&x;\" classname=\"c\"/></testsuite>";
    let deep = "<testsuite>".repeat(100_000) + &"</testsuite>".repeat(100_000);
    let edited = whole.replace("<failure>x</failure>", "");
    for (text, part) in [
        (bomb, "DTD"),
        (file, "DTD"),
        ("<testsuite><testcase name=\"&x;\" classname=\"c\"/></testsuite>", "entity"),
        (&deep, "nested deeper than 32"),
        ("<html/>", "root is <html> (accepted: <testsuites>, <testsuite>)"),
        ("<testsuites/>", "no test case"),
        ("{}", "not a JUnit report"),
        ("<testsuite><testcase name=\"n\"/></testsuite>", "no `classname`"),
        ("<testsuite name=\"s\">\n<testcase/></testsuite>", "line 2: a test case has no `name`"),
        (
            "<testsuite name=\"s\"><testcase name=\"n\"><failed/></testcase></testsuite>",
            "<failed> in a test case",
        ),
        ("<testsuite name=\"s\"><testcase name=\"n\" time=\"-1\"/></testsuite>", "time is `-1`"),
        ("<testsuite name=\"s\"><testcase name=\"n\" time=\"inf\"/></testsuite>", "time is `inf`"),
        (
            "<testsuite name=\"s\"><testcase name=\"n\" timestamp=\"yesterday\"/></testsuite>",
            "timestamp is `yesterday`",
        ),
        ("<testsuite name=\"s\" tests=\"many\"><testcase name=\"n\"/></testsuite>", "tests is `many`"),
        (
            "<testsuite name=\"s\" tests=\"2\"><testcase name=\"n\"/></testsuite>",
            "tests is 2 and the report holds 1",
        ),
        (&edited, "failures is 1 and the report holds 0: it was cut or edited"),
    ] {
        let error = junit::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert!(matches!(junit::read(b"<testsuite>\xff</testsuite>"), Err(JunitError::Text(_))));
    assert!(matches!(junit::read(&vec![b' '; junit::LARGEST + 1]), Err(JunitError::Large(_))));
}

/// The files below a folder.
fn below(dir: &Path) -> Vec<PathBuf> {
    let walk = ignore::WalkBuilder::new(dir).standard_filters(false).build();
    walk.filter_map(Result::ok).map(ignore::DirEntry::into_path).filter(|path| path.is_file()).collect()
}

#[test]
fn the_command_takes_in_a_report_of_the_commit_that_is_checked_out() {
    let machine = "{\"arch\": \"x86_64\", \"cpu\": \"a processor\"}";
    let whole = report(IT, &(case(IT, "router::one", "") + &case(IT, "router::unbound", "")));
    let dir = repository(&[
        ("pv.toml", SETTINGS),
        ("contracts/c-v1.yaml", CONTRACT),
        (".gitignore", "target\n*.xml\nhost.json\n"),
        ("Cargo.toml", "[workspace]\nmembers = [\"checks\"]\nresolver = \"3\"\n"),
        ("Cargo.lock", "version = 4\n[[package]]\nname = \"checks\"\nversion = \"0.1.0\"\n"),
        (
            "checks/Cargo.toml",
            "[package]\nname = \"checks\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[[test]]\nname = \"it\"\npath = \"it.rs\"\n",
        ),
        ("checks/src/lib.rs", ""),
        ("checks/it.rs", "mod router { #[falsifier(\"FALSIFY-ONE\")] fn one() {} }\n"),
        ("junit.xml", &whole),
        ("cut.xml", &whole[..whole.len() / 2]),
        ("host.json", machine),
    ]);
    let dir = dir.path();
    committed(dir);
    let import = |args: &[&str]| {
        let args: Vec<&str> = ["evidence", "import"].iter().chain(args).copied().collect();
        let out = pv(dir, &args);
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code(), said)
    };
    let ran = ["--commit", "HEAD", "--machine", "host.json"];
    let refused = |file: &str, args: &[&str], part: &str| {
        let (code, said) = import(&[&[file], args].concat());
        assert!(code == Some(3) && said.contains(part), "{code:?} {said}");
        assert!(!dir.join("evidence").exists(), "the store is unchanged: {said}");
    };
    refused("junit.xml", &[], "name their --commit");
    refused("cut.xml", &ran, "not a JUnit report");
    refused("junit.xml", &["--commit", "nowhere"], "git rev-parse");
    fs::write(dir.join("checks/src/lib.rs"), "pub fn more() {}\n").unwrap();
    refused("junit.xml", &ran, "are not those that are checked out");
    fs::write(dir.join("checks/src/lib.rs"), "").unwrap();
    fs::write(dir.join("host.json"), machine.replace("x86_64", "riscv64")).unwrap();
    refused("junit.xml", &ran, "no host class of pv.toml matches");
    fs::write(dir.join("host.json"), machine).unwrap();

    let (code, said) = import(&[&["junit.xml"][..], &ran].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("not attributed: checks::it router::unbound: no contract binds this test"),
        "{said}"
    );
    assert!(said.contains("1 of 2 cases are of 1 falsifiers, 1 of none"), "{said}");
    let stored = below(&dir.join("evidence"));
    assert_eq!(stored.len(), 1, "{stored:?}");
    let status = pv(dir, &["status", "FALSIFY-ONE", "--why"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("FUNCTIONAL") && !status.contains("DISCHARGED"), "{status}");
    // The same report again is the same record.
    let (code, said) = import(&[&["junit.xml"][..], &ran].concat());
    assert!(code == Some(1) && said.contains("holds this record already"), "{code:?} {said}");
    assert_eq!(below(&dir.join("evidence")), stored);
}
