//! What changed between two states of the contracts, as far as claims go: what is promised less, what more.
//!
//! A change has a direction only where every run that satisfies one side satisfies the other. A rebound test, another
//! metric or another reference is a different promise, and counts like a weaker one.

use contract::claim::{Bound, Claim, Metric, NanPolicy};
use contract::hash;
use contract::schema::{Contract, Falsifier, Faults};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which way a promise went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The words changed, and what is measured did not.
    Reworded,
    /// There is a new promise.
    Added,
    /// More is promised.
    Strengthened,
    /// Another thing is promised.
    Changed,
    /// Less is promised.
    Weakened,
    /// A promise is gone.
    Removed,
}

/// The part of a semantic version that a change must raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// None of them.
    None,
    /// The third.
    Patch,
    /// The second.
    Minor,
    /// The first.
    Major,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reworded => "reworded",
            Self::Added => "added",
            Self::Strengthened => "strengthened",
            Self::Changed => "changed",
            Self::Weakened => "weakened",
            Self::Removed => "removed",
        })
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no new",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}

impl Direction {
    /// What a contract's version must do for it.
    #[must_use]
    pub const fn bump(self) -> Bump {
        match self {
            Self::Reworded => Bump::Patch,
            Self::Added | Self::Strengthened => Bump::Minor,
            Self::Changed | Self::Weakened | Self::Removed => Bump::Major,
        }
    }
}

/// One changed promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The falsifier; the whole contract when there is none.
    pub falsifier: Option<String>,
    /// Which way it went.
    pub direction: Direction,
    /// What changed, old and new.
    pub what: String,
}

/// What changed in one contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContractDiff {
    /// The contract.
    pub contract: String,
    /// Its version before.
    pub old: Option<String>,
    /// Its version after.
    pub new: Option<String>,
    /// The changes, in the order of the contract.
    pub changes: Vec<Change>,
    /// The bump that they need.
    pub needed: Bump,
    /// The bump that was made.
    pub made: Bump,
}

impl ContractDiff {
    /// Whether the version says less than the changes do.
    #[must_use]
    pub fn is_underbumped(&self) -> bool {
        self.old.is_some() && self.new.is_some() && self.made < self.needed
    }
}

/// Compare contracts by id.
#[must_use]
pub fn diff(old: &BTreeMap<String, Contract>, new: &BTreeMap<String, Contract>) -> Vec<ContractDiff> {
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    ids.into_iter().filter_map(|id| contract(id, old.get(id), new.get(id))).collect()
}

fn contract(id: &str, old: Option<&Contract>, new: Option<&Contract>) -> Option<ContractDiff> {
    let changes = match (old, new) {
        (Some(old), Some(new)) => within(old, new),
        (None, Some(new)) => whole(Direction::Added, new),
        (Some(old), None) => whole(Direction::Removed, old),
        (None, None) => Vec::new(),
    };
    if changes.is_empty() {
        return None;
    }
    let version = |contract: Option<&Contract>| contract.map(|contract| contract.metadata.version.clone());
    let (old, new) = (version(old), version(new));
    let needed = changes.iter().map(|change| change.direction.bump()).max().unwrap_or(Bump::None);
    let made = old.as_deref().zip(new.as_deref()).map_or(Bump::None, |(old, new)| bump(old, new));
    Some(ContractDiff { contract: id.to_owned(), old, new, changes, needed, made })
}

fn whole(direction: Direction, contract: &Contract) -> Vec<Change> {
    let count = contract.falsification_tests.len();
    vec![Change { falsifier: None, direction, what: format!("the contract with {count} falsifiers") }]
}

/// What was raised between two versions. Below 1.0.0 the second part is what the first is later.
fn bump(old: &str, new: &str) -> Bump {
    let (Ok(old), Ok(new)) = (semver::Version::parse(old), semver::Version::parse(new)) else {
        return Bump::None;
    };
    if new <= old {
        return Bump::None;
    }
    let initial = old.major == 0 && new.major == 0;
    if new.major > old.major || (initial && new.minor > old.minor) {
        Bump::Major
    } else if new.minor > old.minor || initial {
        Bump::Minor
    } else {
        Bump::Patch
    }
}

