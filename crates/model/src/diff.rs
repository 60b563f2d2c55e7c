//! Two recordings of a pass against each other, tensor by tensor: verdicts, the first divergence, expert choices.
//!
//! The left recording is the reference. Expert stages are compared expert by expert, so that a permuted choice of the same
//! experts is no divergence, while positions with other experts are named with their margins. Knows no file format: a
//! recording is anything that lists keys and gives values.

mod heat;
pub mod recording;

use crate::Error;
use crate::backend::Precision;
use crate::compare::{Comparison, RouteComparison, Verdict, align_experts, decade_label, routes};
use crate::stage::{Scope, Site, Stage};
use crate::trace::{Entry, Number};
use fault::fault;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::{Serialize, Serializer};
use std::fmt::Write as _;
use std::io;

/// One side of a comparison.
pub trait Recording: Sync {
    /// What it is, for people.
    fn side(&self) -> Side;
    /// Keys of its tensors, in the order of the pass.
    fn keys(&self) -> Vec<String>;
    /// A tensor's shape; `None` when there is none of that key.
    fn shape(&self, key: &str) -> Option<Vec<usize>>;
    /// A tensor's elements, indices as numbers.
    ///
    /// # Errors
    /// When it cannot be read.
    fn values(&self, key: &str) -> Result<Vec<f32>, Error>;
    /// What a manifest says of a tensor; none for another program's.
    fn entry(&self, key: &str) -> Option<&Entry> {
        let _ = key;
        None
    }
    /// The tokens of the pass, where known.
    fn tokens(&self) -> Option<&[u32]>;
    /// A digest of the model's file, where known.
    fn model(&self) -> Option<&str>;
    /// Positions of the tensors' first axis, first and past the last; a recording that knows none is of another program,
    /// and its shapes may be written with other axes.
    fn positions(&self) -> Option<[usize; 2]>;
}

/// What one side is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The file or folder.
    pub name: String,
    /// The backend, `cpu`; `-` where unknown.
    pub backend: String,
    /// The precision, `exact`; `-` where unknown.
    pub precision: String,
}

/// One tensor of both sides.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// `layers.3.attn_norm`, or any name of a foreign recording.
    pub key: String,
    /// The layer, for keys that have one.
    pub layer: Option<usize>,
    /// The stage's name, or the key.
    pub stage: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// The bound on the normalized mean squared error.
    pub bound: f64,
    /// The measures; none when one side is missing.
    #[serde(serialize_with = "comparison")]
    pub comparison: Option<Comparison>,
    /// For [`Stage::MoeRouterIndices`]: the choices.
    pub routes: Option<RouteComparison>,
}

/// All tensors of both sides.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The layout of this object.
    pub schema: &'static str,
    /// The reference.
    pub left: Side,
    /// What is judged.
    pub right: Side,
    /// How many tokens the pass had, where known.
    pub tokens: Option<usize>,
    /// The worst verdict.
    pub verdict: Verdict,
    /// How many tensors match.
    pub matched: usize,
    /// The first tensor, in the order of the pass, that does not match.
    pub first: Option<String>,
    /// The first tensor whose values are not finite on the right though they are on the left.
    pub first_nan: Option<String>,
    /// Labels of the histograms' decades.
    pub decades: Vec<String>,
    /// The tensors, in the order of the pass.
    pub rows: Vec<Line>,
}

fn comparison<S: Serializer>(c: &Option<Comparison>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        elements: usize,
        masked: usize,
        identical: usize,
        left: &'a crate::compare::NonFinite,
        right: &'a crate::compare::NonFinite,
        nmse: Number,
        cosine: Number,
        max_abs: Number,
        norm_ratio: Number,
        worst: &'a [crate::compare::Element],
        histogram: &'a [usize],
    }
    c.as_ref()
        .map(|c| Row {
            elements: c.elements,
            masked: c.masked,
            identical: c.identical,
            left: &c.left,
            right: &c.right,
            nmse: Number(c.nmse),
            cosine: Number(c.cosine),
            max_abs: Number(c.max_abs),
            norm_ratio: Number(c.norm_ratio),
            worst: &c.worst,
            histogram: &c.histogram,
        })
        .serialize(s)
}

/// The bound on the error of two free-running passes, by their precisions. Each is the largest honest error that was
/// measured between right implementations, with room for other machines; what is beyond it is a fault or a flip.
#[must_use]
pub fn bound(left: Option<Precision>, right: Option<Precision>) -> f64 {
    match (left, right) {
        // f32 against f64 over 48 layers: 1.3e-12 to 3.0e-12.
        (Some(Precision::Exact), Some(Precision::Exact)) => 1e-10,
        // 8-bit activations cost 3.2e-4 with the same experts; a flip of one expert in a free-running pass 6e-3.
        _ => 1e-2,
    }
}

