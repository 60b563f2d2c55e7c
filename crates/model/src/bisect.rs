//! Where two passes part, and why.
//!
//! Three looks at the same tokens. The *free-running* passes show what a user sees. Then the right side runs once more and
//! after each stage its value is replaced by the left side's ([`crate::observer`] writes, there is no second forward
//! pass), so that a stage shows its own error and no drift. Where that error is more than rounding, the scalar twin of the
//! right side's precision decides on the same input: what it does not make either is a wrong kernel. Knows no file
//! format and no command line.

mod arbiter;
mod capsule;
mod element;
mod extract;
mod guard;
mod operands;
mod replay;
mod report;
mod script;

pub use arbiter::Arbiters;
pub use capsule::{Capsule, Header, Judgement, Replay as Replayed, SCHEMA as CAPSULE, Unreadable};
pub use guard::{Guard, NotFinite};
pub use operands::{Operands, falsifier, operands, tensor_name};
pub use report::{
    Class, Divergence, Extent, Finding, Line, NonFiniteElement, Range as Extremes, Report, Step, Weight,
    WeightRow, Which,
};
pub use script::{Script, made_stages};

use crate::Error;
use crate::backend::Precision;
use crate::compare::{Comparison, Flip, Verdict, align_experts, routes};
use crate::diff;
use crate::session::{Arithmetic, Model, Session};
use crate::stage::{Site, Stage};
use crate::tap::Stop;
use crate::tensors::Role;
use crate::trace::{self, Number};
use capsule::{Maker, Place};
use element::{Origin, Shape};
use fault::fault;
use replay::{Met, Replay};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;

/// The error of one operation between implementations of one precision on the same input. f32 sums in another order cost
/// up to 1.7e-12 of a tensor.
pub const STRICT: f64 = 1e-11;
/// What 8-bit activations cost one operation at most: amax / 254 of a block of 32 is 2.5e-5 of normal numbers, and forty
/// times that with outliers. Beyond it the left side is held against its own twin, too.
const QUANTIZED: f64 = 1e-3;

/// What runs.
pub struct Party<'a> {
    /// Backend and precision, `cpu:exact`.
    pub name: &'a str,
    /// The precision.
    pub precision: Precision,
    /// Makes a fresh session of some layers.
    pub make: &'a dyn Fn(Range<usize>) -> Result<Session, Error>,
}

/// The reference.
#[derive(Clone, Copy)]
pub struct Reference<'a> {
    /// Backend and precision, `cpu:exact`.
    pub name: &'a str,
    /// The precision.
    pub precision: Precision,
    /// What it made.
    pub script: &'a Script,
}

/// What is asked.
pub struct Question<'a> {
    /// The model.
    pub model: &'a Model,
    /// The reference.
    pub left: Reference<'a>,
    /// What is judged.
    pub right: Party<'a>,
    /// The layers that are compared; those before them are the reference's alone.
    pub layers: Range<usize>,
    /// Threads of the arbiters.
    pub threads: Option<NonZeroUsize>,
    /// Whether a wrong operation is put into a capsule.
    pub capsule: bool,
    /// Asked after every value whether to go on.
    pub alive: &'a dyn Fn() -> bool,
}

/// What is asked about two recordings of the same pass.
pub struct Recorded<'a> {
    /// The model they are of.
    pub model: &'a Model,
    /// The reference.
    pub left: Reference<'a>,
    /// What is judged.
    pub right: Reference<'a>,
    /// Threads of the arbiters.
    pub threads: Option<NonZeroUsize>,
    /// Whether a wrong operation is put into a capsule.
    pub capsule: bool,
    /// Asked after every value whether to go on.
    pub alive: &'a dyn Fn() -> bool,
}

/// Bisects a backend against a reference, which is another backend's pass or a recording.
///
/// # Errors
/// What a session reports; [`trace::Error::Interrupted`].
pub fn bisect(q: &Question<'_>) -> Result<Report, Error> {
    bisect_by(q, &mut Arbiters::new(q.model, q.threads))
}

