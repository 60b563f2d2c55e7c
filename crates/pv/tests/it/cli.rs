//! Names, help and exit codes of the command line itself.

use clap::CommandFactory as _;
use std::process::{Command, Output};

fn pv(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pv")).args(args).env_remove("PV_ROOT").output().expect("pv starts")
}

#[test]
fn wrong_usage_exits_3() {
    for args in [&[][..], &["frobnicate"], &["validate", "--no-such-flag"], &["validate", "/no/such/file"]] {
        let out = pv(args);
        assert_eq!(out.status.code(), Some(3), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(!out.stderr.is_empty(), "{args:?} says nothing");
    }
}

#[test]
fn help_and_version_exit_0() {
    for args in [["--help"], ["--version"]] {
        assert_eq!(pv(&args).status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn every_command_shows_an_example() {
    for command in pv::cli::Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example: pv "), "`pv {} --help` has no example", command.get_name());
    }
}

#[test]
fn explain_knows_rules_falsifiers_and_contracts() {
    let root = falsify::root().expect("the repository");
    let explain = |topic: &str| {
        let out = crate::report::pv(&root, &["explain", topic]);
        let said = if out.status.success() { out.stdout } else { out.stderr };
        (out.status.code(), String::from_utf8(said).expect("text"))
    };
    for (topic, part) in [
        ("cycle", "## Why is this bad?"),
        ("FALSIFY-PV-BIND-006", "It must catch: binding-takes-any-target"),
        ("FALSIFY-PV-BIND-006", "For every change of: none, renamed"),
        ("pv-binding-v1", "- FALSIFY-PV-BIND-001: "),
    ] {
        let (code, said) = explain(topic);
        assert!(code == Some(0) && said.contains(part), "{topic}: {said}");
    }
    for (topic, near) in [("cycel", "`cycle`"), ("FALSIFY-PV-BIND-06", "`FALSIFY-PV-BIND-006`")] {
        let (code, said) = explain(topic);
        assert!(code == Some(3) && said.contains(near), "{topic}: {said}");
    }
}
