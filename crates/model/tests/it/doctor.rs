//! `apr doctor`: what it finds on this machine, and what it says of one that does not suffice.

use crate::apr::{apr, text};
use crate::data;
use falsify::{Claim, falsifier};

fn model() -> String {
    data::path("tiny.q4_k_m.gguf").to_str().unwrap().to_owned()
}

/// Its exit code and its report, lines by their names.
struct Said {
    code: Option<i32>,
    needed: u64,
    lines: serde_json::Map<String, serde_json::Value>,
}

impl Said {
    fn of(args: &[&str]) -> Self {
        let out = apr(&[&["doctor", "--json", "--threads", "1"], args].concat());
        let report: serde_json::Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&out.stderr)));
        let lines = report["lines"].as_array().unwrap().iter();
        let lines = lines.map(|line| (line["name"].as_str().unwrap().to_owned(), line.clone())).collect();
        Self { code: out.status.code(), needed: report["needed"].as_u64().unwrap_or(0), lines }
    }

    fn verdict(&self, name: &str) -> &str {
        self.lines.get(name).and_then(|line| line["verdict"].as_str()).unwrap_or("absent")
    }

    fn advises(&self, name: &str, what: &str) -> bool {
        self.lines.get(name).and_then(|line| line["advice"].as_str()).is_some_and(|a| a.contains(what))
    }
}

#[falsifier("FALSIFY-DOCTOR-FIT-001")]
fn what_does_not_suffice_is_a_failure_with_advice(claim: &mut Claim) {
    let mut check = |case: &str, said: &Said, what: &str, holds: bool| {
        claim.at("case", case).on(format!("{:?} {:?}", said.code, said.lines)).check(what, holds);
    };
    let model = model();
    let fits = Said::of(&[&model]);
    let names =
        ["processor", "instructions", "threads", "memory", "bandwidth", "cuda device", "cuda kernels"];
    check("fits", &fits, "every line is there", names.iter().all(|name| fits.verdict(name) != "absent"));
    check("fits", &fits, "it fits", fits.code == Some(0) && fits.verdict("fit") == "OK");
    check("fits", &fits, "its speed is told", fits.verdict("speed") == "OK");

    // The same shape in another format: the difference is that of the weights.
    let other = data::path("tiny.f16.gguf");
    let more = Said::of(&[other.to_str().unwrap()]);
    let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    let difference =
        (size(&other) - size(&data::path("tiny.q4_k_m.gguf"))).abs_diff(more.needed.abs_diff(fits.needed));
    // Names of formats and the files' padding.
    check("weights", &more, "every byte of weights counts", difference < 4096);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wide.gguf");
    let file = path.to_str().unwrap();
    // A small model, made for so many positions that their keys and values take terabytes.
    let out = apr(&["synth", "-o", file, "--context", "4000000000", "--seed", "3"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let large = Said::of(&[file, "--context", "4000000000"]);
    let fails = large.code == Some(1) && large.verdict("fit") == "FAIL";
    check("too-large", &large, "it does not fit", fails && large.advises("fit", "smaller --context"));

    // A folder of libraries in which there are none. A loader that finds a driver elsewhere is a machine with one.
    let nowhere = dir.path().to_str().unwrap();
    let without = Said::of(&["--cuda-libs", nowhere]);
    if without.verdict("cuda device") != "OK" {
        let warns = without.code == Some(0) && without.verdict("cuda device") == "WARN";
        check("no-device", &without, "a warning", warns);
        let asked = Said::of(&["--cuda-libs", nowhere, "--backend", "cuda"]);
        let fails = asked.code == Some(1) && asked.advises("cuda device", "--cuda-libs");
        check("no-device", &asked, "a failure for who asks for it", fails);
    } else {
        check("no-device", &without, "there is one", without.code == Some(0));
    }

    // A file stands where the cache is to be.
    let blocked = Said::of(&["--cuda-cache", file]);
    check(
        "cache",
        &blocked,
        "no cache",
        blocked.code == Some(1) && blocked.verdict("kernel cache") == "FAIL",
    );
    let cache = dir.path().join("cache");
    let kept = Said::of(&["--cuda-cache", cache.to_str().unwrap()]);
    check("cache", &kept, "a cache", kept.code == Some(0) && kept.verdict("kernel cache") == "OK");
}

#[test]
fn more_threads_than_cores_are_warned_of() {
    let out = apr(&["doctor", "--threads", "1000"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let shown = text(&out.stdout);
    assert!(shown.contains("WARN  threads       1000 of ") && shown.contains("-> more threads"), "{shown}");
}

#[test]
fn wrong_arguments_are_one_line() {
    let model = model();
    let cases: [(&[&str], &str); 5] = [
        (&["absent.gguf"], "absent.gguf: No such file"),
        (&[&model, "--context", "5000"], "--context 5000: expected 1 to the model's context of 4096"),
        (&["--context", "8"], "required"),
        (&["--backend", "tpu"], "unknown backend 'tpu'"),
        (&["--precision", "half"], "unknown precision 'half'"),
    ];
    for (args, says) in cases {
        let out = apr(&[&["doctor"], args].concat());
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
    }
}