/// What the comparison is held to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Replaces the bound of every tensor.
    pub nmse: Option<f64>,
    /// Replaces the bound of single stages.
    pub stages: Vec<(Stage, f64)>,
    /// Leaves out what one side alone has.
    pub common: bool,
}

impl Options {
    fn bound(&self, stage: Option<Stage>, default: f64) -> f64 {
        let own = stage.and_then(|s| self.stages.iter().find(|(of, _)| *of == s)).map(|(_, b)| *b);
        own.or(self.nmse).unwrap_or(default)
    }
}

/// Compares two recordings.
///
/// # Errors
/// When they are not of the same pass (model, tokens, shapes), or a tensor cannot be read.
pub fn diff(left: &dyn Recording, right: &dyn Recording, options: &Options) -> Result<Report, Error> {
    same_pass(left, right)?;
    let (sides, default) = ((left.side(), right.side()), {
        let precision = |s: &Side| Precision::from_name(&s.precision);
        bound(precision(&left.side()), precision(&right.side()))
    });
    let mut keys = union(left.keys(), right.keys());
    if options.common {
        keys.retain(|key| left.shape(key).is_some() && right.shape(key).is_some());
    }
    let rows: Vec<Line> =
        keys.into_par_iter().map(|key| line(left, right, key, options, default)).collect::<Result<_, _>>()?;
    let first =
        |wanted: &dyn Fn(Verdict) -> bool| rows.iter().find(|r| wanted(r.verdict)).map(|r| r.key.clone());
    Ok(Report {
        schema: "apr-diff/1",
        left: sides.0,
        right: sides.1,
        tokens: left.tokens().or(right.tokens()).map(<[u32]>::len),
        verdict: rows.iter().map(|r| r.verdict).max_by_key(|v| severity(*v)).unwrap_or(Verdict::Missing),
        matched: rows.iter().filter(|r| r.verdict == Verdict::Match).count(),
        first: first(&|v| v != Verdict::Match),
        first_nan: first(&|v| v == Verdict::NanRight),
        decades: (0..crate::compare::DECADES).map(decade_label).collect(),
        rows,
    })
}

/// One tensor of either side.
fn line(
    left: &dyn Recording,
    right: &dyn Recording,
    key: String,
    options: &Options,
    default: f64,
) -> Result<Line, Error> {
    let place: Option<Site> = key.parse().ok();
    let bound = options.bound(place.map(|s| s.stage), default);
    let entries = left.entry(&key).zip(right.entry(&key));
    let summaries = entries.filter(|(l, r)| l.file.is_none() || r.file.is_none());
    let (comparison, routes) = match (left.shape(&key), right.shape(&key)) {
        (Some(l), Some(r)) if !alike(left, right, &l, &r) => {
            return Err(Error::Recordings {
                what: format!("shapes of {key}"),
                left: format!("{l:?}"),
                right: format!("{r:?}"),
            });
        }
        (Some(_), Some(_)) if summaries.is_some() => (None, None),
        (Some(_), Some(_)) => tensor(left, right, &key, place)?,
        _ => (None, None),
    };
    let verdict = match (&routes, &comparison, summaries) {
        (Some(r), ..) if r.flipped.is_empty() => Verdict::Match,
        (Some(_), ..) => Verdict::Diverge,
        (None, Some(c), _) => c.verdict(bound),
        (None, None, Some((l, r))) => by_digest(l, r),
        (None, None, None) => Verdict::Missing,
    };
    Ok(Line {
        layer: place.and_then(|s| s.layer),
        stage: place.map_or_else(|| key.clone(), |s| s.stage.name().to_owned()),
        key,
        verdict,
        bound,
        comparison,
        routes,
    })
}

/// The verdict where only digests and statistics were kept: the same bits, or not.
fn by_digest(left: &Entry, right: &Entry) -> Verdict {
    let clean = |e: &Entry| e.stats.nan + e.stats.inf == 0;
    match (clean(left), clean(right)) {
        (false, false) => Verdict::NanBoth,
        (false, true) => Verdict::NanLeft,
        (true, false) => Verdict::NanRight,
        (true, true) if left.hash == right.hash || fault!("diff-digest-ignored") => Verdict::Match,
        (true, true) => Verdict::Diverge,
    }
}

