//! Contracts against compiled tests: the pure part. It reads no file and starts nothing.

use super::executable::{Executable, Listing};
use super::inventory::{Build, Inventory};
use super::scan::Sources;
use super::{Bindings, BoundTest, Defect, Part, Place, Resolution, State, Stray, TestId};
use contract::binding::{Target, TestBinding};
use contract::id::FalsifierId;
use contract::marker::Marker;
use contract::schema::{Contract, Falsifier, Tests};
use contract::settings::Settings;
use contract::suggest::nearest;
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};

/// Resolve every test binding of the contracts.
#[must_use]
pub fn resolve<'a>(
    contracts: impl IntoIterator<Item = &'a Contract>,
    settings: &Settings,
    inventory: &Inventory,
    sources: &Sources,
) -> Bindings {
    let compiled = Compiled::new(inventory);
    let resolver = Resolver { settings, inventory, sources, compiled: &compiled };
    let mut bindings = Bindings { unbuilt: unbuilt(inventory), ..Bindings::default() };
    let mut declared = BTreeSet::new();
    for contract in contracts {
        for falsifier in &contract.falsification_tests {
            declared.insert(falsifier.id.clone());
            let resolutions = bindings.falsifiers.entry(falsifier.id.clone()).or_default();
            resolutions.extend(resolver.falsifier(contract, falsifier));
        }
    }
    bindings.falsifiers.retain(|_, resolutions| !resolutions.is_empty());
    note_shared_tests(&mut bindings);
    bindings.strays = strays(&compiled, &bindings, &declared);
    bindings
}

fn unbuilt(inventory: &Inventory) -> BTreeMap<String, String> {
    let incomplete = inventory.builds.iter().filter(|build| !build.complete);
    incomplete
        .flat_map(|build| &build.plan.profiles)
        .map(|profile| (profile.clone(), "it does not compile".to_owned()))
        .collect()
}

/// A place of tests: a package and a target in it.
type Home<'a> = (&'a str, &'a Target);

/// The inventory turned round: per target, what each build has of it.
struct Compiled<'a> {
    packages: BTreeSet<&'a str>,
    targets: BTreeMap<Home<'a>, Vec<CompiledTarget<'a>>>,
}

/// One target in one build.
struct CompiledTarget<'a> {
    build: &'a Build,
    executable: &'a Executable,
    /// Whether each test is ignored; `None` where the executable cannot be asked.
    tests: BTreeMap<String, Option<bool>>,
    markers: BTreeMap<String, Vec<&'a Marker>>,
}

/// A test found in one build.
struct Found<'a> {
    path: String,
    ignored: Option<bool>,
    markers: Vec<&'a Marker>,
}

impl<'a> Compiled<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let mut compiled = Self { packages: BTreeSet::new(), targets: BTreeMap::new() };
        for build in &inventory.builds {
            compiled.packages.extend(build.packages.iter().map(String::as_str));
            for executable in &build.executables {
                let home = (executable.package.as_str(), &executable.target);
                compiled.targets.entry(home).or_default().push(CompiledTarget::new(build, executable));
            }
        }
        compiled
    }

    /// Every target that holds a test of exactly this path.
    fn holding(&self, path: &str) -> Vec<TestId> {
        let holds = |targets: &Vec<CompiledTarget<'_>>| targets.iter().any(|t| t.tests.contains_key(path));
        self.targets
            .iter()
            .filter(|(_, targets)| holds(targets))
            .map(|((package, target), _)| test_id(package, target, path))
            .collect()
    }
}

impl<'a> CompiledTarget<'a> {
    fn new(build: &'a Build, executable: &'a Executable) -> Self {
        let mut markers: BTreeMap<String, Vec<&Marker>> = BTreeMap::new();
        for marker in &executable.markers {
            markers.entry(marker.test_path()).or_default().push(marker);
        }
        let tests = match &executable.listing {
            Listing::Listed(tests) => tests
                .iter()
                .map(|t| (t.path.clone(), Some(t.ignored && !fault!("binding-forgets-ignore"))))
                .collect(),
            Listing::Unlistable(_) if fault!("binding-drops-unlistable") => BTreeMap::new(),
            Listing::Unlistable(_) => markers.keys().map(|path| (path.clone(), None)).collect(),
        };
        Self { build, executable, tests, markers }
    }

