//! Which compiled test each falsifier is bound to. The tests are those that cargo really builds under the
//! profiles of pv.toml: a name in a comment, a string or `cfg`-ed out code is none. Both directions are
//! answered: what a contract names, and what a test's attribute names. Nothing here runs a test or judges one.

pub mod build;
pub mod executable;
pub mod inventory;
pub mod prose;
pub mod resolve;
pub mod scan;
pub mod snapshot;

use build::Flavour;
use contract::binding::{Target, TestBinding};
use contract::id::{ContractId, FalsifierId};
use contract::marker::Marker;
use contract::schema::Contract;
use contract::settings::Settings;
use inventory::{Inventory, InventoryError};
use scan::Sources;
use serde::{Deserialize, Serialize};
use snapshot::{Files, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Every falsifier's bindings and what they resolve to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bindings {
    /// One resolution per declared test binding, in the order of the contract. A falsifier without tests (a
    /// review, a command, a proposal) has no entry.
    pub falsifiers: BTreeMap<FalsifierId, Vec<Resolution>>,
    /// Tests whose attribute names a falsifier that does not name them.
    pub strays: Vec<Stray>,
    /// Profiles that could not be built, with the first line of the reason.
    pub unbuilt: BTreeMap<String, String>,
}

/// Why bindings cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// There is no inventory of compiled tests.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The work tree or the folder of snapshots.
    #[error("{}: {source}", path.display())]
    Tree {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Bindings {
    /// Compile the tests of every profile and resolve the contracts against them. Cargo's progress goes to the
    /// standard error. The snapshot in the flavour's folder is brought up to date.
    ///
    /// # Errors
    /// When cargo cannot be started or understood, or the work tree cannot be read. Tests that do not compile
    /// are no error: what they leave open is [`State::Unresolved`].
    pub fn compile<'a>(
        cargo: &Path,
        root: &Path,
        settings: &Settings,
        flavour: Flavour,
        contracts: impl IntoIterator<Item = &'a Contract>,
    ) -> Result<Self, BindingError> {
        let earlier = Snapshot::load(root, flavour);
        let known = earlier.as_ref().map(|earlier| &earlier.inventory);
        let inventory = Inventory::take(cargo, root, settings, flavour, known)?;
        let unchanged = earlier.as_ref().is_some_and(|earlier| earlier.inventory == inventory);
        let mut files = earlier.map(|earlier| earlier.files).unwrap_or_default();
        let tree = |source| BindingError::Tree { path: root.to_owned(), source };
        files.refresh(root).map_err(tree)?;
        let sources = scan(root, &inventory, &mut files);
        let bindings = resolve::resolve(contracts, settings, &inventory, &sources);
        if !unchanged || files.is_dirty() {
            Snapshot::new(inventory, files).store(root, flavour).map_err(tree)?;
        }
        Ok(bindings)
    }

    /// Resolve the contracts against the tests that were compiled last, without compiling. `None` when nothing
    /// was compiled, or any source or manifest has changed since.
    ///
    /// # Errors
    /// When the work tree cannot be read.
    pub fn cached<'a>(
        root: &Path,
        settings: &Settings,
        contracts: impl IntoIterator<Item = &'a Contract>,
    ) -> Result<Option<Self>, BindingError> {
        let Some(Snapshot { inventory, mut files, .. }) = Snapshot::load(root, Flavour::Plain) else {
            return Ok(None);
        };
        let tree = |source| BindingError::Tree { path: root.to_owned(), source };
        let changed = files.refresh(root).map_err(tree)?;
        let same_builds = inventory.builds.iter().map(|build| &build.plan).eq(&build::plans(settings));
        if changed || !same_builds {
            return Ok(None);
        }
        let sources = scan(root, &inventory, &mut files);
        Ok(Some(resolve::resolve(contracts, settings, &inventory, &sources)))
    }
}

/// The functions of every compiled test target.
fn scan(root: &Path, inventory: &Inventory, files: &mut Files) -> Sources {
    let mut sources = Sources::default();
    let mut seen = BTreeSet::new();
    for executable in inventory.builds.iter().flat_map(|build| &build.executables) {
        if seen.insert((&executable.package, &executable.target)) {
            sources.scan(root, &executable.package, &executable.target, &executable.source, files);
        }
    }
    sources
}

/// A compiled test's place: what identifies it among all tests of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TestId {
    /// The cargo package.
    pub package: String,
    /// The target in it.
    pub target: Target,
    /// Its path, as `--list` prints it.
    pub path: String,
}

impl std::fmt::Display for TestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.package, self.target, self.path)
    }
}

/// What one declared binding resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The contract that declares it.
    pub contract: ContractId,
    /// The binding as declared, a shorthand already read; `None` when the shorthand is no binding.
    pub declared: Option<TestBinding>,
    /// Whether there is such a test.
    pub state: State,
    /// The tests it means: one for a path, those found for a prefix.
    pub tests: Vec<BoundTest>,
    /// The host classes that need it, each with the profiles that run it there. A class without a profile
    /// leaves the falsifier dark.
    pub runs: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong beside its state.
    pub defects: Vec<Defect>,
}

