//! The running account of one run: readings go in, the worst is kept, and one judgement comes out at the end.
//!
//! A claim is judged once, after everything was compared, so that a report says how far beyond the bound the
//! worst place was and not which came first. How a reading is computed from two operands is not known here.

use super::number::Number;
use super::{Cause, Cells, Measure, Outcome, Quantity};
use crate::claim::{Bound, Cell, Claim};
use crate::suggest::nearest;
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};

/// A place in the claim's domain: coordinate to value.
pub type Place = BTreeMap<String, Cell>;

/// What one comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The value of the claim's metric; a count of violations for a metric that is a yes or no. NaN fails.
    pub value: f64,
    /// How many elements were looked at.
    pub elements: u64,
    /// The element where the value comes from.
    pub element: Option<u64>,
    /// How many NaN the operands hold.
    pub nan: u64,
    /// What is worth saying of that element, `expected 0.25, got 0.5`.
    pub detail: Option<String>,
}

/// What a run amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The numbers.
    pub measure: Measure,
    /// The verdict.
    pub outcome: Outcome,
    /// The cells that were reached, as their places in the product of the claim's sets.
    pub hit: BTreeSet<u64>,
    /// What a person should read, one line each; empty for a pass without missed cells.
    pub report: Vec<String>,
}

/// How many failing places a report lists.
const LISTED: usize = 8;

/// A claim's product of sets may have this many cells.
const MOST_CELLS: u64 = 1 << 20;

/// The account of one run of one falsifier.
#[derive(Debug)]
pub struct Tally {
    claim: Claim,
    limit: Option<Limit>,
    comparisons: u64,
    elements: u64,
    nan: u64,
    readings: u64,
    outside: u64,
    worst: Option<Worst>,
    failing: Vec<String>,
    hit: BTreeSet<u64>,
    also: BTreeMap<String, Quantity>,
    counterexample: Place,
    misuse: Vec<String>,
}

#[derive(Debug)]
struct Worst {
    place: Place,
    note: Option<String>,
    reading: Reading,
}

/// A bound as one number and a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Limit {
    fn of(claim: &Claim) -> Result<Self, String> {
        let Some(bound) = &claim.bound else {
            return match claim.metric.info().better {
                None => Ok(Self::AtMost(0.0)),
                Some(_) => Err(format!("the claim bounds {} by nothing", claim.metric.info().name)),
            };
        };
        match (bound.at_most, bound.at_least, bound.equals) {
            (Some(b), None, None) => Ok(Self::AtMost(b)),
            (None, Some(b), None) => Ok(Self::AtLeast(b)),
            (None, None, Some(b)) => Ok(Self::Exactly(b)),
            _ => Err("the claim's bound is not exactly one of at_most, at_least, equals".to_owned()),
        }
    }

    /// Whether the value lies within; NaN never does.
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Exactly(bound) => value == bound,
        }
    }

    /// A number that grows as the value gets worse; NaN is worse than everything.
    fn badness(self, value: f64) -> f64 {
        match self {
            Self::AtMost(_) => value,
            Self::AtLeast(_) => -value,
            Self::Exactly(bound) => (value - bound).abs(),
        }
    }

    fn is_worse(self, a: f64, b: f64) -> bool {
        let (a, b) = (self.badness(a), self.badness(b));
        // An infinity that the bound asks for exactly has no distance from itself.
        if b.is_nan() { false } else { a.is_nan() || a > b }
    }

    fn headroom(self, worst: f64) -> Option<f64> {
        let quotient = match self {
            Self::AtMost(bound) => bound / worst,
            Self::AtLeast(bound) => worst / bound,
            Self::Exactly(_) => return None,
        };
        (quotient.is_finite() && worst != 0.0).then_some(quotient)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, bound) = match self {
            Self::AtMost(b) => ("at most", b),
            Self::AtLeast(b) => ("at least", b),
            Self::Exactly(b) => ("exactly", b),
        };
        write!(f, "{word} {}", Number(*bound))
    }
}

