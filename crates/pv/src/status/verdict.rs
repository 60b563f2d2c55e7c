//! Whether the statuses of a repository hold: what fails a check, each with its reason.

use contract::id::FalsifierId;
use contract::settings::Gate;
use contract::status::FalsifierStatus;
use contract::status::propagate::Status;
use serde::Serialize;
use std::fmt;

/// One falsifier that fails a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// Its status, with what it is about.
    pub status: String,
    /// Why it fails.
    pub reason: Reason,
    /// What it lacks.
    pub lacks: Vec<String>,
}

/// Why a falsifier fails a check. Skipped and stale alone are no reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Its status is one that no check lets pass.
    Bad,
    /// The contract declares more than follows.
    OverClaim {
        /// What it declares.
        declared: FalsifierStatus,
    },
    /// Its status is worth less than pv.toml asks for.
    BelowFloor {
        /// What is asked for.
        floor: FalsifierStatus,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { falsifier, status, reason, lacks } = self;
        write!(f, "{falsifier} is {status}")?;
        match reason {
            Reason::Bad => {}
            Reason::OverClaim { declared } => write!(f, ", and its contract says {declared}")?,
            Reason::BelowFloor { floor } => write!(f, ", below the floor {floor} of pv.toml")?,
        }
        match lacks.as_slice() {
            [] => Ok(()),
            lacks => write!(f, ": {}", lacks.join("; ")),
        }
    }
}

/// Every failure, in the order of the report.
#[must_use]
pub fn failures(status: &Status, gate: &Gate) -> Vec<Failure> {
    let mut failures = Vec::new();
    for report in status.contracts.iter().flat_map(|contract| &contract.falsifiers) {
        let derived = &report.derived;
        let below = |floor: &FalsifierStatus| {
            let least = floor.rung().unwrap_or_default();
            derived.status != FalsifierStatus::Waived && derived.status.worth() < least
        };
        let reason = match derived.status {
            FalsifierStatus::Falsified
            | FalsifierStatus::Vacuous
            | FalsifierStatus::Dark
            | FalsifierStatus::Expired => Some(Reason::Bad),
            _ => match (derived.over_claimed(), gate.floor.filter(below)) {
                (Some(declared), _) => Some(Reason::OverClaim { declared }),
                (None, Some(floor)) => Some(Reason::BelowFloor { floor }),
                (None, None) => None,
            },
        };
        if let Some(reason) = reason {
            failures.push(Failure {
                falsifier: report.id.clone(),
                status: derived.label(),
                reason,
                lacks: derived.lacks.iter().map(ToString::to_string).collect(),
            });
        }
    }
    failures
}
