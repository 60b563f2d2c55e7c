//! How an operation is taken out of a pass: its inputs from a script, its weights from the model's file.

use super::Script;
use super::operands::{operands, tensor_name};
use super::script::rows_per_position;
use crate::backend::Rows;
use crate::bytes::Bytes;
use crate::operation::{Operation, Plane, Settings, Weights};
use crate::session::Model;
use crate::stage::{Scope, Site, Stage};
use crate::tensors::Role;
use fault::fault;

/// Rows of weights that kernels take together: a part of a matrix begins and ends at a whole number of them.
const TOGETHER: usize = 16;

/// The value of consecutive positions that an operation is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// The positions.
    pub(super) positions: &'a [u32],
    /// Of products: columns of the value; `None` for all, whose weights are then not copied.
    pub(super) columns: Option<(usize, usize)>,
}

/// The operation that makes a value of a script, from the script's inputs. `last` is the last layer that runs. None
/// where the script or the model does not hold what it reads.
pub(super) fn extract(
    model: &Model,
    script: &Script,
    site: Site,
    last: usize,
    part: Part<'_>,
) -> Option<Operation> {
    use Stage as S;
    let config = model.config();
    let made_of = operands(config, site, last);
    let Part { positions, columns } = part;
    let (&first, &end) = (positions.first()?, positions.last()?);
    let rows_from = |first: u32| -> Vec<u32> { (first..=end).collect() };
    let plane = |site: Site, positions: &[u32]| {
        let values = script.value(site, positions)?;
        let rows = positions.len() * rows_per_position(site.stage, config.chosen());
        Some(Plane { width: values.len() / rows.max(1), values: values.to_vec() })
    };
    let (q, kv) = (config.q_width(), config.kv_width());
    let mut read = positions.to_vec();
    let mut inputs = Vec::new();
    match site.stage {
        S::Attention => {
            let all = rows_from(0);
            let (keys, values) = script.keys_and_values(config, site.layer?, &all)?;
            inputs.push(plane(*made_of.inputs.first()?, positions)?);
            inputs.push(Plane { width: kv, values: keys });
            inputs.push(Plane { width: kv, values });
        }
        S::FinalNorm => {
            read = rows_from(script.first_behind(first));
            inputs.push(plane(*made_of.inputs.first()?, &read)?);
        }
        // Of queries and keys side by side, the ones that are meant.
        S::QNorm | S::QPostRope | S::KNorm | S::KPostRope => {
            let whole = plane(*made_of.inputs.first()?, positions)?;
            let keys = matches!(site.stage, S::KNorm | S::KPostRope);
            let (start, width) = if keys { (q, kv) } else { (0, q) };
            inputs.push(if whole.width == width { whole } else { part_of(&whole, start, width) });
        }
        S::MoeFfnOut => inputs.push(plane(*made_of.inputs.first()?, positions)?),
        _ => {
            for input in &made_of.inputs {
                inputs.push(plane(*input, positions)?);
            }
        }
    }
    let by_expert = site.stage.row().scope == Scope::Expert && site.stage != S::MoeExpertSwigl;
    let routed = by_expert || site.stage == S::MoeFfnOut;
    let mut route = match routed {
        true => Some(script.route(site.layer?, positions)?),
        false => None,
    };
    let mut rows = Rows { token: vec![0; read.len()], position: read, sequence: Vec::new(), out: Vec::new() };
    rows.sequence = vec![0; rows.position.len()];
    if site.stage == S::FinalNorm {
        rows.out = positions.iter().map(|p| p - rows.position[0]).collect();
    }
    let mut tensors = Tensors { model, site, columns, picked: Vec::new(), cut: columns.is_some() };
    if site.stage == S::Embedding {
        let tokens: Vec<u32> = positions.iter().map(|p| script.token(*p)).collect::<Option<_>>()?;
        tensors.picked = distinct(&tokens);
        rows.token = places(&tensors.picked, &tokens)?;
    } else if let Some(route) = route.as_mut().filter(|_| by_expert && columns.is_some()) {
        tensors.picked = distinct(&route.ids);
        route.ids = places(&tensors.picked, &route.ids)?;
    }
    let mut weights = Vec::new();
    for (i, role) in made_of.weights.iter().enumerate() {
        // Queries, keys and values lie side by side in one value.
        let start = [0, q, q + kv].get(i).copied()?;
        weights.extend(tensors.rows_of(*role, start)?);
    }
    let product = matches!(made_of.primitive, "matmul" | "bias" | "router");
    let whole: usize = (site.stage.row().shape)(config).iter().product();
    let width = whole / rows_per_position(site.stage, config.chosen()).max(1);
    let made = match (product, columns) {
        (true, Some(_)) => {
            let first = weights.iter().map(|w| w.col).min()?;
            let end = weights.iter().map(|w| w.col + outputs(w, site.stage)).max()?;
            weights.iter_mut().for_each(|w| w.col -= first);
            if site.stage == S::QkvBias {
                inputs = inputs.iter().map(|p| part_of(p, first, end - first)).collect();
            }
            first..end
        }
        _ => 0..width,
    };
    let settings = Settings::of(config);
    Some(Operation { site, settings, rows, inputs, route, weights, columns: made })
}

