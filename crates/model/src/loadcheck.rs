//! The check after loading: a short prompt on the CPU in exact precision against the session that is to be used.
//!
//! A kernel that reads a format as another, a stale library, a broken device: all show here, before anybody relies on
//! what comes out.

use crate::Error;
use crate::backend::Precision;
use crate::compare::Comparison;
use crate::session::{Device, Model, Options, Out, Session};
use fault::fault;

/// Tokens of the prompt: the first that attends to itself, to another, and to two others.
const TOKENS: usize = 3;

/// The largest normalized squared error of logits that is no mistake.
#[must_use]
pub fn bound(precision: Precision) -> f64 {
    match precision {
        // The bound of a free-running pass between two backends in f32.
        Precision::Exact => 1e-10,
        // 8-bit activations cost up to 4e-4, one expert chosen otherwise in each of 48 layers about 3e-3; a wrong kernel
        // gives logits without relation to the right ones, an error near 1 or above.
        Precision::Fast => 0.1,
    }
}

/// Compares and rewinds; `session` runs `model` under `options` and has computed nothing yet. Nothing to do on the CPU.
///
/// # Errors
/// [`Error::Disagrees`], or what a session reports.
pub fn check(model: &Model, session: &mut Session, options: &Options) -> Result<(), Error> {
    if options.device == Device::Cpu {
        return Ok(());
    }
    let vocab = model.config().vocab;
    let n = TOKENS.min(model.config().context);
    let tokens: Vec<u32> = (0..n).map(|i| ((i * vocab / TOKENS + i) % vocab) as u32).collect();
    let exact =
        Options { threads: options.threads, layers: options.layers, ..Options::cpu(Precision::Exact) };
    let mut reference = Session::new(model, &exact)?;
    reference.run(&tokens, Out::Last)?;
    session.run(&tokens, Out::Last)?;
    let (want, mut got) = (reference.logits()?, session.logits()?);
    if fault!("load-check-compares-itself") {
        got.clone_from(&want);
    }
    let (precision, bound) = (options.precision, bound(options.precision));
    let nmse = Comparison::of(&want, &got, None).map_or(f64::NAN, |c| c.nmse);
    if nmse.is_nan() || nmse > bound {
        return Err(Error::Disagrees {
            device: options.device.name(),
            precision: precision.name(),
            nmse,
            bound,
        });
    }
    session.rewind(0)
}
