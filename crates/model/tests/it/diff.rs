//! `apr diff`: verdicts, experts, recordings of other programs, refusals, the page.

use crate::apr::{apr, text};
use crate::data;
use falsify::{Claim, falsifier};
use model::compare::{Comparison, Verdict, align_experts};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[falsifier("FALSIFY-DIFF-VERDICT-001")]
fn each_difference_has_its_verdict(claim: &mut Claim) {
    const INF: f32 = f32::INFINITY;
    let ramp: Vec<f32> = (1..100).map(|i| i as f32).collect();
    let scaled: Vec<f32> = ramp.iter().map(|v| v * 1000.0).collect();
    let shifted: Vec<f32> = ramp.iter().map(|v| v + 1e-3).collect();
    let cases: &[(&str, &[f32], &[f32], Verdict)] = &[
        ("same", &ramp, &ramp, Verdict::Match),
        ("zero-zero", &[0.0; 8], &[-0.0; 8], Verdict::Match),
        ("zero-tiny", &[0.0; 8], &[1e-45; 8], Verdict::Diverge),
        ("scaled", &ramp, &scaled, Verdict::Diverge),
        ("nan-left", &[1.0, f32::NAN], &[1.0, 2.0], Verdict::NanLeft),
        ("nan-right", &[1.0, 2.0], &[1.0, f32::NAN], Verdict::NanRight),
        ("nan-both", &[1.0, f32::NAN], &[f32::NAN, 2.0], Verdict::NanBoth),
        ("inf-right", &[1.0, 2.0], &[1.0, INF], Verdict::NanRight),
        ("masked", &[1.0, -INF], &[1.0, -INF], Verdict::Match),
        ("masked-once", &[1.0, -INF], &[1.0, 0.5], Verdict::NanLeft),
        ("denormal", &[1e-40, 2e-40], &[1e-40, 1e-40], Verdict::Diverge),
        ("shifted", &ramp, &shifted, Verdict::Match),
    ];
    for (name, left, right, expected) in cases {
        let mask = name.starts_with("masked").then_some(-INF);
        // Between a shift of 1e-3 on numbers up to 99, 3e-10, and the smallest real difference of the table, 0.2.
        let found = Comparison::of(left, right, mask).unwrap().verdict(1e-6);
        claim.at("case", *name).check(&format!("is {expected}, found {found}"), found == *expected);
    }
}