/// Whether two shapes can be compared: the same, or the same number of elements where another program chose the axes.
fn alike(left: &dyn Recording, right: &dyn Recording, l: &[usize], r: &[usize]) -> bool {
    let foreign = left.positions().is_none() || right.positions().is_none();
    let count = |s: &[usize]| s.iter().product::<usize>();
    l == r || (foreign && count(l) == count(r))
}

/// From harmless to bad.
fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Match => 0,
        Verdict::Missing => 1,
        Verdict::Diverge => 2,
        Verdict::NanBoth => 3,
        Verdict::NanLeft => 4,
        Verdict::NanRight => 5,
    }
}

fn same_pass(left: &dyn Recording, right: &dyn Recording) -> Result<(), Error> {
    let differ = |what: &str, l: String, r: String| {
        Err(Error::Recordings { what: what.to_owned(), left: l, right: r })
    };
    if let (Some(l), Some(r)) = (left.model(), right.model())
        && l != r
    {
        return differ("models", l.to_owned(), r.to_owned());
    }
    if let (Some(l), Some(r)) = (left.tokens(), right.tokens())
        && l != r
        && !fault!("diff-ignores-tokens")
    {
        return differ("tokens", format!("{l:?}"), format!("{r:?}"));
    }
    if let (Some(l), Some(r)) = (left.positions(), right.positions())
        && l != r
    {
        return differ("positions", format!("{}..{}", l[0], l[1]), format!("{}..{}", r[0], r[1]));
    }
    if !left.keys().iter().any(|k| right.shape(k).is_some()) {
        let list = |keys: Vec<String>| match keys.len() {
            0 => "no tensor".to_owned(),
            n => format!("{n} tensors, first {}", keys[0]),
        };
        return differ("tensors (none is in both)", list(left.keys()), list(right.keys()));
    }
    Ok(())
}

/// All keys of both sides, each once; keys of the right alone come after their left neighbour.
fn union(left: Vec<String>, right: Vec<String>) -> Vec<String> {
    let mut keys = left;
    let mut after = 0;
    for key in right {
        match keys.iter().position(|k| *k == key) {
            Some(place) => after = place + 1,
            None => {
                keys.insert(after, key);
                after += 1;
            }
        }
    }
    keys
}

type Measured = (Option<Comparison>, Option<RouteComparison>);

fn tensor(
    left: &dyn Recording,
    right: &dyn Recording,
    key: &str,
    place: Option<Site>,
) -> Result<Measured, Error> {
    let (l, mut r) = (left.values(key)?, right.values(key)?);
    let Some(Site { layer, stage }) = place else {
        return Ok((Comparison::of(&l, &r, None), None));
    };
    let other = |stage| Site { layer, stage }.to_string();
    let indices = other(Stage::MoeRouterIndices);
    if stage == Stage::MoeRouterIndices {
        let chosen = left.shape(key).and_then(|s| s.last().copied()).unwrap_or(0);
        let mut routes = routes(&ids(&l), &ids(&r), chosen);
        let logits = other(Stage::MoeRouterLogits);
        if let Some(routes) = &mut routes
            && left.shape(&logits).is_some()
            && right.shape(&logits) == left.shape(&logits)
        {
            margins(routes, &left.values(&logits)?, &right.values(&logits)?, chosen, l.len());
        }
        return Ok((None, routes));
    }
    let by_expert = stage == Stage::MoeRouter || stage.row().scope == Scope::Expert;
    if by_expert && left.shape(&indices).is_some() && right.shape(&indices) == left.shape(&indices) {
        let chosen = left.shape(&indices).and_then(|s| s.last().copied()).unwrap_or(0);
        align_experts(&mut r, &ids(&left.values(&indices)?), &ids(&right.values(&indices)?), chosen);
    }
    Ok((Comparison::of(&l, &r, stage.future()), None))
}

fn ids(values: &[f32]) -> Vec<u32> {
    // Expert numbers are far below 2^24, so they pass through f32 unharmed.
    values.iter().map(|v| *v as u32).collect()
}

/// Fills in margins and logit errors of flipped positions.
fn margins(routes: &mut RouteComparison, left: &[f32], right: &[f32], chosen: usize, choices: usize) {
    let positions = choices / chosen.max(1);
    if positions == 0 || left.len() != right.len() || !left.len().is_multiple_of(positions) {
        return;
    }
    let n = left.len() / positions;
    for flip in &mut routes.flipped {
        let row = flip.position * n..(flip.position + 1) * n;
        let (l, r) = (&left[row.clone()], &right[row]);
        let Some(c) = Comparison::of(l, r, None).filter(|c| c.left.is_clean() && c.right.is_clean()) else {
            continue;
        };
        let mut sorted = l.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        flip.margin = sorted.get(chosen).map(|next| sorted[chosen - 1] - next);
        flip.logit_error = Some(c.max_abs as f32);
    }
}

