//! An observer that keeps everything, for tests.

use model::backend::Routes;
use model::observer::{Observer, RouteValue, Value};
use model::stage::{Site, Stage};
use model::tap::Stop;
use std::collections::BTreeMap;

/// Every value of every site, by the site's key; passes after the first extend what is there.
#[derive(Default)]
pub(crate) struct Collect {
    pub(crate) values: BTreeMap<String, Vec<f32>>,
    pub(crate) routes: Vec<Routes>,
    /// Nothing but these, when there are some.
    pub(crate) only: Vec<Stage>,
}

impl Observer for Collect {
    fn wants(&self, site: Site) -> bool {
        self.only.is_empty() || self.only.contains(&site.stage)
    }
    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        self.values.entry(site.to_string()).or_default().extend(value.read()?);
        Ok(())
    }
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let route = route.read()?;
        let mut keep = |stage, values: Vec<f32>| {
            let site = Site { layer: Some(layer), stage };
            self.values.entry(site.to_string()).or_default().extend(values);
        };
        keep(Stage::MoeRouter, route.weights.clone());
        keep(Stage::MoeRouterIndices, route.ids.iter().map(|&id| id as f32).collect());
        self.routes.push(route);
        Ok(())
    }
}
