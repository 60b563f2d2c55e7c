//! How good a status is, as one of four tones: what colours it wherever it is drawn. Its name always stands beside.

use contract::status::{ContractStatus, FalsifierStatus, StageStatus};

/// A tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing more is asked for.
    Good,
    /// On its way.
    Calm,
    /// Something is to be done.
    Warn,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// Its class in style sheets.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Calm => "calm",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// A ground on which white text has a contrast of at least 7 to 1.
    #[must_use]
    pub const fn ground(self) -> &'static str {
        match self {
            Self::Good => "#116329",
            Self::Calm => "#0550ae",
            Self::Warn => "#7a4d00",
            Self::Bad => "#a40e26",
        }
    }
}

impl From<FalsifierStatus> for Tone {
    fn from(status: FalsifierStatus) -> Self {
        match status {
            FalsifierStatus::Falsified
            | FalsifierStatus::Vacuous
            | FalsifierStatus::Expired
            | FalsifierStatus::Dark => Self::Bad,
            FalsifierStatus::Stale | FalsifierStatus::Waived | FalsifierStatus::Proposed => Self::Warn,
            FalsifierStatus::AlgorithmLevelDischarged | FalsifierStatus::Functional => Self::Calm,
            FalsifierStatus::Reviewed | FalsifierStatus::Discharged => Self::Good,
        }
    }
}

impl From<ContractStatus> for Tone {
    fn from(status: ContractStatus) -> Self {
        match status {
            ContractStatus::Falsified => Self::Bad,
            ContractStatus::Proposed => Self::Warn,
            ContractStatus::ActiveAlgorithmLevel | ContractStatus::ActiveRuntime => Self::Calm,
            ContractStatus::Discharged => Self::Good,
        }
    }
}

impl From<StageStatus> for Tone {
    fn from(status: StageStatus) -> Self {
        match status {
            StageStatus::Pending => Self::Warn,
            StageStatus::PartiallyDischarged => Self::Calm,
            StageStatus::Shipped => Self::Good,
        }
    }
}
