//! `apr trace`: runs a prompt and keeps what the pass makes on the way.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, stdout};
use super::place::Place;
use super::prompt::Prompt;
use crate::session::{Model, Options};
use crate::trace::{
    self, Digest, Directory, Entry, FORMATS, Format, MANIFEST, Manifest, ModelId, Number, Pass, Plan,
    Positions, Recorder, SCHEMA, Selection, Stats, free_bytes, parse_layers, parse_stages,
};
use fault::fault;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `apr trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Stages: {}
Formats: {}

Without --save-tensor nothing is written, and the statistics of all stages are printed.
Keys are layers.<N>.<stage> and <stage>, shapes [positions, ...].

Example: apr trace model.gguf --tokens 1,2,3 --save-tensor all --save-tensor-layers 0..2 --save-tensor-dir out",
    crate::stage::STAGES.iter().map(|r| r.name).collect::<Vec<_>>().join(" "),
    FORMATS.iter().map(|r| r.name).collect::<Vec<_>>().join(" ")))]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the model is given.
    #[command(flatten)]
    pub prompt: Prompt,
    /// Decode N tokens after the prompt, greedily, and trace them too
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub decode: usize,
    /// Where and how.
    #[command(flatten)]
    pub place: Place,
    /// Stages to keep: a comma list, or all
    #[arg(long, value_name = "STAGES", help_heading = "What to keep")]
    pub save_tensor: Option<String>,
    /// Layers to keep: A..B without B [default: all]
    #[arg(long, value_name = "A..B", help_heading = "What to keep")]
    pub save_tensor_layers: Option<String>,
    /// The folder to write [default: the file's stem and -trace]
    #[arg(long, value_name = "DIR", requires = "save_tensor", help_heading = "What to keep")]
    pub save_tensor_dir: Option<PathBuf>,
    /// last (and every decoded one) or all
    #[arg(long, value_name = "WHICH", default_value = "last", help_heading = "What to keep")]
    pub positions: String,
    /// How tensors are stored
    #[arg(long, value_name = "NAME", default_value = "safetensors", help_heading = "What to keep")]
    pub format: String,
    /// Keep statistics and digests only
    #[arg(long, help_heading = "What to keep")]
    pub stats_only: bool,
    /// Replace an earlier recording
    #[arg(long, help_heading = "What to keep")]
    pub force: bool,
    /// Refuse to write more bytes than this
    #[arg(long, value_name = "N", default_value_t = 64_000_000_000, help_heading = "What to keep")]
    pub max_bytes: u64,
    /// Write one JSON object: the manifest
    #[arg(long)]
    pub json: bool,
    /// Also show the most likely next tokens and the statistics layer by layer
    #[arg(long)]
    pub payload: bool,
}

/// How many of the most likely tokens a payload names.
const TOP: usize = 5;

/// Runs `apr trace`.
///
/// # Errors
/// When model, selection or target do not allow it: before any work. When the run fails or is interrupted: nothing is
/// left behind.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let model = Model::open(&args.file)?;
    let options = args.place.options()?;
    let work = Work::new(args, &model, &options)?;
    if let Some(target) = &work.target {
        Directory::check(target, args.force).map_err(crate::Error::from)?;
    }
    work.announce();
    interrupt::install()?;

    let (mut session, options) = args.place.session(&model)?;
    let interventions = args.place.probes.attach(&mut session, &model, &options)?;
    let directory = work.target.as_deref().map(|t| Directory::create(t, args.force));
    let directory = directory.transpose().map_err(crate::Error::from)?;
    let bar = work.bar();
    let mut progress = |bytes| {
        bar.inc(bytes);
        !interrupt::caught()
    };
    let place = directory.as_ref().map(Directory::path);
    let store = work.format.zip(place);
    let mut recorder = Recorder::new(&work.plan, store, &mut progress).map_err(crate::Error::from)?;
    let pass = Pass { tokens: &work.tokens, decode: args.decode, positions: work.positions };
    let tokens = trace::record(&mut session, pass, &mut recorder, None)?;
    let entries = recorder.finish().map_err(crate::Error::from)?;
    bar.finish_and_clear();
    let logits = session.logits()?;

    let manifest = Manifest { interventions, ..work.manifest(&model, &options, tokens, entries) };
    if let Some(directory) = directory {
        write_manifest(&directory, &manifest)?;
        if interrupt::caught() {
            return Err(crate::Error::from(trace::Error::Interrupted).into());
        }
        directory.commit().map_err(crate::Error::from)?;
    }
    let payload = args.payload.then(|| Payload::new(&manifest, &logits, model.config().vocab));
    report(args, &work, &manifest, payload.as_ref())?;
    Ok(Exit::Holds)
}

/// What the arguments come to.
struct Work {
    tokens: Vec<u32>,
    plan: Plan,
    positions: Positions,
    /// The folder to write; none when nothing is kept.
    target: Option<PathBuf>,
    /// How tensors are stored; none when only statistics are kept.
    format: Option<Format>,
}

impl Work {
    fn new(args: &Args, model: &Model, options: &Options) -> Result<Self, Error> {
        let tokens = args.prompt.tokens(model)?;
        let positions = args.positions.parse().map_err(Error::Usage)?;
        let format = Format::from_name(&args.format).ok_or_else(|| {
            let names = FORMATS.iter().map(|r| r.name).collect::<Vec<_>>().join(" ");
            Error::Usage(format!("unknown format '{}', expected one of {names}", args.format))
        })?;
        let stages = args.save_tensor.as_deref().map_or(Ok(None), parse_stages);
        let layers = args.save_tensor_layers.as_deref().map(parse_layers).transpose();
        let selection = Selection {
            stages: stages.map_err(crate::Error::from)?,
            layers: layers.map_err(crate::Error::from)?,
            positions,
        };
        let layers = options.layers.unwrap_or(model.config().layers);
        let plan = Plan::new(model.config(), layers, &selection, tokens.len(), args.decode)
            .map_err(crate::Error::from)?;
        let target = args.save_tensor.as_ref().map(|_| match &args.save_tensor_dir {
            Some(dir) => dir.clone(),
            None => {
                let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
                PathBuf::from(format!("{stem}-trace"))
            }
        });
        let format = (target.is_some() && !args.stats_only).then_some(format);
        let work = Self { tokens, plan, positions, target, format };
        work.check_size(args.max_bytes).map_err(crate::Error::from)?;
        Ok(work)
    }

    /// Bytes of elements that will be written.
    fn bytes(&self) -> u64 {
        if self.format.is_some() { self.plan.bytes() } else { 0 }
    }

    fn check_size(&self, most: u64) -> Result<(), trace::Error> {
        let bytes = self.bytes();
        let limits =
            [(Some(most), "--max-bytes"), (self.target.as_deref().and_then(free_bytes), "free disk space")];
        for (most, why) in limits {
            if let Some(most) = most.filter(|&most| bytes > most) {
                return Err(trace::Error::TooLarge { bytes, most, why });
            }
        }
        Ok(())
    }

    fn announce(&self) {
        if let Some(target) = &self.target {
            let (tensors, bytes) = (self.plan.tensors.len(), self.bytes());
            eprintln!("{}: {tensors} tensors, {} ({bytes} bytes)", target.display(), Bytes(bytes));
        }
    }

    fn bar(&self) -> ProgressBar {
        ProgressBar::new(self.plan.bytes()).with_style(
            ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    }

    fn manifest(&self, model: &Model, options: &Options, tokens: Vec<u32>, tensors: Vec<Entry>) -> Manifest {
        let config = model.config();
        let path = model.mapped().path();
        Manifest {
            schema: SCHEMA,
            tool: if fault!("trace-manifest-stamped") {
                format!("{:?}", std::time::Instant::now())
            } else {
                concat!("apr ", env!("CARGO_PKG_VERSION")).to_owned()
            },
            model: ModelId {
                file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                bytes: model.mapped().len() as u64,
                digest: Digest::of(model.mapped()),
                architecture: config.architecture.to_owned(),
                layers: options.layers.unwrap_or(config.layers),
                chosen: config.chosen(),
            },
            backend: options.device.name().to_owned(),
            precision: options.precision.name().to_owned(),
            prompt_tokens: self.tokens.len(),
            tokens,
            positions: [self.plan.positions.start, self.plan.positions.end],
            layers: [self.plan.layers.start, self.plan.layers.end],
            stages: self.plan.stages.iter().map(|s| s.name().to_owned()).collect(),
            format: self.format,
            interventions: Vec::new(),
            tensors,
        }
    }
}

fn write_manifest(directory: &Directory, manifest: &Manifest) -> Result<(), Error> {
    let path = directory.path().join(MANIFEST);
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        serde_json::to_writer_pretty(&mut file, manifest)?;
        writeln!(file)?;
        file.flush()
    };
    write().map_err(|source| crate::Error::Io { path: path.clone(), source }.into())
}

/// The next tokens, and the statistics once more by layer and stage.
#[derive(Serialize)]
struct Payload {
    logits: Logits,
    embedding: Option<Stats>,
    layers: Vec<serde_json::Map<String, Json>>,
    final_norm: Option<Stats>,
}

#[derive(Serialize)]
struct Logits {
    vocab_size: usize,
    l2_norm: Number,
    top: Vec<Likely>,
}

#[derive(Serialize)]
struct Likely {
    token: usize,
    logit: Number,
}

impl Payload {
    fn new(manifest: &Manifest, logits: &[f32], vocab: usize) -> Self {
        let last = &logits[logits.len().saturating_sub(vocab)..];
        let mut order: Vec<usize> = (0..last.len()).collect();
        // NaN has no rank and goes last; ties to the lower id.
        let key = |i: usize| (last[i].is_nan(), std::cmp::Reverse(ordered(last[i])), i);
        order.sort_unstable_by_key(|&i| key(i));
        let stats = |key: &str| manifest.entry(key).map(|e| e.stats.clone());
        let layers = (manifest.layers[0]..manifest.layers[1]).map(|layer| {
            let prefix = format!("layers.{layer}.");
            let of = manifest.tensors.iter().filter_map(|e| Some((e.key.strip_prefix(&prefix)?, e)));
            let mut map = serde_json::Map::new();
            map.insert("layer".to_owned(), json!(layer));
            map.extend(of.map(|(stage, e)| (stage.to_owned(), json!(e.stats))));
            map
        });
        Self {
            logits: Logits {
                vocab_size: vocab,
                l2_norm: last.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().into(),
                top: order
                    .into_iter()
                    .take(TOP)
                    .map(|token| Likely { token, logit: last[token].into() })
                    .collect(),
            },
            embedding: stats("embedding"),
            layers: layers.collect(),
            final_norm: stats("final_norm"),
        }
    }
}

/// Bits whose order is that of the numbers.
fn ordered(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    bits ^ (bits >> 31 & i32::MAX)
}

fn report(args: &Args, work: &Work, manifest: &Manifest, payload: Option<&Payload>) -> Result<(), Error> {
    let mut out = stdout();
    if args.json {
        let mut object = serde_json::to_value(manifest).map_err(std::io::Error::from)?;
        if let (Some(payload), Json::Object(object)) = (payload, &mut object) {
            object.insert("payload".to_owned(), serde_json::to_value(payload).map_err(std::io::Error::from)?);
        }
        serde_json::to_writer_pretty(&mut out, &object).map_err(std::io::Error::from)?;
        writeln!(out)?;
        out.flush()?;
        return Ok(());
    }
    let [first, end] = manifest.positions;
    writeln!(
        out,
        "{} on {}:{}, {} tokens, positions {first}..{end}",
        args.file.display(),
        manifest.backend,
        manifest.precision,
        manifest.tokens.len()
    )?;
    if work.target.is_none() || args.payload {
        table(&mut out, manifest)?;
    }
    if let Some(payload) = payload {
        writeln!(out, "\nnext token: {}", likely(&payload.logits.top))?;
    }
    if let Some(target) = &work.target {
        let bytes = Bytes(work.bytes());
        writeln!(out, "{}: {} tensors, {bytes}", target.display(), manifest.tensors.len())?;
    }
    out.flush()?;
    Ok(())
}

fn likely(top: &[Likely]) -> String {
    let show = |l: &Likely| format!("{} ({:.4})", l.token, l.logit.0);
    top.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn table(out: &mut impl Write, manifest: &Manifest) -> Result<(), Error> {
    let width = manifest.tensors.iter().map(|e| e.key.len()).max().unwrap_or(0);
    writeln!(
        out,
        "\n{:width$}  {:>14}  {:>14}  {:>14}  {:>14}  {:>6}  {:>6}",
        "tensor", "min", "max", "mean", "rms", "NaN", "Inf"
    )?;
    for Entry { key, stats: s, .. } in &manifest.tensors {
        writeln!(
            out,
            "{key:width$}  {:>14}  {:>14}  {:>14}  {:>14}  {:>6}  {:>6}",
            s.min, s.max, s.mean, s.rms, s.nan, s.inf
        )?;
    }
    Ok(())
}
