//! `apr test-ops`: every operation on every weight format, against what it means and against the scalar twin.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, present};
use super::place::{Hardware, backend_and_precision};
use crate::backend::{Backend, Precision};
use crate::battery::{Clock, Entry, Given, Kind, Operation, TABLE, Visit, larger};
use crate::cpu::Cpu;
use crate::cpu::simd::Level;
use crate::cuda::Cuda;
use crate::quant::{self, FORMATS, Format};
use crate::session::{Device, Options};
use crate::trace::{Number, similar};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

/// How long one operation is timed.
const BUDGET: Duration = Duration::from_millis(40);
/// What sums of the same terms in f32 in another order differ by at most, as a normalized squared error: between a device
/// and the CPU's twin.
const ORDER: f64 = 1e-11;

/// Arguments of `apr test-ops`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each operation is performed with random operands, on shapes that fill no vector and no tile too, and held against its meaning
in double precision (weights by their format's scalar reference) and against the scalar twin of its kernel. On the CPU every
instruction set of this processor has to give the twin's bits, on a device at most another order of additions.

Without --on it is cpu:exact and cpu:fast, and cuda in both precisions where there is a device; what is left out is said.
With --perf the best instruction set is also timed on shapes of a model. GB/s are the bytes that an operation has to read and
write at least; weights of a few megabytes may lie in a cache. On a device, times hold the launch.

Exit codes: 1 when one differs or fails, 2 when nothing was performed.

Example: apr test-ops --op product --format Q4_K,Q6_K --perf
Example: apr test-ops --on cpu:fast,cuda:fast --json")]
pub struct Args {
    /// Operations [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub op: Vec<String>,
    /// Weight formats; operations without weights are left out then [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub format: Vec<String>,
    /// Where: a backend and a precision
    #[arg(long, value_name = "BACKEND:PRECISION,...", value_delimiter = ',')]
    pub on: Vec<String>,
    /// Time them, too
    #[arg(long)]
    pub perf: bool,
    /// The machine.
    #[command(flatten)]
    pub hardware: Hardware,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
}

/// One operation on one shape in one place.
#[derive(Debug, Serialize)]
struct Row {
    operation: &'static str,
    format: Option<&'static str>,
    shape: String,
    on: String,
    instructions: Option<&'static str>,
    /// Results compared.
    elements: usize,
    /// Results whose bits are not the twin's.
    differing: usize,
    /// How far the results are from their meaning.
    error: Number,
    metric: &'static str,
    bound: f64,
    /// Why there are no results.
    failed: Option<String>,
    holds: bool,
}

/// How fast one operation is.
#[derive(Debug, Serialize)]
struct Time {
    operation: &'static str,
    format: Option<&'static str>,
    shape: String,
    on: String,
    instructions: Option<&'static str>,
    seconds: f64,
    gigabytes_per_second: f64,
    gigaflops: f64,
    bytes: usize,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rows: Vec<Row>,
    times: Vec<Time>,
    differ: usize,
}

/// Runs `apr test-ops`.
///
/// # Errors
/// Names that are none, or a backend that is not there and was asked for.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let kinds = kinds(args)?;
    let formats = formats(args)?;
    let mut places = places(args)?;
    let entries: Vec<&Entry> =
        TABLE.iter().filter(|e| kinds.contains(&e.kind) && (e.formats || args.format.is_empty())).collect();
    let of = |e: &Entry| -> Vec<Option<Format>> {
        if e.formats { formats.iter().copied().map(Some).collect() } else { vec![None] }
    };
    interrupt::install()?;
    let all: usize = entries.iter().map(|e| of(e).len()).sum();
    let bar = ProgressBar::new((all * places.len()) as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut report = Report::default();
    for place in &mut places {
        for &entry in &entries {
            for format in of(entry) {
                if interrupt::caught() {
                    return Err(Error::Usage("interrupted".to_owned()));
                }
                bar.set_message(format!("{} {}", entry.kind.name(), place.on));
                place.judge(entry, format, &mut report.rows)?;
                if args.perf {
                    place.time(entry, format, &mut report.times)?;
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    report.differ = report.rows.iter().filter(|row| !row.holds).count();
    let exit = match (report.rows.len(), report.differ) {
        (0, _) => Exit::Nothing,
        (_, 0) => Exit::Holds,
        _ => Exit::Diverges,
    };
    present(&report, args.json, write)?;
    Ok(exit)
}

fn kinds(args: &Args) -> Result<Vec<Kind>, Error> {
    let known = |name: &String| {
        Kind::ALL.iter().copied().find(|k| k.name() == name).ok_or_else(|| {
            let names: Vec<_> = Kind::ALL.iter().map(|k| k.name()).collect();
            let hint = similar(name, names.iter().copied()).map(|s| format!(", did you mean '{s}'?"));
            let (hint, names) = (hint.unwrap_or_default(), names.join(" "));
            Error::Usage(format!("unknown operation '{name}'{hint}, expected one of {names}"))
        })
    };
    if args.op.is_empty() { Ok(Kind::ALL.to_vec()) } else { args.op.iter().map(known).collect() }
}

fn formats(args: &Args) -> Result<Vec<Format>, Error> {
    let known = |name: &String| {
        let row = FORMATS.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        let names = quant::names();
        row.map(|r| r.format)
            .ok_or_else(|| Error::Usage(format!("unknown format '{name}', expected one of {names}")))
    };
    if args.format.is_empty() {
        return Ok(FORMATS.iter().map(|row| row.format).collect());
    }
    args.format.iter().map(known).collect()
}

/// Where operations are performed.
fn places(args: &Args) -> Result<Vec<Place>, Error> {
    let place = |device, precision| Place::new(device, precision, &args.hardware);
    if !args.on.is_empty() {
        let asked = args.on.iter().map(|text| backend_and_precision(text));
        return asked.map(|asked| asked.and_then(|(device, precision)| place(device, precision))).collect();
    }
    let mut places = Vec::new();
    for precision in Precision::ALL {
        places.push(place(Device::Cpu, precision)?);
    }
    for precision in Precision::ALL {
        match place(Device::Cuda, precision) {
            Ok(place) => places.push(place),
            Err(error) => {
                eprintln!("cuda is left out: {error}");
                break;
            }
        }
    }
    Ok(places)
}

/// A backend and its twin.
struct Place {
    on: String,
    precision: Precision,
    /// Every instruction set that is no twin, best first; of a device none.
    levels: Vec<(Level, Cpu)>,
    device: Option<(Options, Cuda)>,
    twin: Cpu,
}

impl Place {
    fn new(device: Device, precision: Precision, hardware: &Hardware) -> Result<Self, Error> {
        let options = hardware.options(device, precision);
        let cpu = |level, threads| Cpu::with_level(precision, threads, level).map_err(crate::Error::backend);
        let (mut levels, mut cuda) = (Vec::new(), None);
        match device {
            Device::Cpu => {
                for level in Level::available() {
                    // On a processor without instructions of its own the twin is what runs.
                    if level != Level::SCALAR || levels.is_empty() {
                        levels.push((level, cpu(level, options.threads)?));
                    }
                }
            }
            Device::Cuda => {
                let backend = Cuda::new(precision, &options.cuda)?;
                cuda = Some((options, backend));
            }
        }
        let twin = cpu(Level::SCALAR, NonZeroUsize::new(1))?;
        let twin = if device == Device::Cuda { twin.with_whole_blocks() } else { twin };
        Ok(Self {
            on: format!("{}:{}", device.name(), precision.name()),
            precision,
            levels,
            device: cuda,
            twin,
        })
    }

    fn judge(&mut self, entry: &Entry, format: Option<Format>, rows: &mut Vec<Row>) -> Result<(), Error> {
        for &sizes in entry.shapes {
            let on = self.on.clone();
            let given = Given { sizes, format, backend: &on };
            rows.extend(entry.kind.visit(Judge { place: self, entry, given })?);
        }
        Ok(())
    }

    fn time(&mut self, entry: &Entry, format: Option<Format>, times: &mut Vec<Time>) -> Result<(), Error> {
        for &sizes in entry.timed {
            let on = self.on.clone();
            let given = Given { sizes, format, backend: &on };
            times.extend(entry.kind.visit(Stopwatch { place: self, entry, given })?);
        }
        Ok(())
    }
}

fn shape(given: &Given<'_>) -> String {
    given.sizes.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
}

fn refused(error: crate::battery::Error) -> Error {
    Error::Usage(format!("the table of operations: {error}"))
}

/// Compares one operation.
struct Judge<'a> {
    place: &'a mut Place,
    entry: &'a Entry,
    given: Given<'a>,
}

impl Visit for Judge<'_> {
    type Out = Result<Vec<Row>, Error>;
    fn visit<O: Operation>(self) -> Self::Out {
        let Self { place, entry, given } = self;
        let operation = O::of(&given).map_err(refused)?;
        let twin = results(&operation, &mut place.twin).map_err(crate::Error::backend)?;
        let bound = entry.bound(place.precision);
        let row = |instructions, results: Result<Vec<f32>, String>| {
            let (results, failed) = match results {
                Ok(results) => (results, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            let (meaning, seen) = operation.beside(&results);
            let error = bound.error(&meaning, &seen);
            let whole = results.len() == twin.len();
            let differing = twin.iter().zip(&results).filter(|(t, r)| t.to_bits() != r.to_bits()).count();
            let as_twin = match instructions {
                Some(_) => differing == 0,
                None => between(&twin, &results) <= ORDER,
            };
            Row {
                operation: entry.kind.name(),
                format: given.format.map(|f| f.row().name),
                shape: shape(&given),
                on: given.backend.to_owned(),
                instructions,
                elements: results.len(),
                differing,
                error: Number(error),
                metric: bound.name(),
                bound: bound.value(),
                failed,
                // NaN holds nothing.
                holds: whole && as_twin && error <= bound.value(),
            }
        };
        let mut rows = Vec::new();
        for (level, cpu) in &mut place.levels {
            rows.push(row(Some(level.name()), results(&operation, cpu).map_err(|e| e.to_string())));
        }
        if let Some((options, cuda)) = &mut place.device {
            let made = results(&operation, cuda).map_err(|e| e.to_string());
            // A device that reported a fault computes nothing more.
            if made.is_err() {
                *cuda = Cuda::new(options.precision, &options.cuda)?;
            }
            rows.push(row(None, made));
        }
        Ok(rows)
    }
}

fn results<B: Backend>(operation: &impl Operation, be: &mut B) -> Result<Vec<f32>, B::Err> {
    operation.results(be, &mut Clock::default())
}

/// Normalized squared error between two backends; NaN where either has one.
fn between(twin: &[f32], results: &[f32]) -> f64 {
    let f64s = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    crate::battery::Bound::Nmse(ORDER).error(&f64s(twin), &f64s(results))
}

/// Times one operation.
struct Stopwatch<'a> {
    place: &'a mut Place,
    entry: &'a Entry,
    given: Given<'a>,
}

impl Visit for Stopwatch<'_> {
    type Out = Result<Option<Time>, Error>;
    fn visit<O: Operation>(self) -> Self::Out {
        let Self { place, entry, given } = self;
        let operation = O::of(&given).map_err(refused)?;
        let mut clock = Clock::timing(BUDGET);
        let mut instructions = None;
        if let Some((level, cpu)) = place.levels.first_mut() {
            instructions = Some(level.name());
            operation.results(cpu, &mut clock).map_err(crate::Error::backend)?;
        } else if let Some((_, cuda)) = &mut place.device {
            operation.results(cuda, &mut clock)?;
        }
        let work = operation.work();
        Ok(clock.best().map(|best| {
            let seconds = best.as_secs_f64().max(1e-9);
            Time {
                operation: entry.kind.name(),
                format: given.format.map(|f| f.row().name),
                shape: shape(&given),
                on: given.backend.to_owned(),
                instructions,
                seconds,
                gigabytes_per_second: work.bytes as f64 / seconds / 1e9,
                gigaflops: work.flops as f64 / seconds / 1e9,
                bytes: work.bytes,
            }
        }))
    }
}

fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| operation | format | on | instructions | shapes | worst | bound | |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let same = |a: &&Row, b: &&Row| {
        (a.operation, a.format, &a.on, a.instructions) == (b.operation, b.format, &b.on, b.instructions)
    };
    let mut rows: Vec<&Row> = report.rows.iter().collect();
    // Stable: the shapes of one operation in one place come together, in the order in which they were tried.
    rows.sort_by_key(|r| {
        let kind = Kind::ALL.iter().position(|k| k.name() == r.operation);
        (kind, FORMATS.iter().position(|f| Some(f.name) == r.format), r.on.clone(), r.instructions)
    });
    for group in rows.chunk_by(|a, b| same(a, b)) {
        let row = group[0];
        let worst = group.iter().map(|r| r.error.0).fold(0.0, larger);
        let format = row.format.unwrap_or("");
        let failing = group.iter().filter(|r| !r.holds).count();
        let verdict = if failing == 0 { "holds".to_owned() } else { format!("DIFFERS in {failing}") };
        writeln!(
            out,
            "| {} | {format} | {} | {} | {} | {} {worst:.1e} | {:.0e} | {verdict} |",
            row.operation,
            row.on,
            row.instructions.unwrap_or(""),
            group.len(),
            row.metric,
            row.bound
        )?;
    }
    for row in rows.iter().filter(|r| !r.holds) {
        let format = row.format.unwrap_or("no weights");
        let Row { operation, on, shape, elements, differing, metric, bound, .. } = row;
        let place = format!("{on} {}", row.instructions.unwrap_or(""));
        write!(out, "\nDIFFERS {operation}, {format}, {shape}, {}: ", place.trim_end())?;
        match &row.failed {
            Some(failed) => writeln!(out, "{failed}")?,
            None => writeln!(
                out,
                "{differing} of {elements} results are not the twin's, {metric} {:.1e} from the meaning, expected at most {bound:.0e}",
                row.error.0
            )?,
        }
    }
    if !report.times.is_empty() {
        writeln!(
            out,
            "\n| operation | format | shape | on | instructions | time | bytes | GB/s | GFLOP/s |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    }
    for t in &report.times {
        let (format, instructions) = (t.format.unwrap_or(""), t.instructions.unwrap_or(""));
        writeln!(
            out,
            "| {} | {format} | {} | {} | {instructions} | {:.2} us | {} | {:.1} | {:.1} |",
            t.operation,
            t.shape,
            t.on,
            t.seconds * 1e6,
            Bytes(t.bytes as u64),
            t.gigabytes_per_second,
            t.gigaflops
        )?;
    }
    let Report { rows, differ, .. } = report;
    writeln!(out, "\n{} compared, {differ} differ", rows.len())
}
