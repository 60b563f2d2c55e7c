//! A probe that stops a pass at the first value that is not finite, and says what it is made of.

use super::element::{Origin, Shape};
use super::report::NonFiniteElement;
use super::script::{Script, made};
use crate::Error;
use crate::backend::Rows;
use crate::observer::{Observer, RouteValue, Value};
use crate::session::Model;
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
    /// The pass at hand.
    script: Script,
    found: Option<Box<NotFinite>>,
}

impl Guard {
    /// A probe of passes through a model.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        Self { model: model.clone(), script: Script::default(), found: None }
    }

    fn check(&mut self, site: Site, values: &[f32]) -> Result<(), Stop> {
        let Some(index) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
        if fault!("guard-sees-infinities-only") && values[index].is_nan() {
            return Ok(());
        }
        let shape = Shape::new(&self.script, site, self.script.positions(site.stage), values.len());
        let last = self.model.config().layers - 1;
        let origin = Origin { model: &self.model, script: &self.script, last, site, shape: &shape };
        let element = origin.element(index, values[index], None);
        let count = values.iter().filter(|v| !v.is_finite()).count();
        self.found = Some(Box::new(NotFinite { site, count, of: values.len(), element }));
        Err(Stop)
    }
}

impl Observer for Guard {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        self.script.restart(rows);
        Ok(())
    }

    fn looks_only(&self) -> bool {
        true
    }

    fn reason(&mut self) -> Option<Error> {
        self.found.take().map(Error::NotFinite)
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
