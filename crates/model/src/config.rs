//! The shape of a model: dimensions and switches, validated where they were read. It knows no file.

/// A transformer's dimensions and switches.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Its row of the table of architectures, by name.
    pub architecture: &'static str,
    /// How many layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; not `hidden / heads`.
    pub head_dim: usize,
    /// Width of the feed-forward block, of one expert where there are experts.
    pub ff: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// The experts; `None` for a dense model, which runs as one expert of weight 1.
    pub experts: Option<Experts>,
    /// Epsilon of every root-mean-square norm.
    pub eps: f32,
    /// Rotary embedding.
    pub rope: Rope,
    /// Queries and keys are normed per head.
    pub head_norm: bool,
    /// The query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Positions the model was made for.
    pub context: usize,
}

/// The experts of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many are used for one token.
    pub used: usize,
    /// The chosen weights are divided by their sum.
    pub renormalize: bool,
}

/// Rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub base: f64,
    /// How many leading elements of a head are rotated.
    pub dims: usize,
    /// Which elements form a pair.
    pub pairing: Pairing,
    /// Per-pair factors the frequencies are divided by; empty when there are none.
    pub factors: Vec<f32>,
    /// All angles are multiplied by this (linear position scaling); 1 when there is none.
    pub scale: f64,
}

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// `i` with `i + dims / 2`.
    Halves,
    /// `2 i` with `2 i + 1`.
    Neighbours,
}

impl Config {
    /// Width of all query heads together.
    #[must_use]
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }
    /// Width of all key (or value) heads together.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
    /// How many experts one token visits; 1 for a dense model.
    #[must_use]
    pub fn chosen(&self) -> usize {
        self.experts.map_or(1, |e| e.used)
    }
}