/// The same by arbiters that may know answers already: those of one script.
///
/// # Errors
/// As [`bisect`].
pub fn bisect_by(q: &Question<'_>, arbiters: &mut Arbiters) -> Result<Report, Error> {
    let end = q.layers.end;
    if end > q.left.script.layers || q.layers.is_empty() {
        return Err(Error::Layers { found: end, layers: q.left.script.layers });
    }
    let frame = Frame {
        model: q.model,
        script: q.left.script,
        sides: [
            Arithmetic::of(q.left.name, q.left.precision, q.model),
            Arithmetic::of(q.right.name, q.right.precision, q.model),
        ],
        layers: q.layers.clone(),
        alive: q.alive,
    };
    let mut session = (q.right.make)(0..end)?;
    let free = frame.free(&mut session)?;
    if q.layers.start == 0 {
        // The same weights once more.
        session.rewind(0)?;
    } else {
        session = (q.right.make)(q.layers.clone())?;
    }
    let mut own = frame.own(&mut session)?;
    // Alive until the arbiters have taken up what it holds of the weights.
    let (found, twins) = frame.judge(&own, arbiters)?;
    own.twins = twins;
    let names = [q.left.name, q.right.name];
    let capsule = found.as_ref().filter(|_| q.capsule).map(|f| frame.capsule(f, names, q.threads));
    let capsule = capsule.transpose()?.flatten();
    Ok(Report { capsule, ..frame.report(names, &free, &own, found.as_ref()) })
}

/// Bisects two recordings: each stage of the right one, then of the left one, is computed again by the scalar twin of its
/// precision from its own recorded input.
///
/// # Errors
/// When they are not of the same tokens; what the arbiter reports.
pub fn bisect_recorded(q: &Recorded<'_>) -> Result<Report, Error> {
    let (left, right) = (q.left.script, q.right.script);
    let differ = |what: &str, l: String, r: String| {
        Err(Error::Recordings { what: what.to_owned(), left: l, right: r })
    };
    if left.tokens != right.tokens || left.prompt != right.prompt {
        return differ("tokens", format!("{:?}", left.tokens), format!("{:?}", right.tokens));
    }
    if left.layers != right.layers {
        return differ("layers", left.layers.to_string(), right.layers.to_string());
    }
    let mut frame = Frame {
        model: q.model,
        script: left,
        sides: [
            Arithmetic::of(q.left.name, q.left.precision, q.model),
            Arithmetic::of(q.right.name, q.right.precision, q.model),
        ],
        layers: 0..left.layers,
        alive: q.alive,
    };
    let free = frame.free_recorded(right);
    let mut found = None;
    let mut own = Own::default();
    for (which, Reference { script, .. }) in [(Which::Right, q.right), (Which::Left, q.left)] {
        let side = frame.sides[usize::from(which != Which::Left)];
        let of = Frame { script, sides: [side; 2], alive: q.alive, ..frame.clone_for(script) };
        let mut arbiter = Session::arbiter(q.model, side, q.threads, 0..left.layers)?;
        own = of.own(&mut arbiter)?;
        if let Some(first) = own.suspects.first() {
            // The roles are turned round: the arbiter ran freely on the recording's inputs.
            let (reference, wrong) = (first.right.clone(), first.left.clone());
            found = Some(Judged { which, suspect: first.clone(), reference, wrong, by_twin: true });
            frame.script = script;
            break;
        }
    }
    let names = [q.left.name, q.right.name];
    let capsule = found.as_ref().filter(|_| q.capsule).map(|f| frame.capsule(f, names, q.threads));
    let capsule = capsule.transpose()?.flatten();
    Ok(Report { capsule, ..frame.report(names, &free, &own, found.as_ref()) })
}

/// What all looks share.
struct Frame<'a> {
    model: &'a Model,
    script: &'a Script,
    sides: [Arithmetic; 2],
    layers: Range<usize>,
    alive: &'a dyn Fn() -> bool,
}

/// A place and time.
type At = (usize, Site);

/// What the free-running passes show.
#[derive(Default)]
struct Free {
    errors: HashMap<At, f64>,
    /// The first value beyond the bound.
    first: Option<(At, Vec<u32>, Verdict, f64)>,
    largest: Option<(f64, Site)>,
    /// The first choice of other experts, and how many there are.
    flip: Option<(At, Vec<u32>, Flip)>,
    flips: usize,
    /// Largest error of the router logits at each row of the layer at hand.
    logit_errors: Vec<f32>,
}

/// What each stage shows by itself.
#[derive(Default)]
struct Own {
    errors: HashMap<At, f64>,
    order: Vec<At>,
    /// Those whose error is more than another order of sums costs, in the order of the pass.
    suspects: Vec<Suspect>,
    /// Distances from the scalar twin.
    twins: HashMap<At, f64>,
}

#[derive(Clone)]
struct Suspect {
    at: At,
    positions: Vec<u32>,
    left: Vec<f32>,
    right: Vec<f32>,
    nmse: f64,
}

