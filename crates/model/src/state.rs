//! The planes one pass works in. Rows are positions; every plane keeps the number of rows of the batch at hand.

use crate::backend::Backend;
use crate::config::Config;

/// The activations of a pass, allocated once for the largest batch.
pub struct State<B: Backend> {
    /// Residual stream, `[m, hidden]`.
    pub x: B::Act,
    /// Normed residual, `[m, hidden]`; under `Fast` with its 8-bit planes.
    pub xn: B::Act,
    /// Queries, keys and values side by side, `[m, q_width + 2 kv_width]`.
    pub qkv: B::Act,
    /// Attention output before the projection, `[m, q_width]`.
    pub attn: B::Act,
    /// Output of a projection or of the expert sum, before it joins the residual, `[m, hidden]`.
    pub y: B::Act,
    /// Router logits, `[m, experts]`; for a dense model of width 0.
    pub router: B::Act,
    /// The chosen experts, `[m, chosen]`.
    pub route: B::Route,
    /// Gate and up projections side by side, `[m * chosen, 2 ff]`.
    pub gate_up: B::Act,
    /// `silu(gate) * up`, `[m * chosen, ff]`.
    pub h: B::Act,
    /// Each chosen expert's output, `[m * chosen, hidden]`.
    pub down: B::Act,
    /// The rows that logits are wanted for, normed, `[out_rows, hidden]`.
    pub out: B::Act,
    /// `[out_rows, vocab]`.
    pub logits: B::Act,
    /// Scratch for derived stages; its width is set by who uses it.
    pub scratch: B::Act,
}

impl<B: Backend> State<B> {
    /// Planes for batches of up to `rows` positions, of which up to `out_rows` give logits.
    ///
    /// # Errors
    /// When the backend has no memory for them.
    pub fn new(be: &mut B, c: &Config, rows: usize, out_rows: usize) -> Result<Self, B::Err> {
        let k = c.chosen();
        Ok(Self {
            x: be.act(rows, c.hidden)?,
            xn: be.act(rows, c.hidden)?,
            qkv: be.act(rows, c.q_width() + 2 * c.kv_width())?,
            attn: be.act(rows, c.q_width())?,
            y: be.act(rows, c.hidden)?,
            router: be.act(rows, c.experts.map_or(0, |e| e.count))?,
            route: be.route_plane(rows, k)?,
            gate_up: be.act(rows * k, 2 * c.ff)?,
            h: be.act(rows * k, c.ff)?,
            down: be.act(rows * k, c.hidden)?,
            out: be.act(out_rows, c.hidden)?,
            logits: be.act(out_rows, c.vocab)?,
            scratch: be.act(0, 0)?,
        })
    }
}
