//! The handle that a falsifier's body holds: what the contract claims, and the account of what was compared.

use crate::metric::{self, MetricError};
use crate::operand::Operand;
use contract::claim::{Bound, Cell, Metric};
use contract::evidence::tally::{Judgement, Place, Reading, Tally};
use fault::fault;

/// A claim under test. Comparisons are accumulated and judged once, when the body is done.
#[derive(Debug)]
pub struct Claim {
    tally: Tally,
}

impl Claim {
    /// A claim that no contract holds: for harnesses that judge by hand.
    #[must_use]
    pub fn new(claim: contract::claim::Claim) -> Self {
        Self { tally: Tally::new(claim) }
    }

    /// The metric that [`Claim::compare`] computes.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.tally.claim().metric
    }

    /// The bound, as the contract has it; `None` when the metric is a yes or no.
    #[must_use]
    pub fn bound(&self) -> Option<&Bound> {
        self.tally.claim().bound.as_ref()
    }

    /// The declared values of one coordinate of the claim's domain; empty when there is none of that name.
    #[must_use]
    pub fn over(&self, key: &str) -> Vec<Cell> {
        self.tally.claim().over.get(key).cloned().unwrap_or_default()
    }

    /// A place in the claim's domain. Key and value must be declared in the contract's `over`; chain for several.
    pub fn at(&mut self, key: &str, value: impl Into<Cell>) -> At<'_> {
        At { claim: self, place: Place::new(), note: None }.at(key, value)
    }

    /// A place in words, for the report alone.
    pub fn on(&mut self, note: impl Into<String>) -> At<'_> {
        At { claim: self, place: Place::new(), note: Some(note.into()) }
    }

    /// Compares by the claim's metric, `expected` being the reference.
    pub fn compare<E: Operand + ?Sized, A: Operand + ?Sized>(&mut self, expected: &E, actual: &A) {
        self.here().compare(expected, actual);
    }

    /// Counts NaN and infinities, for a claim whose metric is `finite`.
    pub fn finite<A: Operand + ?Sized>(&mut self, actual: &A) {
        self.here().finite(actual);
    }

    /// Enters a measured value. It counts when `name` is the claim's metric, and its unit must then be the bound's;
    /// a value of any other name is recorded beside it.
    pub fn measure(&mut self, name: &str, value: f64, unit: &str) {
        self.here().measure(name, value, unit);
    }

    /// Enters a condition. It is the claim when the metric is `predicate`; under any other metric it can fail the
    /// claim and cannot stand in for a comparison.
    pub fn check(&mut self, what: &str, holds: bool) {
        self.here().check(what, holds);
    }

    /// Judges what was entered.
    #[must_use]
    pub fn judge(self) -> Judgement {
        self.tally.judge()
    }

    /// Whether something entered so far lies outside the bound.
    pub(crate) fn is_refuted(&self) -> bool {
        self.tally.is_refuted()
    }

    fn here(&mut self) -> At<'_> {
        At { claim: self, place: Place::new(), note: None }
    }
}

/// What the cases of a generated test follow from.
#[cfg(feature = "generated")]
impl Claim {
    /// The claim's whole domain: the declared values of every coordinate.
    pub(crate) fn domain(&self) -> &std::collections::BTreeMap<String, Vec<Cell>> {
        &self.tally.claim().over
    }

    /// What the claim says of NaN.
    pub(crate) fn nan(&self) -> contract::claim::NanPolicy {
        self.tally.claim().nan
    }

    /// Whether a value of the claim's metric lies within its bound.
    pub(crate) fn holds(&self, value: f64) -> bool {
        self.tally.holds(value)
    }

    /// Keeps the case that refutes the claim and is as small as one could be found.
    pub(crate) fn counterexample(&mut self, case: Place) {
        self.tally.counterexample(case);
    }
}

/// A claim at a place of its domain.
#[derive(Debug)]
#[must_use = "a place alone compares nothing"]
pub struct At<'c> {
    claim: &'c mut Claim,
    place: Place,
    note: Option<String>,
}

impl At<'_> {
    /// A further coordinate.
    pub fn at(mut self, key: &str, value: impl Into<Cell>) -> Self {
        self.place.insert(key.to_owned(), value.into());
        self
    }

    /// The place in words, for the report alone.
    pub fn on(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// As [`Claim::compare`], here.
    pub fn compare<E: Operand + ?Sized, A: Operand + ?Sized>(self, expected: &E, actual: &A) {
        let claim = self.claim.tally.claim();
        let reading = metric::read(claim.metric, claim.nan, expected.view(), actual.view());
        self.enter(reading);
    }

    /// As [`Claim::finite`], here.
    pub fn finite<A: Operand + ?Sized>(self, actual: &A) {
        if self.claim.metric() == Metric::Finite {
            let reading = metric::finite(actual.view());
            self.enter(reading);
        } else {
            let metric = self.claim.metric().info().name;
            self.claim.tally.misuse(format!("`finite` was counted and the claim's metric is {metric}"));
        }
    }

    /// As [`Claim::measure`], here.
    pub fn measure(self, name: &str, value: f64, unit: &str) {
        self.claim.tally.measure(self.place, self.note, name, value, unit);
    }

    /// As [`Claim::check`], here.
    pub fn check(self, what: &str, holds: bool) {
        let what = self.note.map_or_else(|| what.to_owned(), |note| format!("{note}: {what}"));
        self.claim.tally.check(self.place, &what, holds);
    }

    fn enter(self, reading: Result<Reading, MetricError>) {
        match reading {
            Ok(reading) if reading.value.is_nan() && fault!("judge-forgets-nan") => {}
            Ok(reading) => self.claim.tally.enter(self.place, self.note, reading),
            Err(error) => self.claim.tally.misuse(error.to_string()),
        }
    }
}
