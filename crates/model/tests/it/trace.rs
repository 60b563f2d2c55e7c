//! `apr trace` as a process, and recordings read back.

use crate::collect::Collect;
use crate::data;
use crate::reference::{exact, tiny};
use falsify::{Claim, falsifier};
use model::backend::Precision;
use model::observer::{Observer, Value};
use model::session::{Options, Out, Session};
use model::stage::{STAGES, Site, Stage};
use model::tap::Stop;
use model::trace::{
    Directory, Dtype, Format, Manifest, Number, Pass, Plan, Positions, Recorder, Selection, Trace,
    parse_stages,
};
use std::path::Path;
use std::process::{Command, Output};

fn apr(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apr")).arg("trace").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn file() -> String {
    data::path("tiny.q4_k_m.gguf").to_str().unwrap().to_owned()
}

/// Records stages of a prompt of three tokens.
fn record(dir: &Path, stages: &str, more: &[&str]) -> Output {
    let (file, dir) = (file(), dir.to_str().unwrap());
    let mut args = vec![
        &*file,
        "--tokens",
        "5,6,7",
        "--precision",
        "exact",
        "--save-tensor",
        stages,
        "--save-tensor-dir",
        dir,
    ];
    args.extend(more);
    let out = apr(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    out
}

/// All stages and positions, two tokens decoded.
const WHOLE: [&str; 4] = ["--positions", "all", "--decode", "2"];

fn keys(trace: &Trace) -> Vec<String> {
    trace.manifest().tensors.iter().map(|e| e.key.clone()).collect()
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-001")]
fn help_names_every_flag_and_stage(claim: &mut Claim) {
    let out = apr(&["--help"]);
    let help = text(&out.stdout);
    for flag in [
        "--tokens",
        "--decode",
        "--save-tensor ",
        "--save-tensor-layers",
        "--save-tensor-dir",
        "--positions",
        "--format",
        "--backend",
        "--gpu",
        "--precision",
        "--json",
        "--payload",
        "--stats-only",
        "--force",
        "--max-bytes",
        "Example:",
    ] {
        claim.on(flag).check("it is in the help", help.contains(flag));
    }
    for row in STAGES {
        claim.on(row.name).check("it is in the help", help.contains(row.name));
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-002")]
fn two_runs_write_the_same_bytes(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a", "b"].map(|n| dir.path().join(n));
    record(&names[0], "all", &["--threads", "1"]);
    record(&names[1], "all", &["--threads", "3"]);
    for file in ["trace.safetensors", "manifest.json"] {
        let [a, b] = [&names[0], &names[1]].map(|n| std::fs::read(n.join(file)).unwrap());
        claim.at("file", file).compare(&a, &b);
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-004")]
fn what_is_recorded_is_what_the_pass_made(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny("q4_k_m");
    let mut session = Session::new(&model, &exact(2)).unwrap();
    let mut seen = Collect::default();
    session.observe(&[5, 6, 7], Out::All, &mut seen).unwrap();
    for format in ["safetensors", "npy", "aprt"] {
        let target = dir.path().join(format);
        record(&target, "all", &["--format", format, WHOLE[0], WHOLE[1], WHOLE[2], WHOLE[3]]);
        let trace = Trace::open(&target).unwrap();
        let m = trace.manifest();
        let told = (m.positions, m.tokens.len(), m.prompt_tokens, m.tensors.len());
        claim.on("manifest").check(&format!("{told:?}"), told == ([0, 5], 5, 3, 1 + 2 * 21 + 2));
        // What was decoded is computed again, one token at a time.
        let mut again = Session::new(&model, &exact(2)).unwrap();
        let mut steps = Collect::default();
        again.observe(&m.tokens[..3], Out::All, &mut steps).unwrap();
        for token in &m.tokens[3..] {
            again.observe(&[*token], Out::Last, &mut steps).unwrap();
        }
        for entry in &m.tensors {
            let values = trace.values(&entry.key).unwrap();
            assert_eq!(values.len(), entry.shape.iter().product::<usize>(), "{}", entry.key);
            let site = entry.site().unwrap();
            if site.stage.future().is_some() {
                continue; // rows grow with the context there; FALSIFY-ATTN-SUB-002 compares them
            }
            claim.at("format", format).on(entry.key.as_str()).compare(&steps.values[&entry.key], &values);
        }
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-005")]
fn a_list_of_stages_is_recorded_in_one_run(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let out = record(&target, "LM_HEAD, moe_expert_out,attn_norm", &["--json", "--payload"]);
    let trace = Trace::open(&target).unwrap();
    // In the order of the pass; the experts' ids come with their outputs.
    let layer = |l| ["attn_norm", "moe_router_indices", "moe_expert_out"].map(|s| format!("layers.{l}.{s}"));
    let want: Vec<String> = layer(0).into_iter().chain(layer(1)).chain(["lm_head".to_owned()]).collect();
    claim.compare(&want[..], &keys(&trace)[..]);
    let experts = trace.entry("layers.1.moe_expert_out").unwrap().experts.clone().unwrap_or_default();
    claim.on("experts").compare("layers.1.moe_router_indices", &*experts);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["payload"]["logits"]["top"].as_array().unwrap().len(), 5);
    assert!(json["payload"]["layers"][0]["attn_norm"]["rms"].is_number());
    let misspelt = trace.entry("layers.1.attn_nrom").unwrap_err().to_string();
    assert!(misspelt.contains("did you mean 'layers.1.attn_norm'"), "{misspelt}");
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-007")]
fn a_range_of_layers_is_recorded_alone(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    for (range, layers) in [("0..1", vec![0]), ("1..2", vec![1]), ("0..2", vec![0, 1])] {
        let target = dir.path().join(range);
        record(&target, "ffn_norm,final_norm", &["--save-tensor-layers", range]);
        let in_layers = layers.iter().map(|l| format!("layers.{l}.ffn_norm"));
        let want: Vec<String> = in_layers.chain(["final_norm".to_owned()]).collect();
        let got = keys(&Trace::open(&target).unwrap());
        claim.at("layers", range).compare(&want[..], &got[..]);
    }
}

/// Writes numbers into a value as it is made.
struct Poison {
    site: Site,
    bits: Vec<(usize, u32)>,
}

impl Observer for Poison {
    fn wants(&self, site: Site) -> bool {
        site == self.site
    }
    fn value(&mut self, _: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let mut values = value.read()?;
        for &(at, bits) in &self.bits {
            values[at] = f32::from_bits(bits);
        }
        value.write(&values)
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-006")]
fn what_is_not_finite_is_kept_to_the_bit(claim: &mut Claim) {
    let model = tiny("q4_k_m");
    let site = Site { layer: Some(0), stage: Stage::MoeFfnOut };
    let bits = vec![(3, 0x7FC0_0000), (4, 0xFFC1_2345), (70, 0x7F80_0000), (300, 0xFF80_0000)];
    let selection =
        Selection { stages: Some(vec![Stage::MoeFfnOut]), layers: Some(0..1), positions: Positions::All };
    let plan = Plan::new(model.config(), 2, &selection, 2, 0).unwrap();
    for format in ["safetensors", "npy", "aprt"] {
        let dir = tempfile::tempdir().unwrap();
        let mut go_on = |_| true;
        let store = Some((Format::from_name(format).unwrap(), dir.path()));
        let mut recorder = Recorder::new(&plan, store, &mut go_on).unwrap();
        let mut session = Session::new(&model, &exact(1)).unwrap();
        let mut poison = Poison { site, bits: bits.clone() };
        let pass = Pass { tokens: &[1, 2], decode: 0, positions: Positions::All };
        model::trace::record(&mut session, pass, &mut recorder, Some(&mut poison)).unwrap();
        let entries = recorder.finish().unwrap();
        let stats = &entries[0].stats;
        let counted = (stats.nan, stats.inf, stats.first_not_finite);
        claim.on("counts").check(&format!("{counted:?}"), counted == (2, 2, Some(3)));
        let bytes = std::fs::read(dir.path().join(entries[0].file.as_ref().unwrap())).unwrap();
        let elements = &bytes[bytes.len() - 2 * 256 * 4..];
        let word = |at: usize| u32::from_le_bytes(elements[at * 4..][..4].try_into().unwrap());
        let got: Vec<u32> = bits.iter().map(|(at, _)| word(*at)).collect();
        let want: Vec<u32> = bits.iter().map(|(_, bits)| *bits).collect();
        claim.at("format", format).compare(&want, &got);
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-010")]
fn the_logits_are_one_file_of_the_whole_model(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    record(&target, "lm_head,attn_norm,embedding", &["--format", "aprt"]);
    let header = |file: &str| {
        let bytes = std::fs::read(target.join(file)).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        vec![word(0), word(4), word(8), bytes.len() as u32]
    };
    let aprt = u32::from_le_bytes(*b"APRT");
    claim.at("file", "lm_head.bin").compare(&vec![aprt, u32::MAX, 512, 12 + 4 * 512], &header("lm_head.bin"));
    claim
        .at("file", "embedding.bin")
        .compare(&vec![aprt, u32::MAX, 256, 12 + 4 * 256], &header("embedding.bin"));
    let in_layer = "layer-1/attn_norm.bin";
    claim.at("file", in_layer).compare(&vec![aprt, 1, 256, 12 + 4 * 256], &header(in_layer));
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-011")]
fn other_readers_of_safetensors_find_the_same(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    record(&target, "all", &WHOLE);
    let bytes = std::fs::read(target.join("trace.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let trace = Trace::open(&target).unwrap();
    assert_eq!(file.len(), trace.manifest().tensors.len());
    for entry in &trace.manifest().tensors {
        let tensor = file.tensor(&entry.key).unwrap();
        let like =
            tensor.shape() == entry.shape && format!("{:?}", tensor.dtype()) == format!("{:?}", entry.dtype);
        claim.on(entry.key.as_str()).check("shape and type", like);
        let words = tensor.data().as_chunks::<4>().0.iter();
        let got: Vec<f32> = match entry.dtype {
            Dtype::F32 => words.map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::I32 => words.map(|b| i32::from_le_bytes(*b) as f32).collect(),
        };
        claim.on(entry.key.as_str()).compare(&trace.values(&entry.key).unwrap(), &got);
        let hash = model::trace::Checksum::of(tensor.data());
        claim.on(entry.key.as_str()).check("the digest", hash == entry.hash);
    }
    trace.verify().unwrap();
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-012")]
fn what_cannot_be_is_refused_before_any_work(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let t = target.to_str().unwrap();
    let file = file();
    let cases: &[(&[&str], &str)] = &[
        (&["--save-tensor", "moe_ruoter"], "did you mean 'moe_router'"),
        (&["--save-tensor", ""], "no stage is named"),
        (&["--save-tensor", "ffn_gate"], "'ffn_gate' is not made by architecture 'qwen3moe'"),
        (&["--save-tensor", "qkv_bias"], "not made"),
        (&["--save-tensor", "all", "--save-tensor-layers", "1..3"], "expected 0..2"),
        (&["--save-tensor", "all", "--save-tensor-layers", "2..2"], "no range of layers"),
        (&["--save-tensor", "all", "--save-tensor-layers", "1"], "no range of layers"),
        (&["--save-tensor", "all", "--layers", "1", "--save-tensor-layers", "0..2"], "expected 0..1"),
        (&["--save-tensor", "all", "--positions", "first"], "expected last or all"),
        (&["--save-tensor", "all", "--format", "csv"], "unknown format 'csv'"),
        (&["--save-tensor", "all", "--max-bytes", "1000"], "--max-bytes"),
        (&["--save-tensor", "all", "--backend", "tpu"], "unknown backend 'tpu'"),
        (&["--save-tensor", "all", "--precision", "half"], "unknown precision 'half'"),
        (&["--tokens", "1,x"], "'x' in --tokens"),
        (&["--tokens", "512"], "token 512 is not in the vocabulary of 512"),
        (&["--tokens", ""], "no token id"),
    ];
    for (args, says) in cases {
        let mut all = vec![&*file];
        if !args.contains(&"--tokens") {
            all.extend(["--tokens", "1,2"]);
        }
        if !args.contains(&"--precision") {
            all.extend(["--precision", "exact"]);
        }
        if args.contains(&"--save-tensor") {
            all.extend(["--save-tensor-dir", t]);
        }
        all.extend(*args);
        let out = apr(&all);
        let error = text(&out.stderr);
        let mut check =
            |what: &str, holds| claim.on(args.join(" ")).check(&format!("{what}: {error}"), holds);
        check("exit code 3", out.status.code() == Some(3));
        check(says, error.contains(says));
        check("a line of its own", error.lines().last().is_some_and(|l| l.starts_with("apr: ")));
        check("nothing is written", std::fs::read_dir(dir.path()).unwrap().count() == 0);
    }
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-013")]
fn a_recording_is_there_whole_or_not_at_all(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let t = target.to_str().unwrap();
    let entries = || std::fs::read_dir(dir.path()).unwrap().count();
    let again = |more: &[&str]| {
        let file = file();
        let mut args = vec![&*file, "--tokens", "1", "--precision", "exact", "--save-tensor", "embedding"];
        args.extend(["--save-tensor-dir", t]);
        args.extend(more);
        let out = apr(&args);
        (out.status.code(), text(&out.stderr).to_owned())
    };

    // Ended by the one who watches the progress.
    let model = tiny("q4_k_m");
    let mut session = Session::new(&model, &exact(2)).unwrap();
    let selection = Selection { stages: None, layers: None, positions: Positions::All };
    let plan = Plan::new(model.config(), 2, &selection, 3, 0).unwrap();
    let directory = Directory::create(&target, false).unwrap();
    let mut left = 10;
    let mut progress = |_| {
        left -= 1;
        left > 0
    };
    let store = Some((Format::Npy, directory.path()));
    let mut recorder = Recorder::new(&plan, store, &mut progress).unwrap();
    let pass = Pass { tokens: &[1, 2, 3], decode: 0, positions: Positions::All };
    let error = model::trace::record(&mut session, pass, &mut recorder, None).unwrap_err().to_string();
    claim.on("interrupted").check(&error, error.contains("interrupted"));
    claim.on("interrupted").check("it has no manifest", recorder.finish().is_err());
    drop(directory);
    claim.on("interrupted").check("nothing is left", entries() == 0);
    session.rewind(0).unwrap();
    session.run(&[1, 2, 3], Out::Last).unwrap();

    std::fs::create_dir(&target).unwrap();
    claim.on("an empty folder").check("it is taken", again(&[]).0 == Some(0));
    let (code, error) = again(&[]);
    claim.on("an earlier recording").check(&error, code == Some(3) && error.contains("--force"));
    record(&target, "all", &["--force", "--format", "npy"]);
    let replaced = target.join("lm_head.npy").exists() && !target.join("trace.safetensors").exists();
    claim.on("--force").check("it replaces the whole folder", replaced);
    std::fs::remove_file(target.join("manifest.json")).unwrap();
    let (code, error) = again(&["--force"]);
    let kept =
        code == Some(3) && error.contains("no earlier recording") && target.join("lm_head.npy").exists();
    claim.on("a folder of something else").check(&error, kept);
    claim.on("at the end").check("nothing else is left", entries() == 1);
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-014")]
fn statistics_are_those_of_the_elements(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    record(&target, "all", &WHOLE);
    let trace = Trace::open(&target).unwrap();
    for entry in &trace.manifest().tensors {
        let stage = entry.site().unwrap().stage;
        let values = trace.values(&entry.key).unwrap();
        // Of scores, what a position sees: cells of later keys are masked.
        let keys = *entry.shape.last().unwrap();
        let per_position = entry.shape[1..].iter().product::<usize>();
        let seen = |i: &usize| stage.future().is_none() || i % keys <= i / per_position;
        let values: Vec<f64> = (0..values.len()).filter(seen).map(|i| values[i].into()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let rms = (values.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        let fold = |f: fn(f64, f64) -> f64, start| values.iter().copied().fold(start, f);
        let s = &entry.stats;
        let got = vec![s.count as f64, s.min.0, s.max.0, s.mean.0, s.rms.0];
        let want = vec![n, fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY), mean, rms];
        claim.on(entry.key.as_str()).compare(&want, &got);
    }
}

#[falsifier("FALSIFY-MOE-SUB-001")]
fn the_stages_of_experts_exist_and_parse(claim: &mut Claim) {
    let names = [
        "moe_router_logits",
        "moe_router",
        "moe_router_indices",
        "moe_expert_gate",
        "moe_expert_up",
        "moe_expert_swigl",
        "moe_expert_out",
        "moe_ffn_out",
    ];
    let parsed = |text: &str| parse_stages(text).ok().flatten().unwrap_or_default();
    for name in names {
        let stage = Stage::from_name(name);
        claim.at("stage", name).check("it has a name", stage.is_some_and(|s| s.to_string() == name));
        for text in [name.to_owned(), name.to_uppercase(), format!(" {name} ")] {
            claim
                .at("stage", name)
                .on(text.as_str())
                .check("it parses", parsed(&text) == Vec::from_iter(stage));
        }
    }
    let list = parsed("moe_router,moe_ffn_out");
    claim.on("a list").check("both", list == [Stage::MoeRouter, Stage::MoeFfnOut]);
    // The order of the table is the order of the pass.
    let order: Vec<Stage> = ["ffn_norm"].iter().chain(&names).filter_map(|n| Stage::from_name(n)).collect();
    claim.on("order").check("ascending", order.is_sorted() && order.len() == 9);
    claim.on("order").check("before the residual", order.iter().all(|s| *s < Stage::PostFfnResidual));
}

#[falsifier("FALSIFY-ATTN-SUB-001")]
fn the_stages_of_attention_exist_and_parse(claim: &mut Claim) {
    let names = [
        "q_norm",
        "k_norm",
        "q_post_rope",
        "k_post_rope",
        "attn_scores",
        "attn_softmax",
        "attention",
        "attn_out",
    ];
    let mut order = Vec::new();
    for name in names {
        let stage = parse_stages(&name.to_uppercase()).ok().flatten().unwrap_or_default();
        claim
            .at("stage", name)
            .check("it parses in any case", stage == Vec::from_iter(Stage::from_name(name)));
        order.extend(Stage::from_name(name));
    }
    claim.on("order").check("the order of the pass", order.is_sorted() && order.len() == names.len());
}

/// Recomputes what attention makes, by the definition in f64 from what was recorded before it.
fn attention_by_its_definition(claim: &mut Claim, precision: &str) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join(precision);
    let (file, t) = (file(), target.to_str().unwrap());
    let mut args = vec![&*file, "--tokens", "5,6,7", "--precision", precision];
    args.extend(["--save-tensor", "all", "--save-tensor-dir", t]);
    args.extend(WHOLE);
    let out = apr(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let trace = Trace::open(&target).unwrap();
    for layer in 0..2 {
        let get = |stage: &str| trace.values(&format!("layers.{layer}.{stage}")).unwrap();
        let shape = trace.entry(&format!("layers.{layer}.attn_scores")).unwrap().shape.clone();
        assert_eq!(shape, [5, 4, 5], "positions, heads, keys");
        let (q, k, qkv) = (get("q_post_rope"), get("k_post_rope"), get("qkv_matmul"));
        let (scores, softmax, attention) = (get("attn_scores"), get("attn_softmax"), get("attention"));
        // By the definition, in f64, from what was captured before.
        let mut want = (Vec::new(), Vec::new(), Vec::new());
        for (row, head) in (0..5).flat_map(|r| (0..4).map(move |h| (r, h))) {
            let query = &q[(row * 4 + head) * 64..][..64];
            let score = |t: usize| {
                let key = &k[(t * 2 + head / 2) * 64..][..64];
                query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / 8.0
            };
            let seen: Vec<f64> = (0..=row).map(score).collect();
            let largest = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = seen.iter().map(|s| (s - largest).exp()).sum();
            let weights: Vec<f64> = seen.iter().map(|s| (s - largest).exp() / sum).collect();
            for d in 0..64 {
                let value = |t: usize| f64::from(qkv[t * 512 + 384 + head / 2 * 64 + d]);
                want.2.push((0..=row).map(|t| weights[t] * value(t)).sum::<f64>() as f32);
            }
            want.0.extend(seen.iter().map(|s| *s as f32));
            want.1.extend(weights.iter().map(|w| *w as f32));
        }
        let visible = |cells: &[f32]| -> Vec<f32> {
            cells.iter().enumerate().filter(|(i, _)| i % 5 <= i / 20).map(|(_, v)| *v).collect()
        };
        let marked = |cells: &[f32], future: f32| {
            cells.iter().enumerate().all(|(i, v)| i % 5 <= i / 20 || *v == future)
        };
        let future = marked(&scores, f32::NEG_INFINITY) && marked(&softmax, 0.0);
        claim.on("later cells").check("they hold their mark", future);
        let mut at = |stage: &str, want: &[f32], got: &[f32]| {
            claim.at("stage", stage).on(format!("layer {layer}")).compare(want, got);
        };
        at("attn_scores", &want.0, &visible(&scores));
        at("attn_softmax", &want.1, &visible(&softmax));
        at("attention", &want.2, &attention);
    }
}

#[falsifier("FALSIFY-ATTN-SUB-002")]
fn exact_scores_and_softmax_are_those_of_the_attention(claim: &mut Claim) {
    attention_by_its_definition(claim, "exact");
}

#[falsifier("FALSIFY-ATTN-SUB-006")]
fn fast_scores_and_softmax_are_those_of_the_attention(claim: &mut Claim) {
    attention_by_its_definition(claim, "fast");
}

#[test]
fn last_positions_are_the_last_rows_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let [all, last] = ["all", "last"].map(|n| dir.path().join(n));
    record(&all, "all", &WHOLE);
    record(&last, "all", &["--decode", "2"]);
    let [all, last] = [all, last].map(|p| Trace::open(&p).unwrap());
    assert_eq!(last.manifest().positions, [2, 5]);
    for entry in &last.manifest().tensors {
        let (a, l) = (all.values(&entry.key).unwrap(), last.values(&entry.key).unwrap());
        let row = a.len() / 5;
        assert_eq!(l, a[2 * row..], "{}", entry.key);
    }
}

#[test]
fn statistics_alone_need_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    record(&target, "all", &["--stats-only"]);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1, "the manifest");
    let trace = Trace::open(&target).unwrap();
    assert_eq!(trace.entry("lm_head").unwrap().stats.count, 512);
    assert!(trace.values("lm_head").unwrap_err().to_string().contains("only the statistics"));
}

#[test]
fn a_damaged_recording_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| Trace::open(path).map(|_| ()).unwrap_err().to_string();
    let none = open(dir.path());
    assert!(none.contains("still being written"), "{none}");
    for format in ["safetensors", "npy", "aprt"] {
        let target = dir.path().join(format);
        record(&target, "all", &[&WHOLE[..], &["--format", format]].concat());
        let manifest = target.join("manifest.json");
        let whole = std::fs::read_to_string(&manifest).unwrap();
        for (from, to, says) in [
            ("\"schema\": 2", "\"schema\": 1", "expected 2"),
            ("\"prompt_tokens\"", "\"prompt\"", "prompt"),
            ("\"positions\": [\n    0,\n    5", "\"positions\": [\n    0,\n    6", "positions 0..6"),
            ("{", "", "line 2"),
        ] {
            std::fs::write(&manifest, whole.replacen(from, to, 1)).unwrap();
            let error = open(&target);
            assert!(error.contains(says) && error.contains("manifest.json"), "{error}");
        }
        std::fs::write(&manifest, &whole).unwrap();
        let trace = Trace::open(&target).unwrap();
        let file = target.join(trace.entry("lm_head").unwrap().file.as_ref().unwrap());
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
        // The last bytes of a file for all tensors are those of any of them.
        let error = trace.verify().unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(Trace::open(&target).unwrap().values("lm_head").is_err());
    }
}

#[test]
fn a_manifest_tells_nan_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    record(&target, "all", &["--stats-only"]);
    let mut manifest: Manifest = Trace::open(&target).unwrap().manifest().clone();
    manifest.tensors[0].stats.mean = Number(f64::NAN);
    let json = serde_json::to_string(&manifest).unwrap();
    assert!(json.contains("\"mean\":\"NaN\"") && !json.contains("null"));
}

#[falsifier("FALSIFY-APR-TRACE-SAVE-015")]
fn a_recording_streams_through_memory_that_is_used_again(claim: &mut Claim) {
    let model = tiny("q4_k_m");
    let tokens: Vec<u32> = (1..=64).collect();
    for precision in Precision::ALL {
        // One thread, the one whose memory is counted.
        let options = Options { precision, ..exact(1) };
        let selection = Selection { stages: None, layers: None, positions: Positions::All };
        let plan = Plan::new(model.config(), 2, &selection, 64, 0).unwrap();
        for format in [Format::Safetensors, Format::Npy, Format::Aprt] {
            let dir = tempfile::tempdir().unwrap();
            let mut session = Session::new(&model, &options).unwrap();
            session.run(&tokens, Out::All).unwrap();
            session.rewind(0).unwrap();
            let untraced = allocation_counter::measure(|| session.run(&tokens, Out::All).unwrap());
            session.rewind(0).unwrap();
            let mut recorded = 0;
            let traced = allocation_counter::measure(|| {
                let mut progress = |bytes| {
                    recorded += bytes;
                    true
                };
                let mut recorder = Recorder::new(&plan, Some((format, dir.path())), &mut progress).unwrap();
                session.observe(&tokens, Out::All, &mut recorder).unwrap();
                recorder.finish().unwrap();
            });
            let anew = traced.bytes_total - untraced.bytes_total;
            let at = claim.at("precision", precision.name()).at("format", format.row().name);
            at.on(format!("{recorded} B with {anew} B anew")).measure(
                "ratio",
                recorded as f64 / anew as f64,
                "",
            );
        }
    }
}
