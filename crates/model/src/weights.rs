//! The weights of a model on a backend: the same structs for every backend and architecture. It knows no file.

use crate::backend::Backend;

/// One projection into a part of a plane.
pub struct Projection<B: Backend> {
    /// `[rows, cols]`.
    pub mat: B::Mat,
    /// First column of the output plane that it writes.
    pub col: usize,
    /// Added to the output, `[rows]`.
    pub bias: Option<B::Vector>,
}

/// One layer.
pub struct Layer<B: Backend> {
    /// `[hidden]`.
    pub attn_norm: B::Vector,
    /// Query, key, value: three matrices, because their formats differ within one layer.
    pub qkv: [Projection<B>; 3],
    /// `[head_dim]`, per head of the queries.
    pub q_norm: Option<B::Vector>,
    /// `[head_dim]`, per head of the keys.
    pub k_norm: Option<B::Vector>,
    /// `[hidden, q_width]`.
    pub attn_out: B::Mat,
    /// `[hidden]`.
    pub ffn_norm: B::Vector,
    /// `[experts, hidden]`, always f32; `None` for a dense layer.
    pub router: Option<B::Mat>,
    /// `[experts, ff, hidden]`; one expert for a dense layer.
    pub gate: B::Mat,
    /// `[experts, ff, hidden]`.
    pub up: B::Mat,
    /// `[experts, hidden, ff]`.
    pub down: B::Mat,
}

/// A whole model.
pub struct Weights<B: Backend> {
    /// `[vocab, hidden]`.
    pub embed: B::Mat,
    /// The layers, first to last.
    pub layers: Vec<Layer<B>>,
    /// `[hidden]`.
    pub norm: B::Vector,
    /// `[vocab, hidden]`; `None` when the embedding serves.
    pub head: Option<B::Mat>,
}
