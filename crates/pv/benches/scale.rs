//! How long the parts of `pv` take on a large repository. Run with
//!
//! ```text
//! cargo bench -p pv --bench scale -- [contracts] [hostile] [binding]
//! ```
//!
//! `contracts` is 20 copies of 87 real contracts under new names: 1,740 files of the legacy dialect, and as many of
//! schema 1. `hostile` is each file of the hostile battery with the time and the memory that it takes.
//! `binding` compiles 40 test executables with 100 tests each (minutes, once per target folder) and compares the
//! whole binding check with cargo's own no-op build. Each figure is the median of eleven runs.

#[path = "../../contract/tests/it/hostile/cases.rs"]
mod cases;

use cases::Case;
use contract::root::Root;
use contract::settings::Settings;
use pv::binding::Bindings;
use pv::binding::build::{Flavour, cargo_command};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const EXECUTABLES: usize = 40;
const TESTS: usize = 100;
const COPIES: usize = 20;
const RUNS: usize = 11;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pv-scale");
    let place = PathBuf::from(std::env::var_os("PV_SCALE_DIR").unwrap_or_else(|| place.into()));
    if asked("contracts") {
        contracts(&place.join("contracts"));
    }
    if asked("hostile") {
        hostile(&place.join("hostile"));
    }
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

/// Runs `pv` as a process of its own in a folder; its output goes nowhere.
fn pv(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pv"));
    command.args(args).current_dir(dir).env_remove("PV_ROOT");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The most memory that a command had, in MB, as the system counts it.
fn peak(command: &Command) -> f64 {
    const SCRIPT: &str = "import resource, subprocess, sys\n\
        subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let mut measured = Command::new("python3");
    measured.args(["-c", SCRIPT]).arg(command.get_program()).args(command.get_args());
    measured.current_dir(command.get_current_dir().expect("a folder")).env_remove("PV_ROOT");
    let output = measured.output().expect("python3 runs");
    let kib: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    kib * 1024.0 / 1e6
}

fn contracts(dir: &Path) {
    let legacy = dir.join("legacy");
    let typed = dir.join("typed");
    let files = copies(&legacy);
    copies(&typed);
    let migrated = pv(&typed, &["migrate", "contracts"]).status().expect("pv runs");
    assert!(migrated.code().is_some_and(|code| code < 2), "the copies migrate");
    for (name, dir) in [("legacy", &legacy), ("schema 1", &typed)] {
        println!("{files} contracts, {name}");
        let cache = dir.join("target/pv/contracts.cache");
        for command in ["validate", "lint"] {
            let run =
                || assert!(pv(dir, &[command]).status().expect("pv runs").code().is_some_and(|c| c < 2));
            let cold = median(|| {
                let _ = fs::remove_file(&cache);
                run();
            });
            let _ = fs::remove_file(&cache);
            let memory = peak(&pv(dir, &[command]));
            println!(
                "{:60} {:8.1} ms {memory:8.1} MB",
                format!("  pv {command}, nothing known"),
                cold.as_secs_f64() * 1e3
            );
            run();
            let warm = median(run);
            let memory = peak(&pv(dir, &[command]));
            println!(
                "{:60} {:8.1} ms {memory:8.1} MB",
                format!("  pv {command}, nothing changed"),
                warm.as_secs_f64() * 1e3
            );
        }
    }
}

/// Twenty copies of the corpus, each with names of its own. Returns how many files that are.
fn copies(dir: &Path) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/corpus/upstream");
    let mut files = Vec::new();
    for entry in fs::read_dir(corpus).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let stem = path.file_stem().expect("a stem").to_str().expect("text").to_owned();
            files.push((stem, fs::read_to_string(&path).expect("a contract")));
        }
    }
    put(&dir.join("pv.toml"), "pv = \"0.1\"\n");
    let _ = fs::remove_dir_all(dir.join("contracts"));
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    for copy in 0..COPIES {
        for (stem, text) in &files {
            let mut renamed = String::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let word = rest.len() - rest.trim_start_matches(of_name).len();
                let one = rest.chars().next().map_or(rest.len(), char::len_utf8);
                let (word, after) = rest.split_at(word.max(one));
                match word {
                    _ if files.iter().any(|(stem, _)| stem == word) => {
                        let _ = write!(renamed, "c{copy}-{word}");
                    }
                    _ if word.starts_with("FALSIFY-") => {
                        let _ = write!(renamed, "FALSIFY-C{copy}-{}", &word["FALSIFY-".len()..]);
                    }
                    _ => renamed.push_str(word),
                }
                rest = after;
            }
            put(&dir.join(format!("contracts/c{copy}-{stem}.yaml")), &renamed);
        }
    }
    files.len() * COPIES
}

fn hostile(dir: &Path) {
    for Case { name, bytes, rule, at: (line, column) } in cases::CASES {
        put_bytes(&dir.join("contracts/x.yaml"), &bytes());
        put(&dir.join("contracts/good.yaml"), &cases::good("good"));
        put(&dir.join("pv.toml"), "pv = \"0.1\"\n");
        let cache = dir.join("target/pv/contracts.cache");
        let start = Instant::now();
        let _ = fs::remove_file(&cache);
        pv(dir, &["validate"]).status().expect("pv runs");
        let time = start.elapsed();
        let _ = fs::remove_file(&cache);
        let memory = peak(&pv(dir, &["validate"]));
        let what = format!("{name}: {} at {line}:{column}", rule.unwrap_or("well"));
        println!("{what:60} {:8.1} ms {memory:8.1} MB", time.as_secs_f64() * 1e3);
    }
}

fn binding(dir: &Path) {
    generate_tests(dir);
    let settings = Settings::parse("pv = \"0.1\"").expect("the settings");
    let loaded = Root::at(dir).load_all();
    let contracts: Vec<_> = loaded.iter().filter_map(|loaded| loaded.contract.as_ref()).collect();
    let declared: usize = contracts.iter().map(|c| c.falsification_tests.len()).sum();
    assert_eq!(declared, EXECUTABLES * TESTS, "every falsifier is read");
    let cargo = Path::new("cargo");
    let check = || {
        Bindings::compile(cargo, dir, &settings, Flavour::Plain, contracts.iter().copied())
            .expect("cargo runs")
    };
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

/// A workspace of one package with many integration tests.
fn generate_tests(dir: &Path) {
    put(&dir.join("pv.toml"), "pv = \"0.1\"\n");
    let falsify = Path::new(env!("CARGO_MANIFEST_DIR")).join("../falsify");
    let manifest = format!(
        "[package]\nname = \"large\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[profile.dev]\ndebug = 0\n\
         [dev-dependencies]\nfalsify = {{ path = {falsify:?} }}\n"
    );
    put(&dir.join("Cargo.toml"), &manifest);
    put(&dir.join("src/lib.rs"), "");
    for executable in 0..EXECUTABLES {
        let mut tests = String::from("use falsify::{Claim, falsifier};\n");
        let mut contract = format!(
            "schema: 1\nmetadata: {{id: large-{executable}-v1, version: 1.0.0, kind: pattern, title: t, description: d, references: [r]}}\nfalsification_tests:\n"
        );
        for test in 0..TESTS {
            let id = format!("FALSIFY-LARGE-{executable}-{test}");
            let _ = write!(
                tests,
                "mod m{test} {{\n    use super::*;\n    #[falsifier({id:?})]\n    fn holds(claim: &mut Claim) {{\n        claim.check(\"it holds\", std::hint::black_box({test}) < {TESTS});\n    }}\n}}\n",
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
    put_bytes(path, text.as_bytes());
}

fn put_bytes(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("the file can be written");
}
