//! `apr run` and `apr bench` as processes.

use crate::apr::{apr, text};
use crate::data;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn model() -> String {
    data::path("tiny.q4_k_m.gguf").to_str().unwrap().to_owned()
}

/// A synthetic model with a chat template, in a folder that lives as long as the first value.
fn synthetic() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let file = path.to_str().unwrap().to_owned();
    let out = apr(&["synth", "-o", &file, "--seed", "3"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    (dir, file)
}

fn json(args: &[&str]) -> serde_json::Value {
    let out = apr(&[args, &["--json"]].concat());
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Tokens are those of the forward pass: greedy decoding by `apr trace`, which takes its logits from the same pass.
#[test]
fn greedy_tokens_are_those_of_a_trace() {
    let model = model();
    let run =
        json(&["run", &model, "--tokens", "1,2,3", "-n", "6", "--precision", "exact", "--ignore-end", "-q"]);
    let trace = json(&["trace", &model, "--tokens", "1,2,3", "--decode", "6", "--precision", "exact"]);
    let tokens = trace["tokens"].as_array().unwrap();
    assert_eq!(run["tokens"].as_array().unwrap()[..], tokens[3..]);
    assert_eq!(run["tokens"].as_array().unwrap().len(), 6);
    assert_eq!(run["finish"], "length");
}

#[test]
fn text_streams_and_its_json_is_the_same() {
    let model = model();
    let args = ["run", &model, "--prompt", "def f(", "-n", "12", "--precision", "exact", "--ignore-end"];
    let out = apr(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("output 12 tokens"), "{}", text(&out.stderr));
    let json = json(&args);
    assert_eq!(text(&out.stdout).strip_suffix('\n').unwrap(), json["text"].as_str().unwrap());
}

#[test]
fn a_seed_draws_the_same_tokens_and_stops_end_the_text() {
    let model = model();
    let draw = |seed: &str| {
        let draws = ["--temperature", "2", "--top-k", "40", "--seed", seed];
        let args = ["run", &model, "--prompt", "a", "-n", "24", "--precision", "exact", "--ignore-end", "-q"];
        json(&[&args[..], &draws].concat())
    };
    let (one, again, other) = (draw("1"), draw("1"), draw("2"));
    assert_eq!(one["tokens"], again["tokens"]);
    assert_ne!(one["tokens"], other["tokens"]);
    // A piece of the text, given as a stop, cuts it there.
    let whole = one["text"].as_str().unwrap();
    let at = whole.char_indices().nth(5).unwrap().0;
    let stop = &whole[at..whole[at..].char_indices().nth(3).unwrap().0 + at];
    let args = ["run", &model, "--prompt", "a", "-n", "24", "--precision", "exact", "--ignore-end", "-q"];
    let draws = ["--temperature", "2", "--top-k", "40", "--seed", "1", "--stop", stop];
    let cut = json(&[&args[..], &draws].concat());
    assert_eq!(cut["text"].as_str().unwrap(), &whole[..whole.find(stop).unwrap()]);
    assert_eq!(cut["finish"], "stopped");
}

#[test]
fn a_prompt_comes_from_standard_input_or_a_file() {
    let model = model();
    let with = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_apr"))
            .args([&["run", &model, "-n", "4", "--precision", "exact", "--ignore-end", "-q"], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        out.stdout
    };
    let wanted = with(&["--prompt", "while x"], "");
    assert_eq!(with(&[], "while x"), wanted);
    assert_eq!(with(&["--prompt", "-"], "while x"), wanted);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "while x").unwrap();
    assert_eq!(with(&["--prompt-file", file.path().to_str().unwrap()], ""), wanted);
}

#[test]
fn a_conversation_goes_on_over_turns() {
    let (_dir, model) = synthetic();
    let chat = ["run", &model, "--chat", "-n", "5", "--precision", "exact", "--ignore-end"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_apr"))
        .args([&chat[..], &["--system", "Be brief."]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n\nand then?\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    // Two turns, the empty line is none; the second computes only what the first did not.
    let prompts: Vec<usize> = text(&out.stderr)
        .lines()
        .map(|l| l.split("prompt ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(prompts.len(), 2, "{}", text(&out.stderr));
    let single = json(&[&chat[..], &["--system", "Be brief.", "--prompt", "hello", "-q"]].concat());
    assert_eq!(single["prompt"].as_array().unwrap().len(), prompts[0]);
    let first = text(&out.stdout).lines().next().unwrap();
    assert!(single["text"].as_str().unwrap().starts_with(first), "{first:?}");
}

#[test]
fn what_cannot_be_run_is_one_line() {
    let model = model();
    let cases: [(&[&str], &str); 7] = [
        (&["--tokens", "1,x"], "'x' in --tokens is no token id"),
        (&["--tokens", "512"], "token 512 is not in the vocabulary of 512"),
        (&["--prompt", ""], "the prompt has no tokens"),
        (&["--prompt", "a", "--temperature=-1"], "temperature is -1"),
        (&["--prompt", "a", "--chat"], "has no chat template"),
        (&["--prompt", "a", "--tokens", "1"], "cannot be used with"),
        (&["--prompt-file", "absent"], "absent: No such file"),
    ];
    for (args, says) in cases {
        let out = apr(&[&["run", &model], args].concat());
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_bench_says_what_was_measured() {
    let model = model();
    let args = ["bench", &model, "-p", "8,0", "-n", "2", "-d", "0,4", "-r", "3", "--threads", "1"];
    let out = apr(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&out.stdout).unwrap();
    let names: Vec<_> = rows.iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pp8", "tg2", "pp8@4", "tg2@4"]);
    for row in &rows {
        assert_eq!((&row["unit"], &row["n"]), (&"tok/s".into(), &3.into()));
        let mut samples: Vec<f64> =
            row["samples"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).collect();
        samples.sort_by(f64::total_cmp);
        assert_eq!(row["value"].as_f64().unwrap(), samples[1]);
        assert_eq!(row["of_bandwidth"].is_null(), row["name"].as_str().unwrap().starts_with("pp"));
    }
    let out = apr(&[&args[..], &["-o", "csv"]].concat());
    assert_eq!(text(&out.stdout).lines().count(), 5);
    let table = apr(&args);
    assert_eq!(text(&table.stdout).lines().count(), 6);
    for (wrong, says) in [
        (["-p", "0", "-n", "0"], "nothing to measure"),
        (["-p", "5000", "-n", "0"], "pp5000 reaches position 5000, the model's context is 4096"),
        (["-o", "xml", "-r", "1"], "unknown format 'xml'"),
    ] {
        let out = apr(&[&["bench", &model], &wrong[..]].concat());
        assert_eq!(out.status.code(), Some(3));
        assert!(text(&out.stderr).contains(says), "{}", text(&out.stderr));
    }
}
