//! The status lattice and its derivation. A status is a function of the contracts, the content of the tree, the
//! records of evidence, pv.toml and the date; nobody types one, and the machine that prints it plays no part.

#[cfg(feature = "settings")]
pub mod derive;
pub mod facts;
#[cfg(feature = "settings")]
pub mod propagate;
pub mod summary;

use crate::words::words;
use serde::{Deserialize, Serialize};

/// One row of the table of falsifier statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FalsifierStatusInfo {
    /// The status.
    pub status: FalsifierStatus,
    /// Its name in YAML, JSON and reports.
    pub name: &'static str,
    /// Its place on the ladder, from 0; `None` for what stands beside it.
    pub rung: Option<u8>,
    /// One sentence: what it says.
    pub what: &'static str,
}

macro_rules! falsifier_statuses {
    ($($status:ident $name:literal $rung:expr, $what:literal;)*) => {
        /// The status of one falsifier. The first four are the ladder, in order; the others stand beside it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum FalsifierStatus {
            $(#[doc = $what] #[serde(rename = $name)] $status,)*
        }
        /// Every status of a falsifier, once, in the order of reports.
        pub const FALSIFIER_STATUSES: &[FalsifierStatusInfo] = &[
            $(FalsifierStatusInfo { status: FalsifierStatus::$status, name: $name, rung: $rung, what: $what },)*
        ];
        impl FalsifierStatus {
            /// Every name, in the order of the table.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

falsifier_statuses! {
    Proposed "PROPOSED" Some(0), "Nothing is bound.";
    AlgorithmLevelDischarged "ALGORITHM_LEVEL_DISCHARGED" Some(1),
        "Bound to a compiled, discoverable, non-vacuous test that has not run on a host that meets its needs.";
    Functional "FUNCTIONAL" Some(2),
        "Ran there and passed, but a part is missing: a fault not yet shown caught, a host, a cell.";
    Discharged "DISCHARGED" Some(3),
        "Passed on every needed host, fresh on every axis, every cell hit, every declared fault caught.";
    Falsified "FALSIFIED" None, "A fresh record fails.";
    Stale "STALE" None, "There is evidence, and it is of other content.";
    Vacuous "VACUOUS" None, "Ran and compared nothing, or is bound to a test that cannot fail.";
    Dark "DARK" None, "No declared profile runs it.";
    Expired "EXPIRED" None, "A review or waiver past its day.";
    Reviewed "REVIEWED" None, "A review that counts.";
    Waived "WAIVED" None, "Given up for a time.";
}

impl FalsifierStatus {
    /// The status's row of the table.
    #[must_use]
    pub fn info(self) -> &'static FalsifierStatusInfo {
        // The table is made by the same macro row by row, in declaration order.
        &FALSIFIER_STATUSES[self as usize]
    }
    /// Its name in YAML, JSON and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }
    /// Its place on the ladder, from 0; `None` for what stands beside it.
    #[must_use]
    pub fn rung(self) -> Option<u8> {
        self.info().rung
    }
    /// How much it amounts to, on the scale of the rungs. What stands beside the ladder is worth the rung that
    /// remains certain: a stale falsifier is still bound, a falsified one is worth nothing.
    #[must_use]
    pub const fn worth(self) -> u8 {
        match self {
            Self::Proposed | Self::Falsified | Self::Vacuous | Self::Expired | Self::Waived => 0,
            Self::AlgorithmLevelDischarged | Self::Stale | Self::Dark => 1,
            Self::Functional | Self::Reviewed => 2,
            Self::Discharged => 3,
        }
    }
    /// Whether it asks for nothing more: discharged, or reviewed where only people can judge.
    #[must_use]
    pub const fn satisfied(self) -> bool {
        matches!(self, Self::Discharged | Self::Reviewed)
    }
    /// The place in the order from worst to best, by which several statuses are summed up as the worst.
    #[must_use]
    pub fn order(self) -> usize {
        const WORST_FIRST: [FalsifierStatus; 11] = [
            FalsifierStatus::Falsified,
            FalsifierStatus::Vacuous,
            FalsifierStatus::Expired,
            FalsifierStatus::Proposed,
            FalsifierStatus::Dark,
            FalsifierStatus::Waived,
            FalsifierStatus::Stale,
            FalsifierStatus::AlgorithmLevelDischarged,
            FalsifierStatus::Functional,
            FalsifierStatus::Reviewed,
            FalsifierStatus::Discharged,
        ];
        WORST_FIRST.iter().position(|s| *s == self).unwrap_or(0)
    }
}

impl std::fmt::Display for FalsifierStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

words! {
    /// The status of a stage.
    #[derive(PartialOrd, Ord)]
    pub enum StageStatus {
        /// No accepted falsifier is satisfied.
        Pending = "PENDING",
        /// Some are.
        PartiallyDischarged = "PARTIALLY_DISCHARGED",
        /// All are, and so are those of the stages before.
        Shipped = "SHIPPED",
    }
}

words! {
    /// The status of a contract, from the worst.
    #[derive(PartialOrd, Ord)]
    pub enum ContractStatus {
        /// Some falsifier is falsified.
        Falsified = "FALSIFIED",
        /// Some falsifier has nothing bound that could fail, or there is none.
        Proposed = "PROPOSED",
        /// Every falsifier is bound.
        ActiveAlgorithmLevel = "ACTIVE_ALGORITHM_LEVEL",
        /// Every falsifier ran and passed somewhere.
        ActiveRuntime = "ACTIVE_RUNTIME",
        /// Every falsifier is satisfied.
        Discharged = "DISCHARGED",
    }
}
