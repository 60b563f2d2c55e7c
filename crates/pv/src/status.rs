//! The status of a repository: its contracts, what is bound, what the tree holds and what evidence there is, put
//! through the derivation of crate `contract`. The machine that asks plays no part in the answer.

pub mod badge;
pub mod gather;
pub mod markdown;
pub mod text;
pub mod tone;
pub mod verdict;

use crate::binding::{Bindings, Defect, Resolution, State, prose};
use contract::date::Date;
use contract::id::FalsifierId;
use contract::schema::{Contract, Falsifier};
use contract::settings::Settings;
use contract::status::derive::{Inputs, derive};
use contract::status::facts::{BindingFacts, Current, RecordFacts};
use contract::status::propagate::{Status, propagate};
use contract::status::summary::SumError;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Everything that statuses follow from.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The contracts, in the order of the report.
    pub contracts: &'a [&'a Contract],
    /// pv.toml.
    pub settings: &'a Settings,
    /// The compiled bindings; `None` when nothing was compiled since the last change.
    pub bindings: Option<&'a Bindings>,
    /// What the tree holds, per falsifier.
    pub current: &'a BTreeMap<FalsifierId, Current>,
    /// The records that were not retracted, per falsifier.
    pub records: &'a BTreeMap<FalsifierId, Vec<RecordFacts>>,
    /// The day by which reviews and waivers are judged.
    pub today: Option<Date>,
}

/// Derive every status.
///
/// # Errors
/// When a count does not add up, which is a defect of pv.
pub fn of(basis: Basis<'_>) -> Result<Status, SumError> {
    let falsifiers: Vec<&Falsifier> =
        basis.contracts.iter().flat_map(|contract| &contract.falsification_tests).collect();
    let derived = falsifiers.into_par_iter().map(|falsifier| (falsifier.id.clone(), one(basis, falsifier)));
    propagate(basis.contracts, derived.collect())
}

/// Derive the status of one falsifier.
fn one(basis: Basis<'_>, falsifier: &Falsifier) -> contract::status::derive::Derived {
    let (binding, dark) = binding_facts(falsifier, basis.settings, basis.bindings);
    let nothing = Current::default();
    derive(Inputs {
        falsifier,
        settings: basis.settings,
        binding: &binding,
        dark: &dark,
        current: basis.current.get(&falsifier.id).unwrap_or(&nothing),
        records: basis.records.get(&falsifier.id).map_or(&[], Vec::as_slice),
        today: basis.today,
    })
}

/// What is bound, and on which needed host classes nothing runs it.
#[must_use]
pub fn binding_facts(
    falsifier: &Falsifier,
    settings: &Settings,
    bindings: Option<&Bindings>,
) -> (BindingFacts, BTreeMap<String, String>) {
    if falsifier.test.is_none() {
        let dark = falsifier.command.iter().flat_map(|command| {
            falsifier.hosts.iter().filter_map(|host| {
                let why = settings.why_dark(host, &command.needs, None)?;
                Some((host.clone(), why))
            })
        });
        return (BindingFacts::Bound { tests: Vec::new() }, dark.collect());
    }
    let Some(bindings) = bindings else {
        return (BindingFacts::Unresolved, declared_dark(falsifier, settings));
    };
    let resolutions = bindings.falsifiers.get(&falsifier.id).map_or(&[][..], Vec::as_slice);
    if resolutions.iter().any(|r| matches!(r.state, State::Unresolved { .. })) || resolutions.is_empty() {
        return (BindingFacts::Unresolved, declared_dark(falsifier, settings));
    }
    let dark = resolutions.iter().flat_map(|r| &r.defects).filter_map(|defect| match defect {
        Defect::Dark { host, .. } => Some((host.clone(), defect.to_string())),
        _ => None,
    });
    (resolved(resolutions), dark.collect())
}

fn resolved(resolutions: &[Resolution]) -> BindingFacts {
    let mut unbound = Vec::new();
    let mut vacuous = Vec::new();
    let mut tests = Vec::new();
    for resolution in resolutions {
        unbound.extend(prose::trouble(&resolution.state, resolution.declared.as_ref()));
        for defect in &resolution.defects {
            match defect {
                Defect::Unattributed { .. } | Defect::TooFew { .. } => unbound.push(defect.to_string()),
                Defect::Vacuous { .. } => vacuous.push(defect.to_string()),
                Defect::BoundTwice { .. } | Defect::NotIgnored { .. } | Defect::Dark { .. } => {}
            }
        }
        // Records name the function of a test, not its cases.
        for test in &resolution.tests {
            let path = test.marker.as_ref().map_or_else(|| test.id.path.clone(), |marker| marker.test_path());
            let name = format!("{}/{}/{path}", test.id.package, test.id.target);
            if !tests.contains(&name) {
                tests.push(name);
            }
        }
    }
    if !unbound.is_empty() {
        BindingFacts::Unbound { reasons: unbound }
    } else if !vacuous.is_empty() {
        BindingFacts::Vacuous { reasons: vacuous }
    } else {
        BindingFacts::Bound { tests }
    }
}

/// The needed host classes that no profile offers, as far as pv.toml alone tells.
fn declared_dark(falsifier: &Falsifier, settings: &Settings) -> BTreeMap<String, String> {
    let bindings = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
    let mut dark = BTreeMap::new();
    for binding in &bindings {
        for host in &falsifier.hosts {
            let why = settings.why_dark(host, &binding.needs, Some(binding));
            dark.extend(why.map(|why| (host.clone(), why)));
        }
    }
    dark
}
