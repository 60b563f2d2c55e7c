//! Where test data lies: found at run time, because tests also run from carried binaries.

use std::path::PathBuf;

/// A file under `tests/data` of the workspace, found from `PV_ROOT` or the current folder upwards.
pub(crate) fn path(name: &str) -> PathBuf {
    let start = std::env::var_os("PV_ROOT").map_or_else(|| std::env::current_dir().unwrap(), PathBuf::from);
    let found = start.ancestors().map(|dir| dir.join("tests/data").join(name)).find(|p| p.exists());
    found.unwrap_or_else(|| panic!("tests/data/{name} not found from {} upwards", start.display()))
}
