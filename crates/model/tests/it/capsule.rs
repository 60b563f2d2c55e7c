//! Capsules: a wrong operation runs again alone, and tells a wrong backend from a right one.

use crate::apr::{apr, text};
use crate::bisect::{Case, PROMPT, options, run, tiny, whens};
use crate::data;
use crate::perturbed::{Fault, Perturbed, TABLE, When, Wrong};
use falsify::{Claim, falsifier};
use model::Error;
use model::backend::Precision;
use model::bisect::{Capsule, Guard, Unreadable};
use model::compare::Verdict;
use model::session::{Out, Session, Workbench};
use model::stage::Stage;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The capsule that is kept: a bit of the third row of a projection is flipped.
const KEPT: &str = "flipped-bit.capsule";
const KEPT_FAULT: Fault = Fault { wrong: Wrong::BitFlip("attn_output"), layer: 1, when: When::Prompt };

/// Whether a capsule shows a fault, and a right backend does without it; else what it says.
fn tells_apart(capsule: &Capsule, precision: Precision) -> Result<(), String> {
    let mut right = Workbench::new(&options(precision)).unwrap();
    let r = capsule.replay(&mut right).unwrap();
    match (r.made.verdict, r.found.verdict, r.as_found) {
        (Verdict::Match, found, false) if found != Verdict::Match => Ok(()),
        (made, found, _) => Err(format!("made {made}, {:?}; found {found}, {:?}", r.made.nmse, r.found.nmse)),
    }
}

#[falsifier("FALSIFY-BISECT-CAPSULE-001")]
fn every_wrong_operation_runs_again_alone(claim: &mut Claim) {
    // Of one wrong row of weights a capsule holds that row and its neighbours, and the neighbours' results are right: with
    // weights of other rows none would be.
    let one_row_differs = |capsule: &Capsule| {
        let pairs = capsule.expected.iter().zip(&capsule.found);
        // The rounding of two orders of summation is below 1e-5, a flipped bit of a scale or a quantum above 1e-3.
        let wrong = pairs.filter(|(e, f)| (*e - *f).abs() > 1e-4 * e.abs().max(1e-2)).count();
        let all = capsule.expected.len();
        let lone = wrong > 0 && 4 * wrong <= all;
        lone.then_some(())
            .ok_or_else(|| format!("{wrong} of {all} elements differ, those of one row expected"))
    };
    let case = Case::new(tiny(), 5);
    let (mut all, mut missed) = (0, Vec::new());
    let table = TABLE.iter().enumerate();
    let table = table.map(|(i, &(wrong, ..))| Fault { wrong, layer: i % 2, when: whens()[i / 2 % 2] });
    for (fault, lone) in table.map(|fault| (fault, false)).chain([(KEPT_FAULT, true)]) {
        for precision in Precision::ALL {
            if !fault.can_show() {
                continue;
            }
            all += 1;
            let report = run(&case, precision, Some(fault));
            let told = match &report.capsule {
                None => Err("no capsule".to_owned()),
                Some(capsule) => {
                    let bytes = capsule.to_bytes().unwrap();
                    let read = Capsule::from_bytes(&bytes).unwrap();
                    assert_eq!(read.to_bytes().unwrap(), bytes, "what was read is what was written");
                    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
                    let alone = || if lone { one_row_differs(&read) } else { Ok(()) };
                    tells_apart(&read, precision).and_then(|()| alone())
                }
            };
            missed.extend(told.err().map(|e| format!("{fault:?} {precision:?}: {e}")));
        }
    }
    assert!(all >= 60, "{all} capsules");
    let ratio = (all - missed.len()) as f64 / all as f64;
    claim.at("by", "bisect").on(missed.join("\n")).measure("ratio", ratio, "");

    let (mut all, mut missed) = (0, Vec::new());
    for stage in [Stage::AttnOut, Stage::MoeRouterLogits, Stage::Attention, Stage::QkvMatmul] {
        for (precision, when) in Precision::ALL.into_iter().zip(whens()) {
            let fault = Fault { wrong: Wrong::ProductIsNan(stage), layer: 1, when };
            all += 1;
            let told = match guarded(fault, precision) {
                Some(capsule) => tells_apart(&capsule, precision),
                None => Err("no capsule".to_owned()),
            };
            missed.extend(told.err().map(|e| format!("{fault:?} {precision:?}: {e}")));
        }
    }
    let ratio = (all - missed.len()) as f64 / all as f64;
    claim.at("by", "guard").on(missed.join("\n")).measure("ratio", ratio, "");
}

/// What a guard keeps of a run with a fault, token by token after the prompt.
fn guarded(fault: Fault, precision: Precision) -> Option<Capsule> {
    let model = tiny();
    let mut session = Session::on(Perturbed::new(precision, 0, fault, Rc::default()), &model, 0..2).unwrap();
    let kept = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&kept);
    let take = Box::new(move |capsule: &Capsule| {
        *keep.borrow_mut() = Some(capsule.clone());
        Ok(())
    });
    session.attach(Box::new(Guard::new(&model, 2).with_capsule(&options(precision), take)));
    let mut ended = session.run(&PROMPT, Out::Last);
    for token in 0..8 {
        if ended.is_ok() {
            ended = session.run(&[token], Out::Last);
        }
    }
    assert!(matches!(ended, Err(Error::NotFinite(_))), "{ended:?}");
    kept.take()
}

