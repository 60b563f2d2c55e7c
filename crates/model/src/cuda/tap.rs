//! Watching a pass from inside its kernels: a table on the device gives each site an address to store at, or none.
//!
//! Kernels look their site up when they run, so a recorded pass is the same whichever sites are watched. Knows no file
//! format; what was stored is read back after the step.

use super::Cuda;
use super::driver::{Context, Memory, Stream};
use super::error::{Error, Result};
use crate::backend::{Cols, Routes, Rows};
use crate::config::Config;
use crate::stage::{Class, STAGES, Site, Stage};
use crate::tap::{Kept, Tap};
use std::rc::Rc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of values kept on the device at most; a pass that makes more asks as it goes.
const MOST_KEPT: usize = 256 << 20;
/// Columns of a row of the table: the stages, and the router's margin.
const COLUMNS: usize = STAGES.len() + 1;
const MARGIN: usize = STAGES.len();

/// The table, `[layers + 1, COLUMNS]` addresses; the last row is the model's own.
pub(crate) struct Slots {
    pub(super) memory: Memory,
    layers: usize,
    arena: Memory,
    /// What the step at hand keeps; empty when nobody watches from inside.
    watched: Vec<Watched>,
    derived: Vec<Site>,
}

/// Words of the arena.
struct Watched {
    what: What,
    offset: usize,
    len: usize,
}

enum What {
    Value(Site),
    /// Weights, ids and margins of a layer's router, one behind the other; so many experts a row.
    Route {
        layer: usize,
        chosen: usize,
        rows: usize,
    },
}

impl Slots {
    pub(super) fn new(context: &Rc<Context>, stream: &Stream, layers: usize) -> Result<Self> {
        let memory = Memory::new(context, "the table of watched values", (layers + 1) * COLUMNS * 8)?;
        memory.fill(stream, 0)?;
        let arena = Memory::new(context, "watched values", 0)?;
        Ok(Self { memory, layers, arena, watched: Vec::new(), derived: Vec::new() })
    }

    pub(super) fn layers(&self) -> usize {
        self.layers
    }

    /// Offset of an address in the table.
    fn offset(&self, layer: Option<usize>, column: usize) -> usize {
        (layer.unwrap_or(self.layers) * COLUMNS + column) * 8
    }

    /// Whether the step at hand keeps anything.
    pub(super) fn watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Where in the table a layer's stage has its address.
    pub(super) fn place(&self, layer: usize, stage: Stage) -> u64 {
        self.memory.address() + self.offset(Some(layer), stage as usize) as u64
    }

    /// Whether a value has to be computed for its own sake.
    pub(super) fn derives(&self) -> bool {
        !self.derived.is_empty()
    }

    /// Keeps these sites of the next step, which come in the order of the pass. Whether there is room for them.
    pub(super) fn watch(
        &mut self,
        context: &Rc<Context>,
        stream: &Stream,
        config: &Config,
        sites: &[Site],
        rows: &Rows,
    ) -> Result<bool> {
        self.forget();
        let mut table = vec![0_u64; (self.layers + 1) * COLUMNS];
        // Offsets into the arena plus one until its address is known, so that none is 0.
        let mut end = 0;
        let mut reserve = |offset: usize, words: usize| {
            if let Some(slot) = table.get_mut(offset / 8) {
                *slot = end as u64 + 1;
            }
            let start = end;
            end += (words * 4).next_multiple_of(256);
            start
        };
        let (n, outs) = (rows.token.len(), rows.out.len());
        let longest = rows.position.iter().max().map_or(0, |&p| p as usize + 1);
        let mut watched: Vec<Watched> = Vec::new();
        let mut derived = Vec::new();
        for &site in sites {
            let Site { layer, stage } = site;
            let row = stage.row();
            if row.scope.in_layers() != layer.is_some()
                || layer.is_some_and(|l| l >= self.layers)
                || !(row.emitted)(config)
            {
                return Err(Error::Unsupported { what: format!("there is no value {site} to watch") });
            }
            if let (Stage::MoeRouter | Stage::MoeRouterIndices, Some(layer)) = (stage, layer) {
                // Both are parts of one decision, which is handed over once.
                let last = watched.last().map(|w| &w.what);
                if matches!(last, Some(What::Route { layer: l, .. }) if *l == layer) {
                    continue;
                }
                let chosen = config.chosen();
                let columns = [Stage::MoeRouter as usize, Stage::MoeRouterIndices as usize, MARGIN];
                let starts = columns
                    .map(|c| reserve(self.offset(Some(layer), c), n * if c == MARGIN { 1 } else { chosen }));
                let what = What::Route { layer, chosen, rows: n };
                watched.push(Watched { what, offset: starts[0], len: (starts[2] - starts[0]) / 4 + n });
                continue;
            }
            let shape = (row.shape)(config).into_iter().map(|n| if n == 0 { longest } else { n });
            let len = shape.product::<usize>() * if stage.of_output_rows() { outs } else { n };
            let offset = reserve(self.offset(layer, stage as usize), len);
            watched.push(Watched { what: What::Value(site), offset, len });
            if row.class == Class::Derived {
                derived.push(site);
            }
        }
        if watched.is_empty() || end > MOST_KEPT {
            return Ok(false);
        }
        if self.arena.bytes() < end {
            // Rounded up, so that a context that grows step by step does not move it each time.
            self.arena = Memory::new(context, "watched values", end.next_power_of_two())?;
        }
        for slot in table.iter_mut().filter(|slot| **slot > 0) {
            *slot += self.arena.address() - 1;
        }
        // Poison: a value that no kernel stored is NaN, never a remnant.
        self.arena.fill(stream, 0xff)?;
        self.memory.write(stream, 0, table.as_bytes())?;
        (self.watched, self.derived) = (watched, derived);
        Ok(true)
    }

