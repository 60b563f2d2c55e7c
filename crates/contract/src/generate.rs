//! A generated test: the operation that computes both sides, and the sizes over which it is asked.
//!
//! What the cases range over by name stands in the claim's `over`; here stand the ranges of numbers, whose ends are
//! tried for every cell, and how many further cases are drawn.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A `generate:` block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The path, in the test's crate, of the function that computes what is expected of a case and what there is.
    pub operation: String,
    /// Ranges of whole numbers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, Size>,
    /// Cases drawn beside the boundary cases.
    pub random: Random,
}

/// A range of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// The smallest.
    pub from: u32,
    /// The largest.
    pub to: u32,
    /// The distance of neighbours; 1 when left out.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub step: u32,
    /// Numbers in between that the code treats specially, tried like the ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<u32>,
}

/// How many cases are drawn, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// How many.
    pub cases: u32,
    /// The seed; the same cases follow from it everywhere.
    pub seed: u64,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_one(step: &u32) -> bool {
    *step == 1
}

/// Why a range is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// Nothing lies in it.
    #[error("`{name}` ends at {to}, before {from} where it starts")]
    Empty {
        /// The range.
        name: String,
        /// Its start.
        from: u32,
        /// Its end.
        to: u32,
    },
    /// A number that the range does not hold.
    #[error("{number} is no number of `{name}`, which counts from {from} to {to} by {step}")]
    Outside {
        /// The range.
        name: String,
        /// The number.
        number: u32,
        /// The range's start.
        from: u32,
        /// Its end.
        to: u32,
        /// Its step.
        step: u32,
    },
}

impl Size {
    /// The numbers that are tried for every cell: both ends, their neighbours, and the edges; ascending.
    ///
    /// # Errors
    /// When the range holds nothing, its end is not reached from its start, or an edge lies outside.
    pub fn boundary(&self, name: &str) -> Result<Vec<u32>, SizeError> {
        let &Self { from, to, step, .. } = self;
        if from > to {
            return Err(SizeError::Empty { name: name.to_owned(), from, to });
        }
        let reached = |number: u32| {
            from <= number && number <= to && (number - from).checked_rem(step).unwrap_or(number - from) == 0
        };
        if let Some(&number) = std::iter::once(&to).chain(&self.edges).find(|number| !reached(**number)) {
            return Err(SizeError::Outside { name: name.to_owned(), number, from, to, step });
        }
        let near = [from, from.saturating_add(step).min(to), to.saturating_sub(step).max(from), to];
        Ok(near.into_iter().chain(self.edges.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(from: u32, to: u32, step: u32, edges: &[u32]) -> Result<Vec<u32>, SizeError> {
        Size { from, to, step, edges: edges.to_vec() }.boundary("cols")
    }

    #[test]
    fn both_ends_their_neighbours_and_the_edges_are_tried_once_each() {
        assert_eq!(size(1, 100, 1, &[32, 1, 33]), Ok(vec![1, 2, 32, 33, 99, 100]));
        assert_eq!(size(32, 96, 32, &[]), Ok(vec![32, 64, 96]));
        assert_eq!(size(7, 7, 1, &[]), Ok(vec![7]));
        assert_eq!(size(0, 1, 1, &[]), Ok(vec![0, 1]));
        assert_eq!(size(5, 5, 0, &[]), Ok(vec![5]), "a step of nothing leaves one number");
    }

    #[test]
    fn what_is_no_number_of_the_range_is_named() {
        let message = |found: Result<Vec<u32>, SizeError>| found.map_err(|e| e.to_string());
        assert_eq!(message(size(2, 1, 1, &[])), Err("`cols` ends at 1, before 2 where it starts".to_owned()));
        let outside =
            |number| Err(format!("{number} is no number of `cols`, which counts from 32 to 96 by 32"));
        assert_eq!(message(size(32, 96, 32, &[33])), outside(33));
        assert_eq!(message(size(32, 96, 32, &[128])), outside(128));
        assert!(size(32, 100, 32, &[]).is_err(), "the end is not reached");
    }
}
