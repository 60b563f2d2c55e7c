//! A wrong operation in a small file: its operands, what it should make and what was found, so that it runs again alone,
//! on any machine and any backend, without the model.
//!
//! The file is safetensors. `capsule` in its metadata is a JSON object ([`Header`]); the tensors are `input.<i>` and
//! `route.weights` (f32), `route.ids` (i32), `weights.<i>` (the bytes of rows of blocks), `expected` and `found` (f32).

use super::extract::{Part, extract};
use super::{Script, agrees};
use crate::Error;
use crate::backend::{Precision, Routes, Rows};
use crate::compare::{Comparison, Verdict};
use crate::operation::{Operation, Plane, Settings, Weights};
use crate::quant::FORMATS;
use crate::session::{Arithmetic, Model, Workbench};
use crate::stage::Site;
use crate::trace::{Checksum, Number};
use fault::fault;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

/// The version of the layout.
pub const SCHEMA: &str = "apr-capsule/1";
/// The entry of the metadata.
const KEY: &str = "capsule";
/// Bytes of operands up to which a capsule holds all that is wrong; a larger one holds the worst element's row alone.
const SMALL: u64 = 16 << 20;

/// Everything of a capsule but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Program and version that wrote it.
    pub tool: String,
    /// The model's file.
    pub model: String,
    /// The value: `layers.<N>.<stage>` or `<stage>`.
    pub key: String,
    /// Backend and precision on which it was found, `cpu:fast`.
    pub side: String,
    /// The precision.
    pub precision: String,
    /// Positions of the rows.
    pub positions: Vec<u32>,
    /// Of an embedding: row of the weights of each row.
    pub tokens: Vec<u32>,
    /// Of the final norm: the rows that are normed.
    pub outputs: Vec<u32>,
    /// Columns of the value: first and past the last.
    pub columns: [usize; 2],
    /// What the operation depends on.
    pub settings: Settings,
    /// The weights.
    pub weights: Vec<Tensor>,
}

/// Rows of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Its name in the file.
    pub tensor: String,
    /// Its format.
    pub format: String,
    /// Matrices, rows of one, columns.
    pub shape: [usize; 3],
    /// Column of the result that the first row makes.
    pub col: usize,
    /// Row of the file's matrix that is the first here.
    pub first_row: usize,
    /// Which matrices of the file's tensor these are (of an embedding, which rows); empty for all.
    pub picked: Vec<u32>,
}

/// A capsule.
#[derive(Debug, Clone)]
pub struct Capsule {
    /// What it says.
    pub header: Header,
    /// The operation.
    pub operation: Operation,
    /// What the scalar twin makes.
    pub expected: Vec<f32>,
    /// What was found.
    pub found: Vec<f32>,
}

/// Where a value is wrong.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub site: Site,
    /// The last layer that runs.
    pub last: usize,
    /// Positions of the value, consecutive.
    pub positions: &'a [u32],
    /// The value.
    pub found: &'a [f32],
    /// The first and the last of its wrong rows of positions, and of its wrong columns.
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Row and column of the worst element.
    pub worst: (usize, usize),
}

/// Who made a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker<'a> {
    pub model: &'a Model,
    /// Backend and precision.
    pub side: &'a str,
    pub precision: Precision,
    pub threads: Option<NonZeroUsize>,
}

