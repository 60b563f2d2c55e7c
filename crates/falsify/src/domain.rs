//! The cases of a generated test: every cell of the claim at the boundary of every size, then cases drawn from a seed.
//!
//! A drawn case that lies outside the bound is made smaller while it stays outside, and the record keeps the smallest:
//! whoever reads it can run that case alone.

use crate::claim::Claim;
use crate::metric;
use crate::operand::Operand;
use crate::require::Unmet;
use contract::claim::Cell;
use contract::evidence::tally::Place;
use fault::fault;
use proptest::prelude::{Just, Strategy};
use proptest::strategy::Union;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::any::Any;
use std::cell::{Cell as Mutable, RefCell};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A range of whole numbers, as the contract's `sizes` has it.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Its name.
    pub name: &'static str,
    /// The smallest.
    pub from: u32,
    /// The largest.
    pub to: u32,
    /// The distance of neighbours.
    pub step: u32,
    /// The numbers that are tried for every cell.
    pub boundary: &'static [u32],
}

/// What the cases of a generated test range over, beside the cells of its claim.
#[derive(Debug, Clone, Copy)]
pub struct Domain {
    /// Ranges of numbers.
    pub sizes: &'static [Size],
    /// How many cases are drawn.
    pub cases: u32,
    /// From which seed.
    pub seed: u64,
}

/// One case: a cell of the claim, a number of every range, and a seed for the operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    cell: Place,
    sizes: Vec<(&'static str, u32)>,
    seed: u64,
}

