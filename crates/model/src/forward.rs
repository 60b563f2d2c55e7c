//! The forward pass: one order of operations for prefill and decode, for every backend, watched or not.
//!
//! It is a recorder. A CPU executes each call as it comes; a GPU records the calls once per shape of step and replays
//! them ([`Backend::step`]).
//! Nothing that changes from step to step is an argument here: positions, tokens, chosen experts live in the batch
//! and the state, on the device.

use crate::backend::{Backend, Cols, Cx};
use crate::config::Config;
use crate::stage::Stage;
use crate::state::State;
use crate::tap::{Tap, tapped};
use crate::weights::Weights;

/// Runs `batch` through the model; logits of its output rows are left in `state.logits`, keys and values in `kv`.
///
/// # Errors
/// What the backend reports while executing or recording.
pub fn forward<B: Backend, T: Tap<B>>(
    be: &mut B,
    config: &Config,
    weights: &Weights<B>,
    state: &mut State<B>,
    kv: &mut [B::Kv],
    batch: &B::Batch,
    tap: &mut T,
) -> Result<(), B::Err> {
    be.embed(&mut state.x, &weights.embed, batch)?;
    tapped!(tap.at(be, Stage::Embedding, &mut state.x, Cols::ALL)?);
    for (index, (layer, kv)) in weights.layers.iter().zip(kv).enumerate() {
        tapped!(tap.layer(index));
        let mut cx = Cx { config, index, layer, state: &mut *state, kv, batch };
        be.qkv(&mut cx, tap)?;
        be.attend(&mut cx, tap)?;
        be.attn_out(&mut cx, tap)?;
        be.route(&mut cx, tap)?;
        be.gate_up(&mut cx, tap)?;
        be.down(&mut cx, tap)?;
    }
    be.head(config, weights, state, batch, tap)
}
