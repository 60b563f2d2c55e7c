//! What a pass made, by site and position: what another pass is held against, and what is forced upon it.

use crate::Error;
use crate::backend::{Routes, Rows};
use crate::config::Config;
use crate::observer::{Observer, RouteValue, Value};
use crate::sample::greedy;
use crate::session::{Out, Session};
use crate::stage::{Class, STAGES, Scope, Site, Stage};
use crate::tap::Stop;
use crate::trace::{self, Trace};
use std::collections::HashMap;
use std::ops::Range;

/// Every made value of a pass over a prompt and the tokens decoded after it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The prompt, then what was decoded.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt: usize,
    /// The layers that ran, from the first of the model.
    pub layers: usize,
    planes: HashMap<Site, Plane>,
    routes: HashMap<usize, Routes>,
    /// Positions that have logits, ascending.
    outputs: Vec<u32>,
    /// The position of the first row.
    base: usize,
    /// The rows of the pass at hand, while recording.
    rows: Rows,
    /// Keys and values before the first row, by layer: what attention reads of passes that were forgotten.
    past: HashMap<usize, Past>,
}

/// Keys and values of positions from 0 on, `[positions, kv_width]` each.
#[derive(Debug, Clone, Default)]
struct Past {
    keys: Vec<f32>,
    values: Vec<f32>,
}

#[derive(Debug, Clone, Default)]
struct Plane {
    /// Elements of one position.
    width: usize,
    values: Vec<f32>,
}

impl Script {
    /// Computes a prompt and greedily `decode` tokens after it, and keeps what is made. Decoding ends early where the
    /// logits are not all numbers: what comes after would be no token.
    ///
    /// # Errors
    /// What the session reports.
    pub fn record(
        session: &mut Session,
        prompt: &[u32],
        decode: usize,
        layers: usize,
    ) -> Result<Self, Error> {
        let mut script = Self { tokens: prompt.to_vec(), prompt: prompt.len(), layers, ..Self::default() };
        session.observe(prompt, Out::Last, &mut script)?;
        for _ in 0..decode {
            let logits = session.logits()?;
            let last = &logits[logits.len().saturating_sub(session.config().vocab)..];
            let Some(token) = greedy(last) else { break };
            script.tokens.push(token);
            session.observe(&[token], Out::Last, &mut script)?;
        }
        Ok(script)
    }

    /// What a trace recorded, for a model of so many layers. All made stages of all positions have to be in it.
    ///
    /// # Errors
    /// What is missing, or cannot be read.
    pub fn of_trace(trace: &Trace, needed: &[Stage]) -> Result<Self, Error> {
        let m = trace.manifest();
        let incomplete = |what: String| {
            let path = trace.path().to_owned();
            let what = format!("{what}: a bisection needs --save-tensor all --positions all of every layer");
            Error::from(trace::Error::Corrupt { path, what })
        };
        if m.positions != [0, m.tokens.len()] {
            return Err(incomplete(format!("holds positions {}..{}", m.positions[0], m.positions[1])));
        }
        if m.layers != [0, m.model.layers] {
            return Err(incomplete(format!("holds layers {}..{}", m.layers[0], m.layers[1])));
        }
        let mut script = Self {
            tokens: m.tokens.clone(),
            prompt: m.prompt_tokens,
            layers: m.model.layers,
            outputs: (0..m.tokens.len() as u32).collect(),
            ..Self::default()
        };
        for &stage in needed {
            let layers = if stage.row().scope.in_layers() { m.model.layers } else { 1 };
            for layer in 0..layers {
                let site = Site { layer: stage.row().scope.in_layers().then_some(layer), stage };
                let key = site.to_string();
                let Some(entry) = m.entry(&key) else { return Err(incomplete(format!("holds no {key}"))) };
                let width = entry.shape.iter().skip(1).product();
                match stage {
                    Stage::MoeRouterIndices => {
                        let route = script.routes.entry(layer).or_default();
                        route.chosen = width;
                        route.ids = trace.experts(layer)?;
                        route.margin = vec![f32::NAN; m.tokens.len()];
                    }
                    Stage::MoeRouter => {
                        script.routes.entry(layer).or_default().weights = trace.values(&key)?;
                    }
                    _ => {
                        script.planes.insert(site, Plane { width, values: trace.values(&key)? });
                    }
                }
            }
        }
        script.margins();
        Ok(script)
    }

