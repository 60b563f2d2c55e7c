//! From an id to what the expansion embeds: the contract root as the compiler's environment gives it, and the one
//! falsifier of that id below it.

use contract::hash;
use contract::root::Root;
use contract::schema::Falsifier;
use std::path::{Path, PathBuf};

/// What is embedded of a falsifier.
#[derive(Debug)]
pub(crate) struct Found {
    /// The contract file, absolute.
    pub(crate) file: PathBuf,
    /// The contract's id.
    pub(crate) contract: String,
    /// The claim as JSON.
    pub(crate) claim: String,
    /// The claim's hash.
    pub(crate) hash: String,
    /// Where to look when it fails.
    pub(crate) if_fails: String,
}

/// The falsifier of an id in the contracts of the package that is being compiled.
///
/// # Errors
/// One line: no root, no or several such falsifiers, a broken contract, or nothing that a test could judge.
pub(crate) fn falsifier(id: &str) -> Result<Found, String> {
    let root = root()?;
    let found = root.falsifier(id).map_err(|error| error.to_string())?;
    let falsifier = found.falsifier();
    let file = root.dir().join(&found.path);
    let shown = found.path.display();
    let claim = testable(falsifier).map_err(|problem| format!("{id} in {shown} {problem}"))?;
    let unusable = |what: &str, error: String| format!("{id} in {shown}: {what}: {error}");
    Ok(Found {
        contract: found.contract.metadata.id.to_string(),
        claim: serde_json::to_string(claim).map_err(|e| unusable("its claim", e.to_string()))?,
        hash: hash::claim(falsifier).map_err(|e| unusable("its claim's hash", e.to_string()))?.to_string(),
        if_fails: falsifier.if_fails.clone(),
        file,
    })
}

/// The claim of a falsifier that a test can be bound to.
fn testable(falsifier: &Falsifier) -> Result<&contract::claim::Claim, &'static str> {
    if falsifier.review.is_some() {
        return Err("is a review, not a test");
    }
    if falsifier.command.is_some() {
        return Err("is a command, not a test");
    }
    falsifier.claim.as_ref().ok_or("has no claim: there is nothing to judge")
}

/// `PV_ROOT`, or the folder with pv.toml above the package, or the one with `contracts` where there is no pv.toml.
fn root() -> Result<Root, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = set("PV_ROOT") {
        return Ok(Root::at(root));
    }
    let package =
        set("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set: is this built by cargo?")?;
    let holds = |dir: &&Path| dir.join("contracts").is_dir();
    Root::above(&package)
        .or_else(|| package.ancestors().find(holds).map(Root::at))
        .ok_or_else(|| format!("neither pv.toml nor contracts/ in {} or above it", package.display()))
}
