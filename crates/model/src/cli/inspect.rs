//! `apr inspect`: what a file says about itself, without running it.

use super::error::Error;
use super::exit::Exit;
use super::output::{Bytes, present};
use super::place::Place;
use crate::architecture;
use crate::backend::Memory;
use crate::config::Config;
use crate::footprint::Footprint;
use crate::gguf::{self, Array, Value};
use crate::mapped::Mapped;
use crate::quant::FORMATS;
use crate::session::{Device, Model, Out};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `apr inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --backend cuda the model is loaded and one token computed, to tell what memory of the device it takes.

Example: apr inspect model.gguf --json | jq .formats
Example: apr inspect model.gguf --backend cuda --precision fast")]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
    /// Show arrays of more than 8 elements in full
    #[arg(long)]
    pub full: bool,
    /// Where the model would run.
    #[command(flatten)]
    pub place: Place,
}

/// Runs `apr inspect`.
///
/// # Errors
/// When the file cannot be read or does not hold together.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let map = Mapped::open(&args.file)?;
    let file = gguf::File::parse(&map).map_err(|e| crate::Error::from(e).in_file(&args.file))?;
    let cost = Config::from_gguf(&file, &map).map(|config| Footprint::new(&config, &file.tensors));
    let memory = memory(args)?;
    let report =
        Report { memory, ..Report::new(&args.file.to_string_lossy(), map.len(), &file, cost, args.full) };
    present(&report, args.json, |report, out| report.write(out))?;
    Ok(Exit::Holds)
}

/// What the model takes of a device's memory; `None` on the CPU.
fn memory(args: &Args) -> Result<Option<DeviceMemory>, Error> {
    if args.place.options()?.device == Device::Cpu {
        return Ok(None);
    }
    let model = Model::open(&args.file)?;
    let (mut session, options) = args.place.session(&model)?;
    // Scratch and kernels are taken by the first pass.
    session.run(&[0], Out::Last)?;
    Ok(session.memory()?.map(|m| DeviceMemory::new(m, options.precision.name())))
}

/// Arrays up to this length are always shown in full.
const SHORT: usize = 8;

#[derive(Serialize)]
struct Report {
    file: String,
    bytes: usize,
    version: u32,
    alignment: u32,
    weights: u64,
    /// Absent when the file describes no model that can be run; `not_runnable` then says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    active_bytes_per_token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kv_bytes_per_token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_runnable: Option<String>,
    /// Absent unless the model was loaded onto a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<DeviceMemory>,
    metadata: IndexMap<String, Key>,
    formats: Vec<Format>,
    tensors: Vec<Tensor>,
}

/// Bytes of device memory.
#[derive(Serialize)]
struct DeviceMemory {
    precision: &'static str,
    weights: usize,
    kv: usize,
    workspace: usize,
    /// The three together.
    taken: usize,
    /// By how much the device's free memory dropped since the device was taken into use.
    drop: usize,
    free: usize,
    total: usize,
}

impl DeviceMemory {
    fn new(m: Memory, precision: &'static str) -> Self {
        let Memory { weights, kv, workspace, free, total, .. } = m;
        Self { precision, weights, kv, workspace, taken: m.taken(), drop: m.drop(), free, total }
    }
}

#[derive(Serialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    /// `null` for arrays that are not shown.
    value: Json,
}

#[derive(Serialize)]
struct Format {
    #[serde(rename = "type")]
    name: &'static str,
    tensors: usize,
    weights: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    /// Outermost axis first; the last one is contiguous.
    shape: Vec<usize>,
    #[serde(rename = "type")]
    format: &'static str,
    offset: usize,
    bytes: usize,
}

impl Report {
    fn new(
        path: &str,
        bytes: usize,
        file: &gguf::File,
        cost: Result<Footprint, architecture::Error>,
        full: bool,
    ) -> Self {
        let metadata = file
            .metadata
            .iter()
            .map(|(key, value)| {
                let kind = match value {
                    Value::Array(a) => a.to_string(),
                    other => other.kind().name().to_owned(),
                };
                (key.to_owned(), Key { kind, value: to_json(value, full) })
            })
            .collect();
        let formats = FORMATS
            .iter()
            .filter_map(|row| {
                let of: Vec<_> = file.tensors.iter().filter(|t| t.format == row.format).collect();
                (!of.is_empty()).then(|| Format {
                    name: row.name,
                    tensors: of.len(),
                    weights: of.iter().map(|t| t.weights() as u64).sum(),
                    bytes: of.iter().map(|t| t.bytes.len() as u64).sum(),
                })
            })
            .collect();
        let tensors = file
            .tensors
            .iter()
            .map(|t| Tensor {
                name: t.name.clone(),
                shape: t.dims.iter().rev().copied().collect(),
                format: t.format.row().name,
                offset: t.bytes.start,
                bytes: t.bytes.len(),
            })
            .collect();
        Self {
            file: path.to_owned(),
            bytes,
            version: file.version,
            alignment: file.alignment,
            weights: file.tensors.iter().map(|t| t.weights() as u64).sum(),
            active_bytes_per_token: cost.as_ref().ok().map(|c| c.active),
            kv_bytes_per_token: cost.as_ref().ok().map(|c| c.cached),
            not_runnable: cost.err().map(|e| e.to_string()),
            memory: None,
            metadata,
            formats,
            tensors,
        }
    }

    fn write(&self, out: &mut (impl Write + ?Sized)) -> std::io::Result<()> {
        writeln!(out, "{}", self.file)?;
        writeln!(
            out,
            "GGUF version {}, {} ({} bytes), {} tensors, {:.3} G weights, alignment {}",
            self.version,
            Bytes(self.bytes as u64),
            self.bytes,
            self.tensors.len(),
            self.weights as f64 / 1e9,
            self.alignment
        )?;
        if let (Some(active), Some(cached)) = (self.active_bytes_per_token, self.kv_bytes_per_token) {
            writeln!(
                out,
                "One token reads {} of weights and keeps {} of keys and values (f16)",
                Bytes(active),
                Bytes(cached)
            )?;
        }
        if let Some(reason) = &self.not_runnable {
            writeln!(out, "Cannot be run: {reason}")?;
        }
        if let Some(m) = &self.memory {
            let size = |bytes: usize| Bytes(bytes as u64).to_string();
            writeln!(
                out,
                "On the device ({}): weights {}, keys and values {}, workspace {}: {} ({} bytes)",
                m.precision,
                size(m.weights),
                size(m.kv),
                size(m.workspace),
                size(m.taken),
                m.taken
            )?;
            writeln!(
                out,
                "Its free memory dropped by {} ({} bytes) to {} of {}",
                size(m.drop),
                m.drop,
                size(m.free),
                size(m.total)
            )?;
        }
        writeln!(out, "\nMetadata ({})", self.metadata.len())?;
        let width = self.metadata.keys().map(|k| k.chars().count()).max().unwrap_or(0);
        for (name, key) in &self.metadata {
            let value = if key.value.is_null() { String::new() } else { format!("  {}", key.value) };
            writeln!(out, "  {:width$}  {}{value}", name.escape_debug().to_string(), key.kind)?;
        }
        writeln!(out, "\nTypes")?;
        for f in &self.formats {
            writeln!(
                out,
                "  {:6}  {:5} tensors  {:>14} weights  {:>9}",
                f.name,
                f.tensors,
                f.weights,
                Bytes(f.bytes)
            )?;
        }
        writeln!(out, "\nTensors ({})", self.tensors.len())?;
        let width = self.tensors.iter().map(|t| t.name.chars().count()).max().unwrap_or(0);
        for t in &self.tensors {
            let shape = t.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
            writeln!(
                out,
                "  {:width$}  {:6}  {shape:18}  {:>9} at {}",
                t.name.escape_debug().to_string(),
                t.format,
                Bytes(t.bytes as u64),
                t.offset
            )?;
        }
        Ok(())
    }
}

fn to_json(value: &Value, full: bool) -> Json {
    match value {
        Value::U8(v) => json!(v),
        Value::I8(v) => json!(v),
        Value::U16(v) => json!(v),
        Value::I16(v) => json!(v),
        Value::U32(v) => json!(v),
        Value::I32(v) => json!(v),
        Value::F32(v) => single(*v),
        Value::Bool(v) => json!(v),
        Value::String(v) => json!(v),
        Value::Array(v) => array(v, full),
        Value::U64(v) => json!(v),
        Value::I64(v) => json!(v),
        Value::F64(v) => float(*v),
    }
}

/// JSON has no NaN and no infinity; they are shown as text.
fn float(v: f64) -> Json {
    if v.is_finite() { json!(v) } else { json!(v.to_string()) }
}

/// The shortest decimal that is this f32.
fn single(v: f32) -> Json {
    match v.to_string().parse() {
        Ok(shortest) => float(shortest),
        Err(_) => float(v.into()),
    }
}

fn array(array: &Array, full: bool) -> Json {
    if array.len() > SHORT && !full {
        return Json::Null;
    }
    match array {
        Array::U8(v) => json!(v),
        Array::I8(v) => json!(v),
        Array::U16(v) => json!(v),
        Array::I16(v) => json!(v),
        Array::U32(v) => json!(v),
        Array::I32(v) => json!(v),
        Array::F32(v) => v.iter().map(|&x| single(x)).collect(),
        Array::Bool(v) => json!(v),
        Array::String(v) => json!(v),
        Array::Array(v) => v.iter().map(|a| self::array(a, full)).collect(),
        Array::U64(v) => json!(v),
        Array::I64(v) => json!(v),
        Array::F64(v) => v.iter().map(|&x| float(x)).collect(),
    }
}
