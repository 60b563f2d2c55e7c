//! How long the parts of `pv` take on a large repository. Run with
//!
//! ```text
//! cargo bench -p pv --bench scale -- [binding] [status]
//! ```
//!
//! `binding` compiles 40 test executables with 100 tests each (minutes, once per target folder) and compares the
//! whole binding check with cargo's own no-op build. Each figure is the median of eleven runs.

use contract::root::Root;
use contract::settings::Settings;
use pv::binding::Bindings;
use pv::binding::build::cargo_command;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXECUTABLES: usize = 40;
const TESTS: usize = 100;
const RUNS: usize = 11;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let place = std::env::current_dir().expect("a folder").join("target/pv-scale");
    let place = PathBuf::from(std::env::var_os("PV_SCALE_DIR").unwrap_or_else(|| place.into()));
    if asked("binding") {
        binding(&place.join("binding"));
    }
}

/// The median of some runs.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn report(what: &str, time: Duration) {
    println!("{what:60} {:8.1} ms", time.as_secs_f64() * 1e3);
}

fn binding(dir: &Path) {
    generate_tests(dir);
    let settings = Settings::parse("pv = \"0.1\"").expect("the settings");
    let loaded = Root::at(dir).load_all();
    let contracts: Vec<_> = loaded.iter().filter_map(|loaded| loaded.contract.as_ref()).collect();
    let declared: usize = contracts.iter().map(|c| c.falsification_tests.len()).sum();
    assert_eq!(declared, EXECUTABLES * TESTS, "every falsifier is read");
    let cargo = Path::new("cargo");
    let check = || Bindings::compile(cargo, dir, &settings, contracts.iter().copied()).expect("cargo runs");
    let bindings = check();
    let bound = bindings.falsifiers.values().flatten().filter(|r| r.state.is_bound() && r.defects.is_empty());
    assert_eq!(bound.count(), declared, "every falsifier is bound");
    let cargo_alone = median(|| {
        let mut command = cargo_command(cargo, dir);
        command.args(["test", "--no-run", "--profile", "test", "--workspace"]);
        let output = command.arg("--message-format=json-render-diagnostics").output().expect("cargo runs");
        assert!(output.status.success());
    });
    let warm = median(|| drop(check()));
    let snapshot = dir.join("target/pv/binding.json");
    let cold = median(|| {
        fs::remove_file(&snapshot).expect("the snapshot");
        check();
    });
    let cached = median(|| {
        let cached = Bindings::cached(dir, &settings, contracts.iter().copied()).expect("the tree is read");
        assert!(cached.is_some());
    });
    println!("{} executables, {declared} tests", EXECUTABLES);
    report("cargo test --no-run, nothing to do", cargo_alone);
    report("binding check, nothing changed", warm);
    report("  added to cargo's own", warm.saturating_sub(cargo_alone));
    report("binding check, no snapshot", cold);
    report("  added to cargo's own", cold.saturating_sub(cargo_alone));
    report("binding from the snapshot, without cargo", cached);
}

/// A workspace of one package with many integration tests. Its tests carry the marker that `#[falsifier]` embeds,
/// so that they compile without the macro.
fn generate_tests(dir: &Path) {
    put(&dir.join("pv.toml"), "pv = \"0.1\"\n");
    put(
        &dir.join("Cargo.toml"),
        "[package]\nname = \"large\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[profile.dev]\ndebug = 0\n",
    );
    put(&dir.join("src/lib.rs"), "");
    for executable in 0..EXECUTABLES {
        let mut tests = String::new();
        let mut contract = format!(
            "schema: 1\nmetadata: {{id: large-{executable}-v1, version: 1.0.0, kind: pattern, title: t, description: d, references: [r]}}\nfalsification_tests:\n"
        );
        for test in 0..TESTS {
            let id = format!("FALSIFY-LARGE-{executable}-{test}");
            let _ = write!(
                tests,
                "mod m{test} {{\n    #[test]\n    fn holds() {{\n        let claim = std::hint::black_box(concat!({:?}, {id:?}, {:?}, module_path!(), {:?}, \"holds\", {:?}, file!(), {:?}, line!(), {:?}, \"b\", {:?}, \"c\", {:?}, {:?}));\n        assert!(!claim.is_empty());\n    }}\n}}\n",
                contract::marker::HEAD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::FIELD,
                contract::marker::TAIL,
            );
            let _ = writeln!(
                contract,
                "- id: {id}\n  rule: r\n  prediction: p\n  if_fails: i\n  claim: {{metric: predicate}}\n  test: {{package: large, target: \"test:t{executable}\", path: \"m{test}::holds\"}}\n  faults: {{none: n}}"
            );
        }
        put(&dir.join(format!("tests/t{executable}.rs")), &tests);
        put(&dir.join(format!("contracts/large-{executable}-v1.yaml")), &contract);
    }
}

/// Write a file unless it holds the text already.
fn put(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("the file can be written");
}
