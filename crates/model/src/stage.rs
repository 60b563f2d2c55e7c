//! The stage table: every value of the forward pass that has a name, in the order in which it is made.

use crate::config::Config;
use std::fmt;

/// Where a stage happens and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Once per pass; key `<stage>`.
    Model,
    /// Once per layer; key `layers.<N>.<stage>`.
    Layer,
    /// Once per layer, with an axis of the chosen experts in rank order.
    Expert,
}

/// How a value comes to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Made by the pass itself.
    Made,
    /// Never held by a fused pass: computed again from captured values, and marked so.
    Derived,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The stage.
    pub stage: Stage,
    /// Its name in files, flags and contracts.
    pub name: &'static str,
    /// Where it happens.
    pub scope: Scope,
    /// How it is seen.
    pub class: Class,
    /// The axes after `positions`, in words.
    pub axes: &'static str,
    /// The lengths of those axes.
    pub shape: fn(&Config) -> Vec<usize>,
    /// Whether a model of this shape makes it.
    pub emitted: fn(&Config) -> bool,
}

macro_rules! stages {
    ($($name:ident $text:literal $scope:ident $class:ident $axes:literal $shape:expr, $emitted:expr;)*) => {
        /// A named value of the forward pass.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Stage { $(#[doc = concat!("`", $text, "`: [positions, ", $axes, "]")] $name,)* }
        /// Every stage, in the order in which a layer makes them.
        pub const STAGES: &[Row] = &[$(Row {
            stage: Stage::$name, name: $text, scope: Scope::$scope, class: Class::$class, axes: $axes,
            shape: $shape, emitted: $emitted,
        },)*];
    };
}

fn always(_: &Config) -> bool {
    true
}
fn moe(c: &Config) -> bool {
    c.experts.is_some()
}
fn dense(c: &Config) -> bool {
    c.experts.is_none()
}
fn head_norm(c: &Config) -> bool {
    c.head_norm
}
fn qkv_bias(c: &Config) -> bool {
    c.qkv_bias
}
fn hidden(c: &Config) -> Vec<usize> {
    vec![c.hidden]
}
fn qkv(c: &Config) -> Vec<usize> {
    vec![c.q_width() + 2 * c.kv_width()]
}
fn q_heads(c: &Config) -> Vec<usize> {
    vec![c.heads, c.head_dim]
}
fn k_heads(c: &Config) -> Vec<usize> {
    vec![c.kv_heads, c.head_dim]
}
fn q_plane(c: &Config) -> Vec<usize> {
    vec![c.q_width()]
}
/// The key axis of a score has the length of the context, which no table knows; 0 stands for it.
fn scores(c: &Config) -> Vec<usize> {
    vec![c.heads, 0]
}
fn chosen(c: &Config) -> Vec<usize> {
    vec![c.chosen()]
}
fn router(c: &Config) -> Vec<usize> {
    vec![c.experts.map_or(0, |e| e.count)]
}
fn expert_ff(c: &Config) -> Vec<usize> {
    vec![c.chosen(), c.ff]
}
fn expert_hidden(c: &Config) -> Vec<usize> {
    vec![c.chosen(), c.hidden]
}
fn ff(c: &Config) -> Vec<usize> {
    vec![c.ff]
}
fn vocab(c: &Config) -> Vec<usize> {
    vec![c.vocab]
}

