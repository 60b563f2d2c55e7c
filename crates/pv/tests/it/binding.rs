//! The binding cases of tests/data/binding/cases.tsv, and what happens when a bound test changes.

use crate::fixture::{Fixture, contracts};
use crate::report::pv;
use contract::Loaded;
use contract::date::Date;
use contract::id::FalsifierId;
use falsify::{Claim, falsifier};
use pv::binding::build::{Artifact, Flavour};
use pv::binding::executable::Executable;
use pv::binding::inventory::Inventory;
use pv::binding::resolve::resolve;
use pv::binding::scan::{Sources, vacuity};
use pv::binding::{Bindings, Defect, State};
use pv::context::Context;
use pv::lint::levels::Levels;
use pv::lint::{self, Comments};
use pv::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One row of cases.tsv.
struct Case {
    name: String,
    state: String,
    defect: String,
    exit: u8,
}

fn cases() -> Vec<Case> {
    let table = falsify::data("binding/cases.tsv").expect("the table");
    let table = std::fs::read_to_string(table).expect("the table is text");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
            let [name, state, defect, exit, _what] = cells.try_into().expect("five cells");
            Case { name, state, defect, exit: exit.parse().expect("an exit code") }
        })
        .collect()
}

/// The contract files of the cases and their bindings, compiled once per process.
static CASES: LazyLock<(Vec<Loaded>, Bindings)> = LazyLock::new(|| {
    let fixture = Fixture::of("binding");
    (fixture.loaded(), fixture.bindings())
});

fn defect_name(defect: &Defect) -> &'static str {
    match defect {
        Defect::Unattributed { .. } => "unattributed",
        Defect::Vacuous { .. } => "vacuous",
        Defect::BoundTwice { .. } => "bound-twice",
        Defect::NotIgnored { .. } => "not-ignored",
        Defect::TooFew { .. } => "too-few",
        Defect::Dark { .. } => "dark",
    }
}

fn id(text: &str) -> FalsifierId {
    FalsifierId::parse(text).expect(text)
}

/// State and defects of a case, as cases.tsv writes them.
fn judged(case: &str) -> (String, String) {
    let (loaded, bindings) = &*CASES;
    let file = loaded.iter().find(|file| file.stem() == case).expect(case);
    let falsifier = file.contract.as_ref().map(|contract| &contract.falsification_tests[0]);
    let resolution = falsifier.and_then(|f| bindings.falsifiers.get(&f.id)).map(|all| &all[0]);
    let state = match (falsifier, resolution) {
        // The structure of the file says already that the binding is none.
        (None, _) if file.findings.iter().any(|f| f.rule == "invalid-test") => "unreadable",
        (None, _) => panic!("{case}: {:?}", file.findings),
        (Some(falsifier), None) if falsifier.proposed.is_some() => "-",
        (Some(_), None) => "unbound",
        (Some(_), Some(resolution)) => resolution.state.name(),
    };
    let strays = bindings.strays.iter().filter(|s| falsifier.is_some_and(|f| f.id == s.marker.id));
    let mut defects: Vec<_> = resolution.iter().flat_map(|r| &r.defects).map(defect_name).collect();
    defects.extend(strays.map(|_| "stray"));
    let defects = if defects.is_empty() { "-".to_owned() } else { defects.join(" ") };
    (state.to_owned(), defects)
}

/// What `pv lint` exits with when it is asked about the contract of a case.
fn exit(fixture: &Fixture, bindings: &Bindings, case: &str) -> u8 {
    let context = Context::at(fixture.dir(), Date::parse("2026-11-20").expect("a day"));
    let path = PathBuf::from(format!("contracts/{case}.yaml"));
    let mut workspace = Workspace::read(&context, &[path]).expect("the file is there");
    let alone = workspace.take_findings();
    let findings = lint::run(&workspace, alone, Some(bindings), Levels::DEFAULT, Comments::Heeded);
    workspace.report(findings, false).exit().code()
}

