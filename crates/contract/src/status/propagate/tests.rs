//! Propagation on small contracts. Its sums over random ones are a falsifier.

use super::*;

fn derived(status: FalsifierStatus) -> Derived {
    Derived {
        status,
        without_waiver: None,
        unresolved: false,
        lacks: Vec::new(),
        hosts: BTreeMap::new(),
        faults: BTreeMap::new(),
        declared: None,
    }
}

/// A contract with stages `S-<id>-0..` that each accept one falsifier and come after the one before.
fn contract(id: &str, depends_on: &[&str], falsifiers: usize) -> Contract {
    let name = |i: usize| format!("F-{id}-{i}");
    let value = serde_json::json!({
        "schema": 1,
        "metadata": {"id": id, "version": "1.0.0", "kind": "kernel", "title": "t", "description": "d",
            "references": [], "depends_on": depends_on},
        "proof_obligations": [{"id": "O-1", "type": "bound", "property": "p"}, {"type": "bound", "property": "q"}],
        "implementation_stages": (0..falsifiers).map(|i| serde_json::json!({
            "id": format!("S-{id}-{i}"), "description": "d", "accepts": [name(i)],
            "after": i.checked_sub(1).map(|i| format!("S-{id}-{i}")).into_iter().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "falsification_tests": (0..falsifiers).map(|i| serde_json::json!({
            "id": name(i), "rule": "r", "prediction": "p", "if_fails": "i", "obligations": ["O-1"],
        })).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).expect("the contract is right")
}

fn status(contracts: &[&Contract], statuses: &[(&str, FalsifierStatus)]) -> Status {
    let id = |text: &str| FalsifierId::parse(text).expect("an id");
    let derived = statuses.iter().map(|(name, status)| (id(name), derived(*status))).collect();
    propagate(contracts, derived).expect("the sums agree")
}

use FalsifierStatus::{
    AlgorithmLevelDischarged as Algorithm, Discharged, Falsified, Functional, Proposed, Reviewed, Stale,
    Waived,
};

#[test]
fn a_contract_is_as_good_as_its_least_falsifier() {
    let c = contract("a", &[], 2);
    for (first, second, expected) in [
        (Discharged, Discharged, ContractStatus::Discharged),
        (Discharged, Reviewed, ContractStatus::Discharged),
        (Discharged, Waived, ContractStatus::ActiveRuntime),
        (Discharged, Functional, ContractStatus::ActiveRuntime),
        (Functional, Stale, ContractStatus::ActiveAlgorithmLevel),
        (Discharged, Algorithm, ContractStatus::ActiveAlgorithmLevel),
        (Discharged, Proposed, ContractStatus::Proposed),
        (Falsified, Proposed, ContractStatus::Falsified),
        (Proposed, Falsified, ContractStatus::Falsified),
    ] {
        let status = status(&[&c], &[("F-a-0", first), ("F-a-1", second)]);
        assert_eq!(status.contracts[0].direct, expected, "{first} and {second}");
    }
    assert_eq!(status(&[&contract("e", &[], 0)], &[]).contracts[0].direct, ContractStatus::Proposed);
}

#[test]
fn what_a_contract_builds_on_shows_in_its_transitive_status_alone() {
    let (a, b, c) = (contract("a", &["b"], 1), contract("b", &["c", "a"], 1), contract("c", &["gone"], 1));
    let all = status(&[&a, &b, &c], &[("F-a-0", Discharged), ("F-b-0", Functional), ("F-c-0", Falsified)]);
    let seen: Vec<_> = all.contracts.iter().map(|r| (r.direct, r.transitive, r.held_by.len())).collect();
    assert_eq!(
        seen,
        [
            (ContractStatus::Discharged, ContractStatus::Falsified, 2),
            (ContractStatus::ActiveRuntime, ContractStatus::Falsified, 1),
            (ContractStatus::Falsified, ContractStatus::Falsified, 0),
        ]
    );
}

#[test]
fn a_stage_ships_when_it_and_all_before_it_do() {
    let c = contract("a", &[], 3);
    let all = status(&[&c], &[("F-a-0", Discharged), ("F-a-1", Functional), ("F-a-2", Discharged)]);
    let stages = &all.contracts[0].stages;
    let seen: Vec<_> = stages.iter().map(|s| (s.direct, s.transitive, s.satisfied, s.accepts)).collect();
    assert_eq!(
        seen,
        [
            (StageStatus::Shipped, StageStatus::Shipped, 1, 1),
            (StageStatus::Pending, StageStatus::Pending, 0, 1),
            (StageStatus::Shipped, StageStatus::PartiallyDischarged, 1, 1),
        ]
    );
    assert_eq!(stages[2].held_by.iter().map(StageId::as_str).collect::<Vec<_>>(), ["S-a-1"]);
}

#[test]
fn an_obligation_is_as_good_as_its_worst_falsifier() {
    let c = contract("a", &[], 2);
    let all = status(&[&c], &[("F-a-0", Discharged), ("F-a-1", Stale)]);
    assert_eq!(all.contracts[0].obligations.len(), 1);
    assert_eq!(all.contracts[0].obligations[0].worst, Some(Stale));
    assert_eq!(status(&[&contract("e", &[], 0)], &[]).contracts[0].obligations[0].worst, None);
}

#[test]
fn a_falsifier_without_a_derivation_breaks_the_sum() {
    let error = propagate(&[&contract("a", &[], 2)], BTreeMap::new()).expect_err("two are missing");
    assert_eq!((error.declared, error.counted), (2, 0));
}
