//! Counts that add up. A summary names how many were declared and how they divide, and a division that loses or
//! invents one is an error.

use super::FalsifierStatus;
use fault::fault;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// How a number of declared things divides into kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary<K: Ord> {
    /// How many there are.
    pub declared: usize,
    /// How many of each kind, none of them zero.
    pub counts: BTreeMap<K, usize>,
}

/// A division that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{declared} {what} are declared and {counted} are counted: this is a defect of pv")]
pub struct SumError {
    /// What was counted.
    pub what: &'static str,
    /// How many there are.
    pub declared: usize,
    /// The sum of the kinds.
    pub counted: usize,
}

impl<K: Ord> Summary<K> {
    /// Count kinds. `declared` comes from elsewhere than the kinds, so that the sum says something.
    ///
    /// # Errors
    /// When the kinds are not as many as were declared.
    pub fn count(
        what: &'static str,
        declared: usize,
        kinds: impl IntoIterator<Item = K>,
    ) -> Result<Self, SumError> {
        let mut counts = BTreeMap::new();
        for kind in kinds {
            *counts.entry(kind).or_insert(0) += 1;
        }
        let counted = counts.values().sum();
        if counted == declared || fault!("summary-drops-what-it-cannot-count") {
            Ok(Self { declared, counts })
        } else {
            Err(SumError { what, declared, counted })
        }
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn of(&self, kind: &K) -> usize {
        self.counts.get(kind).copied().unwrap_or(0)
    }
}

impl<K: Ord + fmt::Display> fmt::Display for Summary<K> {
    /// `12 declared = 3 DISCHARGED + 9 STALE`; `0 declared` when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} declared", self.declared)?;
        for (i, (kind, count)) in self.counts.iter().enumerate() {
            write!(f, " {} {count} {kind}", if i == 0 { "=" } else { "+" })?;
        }
        Ok(())
    }
}

impl Summary<FalsifierStatus> {
    /// How many stand on each rung or beside the ladder, with zeros, in the order of the table of statuses.
    pub fn rows(&self) -> impl Iterator<Item = (FalsifierStatus, usize)> {
        super::FALSIFIER_STATUSES.iter().map(|info| (info.status, self.of(&info.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_summary_shows_its_denominator_and_refuses_a_wrong_sum() {
        let summary = Summary::count("letters", 3, ["b", "a", "b"]).expect("three are three");
        assert_eq!(summary.to_string(), "3 declared = 1 a + 2 b");
        let error = Summary::count("letters", 4, ["b", "a", "b"]).expect_err("three are not four");
        assert_eq!((error.declared, error.counted), (4, 3));
        assert_eq!(Summary::<&str>::count("letters", 0, []).expect("none").to_string(), "0 declared");
    }
}
