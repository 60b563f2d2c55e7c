//! `apr inspect` as a process: what it prints, what it refuses, and its exit codes.

use crate::apr::{apr, text};
use crate::gguf::{hostile::hostile, sample};
use falsify::{Claim, falsifier};
use std::path::Path;
use std::process::Command;

fn write(dir: &Path, bytes: &[u8]) -> String {
    let path = dir.join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn json_tells_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (metadata, specs) = sample::sample();
    let bytes = sample::file(&metadata, &specs);
    let path = write(dir.path(), &bytes);
    let out = apr(&["inspect", &path, "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["bytes"], bytes.len());
    assert!(json["not_runnable"].as_str().unwrap().contains("architecture 'sample' is not supported"));
    assert_eq!(json["active_bytes_per_token"], serde_json::Value::Null);
    assert_eq!(json["metadata"]["u64"]["value"], u64::MAX);
    assert_eq!(json["metadata"]["f64"]["value"], "inf");
    assert_eq!(json["tensors"].as_array().unwrap().len(), specs.len());
    let experts = json["tensors"].as_array().unwrap().last().unwrap();
    assert_eq!(experts["shape"], serde_json::json!([5, 2, 3, 32]));
    assert_eq!(experts["bytes"], 30 * 34);
    let q8 = json["formats"].as_array().unwrap().iter().find(|f| f["type"] == "Q8_0").unwrap();
    assert_eq!((&q8["tensors"], &q8["weights"]), (&2.into(), &(256 + 960).into()));
}

#[test]
fn a_model_says_what_a_token_costs() {
    let path = crate::data::path("tiny.q4_k_m.gguf");
    let out = apr(&["inspect", path.to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    // 2 layers x 2 heads x 64, keys and values, 2 bytes each.
    assert_eq!(json["kv_bytes_per_token"], 2 * 2 * 64 * 2 * 2);
    // Of 8 experts 2 are read: everything but three quarters of the expert tensors and 511 rows of the embedding.
    let tensors = json["tensors"].as_array().unwrap();
    let bytes = |t: &serde_json::Value| t["bytes"].as_u64().unwrap();
    let of = |part: &str| {
        tensors.iter().filter(|t| t["name"].as_str().unwrap().contains(part)).map(bytes).sum::<u64>()
    };
    let all = tensors.iter().map(bytes).sum::<u64>();
    let idle = of("_exps") / 4 * 3 + of("token_embd") / 512 * 511;
    assert_eq!(json["active_bytes_per_token"], all - idle);
    let out = apr(&["inspect", path.to_str().unwrap()]);
    assert!(text(&out.stdout).contains("keeps 1.02 kB of keys and values"), "{}", text(&out.stdout));
}

#[falsifier("FALSIFY-GGUF-CLI-001")]
fn hostile_files_give_one_line_that_names_the_file_and_exit_3(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    for case in hostile() {
        let path = write(dir.path(), &case.bytes);
        let out = apr(&["inspect", &path]);
        let error = text(&out.stderr);
        let mut check = |what: &str, holds| claim.on(case.name).check(&format!("{what}: {error:?}"), holds);
        check("exit code 3", out.status.code() == Some(3));
        check("no output", out.stdout.is_empty());
        check("one line", error.lines().count() == 1);
        check("it names the file", error.starts_with(&format!("apr: {path}: ")));
        check("it names what is wrong", error.contains(case.says));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.gguf");
    for path in [absent.as_path(), dir.path()] {
        let out = apr(&["inspect", path.to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(3));
        assert!(text(&out.stderr).contains(path.to_str().unwrap()), "{}", text(&out.stderr));
    }
}

#[test]
fn wrong_usage_exits_3_and_help_0() {
    assert_eq!(apr(&["inspect"]).status.code(), Some(3));
    assert_eq!(apr(&["no-such-command"]).status.code(), Some(3));
    let help = apr(&["inspect", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Example: apr inspect"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let (metadata, specs) = sample::sample();
    let path = write(dir.path(), &sample::file(&metadata, &specs));
    let mut child = Command::new(env!("CARGO_BIN_EXE_apr"))
        .args(["inspect", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
}
