//! What one token costs: the bytes that decoding it reads and the bytes that it adds to the cache.

use crate::config::Config;
use crate::gguf::Tensor;
use crate::tensors::{Presence, Role, TENSORS};
use fault::fault;
use std::collections::HashMap;

/// The cost of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of weights that decoding one token reads: the chosen experts only, one row of the embedding, the whole head.
    pub active: u64,
    /// Bytes of keys and values that a position keeps, in half floats; `exact` keeps f32, twice as much.
    pub cached: u64,
}

impl Footprint {
    /// That of a model with these tensors.
    #[must_use]
    pub fn new(config: &Config, tensors: &[Tensor]) -> Self {
        let by_name: HashMap<&str, &Tensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let tied = !by_name.contains_key("output.weight");
        let mut active = 0;
        for row in TENSORS.iter().filter(|r| (r.presence)(config) != Presence::Foreign) {
            for tensor in row.names(config.layers).filter_map(|(_, name)| by_name.get(name.as_str())) {
                let bytes = tensor.bytes.len() as u64;
                active += match (row.role, config.experts) {
                    (Role::RopeFactors, _) => 0,
                    (Role::Embed, _) if !tied => bytes / tensor.rows().max(1) as u64,
                    (Role::Gate | Role::Up | Role::Down, Some(e)) => {
                        let used = if fault!("footprint-counts-idle-experts") { e.count } else { e.used };
                        bytes / e.count as u64 * used as u64
                    }
                    _ => bytes,
                };
            }
        }
        let cached = 2 * 2 * (config.layers * config.kv_width()) as u64;
        Self { active, cached }
    }

    /// Bytes of the planes of a pass of so many rows, of which so many give logits, in f32.
    #[must_use]
    pub fn workspace(config: &Config, rows: usize, out_rows: usize) -> u64 {
        let c = config;
        let experts = c.experts.map_or(0, |e| e.count);
        let row = 3 * c.hidden + 2 * c.q_width() + 2 * c.kv_width() + experts;
        let chosen = c.chosen() * (3 * c.ff + c.hidden);
        4 * (rows * (row + chosen) + out_rows * (c.hidden + c.vocab)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Footprint;
    use crate::synth::{Mix, Plan, Preset};

    fn of(preset: &str) -> Footprint {
        let shape = &Preset::from_name(preset).unwrap().shape;
        let plan = Plan::new(preset, shape, Mix::from_name("q4_k_m").unwrap(), 0).unwrap();
        Footprint::new(&shape.config().unwrap(), plan.tensors())
    }

    #[test]
    fn a_tied_head_is_read_whole() {
        // 2 layers; without a head of its own the embedding of 512 x 256 in Q4_K is read like one.
        let layers = 2 * (256 * (256 * 2 + 128 * 2 + 512 * 3));
        let weights = (layers + 512 * 256) as u64;
        let cost = of("tiny-qwen2");
        assert!(cost.active > weights * 144 / 256 && cost.active < weights * 210 / 256 + 20_000, "{cost:?}");
    }
}