impl Report {
    /// Whether every tensor matches; a report of no tensor does not.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.rows.is_empty() && self.verdict == Verdict::Match
    }

    /// Writes the table.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write(&self, out: &mut dyn io::Write, all: bool) -> io::Result<()> {
        let side = |s: &Side| format!("{} ({}:{})", s.name, s.backend, s.precision);
        writeln!(out, "left   {}\nright  {}\n", side(&self.left), side(&self.right))?;
        writeln!(
            out,
            "{:<32} {:<9} {:>9} {:>10} {:>9} {:>10} {:>9}",
            "tensor", "verdict", "nmse", "cosine", "max|d|", "at", "norm r/l"
        )?;
        for row in self.rows.iter().filter(|r| all || r.verdict != Verdict::Match) {
            writeln!(out, "{}", row.line())?;
        }
        let hidden = if all { 0 } else { self.matched };
        if hidden > 0 {
            writeln!(out, "... and {hidden} that match")?;
        }
        writeln!(out, "\n{} of {} tensors match", self.matched, self.rows.len())?;
        if let Some(first) = &self.first {
            writeln!(out, "the first that does not: {first}")?;
        }
        if let Some(first) = &self.first_nan {
            writeln!(out, "the first that is not finite on the right alone: {first}")?;
        }
        Ok(())
    }

    /// The heat map as one page that needs nothing else.
    ///
    /// # Errors
    /// When the report cannot be written as JSON.
    pub fn html(&self) -> Result<String, serde_json::Error> {
        // `</script>` inside a string would end the data.
        let mut data = serde_json::to_string(self)?.replace("</", "<\\/");
        if fault!("diff-page-wrong-layer") {
            data = data.replace("layers.1.", "layers.0.");
        }
        Ok(include_str!("diff/page.html").replacen("__DATA__", &data, 1))
    }
}

