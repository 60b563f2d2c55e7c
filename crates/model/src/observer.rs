//! Watching and changing a pass without knowing its backend: the [`Tap`] of everything that is not performance.
//!
//! An [`Observer`] is asked which sites it wants, sees their values where they are made, and may overwrite them. What it
//! does with them (store, compare, force, stop) is its own affair; the pass refuses to know.

use crate::Error;
use crate::backend::{Backend, Cols, Routes, Rows};
use crate::config::Config;
use crate::stage::{STAGES, Site, Stage};
use crate::tap::{Kept, Stop, Tap};
use fault::fault;
use std::ops::Range;

/// Watches passes.
pub trait Observer {
    /// A pass over these rows begins.
    ///
    /// # Errors
    /// [`Stop`] ends the pass before it begins.
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        let _ = rows;
        Ok(())
    }

    /// Whether it never overwrites. What it wants may then be kept on the backend and handed over when the pass is done,
    /// in the order of the pass; to write is then to end it.
    fn looks_only(&self) -> bool {
        false
    }

    /// Why it ended a pass, if it did and keeps a reason.
    fn reason(&mut self) -> Option<Error> {
        None
    }

    /// Whether the value at a site is wanted. Derived stages are computed only if so.
    fn wants(&self, site: Site) -> bool;

    /// A wanted value was made: `[rows of the plane, width]`, row by row. At expert stages a position has as many
    /// consecutive rows as it has experts, best first.
    ///
    /// # Errors
    /// [`Stop`] ends the pass; why is for the observer to keep.
    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop>;

    /// The router of a layer decided; called when [`Stage::MoeRouter`] or [`Stage::MoeRouterIndices`] of the layer is
    /// wanted.
    ///
    /// # Errors
    /// As [`Observer::value`].
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let _ = (layer, route);
        Ok(())
    }
}

/// Several observers of the same passes: each sees what those before it left.
pub struct Several<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Several<'_> {
    fn begin(&mut self, rows: &Rows) -> Result<(), Stop> {
        self.0.iter_mut().try_for_each(|observer| observer.begin(rows))
    }
    fn looks_only(&self) -> bool {
        self.0.iter().all(|observer| observer.looks_only())
    }
    fn reason(&mut self) -> Option<Error> {
        self.0.iter_mut().find_map(|observer| observer.reason())
    }
    fn wants(&self, site: Site) -> bool {
        self.0.iter().any(|observer| observer.wants(site))
    }
    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let mut wanting = self.0.iter_mut().filter(|observer| observer.wants(site));
        wanting.try_for_each(|observer| observer.value(site, value))
    }
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let mut wanting = self.0.iter_mut().filter(|observer| wants_route(&***observer, layer));
        wanting.try_for_each(|observer| observer.route(layer, route))
    }
}

/// Whether an observer wants anything of a router's decision.
fn wants_route(observer: &dyn Observer, layer: usize) -> bool {
    let wants = |stage| observer.wants(Site { layer: Some(layer), stage });
    wants(Stage::MoeRouter) || wants(Stage::MoeRouterIndices)
}

/// A value on its backend.
pub trait Value {
    /// Reads it.
    ///
    /// # Errors
    /// When the backend fails; pass the [`Stop`] on.
    fn read(&mut self) -> Result<Vec<f32>, Stop>;
    /// Reads some of its `of` positions into `out`, replacing what it holds.
    ///
    /// # Errors
    /// As [`Value::read`].
    fn read_positions(&mut self, rows: Range<usize>, of: usize, out: &mut Vec<f32>) -> Result<(), Stop> {
        let all = self.read()?;
        let part = all.len() / of.max(1);
        out.clear();
        out.extend_from_slice(all.get(rows.start * part..rows.end * part).unwrap_or_default());
        Ok(())
    }
    /// Does all of `work`, side by side where the backend has threads that wait for the observer.
    fn apart(&mut self, work: &mut [&mut (dyn FnMut() + Send)]) {
        work.iter_mut().for_each(|work| work());
    }
    /// Overwrites it: everything after uses the new value.
    ///
    /// # Errors
    /// When the length is not that of the value, or the backend fails; pass the [`Stop`] on.
    fn write(&mut self, values: &[f32]) -> Result<(), Stop>;
}

/// A router's decision on its backend.
pub trait RouteValue {
    /// Reads it.
    ///
    /// # Errors
    /// When the backend fails; pass the [`Stop`] on.
    fn read(&mut self) -> Result<Routes, Stop>;
    /// Overwrites it: the experts and weights given are used.
    ///
    /// # Errors
    /// When the shape differs, or the backend fails; pass the [`Stop`] on.
    fn write(&mut self, routes: &Routes) -> Result<(), Stop>;
}

/// The tap that asks an observer.
pub(crate) struct Watch<'a, B: Backend> {
    observer: &'a mut dyn Observer,
    /// The first layer that runs.
    first: usize,
    layer: usize,
    /// What the backend reported while the observer was reading or writing.
    failed: Option<B::Err>,
    /// The observer ended the pass.
    stopped: bool,
}