#[falsifier("FALSIFY-DIFF-EXPERTS-001")]
fn experts_are_compared_by_id(claim: &mut Claim) {
    let left_ids = [1, 2, 3, 4, 5, 6];
    let cases: [(&str, [u32; 6], [f32; 6]); 3] = [
        ("equal", [1, 2, 3, 4, 5, 6], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
        ("permuted", [2, 1, 4, 3, 6, 5], [20.0, 10.0, 40.0, 30.0, 60.0, 50.0]),
        ("flipped", [1, 7, 4, 3, 5, 8], [10.0, 70.0, 40.0, 30.0, 50.0, 80.0]),
    ];
    for (name, ids, values) in cases {
        let mut aligned: Vec<f32> = values.iter().flat_map(|v| [*v, v + 1.0]).collect();
        align_experts(&mut aligned, &left_ids, &ids, 2);
        let by_id: [f32; 6] = match name {
            "flipped" => [10.0, 70.0, 30.0, 40.0, 50.0, 80.0],
            _ => [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        };
        let expected: Vec<f32> = by_id.iter().flat_map(|v| [*v, v + 1.0]).collect();
        claim.at("experts", name).compare(&expected, &aligned);
    }
}

/// The reference's names and ours.
const MAP: &str = r#"{
  "T7.embedding": "embedding", "T7.final_norm": "final_norm", "T7.logits": "lm_head",
  "T7.blk.{}.attn_norm": "layers.{}.attn_norm", "T7.blk.{}.q_norm": "layers.{}.q_norm",
  "T7.blk.{}.k_norm": "layers.{}.k_norm", "T7.blk.{}.q_rope": "layers.{}.q_post_rope",
  "T7.blk.{}.k_rope": "layers.{}.k_post_rope", "T7.blk.{}.attn_heads": "layers.{}.attention",
  "T7.blk.{}.attn_out": "layers.{}.attn_out", "T7.blk.{}.post_attn_residual": "layers.{}.post_attn_residual",
  "T7.blk.{}.ffn_norm": "layers.{}.ffn_norm", "T7.blk.{}.router_logits": "layers.{}.moe_router_logits",
  "T7.blk.{}.router_weights": "layers.{}.moe_router", "T7.blk.{}.router_experts": "layers.{}.moe_router_indices",
  "T7.blk.{}.moe_ffn_out": "layers.{}.moe_ffn_out", "T7.blk.{}.post_ffn_residual": "layers.{}.post_ffn_residual"
}"#;
const MAPPED_STAGES: &str = "embedding,final_norm,lm_head,attn_norm,q_norm,k_norm,q_post_rope,k_post_rope,attention,attn_out,\
                             post_attn_residual,ffn_norm,moe_router_logits,moe_router,moe_router_indices,moe_ffn_out,post_ffn_residual";

#[falsifier("FALSIFY-DIFF-FOREIGN-001")]
fn another_programs_tensors_compare(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let map = dir.path().join("map.json");
    fs::write(&map, MAP).unwrap();
    for model in ["q4_k_m", "q8_0", "f16"] {
        let reference = data::path(&format!("tiny.{model}.reference.safetensors"));
        let bytes = fs::read(&reference).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = tensors.tensor("T7.tokens").unwrap();
        let ids = view.data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).to_string());
        let ids = ids.collect::<Vec<_>>().join(",");
        let target = dir.path().join(model);
        trace(
            &data::path(&format!("tiny.{model}.gguf")),
            &ids,
            "all",
            &["--save-tensor", MAPPED_STAGES],
            &target,
        );
        let (target, reference, map) = (show(&target), show(&reference), show(&map));
        let out = apr(&["diff", &reference, &target, "--map", &map, "--nmse", "1e-11", "--json"]);
        let report: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out.stderr)));
        let rows = report["rows"].as_array().unwrap();
        // Three of the model, fourteen of each of two layers.
        assert_eq!(rows.len(), 3 + 2 * 14, "{rows:#?}");
        let missed = rows.iter().filter(|r| r["verdict"] != "MATCH").count();
        assert_eq!(out.status.code(), Some(i32::from(missed > 0)));
        claim.at("model", model).on(report["first"].to_string()).measure("count", missed as f64, "");
    }
}

/// What `scripts/dump-stages` dumped of the tiny model; see the README beside it.
const DUMP: &str = "transformers/tiny.q4_k_m.safetensors";

#[falsifier("FALSIFY-DIFF-FOREIGN-002")]
fn what_the_script_dumps_compares(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let (dump, map) = (show(&data::path(DUMP)), show(&data::path("../../scripts/qwen3moe.map.json")));
    let model = data::path("tiny.q4_k_m.gguf");
    for (tokens, same) in [("17,301,5,44,260", true), ("17,301,5,44,261", false)] {
        let target = dir.path().join(tokens);
        trace(&model, tokens, "all", &["--save-tensor", "all"], &target);
        let target = show(&target);
        let out = apr(&["diff", &dump, &target, "--map", &map, "--common", "--nmse", "1e-11", "--json"]);
        let report: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out.stderr)));
        let rows = report["rows"].as_array().unwrap();
        // Three of the model, twelve of each of two layers. One that is not compared is one that does not match.
        let all = 3 + 2 * 12;
        let missed = all - rows.iter().filter(|r| r["verdict"] == "MATCH").count();
        if same {
            claim.check("every tensor of the dump is compared, and no other", rows.len() == all);
            claim.on(report["first"].to_string()).measure("count", missed as f64, "");
        } else {
            assert!(missed > 20 && report["first"] == "embedding", "other tokens have to show");
        }
    }
    // Without --common what the other program does not have is missing.
    let out = apr(&["diff", &dump, &show(&dir.path().join("17,301,5,44,260")), "--map", &map]);
    assert!(text(&out.stdout).contains("layers.0.qkv_matmul              MISSING"), "{}", text(&out.stdout));
}

