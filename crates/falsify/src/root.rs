//! Where a test finds the repository's files: from the current folder upwards, or where `PV_ROOT` says, never at
//! a path of the machine that compiled it.

use crate::environment;
use contract::settings::Settings;
use std::path::{Path, PathBuf};

/// Test data lies here, below the root.
const DATA: &str = "tests/data";

/// Why a file of the repository was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Nothing above the current folder is the root.
    #[error("neither pv.toml nor a folder `contracts` in {0} or above it (PV_ROOT can name the root)")]
    NoRoot(String),
    /// A test data file that is not there.
    #[error("no test data {DATA}/{0}")]
    NoData(String),
    /// pv.toml cannot be used.
    #[error("pv.toml: {0}")]
    Settings(String),
    /// A model that pv.toml does not declare.
    #[error("pv.toml declares no model `{name}` (declared: {declared})")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Those that exist.
        declared: String,
    },
    /// A model file that is not on this machine.
    #[error("the model `{name}` is not here: no {path}")]
    NoModel {
        /// Its name in pv.toml.
        name: String,
        /// The file, as pv.toml has it.
        path: String,
    },
}

/// The folder that holds pv.toml, or a folder `contracts` where there is no pv.toml.
///
/// # Errors
/// When nothing above the current folder does and PV_ROOT is not set.
pub fn root() -> Result<PathBuf, RootError> {
    if let Some(root) = environment::root() {
        return Ok(root);
    }
    let here = std::env::current_dir().map_err(|e| RootError::NoRoot(e.to_string()))?;
    find(&here).ok_or_else(|| RootError::NoRoot(here.display().to_string()))
}

/// The root above a folder. pv.toml wins over a folder `contracts` further down.
fn find(from: &Path) -> Option<PathBuf> {
    let holds = |name: &str| from.ancestors().find(|dir| dir.join(name).exists()).map(Path::to_owned);
    holds("pv.toml").or_else(|| holds("contracts"))
}

/// A file or folder of test data by its path below `tests/data`.
///
/// # Errors
/// When there is no root, or no such file.
pub fn data(path: &str) -> Result<PathBuf, RootError> {
    let file = root()?.join(DATA).join(path);
    if file.exists() { Ok(file) } else { Err(RootError::NoData(path.to_owned())) }
}

/// The file of a model by its name in pv.toml.
///
/// # Errors
/// When there is no root, pv.toml does not declare the model, or the file is not on this machine.
pub fn model(name: &str) -> Result<PathBuf, RootError> {
    let root = root()?;
    let text =
        std::fs::read_to_string(root.join("pv.toml")).map_err(|e| RootError::Settings(e.to_string()))?;
    let settings = Settings::parse(&text).map_err(|problems| {
        RootError::Settings(problems.first().map_or_else(String::new, |problem| problem.message.clone()))
    })?;
    let Some(model) = settings.models.get(name) else {
        let declared: Vec<_> = settings.models.keys().map(String::as_str).collect();
        let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
        return Err(RootError::UnknownModel { name: name.to_owned(), declared });
    };
    let file = root.join(&model.path);
    if file.is_file() {
        Ok(file)
    } else {
        Err(RootError::NoModel { name: name.to_owned(), path: model.path.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn pv_toml_above_wins_over_contracts_below() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("crates/x");
        std::fs::create_dir_all(inner.join("contracts")).unwrap();
        assert_eq!(find(&inner), Some(inner.clone()));
        std::fs::write(dir.path().join("pv.toml"), "").unwrap();
        assert_eq!(find(&inner), Some(dir.path().to_owned()));
    }
}
