//! Propagation over random graphs of contracts and stages: every count adds up, and what rests on something is
//! never better than it.

use super::hold;
use contract::id::FalsifierId;
use contract::schema::Contract;
use contract::status::derive::Derived;
use contract::status::propagate::propagate;
use contract::status::summary::Summary;
use contract::status::{FALSIFIER_STATUSES, FalsifierStatus};
use falsify::{Claim, falsifier};
use proptest::prelude::*;
use std::collections::BTreeMap;

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

/// A contract with as many falsifiers as stages; each stage accepts one and comes after the one before.
fn contract(id: &str, depends_on: &[String], falsifiers: usize) -> Contract {
    let name = |i: usize| format!("F-{id}-{i}");
    let stage = |i: usize| {
        let after: Vec<_> = i.checked_sub(1).map(|i| format!("S-{id}-{i}")).into_iter().collect();
        serde_json::json!({"id": format!("S-{id}-{i}"), "description": "d", "accepts": [name(i)], "after": after})
    };
    let falsifier = |i: usize| serde_json::json!({"id": name(i), "rule": "r", "prediction": "p", "if_fails": "i", "obligations": ["O-1"]});
    let value = serde_json::json!({
        "schema": 1,
        "metadata": {"id": id, "version": "1.0.0", "kind": "kernel", "title": "t", "description": "d",
            "references": [], "depends_on": depends_on},
        "proof_obligations": [{"id": "O-1", "type": "bound", "property": "p"}],
        "implementation_stages": (0..falsifiers).map(stage).collect::<Vec<_>>(),
        "falsification_tests": (0..falsifiers).map(falsifier).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).expect("the contract is right")
}

#[falsifier("FALSIFY-STATUS-009")]
fn every_count_adds_up_and_nothing_is_better_than_what_it_rests_on(claim: &mut Claim) {
    let sizes = prop::collection::vec(0..5_usize, 1..6);
    let edges = prop::collection::vec((0..6_usize, 0..6_usize), 0..10);
    let draws = prop::collection::vec(0..FALSIFIER_STATUSES.len(), 30);
    hold(claim, &(sizes, edges, draws), |(sizes, edges, draws)| {
        let name = |i: usize| format!("c{i}");
        let contracts: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| {
                let on = edges.iter().filter(|(from, _)| *from == i).map(|(_, to)| name(*to));
                contract(&name(i), &on.collect::<Vec<_>>(), *size)
            })
            .collect();
        let borrowed: Vec<_> = contracts.iter().collect();
        let ids = contracts.iter().flat_map(|c| &c.falsification_tests).map(|f| f.id.clone());
        let statuses: BTreeMap<FalsifierId, Derived> =
            ids.zip(draws).map(|(id, draw)| (id, derived(FALSIFIER_STATUSES[draw].status))).collect();
        let all = propagate(&borrowed, statuses.clone()).expect("the sums agree");
        prop_assert_eq!(all.falsifiers.counts.values().sum::<usize>(), sizes.iter().sum::<usize>());
        let by_id: BTreeMap<_, _> = all.contracts.iter().map(|report| (&report.id, report)).collect();
        for (report, contract) in all.contracts.iter().zip(&contracts) {
            prop_assert_eq!(report.summary.declared, report.falsifiers.len());
            prop_assert!(report.transitive <= report.direct);
            for below in contract.metadata.depends_on.iter().filter_map(|id| by_id.get(id)) {
                prop_assert!(report.transitive <= below.direct, "{} rests on {}", report.id, below.id);
            }
            for (stage, before) in report.stages.iter().skip(1).zip(&report.stages) {
                prop_assert!(stage.transitive <= stage.direct);
                prop_assert_eq!(stage.satisfied + stage.open.len(), stage.accepts);
                let shipped = contract::status::StageStatus::Shipped;
                prop_assert!(stage.transitive != shipped || before.transitive == shipped);
            }
        }
        // A falsifier that was not derived is missed, never dropped.
        if let Some(id) = statuses.keys().next().cloned() {
            let mut fewer = statuses;
            fewer.remove(&id);
            prop_assert!(propagate(&borrowed, fewer).is_err(), "{id} was dropped");
        }
        Ok(())
    });
    claim.check("a wrong sum is refused", Summary::count("letters", 2, ["a"]).is_err());
}
