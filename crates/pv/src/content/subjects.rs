//! Which files a claim is about. A subject is a file, a folder, a glob, `file.rs::Symbol`, a module
//! (`model::route`), or a whole package with everything it is built from. A source file brings the files of its
//! modules and of what it includes.

use super::{AxisError, Files, Packages};
use contract::binding::Target;
use contract::settings::PathGlob;
use std::collections::BTreeSet;

/// Marks the closure of a package, which stands for subjects that a falsifier leaves out.
pub(super) const CLOSURE: &str = "package:";

/// A subject that names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// No file matches.
    #[error("no file matches the subject `{0}`")]
    Nothing(String),
    /// A glob that is none.
    #[error("the subject `{subject}` is no glob: {reason}")]
    Glob {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A module that no package of the workspace has.
    #[error("no module `{0}` in the workspace")]
    Module(String),
}

/// The files of all subjects.
pub(super) fn resolve(
    subjects: &[String],
    files: &mut Files,
    workspace: &Packages,
) -> Result<BTreeSet<String>, AxisError> {
    let mut found = BTreeSet::new();
    for subject in subjects {
        let one = one(subject, files, workspace)?;
        if one.is_empty() {
            return Err(SubjectError::Nothing(subject.clone()).into());
        }
        for file in one {
            if file.ends_with(".rs") {
                found.extend(files.module_tree(&file, false)?);
            }
            found.insert(file);
        }
    }
    Ok(found)
}

fn one(subject: &str, files: &mut Files, workspace: &Packages) -> Result<Vec<String>, AxisError> {
    if let Some(package) = subject.strip_prefix(CLOSURE) {
        return Ok(closure(package, files, workspace));
    }
    let (path, symbol) =
        subject.split_once("::").map_or((subject, None), |(path, symbol)| (path, Some(symbol)));
    if symbol.is_some() && !path.contains(['/', '.']) {
        return module(subject, files, workspace).map(|file| vec![file]);
    }
    let path = path.trim_end_matches('/');
    if files.holds(path) {
        return Ok(vec![path.to_owned()]);
    }
    let folder = format!("{path}/");
    let below: Vec<String> =
        files.paths().filter(|file| file.starts_with(&folder)).map(str::to_owned).collect();
    if !below.is_empty() || !path.contains(['*', '?', '[', '{']) {
        return Ok(below);
    }
    let glob =
        PathGlob::parse(path).map_err(|reason| SubjectError::Glob { subject: subject.to_owned(), reason })?;
    Ok(files.paths().filter(|file| glob.matches(file)).map(str::to_owned).collect())
}

/// Every file of the package and of the packages that its tests are built from. A package's folder ends where
/// another one's begins.
fn closure(package: &str, files: &Files, workspace: &Packages) -> Vec<String> {
    let packages = workspace.closure(&BTreeSet::from([package.to_owned()]));
    let folders: Vec<(&str, bool)> = workspace
        .packages()
        .map(|(name, package)| (package.folder.as_str(), packages.contains(name)))
        .collect();
    let owner = |file: &str| {
        let holding = folders.iter().filter(|(folder, _)| {
            folder.is_empty() || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        });
        holding.max_by_key(|(folder, _)| folder.len()).is_some_and(|(_, wanted)| *wanted)
    };
    files.paths().filter(|file| owner(file)).map(str::to_owned).collect()
}

/// The file of a module by its path, the package's name first.
fn module(path: &str, files: &mut Files, workspace: &Packages) -> Result<String, AxisError> {
    let unknown = || AxisError::from(SubjectError::Module(path.to_owned()));
    let mut segments = path.split("::");
    let name = segments.next().unwrap_or_default();
    let named =
        workspace.packages().find(|(package, _)| *package == name || package.replace('-', "_") == name);
    let source = named.and_then(|(_, package)| package.targets.get(&Target::Lib)).ok_or_else(unknown)?;
    let tree = files.module_tree(source, true)?;
    let folder = source.rsplit_once('/').map_or("", |(folder, _)| folder);
    let inner: Vec<&str> = segments.collect();
    let stem =
        [folder].into_iter().filter(|part| !part.is_empty()).chain(inner).collect::<Vec<_>>().join("/");
    let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
    candidates.into_iter().find(|file| tree.contains(file)).ok_or_else(unknown)
}