#[falsifier("FALSIFY-PV-BIND-001")]
fn every_case_has_its_state(claim: &mut Claim) {
    // What all tests share takes the workspace for itself while it is made.
    LazyLock::force(&CASES);
    let fixture = Fixture::of("binding");
    let bindings = fixture.bindings();
    for case in cases() {
        let (state, defects) = judged(&case.name);
        let exit = exit(&fixture, &bindings, &case.name);
        let holds = state == case.state && defects == case.defect && exit == case.exit;
        let wanted = format!("{} {} {}", case.state, case.defect, case.exit);
        claim.at("case", &case.name).check(&format!("{state} {defects} {exit}, wanted {wanted}"), holds);
    }
}

#[falsifier("FALSIFY-PV-BIND-002")]
fn what_was_meant_is_said(claim: &mut Claim) {
    let (_, bindings) = &*CASES;
    let said = |falsifier: &str| match &bindings.falsifiers[&id(falsifier)][0].state {
        State::Missing { meant, note, .. } => {
            format!("{} {}", meant.as_deref().unwrap_or_default(), note.as_deref().unwrap_or_default())
        }
        State::WrongTarget { found } => found[0].to_string(),
        State::Ambiguous { candidates } => candidates.iter().map(|c| format!("{c} ")).collect(),
        State::BoundOnlyUnder { profiles } => profiles.iter().cloned().collect(),
        other => other.name().to_owned(),
    };
    for (case, falsifier, part) in [
        ("t09", "FALSIFY-T-09", "alpha"),
        ("t18", "FALSIFY-T-18", "probes::t18_here::t18_test"),
        ("t05", "FALSIFY-T-05", "not compiled under any profile"),
        ("t17", "FALSIFY-T-17", "a function without #[test]"),
        ("b01", "FALSIFY-B-01", "extra"),
        ("b02", "FALSIFY-B-02", "harness = false"),
        ("b03", "FALSIFY-B-03", "alpha/test:it/twins::right::twin"),
        ("b04", "FALSIFY-B-04", "alpha/lib/tests::only_in_the_library"),
    ] {
        let said = said(falsifier);
        claim.at("case", case).check(&format!("{said:?} names {part:?}"), said.contains(part));
    }
}

#[falsifier("FALSIFY-PV-BIND-003")]
fn a_bound_test_knows_its_place_and_its_executables(claim: &mut Claim) {
    let (_, bindings) = &*CASES;
    for (kind, falsifier, file, text) in [
        ("plain", "FALSIFY-T-01", "alpha/tests/it/probes.rs", "fn t01_plain"),
        ("nested", "FALSIFY-B-18-DEEP", "alpha/tests/it/deep/inner.rs", "fn in_a_nested_file"),
        ("included", "FALSIFY-B-18-INCLUDED", "alpha/tests/it/included.rs.in", "fn in_an_included_file"),
        ("path", "FALSIFY-B-18-PATH", "alpha/tests/it/elsewhere.rs", "fn in_a_file_of_another_name"),
        // A test that a macro makes stands where the macro is called.
        ("macro", "FALSIFY-T-22", "alpha/tests/it/probes.rs", "make_test!(\"FALSIFY-T-22\""),
    ] {
        let test = &bindings.falsifiers[&id(falsifier)][0].tests[0];
        let place = test.place.clone().expect("a place");
        let source = falsify::data("binding").expect("the fixture").join(file);
        let source = std::fs::read_to_string(source).expect(file);
        let line = source.lines().nth(place.line as usize - 1).unwrap_or_default();
        let mut at = claim.at("kind", kind);
        at = at.on(falsifier);
        at.check(&format!("{place} is {line:?}"), place.file == file && line.contains(text));
        let own = test.marker.as_ref().is_some_and(|marker| marker.id == id(falsifier));
        claim.at("kind", kind).check("its attribute is the falsifier's", own);
        let executable = test.executables.get("extra").is_some_and(|path| path.is_file());
        claim.at("kind", kind).check("its executable is known", executable);
    }
}

#[falsifier("FALSIFY-PV-BIND-004")]
fn a_target_that_libtest_does_not_drive_is_never_started(claim: &mut Claim) {
    let fixture = Fixture::of("binding");
    let left = fixture.dir().join("alpha/custom-was-run");
    let bindings = fixture.bindings();
    claim.check("everything was compiled", bindings.unbuilt.is_empty());
    claim.check("the target did not run", !left.exists());
}