impl Line {
    fn line(&self) -> String {
        let mut line = format!("{:<32} {:<9}", self.key, self.verdict);
        if let Some(c) = &self.comparison {
            let at = c.worst.first().map_or_else(|| "-".to_owned(), |w| w.index.to_string());
            let _ = write!(
                line,
                " {:>9.1e} {:>10.7} {:>9.1e} {at:>10} {:>9.4}",
                c.nmse, c.cosine, c.max_abs, c.norm_ratio
            );
            for (name, side) in [("left", &c.left), ("right", &c.right)] {
                if let Some(first) = side.first {
                    let _ = write!(line, "  {name}: {} NaN, {} Inf, first at {first}", side.nan, side.inf);
                }
            }
        }
        if let Some(r) = &self.routes {
            let _ = write!(line, " {} equal, {} permuted, {} flipped", r.equal, r.permuted, r.flipped.len());
            if let Some(f) = r.flipped.first() {
                let _ =
                    write!(line, "; position {}: {:?} became {:?}", f.position, f.left_only, f.right_only);
                if let (Some(margin), Some(error)) = (f.margin, f.logit_error) {
                    let _ = write!(line, ", margin {margin:.1e}, logits off by {error:.1e}");
                }
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Memory {
        precision: &'static str,
        tokens: Vec<u32>,
        tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    }

    impl Memory {
        fn new(tensors: &[(&str, &[usize], &[f32])]) -> Self {
            let tensors =
                tensors.iter().map(|(k, s, v)| ((*k).to_owned(), (s.to_vec(), v.to_vec()))).collect();
            Self { precision: "exact", tokens: vec![1, 2], tensors }
        }
    }

    impl Recording for Memory {
        fn side(&self) -> Side {
            Side { name: "memory".into(), backend: "cpu".into(), precision: self.precision.into() }
        }
        fn keys(&self) -> Vec<String> {
            self.tensors.keys().cloned().collect()
        }
        fn shape(&self, key: &str) -> Option<Vec<usize>> {
            self.tensors.get(key).map(|(s, _)| s.clone())
        }
        fn values(&self, key: &str) -> Result<Vec<f32>, Error> {
            Ok(self.tensors[key].1.clone())
        }
        fn tokens(&self) -> Option<&[u32]> {
            Some(&self.tokens)
        }
        fn model(&self) -> Option<&str> {
            None
        }
        fn positions(&self) -> Option<[usize; 2]> {
            Some([0, self.tokens.len()])
        }
    }

    fn run(left: &Memory, right: &Memory) -> Report {
        diff(left, right, &Options::default()).expect("the same pass")
    }

    #[test]
    fn a_permuted_choice_matches_with_its_weights_and_outputs() {
        let left = Memory::new(&[
            ("layers.0.moe_router", &[1, 2], &[0.7, 0.3]),
            ("layers.0.moe_router_indices", &[1, 2], &[4.0, 9.0]),
            ("layers.0.moe_expert_out", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ]);
        let right = Memory::new(&[
            ("layers.0.moe_router", &[1, 2], &[0.3, 0.7]),
            ("layers.0.moe_router_indices", &[1, 2], &[9.0, 4.0]),
            ("layers.0.moe_expert_out", &[1, 2, 2], &[3.0, 4.0, 1.0, 2.0]),
        ]);
        let report = run(&left, &right);
        assert!(report.holds(), "{report:?}");
    }

    #[test]
    fn a_flip_carries_its_margin_and_the_error_of_its_logits() {
        let left = Memory::new(&[
            ("layers.1.moe_router_indices", &[1, 2], &[0.0, 1.0]),
            ("layers.1.moe_router_logits", &[1, 3], &[3.0, 2.0, 1.75]),
        ]);
        let right = Memory::new(&[
            ("layers.1.moe_router_indices", &[1, 2], &[0.0, 2.0]),
            ("layers.1.moe_router_logits", &[1, 3], &[3.0, 1.875, 2.0]),
        ]);
        let report = run(&left, &right);
        let flip = &report.rows[0].routes.as_ref().expect("routes").flipped[0];
        assert_eq!(
            (flip.margin, flip.logit_error, flip.within_margin()),
            (Some(0.25), Some(0.25), Some(true))
        );
        assert_eq!(report.verdict, Verdict::Diverge);
        assert_eq!(report.first.as_deref(), Some("layers.1.moe_router_indices"));
    }

    #[test]
    fn a_tensor_of_one_side_is_missing_and_two_strangers_do_not_compare() {
        let left = Memory::new(&[("embedding", &[1], &[1.0]), ("lm_head", &[1], &[1.0])]);
        let right = Memory::new(&[("embedding", &[1], &[1.0])]);
        let report = run(&left, &right);
        assert_eq!((report.matched, report.verdict, report.holds()), (1, Verdict::Missing, false));
        let stranger = Memory::new(&[("other", &[1], &[1.0])]);
        assert!(diff(&left, &stranger, &Options::default()).is_err());
    }

    #[test]
    fn other_tokens_and_other_shapes_are_errors() {
        let left = Memory::new(&[("embedding", &[2], &[1.0, 2.0])]);
        let mut right = Memory::new(&[("embedding", &[1, 2], &[1.0, 2.0])]);
        assert!(diff(&left, &right, &Options::default()).is_err());
        right = Memory::new(&[("embedding", &[2], &[1.0, 2.0])]);
        assert!(diff(&left, &right, &Options::default()).is_ok());
        right.tokens = vec![9];
        assert!(diff(&left, &right, &Options::default()).is_err());
    }

    #[test]
    fn the_bound_follows_the_precisions_unless_given() {
        let left = Memory::new(&[("embedding", &[1], &[1.0])]);
        let mut right = Memory::new(&[("embedding", &[1], &[1.0 + 1e-3])]);
        assert_eq!(run(&left, &right).verdict, Verdict::Diverge);
        right.precision = "fast";
        assert_eq!(run(&left, &right).verdict, Verdict::Match);
        let strict =
            Options { nmse: Some(1e-9), stages: vec![(Stage::Embedding, 1e-3)], ..Options::default() };
        assert_eq!(diff(&left, &right, &strict).expect("the same pass").verdict, Verdict::Match);
        let strict = Options { nmse: Some(1e-9), ..Options::default() };
        assert_eq!(diff(&left, &right, &strict).expect("the same pass").verdict, Verdict::Diverge);
    }

    #[test]
    fn json_and_page_keep_what_is_not_a_number() {
        let left = Memory::new(&[("embedding", &[1], &[0.0])]);
        let right = Memory::new(&[("embedding", &[1], &[1.0])]);
        let report = run(&left, &right);
        let json = serde_json::to_string(&report).expect("JSON");
        assert!(json.contains(r#""nmse":"Infinity""#), "{json}");
        assert!(report.html().expect("a page").contains(r#""nmse":"Infinity""#));
    }
}
