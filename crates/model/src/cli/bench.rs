//! `apr bench`: tokens per second, and how far that is from what the memory gives.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, stdout};
use super::place::Place;
use crate::bench::{Case, Summary, Work, bandwidth};
use crate::footprint::Footprint;
use crate::machine;
use crate::session::{Device, Model, Options};
use crate::trace::{Format as Stored, Plan, Positions, Selection, parse_stages};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Arguments of `apr bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each test is done once to warm up and then -r times; shown are mean and standard deviation. `of bandwidth` is the bytes that
decoding reads (weights of the chosen experts, keys and values) over what the threads of this machine can read; json and csv
hold the most memory that the process held, too. With --trace,
traced and untraced repetitions take turns; `times untraced` is what a traced one costs, files included.

Example: apr bench model.gguf -p 64 -n 0 --trace all --positions all
Example: apr bench model.gguf -p 64,512 -n 32 -d 0,4096 -r 5 --threads 16 -o json")]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Lengths of prompts; 0 for none
    #[arg(short = 'p', long, value_name = "N,...", value_delimiter = ',', default_value = "512")]
    pub prompt: Vec<usize>,
    /// Lengths of outputs; 0 for none
    #[arg(short = 'n', long, value_name = "N,...", value_delimiter = ',', default_value = "128")]
    pub output: Vec<usize>,
    /// Positions of context before them
    #[arg(short = 'd', long, value_name = "N,...", value_delimiter = ',', default_value = "0")]
    pub depth: Vec<usize>,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value = "5")]
    pub reps: NonZeroUsize,
    /// Do each test also with these stages traced into a temporary folder: a comma list, or all
    #[arg(long, value_name = "STAGES")]
    pub trace: Option<String>,
    /// Positions that are traced: last or all
    #[arg(long, value_name = "WHICH", default_value = "last", requires = "trace")]
    pub positions: String,
    /// md, json or csv
    #[arg(short = 'o', long = "format", value_name = "NAME", default_value = "md")]
    pub format: String,
    /// Where and how.
    #[command(flatten)]
    pub place: Place,
}

/// Runs `apr bench`.
///
/// # Errors
/// When there is nothing to do, a test does not fit the model's context, or a pass fails.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let format = Format::from_name(&args.format)?;
    let cases = cases(args)?;
    let model = Model::open(&args.file)?;
    let context = model.config().context;
    if let Some(case) = cases.iter().find(|c| c.depth + c.tokens() > context) {
        let reach = case.depth + case.tokens();
        return Err(Error::Usage(format!(
            "{} reaches position {reach}, the model's context is {context}",
            case.name()
        )));
    }
    let plans = args.trace.as_deref().map(|stages| plans(args, &model, &cases, stages)).transpose()?;
    interrupt::install()?;
    let (mut session, options) = args.place.session(&model)?;
    args.place.probes.attach(&mut session, &model, &options)?;
    let reference = Reference::new(&model, &options);
    let passes = cases.len() * (args.reps.get() + 1) * if plans.is_some() { 2 } else { 1 };
    let bar = ProgressBar::new(passes as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut out = stdout();
    let columns = if plans.is_some() { &COLUMNS[..] } else { &COLUMNS[..COLUMNS.len() - 1] };
    format.head(&mut out, columns)?;
    let mut first = true;
    for (i, case) in cases.into_iter().enumerate() {
        bar.set_message(case.name());
        let each = |_| {
            bar.inc(1);
            !interrupt::caught()
        };
        let times = match plans.as_ref().and_then(|p| p.get(i)) {
            None => vec![case.run(&mut session, args.reps.get(), each)?],
            Some(plan) => {
                let folder = tempfile::tempdir()?;
                let to = (Stored::Safetensors, folder.path());
                case.tracing_cost(&mut session, args.reps.get(), plan, to, each)?.into()
            }
        };
        let mut untraced = None;
        for (traced, times) in times.into_iter().enumerate() {
            let rates: Vec<f64> = times.iter().map(|t| case.tokens() as f64 / t.as_secs_f64()).collect();
            let Some(summary) = Summary::of(&rates) else { continue };
            let mut row = Row::new(&model, &options, case, rates, summary, reference);
            if traced == 1 {
                row.name += "+trace";
                row.of_bandwidth = None;
                row.times_untraced = untraced.map(|u: f64| u / summary.median);
            } else {
                untraced = Some(summary.median);
            }
            bar.suspend(|| format.row(&mut out, &row, columns, first))?;
            first = false;
        }
        // What was measured until then is shown.
        if interrupt::caught() {
            break;
        }
    }
    bar.finish_and_clear();
    format.foot(&mut out)?;
    out.flush()?;
    if interrupt::caught() {
        return Err(Error::Usage("interrupted: later tests are missing".to_owned()));
    }
    Ok(Exit::Holds)
}

fn cases(args: &Args) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for &depth in &args.depth {
        let prompts = args.prompt.iter().map(|&n| Work::Prefill(n));
        let outputs = args.output.iter().map(|&n| Work::Decode(n));
        let all = prompts.chain(outputs).map(|work| Case { work, depth });
        cases.extend(all.filter(|case| case.tokens() > 0));
    }
    if cases.is_empty() {
        return Err(Error::Usage("nothing to measure, expected a length in -p or -n".to_owned()));
    }
    Ok(cases)
}

/// What is traced of each test.
fn plans(args: &Args, model: &Model, cases: &[Case], stages: &str) -> Result<Vec<Plan>, Error> {
    if let Some(case) = cases.iter().find(|c| c.depth > 0) {
        let name = case.name();
        return Err(Error::Usage(format!("{name}: --trace records from position 0 on, expected -d 0")));
    }
    let stages = parse_stages(stages).map_err(crate::Error::from)?;
    let positions: Positions = args.positions.parse().map_err(Error::Usage)?;
    let selection = Selection { stages, layers: None, positions };
    let (config, layers) = (model.config(), args.place.layers.unwrap_or(model.config().layers));
    let plan = |case: &Case| Plan::new(config, layers, &selection, case.tokens(), 0);
    Ok(cases.iter().map(plan).collect::<Result<_, _>>().map_err(crate::Error::from)?)
}

/// What the figures are put beside.
#[derive(Debug, Clone, Copy)]
struct Reference {
    cost: Footprint,
    /// Bytes per second that the threads can read; only known on the CPU.
    bandwidth: Option<f64>,
    threads: Option<usize>,
}

impl Reference {
    fn new(model: &Model, options: &Options) -> Self {
        /// Larger than any cache.
        const READ: usize = 1 << 30;
        let cost = Footprint::new(model.config(), &model.file().tensors);
        let threads = (options.device == Device::Cpu).then(|| {
            let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            options.threads.unwrap_or(all).get()
        });
        Self { cost, bandwidth: threads.map(|t| bandwidth(t, READ)), threads }
    }
}

/// One line of the result. `name`, `value`, `unit` and `n` are what a claim about speed is judged by.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The median.
    value: f64,
    unit: &'static str,
    n: usize,
    mean: f64,
    deviation: f64,
    samples: Vec<f64>,
    model: String,
    model_bytes: u64,
    layers: usize,
    backend: &'static str,
    precision: &'static str,
    threads: Option<usize>,
    active_bytes_per_token: u64,
    /// Bytes per second.
    bandwidth: Option<f64>,
    /// Of decoding: the share of the bandwidth that its bytes take.
    of_bandwidth: Option<f64>,
    /// Of traced work: its time over that of the same work untraced.
    times_untraced: Option<f64>,
    /// The most memory that the process held until then; none where the system does not tell.
    peak_bytes: Option<u64>,
}

impl Row {
    fn new(
        model: &Model,
        options: &Options,
        case: Case,
        samples: Vec<f64>,
        summary: Summary,
        reference: Reference,
    ) -> Self {
        let Reference { cost, bandwidth, threads } = reference;
        // With fewer layers the bytes are fewer by an unknown part.
        let whole = options.layers.is_none_or(|n| n == model.config().layers);
        let of_bandwidth = match (case.work, bandwidth) {
            (Work::Decode(n), Some(bandwidth)) if whole => {
                let context = case.depth as f64 + n as f64 / 2.0;
                let bytes = cost.active as f64 + cost.cached as f64 * context;
                Some(summary.median * bytes / bandwidth)
            }
            _ => None,
        };
        let name = model.mapped().path().file_name().unwrap_or_default();
        Self {
            name: case.name(),
            value: summary.median,
            unit: "tok/s",
            n: samples.len(),
            mean: summary.mean,
            deviation: summary.deviation,
            samples,
            model: name.to_string_lossy().into_owned(),
            model_bytes: model.mapped().len() as u64,
            layers: options.layers.unwrap_or(model.config().layers),
            backend: options.device.name(),
            precision: options.precision.name(),
            threads,
            active_bytes_per_token: cost.active,
            bandwidth,
            of_bandwidth,
            times_untraced: None,
            peak_bytes: machine::peak(),
        }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    Json,
    Csv,
}

/// Columns of the table and of the CSV file; the last one with `--trace` only.
const COLUMNS: [&str; 10] = [
    "model",
    "size",
    "bytes/token",
    "backend",
    "threads",
    "test",
    "tok/s",
    "deviation",
    "of bandwidth",
    "times untraced",
];

/// Columns that only the CSV file has.
const MORE: [&str; 1] = ["peak bytes"];

impl Format {
    fn from_name(name: &str) -> Result<Self, Error> {
        match name {
            "md" => Ok(Self::Markdown),
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            other => Err(Error::Usage(format!("unknown format '{other}', expected md, json or csv"))),
        }
    }

    fn head(self, out: &mut impl Write, columns: &[&str]) -> Result<(), Error> {
        match self {
            Self::Markdown => {
                writeln!(out, "| {} |", columns.join(" | "))?;
                writeln!(out, "|{}", "---|".repeat(columns.len()))?;
            }
            Self::Json => write!(out, "[")?,
            Self::Csv => writeln!(out, "{},{}", columns.join(","), MORE.join(","))?,
        }
        out.flush()?;
        Ok(())
    }

    fn row(self, out: &mut impl Write, row: &Row, columns: &[&str], first: bool) -> Result<(), Error> {
        let threads = row.threads.map(|t| t.to_string()).unwrap_or_default();
        let backend = format!("{}:{}", row.backend, row.precision);
        match self {
            Self::Markdown => {
                let share = row.of_bandwidth.map(|s| format!("{:.0} %", s * 100.0)).unwrap_or_default();
                let cells = [
                    row.model.clone(),
                    Bytes(row.model_bytes).to_string(),
                    Bytes(row.active_bytes_per_token).to_string(),
                    backend,
                    threads,
                    row.name.clone(),
                    format!("{:.2}", row.mean),
                    format!("{:.2}", row.deviation),
                    share,
                    row.times_untraced.map(|t| format!("{t:.2}")).unwrap_or_default(),
                ];
                writeln!(out, "| {} |", cells[..columns.len()].join(" | "))?;
            }
            Self::Json => {
                writeln!(out, "{}", if first { "" } else { "," })?;
                serde_json::to_writer(&mut *out, row).map_err(std::io::Error::from)?;
            }
            Self::Csv => {
                let share = row.of_bandwidth.map(|s| s.to_string()).unwrap_or_default();
                let cells = [
                    format!("\"{}\"", row.model.replace('"', "\"\"")),
                    row.model_bytes.to_string(),
                    row.active_bytes_per_token.to_string(),
                    backend,
                    threads,
                    row.name.clone(),
                    row.mean.to_string(),
                    row.deviation.to_string(),
                    share,
                    row.times_untraced.map(|t| t.to_string()).unwrap_or_default(),
                ];
                let peak = row.peak_bytes.map(|p| p.to_string()).unwrap_or_default();
                writeln!(out, "{},{peak}", cells[..columns.len()].join(","))?;
            }
        }
        out.flush()?;
        Ok(())
    }

    fn foot(self, out: &mut impl Write) -> Result<(), Error> {
        if self == Self::Json {
            writeln!(out, "\n]")?;
        }
        Ok(())
    }
}