/// A wrong operation.
struct Judged {
    which: Which,
    suspect: Suspect,
    /// What it should be.
    reference: Vec<f32>,
    /// What it is.
    wrong: Vec<f32>,
    /// Whether the reference is the scalar twin's.
    by_twin: bool,
}

/// How far two values of a stage are apart: 0 for the same, infinite where a choice or what is finite differs.
fn distance(stage: Stage, left: &[f32], right: &[f32]) -> f64 {
    let same = left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.to_bits() == r.to_bits());
    if same && left.iter().all(|v| v.is_finite()) {
        return 0.0;
    }
    if stage == Stage::MoeRouterIndices {
        return if same { 0.0 } else { f64::INFINITY };
    }
    Comparison::nmse_of_finite(left, right).unwrap_or(f64::INFINITY)
}

/// Whether a twin makes the same, what is not finite included.
fn agrees(stage: Stage, twin: &[f32], found: &[f32]) -> (bool, f64) {
    // Which NaN it is, and where infinities become NaN, depends on the order of sums; where is what counts.
    let same_places = || twin.iter().zip(found).all(|(t, f)| t.is_finite() == f.is_finite());
    let some_finite = || Comparison::of(twin, found, None).filter(|_| same_places()).map(|c| c.nmse);
    let nmse = Comparison::nmse_of_finite(twin, found).or_else(some_finite).unwrap_or(f64::INFINITY);
    match stage {
        Stage::MoeRouterIndices => (twin == found, if twin == found { 0.0 } else { f64::INFINITY }),
        _ => (nmse <= STRICT || fault!("bisect-believes-the-right"), nmse),
    }
}

impl<'a> Frame<'a> {
    fn clone_for(&self, script: &'a Script) -> Self {
        Self { script, layers: self.layers.clone(), ..*self }
    }

    fn compared(&self, site: Site) -> bool {
        match site.layer {
            Some(layer) => self.layers.contains(&layer),
            None => site.stage != Stage::Embedding || self.layers.start == 0,
        }
    }

    /// Runs the script's tokens and shows every value beside the script's.
    fn watch(
        &self,
        session: &mut Session,
        first: usize,
        force: bool,
        mut meet: impl FnMut(Met<'_>) -> Result<(), Stop>,
    ) -> Result<(), Error> {
        let (alive, mut interrupted, mut ended) = (self.alive, false, false);
        let mut guarded = |met: Met<'_>| {
            if !alive() {
                interrupted = true;
                return Err(Stop);
            }
            meet(met).inspect_err(|Stop| ended = true)
        };
        let mut replay = Replay::new(self.script, first, force, &mut guarded);
        let result = self.script.perform(session, &mut replay);
        match result {
            Err(Error::Stopped) if interrupted => Err(trace::Error::Interrupted.into()),
            Err(Error::Stopped) if ended => Ok(()),
            other => other,
        }
    }

    fn free(&self, session: &mut Session) -> Result<Free, Error> {
        let mut free = Free::default();
        let (bound, this) = (self.bound(), self.clone_for(self.script));
        self.watch(session, 0, false, |met| {
            if this.compared(met.site) {
                free.meet(&met, bound);
            }
            Ok(())
        })?;
        Ok(free)
    }

    /// The same between two recordings.
    fn free_recorded(&self, right: &Script) -> Free {
        let (mut free, bound) = (Free::default(), self.bound());
        let prompt: Vec<u32> = (0..self.script.prompt as u32).collect();
        let steps = (self.script.prompt as u32..self.script.tokens.len() as u32).map(|p| vec![p]);
        for (pass, positions) in std::iter::once(prompt).chain(steps).enumerate() {
            for layer in 0..=self.layers.end {
                for &stage in &made_stages(self.model.config()) {
                    let in_layers = stage.row().scope.in_layers();
                    let here = match (in_layers, stage) {
                        (true, _) => layer < self.layers.end,
                        (false, Stage::Embedding) => layer == 0,
                        (false, _) => layer == self.layers.end,
                    };
                    if !here {
                        continue;
                    }
                    let site = Site { layer: in_layers.then_some(layer), stage };
                    free.meet_recorded(pass, &positions, site, self.script, right, bound);
                }
            }
        }
        free
    }

    fn bound(&self) -> f64 {
        diff::bound(Some(self.sides[0].precision), Some(self.sides[1].precision))
    }

