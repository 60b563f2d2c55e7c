//! One element of a stage's value: where it lies, and what it is made of.

use super::operands::{operands, tensor_name};
use super::report::{Extent, NonFiniteElement, Range as Extremes, WeightRow};
use super::{STRICT, Script};
use crate::session::Model;
use crate::stage::{Scope, Site, Stage};
use std::ops::Range;

/// A value of some positions, and what it can be traced back to.
pub(super) struct Origin<'a> {
    pub model: &'a Model,
    pub script: &'a Script,
    /// The last layer that runs.
    pub last: usize,
    pub site: Site,
    pub shape: &'a Shape,
}

impl Origin<'_> {
    /// Everything an element that is not finite is made of.
    pub(super) fn element(&self, index: usize, value: f32, twin: Option<f32>) -> NonFiniteElement {
        let (row, column) = (index / self.shape.width, index % self.shape.width);
        let (position, expert) = self.shape.place(row);
        let made_of = operands(self.model.config(), self.site, self.last);
        let inputs = made_of.inputs.iter().filter_map(|input| {
            // Attention reads the keys and values of every position so far.
            let attends = self.site.stage == Stage::Attention && input.stage != Stage::QPostRope;
            let from = if attends { self.script.first_position() } else { position };
            let positions: Vec<u32> = (from..=position).collect();
            let values = match input.stage {
                Stage::MoeRouter => self.script.route(input.layer?, &positions)?.weights,
                _ => self.script.value(*input, &positions)?.to_vec(),
            };
            let by_rank = input.stage.row().scope == Scope::Expert && expert.is_some();
            let values = if by_rank {
                let width = values.len() / self.shape.per;
                let rank = row % self.shape.per;
                values[rank * width..(rank + 1) * width].to_vec()
            } else {
                values
            };
            Some(extremes(input.to_string(), &values))
        });
        NonFiniteElement {
            index,
            position,
            column,
            expert,
            value: value.into(),
            twin: twin.map(Into::into),
            weights: self.weight_row(column, expert.unwrap_or(0)),
            inputs: inputs.collect(),
        }
    }

    /// The row of weights behind a column of a product, or the whole vector of a norm.
    fn weight_row(&self, column: usize, expert: u32) -> Option<WeightRow> {
        let config = self.model.config();
        let made_of = operands(config, self.site, self.last);
        let starts = [0, config.q_width(), config.q_width() + config.kv_width(), usize::MAX];
        let which = match made_of.weights.len() {
            0 => return None,
            1 => 0,
            _ => starts.iter().rposition(|s| column >= *s)?,
        };
        let tensor_name = tensor_name(self.model, made_of.weights[which], self.site.layer)?;
        let tensor = self.model.file().tensor(&tensor_name)?;
        let cols = tensor.dims[0];
        let rows_per_expert = tensor.dims.get(1).copied().unwrap_or(1);
        let row = if tensor.dims.len() < 2 { 0 } else { column - if which > 0 { starts[which] } else { 0 } };
        let row_bytes = tensor.format.row_bytes(cols)?;
        let start = tensor.bytes.start + (expert as usize * rows_per_expert + row) * row_bytes;
        let mut values = vec![0.0; cols];
        tensor.format.dequantize(self.model.mapped().get(start..start + row_bytes)?, &mut values).ok()?;
        let range = extremes("weights".to_owned(), &values);
        let format = tensor.format.row().name.to_owned();
        Some(WeightRow { tensor: tensor_name, format, row, range })
    }
}

fn extremes(of: String, values: &[f32]) -> Extremes {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (min, max) = (finite().min_by(f32::total_cmp), finite().max_by(f32::total_cmp));
    Extremes {
        of,
        min: min.unwrap_or(f32::NAN).into(),
        max: max.unwrap_or(f32::NAN).into(),
        not_finite: values.len() - finite().count(),
    }
}

/// How a value of some positions is laid out.
pub(super) struct Shape {
    width: usize,
    /// Rows of one position.
    per: usize,
    positions: Vec<u32>,
    /// The expert of each row, of stages of experts.
    experts: Vec<u32>,
}

impl Shape {
    pub(super) fn new(script: &Script, site: Site, positions: &[u32], elements: usize) -> Self {
        let by_expert = site.stage.row().scope == Scope::Expert;
        let route = site.layer.filter(|_| by_expert).and_then(|l| script.route(l, positions));
        let per = route.as_ref().map_or(1, |r| r.chosen.max(1));
        let rows = positions.len() * per;
        Self {
            width: (elements / rows.max(1)).max(1),
            per: super::script::rows_per_position(site.stage, per),
            positions: positions.to_vec(),
            experts: route.map(|r| r.ids).unwrap_or_default(),
        }
    }

    fn place(&self, row: usize) -> (u32, Option<u32>) {
        let position = self.positions.get(row / self.per).copied().unwrap_or(0);
        (position, self.experts.get(row).copied())
    }

    /// Rows of positions and columns between which the elements of a list lie, and those of the element `worst`.
    pub(super) fn between(
        &self,
        bad: impl Iterator<Item = usize>,
        worst: usize,
    ) -> (Range<usize>, Range<usize>, (usize, usize)) {
        let at = |i: usize| (i / self.width / self.per, i % self.width);
        let start = at(worst);
        let (mut rows, mut columns) = (start.0..start.0 + 1, start.1..start.1 + 1);
        for (row, column) in bad.map(at) {
            rows = rows.start.min(row)..rows.end.max(row + 1);
            columns = columns.start.min(column)..columns.end.max(column + 1);
        }
        (rows, columns, start)
    }

    /// Elements that are further apart than rounding explains, or not finite.
    pub(super) fn far(&self, reference: &[f32], wrong: &[f32]) -> Vec<usize> {
        let squares: f64 = reference.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v).powi(2)).sum();
        let scale = STRICT.sqrt() * (squares / reference.len().max(1) as f64).sqrt();
        let far = |r: f32, w: f32| match r.is_finite() && w.is_finite() {
            true => (f64::from(r) - f64::from(w)).abs() > scale,
            false => r.to_bits() != w.to_bits() && !(r.is_nan() && w.is_nan()) || !w.is_finite(),
        };
        let places = reference.iter().zip(wrong).enumerate();
        places.filter(|(_, (r, w))| far(**r, **w)).map(|(i, _)| i).collect()
    }

    pub(super) fn extent(&self, reference: &[f32], wrong: &[f32]) -> Extent {
        let bad = self.far(reference, wrong);
        let unique = |mut v: Vec<u32>| {
            v.sort_unstable();
            v.dedup();
            v
        };
        let columns = bad.iter().map(|i| i % self.width);
        Extent {
            elements: bad.len(),
            of: wrong.len(),
            positions: unique(bad.iter().map(|i| self.place(i / self.width).0).collect()),
            columns: [columns.clone().min().unwrap_or(0), columns.max().map_or(0, |c| c + 1)],
            experts: unique(bad.iter().filter_map(|i| self.place(i / self.width).1).collect()),
        }
    }
}
