//! The resolved dependencies of tests, from Cargo.lock and the manifests: what else is compiled into them, in
//! which version, with which features and flags.

use super::{AxisError, Files, FilesError, Packages};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of a manifest that decide what is built from it.
const OF_PACKAGE: &[&str] =
    &["dependencies", "dev-dependencies", "build-dependencies", "target", "features", "lib", "bin", "test"];
/// Those of the workspace's manifest that decide it for all.
const OF_WORKSPACE: &[&str] = &["profile", "patch", "replace"];

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// One line per thing that the tests of the packages depend on. Without packages, as for a command, everything
/// that is locked counts.
pub(super) fn resolved(
    files: &Files,
    workspace: &Packages,
    packages: &BTreeSet<String>,
) -> Result<BTreeSet<String>, AxisError> {
    let mut lines = BTreeSet::new();
    let all: BTreeSet<String> = workspace.packages().map(|(name, _)| name.to_owned()).collect();
    let roots = if packages.is_empty() { all } else { workspace.closure(packages) };
    for name in &roots {
        let Some(package) = workspace.package(name) else { continue };
        let manifest = if package.folder.is_empty() {
            "Cargo.toml".to_owned()
        } else {
            format!("{}/Cargo.toml", package.folder)
        };
        lines.extend(keys(files, &manifest, OF_PACKAGE)?);
    }
    if files.holds("Cargo.toml") {
        lines.extend(keys(files, "Cargo.toml", OF_WORKSPACE)?);
        let table = table(files, "Cargo.toml")?;
        let shared = table.get("workspace").and_then(|workspace| workspace.get("dependencies"));
        lines.extend(shared.map(|shared| format!("Cargo.toml workspace.dependencies {}", canonical(shared))));
    }
    for path in [".cargo/config.toml", ".cargo/config"].into_iter().filter(|path| files.holds(path)) {
        let flags = table(files, path)?;
        let flags =
            ["build", "target", "profile", "env"].iter().filter_map(|key| Some((key, flags.get(*key)?)));
        lines.extend(flags.map(|(key, value)| format!("{path} {key} {}", canonical(value))));
    }
    if files.holds("Cargo.lock") {
        let lock: Lock = toml::from_str(&files.text("Cargo.lock")?)
            .map_err(|e| AxisError::Lock(e.message().to_owned()))?;
        lines.extend(locked(&lock, &roots));
    }
    Ok(lines)
}

/// The locked packages that the roots reach. What lies in the workspace counts by its sources.
fn locked(lock: &Lock, roots: &BTreeSet<String>) -> BTreeSet<String> {
    let mut by_name: BTreeMap<&str, Vec<&Locked>> = BTreeMap::new();
    for package in &lock.package {
        by_name.entry(package.name.as_str()).or_default().push(package);
    }
    let mut reached = BTreeSet::new();
    let mut lines = BTreeSet::new();
    let mut pending: Vec<&Locked> =
        lock.package.iter().filter(|p| p.source.is_none() && roots.contains(&p.name)).collect();
    while let Some(package) = pending.pop() {
        if !reached.insert((&package.name, &package.version, &package.source)) {
            continue;
        }
        if let Some(source) = &package.source {
            let Locked { name, version, checksum, .. } = package;
            lines.insert(format!("{name} {version} {source} {}", checksum.as_deref().unwrap_or("-")));
        }
        for dependency in &package.dependencies {
            // `name`, `name version` or `name version (source)`: as much as tells it apart.
            let mut words = dependency.splitn(3, ' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            let found = by_name.get(name).into_iter().flatten();
            pending.extend(found.filter(|p| version.is_none_or(|version| p.version == version)));
        }
    }
    lines
}

fn table(files: &Files, path: &str) -> Result<toml::Table, AxisError> {
    files.text(path)?.parse().map_err(|error: toml::de::Error| {
        AxisError::Files(FilesError { path: path.to_owned(), reason: error.message().to_owned() })
    })
}

fn keys(files: &Files, path: &str, keys: &[&str]) -> Result<Vec<String>, AxisError> {
    let table = table(files, path)?;
    let found = keys.iter().filter_map(|key| Some((key, table.get(*key)?)));
    Ok(found.map(|(key, value)| format!("{path} {key} {}", canonical(value))).collect())
}

/// A value as one text. The tables of the parser are sorted, so order in the file does not count.
fn canonical(value: &toml::Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Lock, locked};
    use std::collections::BTreeSet;

    const LOCK: &str = r#"
        [[package]]
        name = "here"
        version = "0.1.0"
        dependencies = ["a", "b 2.0.0"]
        [[package]]
        name = "other"
        version = "0.1.0"
        dependencies = ["b 1.0.0"]
        [[package]]
        name = "a"
        version = "1.2.3"
        source = "registry"
        checksum = "aa"
        dependencies = ["c"]
        [[package]]
        name = "b"
        version = "1.0.0"
        source = "registry"
        checksum = "b1"
        [[package]]
        name = "b"
        version = "2.0.0"
        source = "registry"
        checksum = "b2"
        [[package]]
        name = "c"
        version = "0.1.0"
        source = "git"
        dependencies = ["a"]
    "#;

    #[test]
    fn only_what_the_package_reaches_counts_and_cycles_end() {
        let lock: Lock = toml::from_str(LOCK).unwrap();
        let of =
            |root: &str| locked(&lock, &BTreeSet::from([root.to_owned()])).into_iter().collect::<Vec<_>>();
        assert_eq!(of("here"), ["a 1.2.3 registry aa", "b 2.0.0 registry b2", "c 0.1.0 git -"]);
        assert_eq!(of("other"), ["b 1.0.0 registry b1"]);
        assert!(of("a").is_empty(), "a package of the registry is no root");
    }
}