impl Tally {
    /// An empty account. A claim whose bound makes no sense is judged as a misuse.
    #[must_use]
    pub fn new(claim: Claim) -> Self {
        let mut tally = Self {
            limit: None,
            comparisons: 0,
            elements: 0,
            nan: 0,
            readings: 0,
            outside: 0,
            worst: None,
            failing: Vec::new(),
            hit: BTreeSet::new(),
            also: BTreeMap::new(),
            counterexample: Place::new(),
            misuse: Vec::new(),
            claim,
        };
        match Limit::of(&tally.claim) {
            Ok(limit) => tally.limit = Some(limit),
            Err(problem) => tally.misuse(problem),
        }
        if product(&tally.claim).is_none() {
            tally.misuse(format!("the claim ranges over more than {MOST_CELLS} cells"));
        }
        tally
    }

    /// The claim that is judged.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Enters a reading of the claim's own metric.
    pub fn enter(&mut self, place: Place, note: Option<String>, reading: Reading) {
        self.comparisons += 1;
        self.readings += 1;
        self.elements += reading.elements;
        self.nan += reading.nan;
        self.visit(&place);
        let Some(limit) = self.limit else { return };
        if limit.holds(reading.value) {
            if fault!("tally-keeps-the-last") {
                (self.outside, self.worst) = (0, None);
            }
        } else {
            self.outside += 1;
            if self.failing.len() < LISTED {
                let line = describe(&self.claim, &place, note.as_deref(), &reading);
                self.failing.push(line);
            }
        }
        if self.worst.as_ref().is_none_or(|worst| limit.is_worse(reading.value, worst.reading.value)) {
            self.worst = Some(Worst { place, note, reading });
        }
    }

    /// Enters a condition. Under the metric `predicate` it is a reading; under any other it stands beside the
    /// metric, fails the claim when it does not hold, and cannot stand in for a reading.
    pub fn check(&mut self, place: Place, note: &str, holds: bool) {
        if self.claim.metric == crate::claim::Metric::Predicate {
            let value = if holds { 0.0 } else { 1.0 };
            let detail = (!holds).then(|| "does not hold".to_owned());
            let reading = Reading { value, elements: 1, element: None, nan: 0, detail };
            return self.enter(place, Some(note.to_owned()), reading);
        }
        self.comparisons += 1;
        self.visit(&place);
        if !holds {
            self.outside += 1;
            if self.failing.len() < LISTED {
                self.failing.push(format!("{}{note}: does not hold", prefix(&place)));
            }
        }
    }

    /// Enters a value that the body measured itself. It is a reading when it is named like the claim's metric and
    /// is told beside the measure otherwise.
    pub fn measure(&mut self, place: Place, note: Option<String>, name: &str, value: f64, unit: &str) {
        let metric = self.claim.metric.info().name;
        if name != metric {
            self.also.insert(name.to_owned(), Quantity { value: Number(value), unit: unit.to_owned() });
            return;
        }
        let wanted = self.claim.bound.as_ref().and_then(|bound| bound.unit.as_deref()).unwrap_or_default();
        if unit != wanted && !fault!("tally-accepts-any-unit") {
            self.misuse(format!("{metric} was measured in `{unit}` and is bounded in `{wanted}`"));
            return;
        }
        let reading =
            Reading { value, elements: 1, element: None, nan: u64::from(value.is_nan()), detail: None };
        self.enter(place, note, reading);
    }

    /// Notes that the body did something that the claim does not provide for.
    pub fn misuse(&mut self, what: String) {
        if self.misuse.len() < LISTED && !self.misuse.contains(&what) {
            self.misuse.push(what);
        }
    }