    fn own(&self, session: &mut Session) -> Result<Own, Error> {
        let mut own = Own::default();
        let this = self.clone_for(self.script);
        self.watch(session, self.layers.start, true, |met| {
            if !this.compared(met.site) {
                return Ok(());
            }
            let (at, nmse) = ((met.pass, met.site), distance(met.site.stage, met.script, met.found));
            own.errors.insert(at, nmse);
            own.order.push(at);
            if nmse > STRICT {
                own.suspects.push(Suspect {
                    at,
                    positions: met.positions.to_vec(),
                    left: met.script.to_vec(),
                    right: met.found.to_vec(),
                    nmse,
                });
            }
            // What comes after a left value that is not finite says nothing any more.
            let lost = met.script.iter().any(|v| !v.is_finite());
            if lost { Err(Stop) } else { Ok(()) }
        })?;
        Ok(own)
    }

    /// Asks the scalar twins about what stands out; the first operation that is wrong.
    fn judge(&self, own: &Own, arbiters: &mut Arbiters) -> Result<(Option<Judged>, HashMap<At, f64>), Error> {
        let [left, right] = self.sides;
        // Of one arithmetic the first that stands out is wrong on one side or the other; of two, most stand out.
        let asked = if left == right { own.suspects.len().min(1) } else { own.suspects.len() };
        let asked: Vec<&Suspect> = own.suspects[..asked].iter().collect();
        let mut doubtful = Vec::new();
        let mut twins = HashMap::new();
        let mut found = self.ask(arbiters, right, &asked, |suspect, twin| {
            let stage = suspect.at.1.stage;
            let (right_holds, distance) = agrees(stage, twin, &suspect.right);
            twins.insert(suspect.at, distance);
            let left_finite = suspect.left.iter().all(|v| v.is_finite());
            let right_finite = suspect.right.iter().all(|v| v.is_finite());
            let (which, wrong) = match (right_holds, left == right) {
                (false, true) if !agrees(stage, twin, &suspect.left).0 => (Which::Both, &suspect.right),
                (false, _) => (Which::Right, &suspect.right),
                (true, true) if right_finite || left_finite => {
                    // Whoever is right, what is not finite is the matter.
                    if right_finite { (Which::Left, &suspect.left) } else { (Which::Right, &suspect.right) }
                }
                (true, true) => (Which::Both, &suspect.right),
                (true, false) if !right_finite && left_finite => (Which::Right, &suspect.right),
                (true, false) => {
                    if suspect.nmse > QUANTIZED {
                        doubtful.push(suspect);
                    }
                    return None;
                }
            };
            let (reference, wrong) = (twin.to_vec(), wrong.clone());
            Some(Judged { which, suspect: suspect.clone(), reference, wrong, by_twin: true })
        })?;
        if !doubtful.is_empty() {
            let wrong = self.ask(arbiters, left, &doubtful, |suspect, twin| {
                let holds = agrees(suspect.at.1.stage, twin, &suspect.left).0;
                let left_finite = suspect.left.iter().all(|v| v.is_finite());
                (!holds || !left_finite).then(|| Judged {
                    which: if left_finite || !holds { Which::Left } else { Which::Both },
                    suspect: suspect.clone(),
                    reference: twin.to_vec(),
                    wrong: suspect.left.clone(),
                    by_twin: true,
                })
            })?;
            // The doubtful ones come before what was found.
            found = wrong.or(found);
        }
        Ok((found, twins))
    }