#[falsifier("FALSIFY-DIFF-RECORDED-001")]
fn a_pair_of_another_machine_comes_to_the_same_verdicts(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| data::path("recorded").join(name);
    let model = data::path("tiny.q4_k_m.gguf");
    let (left, right, file) = (show(&at("left")), show(&at("right")), show(&model));
    let said =
        |name: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(at(name)).unwrap()).unwrap() };
    let says = |args: &[&str]| -> serde_json::Value {
        let out = apr(args);
        assert_eq!(out.status.code(), Some(1), "they diverge: {}", text(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let mut here = says(&["diff", &left, &right, "--json"]);
    // Where the folders lie is this machine's affair.
    for side in ["left", "right"] {
        here[side]["name"] = side.into();
    }
    claim.at("report", "diff").check("number for number", here == said("diff.json"));
    let here = says(&["bisect", &file, "--trace", &left, "--trace", &right, "--json"]);
    claim.at("report", "bisect").check(&here["sentence"].to_string(), here == said("bisect.json"));
    let rows = said("diff.json")["rows"].as_array().unwrap().clone();
    let matched = rows.iter().filter(|r| r["verdict"] == "MATCH").count();
    assert!(0 < matched && matched < rows.len(), "the pair shows both: {matched} of {}", rows.len());
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(at("left/manifest.json")).unwrap()).unwrap();
    let tokens: Vec<String> = manifest["tokens"].as_array().unwrap().iter().map(|t| t.to_string()).collect();
    let again = dir.path().join("again");
    trace(&model, &tokens.join(","), "all", &["--save-tensor", "all", "--stats-only"], &again);
    let out = apr(&["diff", &left, &show(&again), "--json"]);
    claim.at("report", "same bits").check(text(&out.stdout), out.status.code() == Some(0));
}

#[falsifier("FALSIFY-DIFF-REFUSE-001")]
fn what_is_not_of_the_same_pass_is_refused(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (q4, q8) = (data::path("tiny.q4_k_m.gguf"), data::path("tiny.q8_0.gguf"));
    let keep = ["--save-tensor", "embedding,lm_head"];
    trace(&q4, "1,2,3", "all", &keep, &at("left"));
    trace(&q8, "1,2,3", "all", &keep, &at("model"));
    trace(&q4, "1,2,4", "all", &keep, &at("tokens"));
    trace(&q4, "1,2,3", "last", &keep, &at("positions"));
    trace(&q4, "1,2,3", "all", &keep, &at("corrupt"));
    trace(&q4, "1,2,3", "all", &keep, &at("unfinished"));
    trace(&q4, "1,2,3", "all", &["--save-tensor", "attn_norm"], &at("strangers"));
    fs::write(at("corrupt").join("manifest.json"), "{\"schema\": 1, \"to").unwrap();
    fs::remove_file(at("unfinished").join("manifest.json")).unwrap();
    let floats = |n: u32| [b"APRT".as_slice(), &[0; 4], &n.to_le_bytes(), &vec![0; 4 * n as usize]].concat();
    fs::write(at("two.bin"), floats(2)).unwrap();
    fs::write(at("lengths"), floats(3)).unwrap();
    for (case, named) in [
        ("model", "models differ"),
        ("tokens", "tokens differ"),
        ("positions", "positions differ"),
        ("missing", "missing"),
        ("corrupt", "manifest.json"),
        ("unfinished", "still being written"),
        ("strangers", "none is in both"),
        ("lengths", "shapes of values differ"),
    ] {
        let right = show(&at(case));
        let out = match case {
            "lengths" => apr(&["diff", "--values", &show(&at("two.bin")), &right]),
            _ => apr(&["diff", &show(&at("left")), &right]),
        };
        let line = text(&out.stderr);
        let refused =
            out.status.code() == Some(3) && line.contains(named) && line.trim_end().lines().count() == 1;
        claim.at("case", case).check(&format!("one line with '{named}' and exit code 3: {line}"), refused);
    }
}

#[falsifier("FALSIFY-DIFF-PAGE-001")]
fn the_page_is_whole(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let (left, right, page) = (dir.path().join("l"), dir.path().join("r"), dir.path().join("heat.html"));
    let model = data::path("tiny.q4_k_m.gguf");
    trace(&model, "1,2,3", "all", &["--save-tensor", "all"], &left);
    trace(&model, "1,2,3", "all", &["--save-tensor", "all"], &right);
    let out = apr(&["diff", &show(&left), &show(&right), "--json", "--html", &show(&page)]);
    let report: serde_json::Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out.stderr)));
    let html = fs::read_to_string(&page).unwrap();
    let start = html.find("application/json\" id=\"data\">").expect("a data block") + 28;
    let data = &html[start..start + html[start..].find("</script>").unwrap()];
    let drawn: serde_json::Value = serde_json::from_str(data).unwrap();
    claim.check("the data of the page is the report", drawn["rows"] == report["rows"]);
    claim.check("there are rows of every layer", report["rows"].as_array().unwrap().len() == 3 + 2 * 21);
    claim.check(
        "two equal passes match in every bit",
        report["verdict"] == "MATCH" && report["matched"] == 3 + 2 * 21,
    );
    claim.check("it names no other address", !html.contains("http://") && !html.contains("https://"));
}

