//! What the derivation says of one falsifier: its status, what is known of each host class and each fault, and
//! what is lacking for more. Data and its prose; how it comes about is not known here.

use crate::id::FaultName;
use crate::schema::Axis;
use crate::status::FalsifierStatus;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A falsifier's status, and why it is no better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Derived {
    /// The status. With [`Derived::unresolved`] it is the best it can be.
    pub status: FalsifierStatus,
    /// What the status would be without the waiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_waiver: Option<FalsifierStatus>,
    /// Nothing was compiled and no record speaks for it, so it may be unbound.
    pub unresolved: bool,
    /// What keeps it from the next rung, or puts it beside the ladder.
    pub lacks: Vec<Lack>,
    /// What is known of each needed host class.
    pub hosts: BTreeMap<String, HostState>,
    /// What is known of each declared fault.
    pub faults: BTreeMap<FaultName, FaultState>,
    /// What the contract says the status is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<FalsifierStatus>,
}

impl Derived {
    /// Whether the contract claims more than follows: the declared status is worth more than the derived one.
    #[must_use]
    pub fn over_claimed(&self) -> Option<FalsifierStatus> {
        self.declared.filter(|declared| declared.worth() > self.status.worth())
    }

    /// The axes in which the newest evidence is stale, over all hosts.
    #[must_use]
    pub fn stale_axes(&self) -> BTreeSet<Axis> {
        self.hosts.values().filter(|host| host.pass.is_none()).flat_map(|host| host.stale.clone()).collect()
    }

    /// The status with what it is about in parentheses: `STALE(test, subjects)`.
    #[must_use]
    pub fn label(&self) -> String {
        let name = self.status.name();
        match self.status {
            FalsifierStatus::Stale => {
                let axes: Vec<_> = self.stale_axes().into_iter().map(Axis::name).collect();
                format!("{name}({})", axes.join(", "))
            }
            _ if self.unresolved => format!("{name} at most"),
            _ => name.to_owned(),
        }
    }
}

/// What the records say of one host class.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct HostState {
    /// The record that counts: the failing one, or the passing one with the most cells, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The file of a fresh pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// The message of a fresh failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The axes in which the newest record that is not fresh differs from the tree.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub stale: BTreeSet<Axis>,
    /// The commit of that record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<String>,
    /// The reasons of fresh skips.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub skipped: BTreeSet<String>,
    /// The messages of fresh runs that broke.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub errors: BTreeSet<String>,
    /// How many records lack the signature that this host class requires.
    #[serde(skip_serializing_if = "is_zero")]
    pub unsigned: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What the records say of one planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultState {
    /// No fresh record of it.
    NotRun,
    /// The only records are of other content.
    Stale,
    /// Its site was never reached.
    NotHit,
    /// The run was green with the fault armed.
    Missed,
    /// The run failed otherwise than by a comparison of the claim.
    OtherFailure,
    /// Red by a comparison, and there is no fresh green run without the fault on that host class.
    NoControl,
    /// Red by a comparison, its site hit, the control green.
    Caught,
}

impl fmt::Display for FaultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRun => "not run yet",
            Self::Stale => "run on other content only",
            Self::NotHit => "its site was never reached",
            Self::Missed => "not caught: the run was green with the fault armed",
            Self::OtherFailure => "red, but not by a comparison of the claim",
            Self::NoControl => "red, but there is no green run without the fault",
            Self::Caught => "caught",
        })
    }
}