impl Capsule {
    /// The operation behind a wrong value of a script; none where the script does not hold what it reads.
    pub(super) fn of(maker: Maker<'_>, script: &Script, place: &Place<'_>) -> Result<Option<Self>, Error> {
        let Place { site, last, positions, found, .. } = *place;
        let per_position = found.len() / positions.len().max(1);
        let take = |rows: Range<usize>, columns: Range<usize>| {
            let part =
                Part { positions: positions.get(rows.clone())?, columns: Some((columns.start, columns.end)) };
            let operation = extract(maker.model, script, site, last, part)?;
            let width = (site.stage.row().shape)(maker.model.config()).iter().product::<usize>();
            let row =
                width / super::script::rows_per_position(site.stage, maker.model.config().chosen()).max(1);
            let found = found.get(rows.start * per_position..rows.end * per_position)?;
            let columns = operation.columns.clone();
            let found = found.chunks_exact(row.max(1)).filter_map(|r| r.get(columns.clone())).flatten();
            let found: Vec<f32> = found.copied().collect();
            Some((operation, found))
        };
        let all = take(place.rows.clone(), place.columns.clone());
        let (row, column) = place.worst;
        let (operation, found) = match all.filter(|(o, _)| o.bytes() <= SMALL) {
            Some(all) => all,
            None => match take(row..row + 1, column..column + 1) {
                Some(one) => one,
                None => return Ok(None),
            },
        };
        let arithmetic = Arithmetic::of(maker.side, maker.precision, maker.model);
        let expected = Workbench::twin(arithmetic, maker.threads)?.perform(&operation)?;
        let file = maker.model.mapped().path().file_name().unwrap_or_default();
        let weights = operation.weights.iter().map(|w| Tensor {
            tensor: w.tensor.clone(),
            format: w.format.row().name.to_owned(),
            shape: [w.count, w.rows, w.cols],
            col: w.col,
            first_row: w.first_row,
            picked: w.picked.clone(),
        });
        let header = Header {
            schema: SCHEMA.to_owned(),
            tool: concat!("apr ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: file.to_string_lossy().into_owned(),
            key: site.to_string(),
            side: maker.side.to_owned(),
            precision: maker.precision.name().to_owned(),
            positions: operation.rows.position.clone(),
            tokens: operation.rows.token.clone(),
            outputs: operation.rows.out.clone(),
            columns: [operation.columns.start, operation.columns.end],
            settings: operation.settings.clone(),
            weights: weights.collect(),
        };
        Ok(Some(Self { header, operation, expected, found }))
    }

    /// The precision in which it was found.
    ///
    /// # Errors
    /// When the header names none.
    pub fn precision(&self) -> Result<Precision, String> {
        let name = &self.header.precision;
        Precision::from_name(name)
            .ok_or_else(|| format!("has the precision '{name}', expected exact or fast"))
    }

    /// Its file.
    ///
    /// # Errors
    /// When the header is too large for the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let refuse = |what: String| Error::Operation { site: self.header.key.clone(), what };
        let header = serde_json::to_string(&self.header).map_err(|e| refuse(e.to_string()))?;
        let floats = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let o = &self.operation;
        for (i, p) in o.inputs.iter().enumerate() {
            tensors.push((format!("input.{i}"), Dtype::F32, vec![p.rows(), p.width], floats(&p.values)));
        }
        if let Some(r) = &o.route {
            let shape = vec![r.margin.len(), r.chosen];
            let ids = r.ids.iter().flat_map(|id| (*id as i32).to_le_bytes()).collect();
            tensors.push(("route.ids".to_owned(), Dtype::I32, shape.clone(), ids));
            tensors.push(("route.weights".to_owned(), Dtype::F32, shape, floats(&r.weights)));
        }
        for (i, w) in o.weights.iter().enumerate() {
            tensors.push((format!("weights.{i}"), Dtype::U8, vec![w.bytes.len()], w.bytes.to_vec()));
        }
        let width = o.columns.len().max(1);
        for (name, values) in [("expected", &self.expected), ("found", &self.found)] {
            let shape = vec![values.len() / width, width];
            tensors.push((name.to_owned(), Dtype::F32, shape, floats(values)));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|e| refuse(e.to_string()))
    }

