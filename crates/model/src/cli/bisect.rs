//! `apr bisect`: the first operation in which two passes differ, and why.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, present};
use super::place::{Hardware, backend_and_precision, precision};
use super::prompt::Prompt;
use super::replay::Target;
use crate::backend::Precision;
use crate::bisect::{Party, Question, Recorded, Reference, Script, bisect, bisect_recorded, made_stages};
use crate::session::{Model, Session};
use crate::trace::{self, Plan, Positions, Selection, Trace, parse_layers};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Arguments of `apr bisect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Both sides run the same tokens freely. Then the right side runs again, each stage from the left side's input, so that a
stage shows its own error alone; what stands out is held against the scalar twin of its precision. Classes:
  kernel-error          an operation differs from its scalar twin on the same input
  nan-source            the first operation that makes of finite inputs what is not finite
  router-flip           almost tied experts changed places; the margin is shown
  precision-difference  an operation's precision alone costs more than the bound
  carried-drift         no operation is wrong, small errors add up
Exit code 1 when there is something to find. Recordings need --save-tensor all --positions all.
--capsule keeps a wrong operation with everything it reads, for `apr replay`.

Example: apr bisect model.gguf --left cpu:exact --right cuda:fast --prompt 'Once upon a time' --decode 5
Example: apr bisect model.gguf --trace cpu-trace --trace gpu-trace")]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The reference: a backend and a precision
    #[arg(long, value_name = "B:P", default_value = "cpu:exact")]
    pub left: String,
    /// What is judged
    #[arg(long, value_name = "B:P", default_value = "cpu:fast")]
    pub right: String,
    /// A recording as the reference; given twice, two recordings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["left", "prompt", "prompt_file", "tokens", "chat", "decode"])]
    pub trace: Vec<PathBuf>,
    /// What the model is given.
    #[command(flatten)]
    pub prompt: Prompt,
    /// Decode N tokens after the prompt, greedily by the left side
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub decode: usize,
    /// Compare these layers only: A..B without B; those from B on do not run
    #[arg(long, value_name = "A..B")]
    pub layers: Option<String>,
    /// Refuse to hold more bytes of values than this
    #[arg(long, value_name = "N", default_value_t = 8_000_000_000)]
    pub max_bytes: u64,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where a wrong operation goes.
    #[command(flatten)]
    pub target: Target,
    /// With what.
    #[command(flatten)]
    pub hardware: Hardware,
}

/// Runs `apr bisect`.
///
/// # Errors
/// When the model, a backend or a recording cannot be used.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let model = Model::open(&args.file)?;
    if args.trace.len() > 2 {
        let n = args.trace.len();
        return Err(Error::Usage(format!("--trace is given {n} times, expected once or twice")));
    }
    let count = model.config().layers;
    let layers = match &args.layers {
        Some(text) => parse_layers(text).map_err(crate::Error::from)?,
        None => 0..count,
    };
    if layers.end > count {
        return Err(crate::Error::Layers { found: layers.end, layers: count }.into());
    }
    let left = match args.trace.first() {
        Some(path) => Side::recorded(&model, path)?,
        None => Side::run(args, &model, layers.end)?,
    };
    let alive = || !interrupt::caught();
    let threads = args.hardware.threads;
    let capsule = args.target.capsule.is_some();
    let report = match args.trace.get(1) {
        Some(path) => {
            let right = Side::recorded(&model, path)?;
            interrupt::install()?;
            let (left, right) = (left.reference(), right.reference());
            bisect_recorded(&Recorded { model: &model, left, right, threads, capsule, alive: &alive })?
        }
        None => {
            let (device, precision) = backend_and_precision(&args.right)?;
            let make = |layers: Range<usize>| {
                Session::part(&model, &args.hardware.options(device, precision), layers)
            };
            let right = Party { name: &args.right, precision, make: &make };
            if !args.trace.is_empty() {
                interrupt::install()?;
            }
            bisect(&Question {
                model: &model,
                left: left.reference(),
                right,
                layers,
                threads,
                capsule,
                alive: &alive,
            })?
        }
    };
    present(&report, args.json, |report, out| report.write(out))?;
    match &report.capsule {
        Some(capsule) => args.target.write(capsule)?,
        None if capsule => eprintln!("no operation is wrong by itself: no capsule was written"),
        None => {}
    }
    Ok(if report.holds() { Exit::Holds } else { Exit::Diverges })
}

/// A pass, and what made it.
struct Side {
    name: String,
    precision: Precision,
    script: Script,
}

impl Side {
    /// Runs the left side's backend.
    fn run(args: &Args, model: &Model, layers: usize) -> Result<Self, Error> {
        let tokens = args.prompt.tokens(model)?;
        let (device, precision) = backend_and_precision(&args.left)?;
        backend_and_precision(&args.right)?;
        check_size(args, model, layers, tokens.len())?;
        interrupt::install()?;
        let mut session = Session::part(model, &args.hardware.options(device, precision), 0..layers)?;
        let script = Script::record(&mut session, &tokens, args.decode, layers)?;
        Ok(Self { name: args.left.clone(), precision, script })
    }

    /// Reads a recording, which has to be of this model.
    fn recorded(model: &Model, path: &Path) -> Result<Self, Error> {
        let trace = Trace::open(path).map_err(crate::Error::from)?;
        let m = trace.manifest();
        let digest = trace::Digest::of(model.mapped());
        if m.model.digest != digest {
            let (of, found, file) = (&m.model.file, &m.model.digest.0, model.mapped().path().display());
            let path = path.display();
            return Err(Error::Usage(format!(
                "{path}: is of {of} ({found}), expected {file} ({})",
                digest.0
            )));
        }
        if !m.interventions.is_empty() {
            let (path, list) = (path.display(), m.interventions.join(", "));
            return Err(Error::Usage(format!(
                "{path}: its pass was changed ({list}), expected an undisturbed one"
            )));
        }
        let script = Script::of_trace(&trace, &made_stages(model.config()))?;
        let precision = precision(&m.precision)?;
        Ok(Self { name: format!("{}:{}", m.backend, m.precision), precision, script })
    }

    fn reference(&self) -> Reference<'_> {
        Reference { name: &self.name, precision: self.precision, script: &self.script }
    }
}

/// What the left side's values take, said first and refused when it is too much. Those of the right side that stand out
/// come on top, at most as much again.
fn check_size(args: &Args, model: &Model, layers: usize, prompt: usize) -> Result<(), Error> {
    let config = model.config();
    let selection =
        Selection { stages: Some(made_stages(config)), layers: Some(0..layers), positions: Positions::All };
    let plan =
        Plan::new(config, config.layers, &selection, prompt, args.decode).map_err(crate::Error::from)?;
    let (bytes, most) = (2 * plan.bytes(), args.max_bytes);
    eprintln!("{} values of two passes at most, in memory", Bytes(bytes));
    if bytes > most {
        let error = trace::Error::TooLarge { bytes, most, why: "--max-bytes" };
        return Err(crate::Error::from(error).into());
    }
    Ok(())
}