    /// The tests of a path: the one of that name, or the cases that a macro made of the function of that name.
    fn at(&self, path: &str) -> Vec<Found<'a>> {
        let marked = |path: &str| self.markers.get(path).cloned().unwrap_or_default();
        if let Some(ignored) = self.tests.get(path) {
            return vec![Found { path: path.to_owned(), ignored: *ignored, markers: marked(path) }];
        }
        if fault!("binding-takes-a-substring") {
            let similar = self.tests.iter().filter(|(test, _)| test.contains(path));
            return similar
                .map(|(test, ignored)| Found { path: test.clone(), ignored: *ignored, markers: marked(test) })
                .collect();
        }
        if !self.markers.contains_key(path) {
            return Vec::new();
        }
        let inside = format!("{path}::");
        self.below(&inside)
            .map(|(case, ignored)| Found { path: case.clone(), ignored: *ignored, markers: marked(path) })
            .collect()
    }

    /// The tests whose path starts so.
    fn below(&self, prefix: &str) -> impl Iterator<Item = (&String, &Option<bool>)> {
        self.tests.range(prefix.to_owned()..).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// The markers that speak for a test: its own, or those of the function that it is a case of.
    fn speaking_for(&self, path: &str) -> Vec<&'a Marker> {
        let own = self.markers.get(path);
        let parent = || path.rsplit_once("::").and_then(|(parent, _)| self.markers.get(parent));
        own.or_else(parent).cloned().unwrap_or_default()
    }

    fn profiles(&self) -> impl Iterator<Item = &'a String> {
        self.build.plan.profiles.iter()
    }
}

fn test_id(package: &str, target: &Target, path: &str) -> TestId {
    TestId { package: package.to_owned(), target: target.clone(), path: path.to_owned() }
}

struct Resolver<'a> {
    settings: &'a Settings,
    inventory: &'a Inventory,
    sources: &'a Sources,
    compiled: &'a Compiled<'a>,
}

impl<'a> Resolver<'a> {
    fn falsifier(&self, contract: &Contract, falsifier: &Falsifier) -> Vec<Resolution> {
        let blank = |state| Resolution {
            contract: contract.metadata.id.clone(),
            declared: None,
            state,
            tests: Vec::new(),
            runs: BTreeMap::new(),
            defects: Vec::new(),
        };
        let bindings = match falsifier.test.as_ref().map(Tests::bindings) {
            None => return Vec::new(),
            Some(Ok(bindings)) => bindings,
            Some(Err(error)) => return vec![blank(State::Unreadable { reason: error.reason })],
        };
        bindings
            .into_iter()
            .map(|binding| {
                let mut resolution = blank(State::Bound);
                self.binding(falsifier, &binding, &mut resolution);
                resolution.declared = Some(binding);
                resolution
            })
            .collect()
    }

    fn binding(&self, falsifier: &Falsifier, binding: &TestBinding, resolution: &mut Resolution) {
        let targets = match self.targets(binding) {
            Ok(targets) => targets,
            Err(state) => {
                resolution.state = state;
                return;
            }
        };
        let found: Vec<(&CompiledTarget<'_>, Vec<Found<'_>>)> = targets
            .iter()
            .map(|target| {
                let tests = match (&binding.path, &binding.prefix) {
                    (Some(path), _) => target.at(path),
                    (None, Some(prefix)) => {
                        let test = |(path, ignored): (&String, &Option<bool>)| Found {
                            path: path.clone(),
                            ignored: *ignored,
                            markers: target.speaking_for(path),
                        };
                        target.below(prefix).map(test).collect()
                    }
                    (None, None) => Vec::new(),
                };
                (target, tests)
            })
            .collect();
        if found.iter().all(|(_, tests)| tests.is_empty()) {
            resolution.state = self.absent(binding, targets);
            return;
        }
        resolution.state = state(binding, &found);
        resolution.tests = self.bound_tests(falsifier, binding, &found);
        self.defects(falsifier, binding, resolution);
        self.runs(falsifier, binding, resolution);
    }

