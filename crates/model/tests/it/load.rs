//! Files that hold together but describe no model, or one with unsound weights: each is refused in one line.

use crate::data;
use falsify::{Claim, falsifier};
use half::f16;
use model::gguf::{File, Layout, Metadata, Spec, Value};
use model::quant::Format;
use model::session::{Model, Options, Session};
use std::path::Path;
use std::process::Command;

/// A file taken apart, to be changed and put together again.
struct Parts {
    metadata: Metadata,
    tensors: Vec<(Spec, Vec<u8>)>,
}

impl Parts {
    fn tiny() -> Self {
        let bytes = std::fs::read(data::path("tiny.q4_k_m.gguf")).unwrap();
        let file = File::parse(&bytes).unwrap();
        let tensors = file.tensors.iter().map(|t| {
            let spec = Spec { name: t.name.clone(), dims: t.dims.clone(), format: t.format };
            (spec, bytes[t.bytes.clone()].to_vec())
        });
        Self { tensors: tensors.collect(), metadata: file.metadata.clone() }
    }

    fn without_keys(mut self, keys: &[&str]) -> Self {
        let mut metadata = Metadata::default();
        for (key, value) in self.metadata.iter().filter(|(key, _)| !keys.contains(key)) {
            metadata.set(key, value.clone());
        }
        self.metadata = metadata;
        self
    }

    fn with_key(mut self, key: &str, value: Value) -> Self {
        self.metadata.set(key, value);
        self
    }

    fn without_tensors(mut self, names: &[&str]) -> Self {
        self.tensors.retain(|(spec, _)| !names.contains(&spec.name.as_str()));
        self
    }

    fn with_tensor(mut self, name: &str, dims: &[usize], format: Format, bytes: Vec<u8>) -> Self {
        let spec = Spec { name: name.to_owned(), dims: dims.to_vec(), format };
        match self.tensors.iter_mut().find(|(s, _)| s.name == name) {
            Some(place) => *place = (spec, bytes),
            None => self.tensors.push((spec, bytes)),
        }
        self
    }

    fn changed(mut self, name: &str, change: impl FnOnce(&Spec, &mut Vec<u8>)) -> Self {
        let (spec, bytes) = self.tensors.iter_mut().find(|(s, _)| s.name == name).unwrap();
        change(spec, bytes);
        self
    }

    fn write(&self, path: &Path) {
        let specs: Vec<Spec> = self.tensors.iter().map(|(spec, _)| spec.clone()).collect();
        let layout = Layout::new(&self.metadata, &specs).unwrap();
        let mut file = layout.header.clone();
        file.resize(layout.len, 0);
        for (tensor, (_, bytes)) in layout.tensors.iter().zip(&self.tensors) {
            file[tensor.bytes.clone()].copy_from_slice(bytes);
        }
        std::fs::write(path, file).unwrap();
    }
}

/// Puts a half float at a byte of a block.
fn scale(block: usize, size: usize, at: usize, value: f16) -> impl FnOnce(&Spec, &mut Vec<u8>) {
    move |_, bytes| bytes[block * size + at..][..2].copy_from_slice(&value.to_le_bytes())
}

