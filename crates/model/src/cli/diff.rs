//! `apr diff`: two recordings of a pass against each other.

use super::error::Error;
use super::exit::Exit;
use super::output::present;
use crate::diff::recording::{Names, open, open_values};
use crate::diff::{Options, diff};
use crate::stage::{STAGES, Stage};
use crate::trace::similar;
use std::path::PathBuf;

/// Arguments of `apr diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The left side is the reference: NMSE is the squared difference over the squared left side. Verdicts are MATCH, DIVERGE,
NAN_LEFT, NAN_RIGHT, NAN_BOTH, MISSING; exit code 1 when a tensor does not match. Experts are compared as sets, their
outputs expert by expert.

Recordings without tensors (--stats-only) are compared by digest: the same bits match, anything else diverges.

A side is the folder of a trace, a folder of .npy files, or a .safetensors, .npy or APRT file; --map gives our names for
those of another program (scripts/dump-stages dumps a transformers model), --common compares what both have.

Example: apr diff cpu-trace gpu-trace --html heat.html")]
pub struct Args {
    /// The reference
    #[arg(value_name = "LEFT")]
    pub left: PathBuf,
    /// What is judged
    #[arg(value_name = "RIGHT")]
    pub right: PathBuf,
    /// Compare two files that hold one tensor each, whatever its name
    #[arg(long)]
    pub values: bool,
    /// A JSON object of another program's names to ours, {} for the layer
    #[arg(long, value_name = "FILE", conflicts_with = "values")]
    pub map: Option<PathBuf>,
    /// Leave out tensors that one side alone has
    #[arg(long)]
    pub common: bool,
    /// The largest NMSE that matches [default: by the precisions of both sides]
    #[arg(long, value_name = "X")]
    pub nmse: Option<f64>,
    /// The same for single stages: attn_norm=1e-9,lm_head=1e-6
    #[arg(long, value_name = "STAGE=X", value_delimiter = ',')]
    pub bound: Vec<String>,
    /// List tensors that match, too
    #[arg(long)]
    pub all: bool,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// Draw the heat map, layer by stage, as an SVG picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Draw the heat map, layer by stage, into one page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs `apr diff`.
///
/// # Errors
/// When a side cannot be read, or both are not of the same pass.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let options = Options {
        nmse: args.nmse.map(bound).transpose()?,
        stages: args.bound.iter().map(|text| stage_bound(text)).collect::<Result<_, _>>()?,
        common: args.common,
    };
    let report = if args.values {
        diff(&*open_values(&args.left)?, &*open_values(&args.right)?, &options)?
    } else {
        let names = args.map.as_deref().map(Names::read).transpose()?.unwrap_or_default();
        diff(&*open(&args.left, &names)?, &*open(&args.right, &names)?, &options)?
    };
    if let Some(path) = &args.svg {
        std::fs::write(path, report.svg())
            .map_err(|source| crate::Error::Io { path: path.clone(), source })?;
    }
    if let Some(path) = &args.html {
        let page = report.html().map_err(std::io::Error::from)?;
        std::fs::write(path, page).map_err(|source| crate::Error::Io { path: path.clone(), source })?;
    }
    present(&report, args.json, |report, out| report.write(out, args.all))?;
    Ok(if report.holds() { Exit::Holds } else { Exit::Diverges })
}

fn stage_bound(text: &str) -> Result<(Stage, f64), Error> {
    let parsed = text.split_once('=').and_then(|(stage, value)| Some((stage, value.parse().ok()?)));
    let (name, value) =
        parsed.ok_or_else(|| Error::Usage(format!("--bound '{text}': expected STAGE=NUMBER")))?;
    let stage = Stage::from_name(name).ok_or_else(|| {
        let hint = similar(name, STAGES.iter().map(|r| r.name)).map(|s| format!(", did you mean '{s}'?"));
        Error::Usage(format!("--bound '{text}': unknown stage '{name}'{}", hint.unwrap_or_default()))
    })?;
    Ok((stage, bound(value)?))
}

fn bound(value: f64) -> Result<f64, Error> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Error::Usage(format!("a bound of {value}, expected a number of at least 0")))
}