    /// The binding's target in each build that has it, or why there is none.
    fn targets<'s>(&'s self, binding: &'s TestBinding) -> Result<&'s [CompiledTarget<'s>], State> {
        let home = (binding.package.as_str(), &binding.target);
        if fault!("binding-takes-any-target")
            && let Some(path) = &binding.path
            && let Some(targets) =
                self.compiled.targets.values().find(|t| t.iter().any(|t| !t.at(path).is_empty()))
        {
            return Ok(targets);
        }
        if let Some(targets) = self.compiled.targets.get(&home) {
            return Ok(targets);
        }
        let packages = self.compiled.packages.iter().copied();
        let broken: Vec<_> = self.inventory.builds.iter().filter(|build| !build.complete).collect();
        if self.inventory.builds.is_empty() {
            return Err(State::Unresolved { reason: "nothing has been compiled yet".to_owned() });
        }
        if let Some(build) = broken.first()
            && !fault!("binding-takes-broken-for-missing")
        {
            let profiles: Vec<_> = build.plan.profiles.iter().map(String::as_str).collect();
            let reason = format!(
                "{} of package `{}` was not built: profile {} does not compile",
                binding.target,
                binding.package,
                profiles.join(", ")
            );
            return Err(State::Unresolved { reason });
        }
        if !self.compiled.packages.contains(binding.package.as_str()) {
            let meant = nearest(&binding.package, packages).map(str::to_owned);
            return Err(State::Missing { what: Part::Package, meant, note: None });
        }
        if let Some(path) = &binding.path {
            let found = self.compiled.holding(path);
            if !found.is_empty() {
                return Err(State::WrongTarget { found });
            }
        }
        let targets: Vec<_> = self
            .compiled
            .targets
            .keys()
            .filter(|(package, _)| *package == binding.package)
            .map(|(_, target)| target.to_string())
            .collect();
        let wanted = binding.target.to_string();
        let meant = nearest(&wanted, targets.iter().map(String::as_str)).map(str::to_owned);
        let note = (!targets.is_empty()).then(|| format!("the package has {}", targets.join(", ")));
        Err(State::Missing { what: Part::Target, meant, note })
    }

