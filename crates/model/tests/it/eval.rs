//! `apr eval`: divergence and perplexity against their closed forms, and what the command refuses.

use crate::apr::{apr, text};
use crate::data;
use crate::reference::f32s;
use falsify::{Claim, falsifier};
use model::eval::LogSoftmax;
use safetensors::SafeTensors;
use std::path::Path;

/// So many tokens, of which so many are raised by so much.
const TOKENS: usize = 4096;
const RAISED: usize = 5;

/// `KL(uniform || raised)` and `KL(raised || uniform)`.
fn closed_form(by: f64) -> (f64, f64) {
    let (n, k) = (TOKENS as f64, RAISED as f64);
    let total = n - k + k * by.exp();
    let share = k * by.exp() / total;
    ((total / n).ln() - k / n * by, share * by - (total / n).ln())
}

#[falsifier("FALSIFY-EVAL-DIVERGENCE-001")]
fn divergence_is_its_closed_form(claim: &mut Claim) {
    for (name, shift) in [("0", 0.0_f32), ("1000", 1000.0), ("-10000", -10_000.0)] {
        let row = |by: f32| {
            let mut logits = vec![shift; TOKENS];
            logits[7..7 + RAISED].iter_mut().for_each(|x| *x += by);
            logits
        };
        let of = |logits: &[f32]| {
            let mut d = LogSoftmax::default();
            // Logits of a broken softmax are no distribution; what it gives is compared all the same.
            let _ = d.take(logits);
            d
        };
        let (flat, near, far) = (of(&row(0.0)), of(&row(0.5)), of(&row(30.0)));
        for (pair, want, got) in [
            ("itself", 0.0, near.divergence(&near)),
            ("raised", closed_form(0.5).0, flat.divergence(&near)),
            ("lowered", closed_form(0.5).1, near.divergence(&flat)),
            ("far", closed_form(30.0).0, flat.divergence(&far)),
        ] {
            claim.at("pair", pair).at("shift", name).compare(&[want], &[got]);
        }
    }
}

/// A file of saved logits, as another program would write it.
fn safetensors(path: &Path, tokens: &[u32], logits: &[f32], vocab: usize, window: usize) {
    let (named, all) = (4 * tokens.len(), 4 * tokens.len() + 4 * logits.len());
    let header = serde_json::json!({
        "__metadata__": {"window": window.to_string()},
        "tokens": {"dtype": "U32", "shape": [tokens.len()], "data_offsets": [0, named]},
        "logits": {"dtype": "F32", "shape": [logits.len() / vocab, vocab], "data_offsets": [named, all]},
    });
    let header = header.to_string().into_bytes();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(tokens.iter().flat_map(|t| t.to_le_bytes()));
    file.extend(logits.iter().flat_map(|x| x.to_le_bytes()));
    std::fs::write(path, file).unwrap();
}

/// The logits of a file of saved ones.
fn saved(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    f32s(SafeTensors::deserialize(&bytes).unwrap().tensor("logits").unwrap().data())
}

fn model() -> String {
    data::path("tiny.q4_k_m.gguf").to_str().unwrap().to_owned()
}

const VOCAB: usize = 512;

/// 24 tokens.
fn ids() -> Vec<u32> {
    (0..24).map(|i| (i * 37 + 11) % 500).collect()
}