/// Columns of every row.
fn part_of(p: &Plane, start: usize, width: usize) -> Plane {
    let rows = p.values.chunks_exact(p.width.max(1));
    let values = rows.flat_map(|r| r.get(start..start + width).unwrap_or_default()).copied().collect();
    Plane { width, values }
}

fn distinct(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Where each id stands in a sorted list.
fn places(list: &[u32], ids: &[u32]) -> Option<Vec<u32>> {
    ids.iter().map(|id| list.binary_search(id).ok().map(|i| i as u32)).collect()
}

/// Where the weights of an operation come from, and which of them are wanted.
struct Tensors<'a> {
    model: &'a Model,
    site: Site,
    /// Columns of the value; those of weights that make none of them are left out.
    columns: Option<(usize, usize)>,
    /// Matrices, or rows of an embedding, that are wanted; all when empty.
    picked: Vec<u32>,
    cut: bool,
}

impl Tensors<'_> {
    /// The rows of a role's tensor whose results begin at column `start`; `Some(None)` when none of them is wanted.
    fn rows_of(&self, role: Role, start: usize) -> Option<Option<Weights>> {
        let name = tensor_name(self.model, role, self.site.layer)?;
        let tensor = self.model.file().tensor(&name)?;
        let (format, cols) = (tensor.format, *tensor.dims.first()?);
        let vector = tensor.dims.len() < 2;
        let rows = if vector { 1 } else { tensor.dims[1] };
        let count = tensor.dims.get(2).copied().unwrap_or(1);
        let row_bytes = format.row_bytes(cols)?;
        let made = |picked: Vec<u32>, first_row: usize, rows: usize, count: usize, bytes: Bytes| Weights {
            tensor: name.clone(),
            format,
            count,
            rows,
            cols,
            col: start + first_row,
            first_row,
            picked,
            bytes,
        };
        let data = self.model.mapped();
        if self.site.stage == Stage::Embedding {
            let row = |t: &u32| {
                let at = tensor.bytes.start + *t as usize * row_bytes;
                data.get(at..at + row_bytes)
            };
            let bytes = self.picked.iter().map(row).collect::<Option<Vec<_>>>()?.concat();
            return Some(Some(made(self.picked.clone(), 0, self.picked.len(), 1, bytes.into())));
        }
        if !self.cut {
            return Some(Some(made(Vec::new(), 0, rows, count, self.model.bytes(tensor.bytes.clone())?)));
        }
        let matmul = !vector;
        let wanted = match self.columns.filter(|_| matmul) {
            None => 0..rows,
            Some((first, end)) => {
                let first = first.saturating_sub(start) / TOGETHER * TOGETHER;
                let end = end.saturating_sub(start).next_multiple_of(TOGETHER).min(rows);
                first..end
            }
        };
        if wanted.is_empty() {
            return Some(None);
        }
        let all: Vec<u32> = (0..count as u32).collect();
        let picked = if self.picked.is_empty() { all } else { self.picked.clone() };
        let shift = usize::from(fault!("capsule-of-other-rows") && wanted.end < rows);
        let rows_of = |matrix: &u32| {
            let at = tensor.bytes.start + (*matrix as usize * rows + wanted.start + shift) * row_bytes;
            data.get(at..at + wanted.len() * row_bytes)
        };
        let bytes = picked.iter().map(rows_of).collect::<Option<Vec<_>>>()?.concat();
        Some(Some(made(picked.clone(), wanted.start, wanted.len(), picked.len(), bytes.into())))
    }
}

/// Columns of the result that weights make.
fn outputs(weights: &Weights, stage: Stage) -> usize {
    if stage == Stage::QkvBias { weights.cols } else { weights.rows }
}
