//! The shapes of models: one table of presets, and the tensors that follow from a shape.

use super::fill::Distribution;
use super::{Content, Kind, Tensor};
use crate::architecture::ARCHITECTURES;
use crate::config::{Config, Experts, Rope};
use crate::tensors::{self, Presence, Role, TENSORS};
use std::f64::consts::TAU;

/// The dimensions of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The family: a name of [`ARCHITECTURES`].
    pub architecture: &'static str,
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the feed-forward block, of one expert where there are experts.
    pub ff: usize,
    /// Experts; 0 for a dense model.
    pub experts: usize,
    /// Experts used per token; 0 for a dense model.
    pub used: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Positions the model is made for.
    pub context: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Epsilon of the norms.
    pub eps: f32,
    /// The embedding serves as output head.
    pub tied: bool,
    /// The file holds the rotary factors of Llama 3.1: a context of 8192 positions, stretched eightfold.
    pub rope_factors: bool,
}

/// A named shape.
#[derive(Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// The shape.
    pub shape: Shape,
}

macro_rules! presets {
    ($($name:literal $architecture:literal layers $layers:literal hidden $hidden:literal
       heads $heads:literal/$kv:literal x $dim:literal ff $ff:literal experts $used:literal/$experts:literal
       vocab $vocab:literal context $context:literal base $base:literal eps $eps:literal
       tied $tied:literal factors $factors:literal;)*) => {
        /// Every preset, once: the published dimensions of models by their names, and small ones for tests.
        pub const PRESETS: &[Preset] = &[$(Preset { name: $name, shape: Shape {
            architecture: $architecture, layers: $layers, hidden: $hidden, heads: $heads,
            kv_heads: $kv, head_dim: $dim, ff: $ff, experts: $experts, used: $used, vocab: $vocab,
            context: $context, rope_base: $base, eps: $eps, tied: $tied, rope_factors: $factors,
        } },)*];
    };
}

presets! {
    "tiny" "qwen3moe" layers 2 hidden 256 heads 4/2 x 64 ff 256 experts 2/8
        vocab 512 context 4096 base 1e7 eps 1e-6 tied false factors false;
    "tiny-qwen3" "qwen3" layers 2 hidden 256 heads 4/2 x 64 ff 512 experts 0/0
        vocab 512 context 4096 base 1e6 eps 1e-6 tied false factors false;
    "tiny-qwen2" "qwen2" layers 2 hidden 256 heads 4/2 x 64 ff 512 experts 0/0
        vocab 512 context 4096 base 1e6 eps 1e-6 tied true factors false;
    "tiny-llama" "llama" layers 2 hidden 256 heads 4/2 x 64 ff 512 experts 0/0
        vocab 512 context 16384 base 5e5 eps 1e-5 tied false factors true;
    "qwen3-30b-a3b" "qwen3moe" layers 48 hidden 2048 heads 32/4 x 128 ff 768 experts 8/128
        vocab 151936 context 262144 base 1e7 eps 1e-6 tied false factors false;
    "qwen3-235b-a22b" "qwen3moe" layers 94 hidden 4096 heads 64/4 x 128 ff 1536 experts 8/128
        vocab 151936 context 262144 base 5e6 eps 1e-6 tied false factors false;
    "qwen3-coder-480b-a35b" "qwen3moe" layers 62 hidden 6144 heads 96/8 x 128 ff 2560 experts 8/160
        vocab 151936 context 262144 base 1e7 eps 1e-6 tied false factors false;
    "qwen3-8b" "qwen3" layers 36 hidden 4096 heads 32/8 x 128 ff 12288 experts 0/0
        vocab 151936 context 40960 base 1e6 eps 1e-6 tied false factors false;
    "qwen2.5-7b" "qwen2" layers 28 hidden 3584 heads 28/4 x 128 ff 18944 experts 0/0
        vocab 152064 context 32768 base 1e6 eps 1e-6 tied false factors false;
    "llama-3.1-8b" "llama" layers 32 hidden 4096 heads 32/8 x 128 ff 14336 experts 0/0
        vocab 128256 context 131072 base 5e5 eps 1e-5 tied false factors true;
}

impl Preset {
    /// The preset of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|p| p.name == name)
    }
}