fn within(old: &Contract, new: &Contract) -> Vec<Change> {
    let by_id = |contract: &'_ Contract| -> BTreeMap<String, Falsifier> {
        let all = contract.falsification_tests.iter();
        all.map(|falsifier| (falsifier.id.to_string(), falsifier.clone())).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let mut changes = Vec::new();
    for falsifier in &old.falsification_tests {
        let id = falsifier.id.as_str();
        match after.get(id) {
            None => changes.push(Change {
                falsifier: Some(id.to_owned()),
                direction: Direction::Removed,
                what: falsifier.rule.clone(),
            }),
            Some(now) => {
                let mut found = Changes { id, list: &mut changes };
                found.falsifier(falsifier, now);
            }
        }
    }
    for falsifier in new.falsification_tests.iter().filter(|f| !before.contains_key(f.id.as_str())) {
        changes.push(Change {
            falsifier: Some(falsifier.id.to_string()),
            direction: Direction::Added,
            what: falsifier.rule.clone(),
        });
    }
    gate(old, new, &mut changes);
    changes
}

/// What has to hold for a stage or a release.
fn gate(old: &Contract, new: &Contract, changes: &mut Vec<Change>) {
    let accepts = |contract: &Contract| -> BTreeMap<String, BTreeSet<String>> {
        let stages = contract.implementation_stages.iter();
        let gate = contract.qa_gate.iter();
        let of = |name: &str, ids: &[contract::id::FalsifierId]| {
            (name.to_owned(), ids.iter().map(ToString::to_string).collect())
        };
        stages
            .map(|stage| of(&format!("stage {}", stage.id), &stage.accepts))
            .chain(gate.map(|gate| of(&format!("gate {}", gate.id), &gate.checks)))
            .collect()
    };
    let (before, after) = (accepts(old), accepts(new));
    for (name, ids) in &before {
        let none = BTreeSet::new();
        let now = after.get(name).unwrap_or(&none);
        for (direction, list) in [
            (Direction::Weakened, ids.difference(now).collect::<Vec<_>>()),
            (Direction::Strengthened, now.difference(ids).collect()),
        ] {
            if !list.is_empty() {
                let verb = if direction == Direction::Weakened { "no longer accepts" } else { "accepts" };
                let list = list.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                changes.push(Change { falsifier: None, direction, what: format!("{name} {verb} {list}") });
            }
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        changes.push(Change { falsifier: None, direction: Direction::Added, what: name.clone() });
    }
}

struct Changes<'a> {
    id: &'a str,
    list: &'a mut Vec<Change>,
}