/// A file and what its refusal has to say.
struct Case {
    name: &'static str,
    parts: Parts,
    says: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let case = |name, parts, says| Case { name, parts, says };
    let tiny = Parts::tiny;
    let one = |value: f32| value.to_le_bytes().repeat(256);
    vec![
        case(
            "missing keys",
            tiny().without_keys(&[
                "qwen3moe.rope.freq_base",
                "qwen3moe.attention.key_length",
                "qwen3moe.expert_used_count",
            ]),
            &[
                "'qwen3moe.rope.freq_base' is missing",
                "'qwen3moe.attention.key_length' is missing",
                "'qwen3moe.expert_used_count' is missing",
            ],
        ),
        case(
            "unknown architecture",
            tiny().with_key("general.architecture", Value::String("gpt9".into())),
            &["architecture 'gpt9'", "qwen3moe"],
        ),
        case(
            "no architecture",
            tiny().without_keys(&["general.architecture"]),
            &["'general.architecture' is missing"],
        ),
        case(
            "key of another type",
            tiny().with_key("qwen3moe.block_count", Value::String("two".into())),
            &["'qwen3moe.block_count' is string", "expected an integer"],
        ),
        case(
            "heads that do not divide",
            tiny().with_key("qwen3moe.attention.head_count_kv", Value::U32(3)),
            &["'qwen3moe.attention.head_count_kv' is 3", "divisor of the 4"],
        ),
        case(
            "more experts used than there are",
            tiny().with_key("qwen3moe.expert_used_count", Value::U32(9)),
            &["'qwen3moe.expert_used_count' is 9", "at most the 8"],
        ),
        case(
            "values narrower than keys",
            tiny().with_key("qwen3moe.attention.value_length", Value::U32(32)),
            &["'qwen3moe.attention.value_length' is 32", "64"],
        ),
        case("no layers", tiny().with_key("qwen3moe.block_count", Value::U32(0)), &["is 0", "at least 1"]),
        case(
            "a scaling that is not computed",
            tiny().with_key("qwen3moe.rope.scaling.type", Value::String("yarn".into())),
            &["'qwen3moe.rope.scaling.type' is 'yarn'", "'linear'"],
        ),
        case(
            "a window that is not computed",
            tiny().with_key("qwen3moe.attention.sliding_window", Value::U32(128)),
            &["'qwen3moe.attention.sliding_window' is 128", "not supported"],
        ),
        case(
            "odd rotation",
            tiny().with_key("qwen3moe.rope.dimension_count", Value::U32(63)),
            &["is 63", "even"],
        ),
        case(
            "negative epsilon",
            tiny().with_key("qwen3moe.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN)),
            &["layer_norm_rms_epsilon' is NaN"],
        ),
        case(
            "no embedding",
            tiny().without_tensors(&["token_embd.weight"]),
            &["'token_embd.weight' is missing"],
        ),
        case(
            "missing tensors",
            tiny().without_tensors(&["blk.1.attn_q_norm.weight", "output_norm.weight"]),
            &[
                "'blk.1.attn_q_norm.weight' is missing, expected shape [64]",
                "'output_norm.weight' is missing",
            ],
        ),
        case(
            "a router for other experts",
            tiny().with_tensor("blk.0.ffn_gate_inp.weight", &[256, 4], Format::F32, one(0.5).repeat(4)),
            &["'blk.0.ffn_gate_inp.weight' has shape [256, 4], expected [256, 8]"],
        ),
        case(
            "a quantized router",
            tiny().with_tensor("blk.0.ffn_gate_inp.weight", &[256, 8], Format::Q8_0, vec![0; 8 * 8 * 34]),
            &["'blk.0.ffn_gate_inp.weight' has type Q8_0, expected F32"],
        ),
        case(
            "a tensor nobody asked for",
            tiny().with_tensor("blk.0.attn_q.bias", &[256], Format::F32, one(1.0)),
            &["'blk.0.attn_q.bias' is not part of architecture 'qwen3moe'"],
        ),
        case(
            "NaN in a norm",
            tiny()
                .changed("blk.1.ffn_norm.weight", |_, b| b[40..44].copy_from_slice(&f32::NAN.to_le_bytes())),
            &["'blk.1.ffn_norm.weight' of type F32", "not finite at element 10"],
        ),
        case(
            "NaN scale of a Q4_K block",
            tiny().changed("blk.0.ffn_down_exps.weight", scale(9, 144, 0, f16::NAN)),
            &["'blk.0.ffn_down_exps.weight' of type Q4_K", "not finite at element 2304"],
        ),
        case(
            "infinite scale of a Q6_K block",
            tiny().changed("blk.1.ffn_down_exps.weight", scale(3, 210, 208, f16::INFINITY)),
            &["'blk.1.ffn_down_exps.weight' of type Q6_K", "not finite at element 768"],
        ),
    ]
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-002")]
fn a_file_is_loaded_whole_or_refused_in_one_line(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    Parts::tiny().write(&path);
    let load = |path: &Path| {
        let model = Model::open(path)?;
        Session::new(&model, &Options::cpu(model::backend::Precision::Exact)).map(drop)
    };
    claim.on("unchanged").check("it loads", load(&path).is_ok());
    for case in cases() {
        case.parts.write(&path);
        let text = match load(&path) {
            Ok(()) => "it was accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        for says in case.says {
            claim.on(case.name).check(&format!("{text:?} says {says:?}"), text.contains(says));
        }
        claim.on(case.name).check("one line that names the file", {
            !text.contains('\n') && text.starts_with(path.to_str().unwrap())
        });
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-005")]
fn a_router_of_another_shape_is_refused(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    for dims in [[256, 4], [256, 16], [128, 8]] {
        let bytes = vec![0; dims[0] * dims[1] * 4];
        Parts::tiny().with_tensor("blk.1.ffn_gate_inp.weight", &dims, Format::F32, bytes).write(&path);
        let model = Model::open(&path).unwrap();
        let refused = Session::new(&model, &Options::cpu(model::backend::Precision::Exact)).err();
        let text = refused.map(|e| e.to_string()).unwrap_or_default();
        let named = text.contains("blk.1.ffn_gate_inp.weight") && text.contains("expected [256, 8]");
        claim.on(format!("{dims:?}")).check(&format!("{text:?} names tensor and shape"), named);
    }
}

#[test]
fn apr_exits_3_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    for case in cases().into_iter().step_by(5) {
        case.parts.write(&path);
        let out = Command::new(env!("CARGO_BIN_EXE_apr"))
            .args(["trace", path.to_str().unwrap(), "--tokens", "1", "--precision", "exact"])
            .output()
            .unwrap();
        let error = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(3), "{}: {error}", case.name);
        assert!(out.stdout.is_empty() && error.lines().count() == 1, "{}: {error}", case.name);
        assert!(case.says.iter().all(|s| error.contains(s)), "{}: {error}", case.name);
    }
}
