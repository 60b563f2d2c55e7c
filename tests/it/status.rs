//! The laws of derived status, over random histories of records: what a record may change and what it may not.

mod sums;
mod world;

use contract::evidence::{Cause, Outcome};
use contract::id::FaultName;
use contract::schema::{Faults, NoFaults};
use contract::status::FalsifierStatus;
use contract::status::derive::FaultState;
use contract::status::facts::RecordFacts;
use falsify::{Claim, falsifier};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use std::sync::Arc;
use world::{World, any_history, any_world, failed, on_gpu, pass};

/// How many random cases each law is held against.
const CASES: u32 = 2_000;

/// Hold a law against random worlds and histories; the same ones on every run, so that a record can be made again.
pub(crate) fn hold<S: Strategy>(claim: &mut Claim, strategy: &S, law: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let result = TestRunner::new_with_rng(config, rng).run(strategy, law);
    let said = result.as_ref().err().map_or_else(|| format!("{CASES} cases"), ToString::to_string);
    claim.check(&said, result.is_ok());
}

#[falsifier("FALSIFY-STATUS-001")]
fn a_fresh_pass_never_lowers(claim: &mut Claim) {
    // A later pass may hit fewer cells, and may be of either class.
    let added = (any::<bool>(), 0..=3_u64, 0..60_u32);
    hold(claim, &(any_world(), any_history(), added), |(world, history, (gpu, hit, serial))| {
        let before = world.derive(&history).status;
        let mut added = pass(6000 + serial);
        added.measure.as_mut().expect("a measure").hit = hit;
        let mut after = history;
        after.push(if gpu { on_gpu(added) } else { added });
        let now = world.derive(&after).status;
        prop_assert!(now.order() >= before.order(), "{before} to {now}");
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-002")]
fn a_fresh_fail_falsifies_and_nothing_outvotes_it(claim: &mut Claim) {
    let causes = prop_oneof![Just(Cause::Claim), Just(Cause::Panic), Just(Cause::Vacuous)];
    hold(claim, &(any_world(), any_history(), any::<bool>(), causes), |(world, history, gpu, cause)| {
        let before = world.derive(&history).status;
        let fail = RecordFacts { outcome: failed(cause), ..pass(5000) };
        let fail = if gpu { on_gpu(fail) } else { fail };
        let needed = world.falsifier.hosts.contains(&fail.host.class);
        let mut after = history;
        after.push(fail);
        let now = world.derive(&after).status;
        prop_assert!(now.worth() <= before.worth(), "{before} to {now}");
        if needed && world.is_bound() {
            let expected = [FalsifierStatus::Falsified, FalsifierStatus::Vacuous];
            prop_assert!(expected.contains(&now), "{before} to {now}");
        }
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-003")]
fn nothing_is_above_the_algorithm_level_without_a_result(claim: &mut Claim) {
    hold(claim, &(any_world(), any_history()), |(world, history)| {
        let most = FalsifierStatus::AlgorithmLevelDischarged.worth();
        let none = world.derive(&[]).status;
        prop_assert!(none.worth() <= most, "{none} without a record");
        let mut idle = history;
        idle.retain(|r| matches!(r.outcome, Outcome::Skipped { .. } | Outcome::Error { .. }));
        let idle = world.derive(&idle).status;
        prop_assert!(idle.worth() <= most, "{idle} from skips and errors");
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-004")]
fn records_of_planted_faults_are_never_results(claim: &mut Claim) {
    hold(claim, &(any_world(), any_history()), |(mut world, history)| {
        let results: Vec<_> = history.iter().filter(|r| r.fault.is_none()).cloned().collect();
        // Where no fault has to be caught, records of faults change nothing at all.
        world.falsifier.faults = Some(Faults::None(NoFaults { none: "n".to_owned() }));
        prop_assert_eq!(world.derive(&history), world.derive(&results));
        // Where one has, they can make the last step of the ladder and no other.
        world.falsifier.faults = Some(Faults::Named(vec![FaultName::parse("x").expect("a fault")]));
        let (with, without) = (world.derive(&history).status, world.derive(&results).status);
        let last_step = (FalsifierStatus::Discharged, FalsifierStatus::Functional);
        prop_assert!(with == without || (with, without) == last_step, "{without} to {with}");
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-005")]
fn skips_errors_order_and_copies_change_nothing(claim: &mut Claim) {
    hold(claim, &(any_world(), any_history(), any_history()), |(world, history, extra)| {
        let before = world.derive(&history);
        let mut after: Vec<_> = extra
            .into_iter()
            .filter(|r| matches!(r.outcome, Outcome::Skipped { .. } | Outcome::Error { .. }))
            .chain(history.into_iter().rev())
            .collect();
        let now = world.derive(&after);
        prop_assert_eq!(now.status, before.status);
        prop_assert_eq!(now.faults, before.faults);
        after.extend(after.clone());
        prop_assert_eq!(world.derive(&after).status, before.status);
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-006")]
fn a_discharged_falsifier_has_every_part(claim: &mut Claim) {
    hold(claim, &(any_world(), any_history()), |(world, history)| {
        let derived = world.derive(&history);
        if derived.status != FalsifierStatus::Discharged {
            return Ok(());
        }
        let fresh = |r: &RecordFacts| r.axes == pass(0).axes && r.host.arch == pass(0).host.arch;
        for host in &world.falsifier.hosts {
            let whole = |r: &RecordFacts| {
                r.host.class == *host
                    && r.fault.is_none()
                    && r.outcome == Outcome::Passed
                    && r.measure.as_ref().is_some_and(|m| m.hit == m.declared && m.comparisons > 0)
                    && fresh(r)
            };
            prop_assert!(history.iter().any(whole), "no whole pass on {host}");
        }
        let caught = |r: &RecordFacts| {
            r.fault.is_some()
                && r.fault_hits > 0
                && matches!(r.outcome, Outcome::Failed { cause: Cause::Claim, .. })
                && fresh(r)
        };
        prop_assert!(history.iter().any(caught), "no fault was caught");
        prop_assert!(derived.faults.values().all(|state| *state == FaultState::Caught));
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-007")]
fn what_the_author_declares_changes_no_status(claim: &mut Claim) {
    let declared = prop::sample::select(vec![
        FalsifierStatus::Proposed,
        FalsifierStatus::AlgorithmLevelDischarged,
        FalsifierStatus::Functional,
        FalsifierStatus::Discharged,
    ]);
    hold(claim, &(any_world(), any_history(), declared), |(mut world, history, declared)| {
        let plain = world.derive(&history);
        world.falsifier.status = Some(declared);
        let with = world.derive(&history);
        prop_assert_eq!(with.status, plain.status);
        // And it is an error exactly when it promises more.
        let over = declared.worth() > plain.status.worth();
        prop_assert_eq!(with.over_claimed(), over.then_some(declared));
        Ok(())
    });
}

#[falsifier("FALSIFY-STATUS-008")]
fn records_of_other_content_count_for_nothing_but_staleness(claim: &mut Claim) {
    hold(claim, &(any_world(), any_history(), any::<bool>()), |(world, mut history, gpu)| {
        for record in &mut history {
            Arc::make_mut(&mut record.axes).subjects = "old".to_owned();
        }
        let status = world.derive(&history).status;
        let none = world.derive(&[]).status;
        prop_assert!(status == none || status == FalsifierStatus::Stale, "{none} to {status}");
        let fresh = if gpu { on_gpu(pass(5000)) } else { pass(5000) };
        let alone = world.derive(std::slice::from_ref(&fresh)).status;
        history.push(fresh);
        let with = world.derive(&history).status;
        prop_assert!(with.worth() <= alone.worth(), "{alone} alone, {with} with them");
        Ok(())
    });
}

impl World {
    fn is_bound(&self) -> bool {
        use contract::status::facts::BindingFacts;
        !matches!(self.binding, BindingFacts::Unbound { .. })
    }
}
