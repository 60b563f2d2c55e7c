//! From falsifiers to what rests on them: obligations, stages and contracts. What follows from a thing's own
//! falsifiers (direct) and what remains of it when that which it builds on is counted too (transitive) are two
//! values, so that a reader sees whose work is missing.

use super::derive::Derived;
use super::summary::{SumError, Summary};
use super::{ContractStatus, FalsifierStatus, StageStatus};
use crate::id::{ContractId, FalsifierId, ObligationId, StageId};
use crate::schema::{Contract, Faults};
use fault::fault;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The status of everything that the contracts declare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Every contract, in the order they were given.
    pub contracts: Vec<ContractReport>,
    /// All falsifiers by status.
    pub falsifiers: Summary<FalsifierStatus>,
    /// How many of them are bounded by records alone because nothing was compiled.
    pub unresolved: usize,
    /// How many declare that there is no fault to plant.
    pub faultless: usize,
    /// Fresh skips, by how many falsifiers have one; they count in no status.
    pub skipped: usize,
}

/// One contract's status and its parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContractReport {
    /// The contract.
    pub id: ContractId,
    /// Its title.
    pub title: String,
    /// What follows from its own falsifiers.
    pub direct: ContractStatus,
    /// What remains when the contracts it depends on are counted.
    pub transitive: ContractStatus,
    /// The contracts that hold it below [`ContractReport::direct`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<ContractId>,
    /// Its falsifiers, in its order.
    pub falsifiers: Vec<FalsifierReport>,
    /// Its falsifiers by status.
    pub summary: Summary<FalsifierStatus>,
    /// Its stages, in its order.
    pub stages: Vec<StageReport>,
    /// Its obligations that have an id, in its order.
    pub obligations: Vec<ObligationReport>,
}

/// One falsifier's status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FalsifierReport {
    /// The falsifier.
    pub id: FalsifierId,
    /// What it claims, in words.
    pub rule: String,
    /// Its status and why.
    #[serde(flatten)]
    pub derived: Derived,
}

/// One stage's status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// The stage.
    pub id: StageId,
    /// What follows from the falsifiers it accepts.
    pub direct: StageStatus,
    /// What remains when the stages before it are counted.
    pub transitive: StageStatus,
    /// How many of the falsifiers it accepts are satisfied.
    pub satisfied: usize,
    /// How many it accepts.
    pub accepts: usize,
    /// Accepted falsifiers that are not satisfied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<FalsifierId>,
    /// Stages before it, however far, that are not shipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<StageId>,
}

/// One obligation's status: that of its worst falsifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObligationReport {
    /// The obligation.
    pub id: ObligationId,
    /// The worst of its falsifiers' statuses; `None` when no falsifier bears on it.
    pub worst: Option<FalsifierStatus>,
    /// The falsifiers that bear on it.
    pub falsifiers: Vec<FalsifierId>,
}

/// Derive the status of contracts, stages and obligations from that of their falsifiers. A falsifier without a
/// derivation is counted as missing, and the sum then fails.
///
/// # Errors
/// When a count does not add up.
pub fn propagate(
    contracts: &[&Contract],
    mut derived: BTreeMap<FalsifierId, Derived>,
) -> Result<Status, SumError> {
    let statuses: BTreeMap<FalsifierId, FalsifierStatus> =
        derived.iter().map(|(id, derived)| (id.clone(), derived.status)).collect();
    let faultless = contracts
        .iter()
        .flat_map(|contract| &contract.falsification_tests)
        .filter(|falsifier| matches!(falsifier.faults, Some(Faults::None(_))))
        .count();
    let unresolved = derived.values().filter(|derived| derived.unresolved).count();
    let skipped = derived.values().filter(|d| d.hosts.values().any(|h| !h.skipped.is_empty())).count();
    let stages = Stages::new(contracts, &statuses);
    let direct: BTreeMap<&ContractId, ContractStatus> =
        contracts.iter().map(|contract| (&contract.metadata.id, own_status(contract, &statuses))).collect();
    let mut reports = Vec::with_capacity(contracts.len());
    for contract in contracts {
        let id = &contract.metadata.id;
        let own = direct.get(id).copied().unwrap_or(ContractStatus::Proposed);
        let below = reachable(contract, contracts);
        let least =
            below.iter().filter_map(|id| direct.get(id)).fold(own, |least, status| least.min(*status));
        let least = if fault!("status-builds-on-nothing") { own } else { least };
        let holds = |other: &&&ContractId| direct.get(**other).is_some_and(|status| *status < own);
        let falsifiers: Vec<_> = contract
            .falsification_tests
            .iter()
            .filter_map(|falsifier| {
                let derived = derived.remove(&falsifier.id)?;
                Some(FalsifierReport { id: falsifier.id.clone(), rule: falsifier.rule.clone(), derived })
            })
            .collect();
        reports.push(ContractReport {
            id: id.clone(),
            title: contract.metadata.title.clone(),
            direct: own,
            transitive: least,
            held_by: below.iter().filter(holds).map(|id| (*id).clone()).collect(),
            summary: Summary::count(
                "falsifiers of a contract",
                contract.falsification_tests.len(),
                falsifiers.iter().map(|f| f.derived.status),
            )?,
            falsifiers,
            stages: contract.implementation_stages.iter().map(|stage| stages.report(&stage.id)).collect(),
            obligations: obligations(contract, &statuses),
        });
    }
    let declared = contracts.iter().map(|contract| contract.falsification_tests.len()).sum();
    let all = reports.iter().flat_map(|report| &report.falsifiers).map(|f| f.derived.status);
    let falsifiers = Summary::count("falsifiers", declared, all)?;
    Ok(Status { contracts: reports, falsifiers, unresolved, faultless, skipped })
}

