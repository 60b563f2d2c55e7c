//! What the sources say of tests: where each function of a test target stands, whether it carries `#[test]` and
//! `#[ignore]`, and whether its text can show anything false. The module tree is followed as rustc does, with
//! `#[path]`, inline modules and `include!`; `cfg` is not evaluated, for what is compiled is known elsewhere.

pub mod file;
pub mod vacuity;

use super::snapshot::Files;
use super::{ClaimUse, Vacuity};
use contract::binding::Target;
use file::FileItems;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// The functions of each test target, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    targets: BTreeMap<(String, Target), BTreeMap<String, SourceFn>>,
}

/// A function that is a test or could be meant for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFn {
    /// The file, relative to the root.
    pub file: String,
    /// The line of its name, from 1.
    pub line: u32,
    /// It carries an attribute that makes it a test.
    pub test: bool,
    /// Why its text can show nothing false.
    pub vacuity: Option<Vacuity>,
    /// What a test does with its claim.
    pub uses: Option<ClaimUse>,
}

impl Sources {
    /// The functions of a target, by path; nothing for a target that was not scanned.
    pub fn functions(&self, package: &str, target: &Target) -> impl Iterator<Item = (&str, &SourceFn)> {
        let key = (package.to_owned(), target.clone());
        self.targets.get(&key).into_iter().flatten().map(|(path, function)| (path.as_str(), function))
    }

    /// One function of a target.
    #[must_use]
    pub fn function(&self, package: &str, target: &Target, path: &str) -> Option<&SourceFn> {
        self.targets.get(&(package.to_owned(), target.clone()))?.get(path)
    }

    /// Scan a target from its root file. Files that cannot be read or parsed hold no functions: cargo has
    /// already said so.
    pub fn scan(&mut self, root: &Path, package: &str, target: &Target, source: &Path, files: &mut Files) {
        let mut walk = Walk { root, files, functions: BTreeMap::new(), seen: BTreeSet::new() };
        let folder = source.parent().unwrap_or(root);
        walk.file(source, folder, "");
        self.targets.insert((package.to_owned(), target.clone()), walk.functions);
    }
}

struct Walk<'a> {
    root: &'a Path,
    files: &'a mut Files,
    functions: BTreeMap<String, SourceFn>,
    // A file that includes itself, or a module loop through `#[path]`, ends.
    seen: BTreeSet<(PathBuf, String)>,
}

impl Walk<'_> {
    /// Read one file, whose items are at `module` (empty for the crate root), and whose `mod x;` lie in `folder`.
    fn file(&mut self, path: &Path, folder: &Path, module: &str) {
        let path = normal(path);
        if self.seen.len() > 10_000 || !self.seen.insert((path.clone(), module.to_owned())) {
            return;
        }
        let Some(items) = self.files.items(self.root, &path) else { return };
        let FileItems { functions, modules, includes } = items.clone();
        let relative = relative(self.root, &path);
        for function in functions {
            let found = SourceFn {
                file: relative.clone(),
                line: function.line,
                test: function.test,
                vacuity: function.vacuity,
                uses: function.uses,
            };
            // The first of several `cfg` variants is as good as any, but a test tells more than a helper.
            let entry = self.functions.entry(join(module, &function.path));
            entry
                .and_modify(|old| {
                    if !old.test {
                        old.clone_from(&found)
                    }
                })
                .or_insert(found);
        }
        let own_folder = path.parent().unwrap_or(self.root);
        for declared in modules {
            let inner = join(module, &join(&declared.inside, &declared.name));
            let mut base = folder.to_owned();
            base.extend(declared.inside.split("::").filter(|s| !s.is_empty()).map(unraw));
            match declared.path {
                // Relative to the file's own folder, or to the folder of the inline module around it.
                Some(named) => {
                    let base = if declared.inside.is_empty() { own_folder } else { &base };
                    let file = base.join(named);
                    let folder = file.parent().unwrap_or(base).to_owned();
                    self.file(&file, &folder, &inner);
                }
                None => {
                    let name = unraw(&declared.name);
                    let flat = base.join(format!("{name}.rs"));
                    let file = if flat.is_file() { flat } else { base.join(name).join("mod.rs") };
                    self.file(&file, &base.join(name), &inner);
                }
            }
        }
        for included in includes {
            let file = own_folder.join(&included.name);
            let folder = file.parent().unwrap_or(own_folder).to_owned();
            self.file(&file, &folder, &join(module, &included.inside));
        }
    }
}

/// Two module paths, either of which may be empty.
fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", inner) => inner.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}::{inner}"),
    }
}

fn unraw(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// The path without `.` and `..`, by text alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// A path relative to the root with `/` between its parts, or the path itself when it lies outside.
pub(super) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
