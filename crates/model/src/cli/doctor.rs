//! `apr doctor`: what this machine has, and whether it is enough.

use super::error::Error;
use super::exit::Exit;
use super::output::{Bytes, present};
use super::place::{Hardware, device, precision};
use crate::backend::Precision;
use crate::bench::bandwidth;
use crate::cpu::simd::Level;
use crate::cuda::{self, Probe};
use crate::footprint::Footprint;
use crate::machine;
use crate::session::{Device, Model, Options};
use fault::fault;
use serde::Serialize;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Bytes read to measure the memory: larger than any cache.
const READ: u64 = 1 << 30;
/// Rows of a pass at most, which planes are made for.
const ROWS: usize = 512;
/// Positions that there is to be room for, unless told otherwise.
const CONTEXT: usize = 4096;
/// Bytes per second below which a memory is slower than any that this is meant for.
const SLOW: f64 = 4e9;

/// Arguments of `apr doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every line is OK, WARN (it runs, but not as well as it could) or FAIL (it does not run), with what to do about it. Without a
GPU there is a warning; with --backend cuda it is a failure. With a FILE: whether its weights, keys and values of --context
positions and the planes of a pass fit into free memory, and how fast decoding can be at best.

Exit codes: 1 when a line is FAIL.

Example: apr doctor
Example: apr doctor model.gguf --context 32768 --backend cuda --json")]
pub struct Args {
    /// The GGUF file that is to run
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Positions that there has to be room for [default: 4096, or the model's context if that is less]
    #[arg(long, value_name = "N", requires = "file")]
    pub context: Option<usize>,
    /// Where it is to run: cpu or cuda
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub backend: String,
    /// exact or fast
    #[arg(long, value_name = "NAME", default_value = "fast")]
    pub precision: String,
    /// The machine.
    #[command(flatten)]
    pub hardware: Hardware,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Line {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn bad(
        verdict: Verdict,
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name, verdict, found: found.into(), advice: Some(advice.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    verdict: Verdict,
    lines: Vec<Line>,
    /// Bytes per second that the threads read.
    bandwidth: Option<f64>,
    memory_total: Option<u64>,
    memory_available: Option<u64>,
    /// Bytes that the model needs where it is to run.
    needed: Option<u64>,
}

/// Runs `apr doctor`.
///
/// # Errors
/// Names that are none, or a file that is no model.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let options = args.hardware.options(device(&args.backend)?, precision(&args.precision)?);
    let model = args.file.as_deref().map(Model::open).transpose()?;
    let positions = match &model {
        Some(model) => positions(args, model)?,
        None => 0,
    };
    let mut lines = vec![processor(), instructions()];
    let (threads, line) = threads(&options);
    lines.push(line);
    let memory = machine::memory();
    lines.push(match memory {
        Some(m) => Line::ok("memory", format!("{} of {} available", Bytes(m.available), Bytes(m.total))),
        None => Line::bad(
            Verdict::Warn,
            "memory",
            "the system does not tell",
            "see for yourself that the model fits",
        ),
    });
    let (rate, line) = speed(threads, memory);
    lines.push(line);
    let probe = cuda::probe(&options.cuda);
    lines.extend(cuda_lines(&probe, options.device));
    lines.push(cache(options.cuda.cache.as_deref(), &probe));
    let mut needed = None;
    if let Some(model) = &model {
        let need = Need::new(model, &options, positions);
        needed = Some(need.all());
        lines.push(Line::ok("model", need.to_string()));
        let free = match options.device {
            Device::Cpu => memory.map(|m| m.available),
            Device::Cuda => probe.device.as_ref().ok().map(|(_, free)| *free as u64),
        };
        lines.push(fit(&need, &options, free));
        lines.extend(rate.filter(|_| options.device == Device::Cpu).map(|rate| need.speed(rate)));
    }
    let verdict = lines.iter().map(|l| l.verdict).max().unwrap_or(Verdict::Ok);
    let report = Report {
        verdict,
        lines,
        bandwidth: rate,
        memory_total: memory.map(|m| m.total),
        memory_available: memory.map(|m| m.available),
        needed,
    };
    present(&report, args.json, write)?;
    Ok(if verdict == Verdict::Fail { Exit::Diverges } else { Exit::Holds })
}

fn positions(args: &Args, model: &Model) -> Result<usize, Error> {
    let context = model.config().context;
    let positions = args.context.unwrap_or(CONTEXT.min(context));
    if positions == 0 || positions > context {
        return Err(Error::Usage(format!(
            "--context {positions}: expected 1 to the model's context of {context}"
        )));
    }
    Ok(positions)
}

fn processor() -> Line {
    let name = machine::processor().unwrap_or_else(|| "unknown".to_owned());
    let has: Vec<_> = machine::features().into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    let has = if has.is_empty() { "none that kernels use".to_owned() } else { has.join(" ") };
    Line::ok("processor", format!("{name}, {}: {has}", std::env::consts::ARCH))
}

fn instructions() -> Line {
    let best = Level::best();
    if best == Level::SCALAR {
        let advice = "one number at a time is slow: expect a hundredth of the speed of a processor with AVX2";
        return Line::bad(Verdict::Warn, "instructions", best.name(), advice);
    }
    let names: Vec<_> = Level::available().into_iter().map(Level::name).collect();
    Line::ok("instructions", format!("{} is taken, of {}", best.name(), names.join(" ")))
}

fn threads(options: &Options) -> (usize, Line) {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
    let threads = options.threads.map_or(cores, NonZeroUsize::get);
    let found = format!("{threads} of {cores}");
    let line = if threads > cores {
        Line::bad(
            Verdict::Warn,
            "threads",
            found,
            format!("more threads than cores wait for each other, take --threads {cores}"),
        )
    } else {
        Line::ok("threads", found)
    };
    (threads, line)
}

fn speed(threads: usize, memory: Option<machine::Memory>) -> (Option<f64>, Line) {
    // Half of what there is, so that nothing is pushed out for the measurement.
    let bytes = memory.map_or(READ, |m| READ.min(m.available / 2));
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes < 1 << 26 {
        let advice = "free some memory, it was not measured";
        return (None, Line::bad(Verdict::Warn, "bandwidth", "too little memory to measure", advice));
    }
    let rate = bandwidth(threads, bytes);
    let found = format!("{}/s read by {threads} threads", Bytes(rate as u64));
    let line = if rate < SLOW {
        let advice = "slow: is something else running, or is the machine a small part of another?";
        Line::bad(Verdict::Warn, "bandwidth", found, advice)
    } else {
        Line::ok("bandwidth", found)
    };
    (Some(rate), line)
}

fn cuda_lines(probe: &Probe, wanted: Device) -> [Line; 2] {
    let verdict = if wanted == Device::Cuda { Verdict::Fail } else { Verdict::Warn };
    let missing = |name, error: &cuda::Error, advice: &str| {
        // A compiler's log has many lines.
        let found = error.to_string().lines().next().unwrap_or_default().to_owned();
        Line::bad(verdict, name, found, advice)
    };
    let device = match &probe.device {
        Ok((p, free)) => Line::ok(
            "cuda device",
            format!(
                "{}, {}, {} of {} free, driver interface {}.{}",
                p.name,
                p.architecture,
                Bytes(*free as u64),
                Bytes(p.memory as u64),
                p.driver / 1000,
                p.driver % 1000 / 10
            ),
        ),
        Err(error) => missing(
            "cuda device",
            error,
            "install a driver for CUDA 13 or name its folder with --cuda-libs; --backend cpu needs none",
        ),
    };
    let code = match &probe.code {
        Ok(code) => Line::ok("cuda kernels", code.clone()),
        Err(error) => missing(
            "cuda kernels",
            error,
            "install libnvrtc of CUDA 13 or name its folder with --cuda-libs; --backend cpu needs none",
        ),
    };
    [device, code]
}

fn cache(folder: Option<&Path>, probe: &Probe) -> Line {
    const NAME: &str = "kernel cache";
    let Some(folder) = folder else {
        let found = "none: kernels are compiled in every process";
        return match &probe.device {
            Ok(_) => Line::bad(Verdict::Warn, NAME, found, "--cuda-cache DIR keeps them"),
            Err(_) => Line::ok(NAME, "none, none needed without a device"),
        };
    };
    // As the engine does: the folder is made, and a file appears in it.
    let made = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    match made {
        Ok(_) => Line::ok(NAME, format!("{} can be written", folder.display())),
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            Line::bad(Verdict::Fail, NAME, found, "name a folder that can be written with --cuda-cache")
        }
    }
}

/// What a model needs, in bytes.
struct Need {
    positions: usize,
    file: u64,
    weights: u64,
    kv: u64,
    planes: u64,
    active: u64,
    cached: u64,
}

impl Need {
    fn new(model: &Model, options: &Options, positions: usize) -> Self {
        let cost = Footprint::new(model.config(), &model.file().tensors);
        let cached = match options.precision {
            Precision::Exact => 2 * cost.cached,
            Precision::Fast => cost.cached,
        };
        Self {
            positions,
            file: model.mapped().len() as u64,
            weights: model.file().tensors.iter().map(|t| t.bytes.len() as u64).sum(),
            kv: cached * positions as u64,
            planes: Footprint::workspace(model.config(), ROWS.min(positions), 1),
            active: cost.active,
            cached,
        }
    }

    fn all(&self) -> u64 {
        if fault!("doctor-forgets-weights") {
            return self.kv + self.planes;
        }
        self.weights + self.kv + self.planes
    }

    /// Decoding reads every active weight and every kept key and value once.
    fn speed(&self, rate: f64) -> Line {
        let bytes = self.active as f64 + self.cached as f64 * self.positions as f64 / 2.0;
        let active = Bytes(self.active);
        Line::ok(
            "speed",
            format!("a token reads {active}: at most {:.1} tok/s half way through the context", rate / bytes),
        )
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [file, weights, kv, planes] = [self.file, self.weights, self.kv, self.planes].map(Bytes);
        let positions = self.positions;
        write!(f, "{file}: weights {weights}, keys and values of {positions} positions {kv}, planes {planes}")
    }
}

fn fit(need: &Need, options: &Options, free: Option<u64>) -> Line {
    const NAME: &str = "fit";
    let all = need.all();
    let Some(free) = free else {
        return match options.device {
            Device::Cpu => {
                let found = format!("{} are needed", Bytes(all));
                Line::bad(Verdict::Warn, NAME, found, "the system does not tell what is free")
            }
            Device::Cuda => {
                let found = format!("{} are needed, there is no device", Bytes(all));
                Line::bad(Verdict::Fail, NAME, found, "see `cuda device`, or take --backend cpu")
            }
        };
    };
    let found = format!("{} are needed, {} are free", Bytes(all), Bytes(free));
    // Weights that stay in the file can be read again; all else has to be there at once.
    let mapped = options.device == Device::Cpu && options.precision == Precision::Exact;
    let less = "take a smaller --context, a model of fewer bits, or a machine with more memory";
    if all <= free / 20 * 19 || fault!("doctor-always-fits") {
        Line::ok(NAME, found)
    } else if all <= free {
        Line::bad(Verdict::Warn, NAME, found, "close to the end of memory: end other programs first")
    } else if mapped && need.kv + need.planes <= free {
        let advice = "weights that do not fit are read from the disk again for every token";
        Line::bad(Verdict::Warn, NAME, found, advice)
    } else {
        Line::bad(Verdict::Fail, NAME, found, less)
    }
}

fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for Line { name, verdict, found, advice } in &report.lines {
        let verdict = match verdict {
            Verdict::Ok => "OK",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        writeln!(out, "{verdict:<5} {name:<13} {found}")?;
        if let Some(advice) = advice {
            writeln!(out, "{:19} -> {advice}", "")?;
        }
    }
    Ok(())
}