    /// Reads a capsule's file.
    ///
    /// # Errors
    /// Everything that is wrong with it; [`Unreadable::Newer`] for one that another version wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bad = |e: &dyn std::fmt::Display| Unreadable::Corrupt(e.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes)
            .map_err(|e| bad(&format_args!("{e}, expected a capsule in safetensors")))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| bad(&"is safetensors without a capsule's header"))?;
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(&e))?;
        // The version first: another one's fields are not ours to judge.
        match value.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => {}
            Some(other) => {
                return Err(Unreadable::Newer(format!("has schema '{other}', expected '{SCHEMA}'")));
            }
            None => return Err(bad(&format_args!("has no schema, expected '{SCHEMA}'"))),
        }
        let header: Header = serde_json::from_value(value).map_err(|e| bad(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| bad(&e))?;
        let site: Site =
            header.key.parse().map_err(|e| bad(&format_args!("has key '{}': {e}", header.key)))?;
        let floats = |name: &str| {
            let view = file.tensor(name).map_err(|_| bad(&format_args!("holds no tensor '{name}'")))?;
            match (view.dtype(), view.shape()) {
                (Dtype::F32, &[rows, width]) if width > 0 => {
                    let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    Ok((rows, Plane { width, values }))
                }
                (dtype, shape) => {
                    Err(bad(&format_args!("'{name}' is {dtype:?} {shape:?}, expected F32 [rows, columns]")))
                }
            }
        };
        let has = |name: &str| file.names().contains(&name);
        let mut inputs = Vec::new();
        while has(&format!("input.{}", inputs.len())) {
            inputs.push(floats(&format!("input.{}", inputs.len()))?.1);
        }
        let route = match has("route.ids") {
            false => None,
            true => {
                let ids = file.tensor("route.ids").map_err(|e| bad(&e))?;
                let (rows, Plane { width: chosen, values: weights }) = floats("route.weights")?;
                if ids.dtype() != Dtype::I32 || ids.shape() != [rows, chosen] {
                    let (dtype, shape) = (ids.dtype(), ids.shape());
                    return Err(bad(&format_args!(
                        "'route.ids' is {dtype:?} {shape:?}, expected I32 [{rows}, {chosen}]"
                    )));
                }
                let ids = ids.data().as_chunks().0.iter().map(|b| u32::try_from(i32::from_le_bytes(*b)));
                let ids = ids.collect::<Result<_, _>>().map_err(|_| bad(&"holds a negative expert"))?;
                Some(Routes { chosen, ids, weights, margin: vec![0.0; rows] })
            }
        };
        let mut weights = Vec::new();
        for (i, t) in header.weights.iter().enumerate() {
            let name = format!("weights.{i}");
            let view = file.tensor(&name).map_err(|_| bad(&format_args!("holds no tensor '{name}'")))?;
            let format = FORMATS.iter().find(|r| r.name == t.format);
            let format =
                format.ok_or_else(|| Unreadable::Newer(format!("has weights of format '{}'", t.format)))?;
            let [count, rows, cols] = t.shape;
            weights.push(Weights {
                tensor: t.tensor.clone(),
                format: format.format,
                count,
                rows,
                cols,
                col: t.col,
                first_row: t.first_row,
                picked: t.picked.clone(),
                bytes: view.data().to_vec().into(),
            });
        }
        let rows = Rows {
            token: header.tokens.clone(),
            position: header.positions.clone(),
            sequence: vec![0; header.positions.len()],
            out: header.outputs.clone(),
        };
        let (expected, found) = (floats("expected")?.1.values, floats("found")?.1.values);
        let columns = header.columns[0]..header.columns[1];
        let settings = header.settings.clone();
        let operation = Operation { site, settings, rows, inputs, route, weights, columns };
        let (rows, columns) = operation.check().map_err(|what| bad(&format_args!("the operation {what}")))?;
        for (name, values) in [("expected", &expected), ("found", &found)] {
            if values.len() != rows * columns {
                let n = values.len();
                return Err(bad(&format_args!(
                    "'{name}' holds {n} numbers, expected {rows} rows of {columns}"
                )));
            }
        }
        let capsule = Self { header, operation, expected, found };
        capsule.precision().map_err(|e| bad(&e))?;
        Ok(capsule)
    }

    /// Reads a capsule.
    ///
    /// # Errors
    /// As [`Capsule::from_bytes`], and when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let bytes = std::fs::read(path)
            .map_err(|e| Unreadable::Io(Error::Io { path: path.to_owned(), source: e }))?;
        Self::from_bytes(&bytes)
    }

    /// Performs it and holds the result against what is expected.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn replay(&self, on: &mut Workbench) -> Result<Replay, Error> {
        let made = on.perform(&self.operation)?;
        let stage = self.operation.site.stage;
        let judged = |values: &[f32]| {
            let (holds, nmse) = agrees(stage, &self.expected, values);
            let clean = |v: &[f32]| v.iter().all(|x| x.is_finite());
            let verdict =
                match (holds || fault!("replay-holds-anything"), clean(&self.expected), clean(values)) {
                    (true, ..) => Verdict::Match,
                    (false, true, false) => Verdict::NanRight,
                    (false, false, true) => Verdict::NanLeft,
                    (false, ..) => Verdict::Diverge,
                };
            Judgement {
                verdict,
                nmse: Number(nmse),
                not_finite: values.iter().filter(|x| !x.is_finite()).count(),
            }
        };
        let bytes: Vec<u8> = made.iter().flat_map(|v| v.to_le_bytes()).collect();
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        Ok(Replay {
            made: judged(&made),
            found: judged(&self.found),
            as_found: made.iter().zip(&self.found).all(same),
            hash: Checksum::of(&bytes),
            worst: Comparison::of(&self.expected, &made, None).map(|c| c.worst).unwrap_or_default(),
            elements: made.len(),
        })
    }
}

/// Why a capsule cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The system refused.
    Io(Error),
    /// It does not hold together.
    Corrupt(String),
    /// Another version wrote it: this one cannot tell what it means.
    Newer(String),
}

/// A value beside what is expected.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement {
    /// Whether it is what the twin makes.
    pub verdict: Verdict,
    /// By how much it is not.
    pub nmse: Number,
    /// Elements that are not finite.
    pub not_finite: usize,
}

/// What came of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    /// What was made now.
    pub made: Judgement,
    /// What the capsule was made for.
    pub found: Judgement,
    /// Whether what was made now is what was found, bit by bit.
    pub as_found: bool,
    /// The [`Checksum`] of what was made: machines compare by it.
    pub hash: String,
    /// Elements furthest from what is expected.
    pub worst: Vec<crate::compare::Element>,
    /// Elements of the result.
    pub elements: usize,
}