    /// Asks the scalar twin of a side about some suspects, in their order, until one is judged.
    fn ask<'s>(
        &self,
        arbiters: &mut Arbiters,
        side: Arithmetic,
        suspects: &[&'s Suspect],
        mut judge: impl FnMut(&'s Suspect, &[f32]) -> Option<Judged>,
    ) -> Result<Option<Judged>, Error> {
        for suspect in suspects {
            if !(self.alive)() {
                return Err(trace::Error::Interrupted.into());
            }
            let last = self.layers.end - 1;
            let twin = arbiters.value(side, self.script, suspect.at, &suspect.positions, last)?;
            let judged = judge(suspect, &twin);
            if judged.is_some() {
                return Ok(judged);
            }
        }
        Ok(None)
    }

    /// A wrong operation in a capsule.
    fn capsule(
        &self,
        judged: &Judged,
        names: [&str; 2],
        threads: Option<NonZeroUsize>,
    ) -> Result<Option<Box<Capsule>>, Error> {
        let Judged { which, suspect, reference, wrong, .. } = judged;
        let (side, site) = (usize::from(*which != Which::Left), suspect.at.1);
        let maker =
            Maker { model: self.model, side: names[side], precision: self.sides[side].precision, threads };
        let shape = Shape::new(self.script, site, &suspect.positions, wrong.len());
        let furthest = Comparison::of(reference, wrong, None).and_then(|c| c.worst.first().map(|w| w.index));
        let odd = wrong.iter().position(|v| !v.is_finite());
        let far = shape.far(reference, wrong);
        let worst = odd.or(furthest).or(far.first().copied()).unwrap_or(0);
        let (rows, columns, worst) = shape.between(far.into_iter(), worst);
        let (last, positions) = (self.layers.end - 1, &suspect.positions[..]);
        let place = Place { site, last, positions, found: wrong, rows, columns, worst };
        Ok(Capsule::of(maker, self.script, &place)?.map(Box::new))
    }

    fn step(&self, positions: &[u32]) -> Step {
        let first = positions.first().map_or(0, |p| *p as usize);
        let decode = first.checked_sub(self.script.prompt).map(|n| n + 1);
        Step { positions: [first, first + positions.len()], decode }
    }

    fn report(&self, names: [&str; 2], free: &Free, own: &Own, judged: Option<&Judged>) -> Report {
        let finding = match judged {
            Some(judged) => Some(self.operation(judged)),
            None => self.drift(free, own),
        };
        let pass = match (judged, &free.first) {
            (Some(j), _) => j.suspect.at.0,
            (None, Some((at, ..))) => at.0,
            (None, None) => 0,
        };
        let bound = self.bound();
        let lines = own.order.iter().filter(|at| at.0 == pass).map(|at| {
            let (free_error, own_error) = (free.errors.get(at).copied(), own.errors.get(at).copied());
            let is_found = finding.as_ref().filter(|f| f.key == at.1.to_string());
            let class = match (is_found, own_error) {
                (Some(f), _) => Some(f.class),
                (None, Some(error)) if error > STRICT && own.twins.get(at).is_some_and(|t| *t <= STRICT) => {
                    Some(Class::PrecisionDifference)
                }
                (None, Some(error)) if error <= STRICT && free_error.is_some_and(|e| e > bound) => {
                    Some(Class::CarriedDrift)
                }
                _ => None,
            };
            Line {
                key: at.1.to_string(),
                free: free_error.map(Number),
                own: own_error.map(Number),
                twin: own.twins.get(at).copied().map(Number),
                class,
            }
        });
        let mut report = Report {
            schema: "apr-bisect/1",
            model: self.model.mapped().path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            left: names[0].to_owned(),
            right: names[1].to_owned(),
            tokens: self.script.tokens.clone(),
            prompt_tokens: self.script.prompt,
            layers: [self.layers.start, self.layers.end],
            bound: Number(bound),
            diverges: free.first.as_ref().map(|(at, positions, verdict, nmse)| Divergence {
                step: self.step(positions),
                key: at.1.to_string(),
                verdict: *verdict,
                nmse: Number(*nmse),
            }),
            largest: free.largest.map(|(nmse, site)| (Number(nmse), site.to_string())),
            flips: free.flips,
            replayed: own.order.len(),
            stages: lines.collect(),
            finding,
            sentence: String::new(),
            capsule: None,
        };
        report.sentence = report.in_words();
        report
    }

    /// What no operation explains by itself.
    fn drift(&self, free: &Free, own: &Own) -> Option<Finding> {
        let (at, positions, _, nmse) = free.first.as_ref()?;
        let order = |at: &At| (at.0, at.1.order());
        if let Some((flip_at, flip_positions, flip)) = &free.flip
            && order(flip_at) <= order(at)
        {
            let mut finding = self.finding(Class::RouterFlip, Which::Both, flip_at.1, flip_positions);
            finding.own = Number(own.errors.get(flip_at).copied().unwrap_or(0.0));
            finding.flip = Some(flip.clone());
            finding.falsifier = None;
            return Some(finding);
        }
        let earlier = own.suspects.iter().filter(|s| order(&s.at) <= order(at));
        let coarsest = earlier.max_by(|a, b| a.nmse.total_cmp(&b.nmse));
        // Half of an error's size is a quarter of its square.
        let by_itself = coarsest.filter(|s| s.nmse >= nmse / 4.0);
        let (class, site, positions, error) = match by_itself {
            Some(s) => (Class::PrecisionDifference, s.at.1, &s.positions, s.nmse),
            None => {
                let error = own.errors.get(at).copied().unwrap_or(0.0);
                (Class::CarriedDrift, at.1, positions, error)
            }
        };
        let mut finding = self.finding(class, Which::Both, site, positions);
        finding.own = Number(error);
        finding.falsifier = None;
        Some(finding)
    }

    fn finding(&self, class: Class, side: Which, site: Site, positions: &[u32]) -> Finding {
        let made_of = operands(self.model.config(), site, self.layers.end - 1);
        let weights = made_of.weights.iter().filter_map(|role| {
            let role = if fault!("bisect-names-another-tensor") { &Role::AttnNorm } else { role };
            let tensor = tensor_name(self.model, *role, site.layer)?;
            let format = self.model.file().tensor(&tensor)?.format.row().name.to_owned();
            Some(Weight { tensor, format })
        });
        let precision = self.sides[usize::from(side != Which::Left)].precision;
        Finding {
            class,
            side,
            step: self.step(positions),
            key: site.to_string(),
            layer: site.layer,
            stage: site.stage.name().to_owned(),
            primitive: made_of.primitive.to_owned(),
            weights: weights.collect(),
            own: Number(0.0),
            twin: None,
            extent: None,
            worst: Vec::new(),
            sign: None,
            nan: None,
            flip: None,
            falsifier: falsifier(site.stage, precision),
        }
    }

    /// What a wrong operation did.
    fn operation(&self, judged: &Judged) -> Finding {
        let Judged { which, suspect, reference, wrong, by_twin } = judged;
        let site = suspect.at.1;
        let first_bad = wrong.iter().position(|v| !v.is_finite());
        let class = if first_bad.is_some() && !fault!("bisect-nan-unseen") {
            Class::NanSource
        } else {
            Class::KernelError
        };
        let mut finding = self.finding(class, *which, site, &suspect.positions);
        finding.own = Number(suspect.nmse);
        finding.twin = by_twin.then(|| Number(agrees(site.stage, reference, wrong).1));
        let shape = Shape::new(self.script, site, &suspect.positions, wrong.len());
        let extent = shape.extent(reference, wrong);
        if site.stage == Stage::QkvMatmul {
            let c = self.model.config();
            let ends = [c.q_width(), c.q_width() + c.kv_width(), c.q_width() + 2 * c.kv_width()];
            let starts = [0, ends[0], ends[1]];
            let touches = |i: usize| extent.columns[0] < ends[i] && extent.columns[1] > starts[i];
            let all = std::mem::take(&mut finding.weights);
            finding.weights =
                all.into_iter().enumerate().filter(|(i, _)| touches(*i)).map(|(_, w)| w).collect();
        }
        finding.extent = Some(extent);
        finding.worst = Comparison::of(reference, wrong, None).map(|c| c.worst).unwrap_or_default();
        finding.sign = self.sign(site, &suspect.positions, reference, wrong);
        let origin =
            Origin { model: self.model, script: self.script, last: self.layers.end - 1, site, shape: &shape };
        finding.nan =
            first_bad.map(|index| origin.element(index, wrong[index], reference.get(index).copied()));
        finding
    }

    /// What a wrong value looks like.
    fn sign(&self, site: Site, positions: &[u32], reference: &[f32], wrong: &[f32]) -> Option<String> {
        if wrong.iter().any(|v| !v.is_finite()) || site.stage == Stage::MoeRouterIndices {
            return None;
        }
        if wrong.iter().all(|v| *v == 0.0) {
            return Some("zeros: nothing was written".to_owned());
        }
        let config = self.model.config();
        for input in operands(config, site, self.layers.end - 1).inputs {
            let Some(values) = self.script.value(input, positions) else { continue };
            let columns = match site.stage {
                Stage::QNorm | Stage::QPostRope => 0..config.q_width(),
                Stage::KNorm | Stage::KPostRope => config.q_width()..config.q_width() + config.kv_width(),
                _ => 0..usize::MAX,
            };
            let width = values.len() / positions.len().max(1);
            let wide = width > columns.end.min(width) - columns.start.min(width)
                && width != wrong.len() / positions.len();
            let rows = values.chunks_exact(width.max(1)).map(|r| if wide { &r[columns.clone()] } else { r });
            let values: Vec<f32> = rows.flatten().copied().collect();
            if Comparison::of(&values, wrong, None).is_some_and(|c| c.nmse <= STRICT) {
                return Some(format!("{input}, one of its inputs: the operation did nothing"));
            }
        }
        let c = Comparison::of(reference, wrong, None)?;
        if c.cosine.abs() > 1.0 - 1e-9 && (c.norm_ratio - 1.0).abs() > 1e-4 {
            let factor = c.norm_ratio * c.cosine.signum();
            return Some(format!("the right value times {factor:.6}"));
        }
        let sorted = |v: &[f32]| {
            let mut v = v.to_vec();
            v.sort_unstable_by(f32::total_cmp);
            v
        };
        (sorted(reference) == sorted(wrong)).then(|| "the right numbers in another order".to_owned())
    }
}

impl Free {
    fn meet(&mut self, met: &Met<'_>, bound: f64) {
        let (at, stage) = ((met.pass, met.site), met.site.stage);
        if stage == Stage::MoeRouterLogits {
            let rows = met.positions.len().max(1);
            let width = (met.script.len() / rows).max(1);
            let pairs = met.script.chunks_exact(width).zip(met.found.chunks_exact(width));
            let error =
                |(l, r): (&[f32], &[f32])| Comparison::of(l, r, None).map_or(f32::NAN, |c| c.max_abs as f32);
            self.logit_errors = pairs.map(error).collect();
        }
        if stage == Stage::MoeRouterIndices {
            let Some((left, right)) = met.experts else { return };
            let chosen = (left.len() / met.positions.len().max(1)).max(1);
            let Some(mut compared) = routes(left, right, chosen) else { return };
            for flip in &mut compared.flipped {
                flip.margin = met.margins.get(flip.position).copied().filter(|m| m.is_finite());
                flip.logit_error = self.logit_errors.get(flip.position).copied();
                flip.position = met.positions.get(flip.position).map_or(flip.position, |p| *p as usize);
            }
            self.flips += compared.flipped.len();
            let share = compared.flipped.len() as f64 / met.positions.len().max(1) as f64;
            self.errors.insert(at, share);
            if let Some(flip) = compared.flipped.into_iter().next() {
                self.flip.get_or_insert((at, met.positions.to_vec(), flip));
                self.first.get_or_insert((at, met.positions.to_vec(), Verdict::Diverge, share));
            }
            return;
        }
        let mut found = met.found.to_vec();
        if let Some((left, right)) = met.experts {
            let chosen = (left.len() / met.positions.len().max(1)).max(1);
            align_experts(&mut found, left, right, chosen);
        }
        self.enter(at, met.positions, met.script, &found, bound);
    }