#[falsifier("FALSIFY-PV-BIND-005")]
fn the_snapshot_says_the_same_until_a_source_changes(claim: &mut Claim) {
    let fixture = Fixture::of("binding");
    let mut state = |state: &str, what: &str, holds: bool| claim.at("tree", state).check(what, holds);
    state("never compiled", "there is no snapshot", fixture.cached().is_none());
    let compiled = Some(fixture.bindings());
    state("unchanged", "the snapshot says what was compiled", fixture.cached() == compiled);
    let probes = fixture.dir().join("alpha/tests/it/probes.rs");
    let text = std::fs::read_to_string(&probes).expect("probes.rs");
    let write = |text: &str| std::fs::write(&probes, text).expect("it can be written");
    write(&text);
    state("touched", "the same content at another time is no change", fixture.cached() == compiled);
    write(&format!("{text}// more\n"));
    state("edited", "the snapshot does not count", fixture.cached().is_none());
    write(&text);
    std::fs::write(fixture.dir().join("beta/src/new.rs"), "").expect("a new source");
    state("grown", "the snapshot does not count", fixture.cached().is_none());
}

/// What can happen to a bound test between two runs.
struct Change {
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    state: &'static str,
    defect: &'static str,
}

const PROBES: &str = "alpha/tests/it/probes.rs";
const ATTRIBUTE: &str = "#[falsifier(\"FALSIFY-T-01\")]\n";
const BODY: &str = "fn t01_plain(claim: &mut Claim) {\n    claim.check(\"two\", alpha::double(1) == 2);\n}";
const IN_THE_LIBRARY: &str = "#[cfg(test)]
mod probes {
    #[falsify::falsifier(\"FALSIFY-T-01\")]
    fn t01_plain(claim: &mut falsify::Claim) {
        claim.check(\"two\", super::double(1) == 2);
    }
}
#[cfg(test)]";

const CHANGES: &[Change] = &[
    Change { name: "none", edits: &[], state: "bound", defect: "" },
    Change {
        name: "renamed",
        edits: &[(PROBES, "fn t01_plain", "fn t01_plainly")],
        state: "missing",
        defect: "",
    },
    Change {
        name: "ignored",
        edits: &[(PROBES, "fn t01_plain", "#[ignore]\nfn t01_plain")],
        state: "bound-but-ignored",
        defect: "",
    },
    Change {
        name: "deleted",
        edits: &[(PROBES, ATTRIBUTE, ""), (PROBES, BODY, "")],
        state: "missing",
        defect: "",
    },
    Change {
        name: "emptied",
        edits: &[(PROBES, BODY, "fn t01_plain() {}")],
        state: "bound",
        defect: "vacuous",
    },
    Change {
        name: "moved",
        edits: &[
            (PROBES, ATTRIBUTE, ""),
            (PROBES, BODY, ""),
            ("alpha/src/lib.rs", "#[cfg(test)]", IN_THE_LIBRARY),
        ],
        state: "wrong-target",
        defect: "",
    },
    Change {
        name: "unattributed",
        edits: &[
            (PROBES, ATTRIBUTE, "#[test]\n"),
            (PROBES, BODY, "fn t01_plain() {\n    assert_eq!(alpha::double(1), 2);\n}"),
        ],
        state: "bound",
        defect: "unattributed",
    },
];

#[falsifier("FALSIFY-PV-BIND-006")]
fn a_change_of_a_bound_test_is_seen(claim: &mut Claim) {
    for change in CHANGES {
        let fixture = Fixture::of("binding");
        for (file, from, to) in change.edits {
            fixture.edit(file, from, to);
        }
        let lint = pv(fixture.dir(), &["lint", "--strict-test-binding", "contracts/t01.yaml"]);
        let said = String::from_utf8_lossy(&lint.stdout);
        let code = if change.name == "none" { 0 } else { 1 };
        let told = lint.status.code() == Some(code) && said.contains("error[") == (code == 1);
        claim.at("change", change.name).check(&format!("pv lint exits with {code}: {said}"), told);
        let bindings = fixture.bindings();
        let resolution = &bindings.falsifiers[&id("FALSIFY-T-01")][0];
        let defects: Vec<_> = resolution.defects.iter().map(defect_name).collect();
        let (state, defects) = (resolution.state.name(), defects.join(" "));
        let holds = bindings.unbuilt.is_empty() && state == change.state && defects == change.defect;
        claim.at("change", change.name).check(&format!("{state} {defects}"), holds);
    }
}

#[falsifier("FALSIFY-PV-BIND-007")]
fn what_does_not_compile_is_unresolved_and_hides_nothing_else(claim: &mut Claim) {
    let fixture = Fixture::of("binding");
    fixture.edit("beta/src/lib.rs", "assert_eq!(1 + 1, 2)", "let _: u8 = \"text\"");
    let bindings = fixture.bindings();
    claim.check("both profiles are named", bindings.unbuilt.keys().eq(["extra", "light"]));
    for (falsifier, wanted) in
        [("FALSIFY-T-01", "bound"), ("FALSIFY-T-02", "missing"), ("FALSIFY-B-22", "unresolved")]
    {
        let state = bindings.falsifiers[&id(falsifier)][0].state.name();
        claim.check(&format!("{falsifier} is {state}, wanted {wanted}"), state == wanted);
    }
}

#[falsifier("FALSIFY-PV-BIND-008")]
fn a_test_in_an_executable_that_cannot_start_is_bound_by_its_marker(claim: &mut Claim) {
    let fixture = Fixture::of("binding");
    let settings = fixture.settings();
    let mut inventory = Inventory::take(Path::new("cargo"), fixture.dir(), &settings, Flavour::Plain, None)
        .expect("cargo runs");
    // A copy that may not be executed stands for one that lacks a library or a device.
    for executable in inventory.builds.iter_mut().flat_map(|build| &mut build.executables) {
        let copy = fixture.dir().join(format!("{}.copy", executable.crate_name));
        let bytes = std::fs::read(&executable.path).expect("the executable");
        std::fs::write(&copy, bytes).expect("a copy");
        let artifact = Artifact {
            package: executable.package.clone(),
            folder: executable.folder.clone(),
            target: executable.target.clone(),
            crate_name: executable.crate_name.clone(),
            source: executable.source.clone(),
            executable: copy,
            libtest: true,
        };
        *executable = Executable::read(artifact, &[], None).expect("it can be read");
    }
    let loaded = fixture.loaded();
    let all = contracts(&loaded);
    let bindings = resolve(all, &settings, &inventory, &Sources::default());
    for (falsifier, wanted) in [
        ("FALSIFY-T-01", "unlistable-here"),
        ("FALSIFY-T-22", "unlistable-here"),
        ("FALSIFY-B-19-LIB", "unlistable-here"),
        // Without a marker nothing is known of a test.
        ("FALSIFY-B-05", "missing"),
    ] {
        let state = bindings.falsifiers[&id(falsifier)][0].state.name();
        claim.check(&format!("{falsifier} is {state}, wanted {wanted}"), state == wanted);
    }
}

#[falsifier("FALSIFY-PV-BIND-009")]
fn a_body_that_cannot_fail_is_told_from_one_that_can(claim: &mut Claim) {
    let judged = |body: &str| {
        let text = format!("fn t(claim: &mut Claim) -> Result<(), Error> {body}");
        vacuity::of(&syn::parse_str(&text).expect(body)).0
    };
    for (kind, body, cannot_fail) in [
        ("compares", "{ claim.compare(&a, &b); Ok(()) }", false),
        ("hands on", "{ helper(claim)?; Ok(()) }", false),
        ("returns an error", "{ if x { return Err(e); } claim.check(\"x\", true); Ok(()) }", false),
        ("empty", "{}", true),
        ("returns", "{ Ok(()) }", true),
        ("asserts", "{ assert!(claim.bound().is_some()); Ok(()) }", true),
        ("returns early", "{ if x { return Ok(()); } claim.compare(&a, &b); Ok(()) }", true),
        ("comment", "{ /* claim.compare(&a, &b); */ Ok(()) }", true),
    ] {
        let judged = judged(body);
        claim.at("body", kind).check(&format!("{judged:?}"), judged.is_some() == cannot_fail);
    }
}
