//! The observer that records: values stream to disk as they are made, their statistics and digests with them.

use super::checksum::Checksum;
use super::manifest::Entry;
use super::plan::Plan;
use super::stats::Gather;
use super::store::{Format, Values, Writer};
use super::{Error, Stats};
use crate::backend::Rows;
use crate::observer::{Observer, RouteValue, Value};
use crate::stage::{Scope, Site, Stage};
use crate::tap::Stop;
use fault::fault;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// Records one plan over any number of passes.
pub struct Recorder<'a> {
    plan: &'a Plan,
    index: HashMap<Site, usize>,
    tensors: Vec<Progress>,
    writer: Option<Box<dyn Writer>>,
    /// Told after every value how many bytes it had; answers whether to go on.
    progress: &'a mut dyn FnMut(u64) -> bool,
    /// The pass at hand: its rows, and its output rows.
    rows: Kept,
    out_rows: Kept,
    /// The value at hand; its memory is used again, because fresh memory costs more than what is done with it.
    buffer: Vec<f32>,
    /// The same for rows that grow as wide as the recording's.
    wide: Vec<f32>,
    /// Why it ended a pass.
    error: Option<Error>,
}

/// Rows of a plane, and which of them are kept.
#[derive(Debug, Default)]
struct Kept {
    /// Position of each row.
    positions: Vec<usize>,
    /// The rows kept.
    kept: Range<usize>,
}

impl Kept {
    fn new(positions: impl Iterator<Item = u32>, wanted: &Range<usize>) -> Self {
        let positions: Vec<usize> = positions.map(|p| p as usize).collect();
        // Positions ascend, and what is wanted reaches to the last.
        let first = positions.iter().position(|p| wanted.contains(p)).unwrap_or(positions.len());
        Self { kept: first..positions.len(), positions }
    }
}

#[derive(Debug, Default)]
struct Progress {
    /// Positions written.
    positions: usize,
    gather: Gather,
    checksum: Checksum,
}

impl<'a> Recorder<'a> {
    /// Starts a recording in a folder; without a format only statistics are kept. `progress` is told after every value
    /// how many bytes it had and answers whether to go on.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn new(
        plan: &'a Plan,
        format: Option<(Format, &Path)>,
        progress: &'a mut dyn FnMut(u64) -> bool,
    ) -> Result<Self, Error> {
        let writer = format.map(|(format, folder)| format.create(folder, &plan.tensors)).transpose()?;
        Ok(Self {
            plan,
            index: plan.tensors.iter().enumerate().map(|(i, t)| (t.site, i)).collect(),
            tensors: plan.tensors.iter().map(|_| Progress::default()).collect(),
            writer,
            progress,
            rows: Kept::default(),
            out_rows: Kept::default(),
            buffer: Vec::new(),
            wide: Vec::new(),
            error: None,
        })
    }

    /// Why it ended a pass, if it did.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// The manifest's entries, when every position was recorded.
    ///
    /// # Errors
    /// When positions are missing, or the files cannot be completed.
    pub fn finish(self) -> Result<Vec<Entry>, Error> {
        let positions = self.plan.positions.len();
        let mut entries = Vec::with_capacity(self.tensors.len());
        for (i, (planned, done)) in self.plan.tensors.iter().zip(&self.tensors).enumerate() {
            if done.positions != positions {
                let what =
                    format!("'{}' has {} positions, expected {positions}", planned.site, done.positions);
                return Err(Error::corrupt("recording", what));
            }
            let row = planned.site.stage.row();
            let experts = Site { stage: Stage::MoeRouterIndices, ..planned.site };
            entries.push(Entry {
                key: planned.site.to_string(),
                class: row.class.into(),
                shape: planned.shape.clone(),
                dtype: planned.dtype,
                file: self.writer.as_ref().map(|w| w.file(i)),
                experts: (row.scope == Scope::Expert).then(|| experts.to_string()),
                hash: done.checksum.finish(),
                stats: done.gather.finish(),
            });
        }
        if let Some(writer) = self.writer {
            writer.finish()?;
        }
        Ok(entries)
    }

    /// Statistics so far of a place.
    #[must_use]
    pub fn stats(&self, site: Site) -> Option<Stats> {
        Some(self.tensors[*self.index.get(&site)?].gather.finish())
    }

    /// Keeps the elements of some positions. What is done with them is done by `apart`, side by side if it can; `gather`
    /// adds them to the statistics.
    fn store(
        &mut self,
        index: usize,
        values: Values<'_>,
        mut gather: impl FnMut(&mut Gather) + Send,
        apart: impl FnOnce(&mut [&mut (dyn FnMut() + Send)]),
    ) -> Result<(), Stop> {
        let bytes = values.bytes();
        let Progress { positions, gather: statistics, checksum } = &mut self.tensors[index];
        *positions += bytes.len() / 4 / self.plan.tensors[index].row().max(1);
        let writer = &mut self.writer;
        let mut written = Ok(());
        apart(&mut [
            &mut || {
                if let Some(writer) = writer {
                    written = writer.append(index, values);
                }
            },
            &mut || gather(statistics),
            &mut || checksum.update(bytes),
        ]);
        written.map_err(|error| self.stop(error))?;
        if (self.progress)(bytes.len() as u64) { Ok(()) } else { Err(self.stop(Error::Interrupted)) }
    }

    /// Stores rows of a context stage, `[position, heads, own context]`, with the axis of keys as long as the recording's.
    fn store_wide(
        &mut self,
        index: usize,
        values: &[f32],
        future: f32,
        apart: impl FnOnce(&mut [&mut (dyn FnMut() + Send)]),
    ) -> Result<(), Stop> {
        let planned = &self.plan.tensors[index];
        let keys = planned.shape.last().copied().unwrap_or(0);
        let heads = (planned.row() / keys.max(1)).max(1);
        let rows = std::mem::take(&mut self.rows);
        let positions = &rows.positions[rows.kept.clone()];
        let own = values.len() / (heads * positions.len()).max(1);
        let mut wide = std::mem::take(&mut self.wide);
        wide.clear();
        wide.reserve_exact(positions.len() * heads * keys);
        for cells in values.chunks_exact(own.max(1)) {
            wide.extend_from_slice(cells);
            wide.resize(wide.len() + keys - own, future);
        }
        let gather = |gather: &mut Gather| {
            for (cells, row) in wide.chunks_exact(keys.max(1)).zip(0..) {
                let seen = positions.get(row / heads).map_or(own, |p| (p + 1).min(own));
                gather.add(&cells[..seen]);
                gather.skip(keys - seen);
            }
        };
        let stored = self.store(index, Values::F32(&wide), gather, apart);
        self.wide = wide;
        self.rows = rows;
        stored
    }

    fn stop(&mut self, error: Error) -> Stop {
        self.error = Some(error);
        Stop
    }
}