    fn meet_recorded(
        &mut self,
        pass: usize,
        positions: &[u32],
        site: Site,
        left: &Script,
        right: &Script,
        bound: f64,
    ) {
        let routes = site.layer.and_then(|l| Some((left.route(l, positions)?, right.route(l, positions)?)));
        let experts = routes.as_ref().map(|(l, r)| (&l.ids[..], &r.ids[..]));
        let by_expert = matches!(site.stage, Stage::MoeRouter | Stage::MoeRouterIndices)
            || site.stage.row().scope == crate::stage::Scope::Expert;
        let values: Option<(Vec<f32>, Vec<f32>)> = match (site.stage, &routes) {
            (Stage::MoeRouterIndices, Some(_)) => Some((Vec::new(), Vec::new())),
            (Stage::MoeRouter, Some((l, r))) => Some((l.weights.clone(), r.weights.clone())),
            _ => left
                .value(site, positions)
                .and_then(|l| Some((l.to_vec(), right.value(site, positions)?.to_vec()))),
        };
        let Some((script, found)) = values else { return };
        let experts = experts.filter(|_| by_expert);
        let margins = routes.as_ref().map_or(&[][..], |(l, _)| &l.margin);
        let met = Met { pass, positions, site, script: &script, found: &found, experts, margins };
        self.meet(&met, bound);
    }

