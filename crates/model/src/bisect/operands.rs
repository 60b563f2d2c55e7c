//! What each stage is made of: its primitive, its weights, its inputs. The one table behind what a finding names.

use crate::config::Config;
use crate::session::Model;
use crate::stage::{Site, Stage};
use crate::tensors::{Presence, Role, TENSORS};

/// What one stage is made of.
#[derive(Debug)]
pub struct Operands {
    /// The backend's primitive.
    pub primitive: &'static str,
    /// Its weights.
    pub weights: &'static [Role],
    /// The sites that it reads, those of keys and values of earlier positions included.
    pub inputs: Vec<Site>,
}

/// What a site's value is made of, in a model of that shape whose last layer that runs is `last`.
#[must_use]
pub fn operands(config: &Config, site: Site, last: usize) -> Operands {
    use Stage as S;
    let layer = site.layer.unwrap_or(0);
    let here = |stage: Stage| Site { layer: stage.row().scope.in_layers().then_some(layer), stage };
    let entering = match layer {
        0 => Site { layer: None, stage: S::Embedding },
        n => Site { layer: Some(n - 1), stage: S::PostFfnResidual },
    };
    let projected = if config.qkv_bias { S::QkvBias } else { S::QkvMatmul };
    let normed = |stage: Stage| if config.head_norm { stage } else { projected };
    let moe = config.experts.is_some();
    let (primitive, weights, inputs): (_, &'static [Role], Vec<Site>) = match site.stage {
        S::Embedding => ("embed", &[Role::Embed], vec![]),
        S::AttnNorm => ("norm", &[Role::AttnNorm], vec![entering]),
        S::QkvMatmul => ("matmul", &[Role::Q, Role::K, Role::V], vec![here(S::AttnNorm)]),
        S::QkvBias => ("bias", &[Role::QBias, Role::KBias, Role::VBias], vec![here(S::QkvMatmul)]),
        S::QNorm => ("head_norm", &[Role::QNorm], vec![here(projected)]),
        S::KNorm => ("head_norm", &[Role::KNorm], vec![here(projected)]),
        S::QPostRope => ("rope", &[], vec![here(normed(S::QNorm))]),
        S::KPostRope => ("rope", &[], vec![here(normed(S::KNorm))]),
        S::AttnScores | S::AttnSoftmax => ("scores", &[], vec![here(S::QPostRope), here(S::KPostRope)]),
        S::Attention => {
            ("append and attention", &[], vec![here(S::QPostRope), here(S::KPostRope), here(projected)])
        }
        S::AttnOut => ("matmul", &[Role::AttnOut], vec![here(S::Attention)]),
        S::PostAttnResidual => ("add", &[], vec![entering, here(S::AttnOut)]),
        S::FfnNorm => ("norm", &[Role::FfnNorm], vec![here(S::PostAttnResidual)]),
        S::MoeRouterLogits => ("router", &[Role::Router], vec![here(S::FfnNorm)]),
        S::MoeRouter | S::MoeRouterIndices => ("top_k", &[], vec![here(S::MoeRouterLogits)]),
        S::MoeExpertGate | S::FfnGate => ("matmul", &[Role::Gate], vec![here(S::FfnNorm)]),
        S::MoeExpertUp | S::FfnUp => ("matmul", &[Role::Up], vec![here(S::FfnNorm)]),
        S::FfnSilu => ("silu", &[], vec![here(S::FfnGate)]),
        S::MoeExpertSwigl => ("swiglu", &[], vec![here(S::MoeExpertGate), here(S::MoeExpertUp)]),
        S::FfnSwigl => ("swiglu", &[], vec![here(S::FfnGate), here(S::FfnUp)]),
        S::MoeExpertOut => ("matmul", &[Role::Down], vec![here(S::MoeExpertSwigl)]),
        S::MoeFfnOut => ("combine", &[], vec![here(S::MoeExpertOut), here(S::MoeRouter)]),
        S::FfnOut => ("matmul", &[Role::Down], vec![here(S::FfnSwigl)]),
        S::PostFfnResidual => {
            let out = if moe { S::MoeFfnOut } else { S::FfnOut };
            ("add", &[], vec![here(S::PostAttnResidual), here(out)])
        }
        S::FinalNorm => {
            let leaving = Site { layer: Some(last), stage: S::PostFfnResidual };
            ("norm", &[Role::Norm], vec![leaving])
        }
        S::LmHead => ("matmul", &[Role::Head], vec![here(S::FinalNorm)]),
    };
    Operands { primitive, weights, inputs }
}

/// The name of the tensor of a role in a layer, as the file has it; `None` when the model has none.
#[must_use]
pub fn tensor_name(model: &Model, role: Role, layer: Option<usize>) -> Option<String> {
    let config = model.config();
    let row = TENSORS.iter().find(|r| r.role == role && (r.presence)(config) != Presence::Foreign)?;
    let name = row.names(layer.map_or(0, |l| l + 1)).last().map_or_else(|| row.name.to_owned(), |(_, n)| n);
    match model.file().tensor(&name) {
        Some(_) => Some(name),
        // The embedding serves as head.
        None if role == Role::Head => tensor_name(model, Role::Embed, None),
        None => None,
    }
}

/// The falsifier that a wrong value of a stage breaks, where a contract claims that value.
#[must_use]
pub fn falsifier(stage: Stage, precision: crate::backend::Precision) -> Option<&'static str> {
    use crate::backend::Precision;
    match (stage, precision) {
        (Stage::MoeRouterIndices, _) => Some("FALSIFY-MOE-ROUTER-002"),
        (Stage::MoeRouter, _) => Some("FALSIFY-MOE-ROUTER-003"),
        (Stage::AttnScores | Stage::AttnSoftmax, Precision::Exact) => Some("FALSIFY-ATTN-SUB-002"),
        (Stage::AttnScores | Stage::AttnSoftmax | Stage::Attention, Precision::Fast) => {
            Some("FALSIFY-ATTN-SUB-006")
        }
        (_, Precision::Exact) => Some("FALSIFY-QW3-MOE-FORWARD-004"),
        (_, Precision::Fast) => None,
    }
}
