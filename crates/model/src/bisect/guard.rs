//! A probe that stops a pass at the first value that is not finite, and says what it is made of.

use super::capsule::{Capsule, Maker, Place};
use super::element::{Origin, Shape};
use super::report::NonFiniteElement;
use super::script::{Script, made};
use crate::Error;
use crate::backend::Rows;
use crate::observer::{Observer, RouteValue, Value};
use crate::session::{Model, Options};
use crate::stage::{Site, Stage};
use crate::tap::Stop;
use fault::fault;
use std::fmt;

/// Where a pass first made what is not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    /// The value.
    pub site: Site,
    /// How many of its elements in this pass are not finite.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The first.
    pub element: NonFiniteElement,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, count, of, element } = self;
        write!(f, "{site} is the first value that is not finite, {count} of {of} elements: {element}")
    }
}

/// Watches every made value.
pub struct Guard {
    model: Model,
    /// The last layer that runs.
    last: usize,
    /// The pass at hand.
    script: Script,
    reason: Option<Error>,
    keep: Option<Keep>,
}

/// Takes a capsule away.
type Take = Box<dyn FnMut(&Capsule) -> Result<(), Error>>;

/// What becomes of a wrong operation.
struct Keep {
    /// Backend and precision of the passes.
    side: String,
    options: Options,
    take: Take,
}

impl Guard {
    /// A probe of passes through the first `layers` layers of a model.
    #[must_use]
    pub fn new(model: &Model, layers: usize) -> Self {
        let last = layers.saturating_sub(1);
        Self { model: model.clone(), last, script: Script::default(), reason: None, keep: None }
    }

    /// Hands the operation that made the value to `take`. The keys and values of all positions are kept for that, in
    /// memory.
    #[must_use]
    pub fn with_capsule(self, options: &Options, take: Take) -> Self {
        let side = format!("{}:{}", options.device.name(), options.precision.name());
        Self { keep: Some(Keep { side, options: options.clone(), take }), ..self }
    }

    fn check(&mut self, site: Site, values: &[f32]) -> Result<(), Stop> {
        let Some(index) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
        if fault!("guard-sees-infinities-only") && values[index].is_nan() {
            return Ok(());
        }
        let positions = self.script.positions(site.stage);
        let shape = Shape::new(&self.script, site, positions, values.len());
        let last = self.last;
        let origin = Origin { model: &self.model, script: &self.script, last, site, shape: &shape };
        let element = origin.element(index, values[index], None);
        let bad = || values.iter().enumerate().filter(|(_, v)| !v.is_finite()).map(|(i, _)| i);
        let count = bad().count();
        let found = Error::NotFinite(Box::new(NotFinite { site, count, of: values.len(), element }));
        self.reason = Some(found);
        if let Some(Keep { side, options, take }) = &mut self.keep {
            let (precision, threads) = (options.precision, options.threads);
            let maker = Maker { model: &self.model, side, precision, threads };
            let (rows, columns, worst) = shape.between(bad(), index);
            let place = Place { site, last, positions, found: values, rows, columns, worst };
            let taken = Capsule::of(maker, &self.script, &place).and_then(|c| c.map_or(Ok(()), |c| take(&c)));
            if let Err(error) = taken {
                self.reason = Some(error);
            }
        }
        Err(Stop)
    }
}

impl Observer for Guard {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        let config = self.keep.is_some().then(|| self.model.config().clone());
        self.script.restart(rows, config.as_ref());
        Ok(())
    }

    fn looks_only(&self) -> bool {
        true
    }

    fn reason(&mut self) -> Option<Error> {
        self.reason.take()
    }

    fn wants(&self, site: Site) -> bool {
        made(site)
    }

    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let values = value.read()?;
        self.check(site, &values)?;
        let rows = self.script.positions(site.stage).len();
        self.script.push(site, &values, rows);
        Ok(())
    }

    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let route = route.read()?;
        self.check(Site { layer: Some(layer), stage: Stage::MoeRouter }, &route.weights)?;
        self.script.keep_route(layer, route);
        Ok(())
    }
}
