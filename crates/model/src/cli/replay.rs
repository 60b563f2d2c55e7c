//! `apr replay`: one operation of a capsule again, alone; and how capsules are written.

use super::error::Error;
use super::exit::Exit;
use super::output::{Bytes, present};
use super::place::{Hardware, device};
use crate::bisect::{Capsule, Judgement, Replayed, Unreadable, operands};
use crate::session::{Device, Workbench};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `apr replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A capsule holds one operation: its inputs, its rows of weights, what the scalar twin of its precision makes of them, and the
wrong value that was found. `apr bisect --capsule` and `apr run --check-finite --capsule` write one. It needs no model.

Exit code 0 when the operation makes what is expected here, 1 when it does not, and 125 when it cannot be tried here: the
backend is not there, or another version wrote the file. So `git bisect run apr replay FILE` skips what says nothing.

Example: apr replay wrong.capsule
Example: apr replay wrong.capsule --backend cuda")]
pub struct Args {
    /// The capsule
    #[arg(value_name = "CAPSULE")]
    pub file: PathBuf,
    /// Where: cpu or cuda [default: where it was found]
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// Refuse to read more bytes than this
    #[arg(long, value_name = "N", default_value_t = MOST)]
    pub max_bytes: u64,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// With what.
    #[command(flatten)]
    pub hardware: Hardware,
}

/// Bytes of a capsule unless said otherwise.
const MOST: u64 = 1_000_000_000;

/// Where a wrong operation goes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Target {
    /// Write the wrong operation into a small file, for `apr replay`
    #[arg(long, value_name = "FILE", help_heading = "Capsule")]
    pub capsule: Option<PathBuf>,
    /// Refuse to write a larger capsule than this
    #[arg(long, value_name = "N", default_value_t = MOST, help_heading = "Capsule", requires = "capsule")]
    pub capsule_max_bytes: u64,
}

impl Target {
    /// Writes a capsule where one is wanted: its size is said first, and the file is there whole or not at all.
    ///
    /// # Errors
    /// When it is too large or cannot be written.
    pub fn write(&self, capsule: &Capsule) -> Result<(), crate::Error> {
        let Some(path) = &self.capsule else { return Ok(()) };
        let (bytes, most) = (capsule.to_bytes()?, self.capsule_max_bytes);
        let n = bytes.len() as u64;
        eprintln!("{}: {} in a capsule, {} ({n} bytes)", path.display(), capsule.header.key, Bytes(n));
        if n > most {
            let what = format!("takes {n} bytes, expected at most {most} (--capsule-max-bytes)");
            return Err(crate::Error::Capsule { path: path.clone(), what });
        }
        let io = |source| crate::Error::Io { path: path.clone(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        file.write_all(&bytes).map_err(io)?;
        file.persist(path).map_err(|e| io(e.error))?;
        Ok(())
    }
}

/// Runs `apr replay`.
///
/// # Errors
/// A file that cannot be read, is too large, or does not hold together.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let path = &args.file;
    let bad = |what: String| Error::Model(crate::Error::Capsule { path: path.clone(), what });
    let io = |source| crate::Error::Io { path: path.clone(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(bad("is no file, expected a capsule".to_owned()));
    }
    let (n, most) = (metadata.len(), args.max_bytes);
    eprintln!("{}: {} ({n} bytes)", path.display(), Bytes(n));
    if n > most {
        return Err(bad(format!("has {n} bytes, expected at most {most} (--max-bytes)")));
    }
    let cannot = |why: String| {
        eprintln!("apr: {}: cannot be tried here: {why}", path.display());
        Ok(Exit::Untested)
    };
    let capsule = match Capsule::read(path) {
        Ok(capsule) => capsule,
        Err(Unreadable::Io(error)) => return Err(error.into()),
        Err(Unreadable::Corrupt(what)) => return Err(bad(what)),
        Err(Unreadable::Newer(what)) => return cannot(what),
    };
    let precision = capsule.precision().map_err(bad)?;
    let found_on = capsule.header.side.split(':').next().unwrap_or_default();
    let device = device(args.backend.as_deref().unwrap_or(found_on))?;
    let options = args.hardware.options(device, precision);
    let replayed = Workbench::new(&options).and_then(|mut on| capsule.replay(&mut on));
    let replayed = match replayed {
        Ok(replayed) => replayed,
        Err(error) => return cannot(error.to_string()),
    };
    let report = Report::new(&capsule, device, replayed);
    present(&report, args.json, |report, out| report.write(out))?;
    Ok(if report.holds() { Exit::Holds } else { Exit::Diverges })
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    model: &'a str,
    key: &'a str,
    primitive: &'static str,
    weights: Vec<String>,
    positions: &'a [u32],
    columns: [usize; 2],
    /// Who found it, and with which program.
    found_on: &'a str,
    found_by: &'a str,
    /// Where it was performed now.
    on: String,
    bound: f64,
    #[serde(flatten)]
    result: Replayed,
}

impl<'a> Report<'a> {
    fn new(capsule: &'a Capsule, device: Device, result: Replayed) -> Self {
        let h = &capsule.header;
        let weights = h.weights.iter().map(|w| format!("{} ({})", w.tensor, w.format));
        Self {
            schema: "apr-replay/1",
            model: &h.model,
            key: &h.key,
            primitive: operands(&h.settings.config(), capsule.operation.site, 0).primitive,
            weights: weights.collect(),
            positions: &h.positions,
            columns: h.columns,
            found_on: &h.side,
            found_by: &h.tool,
            on: format!("{}:{}", device.name(), h.precision),
            bound: crate::bisect::STRICT,
            result,
        }
    }

    fn holds(&self) -> bool {
        self.result.made.verdict == crate::compare::Verdict::Match
    }

    fn write(&self, out: &mut (impl Write + ?Sized)) -> std::io::Result<()> {
        let with = match &self.weights[..] {
            [] => String::new(),
            all => format!(" with {}", all.join(", ")),
        };
        writeln!(out, "{} of {}: `{}`{with}", self.key, self.model, self.primitive)?;
        let n = self.result.elements;
        let judged = |j: &Judgement| match j.not_finite {
            0 => format!("{}, NMSE {:.1e}", j.verdict, j.nmse.0),
            bad => format!("{}, {bad} of {n} elements are not finite", j.verdict),
        };
        let [first, end] = self.columns;
        writeln!(out, "{:<12} {n} elements, columns {first}..{end}, by the scalar twin", "expected")?;
        let found_on = format!("{} by {}", self.found_on, self.found_by);
        writeln!(out, "{:<12} {} on {found_on}", "found", judged(&self.result.found))?;
        writeln!(
            out,
            "{:<12} {} on {}, digest {}",
            "here",
            judged(&self.result.made),
            self.on,
            self.result.hash
        )?;
        let worst = self.result.worst.first().filter(|_| !self.holds());
        if let Some(w) = worst {
            writeln!(out, "{:<12} element {}: {:e} instead of {:e}", "worst", w.index, w.right, w.left)?;
        }
        let says = match (self.holds(), self.result.as_found) {
            (true, _) => "the operation is right here",
            (false, true) => "the operation is wrong here, bit by bit as it was found",
            (false, false) => "the operation is wrong here, otherwise than it was found",
        };
        writeln!(out, "\n{says}")
    }
}
