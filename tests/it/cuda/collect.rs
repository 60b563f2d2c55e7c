//! An observer that keeps everything.

use model::observer::{Observer, RouteValue, Value};
use model::stage::{Class, Site, Stage};
use model::tap::Stop;
use std::collections::BTreeMap;

/// Every value of every made stage, by the site's key; later passes extend what is there.
#[derive(Default)]
pub(super) struct Collect {
    pub(super) values: BTreeMap<String, Vec<f32>>,
    /// Says that it never writes, so that a backend may keep the values until the pass is done.
    pub(super) looks_only: bool,
}

impl Observer for Collect {
    fn looks_only(&self) -> bool {
        self.looks_only
    }
    fn wants(&self, site: Site) -> bool {
        site.stage.row().class == Class::Made
    }
    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        self.values.entry(site.to_string()).or_default().extend(value.read()?);
        Ok(())
    }
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let route = route.read()?;
        let mut keep = |stage: &str, values: Vec<f32>| {
            self.values.entry(format!("layers.{layer}.{stage}")).or_default().extend(values);
        };
        keep(Stage::MoeRouter.name(), route.weights);
        keep(Stage::MoeRouterIndices.name(), route.ids.iter().map(|&id| id as f32).collect());
        keep("margin", route.margin);
        Ok(())
    }
}