/// Whether a declared test exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It is compiled under every profile that builds its package.
    Bound,
    /// It is compiled and carries `#[ignore]`, and the binding does not say so.
    BoundButIgnored,
    /// It is compiled under these profiles and not under others.
    BoundOnlyUnder {
        /// The profiles' names.
        profiles: BTreeSet<String>,
    },
    /// Its executable cannot be asked for its tests here; the attribute's marker was found in it.
    UnlistableHere {
        /// Why it cannot be asked.
        reason: String,
    },
    /// The path is no test's, and ends the paths of several.
    Ambiguous {
        /// Those tests.
        candidates: Vec<TestId>,
    },
    /// No such test is compiled.
    Missing {
        /// What is missing: `package`, `target`, `test` or `prefix`.
        what: Part,
        /// What was most likely meant.
        meant: Option<String>,
        /// What else is known of the name: a function without `#[test]`, code that is not compiled.
        note: Option<String>,
    },
    /// A test of that path exists in another target only.
    WrongTarget {
        /// Where it is.
        found: Vec<TestId>,
    },
    /// The text of the binding means nothing.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// No profile that builds its package could be built here, or nothing has been compiled yet.
    Unresolved {
        /// Why.
        reason: String,
    },
}

impl State {
    /// The state's name in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::BoundButIgnored => "bound-but-ignored",
            Self::BoundOnlyUnder { .. } => "bound-only-under",
            Self::UnlistableHere { .. } => "unlistable-here",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Missing { .. } => "missing",
            Self::WrongTarget { .. } => "wrong-target",
            Self::Unreadable { .. } => "unreadable",
            Self::Unresolved { .. } => "unresolved",
        }
    }

    /// Whether a compiled test stands behind the binding.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        matches!(self, Self::Bound | Self::BoundOnlyUnder { .. } | Self::UnlistableHere { .. })
    }
}

/// Which part of a binding names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// No workspace package has the name.
    Package,
    /// The package has no such test target.
    Target,
    /// The target has no such test.
    Test,
    /// No test of the target starts so, or too few.
    Prefix,
}

impl Part {
    /// The part's name in prose.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Target => "target",
            Self::Test => "test",
            Self::Prefix => "prefix",
        }
    }
}

/// A compiled test that a falsifier is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundTest {
    /// Which test.
    pub id: TestId,
    /// It carries `#[ignore]`; `None` when its executable cannot be asked here.
    pub ignored: Option<bool>,
    /// The attribute of the falsifier it is bound to.
    pub marker: Option<Marker>,
    /// Where it stands in the sources; a test made by a macro has the marker's place only.
    pub place: Option<Place>,
    /// Why it cannot fail, as far as its text shows.
    pub vacuity: Option<Vacuity>,
    /// What its text does with its claim; `None` for a test made by a macro.
    pub uses: Option<ClaimUse>,
    /// The executable that holds it, per profile.
    pub executables: BTreeMap<String, PathBuf>,
}

/// A place in the sources.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, relative to the root.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What a test's text does with its claim.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaimUse {
    /// The methods it calls on it, at a place or not: `check`, `compare`, `measure`.
    pub methods: BTreeSet<String>,
    /// The claim is handed on, so that other methods may be called where this is not seen.
    pub escapes: bool,
}

/// Why a test's text cannot show its claim false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Vacuity {
    /// Its body holds no statement.
    Empty,
    /// It takes no claim and asserts nothing.
    NoAssertion,
    /// It asserts, but compares nothing through its claim, and only that counts.
    NoComparison,
    /// It returns before its first comparison, at this line.
    EarlyReturn {
        /// The line, from 1.
        line: u32,
    },
}

impl std::fmt::Display for Vacuity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("its body is empty"),
            Self::NoAssertion => f.write_str("it compares and asserts nothing"),
            Self::NoComparison => f.write_str("it compares nothing through its claim"),
            Self::EarlyReturn { line } => {
                write!(f, "it returns at line {line}, before its first comparison")
            }
        }
    }
}

/// What is wrong with a binding whose test exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "defect", rename_all = "kebab-case")]
pub enum Defect {
    /// The test carries no `#[falsifier]` of this id.
    Unattributed {
        /// The test.
        test: TestId,
        /// The ids that it carries instead.
        carries: Vec<FalsifierId>,
    },
    /// The test cannot fail.
    Vacuous {
        /// The test.
        test: TestId,
        /// Why.
        vacuity: Vacuity,
    },
    /// Another falsifier is bound to the same test.
    BoundTwice {
        /// The test.
        test: TestId,
        /// The other falsifier.
        other: FalsifierId,
    },
    /// The binding says `ignored: true` and the test is not.
    NotIgnored {
        /// The test.
        test: TestId,
    },
    /// Fewer tests start with the prefix than `at_least` says.
    TooFew {
        /// How many there are.
        found: u32,
        /// How many there must be.
        at_least: u32,
    },
    /// No profile runs the test on a needed host class.
    Dark {
        /// The class.
        host: String,
        /// Per profile of that class, why not; empty when no profile is for it.
        obstacles: BTreeMap<String, String>,
    },
}

/// A test whose attribute names a falsifier that does not name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stray {
    /// The test.
    pub test: TestId,
    /// Its attribute.
    pub marker: Marker,
    /// Whether any contract declares the falsifier.
    pub declared: bool,
}