fn kept() -> PathBuf {
    data::path("tiny.q4_k_m.gguf").with_file_name("capsules").join(KEPT)
}

#[test]
fn the_kept_capsule_is_current() {
    let report = run(&Case::new(tiny(), 0), Precision::Fast, Some(KEPT_FAULT));
    let mut made = *report.capsule.unwrap();
    // The name of the party in these tests is no backend's.
    made.header.side = "cpu:fast".to_owned();
    if std::env::var("UPDATE_CAPSULE").is_ok() {
        fs::create_dir_all(kept().parent().unwrap()).unwrap();
        fs::write(kept(), made.to_bytes().unwrap()).unwrap();
    }
    let same = fs::read(kept()).unwrap_or_default() == made.to_bytes().unwrap();
    assert!(same, "out of date: UPDATE_CAPSULE=1 cargo test -p model --test it capsule::the_kept");
}

#[falsifier("FALSIFY-BISECT-CAPSULE-002")]
fn replay_tells_a_wrong_backend_from_a_right_one(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let file = kept();
    let (out, report) = replay(&file, &["--json"]);
    let verdict = |of: &str| report[of]["verdict"].as_str().unwrap_or_default().to_owned();
    let told = (out, verdict("made"), verdict("found")) == (Some(0), "MATCH".into(), "DIVERGE".into());
    claim.at("case", "right").check(&report.to_string(), told && report["as_found"] == false);
    let named = report["primitive"] == "matmul"
        && report["key"] == "layers.1.attn_out"
        && report["weights"][0].as_str().is_some_and(|w| w.starts_with("blk.1.attn_output.weight ("));
    claim.at("case", "right").check("it names the operation and its weights", named);
    // Under the same weights, what is expected is what was found: this machine then computes otherwise.
    let mut other = Capsule::read(&file).unwrap_or_else(|e| panic!("{e:?}"));
    std::mem::swap(&mut other.expected, &mut other.found);
    let wrong = dir.path().join("wrong.capsule");
    fs::write(&wrong, other.to_bytes().unwrap()).unwrap();
    let (out, report) = replay(&wrong, &["--json"]);
    let told = (out, report["made"]["verdict"].as_str()) == (Some(1), Some("DIVERGE"));
    claim.at("case", "wrong").check(&report.to_string(), told);
    // A flipped bit of the weights is computed as it stands: bit by bit what was found.
    let mut flipped = Capsule::read(&file).unwrap_or_else(|e| panic!("{e:?}"));
    let weights = &mut flipped.operation.weights[0];
    let (mut bytes, row) = (weights.bytes.to_vec(), weights.format.row_bytes(weights.cols).unwrap());
    let third = 2 - weights.first_row;
    bytes[third * row + weights.format.row().bytes / 2] ^= 0x40;
    weights.bytes = bytes.into();
    let again = dir.path().join("again.capsule");
    fs::write(&again, flipped.to_bytes().unwrap()).unwrap();
    let (out, report) = replay(&again, &["--json"]);
    claim.at("case", "again").check(&report.to_string(), out == Some(1) && report["as_found"] == true);
    // A value that was put in is wrong though the operation is right; the guard keeps it.
    let nan = dir.path().join("nan.bin");
    let mut bytes = [b"APRT".as_slice(), &[0; 4], &512_u32.to_le_bytes(), &vec![0; 4 * 512]].concat();
    bytes[12 + 4 * 300..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&nan, bytes).unwrap();
    let capsule = dir.path().join("nan.capsule");
    let model = show(&data::path("tiny.q4_k_m.gguf"));
    let inject = format!("attn_norm@1={}", show(&nan));
    let (capsule, finite) = (show(&capsule), "--check-finite");
    let args = ["run", &model, "--tokens", "1,2,3", "--inject", &inject, finite, "--capsule", &capsule];
    let out = apr(&args);
    let error = text(&out.stderr);
    let told = out.status.code() == Some(3) && error.contains("layers.1.attn_norm in a capsule, ");
    claim.at("case", "guard").check(error, told);
    let (out, report) = replay(Path::new(&capsule), &["--json"]);
    let told =
        out == Some(0) && report["found"]["verdict"] == "NAN_RIGHT" && report["found"]["not_finite"] == 1;
    claim.at("case", "guard").check(&report.to_string(), told);
}

fn show(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn replay(file: &Path, more: &[&str]) -> (Option<i32>, serde_json::Value) {
    let file = show(file);
    let out = apr(&[&["replay", &file], more].concat());
    let report = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| text(&out.stderr).into());
    (out.status.code(), report)
}

