//! `apr synth`: a GGUF file of any shape with random weights.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, stdout};
use crate::synth::{Mix, PRESETS, Plan, Preset};
use fault::fault;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `apr synth`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Presets: {}
Formats: {}

Example: apr synth --preset qwen3-30b-a3b --layers 8 --quant q4_k_m --seed 1 -o model.gguf",
    presets(), Mix::names().collect::<Vec<_>>().join(" ")))]
pub struct Args {
    /// The shape
    #[arg(long, default_value = "tiny")]
    pub preset: String,
    /// The formats: a mix, or one format throughout
    #[arg(long, default_value = "q4_k_m")]
    pub quant: String,
    /// What the weights are drawn from: the same seed gives the same file
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Layers, instead of the preset's
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub layers: Option<usize>,
    /// Width of the residual stream
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub hidden: Option<usize>,
    /// Query heads
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub heads: Option<usize>,
    /// Key and value heads
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub kv_heads: Option<usize>,
    /// Width of one head
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub head_dim: Option<usize>,
    /// Width of the feed-forward block, or of one expert
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub ff: Option<usize>,
    /// Experts
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub experts: Option<usize>,
    /// Experts used per token
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub used: Option<usize>,
    /// Tokens in the vocabulary
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub vocab: Option<usize>,
    /// Positions the model is made for
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub context: Option<usize>,
}

fn presets() -> String {
    PRESETS.iter().map(|p| p.name).collect::<Vec<_>>().join(" ")
}

/// Runs `apr synth`.
///
/// # Errors
/// When preset, format or shape make no model, or the file cannot be written.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let plan = plan(args)?;
    if args.output.exists() && !args.force {
        return Err(Error::Usage(format!("{}: exists, --force replaces it", args.output.display())));
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads.unwrap_or(0))
        .build()
        .map_err(|e| Error::Usage(format!("cannot start threads: {e}")))?;
    interrupt::install()?;
    let started = Instant::now();
    pool.install(|| write(&plan, &args.output))?;
    let seconds = started.elapsed().as_secs_f64();
    let (tensors, weights) = plan.weights();
    let mut out = stdout();
    writeln!(
        out,
        "{}: {tensors} tensors, {:.3} G weights, {} in {seconds:.1} s ({}/s)",
        args.output.display(),
        weights as f64 / 1e9,
        Bytes(plan.bytes() as u64),
        Bytes((plan.bytes() as f64 / seconds.max(1e-9)) as u64)
    )?;
    out.flush()?;
    Ok(Exit::Holds)
}

fn plan(args: &Args) -> Result<Plan, Error> {
    let preset = Preset::from_name(&args.preset).ok_or_else(|| {
        Error::Usage(format!("unknown preset '{}', expected one of {}", args.preset, presets()))
    })?;
    let mix = Mix::from_name(&args.quant).ok_or_else(|| {
        let names = Mix::names().collect::<Vec<_>>().join(" ");
        Error::Usage(format!("unknown format '{}', expected one of {names}", args.quant))
    })?;
    let mut shape = preset.shape.clone();
    for (wish, field) in [
        (args.layers, &mut shape.layers),
        (args.hidden, &mut shape.hidden),
        (args.heads, &mut shape.heads),
        (args.kv_heads, &mut shape.kv_heads),
        (args.head_dim, &mut shape.head_dim),
        (args.ff, &mut shape.ff),
        (args.experts, &mut shape.experts),
        (args.used, &mut shape.used),
        (args.vocab, &mut shape.vocab),
        (args.context, &mut shape.context),
    ] {
        if let Some(value) = wish {
            *field = value;
        }
    }
    let name = format!("synthetic-{}", preset.name);
    Plan::new(&name, &shape, mix, args.seed).map_err(|e| Error::Usage(e.to_string()))
}

/// Writes under another name in the same folder and renames at the end: the file is there whole or not at all.
fn write(plan: &Plan, path: &Path) -> Result<(), Error> {
    let io = |source: io::Error| Error::Model(crate::Error::Io { path: path.to_owned(), source });
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary(folder).map_err(io)?;
    let bar = ProgressBar::new(plan.bytes() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
    let outcome = plan.write(&mut out, |written| {
        bar.set_position(written as u64);
        if interrupt::caught() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    drop(out);
    if outcome.is_err() && fault!("synth-keeps-half") {
        return temporary.persist(path).map(|_| ()).map_err(|e| io(e.error));
    }
    outcome.map_err(|e| Error::Usage(format!("{}: {e}", path.display())))?;
    temporary.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

/// A file that vanishes unless it is renamed, with the permissions of an ordinary one.
fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile<File>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".synth-").suffix(".gguf.tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // What the umask leaves of it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
