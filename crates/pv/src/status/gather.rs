//! Reading what a status follows from: contracts, settings, bindings, the tree, the stores.

use super::{Basis, of};
use crate::binding::build::Flavour;
use crate::binding::{BindingError, Bindings};
use crate::content::{AxisError, Content, ContentError};
use crate::evidence::index::Index;
use crate::evidence::store::{Defect, Store, StoreError};
use contract::Loaded;
use contract::date::Date;
use contract::id::FalsifierId;
use contract::root::Root;
use contract::schema::{Axis, Contract};
use contract::settings::Settings;
use contract::status::facts::Current;
use contract::status::propagate::Status;
use contract::status::summary::SumError;
use contract::walk::Dialect;
use std::collections::BTreeMap;
use std::path::Path;

/// Which records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// Those that are committed.
    Committed,
    /// Those of this machine's runs too.
    WithLocal,
}

/// How bindings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// From the last compilation, if nothing has changed since.
    Cached,
    /// By compiling.
    Compiled,
}

/// Everything that statuses follow from, and the statuses.
#[derive(Debug)]
pub struct Gathered {
    /// The contract files.
    pub loaded: Vec<Loaded>,
    /// The bindings, if they are known.
    pub bindings: Option<Bindings>,
    /// What the tree holds, per falsifier.
    pub current: BTreeMap<FalsifierId, Current>,
    /// Why an axis of a falsifier has no digest.
    pub unheld: BTreeMap<FalsifierId, Vec<(Axis, AxisError)>>,
    /// The records, and the files of the stores that are none.
    pub index: Index,
    /// The statuses.
    pub status: Status,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Bindings cannot be resolved.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// The tree cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two contracts define one falsifier, so that its records could be of either.
    #[error("falsifier `{id}` is defined in {first} and in {second}: no status follows")]
    Duplicate {
        /// The falsifier.
        id: FalsifierId,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A count does not add up.
    #[error(transparent)]
    Sum(#[from] SumError),
}

impl GatherError {
    /// Whether the contracts are at fault, rather than the surroundings.
    #[must_use]
    pub const fn is_finding(&self) -> bool {
        matches!(self, Self::Duplicate { .. })
    }
}

/// Gather and derive.
///
/// # Errors
/// When something cannot be read, or two contracts define one falsifier. A contract file with errors is no error:
/// it counts for nothing, and [`Gathered::broken`] names it.
pub fn gather(
    cargo: &Path,
    root: &Root,
    settings: &Settings,
    stores: Stores,
    knowledge: Knowledge,
    today: Option<Date>,
) -> Result<Gathered, GatherError> {
    let dir = root.dir();
    // Contracts, tree and records know nothing of each other.
    let (tree, index) = rayon::join(|| Tree::read(cargo, root, settings, knowledge), || records(dir, stores));
    let Tree { loaded, bindings, current, unheld } = tree?;
    let (contracts, index) = (typed(&loaded), index?);
    let basis = Basis {
        contracts: &contracts,
        settings,
        bindings: bindings.as_ref(),
        current: &current,
        records: &index.records,
        today,
    };
    let status = of(basis)?;
    Ok(Gathered { bindings, current, unheld, index, status, loaded })
}

fn records(dir: &Path, stores: Stores) -> Result<Index, GatherError> {
    let mut index = Index::read(&Store::committed(dir), &dir.join("target/pv/evidence.index"))?;
    if stores == Stores::WithLocal {
        index.join(Index::read(&Store::local(dir), &dir.join("target/pv/local.index"))?);
    }
    Ok(index)
}

/// What statuses follow from beside the records.
struct Tree {
    loaded: Vec<Loaded>,
    bindings: Option<Bindings>,
    current: BTreeMap<FalsifierId, Current>,
    unheld: BTreeMap<FalsifierId, Vec<(Axis, AxisError)>>,
}

impl Tree {
    fn read(
        cargo: &Path,
        root: &Root,
        settings: &Settings,
        knowledge: Knowledge,
    ) -> Result<Self, GatherError> {
        let dir = root.dir();
        let loaded = root.load_all();
        let contracts = typed(&loaded);
        unique(&loaded)?;
        let bindings = match knowledge {
            Knowledge::Compiled => {
                Some(Bindings::compile(cargo, dir, settings, Flavour::Plain, contracts.iter().copied())?)
            }
            Knowledge::Cached => Bindings::cached(dir, settings, contracts.iter().copied())?,
        };
        let mut content = Content::read(cargo, dir, settings)?;
        let mut current = BTreeMap::new();
        let mut unheld = BTreeMap::new();
        let falsifiers: Vec<_> =
            contracts.iter().flat_map(|contract| &contract.falsification_tests).collect();
        for (falsifier, held) in falsifiers.iter().zip(content.of_all(&falsifiers)) {
            current.insert(falsifier.id.clone(), held.current);
            if !held.missing.is_empty() {
                unheld.insert(falsifier.id.clone(), held.missing);
            }
        }
        content.store().map_err(ContentError::from)?;
        Ok(Self { bindings, current, unheld, loaded })
    }
}

impl Gathered {
    /// The typed contracts, in the order of their files.
    #[must_use]
    pub fn contracts(&self) -> Vec<&Contract> {
        typed(&self.loaded)
    }

    /// The files that should be contracts of schema 1 and are not, for their errors.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let broken = self.loaded.iter().filter(|l| l.contract.is_none() && l.dialect == Dialect::Schema1);
        broken.map(|loaded| loaded.source.path().display().to_string()).collect()
    }

    /// How many files are of the legacy dialect, from which no status follows.
    #[must_use]
    pub fn legacy(&self) -> usize {
        self.loaded.iter().filter(|loaded| loaded.dialect == Dialect::Legacy).count()
    }

    /// The files of the stores that are no records.
    #[must_use]
    pub fn defects(&self) -> &[Defect] {
        &self.index.defects
    }
}

fn typed(loaded: &[Loaded]) -> Vec<&Contract> {
    loaded.iter().filter_map(|loaded| loaded.contract.as_ref()).collect()
}

fn unique(loaded: &[Loaded]) -> Result<(), GatherError> {
    let mut seen: BTreeMap<&FalsifierId, String> = BTreeMap::new();
    for file in loaded {
        let path = file.source.path().display().to_string();
        for falsifier in file.contract.iter().flat_map(|contract| &contract.falsification_tests) {
            if let Some(first) = seen.insert(&falsifier.id, path.clone()) {
                return Err(GatherError::Duplicate { id: falsifier.id.clone(), first, second: path });
            }
        }
    }
    Ok(())
}