/// The capsule with its header changed.
fn with_header(change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let capsule = Capsule::read(&kept()).unwrap_or_else(|e| panic!("{e:?}"));
    let mut header = serde_json::to_value(&capsule.header).unwrap();
    change(&mut header);
    let bytes = capsule.to_bytes().unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut all: serde_json::Value = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    all["__metadata__"]["capsule"] = header.to_string().into();
    let all = serde_json::to_vec(&all).unwrap();
    [&(all.len() as u64).to_le_bytes()[..], &all, &bytes[8 + n..]].concat()
}

#[falsifier("FALSIFY-BISECT-CAPSULE-003")]
fn what_is_no_capsule_is_refused(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(kept()).unwrap();
    let plain = {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
        safetensors::serialize([("expected", view)], None).unwrap()
    };
    let set = |at: &'static str, value: serde_json::Value| {
        with_header(move |h| *h.pointer_mut(at).unwrap() = value.clone())
    };
    let cases: Vec<(&str, Vec<u8>, i32, &str)> = vec![
        ("empty", Vec::new(), 3, "expected a capsule in safetensors"),
        ("text", b"no capsule at all".to_vec(), 3, "expected a capsule in safetensors"),
        ("cut", whole[..whole.len() - 10].to_vec(), 3, "expected a capsule in safetensors"),
        ("plain", plain, 3, "without a capsule's header"),
        ("field", with_header(|h| h["colour"] = 1.into()), 3, "unknown field `colour`"),
        ("stage", set("/key", "layers.0.nothing".into()), 3, "has key 'layers.0.nothing'"),
        ("derived", set("/key", "layers.0.attn_scores".into()), 3, "is a derived value"),
        ("other-stage", set("/key", "layers.0.attn_norm".into()), 3, "the operation"),
        ("positions", set("/positions", serde_json::json!([5, 1])), 3, "the operation"),
        ("columns", set("/columns", serde_json::json!([0, 1_u64 << 60])), 3, "the operation columns"),
        ("shape", set("/weights/0/shape", serde_json::json!([1, 1_u64 << 40, 256])), 3, "bytes of weights"),
        ("precision", set("/precision", "half".into()), 3, "has the precision 'half'"),
        ("side", set("/side", "tpu:fast".into()), 3, "unknown backend 'tpu'"),
        ("schema", set("/schema", "apr-capsule/2".into()), 125, "has schema 'apr-capsule/2'"),
        ("format", set("/weights/0/format", "Q9_Z".into()), 125, "has weights of format 'Q9_Z'"),
    ];
    let mut judge = |case: &str, file: &Path, more: &[&str], exit: i32, says: &str| {
        let file = show(file);
        let out = apr(&[&["replay", &file], more].concat());
        let errors = text(&out.stderr);
        let line = errors.trim_end().lines().last().unwrap_or_default();
        let refused = out.status.code() == Some(exit) && line.starts_with("apr: ") && line.contains(says);
        claim
            .at("case", case)
            .check(&format!("a line with '{says}' and exit code {exit}: {errors}"), refused);
    };
    for (case, bytes, exit, says) in &cases {
        let file = dir.path().join(case);
        fs::write(&file, bytes).unwrap();
        judge(case, &file, &[], *exit, says);
    }
    judge("missing", &dir.path().join("nowhere"), &[], 3, "nowhere");
    judge("folder", dir.path(), &[], 3, "is no file");
    judge("size", &kept(), &["--max-bytes", "100"], 3, "expected at most 100 (--max-bytes)");
    judge("backend", &kept(), &["--backend", "tpu"], 3, "unknown backend 'tpu'");
    let model = show(&data::path("tiny.q4_k_m.gguf"));
    let out = apr(&["run", &model, "--tokens", "1", "--capsule", &show(&dir.path().join("c"))]);
    let says = text(&out.stderr);
    claim
        .at("case", "unguarded")
        .check(says, out.status.code() == Some(3) && says.contains("--check-finite"));
    assert!(!dir.path().join("c").exists());
}

#[test]
fn a_damaged_capsule_is_an_error_and_no_crash() {
    let whole = fs::read(kept()).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut random = SplitMix64::seed_from_u64(7);
    let mut on = Workbench::new(&options(Precision::Fast)).unwrap();
    let (mut refused, mut performed) = (0, 0);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        let at = 8 + (random.next_u64() % (header as u64 - 8)) as usize;
        // A digit, a delimiter or any bit: headers that still read are the dangerous ones.
        bytes[at] = match random.next_u64() % 3 {
            0 => b'0' + (random.next_u64() % 10) as u8,
            1 => b"[],:\"{}"[(random.next_u64() % 7) as usize],
            _ => bytes[at] ^ (1 << (random.next_u64() % 8)),
        };
        match Capsule::from_bytes(&bytes) {
            Err(Unreadable::Corrupt(_) | Unreadable::Newer(_)) => refused += 1,
            Err(Unreadable::Io(e)) => panic!("{e}"),
            Ok(capsule) => {
                performed += usize::from(capsule.replay(&mut on).is_ok());
            }
        }
    }
    assert!(refused > 1000 && performed > 100, "{refused} refused, {performed} performed");
}
