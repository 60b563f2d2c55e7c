//! Runs what a plan asks for and lets a recorder watch.

use super::plan::Positions;
use super::recorder::Recorder;
use crate::Error;
use crate::observer::{Observer, Several};
use crate::sample::greedy;
use crate::session::{Out, Session};

/// Tokens to be computed while they are recorded.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The prompt.
    pub tokens: &'a [u32],
    /// Tokens to decode after it, greedily.
    pub decode: usize,
    /// Positions kept.
    pub positions: Positions,
}

/// Computes a pass on a fresh session and records it; returns the tokens, decoded ones last. `before` sees every value
/// first and may change it.
///
/// # Errors
/// What the session reports, or why the recorder ended the pass.
pub fn record(
    session: &mut Session,
    pass: Pass<'_>,
    recorder: &mut Recorder<'_>,
    mut before: Option<&mut dyn Observer>,
) -> Result<Vec<u32>, Error> {
    let mut observe = |session: &mut Session, tokens: &[u32], out| {
        let result = match &mut before {
            None => session.observe(tokens, out, recorder),
            Some(before) => session.observe(tokens, out, &mut Several(vec![&mut **before, recorder])),
        };
        match recorder.take_error() {
            Some(error) => Err(error.into()),
            None => result,
        }
    };
    let mut tokens = pass.tokens.to_vec();
    let out = if pass.positions == Positions::All { Out::All } else { Out::Last };
    observe(session, &tokens, out)?;
    for _ in 0..pass.decode {
        let logits = session.logits()?;
        let last = &logits[logits.len() - session.config().vocab..];
        let position = session.position() - 1;
        let token = greedy(last).ok_or(Error::NoToken { position })?;
        tokens.push(token);
        observe(session, &[token], Out::Last)?;
    }
    Ok(tokens)
}