/// Why a case was not judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// The operation refused the case.
    #[error("{case}: {error}")]
    Refused {
        /// The case, as small as it refuses it.
        case: String,
        /// What it said.
        error: String,
    },
    /// The contract and the generated test disagree.
    #[error("no case has a {what} `{name}`; generate the test again")]
    Unknown {
        /// Cell or size.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

impl Case {
    /// The case's value of a coordinate of the claim.
    ///
    /// # Errors
    /// When the claim has no such coordinate, or its value is no text.
    pub fn word(&self, key: &str) -> Result<&str, DomainError> {
        match self.cell.get(key) {
            Some(Cell::Text(text)) => Ok(text),
            _ => Err(DomainError::Unknown { what: "word", name: key.to_owned() }),
        }
    }

    /// The case's truth value of a coordinate of the claim.
    ///
    /// # Errors
    /// When the claim has no such coordinate, or its value is no truth value.
    pub fn truth(&self, key: &str) -> Result<bool, DomainError> {
        match self.cell.get(key) {
            Some(Cell::Bool(truth)) => Ok(*truth),
            _ => Err(DomainError::Unknown { what: "truth value", name: key.to_owned() }),
        }
    }

    /// The case's number of a range.
    ///
    /// # Errors
    /// When there is no such range.
    pub fn size(&self, name: &str) -> Result<usize, DomainError> {
        let found = self.sizes.iter().find(|(size, _)| *size == name);
        found
            .map(|(_, number)| *number as usize)
            .ok_or_else(|| DomainError::Unknown { what: "size", name: name.to_owned() })
    }

    /// A seed for the operands, another one for each case.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The cell, the numbers and the seed, as a record keeps them.
    fn place(&self) -> Place {
        let sizes = self.sizes.iter().map(|(name, number)| ((*name).to_owned(), Cell::from(*number)));
        let seed = std::iter::once(("seed".to_owned(), Cell::from(self.seed)));
        self.cell.clone().into_iter().chain(sizes).chain(seed).collect()
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self.place().into_iter().map(|(key, value)| format!("{key}={value}"));
        f.write_str(&parts.collect::<Vec<_>>().join(" "))
    }
}

/// What became of one case.
enum Found {
    Inside,
    Outside,
    Refused(String),
}

impl Domain {
    /// Compares what `compute` expects of each case, the first of its results, with what there is, the second.
    ///
    /// Boundary cases are entered one by one. Drawn cases are entered until one is outside the bound, panics or is
    /// refused; of that, the smallest that still is.
    ///
    /// # Errors
    /// When the operation refuses a case.
    pub fn explore<E: Operand, A: Operand, Err: Display>(
        &self,
        claim: &mut Claim,
        compute: impl Fn(&Case) -> Result<(E, A), Err>,
    ) -> Result<(), DomainError> {
        for case in self.boundary(&cells(claim)) {
            let (expected, actual) = compute(&case)
                .map_err(|error| DomainError::Refused { case: case.to_string(), error: error.to_string() })?;
            enter(claim, &case, &expected, &actual);
        }
        self.draw(claim, &compute)
    }

    /// Every cell with every combination of the sizes' boundaries.
    fn boundary(&self, cells: &[Place]) -> Vec<Case> {
        let mut sizes: Vec<Vec<(&'static str, u32)>> = vec![Vec::new()];
        for size in self.sizes {
            let with = |number: &u32, chosen: &Vec<_>| {
                chosen.iter().copied().chain(std::iter::once((size.name, *number))).collect()
            };
            let ends = if fault!("domain-skips-ends") { &size.boundary[..1] } else { size.boundary };
            sizes =
                sizes.iter().flat_map(|chosen| ends.iter().map(move |number| with(number, chosen))).collect();
        }
        let cases = cells.iter().flat_map(|cell| sizes.iter().map(move |sizes| (cell, sizes)));
        cases
            .zip(self.seed..)
            .map(|((cell, sizes), seed)| Case { cell: cell.clone(), sizes: sizes.clone(), seed })
            .collect()
    }

    fn draw<E: Operand, A: Operand, Err: Display>(
        &self,
        claim: &mut Claim,
        compute: &impl Fn(&Case) -> Result<(E, A), Err>,
    ) -> Result<(), DomainError> {
        if self.cases == 0 {
            return Ok(());
        }
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            // A case may take a while where it runs on a simulated device.
            max_shrink_iters: if fault!("domain-keeps-the-first") { 0 } else { 1000 },
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let shared = RefCell::new(claim);
        let unmet = RefCell::new(None);
        let is_shrinking = Mutable::new(false);
        let cells = cells(&shared.borrow());
        let drawn = runner.run(&self.strategy(cells), |case| {
            let fail = |why: String| {
                is_shrinking.set(true);
                Err(TestCaseError::fail(why))
            };
            match catch_unwind(AssertUnwindSafe(|| compute(&case))) {
                Ok(Ok((expected, actual))) => {
                    let mut claim = shared.borrow_mut();
                    match judged(&claim, &expected, &actual) {
                        Found::Inside if is_shrinking.get() => Ok(()),
                        Found::Inside => {
                            enter(&mut claim, &case, &expected, &actual);
                            Ok(())
                        }
                        Found::Outside => fail("outside the bound".to_owned()),
                        Found::Refused(why) => fail(why),
                    }
                }
                Ok(Err(error)) => fail(error.to_string()),
                Err(payload) if payload.is::<Unmet>() => {
                    unmet.replace(Some(payload));
                    Err(TestCaseError::fail("an unmet need"))
                }
                Err(payload) => fail(said(&*payload)),
            }
        });
        if let Some(payload) = unmet.into_inner() {
            resume_unwind(payload);
        }
        let claim = shared.into_inner();
        claim.measure("random_cases", f64::from(self.cases), "cases");
        let (reason, case) = match drawn {
            Ok(()) => return Ok(()),
            Err(TestError::Fail(reason, case)) => (reason, case),
            // Nothing is filtered, so nothing is given up.
            Err(TestError::Abort(reason)) => {
                return Err(DomainError::Refused {
                    case: "the drawing".to_owned(),
                    error: reason.to_string(),
                });
            }
        };
        claim.counterexample(case.place());
        match catch_unwind(AssertUnwindSafe(|| compute(&case))) {
            Ok(Ok((expected, actual))) => {
                enter(claim, &case, &expected, &actual);
                Ok(())
            }
            Ok(Err(error)) => Err(DomainError::Refused { case: case.to_string(), error: error.to_string() }),
            Err(_) => {
                let error = format!("panicked: {reason}");
                Err(DomainError::Refused { case: case.to_string(), error })
            }
        }
    }

    /// Cells, sizes and seeds, each the simpler the earlier or smaller.
    fn strategy(&self, cells: Vec<Place>) -> impl Strategy<Value = Case> + use<> {
        let sizes: Vec<_> = self
            .sizes
            .iter()
            .map(|&Size { name, from, to, step, .. }| {
                let steps = (to - from).checked_div(step).unwrap_or(0);
                (0..=steps).prop_map(move |n| (name, from + n * step))
            })
            .collect();
        let cell = Union::new(cells.into_iter().map(Just));
        (cell, sizes, 0_u64..1 << 32).prop_map(|(cell, sizes, seed)| Case { cell, sizes, seed })
    }
}

/// Every cell of the claim; one that is nowhere when it ranges over nothing.
fn cells(claim: &Claim) -> Vec<Place> {
    let mut cells = vec![Place::new()];
    for (key, values) in claim.domain() {
        let with = |cell: &Place, value: &Cell| {
            let mut cell = cell.clone();
            cell.insert(key.clone(), value.clone());
            cell
        };
        cells = cells.iter().flat_map(|cell| values.iter().map(move |value| with(cell, value))).collect();
    }
    cells
}

fn enter<E: Operand, A: Operand>(claim: &mut Claim, case: &Case, expected: &E, actual: &A) {
    let sizes: Vec<String> = case.sizes.iter().map(|(name, number)| format!("{name}={number}")).collect();
    let mut at = claim.on(format!("{} seed={}", sizes.join(" "), case.seed));
    for (key, value) in &case.cell {
        at = at.at(key, value);
    }
    at.compare(expected, actual);
}

fn judged<E: Operand, A: Operand>(claim: &Claim, expected: &E, actual: &A) -> Found {
    match metric::read(claim.metric(), claim.nan(), expected.view(), actual.view()) {
        Ok(reading) if claim.holds(reading.value) => Found::Inside,
        Ok(_) => Found::Outside,
        Err(error) => Found::Refused(error.to_string()),
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