    /// How near each choice of experts was, by the logits.
    fn margins(&mut self) {
        for (&layer, route) in &mut self.routes {
            let logits = Site { layer: Some(layer), stage: Stage::MoeRouterLogits };
            let Some(Plane { width, values }) = self.planes.get(&logits) else { continue };
            for (margin, row) in route.margin.iter_mut().zip(values.chunks_exact((*width).max(1))) {
                let mut sorted = row.to_vec();
                sorted.sort_unstable_by(|a, b| b.total_cmp(a));
                let pair =
                    route.chosen.checked_sub(1).and_then(|last| sorted.get(last).zip(sorted.get(last + 1)));
                *margin = pair.map_or(f32::INFINITY, |(last, next)| last - next);
            }
        }
    }

    /// The made value of a site at some consecutive positions; `None` for a site or positions that were not recorded.
    #[must_use]
    pub fn value(&self, site: Site, positions: &[u32]) -> Option<&[f32]> {
        let plane = self.planes.get(&site)?;
        let rows = self.rows_of(site.stage, positions)?;
        plane.values.get(rows.start * plane.width..rows.end * plane.width)
    }

    /// A layer's choice of experts at some consecutive positions.
    #[must_use]
    pub fn route(&self, layer: usize, positions: &[u32]) -> Option<Routes> {
        let all = self.routes.get(&layer)?;
        let rows = self.rows_of(Stage::MoeRouter, positions)?;
        let ranks = rows.start * all.chosen..rows.end * all.chosen;
        Some(Routes {
            chosen: all.chosen,
            ids: all.ids.get(ranks.clone())?.to_vec(),
            weights: all.weights.get(ranks)?.to_vec(),
            margin: all.margin.get(rows)?.to_vec(),
        })
    }

    /// Keys after rotation, and values, of some consecutive positions of a layer, `[positions, kv_width]` each; `None` when
    /// not all of them are there.
    #[must_use]
    pub fn keys_and_values(
        &self,
        config: &Config,
        layer: usize,
        positions: &[u32],
    ) -> Option<(Vec<f32>, Vec<f32>)> {
        let base = self.base as u32;
        let here = positions.iter().position(|p| *p >= base).unwrap_or(positions.len());
        let (before, own) = positions.split_at(here);
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        if let (Some(first), Some(last)) = (before.first(), before.last()) {
            let past = self.past.get(&layer)?;
            let cut = *first as usize * config.kv_width()..(*last as usize + 1) * config.kv_width();
            keys.extend_from_slice(past.keys.get(cut.clone())?);
            values.extend_from_slice(past.values.get(cut)?);
        }
        if !own.is_empty() {
            let at = |stage| Site { layer: Some(layer), stage };
            keys.extend_from_slice(self.value(at(Stage::KPostRope), own)?);
            let projected = if config.qkv_bias { Stage::QkvBias } else { Stage::QkvMatmul };
            let width = config.q_width() + 2 * config.kv_width();
            let rows = self.value(at(projected), own)?.chunks_exact(width.max(1));
            values.extend(rows.flat_map(|r| &r[width - config.kv_width()..]));
        }
        Some((keys, values))
    }

    /// The token at a position.
    pub(super) fn token(&self, position: u32) -> Option<u32> {
        let at_hand = || self.rows.position.iter().position(|p| *p == position).map(|r| self.rows.token[r]);
        self.tokens.get(position as usize).copied().or_else(at_hand)
    }

    /// The first position that was computed together with the one whose logits are at `output`, or after the output
    /// before it.
    pub(super) fn first_behind(&self, output: u32) -> u32 {
        let before = self.outputs.iter().take_while(|p| **p < output).last();
        before.map_or(self.base as u32, |p| p + 1)
    }

