//! Each stage as a composition of primitives: what a fused stage of any backend has to equal, value by value.
//!
//! Knows no backend and no schedule; the order of the calls is the order of the values in a trace.

use crate::backend::{Backend, Cols, Cx};
use crate::config::Config;
use crate::stage::Stage;
use crate::state::State;
use crate::tap::{Tap, tapped};
use crate::weights::Weights;

/// Norm and the three projections.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn qkv<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let (s, l) = (&mut *cx.state, cx.layer);
    be.norm(&mut s.xn, &s.x, &l.attn_norm, cx.config.eps)?;
    tapped!(tap.at(be, Stage::AttnNorm, &mut s.xn, Cols::ALL)?);
    for p in &l.qkv {
        be.matmul(&mut s.qkv, p.col, &p.mat, &s.xn, None)?;
    }
    tapped!(tap.at(be, Stage::QkvMatmul, &mut s.qkv, Cols::ALL)?);
    if cx.config.qkv_bias {
        for p in &l.qkv {
            if let Some(bias) = &p.bias {
                be.bias(&mut s.qkv, p.col, bias)?;
            }
        }
        tapped!(tap.at(be, Stage::QkvBias, &mut s.qkv, Cols::ALL)?);
    }
    Ok(())
}

/// Head norm, rotation, append, attention.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn attend<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let (s, l, c) = (&mut *cx.state, cx.layer, cx.config);
    let (q, k) = (Cols::new(0, c.q_width()), Cols::new(c.q_width(), c.kv_width()));
    if let Some(w) = &l.q_norm {
        be.head_norm(&mut s.qkv, q, w, c.eps)?;
        tapped!(tap.at(be, Stage::QNorm, &mut s.qkv, q)?);
    }
    if let Some(w) = &l.k_norm {
        be.head_norm(&mut s.qkv, k, w, c.eps)?;
        tapped!(tap.at(be, Stage::KNorm, &mut s.qkv, k)?);
    }
    be.rope(&mut s.qkv, q, c, cx.batch)?;
    tapped!(tap.at(be, Stage::QPostRope, &mut s.qkv, q)?);
    be.rope(&mut s.qkv, k, c, cx.batch)?;
    tapped!(tap.at(be, Stage::KPostRope, &mut s.qkv, k)?);
    be.append(cx.kv, &s.qkv, c, cx.batch)?;
    tapped!(for (stage, softmax) in [(Stage::AttnScores, false), (Stage::AttnSoftmax, true)] {
        if tap.wants(stage) {
            be.scores(&mut s.scratch, &s.qkv, cx.kv, c, cx.batch, softmax)?;
            tap.at(be, stage, &mut s.scratch, Cols::ALL)?;
        }
    });
    be.attention(&mut s.attn, &s.qkv, cx.kv, c, cx.batch)?;
    tapped!(tap.at(be, Stage::Attention, &mut s.attn, Cols::ALL)?);
    Ok(())
}

/// Output projection and residual.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn attn_out<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let s = &mut *cx.state;
    be.matmul(&mut s.y, 0, &cx.layer.attn_out, &s.attn, None)?;
    tapped!(tap.at(be, Stage::AttnOut, &mut s.y, Cols::ALL)?);
    be.add(&mut s.x, &s.y)?;
    tapped!(tap.at(be, Stage::PostAttnResidual, &mut s.x, Cols::ALL)?);
    Ok(())
}

/// Norm, router, choice.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn route<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let (s, l) = (&mut *cx.state, cx.layer);
    be.norm(&mut s.xn, &s.x, &l.ffn_norm, cx.config.eps)?;
    tapped!(tap.at(be, Stage::FfnNorm, &mut s.xn, Cols::ALL)?);
    match &l.router {
        None => be.only_expert(&mut s.route, &s.xn),
        Some(router) => {
            be.router(&mut s.router, router, &s.xn)?;
            tapped!(tap.at(be, Stage::MoeRouterLogits, &mut s.router, Cols::ALL)?);
            be.top_k(&mut s.route, &s.router, cx.config)
        }
    }?;
    tapped!(if l.router.is_some() {
        tap.route(be, &mut s.route)?;
    });
    Ok(())
}

/// Gate, up and their product, for each chosen expert.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn gate_up<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let (s, l, ff) = (&mut *cx.state, cx.layer, cx.config.ff);
    let moe = cx.config.experts.is_some();
    let name = |expert: Stage, dense: Stage| if moe { expert } else { dense };
    be.matmul(&mut s.gate_up, 0, &l.gate, &s.xn, Some(&s.route))?;
    tapped!(tap.at(be, name(Stage::MoeExpertGate, Stage::FfnGate), &mut s.gate_up, Cols::new(0, ff))?);
    be.matmul(&mut s.gate_up, ff, &l.up, &s.xn, Some(&s.route))?;
    tapped!(tap.at(be, name(Stage::MoeExpertUp, Stage::FfnUp), &mut s.gate_up, Cols::new(ff, ff))?);
    tapped!(if !moe && tap.wants(Stage::FfnSilu) {
        be.silu(&mut s.scratch, &s.gate_up)?;
        tap.at(be, Stage::FfnSilu, &mut s.scratch, Cols::ALL)?;
    });
    be.swiglu(&mut s.h, &s.gate_up)?;
    tapped!(tap.at(be, name(Stage::MoeExpertSwigl, Stage::FfnSwigl), &mut s.h, Cols::ALL)?);
    Ok(())
}

/// Down projection, weighted sum, residual.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn down<B: Backend, T: Tap<B>>(be: &mut B, cx: &mut Cx<'_, B>, tap: &mut T) -> Result<(), B::Err> {
    let s = &mut *cx.state;
    let moe = cx.config.experts.is_some();
    be.matmul(&mut s.down, 0, &cx.layer.down, &s.h, Some(&s.route))?;
    if moe {
        tapped!(tap.at(be, Stage::MoeExpertOut, &mut s.down, Cols::ALL)?);
    }
    be.combine(&mut s.y, &s.down, &s.route)?;
    tapped!(tap.at(be, if moe { Stage::MoeFfnOut } else { Stage::FfnOut }, &mut s.y, Cols::ALL)?);
    be.add(&mut s.x, &s.y)?;
    tapped!(tap.at(be, Stage::PostFfnResidual, &mut s.x, Cols::ALL)?);
    Ok(())
}

/// Final norm and logits of the output rows.
///
/// # Errors
/// What the backend or the tap reports.
#[inline(always)]
pub fn head<B: Backend, T: Tap<B>>(
    be: &mut B,
    config: &Config,
    weights: &Weights<B>,
    state: &mut State<B>,
    batch: &B::Batch,
    tap: &mut T,
) -> Result<(), B::Err> {
    be.select(&mut state.y, &state.x, batch)?;
    be.norm(&mut state.out, &state.y, &weights.norm, config.eps)?;
    tapped!(tap.at(be, Stage::FinalNorm, &mut state.out, Cols::ALL)?);
    let head = weights.head.as_ref().unwrap_or(&weights.embed);
    be.matmul(&mut state.logits, 0, head, &state.out, None)?;
    tapped!(tap.at(be, Stage::LmHead, &mut state.logits, Cols::ALL)?);
    Ok(())
}
