//! The exact pass of the dense architectures against transformers, value by value.

use crate::collect::Collect;
use crate::data;
use crate::reference::{exact, f32s, u32s};
use falsify::{Claim, falsifier};
use model::config::Config;
use model::session::{Model, Out, Session};
use model::synth::{Mix, Plan, Preset, Shape};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

/// A preset, the width of its heads, and what of an architecture its reference is here to show.
struct Fixture {
    preset: &'static str,
    head_dim: usize,
    shows: fn(&Shape, &Config) -> bool,
}

/// Architectures by the names of their reference files. Made by `apr synth`, see tests/data/dense/README.md.
const FIXTURES: &[Fixture] = &[
    Fixture { preset: "tiny-qwen3", head_dim: 16, shows: |_, c| c.head_norm && c.q_width() != c.hidden },
    Fixture { preset: "tiny-qwen2", head_dim: 8, shows: |s, c| c.qkv_bias && s.tied },
    Fixture { preset: "tiny-llama", head_dim: 16, shows: |_, c| !c.rope.factors.is_empty() && !c.head_norm },
];
const LENGTHS: [usize; 3] = [1, 7, 64];

impl Fixture {
    fn shape(&self) -> Shape {
        let shape = Preset::from_name(self.preset).unwrap().shape.clone();
        let (hidden, heads, kv_heads, ff, vocab) = (32, 4, 2, 48, 320);
        Shape { hidden, heads, kv_heads, head_dim: self.head_dim, ff, vocab, ..shape }
    }

    /// The whole file.
    fn file(&self) -> Vec<u8> {
        let name = format!("synthetic-{}", self.preset);
        let plan = Plan::new(&name, &self.shape(), Mix::from_name("f32").unwrap(), 1).unwrap();
        let mut out = Vec::new();
        plan.write(&mut out, |_| ControlFlow::Continue(())).unwrap();
        out
    }
}

/// The names of transformers for our stages, as a user of `apr diff --map` has them.
fn map() -> BTreeMap<String, String> {
    serde_json::from_slice(&std::fs::read(data::path("../../scripts/dense.map.json")).unwrap()).unwrap()
}

#[falsifier("FALSIFY-DENSE-FORWARD-001")]
fn every_value_equals_that_of_transformers(claim: &mut Claim) {
    let (map, dir) = (map(), tempfile::tempdir().unwrap());
    for fixture in FIXTURES {
        let (file, path) = (fixture.file(), dir.path().join(fixture.preset));
        std::fs::write(&path, &file).unwrap();
        let model = Model::open(&path).unwrap();
        let config = model.config();
        let architecture = config.architecture;
        assert!((fixture.shows)(&fixture.shape(), config) && config.heads > config.kv_heads, "{config:?}");

        let bytes = std::fs::read(data::path(&format!("dense/{architecture}.safetensors"))).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let of: HashMap<String, String> = header.metadata().clone().unwrap();
        let digest: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(of["sha256"], digest, "the reference of {architecture} is that of another file");

        for length in LENGTHS {
            let tensor = |name: &str| reference.tensor(&format!("T{length}.{name}")).ok();
            let tokens = u32s(tensor("tokens").unwrap().data());
            assert_eq!(tokens.len(), length);
            let (mut session, mut seen) = (Session::new(&model, &exact(2)).unwrap(), Collect::default());
            session.observe(&tokens, Out::All, &mut seen).unwrap();
            for (theirs, ours) in &map {
                let layers = if theirs.contains("{}") { 0..config.layers } else { 0..1 };
                for layer in layers {
                    let [theirs, ours] = [theirs, ours].map(|n| n.replace("{}", &layer.to_string()));
                    let at = claim.at("architecture", architecture).at("tokens", length as i64).on(&ours);
                    match (tensor(&theirs), seen.values.get(&ours)) {
                        (Some(want), Some(got)) => at.compare(&f32s(want.data()), got),
                        (None, None) => {
                            let head_norm = ours.ends_with(".q_norm") || ours.ends_with(".k_norm");
                            at.check("nobody leaves out what it has", head_norm && !config.head_norm);
                        }
                        _ => at.check("both sides have it", false),
                    }
                }
            }
        }
    }
}