/// What follows from a contract's own falsifiers: the worth of the least one, where nothing waived can be
/// discharged.
fn own_status(contract: &Contract, statuses: &BTreeMap<FalsifierId, FalsifierStatus>) -> ContractStatus {
    let worth = |status: FalsifierStatus| match status {
        FalsifierStatus::Waived => 2,
        status if status.satisfied() => 3,
        status => status.worth(),
    };
    let mut least = None;
    for falsifier in &contract.falsification_tests {
        let status = statuses.get(&falsifier.id).copied().unwrap_or(FalsifierStatus::Proposed);
        if status == FalsifierStatus::Falsified {
            return ContractStatus::Falsified;
        }
        let worth = worth(status);
        least = Some(least.map_or(worth, |least: u8| least.min(worth)));
    }
    match least {
        None | Some(0) => ContractStatus::Proposed,
        Some(1) => ContractStatus::ActiveAlgorithmLevel,
        Some(2) => ContractStatus::ActiveRuntime,
        Some(_) => ContractStatus::Discharged,
    }
}

/// The contracts that a contract builds on, however far; a cycle ends, and an id that no contract has is none.
fn reachable<'a>(contract: &'a Contract, contracts: &[&'a Contract]) -> BTreeSet<&'a ContractId> {
    let by_id: BTreeMap<&ContractId, &Contract> = contracts.iter().map(|c| (&c.metadata.id, *c)).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&ContractId> = contract.metadata.depends_on.iter().collect();
    while let Some(id) = open.pop() {
        if *id != contract.metadata.id
            && let Some(next) = by_id.get(id)
            && found.insert(&next.metadata.id)
        {
            open.extend(&next.metadata.depends_on);
        }
    }
    found
}

/// Every stage with what it accepts and what comes before it.
struct Stages<'a> {
    stages: BTreeMap<&'a StageId, &'a crate::schema::Stage>,
    statuses: &'a BTreeMap<FalsifierId, FalsifierStatus>,
}

impl<'a> Stages<'a> {
    fn new(contracts: &[&'a Contract], statuses: &'a BTreeMap<FalsifierId, FalsifierStatus>) -> Self {
        let all = contracts.iter().flat_map(|contract| &contract.implementation_stages);
        Self { stages: all.map(|stage| (&stage.id, stage)).collect(), statuses }
    }

    fn open(&self, stage: &'a crate::schema::Stage) -> Vec<&'a FalsifierId> {
        let satisfied = |id: &FalsifierId| self.statuses.get(id).is_some_and(|s| s.satisfied());
        stage.accepts.iter().filter(|id| !satisfied(id)).collect()
    }

    fn direct(&self, stage: &'a crate::schema::Stage) -> StageStatus {
        let open = self.open(stage).len();
        if stage.accepts.is_empty() || open == stage.accepts.len() {
            StageStatus::Pending
        } else if open == 0 {
            StageStatus::Shipped
        } else {
            StageStatus::PartiallyDischarged
        }
    }

    fn report(&self, id: &StageId) -> StageReport {
        let Some(stage) = self.stages.get(id).copied() else {
            return StageReport {
                id: id.clone(),
                direct: StageStatus::Pending,
                transitive: StageStatus::Pending,
                satisfied: 0,
                accepts: 0,
                open: Vec::new(),
                held_by: Vec::new(),
            };
        };
        let mut before = BTreeSet::new();
        let mut open: Vec<&StageId> = stage.after.iter().collect();
        while let Some(id) = open.pop() {
            if *id != stage.id && before.insert(id) {
                open.extend(self.stages.get(id).into_iter().flat_map(|stage| &stage.after));
            }
        }
        // A stage that no contract has cannot be shipped.
        let shipped =
            |id: &&StageId| self.stages.get(*id).is_some_and(|s| self.direct(s) == StageStatus::Shipped);
        let held_by: Vec<_> = before.into_iter().filter(|id| !shipped(id)).cloned().collect();
        let direct = self.direct(stage);
        let transitive = match direct {
            StageStatus::Shipped if !held_by.is_empty() => StageStatus::PartiallyDischarged,
            direct => direct,
        };
        let open: Vec<_> = self.open(stage).into_iter().cloned().collect();
        let accepts = stage.accepts.len();
        StageReport {
            id: id.clone(),
            direct,
            transitive,
            satisfied: accepts - open.len(),
            accepts,
            open,
            held_by,
        }
    }
}

fn obligations(
    contract: &Contract,
    statuses: &BTreeMap<FalsifierId, FalsifierStatus>,
) -> Vec<ObligationReport> {
    let report = |id: &ObligationId| {
        let bearing = contract.falsification_tests.iter().filter(|f| f.obligations.contains(id));
        let falsifiers: Vec<_> = bearing.map(|f| f.id.clone()).collect();
        let worst =
            falsifiers.iter().filter_map(|id| statuses.get(id).copied()).min_by_key(|status| status.order());
        ObligationReport { id: id.clone(), worst, falsifiers }
    };
    contract.proof_obligations.iter().filter_map(|obligation| obligation.id.as_ref().map(report)).collect()
}

#[cfg(test)]
mod tests;
