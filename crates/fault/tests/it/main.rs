//! The two builds of a crate with planted faults.
#![expect(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program with two sites, one of them reached three times, that prints what the crate reports.
const PROGRAM: &str = r#"
fn main() {
    let mut seen = 0;
    for _ in 0..3 {
        if fault::fault!("swap-experts") {
            seen += 1;
        }
    }
    let other = fault::fault!("stale-kv");
    println!("{} {seen} {other} {:?} {}", fault::COMPILED, fault::armed(), fault::hits());
}
"#;

/// Compiles the crate and the program with rustc alone: no cargo, no network, no shared target folder.
fn build(dir: &Path, flags: &[&str]) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let root = here.ancestors().find(|dir| dir.join("crates/fault").is_dir()).unwrap();
    let source = root.join("crates/fault/src/lib.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compile = |args: &[&std::ffi::OsStr]| {
        let done = Command::new(&rustc).args(["--edition", "2024"]).args(flags).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let (lib, main, exe) = (dir.join("libfault.rlib"), dir.join("main.rs"), dir.join("program"));
    std::fs::write(&main, PROGRAM).unwrap();
    compile(&[
        "--crate-name".as_ref(),
        "fault".as_ref(),
        "--crate-type".as_ref(),
        "rlib".as_ref(),
        "-o".as_ref(),
        lib.as_ref(),
        source.as_ref(),
    ]);
    let dependency = format!("fault={}", lib.display());
    compile(&["--extern".as_ref(), dependency.as_ref(), "-o".as_ref(), exe.as_ref(), main.as_ref()]);
    exe
}

fn run(exe: &Path, fault: Option<&str>, hits: &Path) -> Output {
    let mut command = Command::new(exe);
    command.env_remove("PV_FAULT").env("PV_FAULT_HITS", hits);
    if let Some(name) = fault {
        command.env("PV_FAULT", name);
    }
    command.output().unwrap()
}

fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_normal_build_is_deaf_to_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build(dir.path(), &[]);
    assert_eq!(line(&run(&exe, Some("swap-experts"), &dir.path().join("hits"))), "false 0 false None 0");
    assert!(!dir.path().join("hits").exists());
}

#[test]
fn a_faulted_build_arms_exactly_the_named_fault_and_counts_its_hits() {
    let dir = tempfile::tempdir().unwrap();
    let exe = build(dir.path(), &["--cfg", "pv_faults"]);
    let hits = dir.path().join("hits");
    assert_eq!(line(&run(&exe, None, &hits)), "true 0 false None 0");
    assert_eq!(line(&run(&exe, Some("no-such-fault"), &hits)), "true 0 false Some(\"no-such-fault\") 0");
    assert!(!hits.exists(), "no site was hit, so nothing is announced");
    assert_eq!(line(&run(&exe, Some("swap-experts"), &hits)), "true 3 false Some(\"swap-experts\") 3");
    // A second process of the same tree sees the first one's hit beside its own three.
    assert_eq!(line(&run(&exe, Some("swap-experts"), &hits)), "true 3 false Some(\"swap-experts\") 4");
    assert_eq!(std::fs::read_to_string(&hits).unwrap().lines().count(), 2);
}
