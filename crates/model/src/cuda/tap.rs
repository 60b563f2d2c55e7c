//! Watching a pass from inside its kernels: a table on the device gives each site an address to store at, or none.
//!
//! Kernels look their site up when they run, so a recorded pass is the same whether anyone watches or not. Knows no file
//! format; what was stored is read back after the step.

use super::Cuda;
use super::driver::{Context, Memory, Stream};
use super::error::{Error, Result};
use crate::backend::Cols;
use crate::config::Config;
use crate::stage::{Class, STAGES, Scope, Site, Stage};
use crate::tap::Tap;
use std::rc::Rc;

/// The table, `[layers + 1, stages]` addresses; the last row is the model's own.
pub(crate) struct Slots {
    pub(super) memory: Memory,
    layers: usize,
    arena: Memory,
    watched: Vec<Watched>,
    derived: Vec<Stage>,
}

struct Watched {
    site: Site,
    offset: usize,
    len: usize,
}

/// What was stored at a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Where.
    pub site: Site,
    /// `[positions, ...]`, row by row. Expert ids are whole numbers.
    pub values: Vec<f32>,
}

impl Slots {
    pub(super) fn new(context: &Rc<Context>, stream: &Stream, layers: usize) -> Result<Self> {
        let memory = Memory::new(context, "the table of watched values", (layers + 1) * STAGES.len() * 8)?;
        memory.fill(stream, 0)?;
        let arena = Memory::new(context, "watched values", 0)?;
        Ok(Self { memory, layers, arena, watched: Vec::new(), derived: Vec::new() })
    }

    pub(super) fn layers(&self) -> usize {
        self.layers
    }

    /// Offset of a site's address in the table.
    pub(super) fn offset(&self, site: Site) -> usize {
        (site.layer.unwrap_or(self.layers) * STAGES.len() + site.stage as usize) * 8
    }

    /// Watches these sites from the next step on, which has `rows` rows and `out_rows` output rows; nothing for none.
    pub(super) fn watch(
        &mut self,
        context: &Rc<Context>,
        stream: &Stream,
        config: &Config,
        sites: &[Site],
        shape: StepShape,
    ) -> Result<()> {
        self.watched.clear();
        self.derived.clear();
        let mut end = 0;
        for &site in sites {
            let row = site.stage.row();
            let in_layer = row.scope != Scope::Model;
            if in_layer != site.layer.is_some()
                || site.layer.is_some_and(|l| l >= self.layers)
                || !(row.emitted)(config)
            {
                return Err(Error::Unsupported { what: format!("there is no value {site} to watch") });
            }
            let width: usize =
                (row.shape)(config).into_iter().map(|n| if n == 0 { shape.longest } else { n }).product();
            let rows = if matches!(site.stage, Stage::FinalNorm | Stage::LmHead) {
                shape.out_rows
            } else {
                shape.rows
            };
            let len = rows * width;
            self.watched.push(Watched { site, offset: end, len });
            end += (len * 4).next_multiple_of(256);
            if row.class == Class::Derived && !self.derived.contains(&site.stage) {
                self.derived.push(site.stage);
            }
        }
        if self.arena.bytes() < end {
            self.arena = Memory::new(context, "watched values", end)?;
        }
        let mut table = vec![0_u64; (self.layers + 1) * STAGES.len()];
        for w in &self.watched {
            if let Some(slot) = table.get_mut(self.offset(w.site) / 8) {
                *slot = self.arena.address() + w.offset as u64;
            }
        }
        // Poison: a value that no kernel stored is NaN, never a remnant.
        self.arena.fill(stream, 0xff)?;
        self.memory.write(stream, 0, zerocopy::IntoBytes::as_bytes(table.as_slice()))
    }

    /// What the last step stored, in the order of the sites watched.
    pub(super) fn take(&self, stream: &Stream) -> Result<Vec<Taken>> {
        let mut taken = Vec::with_capacity(self.watched.len());
        for w in &self.watched {
            let mut words = vec![0_u32; w.len];
            self.arena.read(stream, w.offset, zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice()))?;
            let number = |word: u32| {
                if w.site.stage == Stage::MoeRouterIndices { word as f32 } else { f32::from_bits(word) }
            };
            taken.push(Taken { site: w.site, values: words.into_iter().map(number).collect() });
        }
        Ok(taken)
    }

    /// Whether a value has to be computed for its own sake.
    pub(super) fn derives(&self) -> bool {
        !self.derived.is_empty()
    }
}

/// The shape of the step that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepShape {
    /// Rows of its batch.
    pub rows: usize,
    /// Rows that give logits.
    pub out_rows: usize,
    /// Its longest context.
    pub longest: usize,
}

/// The observer that stands for the table: it puts the stores between the primitives, and lets fused stages pass because
/// their kernels store by themselves.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    layer: Option<usize>,
    derived: Vec<Stage>,
}

impl Taps {
    /// The observer of what `be` watches now.
    #[must_use]
    pub fn new(be: &Cuda) -> Self {
        Self { layer: None, derived: be.slots.as_ref().map(|s| s.derived.clone()).unwrap_or_default() }
    }

    fn site(&self, stage: Stage) -> Site {
        Site { layer: if stage.row().scope == Scope::Model { None } else { self.layer }, stage }
    }
}

impl Tap<Cuda> for Taps {
    fn layer(&mut self, layer: usize) {
        self.layer = Some(layer);
    }

    fn wants(&self, stage: Stage) -> bool {
        self.derived.contains(&stage)
    }

    fn inside(&self) -> bool {
        true
    }

    fn at(&mut self, be: &mut Cuda, stage: Stage, x: &mut super::Plane, cols: Cols) -> Result<()> {
        let Some(slots) = &be.slots else { return Ok(()) };
        be.launcher.tap(x, cols, &slots.memory, slots.offset(self.site(stage)))
    }

    fn route(&mut self, be: &mut Cuda, route: &mut super::Route) -> Result<()> {
        let Some(slots) = &be.slots else { return Ok(()) };
        let slot = |stage| slots.offset(self.site(stage));
        let (rows, chosen) = (route.rows, route.chosen);
        be.launcher.tap_words(&route.weights, rows, chosen, &slots.memory, slot(Stage::MoeRouter))?;
        be.launcher.tap_words(&route.ids, rows, chosen, &slots.memory, slot(Stage::MoeRouterIndices))
    }
}