    fn rows_of(&self, stage: Stage, positions: &[u32]) -> Option<Range<usize>> {
        let first = *positions.first()?;
        let first = match stage.of_output_rows() {
            true => self.outputs.iter().position(|p| *p == first)?,
            false => (first as usize).checked_sub(self.base)?,
        };
        Some(first..first + positions.len())
    }

    /// Whether logits of every position were kept, not of the last one only.
    #[must_use]
    pub fn out(&self) -> Out {
        if self.outputs.len() == self.tokens.len() && self.prompt > 1 { Out::All } else { Out::Last }
    }

    /// Runs the same tokens on another session, in the same steps.
    ///
    /// # Errors
    /// What the session reports.
    pub fn perform(&self, session: &mut Session, observer: &mut dyn Observer) -> Result<(), Error> {
        session.observe(&self.tokens[..self.prompt], self.out(), observer)?;
        for token in &self.tokens[self.prompt..] {
            session.observe(&[*token], Out::Last, observer)?;
        }
        Ok(())
    }

    /// Forgets everything but, with a `config`, keys and values; and keeps what a pass over these rows makes.
    pub(super) fn restart(&mut self, rows: &Rows, config: Option<&Config>) {
        let first = rows.position.first().map_or(0, |p| *p as usize);
        if let Some(config) = config {
            let made: Vec<u32> = self.rows.position.clone();
            for layer in 0..config.layers {
                let new = if made.is_empty() { None } else { self.keys_and_values(config, layer, &made) };
                let past = self.past.entry(layer).or_default();
                if let Some((keys, values)) = new {
                    past.keys.extend(keys);
                    past.values.extend(values);
                }
                // Positions that will be computed again.
                past.keys.truncate(first * config.kv_width());
                past.values.truncate(first * config.kv_width());
            }
        }
        self.planes.clear();
        self.routes.clear();
        self.outputs.clear();
        self.base = rows.position.first().map_or(0, |p| *p as usize);
        self.outputs.extend(rows.out.iter().filter_map(|r| rows.position.get(*r as usize)));
        self.rows.clone_from(rows);
    }

    /// The first position that it has.
    pub(super) fn first_position(&self) -> u32 {
        self.base as u32
    }

    /// Positions of the rows of a stage in the pass at hand.
    pub(super) fn positions(&self, stage: Stage) -> &[u32] {
        if stage.of_output_rows() { &self.outputs } else { &self.rows.position }
    }

    /// Keeps a layer's choice.
    pub(super) fn keep_route(&mut self, layer: usize, route: Routes) {
        self.routes.insert(layer, route);
    }

    pub(super) fn push(&mut self, site: Site, values: &[f32], rows: usize) {
        let plane = self.planes.entry(site).or_default();
        plane.width = values.len() / rows.max(1);
        plane.values.extend_from_slice(values);
    }
}

/// Whether a site holds a value that the pass makes itself.
pub(super) fn made(site: Site) -> bool {
    site.stage.row().class == Class::Made
}

/// The stages that a model's pass makes, and that are planes or routes.
#[must_use]
pub fn made_stages(config: &Config) -> Vec<Stage> {
    let rows = STAGES.iter().filter(|r| r.class == Class::Made && (r.emitted)(config));
    rows.map(|r| r.stage).collect()
}

/// How many rows of a plane belong to one position.
pub(super) fn rows_per_position(stage: Stage, chosen: usize) -> usize {
    if stage.row().scope == Scope::Expert { chosen } else { 1 }
}

impl Observer for Script {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        let positions = rows.out.iter().filter_map(|r| rows.position.get(*r as usize));
        self.outputs.extend(positions);
        self.rows.clone_from(rows);
        Ok(())
    }

    fn looks_only(&self) -> bool {
        true
    }

    fn wants(&self, site: Site) -> bool {
        made(site)
    }

    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let rows = if site.stage.of_output_rows() { self.rows.out.len() } else { self.rows.position.len() };
        let values = value.read()?;
        self.push(site, &values, rows);
        Ok(())
    }

    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let new = route.read()?;
        let all = self.routes.entry(layer).or_default();
        all.chosen = new.chosen;
        all.ids.extend(new.ids);
        all.weights.extend(new.weights);
        all.margin.extend(new.margin);
        Ok(())
    }
}