    /// Whether a value of the claim's metric lies within the bound; none does when the bound makes no sense.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.limit.is_some_and(|limit| limit.holds(value))
    }

    /// Keeps the case that refutes the claim and is as small as one could be found.
    pub fn counterexample(&mut self, case: Place) {
        self.counterexample = case;
    }

    /// Whether something entered so far lies outside the bound.
    #[must_use]
    pub fn is_refuted(&self) -> bool {
        self.outside > 0
    }

    /// Marks the cell of the place as reached, if the place names one value of every set.
    fn visit(&mut self, place: &Place) {
        for (key, value) in place {
            let Some(values) = self.claim.over.get(key) else {
                let near = nearest(key, self.claim.over.keys().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
                self.misuse(format!("the claim does not range over `{key}`{hint}"));
                return;
            };
            if position(values, value).is_none() {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                let text = value.to_string();
                let near = nearest(&text, texts.iter().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
                self.misuse(format!("`{key}` has no value `{text}` in the claim{hint}"));
                return;
            }
        }
        if self.claim.over.is_empty() {
            return;
        }
        // The last set counts fastest.
        let cell = self.claim.over.iter().try_fold(0_u64, |cell, (key, values)| {
            let at = place.get(key).and_then(|value| position(values, value));
            let at = if fault!("tally-fills-in-coordinates") { at.or(Some(0)) } else { at }?;
            Some(cell * values.len() as u64 + at as u64)
        });
        self.hit.extend(cell);
    }

    /// The judgement.
    #[must_use]
    pub fn judge(self) -> Judgement {
        let cells = cells(&self.claim, &self.hit);
        let mut report = Vec::new();
        let outcome = self.outcome(&mut report);
        if cells.hit < cells.declared {
            let missed: Vec<_> = cells.missed.iter().map(place_text).collect();
            let more = if cells.declared - cells.hit > cells.missed.len() as u64 { ", ..." } else { "" };
            report.push(format!(
                "{} of {} cells were not reached: {}{more}",
                cells.declared - cells.hit,
                cells.declared,
                missed.join("; ")
            ));
        }
        let bound = self.claim.bound.clone();
        let Bound { at_most, at_least, equals, unit } =
            bound.unwrap_or(Bound { at_most: None, at_least: None, equals: None, unit: None });
        let worst = self.worst.as_ref();
        let headroom = match (self.limit, worst) {
            (Some(limit), Some(worst)) => limit.headroom(worst.reading.value),
            _ => None,
        };
        let measure = Measure {
            metric: self.claim.metric,
            comparisons: self.comparisons,
            elements: self.elements,
            worst: worst.map(|worst| Number(worst.reading.value)),
            at: worst.map(|worst| worst.place.clone()).unwrap_or_default(),
            element: worst.and_then(|worst| worst.reading.element),
            note: worst.and_then(|worst| worst.note.clone()),
            at_most,
            at_least,
            equals,
            unit,
            headroom,
            nan: self.nan,
            cells,
            also: self.also,
            counterexample: self.counterexample,
        };
        Judgement { measure, outcome, hit: self.hit, report }
    }

    fn outcome(&self, report: &mut Vec<String>) -> Outcome {
        let metric = self.claim.metric.info().name;
        let failed = |cause, message: String| Outcome::Failed { cause, message };
        if let Some(first) = self.misuse.first() {
            report.extend(self.misuse.iter().cloned());
            return failed(Cause::Misuse, first.clone());
        }
        if self.outside > 0 {
            let worst =
                self.worst.as_ref().filter(|worst| self.limit.is_some_and(|l| !l.holds(worst.reading.value)));
            let message = match (worst, self.limit) {
                (Some(Worst { place, note, reading }), Some(limit)) => {
                    let line = describe(&self.claim, place, note.as_deref(), reading);
                    let bound =
                        if self.claim.bound.is_some() { format!(", {limit} claimed") } else { String::new() };
                    format!("{line}{bound} ({} of {} outside)", self.outside, self.comparisons)
                }
                _ => self.failing.first().cloned().unwrap_or_default(),
            };
            report.extend(self.failing.iter().cloned());
            let more = self.outside - self.failing.len() as u64;
            if more > 0 {
                report.push(format!("and {more} more"));
            }
            return failed(Cause::Claim, message);
        }
        if (self.readings == 0 || self.elements == 0) && !fault!("tally-passes-nothing") {
            let mut message = format!("nothing was compared: the claim's metric is {metric}");
            if self.readings > 0 {
                message.push_str(" and every operand was empty");
            } else if self.comparisons > 0 {
                message.push_str(" and only checks were made");
            } else if let Some(name) = self.also.keys().next() {
                message.push_str(&format!(" and `{name}` was measured"));
            }
            report.push(message.clone());
            // A test that measured something else is wrong; one that did nothing is empty.
            let cause =
                if self.comparisons > 0 || !self.also.is_empty() { Cause::Misuse } else { Cause::Vacuous };
            return failed(if self.readings > 0 { Cause::Vacuous } else { cause }, message);
        }
        Outcome::Passed
    }
}

/// One measure out of those of several calls or tests of one falsifier: counts add up, the worst value stays, and
/// a cell that any of them reached is reached. `None` when there is none.
#[must_use]
pub fn merge(claim: &Claim, parts: impl IntoIterator<Item = (Measure, BTreeSet<u64>)>) -> Option<Measure> {
    let limit = Limit::of(claim).ok();
    let mut all_hit = BTreeSet::new();
    let mut merged: Option<Measure> = None;
    for (part, hit) in parts {
        all_hit.extend(hit);
        let Some(whole) = &mut merged else {
            merged = Some(part);
            continue;
        };
        let value = |measure: &Measure| measure.worst.map(|number| number.0);
        let worse = match (limit, value(&part), value(whole)) {
            (Some(limit), Some(part), Some(whole)) => limit.is_worse(part, whole),
            (_, part, whole) => part.is_some() && whole.is_none(),
        };
        let (comparisons, elements) = (whole.comparisons + part.comparisons, whole.elements + part.elements);
        let nan = whole.nan + part.nan;
        let (also, counterexample) = (part.also.clone(), part.counterexample.clone());
        if worse {
            let earlier = std::mem::replace(whole, part);
            (whole.also, whole.counterexample) = (earlier.also, earlier.counterexample);
        }
        whole.also.extend(also);
        if whole.counterexample.is_empty() {
            whole.counterexample = counterexample;
        }
        (whole.comparisons, whole.elements, whole.nan) = (comparisons, elements, nan);
    }
    if let Some(whole) = &mut merged {
        whole.cells = cells(claim, &all_hit);
    }
    merged
}

fn cells(claim: &Claim, hit: &BTreeSet<u64>) -> Cells {
    let declared = if claim.over.is_empty() { 0 } else { product(claim).unwrap_or(0) };
    let missed = (0..declared).filter(|cell| !hit.contains(cell)).take(Cells::SHOWN);
    let missed = missed.map(|cell| place_of(claim, cell)).collect();
    Cells { declared, hit: hit.len() as u64, missed }
}

/// The place of a cell, the last set counting fastest.
fn place_of(claim: &Claim, mut cell: u64) -> Place {
    let mut place = Place::new();
    for (key, values) in claim.over.iter().rev() {
        let size = values.len() as u64;
        let at = usize::try_from(cell % size).unwrap_or(0);
        place.insert(key.clone(), values[at].clone());
        cell /= size;
    }
    place
}

/// The number of cells of a claim; `None` when there are too many.
fn product(claim: &Claim) -> Option<u64> {
    let sizes = claim.over.values().map(|set| set.len() as u64);
    sizes.into_iter().try_fold(1u64, u64::checked_mul).filter(|cells| *cells <= MOST_CELLS)
}

/// Where the value stands in the set; `1` and `1.0` are one value.
#[expect(clippy::cast_precision_loss, reason = "sizes and thresholds of contracts are far below 2^53")]
fn position(values: &[Cell], value: &Cell) -> Option<usize> {
    values.iter().position(|declared| match (declared, value) {
        (Cell::Int(a), Cell::Float(b)) | (Cell::Float(b), Cell::Int(a)) => *a as f64 == *b,
        (a, b) => a == b,
    })
}

fn place_text(place: &Place) -> String {
    let parts: Vec<_> = place.iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(" ")
}

fn prefix(place: &Place) -> String {
    if place.is_empty() { String::new() } else { format!("{}: ", place_text(place)) }
}

fn describe(claim: &Claim, place: &Place, note: Option<&str>, reading: &Reading) -> String {
    let metric = claim.metric.info();
    let mut line = prefix(place);
    if let Some(note) = note {
        line.push_str(&format!("{note}: "));
    }
    let is_condition = reading.elements == 1 && metric.metric == crate::claim::Metric::Predicate;
    if !is_condition {
        let value = Number(reading.value);
        line.push_str(&match metric.better {
            None => format!("{} violated {value} times", metric.name),
            Some(_) => format!("{} {value}", metric.name),
        });
        if let Some(unit) = claim.bound.as_ref().and_then(|bound| bound.unit.as_deref()) {
            line.push_str(&format!(" {unit}"));
        }
    }
    if let Some(element) = reading.element {
        line.push_str(&format!(" at element {element}"));
    }
    if reading.nan > 0 {
        line.push_str(&format!(", {} NaN", reading.nan));
    }
    if let Some(detail) = &reading.detail {
        line.push_str(if is_condition { "" } else { ": " });
        line.push_str(detail);
    }
    line
}

#[cfg(test)]
mod tests;