impl Changes<'_> {
    fn add(&mut self, direction: Direction, what: impl Into<String>) {
        self.list.push(Change { falsifier: Some(self.id.to_owned()), direction, what: what.into() });
    }

    fn falsifier(&mut self, old: &Falsifier, new: &Falsifier) {
        match (&old.claim, &new.claim) {
            (Some(old), Some(new)) => self.claim(old, new),
            (Some(_), None) => self.add(Direction::Weakened, "the claim is gone"),
            (None, Some(_)) => self.add(Direction::Strengthened, "there is a claim now"),
            (None, None) => {}
        }
        self.binding(old, new);
        self.set("hosts", &old.hosts, &new.hosts);
        self.set("fresh", &old.fresh, &new.fresh);
        let named = |faults: &Option<Faults>| match faults {
            Some(Faults::Named(names)) => names.clone(),
            Some(Faults::None(_)) | None => Vec::new(),
        };
        self.set("faults", &named(&old.faults), &named(&new.faults));
        match (&old.waiver, &new.waiver) {
            (None, Some(waiver)) => self.add(Direction::Weakened, format!("waived until {}", waiver.until)),
            (Some(_), None) => self.add(Direction::Strengthened, "no longer waived"),
            (Some(old), Some(new)) if new.until > old.until => {
                self.add(
                    Direction::Weakened,
                    format!("waived until {} rather than {}", new.until, old.until),
                );
            }
            _ => {}
        }
        if hash::statement(old).ok() != hash::statement(new).ok() {
            self.add(Direction::Reworded, "rule, prediction or if_fails");
        }
    }

    fn claim(&mut self, old: &Claim, new: &Claim) {
        if old.metric != new.metric {
            let (before, after) = (old.metric.info().name, new.metric.info().name);
            let direction = match (old.metric, new.metric) {
                // Equal bits satisfy every other comparison.
                (Metric::Bitwise, _) => Direction::Weakened,
                (_, Metric::Bitwise) => Direction::Strengthened,
                _ => Direction::Changed,
            };
            self.add(direction, format!("metric {before} -> {after}"));
        } else {
            self.bound(old.bound.as_ref(), new.bound.as_ref());
        }
        if old.reference != new.reference {
            self.add(Direction::Changed, "the reference");
        }
        match (old.nan, new.nan) {
            (NanPolicy::Forbid, NanPolicy::Match) => self.add(Direction::Weakened, "nan forbid -> match"),
            (NanPolicy::Match, NanPolicy::Forbid) => self.add(Direction::Strengthened, "nan match -> forbid"),
            _ => {}
        }
        let names: BTreeSet<&String> = old.over.keys().chain(new.over.keys()).collect();
        for name in names {
            let cells = |claim: &Claim| -> Vec<String> {
                claim.over.get(name).into_iter().flatten().map(ToString::to_string).collect()
            };
            self.set(&format!("over.{name}"), &cells(old), &cells(new));
        }
    }

    fn bound(&mut self, old: Option<&Bound>, new: Option<&Bound>) {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => return self.add(Direction::Weakened, "the bound is gone"),
            (None, Some(_)) => return self.add(Direction::Strengthened, "there is a bound now"),
            (None, None) => return,
        };
        if old.unit != new.unit {
            self.add(Direction::Changed, "the unit of the bound");
        }
        let mut side = |name: &str, old: Option<f64>, new: Option<f64>, loose: fn(f64, f64) -> bool| {
            let (direction, what) = match (old, new) {
                (Some(old), Some(new)) if old != new => {
                    let direction =
                        if loose(old, new) { Direction::Weakened } else { Direction::Strengthened };
                    (direction, format!("{name} {old:?} -> {new:?}"))
                }
                (Some(old), None) => (Direction::Weakened, format!("no longer {name} {old:?}")),
                (None, Some(new)) => (Direction::Strengthened, format!("{name} {new:?} now")),
                _ => return,
            };
            self.add(direction, what);
        };
        side("at_most", old.at_most, new.at_most, |old, new| new > old);
        side("at_least", old.at_least, new.at_least, |old, new| new < old);
        if old.equals != new.equals {
            self.add(Direction::Changed, "equals");
        }
    }

    fn binding(&mut self, old: &Falsifier, new: &Falsifier) {
        let bound = |falsifier: &Falsifier| {
            falsifier.proposed.is_none() && {
                let Falsifier { test, review, command, .. } = falsifier;
                test.is_some() || review.is_some() || command.is_some()
            }
        };
        match (bound(old), bound(new)) {
            (true, false) => return self.add(Direction::Weakened, "nothing is bound any more"),
            (false, true) => return self.add(Direction::Strengthened, "something is bound now"),
            _ => {}
        }
        let tests = |falsifier: &Falsifier| {
            let mut tests =
                falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
            tests.iter_mut().for_each(|test| test.timeout_s = None);
            tests
        };
        let (before, after) = (tests(old), tests(new));
        if before == after && old.command == new.command && old.review == new.review {
            return;
        }
        // The same tests by prefix, of which there must be fewer or more.
        if let ([before], [after]) = (&*before, &*after)
            && let (Some(least), Some(now)) = (before.at_least, after.at_least)
            && (contract::binding::TestBinding { at_least: None, ..before.clone() })
                == (contract::binding::TestBinding { at_least: None, ..after.clone() })
        {
            let direction = if now < least { Direction::Weakened } else { Direction::Strengthened };
            return self.add(direction, format!("at_least {least} -> {now} tests"));
        }
        self.add(Direction::Changed, "the binding");
    }

    /// A set of which more is more.
    fn set<T: Ord + fmt::Display>(&mut self, name: &str, old: &[T], new: &[T]) {
        let (before, after): (BTreeSet<&T>, BTreeSet<&T>) = (old.iter().collect(), new.iter().collect());
        let list =
            |items: Vec<&&T>| items.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (gone, come) =
            (before.difference(&after).collect::<Vec<_>>(), after.difference(&before).collect::<Vec<_>>());
        if !gone.is_empty() {
            self.add(Direction::Weakened, format!("{name} without {}", list(gone)));
        }
        if !come.is_empty() {
            self.add(Direction::Strengthened, format!("{name} with {}", list(come)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::load;
    use contract::source::Source;

    const BASE: &str = "schema: 1
metadata: {id: a-v1, version: 1.2.0, kind: kernel, title: t, description: d, references: [r]}
implementation_stages:
- {id: M-1, description: d, accepts: [FALSIFY-A-1]}
falsification_tests:
- id: FALSIFY-A-1
  rule: r
  prediction: p
  if_fails: i
  claim:
    metric: max_abs
    bound: {at_most: 1.0e-6}
    over: {case: [one, two]}
    reference: {kind: analytic, name: n}
  test: {package: m, target: lib, path: a}
  hosts: [cpu, gpu]
  faults: [f]
- {id: FALSIFY-A-2, rule: r, prediction: p, if_fails: i, test: {package: m, target: lib, prefix: b, at_least: 3}}
";

    fn read(text: &str) -> BTreeMap<String, Contract> {
        let loaded = load::read(Source::new("a-v1.yaml", text));
        let contract = loaded.contract.unwrap_or_else(|| panic!("{:?}", loaded.findings));
        BTreeMap::from([("a-v1".to_owned(), contract)])
    }

    fn directions(change: impl Fn(&str) -> String) -> Vec<Direction> {
        let found = diff(&read(BASE), &read(&change(BASE)));
        found.into_iter().flat_map(|diff| diff.changes).map(|change| change.direction).collect()
    }

    #[test]
    fn a_change_has_the_direction_of_what_still_satisfies_it() {
        use Direction::*;
        for (from, to, expected) in [
            ("1.0e-6", "1.0e-5", Weakened),
            ("1.0e-6", "1.0e-7", Strengthened),
            ("{at_most: 1.0e-6}", "{at_least: 1.0e-6}", Weakened),
            ("max_abs", "bitwise", Strengthened),
            ("max_abs", "nmse", Changed),
            ("[one, two]", "[one]", Weakened),
            ("[one, two]", "[one, two, three]", Strengthened),
            ("name: n", "name: m", Changed),
            ("path: a}", "path: b}", Changed),
            ("[cpu, gpu]", "[cpu]", Weakened),
            ("faults: [f]", "faults: {none: n}", Weakened),
            ("faults: [f]", "faults: [f, g]", Strengthened),
            ("faults: [f]", "faults: [f]\n  waiver: {reason: r, until: 2027-01-01}", Weakened),
            ("name: n}", "name: n}\n    nan: match", Weakened),
            ("at_least: 3", "at_least: 2", Weakened),
            ("at_least: 3", "at_least: 4", Strengthened),
            ("accepts: [FALSIFY-A-1]", "accepts: []", Weakened),
            ("  rule: r\n", "  rule: s\n", Reworded),
            ("FALSIFY-A-2", "FALSIFY-A-3", Removed),
        ] {
            let found = directions(|base| base.replacen(from, to, 1));
            assert_eq!(found.first(), Some(&expected), "{from} -> {to}: {found:?}");
        }
        assert_eq!(directions(str::to_owned), []);
        assert_eq!(directions(|base| base.replace("title: t", "title: u")), []);
    }

    #[test]
    fn versions_must_keep_up() {
        let needed = |version: &str, bound: &str| {
            let new = BASE.replace("1.2.0", version).replace("1.0e-6", bound);
            let found = diff(&read(BASE), &read(&new)).remove(0);
            (found.needed, found.made, found.is_underbumped())
        };
        assert_eq!(needed("1.2.0", "1.0e-5"), (Bump::Major, Bump::None, true));
        assert_eq!(needed("1.3.0", "1.0e-5"), (Bump::Major, Bump::Minor, true));
        assert_eq!(needed("2.0.0", "1.0e-5"), (Bump::Major, Bump::Major, false));
        assert_eq!(needed("1.2.1", "1.0e-7"), (Bump::Minor, Bump::Patch, true));
        assert_eq!(needed("1.3.0", "1.0e-7"), (Bump::Minor, Bump::Minor, false));
        assert_eq!(needed("1.1.0", "1.0e-7"), (Bump::Minor, Bump::None, true));
        assert_eq!((bump("0.1.0", "0.2.0"), bump("0.1.0", "0.1.1")), (Bump::Major, Bump::Minor));
    }

    #[test]
    fn whole_contracts_come_and_go() {
        let none = BTreeMap::new();
        assert_eq!(diff(&none, &read(BASE))[0].changes[0].direction, Direction::Added);
        assert_eq!(diff(&read(BASE), &none)[0].changes[0].direction, Direction::Removed);
    }
}
