//! Changing a pass while it runs: the experts of a recording, or a tensor of a file, in place of what the pass made. It
//! overwrites what its observer sees; there is no second pass.

use crate::Error;
use crate::backend::{Routes, Rows};
use crate::config::Config;
use crate::diff::recording::open_values;
use crate::observer::{Observer, RouteValue, Value};
use crate::stage::{Class, Site, Stage};
use crate::tap::Stop;
use crate::trace::Trace;
use fault::fault;
use std::collections::HashMap;
use std::path::Path;

/// What is put in the place of what a pass makes.
#[derive(Debug, Default)]
pub struct Interventions {
    /// What was asked for, in words.
    names: Vec<String>,
    /// Experts and their weights by layer, from position 0.
    routes: HashMap<usize, Routes>,
    /// Values by site, from position 0.
    values: HashMap<Site, Vec<f32>>,
    /// Positions of the rows, and of the output rows, of the pass at hand.
    rows: Vec<u32>,
    outputs: Vec<u32>,
    chosen: usize,
    error: Option<Error>,
}

impl Interventions {
    /// None yet, for a model of that shape.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { chosen: config.chosen(), ..Self::default() }
    }

    /// What was asked for, as a manifest has it; empty when nothing was.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes experts and weights of the first `layers` layers from a recording. Positions that it does not hold are an
    /// error when they are computed.
    ///
    /// # Errors
    /// A recording of another shape, without the routes of a layer, or not from position 0 on.
    pub fn route_from(&mut self, path: &Path, config: &Config, layers: usize) -> Result<(), Error> {
        let trace = Trace::open(path)?;
        let m = trace.manifest();
        let name = format!("route-from {}", path.display());
        let misfit =
            |found: String, expected: String| Error::Intervention { what: name.clone(), found, expected };
        if m.model.chosen != config.chosen() || config.experts.is_none() {
            return Err(misfit(
                format!("{} experts of a position", m.model.chosen),
                format!("{} of a mixture", config.chosen()),
            ));
        }
        if m.positions[0] != 0 {
            return Err(misfit(format!("positions from {} on", m.positions[0]), "all positions".to_owned()));
        }
        for layer in 0..layers {
            let key = Site { layer: Some(layer), stage: Stage::MoeRouter }.to_string();
            let (ids, weights) = (trace.experts(layer)?, trace.values(&key)?);
            let count = config.experts.map_or(0, |e| e.count);
            if let Some(id) = ids.iter().find(|id| **id as usize >= count) {
                return Err(misfit(
                    format!("expert {id} in layer {layer}"),
                    format!("experts below {count}"),
                ));
            }
            let margin = vec![f32::NAN; ids.len() / config.chosen().max(1)];
            self.routes.insert(layer, Routes { chosen: config.chosen(), ids, weights, margin });
        }
        self.names.push(name);
        Ok(())
    }

    /// Takes the value of a site from a file, `STAGE@LAYER=FILE` or `STAGE=FILE`: `[positions, ...]` from position 0.
    /// Positions past its end are left as they are.
    ///
    /// # Errors
    /// A place that this model does not make, a file that holds no single tensor of such rows.
    pub fn inject(&mut self, text: &str, config: &Config, layers: usize) -> Result<(), Error> {
        let misfit = |found: &str, expected: String| Error::Intervention {
            what: format!("inject {text}"),
            found: found.to_owned(),
            expected,
        };
        let Some((place, file)) = text.split_once('=') else {
            return Err(misfit("no file", "STAGE@LAYER=FILE".to_owned()));
        };
        let (stage, layer) = match place.split_once('@') {
            None => (place, None),
            Some((stage, layer)) => match layer.parse::<usize>() {
                Ok(layer) if layer < layers => (stage, Some(layer)),
                _ => return Err(misfit(layer, format!("a layer below {layers}"))),
            },
        };
        let stage = Stage::from_name(stage).ok_or_else(|| misfit(stage, "the name of a stage".to_owned()))?;
        let row = stage.row();
        let route = matches!(stage, Stage::MoeRouter | Stage::MoeRouterIndices);
        if !(row.emitted)(config) || row.class == Class::Derived || route {
            let expected = "a stage that this model makes as a plane (routes: --route-from)".to_owned();
            return Err(misfit(stage.name(), expected));
        }
        if row.scope.in_layers() != layer.is_some() {
            let expected = if layer.is_some() { "STAGE=FILE" } else { "STAGE@LAYER=FILE" };
            return Err(misfit(place, expected.to_owned()));
        }
        let recording = open_values(Path::new(file))?;
        let values = recording.values(crate::diff::recording::VALUES)?;
        let width = (row.shape)(config).iter().product::<usize>();
        if values.is_empty() || !values.len().is_multiple_of(width) {
            return Err(misfit(
                &format!("{} elements", values.len()),
                format!("a multiple of {width} for each position"),
            ));
        }
        self.values.insert(Site { layer, stage }, values);
        self.names.push(format!("inject {place}"));
        Ok(())
    }

    fn fail(&mut self, what: String, found: String, expected: String) -> Stop {
        self.error = Some(Error::Intervention { what, found, expected });
        Stop
    }
}

impl Observer for Interventions {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        self.rows.clone_from(&rows.position);
        self.outputs = rows.out.iter().filter_map(|r| rows.position.get(*r as usize).copied()).collect();
        Ok(())
    }

    fn reason(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn wants(&self, site: Site) -> bool {
        let route = matches!(site.stage, Stage::MoeRouter | Stage::MoeRouterIndices);
        self.values.contains_key(&site) || (route && site.layer.is_some_and(|l| self.routes.contains_key(&l)))
    }

    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let Some(new) = self.values.get(&site) else { return Ok(()) };
        let mut values = value.read()?;
        let positions = if site.stage.of_output_rows() { &self.outputs } else { &self.rows };
        let width = values.len() / positions.len().max(1);
        for (row, position) in values.chunks_exact_mut(width.max(1)).zip(positions) {
            let position = if fault!("inject-first-row") { 0 } else { *position as usize };
            if let Some(new) = new.get(position * width..(position + 1) * width) {
                row.copy_from_slice(new);
            }
        }
        value.write(&values)
    }

    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let Some(all) = self.routes.get(&layer) else { return Ok(()) };
        let (Some(first), k) = (self.rows.first().copied(), self.chosen) else { return Ok(()) };
        let ranks = first as usize * k..(first as usize + self.rows.len()) * k;
        let forced = all.ids.get(ranks.clone()).zip(all.weights.get(ranks));
        let Some((ids, weights)) = forced else {
            let (held, last) = (all.margin.len(), first as usize + self.rows.len());
            let what = format!("routes of layer {layer}");
            return Err(self.fail(what, format!("{held} positions"), format!("at least {last}")));
        };
        let made = route.read()?;
        let ids = if fault!("route-from-ignored") { made.ids } else { ids.to_vec() };
        // How near the choice was is the pass's own.
        let routes = Routes { chosen: k, ids, weights: weights.to_vec(), margin: made.margin };
        route.write(&routes)
    }
}