impl<'a, B: Backend> Watch<'a, B> {
    pub(crate) fn new(observer: &'a mut dyn Observer, first: usize) -> Self {
        Self { observer, first, layer: first, failed: None, stopped: false }
    }

    fn site(&self, stage: Stage) -> Site {
        let layer = stage.row().scope.in_layers().then_some(self.layer);
        Site { layer, stage }
    }

    /// What ends the pass: the backend's own error if there was one.
    fn end(&mut self, stop: Stop) -> B::Err {
        self.failed.take().unwrap_or_else(|| {
            self.stopped = true;
            stop.into()
        })
    }

    /// Whether it was the observer that ended the pass.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }
}

impl<B: Backend> Tap<B> for Watch<'_, B> {
    fn layer(&mut self, layer: usize) {
        self.layer = self.first + layer;
    }

    fn wants(&self, stage: Stage) -> bool {
        self.observer.wants(self.site(stage))
    }

    fn at(&mut self, be: &mut B, stage: Stage, x: &mut B::Act, cols: Cols) -> Result<(), B::Err> {
        let site = self.site(stage);
        if !self.observer.wants(site) {
            return Ok(());
        }
        let mut seen = Seen { be, x, cols, failed: &mut self.failed };
        let result = self.observer.value(site, &mut seen);
        if fault!("tap-perturbs") {
            // What a tap does that hands back the values it read in another precision.
            let _ = seen.read().and_then(|v| seen.write(&v.iter().map(|x| x.next_up()).collect::<Vec<_>>()));
        }
        result.map_err(|stop| self.end(stop))
    }

    fn route(&mut self, be: &mut B, route: &mut B::Route) -> Result<(), B::Err> {
        if !wants_route(self.observer, self.layer) {
            return Ok(());
        }
        let mut seen = Decided { be, route, failed: &mut self.failed };
        self.observer.route(self.layer, &mut seen).map_err(|stop| self.end(stop))
    }
}

/// What an observer wants of a pass through the first `layers` layers, in the order of the pass.
pub(crate) fn wanted(observer: &dyn Observer, config: &Config, layers: usize) -> Vec<Site> {
    let of = |layer: Option<usize>| {
        let rows =
            STAGES.iter().filter(move |r| r.scope.in_layers() == layer.is_some() && (r.emitted)(config));
        rows.map(move |r| Site { layer, stage: r.stage })
    };
    let mut sites: Vec<Site> = of(None).chain((0..layers).flat_map(|l| of(Some(l)))).collect();
    sites.retain(|&site| observer.wants(site));
    sites.sort_by_key(|site| site.order());
    sites
}

/// Hands an observer what was kept of a pass.
pub(crate) fn hand_over(observer: &mut dyn Observer, kept: Vec<Kept>) -> Result<(), Stop> {
    for item in kept {
        match item {
            Kept::Value { site, values } => observer.value(site, &mut Past(values))?,
            Kept::Route { layer, routes } => observer.route(layer, &mut Past(routes))?,
        }
    }
    Ok(())
}

/// Of a pass that is over: it can be read, and no longer changed.
struct Past<T>(T);

impl Value for Past<Vec<f32>> {
    fn read(&mut self) -> Result<Vec<f32>, Stop> {
        Ok(self.0.clone())
    }
    fn write(&mut self, _: &[f32]) -> Result<(), Stop> {
        Err(Stop)
    }
}

impl RouteValue for Past<Routes> {
    fn read(&mut self) -> Result<Routes, Stop> {
        Ok(self.0.clone())
    }
    fn write(&mut self, _: &Routes) -> Result<(), Stop> {
        Err(Stop)
    }
}

struct Seen<'a, B: Backend> {
    be: &'a mut B,
    x: &'a mut B::Act,
    cols: Cols,
    failed: &'a mut Option<B::Err>,
}

impl<B: Backend> Value for Seen<'_, B> {
    fn read(&mut self) -> Result<Vec<f32>, Stop> {
        keep(self.be.read(self.x, self.cols), self.failed)
    }
    fn read_positions(&mut self, rows: Range<usize>, of: usize, out: &mut Vec<f32>) -> Result<(), Stop> {
        keep(self.be.read_rows(self.x, self.cols, rows, of, out), self.failed)
    }
    fn apart(&mut self, work: &mut [&mut (dyn FnMut() + Send)]) {
        self.be.apart(work);
    }
    fn write(&mut self, values: &[f32]) -> Result<(), Stop> {
        keep(self.be.write(self.x, self.cols, values), self.failed)
    }
}

struct Decided<'a, B: Backend> {
    be: &'a mut B,
    route: &'a mut B::Route,
    failed: &'a mut Option<B::Err>,
}

impl<B: Backend> RouteValue for Decided<'_, B> {
    fn read(&mut self) -> Result<Routes, Stop> {
        keep(self.be.read_route(self.route), self.failed)
    }
    fn write(&mut self, routes: &Routes) -> Result<(), Stop> {
        keep(self.be.write_route(self.route, routes), self.failed)
    }
}

fn keep<T, E>(result: Result<T, E>, failed: &mut Option<E>) -> Result<T, Stop> {
    result.map_err(|error| {
        *failed = Some(error);
        Stop
    })
}