impl Shape {
    /// The configuration that a reader of the file will find.
    ///
    /// # Errors
    /// Why the numbers make no model.
    pub fn config(&self) -> Result<Config, String> {
        let s = self;
        let positive = [
            ("layers", s.layers),
            ("hidden", s.hidden),
            ("heads", s.heads),
            ("kv-heads", s.kv_heads),
            ("head-dim", s.head_dim),
            ("ff", s.ff),
            ("context", s.context),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, v)| *v == 0) {
            return Err(format!("{name} is 0"));
        }
        if !s.heads.is_multiple_of(s.kv_heads) {
            return Err(format!("{} heads are no multiple of {} kv-heads", s.heads, s.kv_heads));
        }
        if !s.head_dim.is_multiple_of(2) {
            return Err(format!("head-dim {} is odd, rotation needs pairs", s.head_dim));
        }
        let arch = ARCHITECTURES
            .iter()
            .find(|a| a.name == s.architecture)
            .ok_or_else(|| format!("architecture {} is unknown", s.architecture))?;
        if arch.experts != (s.experts > 0) || s.used > s.experts || (arch.experts && s.used == 0) {
            return Err(format!("{} of {} experts in architecture {}", s.used, s.experts, arch.name));
        }
        let experts = arch.experts.then_some(Experts { count: s.experts, used: s.used, renormalize: true });
        let rope = Rope {
            base: s.rope_base.into(),
            dims: s.head_dim,
            pairing: arch.pairing,
            factors: Vec::new(),
            scale: 1.0,
        };
        Ok(Config {
            architecture: arch.name,
            layers: s.layers,
            hidden: s.hidden,
            heads: s.heads,
            kv_heads: s.kv_heads,
            head_dim: s.head_dim,
            ff: s.ff,
            vocab: s.vocab,
            experts,
            eps: s.eps,
            rope,
            head_norm: arch.head_norm,
            qkv_bias: arch.qkv_bias,
            context: s.context,
        })
    }

    /// Every tensor: those of the whole model, then layer by layer.
    pub(super) fn tensors(&self, config: &Config) -> Vec<Tensor> {
        let mut out: Vec<(Option<usize>, Tensor)> = Vec::new();
        for row in TENSORS {
            let wanted = match ((row.presence)(config), row.role) {
                (Presence::Foreign, _) => false,
                (Presence::Needed, _) => true,
                (Presence::Optional, Role::RopeFactors) => self.rope_factors,
                (Presence::Optional, Role::Head) => !self.tied,
                (Presence::Optional, _) => true,
            };
            if !wanted {
                continue;
            }
            let dims = tensors::dims(config, row);
            let (kind, content) = self.content(row.role, dims[0]);
            for (layer, name) in row.names(self.layers) {
                let (dims, content) = (dims.clone(), content.clone());
                out.push((layer, Tensor { name, dims, kind, layer: layer.unwrap_or(0), content }));
            }
        }
        // Those of the whole model sort first; within a layer the table's order stays.
        out.sort_by_key(|(layer, _)| *layer);
        out.into_iter().map(|(_, tensor)| tensor).collect()
    }

    /// What the weights of a role are, in rows of `cols`.
    fn content(&self, role: Role, cols: usize) -> (Kind, Content) {
        let normal = |mean, deviation| Content::Drawn(Distribution { mean, deviation });
        let matrix = normal(0.0, 1.0 / (cols as f32).sqrt());
        // Logits of standard deviation 4 make a choice of token that rounding seldom tips.
        let vocabulary = normal(0.0, 4.0 / (self.hidden as f32).sqrt());
        match role {
            Role::AttnNorm | Role::FfnNorm | Role::QNorm | Role::KNorm | Role::Norm => {
                (Kind::Small, normal(1.0, 0.1))
            }
            Role::QBias | Role::KBias | Role::VBias => (Kind::Small, normal(0.0, 0.1)),
            Role::RopeFactors => {
                let factors = llama3_factors(self.rope_base.into(), self.head_dim);
                (Kind::Small, Content::Given(factors.flat_map(f32::to_le_bytes).collect()))
            }
            Role::Router => (Kind::Small, matrix),
            Role::Embed => (Kind::Matrix, vocabulary),
            Role::Head => (Kind::Head, vocabulary),
            Role::V | Role::Down => (Kind::Favoured, matrix),
            Role::Q | Role::K | Role::AttnOut | Role::Gate | Role::Up => (Kind::Matrix, matrix),
        }
    }
}

/// What Llama 3.1 divides its rotary frequencies by, pair by pair: short waves stay as they are, those longer than the
/// original context are stretched with it, the octaves between pass from one to the other. In f64, so that a last bit that
/// machines compute differently does not reach the f32.
fn llama3_factors(base: f64, dims: usize) -> impl Iterator<Item = f32> {
    const STRETCH: f64 = 8.0;
    const CONTEXT: f64 = 8192.0;
    // A wave is short that fits the original context so many times, and long when it fits less than once.
    const SHORT: f64 = 4.0;
    const LONG: f64 = 1.0;
    (0..dims / 2).map(move |j| {
        let wave = TAU * base.powf((2 * j) as f64 / dims as f64);
        let short = ((CONTEXT / wave - LONG) / (SHORT - LONG)).clamp(0.0, 1.0);
        (short + (1.0 - short) / STRETCH).recip() as f32
    })
}

#[cfg(test)]
mod tests {
    use super::llama3_factors;

    #[test]
    fn rotary_factors_are_those_of_published_files() {
        // Llama 3.1 8B: heads of 128, base 5e5. Pair 28 is the last short wave, 35 the first long one.
        let factors: Vec<f32> = llama3_factors(5e5, 128).collect();
        assert_eq!(factors.len(), 64);
        assert!(factors[..=28].iter().all(|&f| f == 1.0), "{factors:?}");
        assert!(factors[35..].iter().all(|&f| f == 8.0), "{factors:?}");
        assert!(factors[28..=35].is_sorted_by(|a, b| a < b), "{factors:?}");
    }
}