fn listed(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// What the command says as JSON, and its exit code.
fn said(args: &[&str]) -> (serde_json::Value, Option<i32>) {
    let model = model();
    let out = apr(&[&["eval", &model, "--precision", "exact", "--json"], args].concat());
    let json = serde_json::from_slice(&out.stdout).unwrap_or(serde_json::Value::Null);
    if json.is_null() {
        eprintln!("{args:?}: {}", text(&out.stderr));
    }
    (json, out.status.code())
}

/// `ln p` of a token, in the order of the definition.
fn log(row: &[f32], token: u32) -> f64 {
    let most = row.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let sum: f64 = row.iter().map(|x| (f64::from(*x) - most).exp()).sum();
    f64::from(row[token as usize]) - most - sum.ln()
}

#[falsifier("FALSIFY-EVAL-FILE-001")]
fn a_model_is_as_far_from_logits_as_they_were_changed(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = |name: &str| path(name).to_str().unwrap().to_owned();
    let (ids, near) =
        (ids(), |a: &serde_json::Value, b: f64| a.as_f64().is_some_and(|a| (a - b).abs() < 1e-11));
    let (whole, code) = said(&["--tokens", &listed(&ids), "--save-logits", &file("whole")]);
    claim.at("case", "perplexity").check("it ends well", code == Some(0));
    let rows = saved(&path("whole"));
    let nlls: Vec<f64> = rows.chunks(VOCAB).zip(&ids[1..]).map(|(row, t)| -log(row, *t)).collect();
    let nll = nlls.iter().sum::<f64>() / nlls.len() as f64;
    let at = claim.at("case", "perplexity").on(whole["prediction"].to_string());
    at.check("it is the definition", near(&whole["prediction"]["nll"], nll));

    let (same, code) = said(&["--against", &file("whole"), "--max-kl", "0", "--min-agreement", "1"]);
    let at = |claim: &mut Claim, what: &str, holds| {
        claim.at("case", "same").on(same["against"].to_string()).check(what, holds);
    };
    at(claim, "exit code 0", code == Some(0));
    at(claim, "no divergence at all", same["against"]["kl"]["largest"] == 0.0);
    at(claim, "every token", same["against"]["agree"] == 24 && same["against"]["positions"] == 24);

    // One logit of each row, raised by 2: not the largest one of every row.
    let raised = 11;
    let mut changed = rows.clone();
    changed.chunks_mut(VOCAB).for_each(|row| row[raised] += 2.0);
    safetensors(&path("changed"), &ids, &changed, VOCAB, 512);
    // KL(changed || row) = 2 p' - ln(1 + p (e^2 - 1)), p and p' the token's chances before and after.
    let term = |(row, changed): (&[f32], &[f32])| {
        let (p, after) = (log(row, raised as u32).exp(), log(changed, raised as u32).exp());
        2.0 * after - (p * (2f64.exp() - 1.0)).ln_1p()
    };
    let want = rows.chunks(VOCAB).zip(changed.chunks(VOCAB)).map(term).sum::<f64>() / ids.len() as f64;
    for (bound, exit) in [(want * 1.01, 0), (want * 0.99, 1)] {
        let (far, code) = said(&["--against", &file("changed"), "--max-kl", &bound.to_string()]);
        let at =
            claim.at("case", "changed").on(format!("{want:e}, bound {bound:e}: {}", far["against"]["kl"]));
        at.check("the divergence is its closed form", near(&far["against"]["kl"]["mean"], want));
        claim.at("case", "changed").check(&format!("exit code {exit}: {code:?}"), code == Some(exit));
    }

    // A NaN in one row, nothing but minus infinity in another.
    let mut broken = rows.clone();
    broken[3 * VOCAB + 200] = f32::NAN;
    broken[9 * VOCAB..10 * VOCAB].fill(f32::NEG_INFINITY);
    safetensors(&path("broken"), &ids, &broken, VOCAB, 512);
    let (found, code) = said(&["--against", &file("broken")]);
    let holds = code == Some(1)
        && found["against"]["broken"] == serde_json::json!({"rows": 2, "first": 3})
        && found["against"]["positions"] == 22
        && found["against"]["kl"]["largest"] == 0.0;
    claim.at("case", "broken").on(found.to_string()).check("both rows are counted apart", holds);

    // Windows of 10 start anew: the first 10 rows are those of the whole, and 24 tokens have 3 of them.
    let (cut, code) =
        said(&["--tokens", &listed(&ids), "--window", "10", "--skip", "2", "--save-logits", &file("cut")]);
    let parts = saved(&path("cut"));
    let again = said(&["--tokens", &listed(&ids[10..20]), "--save-logits", &file("second")]).1;
    let holds = code == Some(0)
        && again == Some(0)
        && parts[..10 * VOCAB] == rows[..10 * VOCAB]
        && parts[10 * VOCAB..20 * VOCAB] == saved(&path("second"))[..]
        && (&cut["windows"], &cut["scored"]) == (&3.into(), &18.into())
        && cut["prediction"]["tokens"] == 15;
    claim.at("case", "windows").on(cut.to_string()).check("each knows nothing of the others", holds);
}

#[test]
fn what_cannot_be_compared_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (ids, rows) = (ids(), vec![0.5; 24 * VOCAB]);
    safetensors(&dir.path().join("good"), &ids, &rows, VOCAB, 512);
    safetensors(&dir.path().join("vocab"), &ids, &rows, 2 * VOCAB, 512);
    safetensors(&dir.path().join("few"), &ids[..12], &rows, VOCAB, 512);
    safetensors(&dir.path().join("none"), &[], &[], VOCAB, 512);
    safetensors(&dir.path().join("window"), &ids, &rows, VOCAB, 0);
    safetensors(&dir.path().join("long"), &ids, &rows, VOCAB, 5000);
    safetensors(&dir.path().join("token"), &[&ids[..23], &[600]].concat(), &rows, VOCAB, 512);
    std::fs::write(dir.path().join("junk"), b"no safetensors at all").unwrap();
    let good = std::fs::read(dir.path().join("good")).unwrap();
    std::fs::write(dir.path().join("cut"), &good[..good.len() - 4]).unwrap();
    let model = model();
    let (good, tokens) = (file("good"), listed(&ids[..3]));
    let against = |name: &str| vec!["--against".to_owned(), file(name)];
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let cases: [(Vec<String>, &str); 15] = [
        (vec![], "no prompt"),
        (words(&["--tokens", "1,600"]), "token 600 is not in the vocabulary"),
        (against("absent"), "absent: No such file"),
        (against("junk"), "is no safetensors file"),
        (against("cut"), "is no safetensors file"),
        (against("vocab"), "has 24 tokens and logits [12, 1024]"),
        (against("few"), "has 12 tokens and logits [24, 512]"),
        (against("none"), "has 0 tokens"),
        (against("window"), "metadata 'window': '0'"),
        (against("long"), "a window of 5000 tokens, expected 1 to the model's context of 4096"),
        (against("token"), "token 600 is not in the vocabulary"),
        (words(&["--against", &good, "--tokens", &tokens]), "they differ from token 3 on"),
        (words(&["--against", &good, "--max-kl=-1"]), "expected a number of at least 0"),
        (words(&["--tokens", &tokens, "--max-kl", "1"]), "--against"),
        (words(&["--tokens", &tokens, "--save-logits", &good]), "is there already, --force replaces it"),
    ];
    for (args, says) in cases {
        let args: Vec<&str> = ["eval", &model].into_iter().chain(args.iter().map(String::as_str)).collect();
        let out = apr(&args);
        assert_eq!(out.status.code(), Some(3), "{args:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
        assert!(out.stdout.is_empty(), "{args:?}");
    }
    // One token has none after it; what was to be written is there all the same.
    assert_eq!(apr(&["eval", &model, "--tokens", "1"]).status.code(), Some(2));
    let out = apr(&["eval", &model, "--tokens", "1", "--save-logits", &good, "--force"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("perplexity  none"), "{}", text(&out.stdout));
    let leftovers: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