stages! {
    Embedding "embedding" Model Made "hidden" hidden, always;
    AttnNorm "attn_norm" Layer Made "hidden" hidden, always;
    QkvMatmul "qkv_matmul" Layer Made "q|k|v" qkv, always;
    QkvBias "qkv_bias" Layer Made "q|k|v" qkv, qkv_bias;
    QNorm "q_norm" Layer Made "heads, head_dim" q_heads, head_norm;
    KNorm "k_norm" Layer Made "kv_heads, head_dim" k_heads, head_norm;
    QPostRope "q_post_rope" Layer Made "heads, head_dim" q_heads, always;
    KPostRope "k_post_rope" Layer Made "kv_heads, head_dim" k_heads, always;
    AttnScores "attn_scores" Layer Derived "heads, keys" scores, always;
    AttnSoftmax "attn_softmax" Layer Derived "heads, keys" scores, always;
    Attention "attention" Layer Made "heads * head_dim" q_plane, always;
    AttnOut "attn_out" Layer Made "hidden" hidden, always;
    PostAttnResidual "post_attn_residual" Layer Made "hidden" hidden, always;
    FfnNorm "ffn_norm" Layer Made "hidden" hidden, always;
    MoeRouterLogits "moe_router_logits" Layer Made "experts" router, moe;
    MoeRouter "moe_router" Layer Made "chosen" chosen, moe;
    MoeRouterIndices "moe_router_indices" Layer Made "chosen" chosen, moe;
    MoeExpertGate "moe_expert_gate" Expert Made "chosen, ff" expert_ff, moe;
    MoeExpertUp "moe_expert_up" Expert Made "chosen, ff" expert_ff, moe;
    MoeExpertSwigl "moe_expert_swigl" Expert Made "chosen, ff" expert_ff, moe;
    MoeExpertOut "moe_expert_out" Expert Made "chosen, hidden" expert_hidden, moe;
    MoeFfnOut "moe_ffn_out" Layer Made "hidden" hidden, moe;
    FfnGate "ffn_gate" Layer Made "ff" ff, dense;
    FfnUp "ffn_up" Layer Made "ff" ff, dense;
    FfnSilu "ffn_silu" Layer Derived "ff" ff, dense;
    FfnSwigl "ffn_swigl" Layer Made "ff" ff, dense;
    FfnOut "ffn_out" Layer Made "hidden" hidden, dense;
    PostFfnResidual "post_ffn_residual" Layer Made "hidden" hidden, always;
    FinalNorm "final_norm" Model Made "hidden" hidden, always;
    LmHead "lm_head" Model Made "vocab" vocab, always;
}

impl Stage {
    /// The stage's row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // The enum and the table come from the same rows in the same order.
        &STAGES[self as usize]
    }
    /// The stage's name in files, flags and contracts.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
    /// What stands where a position would look into its future, for stages whose last axis is the context.
    #[must_use]
    pub fn future(self) -> Option<f32> {
        match self {
            Self::AttnScores => Some(f32::NEG_INFINITY),
            Self::AttnSoftmax => Some(0.0),
            _ => None,
        }
    }
    /// Whether its rows are those that logits are wanted for, not all rows of the pass.
    #[must_use]
    pub fn of_output_rows(self) -> bool {
        matches!(self, Self::FinalNorm | Self::LmHead)
    }
    /// The stage of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        STAGES.iter().find(|r| r.name == name).map(|r| r.stage)
    }
}

impl Scope {
    /// Whether every layer has such a stage.
    #[must_use]
    pub fn in_layers(self) -> bool {
        matches!(self, Self::Layer | Self::Expert)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One place of a pass where a value can be seen: a stage, and the layer for stages that have one. The text form is the
/// key of traces, `layers.<N>.<stage>` or `<stage>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site {
    /// The layer; `None` for stages of the whole model.
    pub layer: Option<usize>,
    /// The stage.
    pub stage: Stage,
}

impl Site {
    /// What sorts sites into the order of the pass.
    #[must_use]
    pub fn order(self) -> (usize, Stage) {
        // Stages of the whole model stand first or last in the table; their layer follows from that.
        let layer = self.layer.unwrap_or(if self.stage < Stage::AttnNorm { 0 } else { usize::MAX });
        (layer, self.stage)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layers.{layer}.{}", self.stage),
            None => write!(f, "{}", self.stage),
        }
    }
}

impl std::str::FromStr for Site {
    type Err = NoSite;
    fn from_str(text: &str) -> Result<Self, NoSite> {
        let (layer, stage) = match text.strip_prefix("layers.").and_then(|t| t.split_once('.')) {
            Some((layer, stage)) => (Some(layer.parse().map_err(|_| NoSite)?), stage),
            None => (None, text),
        };
        let stage = Stage::from_name(stage).ok_or(NoSite)?;
        (stage.row().scope.in_layers() == layer.is_some()).then_some(Self { layer, stage }).ok_or(NoSite)
    }
}

/// A text that names no place of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSite;

impl fmt::Display for NoSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `layers.<N>.<stage>` or `<stage>`")
    }
}

impl std::error::Error for NoSite {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        for (i, row) in STAGES.iter().enumerate() {
            assert_eq!(row.stage as usize, i);
            assert_eq!(Stage::from_name(row.name), Some(row.stage));
            let layer = row.scope.in_layers().then_some(47);
            let site = Site { layer, stage: row.stage };
            assert_eq!(site.to_string().parse(), Ok(site));
            let wrong = Site { layer: if layer.is_some() { None } else { Some(0) }, stage: row.stage };
            assert_eq!(wrong.to_string().parse::<Site>(), Err(NoSite));
        }
        for text in ["", "layers.x.attn_norm", "layers.0", "layers.0.nothing", "layers.-1.attn_norm"] {
            assert_eq!(text.parse::<Site>(), Err(NoSite), "{text}");
        }
    }
}