    /// The state of a binding whose target exists and holds no such test.
    fn absent(&self, binding: &TestBinding, targets: &[CompiledTarget<'_>]) -> State {
        let Some(path) = &binding.path else {
            let prefix = binding.prefix.as_deref().unwrap_or_default();
            let tests: BTreeSet<&str> =
                targets.iter().flat_map(|t| t.tests.keys().map(String::as_str)).collect();
            return State::Missing {
                what: Part::Prefix,
                meant: nearest(prefix, tests).map(str::to_owned),
                note: None,
            };
        };
        let elsewhere = self.compiled.holding(path);
        if !elsewhere.is_empty() {
            return State::WrongTarget { found: elsewhere };
        }
        if let Some(reason) = targets.iter().find_map(|t| match &t.executable.listing {
            Listing::Unlistable(reason) => Some(reason),
            Listing::Listed(_) => None,
        }) {
            let note = Some(format!("no marker of it is in the executable, which cannot be asked: {reason}"));
            return State::Missing { what: Part::Test, meant: None, note };
        }
        let tests: BTreeSet<&str> = targets.iter().flat_map(|t| t.tests.keys().map(String::as_str)).collect();
        let inside = format!("{path}::");
        let ending = format!("::{path}");
        let tails: Vec<_> = tests.iter().copied().filter(|test| test.ends_with(&ending)).collect();
        if tails.len() > 1 {
            let id = |test: &&str| test_id(&binding.package, &binding.target, test);
            return State::Ambiguous { candidates: tails.iter().map(id).collect() };
        }
        // A test of the same name in another module is meant rather than one that is spelt alike.
        let name = path.rsplit("::").next().unwrap_or(path);
        let same_name = tests.iter().copied().find(|test| test.rsplit("::").next() == Some(name));
        let meant = tails.first().copied().or(same_name).or_else(|| nearest(path, tests.iter().copied()));
        let meant = meant.filter(|_| !fault!("binding-suggests-nothing"));
        let cases = tests.iter().filter(|test| test.starts_with(&inside)).count();
        let note = match self.sources.function(&binding.package, &binding.target, path) {
            _ if cases > 0 => Some(format!("`{path}` is a module of {cases} tests")),
            Some(function) if function.test => Some(format!(
                "{}:{} has it, and it is not compiled under any profile",
                function.file, function.line
            )),
            Some(function) => {
                Some(format!("{}:{} is a function without #[test]", function.file, function.line))
            }
            None => None,
        };
        State::Missing { what: Part::Test, meant: meant.map(str::to_owned), note }
    }

    fn bound_tests(
        &self,
        falsifier: &Falsifier,
        binding: &TestBinding,
        found: &[(&CompiledTarget<'_>, Vec<Found<'_>>)],
    ) -> Vec<BoundTest> {
        let mut bound: BTreeMap<String, BoundTest> = BTreeMap::new();
        for (target, tests) in found {
            for test in tests {
                let marker = test.markers.iter().find(|m| m.id == falsifier.id).map(|m| (*m).clone());
                let entry = bound.entry(test.path.clone()).or_insert_with(|| {
                    // A case is written where its function is.
                    let function = marker.as_ref().map(Marker::test_path);
                    let source = [Some(&test.path), function.as_ref()]
                        .into_iter()
                        .flatten()
                        .find_map(|path| self.sources.function(&binding.package, &binding.target, path));
                    let place = source
                        .map(|f| Place {
                            file: f.file.clone(),
                            line: f.line + u32::from(fault!("binding-place-is-off-by-one")),
                        })
                        .or_else(|| marker.as_ref().map(|m| Place { file: m.file.clone(), line: m.line }));
                    BoundTest {
                        id: test_id(&binding.package, &binding.target, &test.path),
                        ignored: test.ignored,
                        marker: None,
                        place,
                        vacuity: source.and_then(|f| f.vacuity.clone()),
                        uses: source.and_then(|f| f.uses.clone()),
                        executables: BTreeMap::new(),
                    }
                });
                // Not ignored anywhere is not ignored: the profiles below say where.
                if test.ignored == Some(false) {
                    entry.ignored = Some(false);
                }
                entry.marker = entry.marker.take().or(marker);
                if binding.ignored || test.ignored != Some(true) {
                    let path = &target.executable.path;
                    let profiles = target.profiles().map(|profile| (profile.clone(), path.clone()));
                    entry.executables.extend(profiles);
                }
            }
        }
        bound.into_values().collect()
    }

    fn defects(&self, falsifier: &Falsifier, binding: &TestBinding, resolution: &mut Resolution) {
        for test in &resolution.tests {
            if test.marker.is_none() {
                let carries: BTreeSet<FalsifierId> = self
                    .compiled
                    .targets
                    .get(&(test.id.package.as_str(), &test.id.target))
                    .into_iter()
                    .flatten()
                    .flat_map(|target| target.speaking_for(&test.id.path))
                    .map(|marker| marker.id.clone())
                    .filter(|id| *id != falsifier.id)
                    .collect();
                let carries = carries.into_iter().collect();
                resolution.defects.push(Defect::Unattributed { test: test.id.clone(), carries });
            }
            // A test without a claim in hand is judged by nothing that its text shows.
            if let (Some(_), Some(vacuity)) = (&test.marker, &test.vacuity) {
                let (test, vacuity) = (test.id.clone(), vacuity.clone());
                resolution.defects.push(Defect::Vacuous { test, vacuity });
            }
            if binding.ignored && test.ignored == Some(false) {
                resolution.defects.push(Defect::NotIgnored { test: test.id.clone() });
            }
        }
        let found = u32::try_from(resolution.tests.len()).unwrap_or(u32::MAX);
        let at_least = binding.at_least.unwrap_or(1);
        if binding.prefix.is_some() && found < at_least {
            resolution.defects.push(Defect::TooFew { found, at_least });
        }
    }

    /// Which profiles run the tests on each needed host class.
    fn runs(&self, falsifier: &Falsifier, binding: &TestBinding, resolution: &mut Resolution) {
        for host in &falsifier.hosts {
            let mut runs = BTreeSet::new();
            let mut obstacles = BTreeMap::new();
            for profile in self.settings.profiles.values().filter(|profile| profile.host == *host) {
                let obstacle = profile.obstacle(self.settings, &binding.needs, Some(binding));
                let compiled = resolution.tests.iter().all(|t| t.executables.contains_key(&profile.name));
                match obstacle {
                    Some(obstacle) => {
                        obstacles.insert(profile.name.clone(), obstacle);
                    }
                    None if !compiled => {
                        let reason = "the test is not compiled, or ignored, under it".to_owned();
                        obstacles.insert(profile.name.clone(), reason);
                    }
                    None => {
                        runs.insert(profile.name.clone());
                    }
                }
            }
            if runs.is_empty() && resolution.state.is_bound() {
                resolution.defects.push(Defect::Dark { host: host.clone(), obstacles });
            }
            resolution.runs.insert(host.clone(), runs);
        }
    }
}

/// The state of a binding for which at least one build has a test.
fn state(binding: &TestBinding, found: &[(&CompiledTarget<'_>, Vec<Found<'_>>)]) -> State {
    let runs = |tests: &[Found<'_>]| {
        !tests.is_empty() && (binding.ignored || tests.iter().any(|test| test.ignored != Some(true)))
    };
    let (with, without): (Vec<_>, Vec<_>) = found.iter().partition(|(_, tests)| runs(tests));
    if with.is_empty() {
        return State::BoundButIgnored;
    }
    let unlistable = with.iter().find_map(|(target, _)| match &target.executable.listing {
        Listing::Unlistable(reason) => Some(reason.clone()),
        Listing::Listed(_) => None,
    });
    if let Some(reason) = unlistable {
        return State::UnlistableHere { reason };
    }
    if without.is_empty() {
        return State::Bound;
    }
    let profiles = with.iter().flat_map(|(target, _)| target.profiles()).cloned().collect();
    State::BoundOnlyUnder { profiles }
}

/// Add to each resolution the other falsifiers that are bound to one of its tests.
fn note_shared_tests(bindings: &mut Bindings) {
    let mut users: BTreeMap<TestId, BTreeSet<FalsifierId>> = BTreeMap::new();
    for (id, resolutions) in &bindings.falsifiers {
        for test in resolutions.iter().flat_map(|resolution| &resolution.tests) {
            users.entry(test.id.clone()).or_default().insert(id.clone());
        }
    }
    for (id, resolutions) in &mut bindings.falsifiers {
        for resolution in resolutions {
            for test in &resolution.tests {
                let others = users.get(&test.id).into_iter().flatten().filter(|other| *other != id);
                resolution.defects.extend(
                    others.map(|other| Defect::BoundTwice { test: test.id.clone(), other: other.clone() }),
                );
            }
        }
    }
}

/// The attributes that no contract answers.
fn strays(compiled: &Compiled<'_>, bindings: &Bindings, declared: &BTreeSet<FalsifierId>) -> Vec<Stray> {
    let mut answered: BTreeSet<(&FalsifierId, Home<'_>, String)> = BTreeSet::new();
    for (id, resolutions) in &bindings.falsifiers {
        for test in resolutions.iter().flat_map(|resolution| &resolution.tests) {
            if let Some(marker) = &test.marker {
                answered.insert((id, (&test.id.package, &test.id.target), marker.test_path()));
            }
        }
    }
    let mut strays = BTreeSet::new();
    for (home, targets) in &compiled.targets {
        for target in targets {
            for (path, markers) in &target.markers {
                for marker in markers {
                    let answered = answered.contains(&(&marker.id, *home, path.clone()));
                    if !answered && !fault!("binding-forgets-strays") {
                        strays.insert(Stray {
                            test: test_id(home.0, home.1, path),
                            declared: declared.contains(&marker.id),
                            marker: (*marker).clone(),
                        });
                    }
                }
            }
        }
    }
    strays.into_iter().collect()
}
