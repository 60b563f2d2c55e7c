//! The compiled tests of the workspace: one build per distinct plan, every executable read in parallel. What an
//! earlier inventory knows of unchanged executables is reused.

use super::build::{self, BuildError, Flavour, Plan};
use super::executable::Executable;
use contract::settings::Settings;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// What is compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// One build per plan.
    pub builds: Vec<Build>,
}

/// One build and its executables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// What was built.
    pub plan: Plan,
    /// Everything compiled.
    pub complete: bool,
    /// The workspace packages.
    pub packages: BTreeSet<String>,
    /// The test executables.
    pub executables: Vec<Executable>,
}

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Cargo did not do its part.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An executable that cargo named cannot be read.
    #[error("{}: {source}", path.display())]
    Executable {
        /// The executable.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Inventory {
    /// Build every plan of the settings and read what came out.
    ///
    /// # Errors
    /// When cargo cannot be started or understood, or an executable cannot be read. What does not compile is no
    /// error but an incomplete build.
    pub fn take(
        cargo: &Path,
        root: &Path,
        settings: &Settings,
        flavour: Flavour,
        earlier: Option<&Self>,
    ) -> Result<Self, InventoryError> {
        let known: BTreeMap<&Path, &Executable> = earlier
            .iter()
            .flat_map(|inventory| &inventory.builds)
            .flat_map(|build| &build.executables)
            .map(|executable| (executable.path.as_path(), executable))
            .collect();
        let mut builds = Vec::new();
        for plan in build::plans(settings) {
            let built = build::build(cargo, root, &plan, flavour)?;
            let libraries = &built.libraries;
            let executables = built
                .artifacts
                .into_par_iter()
                .map(|artifact| {
                    let path = artifact.executable.clone();
                    let earlier = known.get(path.as_path()).copied();
                    Executable::read(artifact, libraries, earlier)
                        .map_err(|source| InventoryError::Executable { path, source })
                })
                .collect::<Result<Vec<_>, _>>()?;
            builds.push(Build { plan, complete: built.complete, packages: built.packages, executables });
        }
        Ok(Self { builds })
    }
}
