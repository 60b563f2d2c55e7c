//! A pass held against a script, site by site; where asked, each value is then replaced by the script's, so that every
//! stage computes from the script's input and what it shows is its own error alone.

use super::script::{Script, made};
use crate::backend::Rows;
use crate::observer::{Observer, RouteValue, Value};
use crate::stage::{Site, Stage};
use crate::tap::Stop;
use fault::fault;

/// A value of the pass beside the script's.
pub(super) struct Met<'a> {
    /// Which pass, counted from 0: the parts of the prompt, then each decoded token.
    pub pass: usize,
    /// Positions of its rows.
    pub positions: &'a [u32],
    pub site: Site,
    /// What the script has; expert ids as numbers.
    pub script: &'a [f32],
    /// What the pass made.
    pub found: &'a [f32],
    /// Of sites with experts: the ids of both, `[positions, chosen]`.
    pub experts: Option<(&'a [u32], &'a [u32])>,
    /// The script's margins, of the router's sites.
    pub margins: &'a [f32],
}

/// Watches a pass.
pub(super) struct Replay<'a> {
    script: &'a Script,
    /// The first layer of the session: past 0 its input is the script's residual.
    first: usize,
    force: bool,
    meet: &'a mut dyn FnMut(Met<'_>) -> Result<(), Stop>,
    pass: Option<usize>,
    positions: Vec<u32>,
    outputs: Vec<u32>,
    /// Experts of the layer at hand: the script's, and the pass's.
    experts: (Vec<u32>, Vec<u32>),
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        script: &'a Script,
        first: usize,
        force: bool,
        meet: &'a mut dyn FnMut(Met<'_>) -> Result<(), Stop>,
    ) -> Self {
        let (positions, outputs) = (Vec::new(), Vec::new());
        Self { script, first, force, meet, pass: None, positions, outputs, experts: Default::default() }
    }
}

impl Observer for Replay<'_> {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        self.pass = Some(self.pass.map_or(0, |p| p + 1));
        self.positions.clone_from(&rows.position);
        let outputs = rows.out.iter().filter_map(|r| rows.position.get(*r as usize));
        self.outputs = outputs.copied().collect();
        Ok(())
    }

    fn looks_only(&self) -> bool {
        !self.force
    }

    fn wants(&self, site: Site) -> bool {
        made(site)
    }

    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        if site.stage == Stage::Embedding && self.first > 0 {
            let entering = Site { layer: Some(self.first - 1), stage: Stage::PostFfnResidual };
            return match self.script.value(entering, &self.positions) {
                Some(values) => value.write(values),
                None => Err(Stop),
            };
        }
        let positions = if site.stage.of_output_rows() { &self.outputs } else { &self.positions };
        // Logits of other rows than the script kept are nobody's business.
        let Some(script) = self.script.value(site, positions) else { return Ok(()) };
        let found = value.read()?;
        let by_expert = site.stage.row().scope == crate::stage::Scope::Expert;
        (self.meet)(Met {
            pass: self.pass.unwrap_or(0),
            positions,
            site,
            script,
            found: &found,
            experts: by_expert.then_some((&self.experts.0, &self.experts.1)),
            margins: &[],
        })?;
        // A value that is right stays as it is, with whatever else its operation wrote.
        let same = found.iter().zip(script).all(|(a, b)| a.to_bits() == b.to_bits());
        if self.force && !same && !fault!("bisect-forgets-to-force") {
            value.write(script)?;
        }
        Ok(())
    }

    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let Some(script) = self.script.route(layer, &self.positions) else { return Ok(()) };
        let found = route.read()?;
        let numbers = |ids: &[u32]| ids.iter().map(|&id| id as f32).collect::<Vec<_>>();
        let ids = (numbers(&script.ids), numbers(&found.ids));
        self.experts = (script.ids.clone(), found.ids.clone());
        // Ids first: weights of other experts have nothing to compare with.
        for (stage, script_values, values) in
            [(Stage::MoeRouterIndices, &ids.0, &ids.1), (Stage::MoeRouter, &script.weights, &found.weights)]
        {
            (self.meet)(Met {
                pass: self.pass.unwrap_or(0),
                positions: &self.positions,
                site: Site { layer: Some(layer), stage },
                script: script_values,
                found: values,
                experts: Some((&script.ids, &found.ids)),
                margins: &script.margin,
            })?;
        }
        if self.force {
            route.write(&script)?;
            self.experts.1.clone_from(&script.ids);
        }
        Ok(())
    }
}