#[falsifier("FALSIFY-ATTN-SUB-003")]
fn recorded_files_of_attention_compare(claim: &mut Claim) {
    let dir = TempDir::new().unwrap();
    let model = data::path("tiny.q4_k_m.gguf");
    let keep = ["--save-tensor", "attn_scores,attn_softmax", "--format", "aprt"];
    trace(&model, "1,2,3,4,5", "last", &keep, &dir.path().join("t"));
    for stage in ["attn_scores", "attn_softmax"] {
        let file = dir.path().join("t/layer-1").join(format!("{stage}.bin"));
        let mut bytes = fs::read(&file).unwrap();
        for value in bytes[12..].as_chunks_mut::<4>().0 {
            *value = (f32::from_le_bytes(*value) * 1000.0).to_le_bytes();
        }
        let scaled = dir.path().join(format!("{stage}.scaled.bin"));
        fs::write(&scaled, bytes).unwrap();
        for (right, exit, ratio) in [(&file, 0, 1.0), (&scaled, 1, 1000.0)] {
            let out = apr(&["diff", "--values", &show(&file), &show(right), "--json"]);
            let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            let measured = &report["rows"][0]["comparison"];
            let (cosine, norms) = (&measured["cosine"], &measured["norm_ratio"]);
            let near = |n: &serde_json::Value, to: f64| n.as_f64().is_some_and(|n| (n - to).abs() < 1e-3);
            let holds = out.status.code() == Some(exit) && near(cosine, 1.0) && near(norms, ratio);
            claim.at("stage", stage).check(&format!("cosine {cosine}, norms {norms}"), holds);
        }
    }
}

fn show(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn trace(model: &Path, tokens: &str, positions: &str, keep: &[&str], target: &Path) {
    let (model, target) = (show(model), show(target));
    let mut args =
        vec!["trace", &model, "--tokens", tokens, "--precision", "exact", "--positions", positions];
    args.extend(keep);
    args.extend(["--save-tensor-dir", &target]);
    let out = apr(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
}
