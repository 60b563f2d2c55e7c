//! A tap that is off costs nothing: the forward pass compiled as it is and without its taps is the same machine code.

use crate::data;
use falsify::{Claim, falsifier};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// The instructions of the probe under some `--cfg`s, names of symbols and labels by order of appearance.
fn instructions(dir: &Path, cfgs: &[&str]) -> Vec<String> {
    let root = data::path("").join("../..").canonicalize().unwrap();
    let source =
        include_str!("tap_off/probe.rs").replace("{src}", root.join("crates/model/src").to_str().unwrap());
    let (file, out) = (dir.join("probe.rs"), dir.join("probe.s"));
    std::fs::write(&file, source).unwrap();
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(&root).args(["--edition=2024", "--crate-type=lib", "--crate-name=probe"]);
    command.args(["--emit=asm", "-Copt-level=3", "-Ccodegen-units=1", "-Cpanic=unwind", "-Awarnings"]);
    for cfg in cfgs {
        command.args(["--cfg", cfg]);
    }
    let run = command.arg("-o").arg(&out).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    normalize(&std::fs::read_to_string(&out).unwrap())
}

/// Lines of code without directives, symbols and labels numbered as they come.
fn normalize(assembly: &str) -> Vec<String> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut lines = Vec::new();
    for line in assembly.lines() {
        let code = line.split('#').next().unwrap_or("").trim();
        if code.is_empty() || (code.starts_with('.') && !code.ends_with(':')) {
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || "._$@".contains(c);
        let mut text = String::new();
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, tail) = if end == 0 { rest.split_at(first.len_utf8()) } else { rest.split_at(end) };
            if word.starts_with(".L") || word.starts_with("_R") || word.starts_with("_ZN") {
                let next = names.len();
                let number = *names.entry(word.to_owned()).or_insert(next);
                text.push_str(&format!("name{number}"));
            } else {
                text.push_str(word);
            }
            rest = tail;
        }
        lines.push(text);
    }
    lines
}

#[falsifier("FALSIFY-MOE-SUB-005")]
fn a_tap_that_is_off_leaves_no_instruction(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let off = instructions(dir.path(), &[]);
    let none = instructions(dir.path(), &["no_tap"]);
    let calls = |code: &[String]| code.iter().filter(|l| l.contains("op@") || l.ends_with("op")).count();
    // Every operation of a layer, so that an empty function does not pass.
    assert!(off.len() > 150 && calls(&off) >= 20, "{} instructions, {} calls", off.len(), calls(&off));
    let same = off.iter().zip(&none).filter(|(a, b)| a == b).count();
    let differ = off.len().max(none.len()) - same;
    claim.on(format!("of {} instructions", none.len())).measure("count", differ as f64, "");
    // The comparison can fail: a tap that does something is seen.
    let watched = instructions(dir.path(), &["watched"]);
    assert!(calls(&watched) > calls(&off), "{} calls", calls(&watched));
    assert_ne!(watched, off);
}