/// One thing that keeps a falsifier from the next rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "lack", rename_all = "kebab-case")]
pub enum Lack {
    /// Nothing is bound, as the contract says.
    Proposed {
        /// The contract's reason.
        reason: String,
    },
    /// Nothing is bound, and the contract does not say why.
    Nothing,
    /// A declared test is not there.
    Unbound {
        /// Why.
        reason: String,
    },
    /// A test cannot fail.
    Vacuous {
        /// Why.
        reason: String,
    },
    /// What is bound is not known: nothing was compiled.
    Unresolved,
    /// A fresh record fails.
    Failure {
        /// The host class.
        host: String,
        /// What the record says.
        message: String,
    },
    /// No fresh result on a needed host class.
    Host {
        /// The class.
        host: String,
        /// Why there is none.
        why: HostLack,
    },
    /// A declared test is in no fresh passing record of a host class.
    Test {
        /// The test.
        test: String,
        /// The host class.
        host: String,
    },
    /// Cells of the claim's domain that no comparison reached.
    Cells {
        /// The host class.
        host: String,
        /// How many there are.
        declared: u64,
        /// How many were reached.
        hit: u64,
        /// The first of the others, written `n=1 k=2`.
        missed: Vec<String>,
    },
    /// The only passing record is of an outcome, without comparisons.
    Metrics {
        /// The host class.
        host: String,
    },
    /// A measurement of speed or memory on a host class that other work may share.
    Exclusive {
        /// The host class.
        host: String,
    },
    /// A declared fault is not caught.
    Fault {
        /// The fault.
        fault: FaultName,
        /// What is known of it.
        state: FaultState,
    },
    /// No fault is declared, and no reason why there is none.
    NoFault,
    /// A review or a waiver ended.
    Ended {
        /// `review` or `waiver`.
        what: &'static str,
        /// Its last day.
        on: String,
    },
    /// A file that a review pins has other content now.
    Pin {
        /// The file.
        file: String,
    },
}

/// Why a needed host class has no fresh pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum HostLack {
    /// No record at all.
    NeverRan,
    /// pv.toml declares no such class.
    Undeclared,
    /// No profile runs it there.
    Dark {
        /// Why not.
        reason: String,
    },
    /// Records of other content only.
    Stale {
        /// In which axes the newest differs.
        axes: BTreeSet<Axis>,
    },
    /// Skipped only.
    Skipped {
        /// The reasons.
        reasons: BTreeSet<String>,
    },
    /// Every run broke.
    Broke {
        /// How.
        messages: BTreeSet<String>,
    },
    /// The records there are lack the signature the class requires.
    Unsigned {
        /// How many.
        records: usize,
    },
}

/// A set of texts as prose.
fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

impl fmt::Display for HostLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRan => f.write_str("it has not run there"),
            Self::Undeclared => f.write_str("pv.toml declares no such host class"),
            Self::Dark { reason } => write!(f, "no profile runs it there: {reason}"),
            Self::Stale { axes } => {
                write!(f, "its evidence there is stale in {}", joined(axes.iter().map(|a| a.name())))
            }
            Self::Skipped { reasons } => {
                write!(f, "it was skipped there: {}", joined(reasons.iter().map(String::as_str)))
            }
            Self::Broke { messages } => {
                write!(f, "its runs there broke: {}", joined(messages.iter().map(String::as_str)))
            }
            Self::Unsigned { records } => write!(f, "{records} record(s) there lack the required signature"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proposed { reason } => write!(f, "proposed: {reason}"),
            Self::Nothing => f.write_str("no test, review or command is bound"),
            Self::Unbound { reason } | Self::Vacuous { reason } => f.write_str(reason),
            Self::Unresolved => f.write_str("binding: unresolved (nothing is compiled; `pv check` compiles)"),
            Self::Failure { host, message } => write!(f, "host {host}: {message}"),
            Self::Host { host, why } => write!(f, "host {host}: {why}"),
            Self::Test { test, host } => write!(f, "host {host}: no fresh pass of {test}"),
            Self::Cells { host, declared, hit, missed } => {
                let shown = joined(missed.iter().map(String::as_str));
                write!(f, "host {host}: {hit} of {declared} cells were hit, not {shown}")?;
                let more = (declared - hit).saturating_sub(missed.len() as u64);
                if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            Self::Metrics { host } => write!(f, "host {host}: the record has an outcome and no comparisons"),
            Self::Exclusive { host } => {
                write!(f, "host {host}: a measurement counts only on a class with exclusive = true")
            }
            Self::Fault { fault, state } => write!(f, "fault {fault}: {state}"),
            Self::NoFault => {
                f.write_str("no planted fault is declared, and no reason why (`faults: {none: ...}`)")
            }
            Self::Ended { what, on } => write!(f, "the {what} ended on {on}"),
            Self::Pin { file } => write!(f, "{file} has changed since the review"),
        }
    }
}