impl Observer for Recorder<'_> {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        let wanted = &self.plan.positions;
        self.rows = Kept::new(rows.position.iter().copied(), wanted);
        let out = rows.out.iter().filter_map(|&r| rows.position.get(r as usize).copied());
        self.out_rows = Kept::new(out, wanted);
        Ok(())
    }

    fn looks_only(&self) -> bool {
        true
    }

    fn wants(&self, site: Site) -> bool {
        let rows = if site.stage.of_output_rows() { &self.out_rows } else { &self.rows };
        !rows.kept.is_empty() && self.index.contains_key(&site)
    }

    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let Some(&index) = self.index.get(&site) else { return Ok(()) };
        let rows = if site.stage.of_output_rows() { &self.out_rows } else { &self.rows };
        let mut kept = std::mem::take(&mut self.buffer);
        value.read_positions(rows.kept.clone(), rows.positions.len(), &mut kept)?;
        if fault!("trace-zeroes-nan") {
            kept.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 0.0);
        }
        let apart = |work: &mut [&mut (dyn FnMut() + Send)]| value.apart(work);
        let stored = match site.stage.future() {
            Some(future) => self.store_wide(index, &kept, future, apart),
            None => self.store(index, Values::F32(&kept), |gather| gather.add(&kept), apart),
        };
        if !fault!("trace-forgets-its-memory") {
            self.buffer = kept;
        }
        stored
    }

    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let route = route.read()?;
        let kept = self.rows.kept.start * route.chosen..self.rows.kept.end * route.chosen;
        let at = |stage| self.index.get(&Site { layer: Some(layer), stage }).copied();
        let (weights, ids) = (at(Stage::MoeRouter), at(Stage::MoeRouterIndices));
        let in_turn = |work: &mut [&mut (dyn FnMut() + Send)]| work.iter_mut().for_each(|work| work());
        if let Some(index) = weights {
            let weights = &route.weights[kept.clone()];
            self.store(index, Values::F32(weights), |gather| gather.add(weights), in_turn)?;
        }
        if let Some(index) = ids {
            let ids = &route.ids[kept];
            let numbers: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            self.store(index, Values::I32(&ids), |gather| gather.add(&numbers), in_turn)?;
        }
        Ok(())
    }
}