    /// Keeps nothing from here on.
    pub(super) fn forget(&mut self) {
        self.watched.clear();
        self.derived.clear();
    }

    /// What the last step stored, in the order of the pass.
    pub(super) fn take(&self, stream: &Stream) -> Result<Vec<Kept>> {
        self.watched
            .iter()
            .map(|w| match w.what {
                What::Value(site) => Ok(Kept::Value { site, values: self.words(stream, w.offset, w.len)? }),
                What::Route { layer, chosen, rows } => {
                    let part = (rows * chosen * 4).next_multiple_of(256);
                    Ok(Kept::Route {
                        layer,
                        routes: Routes {
                            chosen,
                            weights: self.words(stream, w.offset, rows * chosen)?,
                            ids: self.words(stream, w.offset + part, rows * chosen)?,
                            margin: self.words(stream, w.offset + 2 * part, rows)?,
                        },
                    })
                }
            })
            .collect()
    }

    fn words<T: Copy + Default + FromBytes + IntoBytes + Immutable + KnownLayout>(
        &self,
        stream: &Stream,
        offset: usize,
        len: usize,
    ) -> Result<Vec<T>> {
        let mut words = vec![T::default(); len];
        self.arena.read(stream, offset, words.as_mut_slice().as_mut_bytes())?;
        Ok(words)
    }
}

/// The observer that stands for the table: it puts the stores between the primitives, and lets fused stages pass because
/// their kernels store by themselves.
#[derive(Debug, Clone)]
pub struct Taps {
    layer: usize,
    derived: Vec<Site>,
}

impl Taps {
    /// The observer of what the next step keeps.
    pub(super) fn new(slots: &Slots) -> Self {
        Self { layer: 0, derived: slots.derived.clone() }
    }

    fn site(&self, stage: Stage) -> Site {
        Site { layer: stage.row().scope.in_layers().then_some(self.layer), stage }
    }
}

impl Tap<Cuda> for Taps {
    fn layer(&mut self, layer: usize) {
        self.layer = layer;
    }

    fn wants(&self, stage: Stage) -> bool {
        self.derived.contains(&self.site(stage))
    }

    fn inside(&self) -> bool {
        true
    }

    fn at(&mut self, be: &mut Cuda, stage: Stage, x: &mut super::Plane, cols: Cols) -> Result<()> {
        let Some(slots) = &be.slots else { return Ok(()) };
        let site = self.site(stage);
        be.launcher.tap(x, cols, &slots.memory, slots.offset(site.layer, stage as usize))
    }

    fn route(&mut self, be: &mut Cuda, route: &mut super::Route) -> Result<()> {
        let Some(slots) = &be.slots else { return Ok(()) };
        let slot = |column| slots.offset(Some(self.layer), column);
        let (rows, chosen, memory) = (route.rows, route.chosen, &slots.memory);
        be.launcher.tap_words(&route.weights, rows, chosen, memory, slot(Stage::MoeRouter as usize))?;
        be.launcher.tap_words(&route.ids, rows, chosen, memory, slot(Stage::MoeRouterIndices as usize))?;
        be.launcher.tap_words(&route.margin, rows, 1, memory, slot(MARGIN))
    }
}