    fn enter(&mut self, at: At, positions: &[u32], left: &[f32], right: &[f32], bound: f64) {
        let same = left.iter().zip(right).all(|(l, r)| l.to_bits() == r.to_bits() && l.is_finite());
        if same && left.len() == right.len() {
            self.errors.insert(at, 0.0);
            return;
        }
        let (error, nmse, verdict) = match Comparison::nmse_of_finite(left, right) {
            Some(nmse) if nmse <= bound => (nmse, nmse, Verdict::Match),
            Some(nmse) => (nmse, nmse, Verdict::Diverge),
            None => match Comparison::of(left, right, None) {
                Some(c) => (f64::INFINITY, c.nmse, c.verdict(bound)),
                None => return,
            },
        };
        self.errors.insert(at, error);
        if self.largest.is_none_or(|(n, _)| nmse > n) {
            self.largest = Some((nmse, at.1));
        }
        if verdict != Verdict::Match {
            self.first.get_or_insert((at, positions.to_vec(), verdict, nmse));
        }
    }
}

impl Report {
    fn in_words(&self) -> String {
        let Some(f) = &self.finding else {
            let (nmse, key) = self.largest.clone().unwrap_or((Number(0.0), "every stage".to_owned()));
            return format!(
                "{} is within what its precision costs of {}: largest NMSE {:.1e} at {key}, and no stage is wrong by itself.",
                self.right, self.left, nmse.0
            );
        };
        let side = match f.side {
            Which::Left => &self.left,
            Which::Right | Which::Both => &self.right,
        };
        let tensors = match &f.weights[..] {
            [] => String::new(),
            all => {
                let named = all.iter().map(|w| format!("{} ({})", w.tensor, w.format)).collect::<Vec<_>>();
                format!(" with {}", named.join(", "))
            }
        };
        let place = format!("{} in {}", f.key, f.step);
        let both = if f.side == Which::Both { " (and so does the other side)" } else { "" };
        let mut text = match f.class {
            Class::KernelError => {
                let looks = f.sign.as_ref().map(|s| format!(", and looks like {s}")).unwrap_or_default();
                let only = f.extent.as_ref().map(only).unwrap_or_default();
                format!(
                    "{side} computes {place} wrongly{both}: `{}`{tensors} is NMSE {:.1e} from its scalar twin on the same input{only}{looks}; look at the kernel behind it",
                    f.primitive,
                    f.twin.unwrap_or(f.own).0
                )
            }
            Class::NanSource => {
                let from = f.nan.as_ref().map_or_else(String::new, |n| {
                    let weights = n.weights.as_ref().map_or_else(String::new, |w| {
                        format!(" and row {} of {} ({}) are finite", w.row, w.tensor, w.format)
                    });
                    let inputs = if weights.is_empty() { " are finite" } else { "" };
                    let twin = if n.twin.is_some_and(|t| t.0.is_finite()) {
                        "; the scalar twin makes a number of them"
                    } else {
                        "; so does the scalar twin"
                    };
                    format!(": element {} is {}, its inputs{inputs}{weights}{twin}", n.index, n.value)
                });
                format!(
                    "{side} first makes what is not finite at {place}{both}: `{}`{tensors}{from}",
                    f.primitive
                )
            }
            Class::RouterFlip => {
                let flip = f.flip.as_ref().map_or_else(String::new, |flip| {
                    let mut text = format!(
                        " at position {}: {:?} became {:?}",
                        flip.position, flip.left_only, flip.right_only
                    );
                    if let (Some(margin), Some(error)) = (flip.margin, flip.logit_error) {
                        let within = if flip.within_margin() == Some(true) {
                            "which that explains"
                        } else {
                            "more than that explains"
                        };
                        text += &format!(", margin {margin:.1e} with logits off by {error:.1e}, {within}");
                    }
                    text
                });
                format!(
                    "no stage is wrong by itself: the passes part where the router of {place} chooses other experts{flip}; compare with the same route (--route-from)"
                )
            }
            Class::PrecisionDifference => format!(
                "no kernel is wrong: {} costs NMSE {:.1e} in {place} (`{}`{tensors}), as its scalar twin does, and that alone is beyond the bound of {:.0e}",
                self.right, f.own.0, f.primitive, self.bound.0
            ),
            Class::CarriedDrift => format!(
                "no stage is wrong by itself: small errors add up and pass the bound of {:.0e} at {place}, whose own error is {:.1e}",
                self.bound.0, f.own.0
            ),
        };
        if let Some(id) = f.falsifier {
            text += &format!(" (breaks {id})");
        }
        text + "."
    }
}

/// Where alone a value is wrong, if that says something.
fn only(e: &Extent) -> String {
    let mut parts = Vec::new();
    if !e.experts.is_empty() && e.experts.len() <= 2 {
        parts.push(format!("expert {}", report::list(&e.experts)));
    }
    if e.elements * 2 < e.of && e.elements > 0 {
        parts.push(format!("columns {}..{}", e.columns[0], e.columns[1]));
        parts.push(format!("positions {}", report::list(&e.positions)));
    }
    if parts.is_empty() { String::new() } else { format!(" ({} only)", parts.join(", ")) }
}
