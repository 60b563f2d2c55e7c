//! The contract root: the folder of pv.toml, the contract files below it, and the falsifiers in them.

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::load::{Loaded, load};
use crate::schema::{Contract, Falsifier};
use crate::source::Source;
use crate::suggest::nearest;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Mutex, PoisonError};

/// The folder that holds pv.toml, and the folder of contracts in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    dir: PathBuf,
    contracts: PathBuf,
}

/// Contract files found in folders, and what kept others from being found.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files, sorted.
    pub files: Vec<PathBuf>,
    /// Folders that could not be read, links that lead in circles.
    pub findings: Vec<Diagnostic>,
}

impl Root {
    /// The root at a folder, its contracts where they are unless pv.toml says otherwise.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self::new(dir, "contracts")
    }

    /// The root at a folder, its contracts in the folder that pv.toml names.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, contracts: impl AsRef<Path>) -> Self {
        let dir = dir.into();
        Self { contracts: dir.join(contracts), dir }
    }

    /// The nearest folder at or above `from` that holds a pv.toml.
    #[must_use]
    pub fn above(from: &Path) -> Option<Self> {
        from.ancestors().find(|dir| dir.join("pv.toml").is_file()).map(Self::at)
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the contracts.
    #[must_use]
    pub fn contracts(&self) -> &Path {
        &self.contracts
    }

    /// The contract files.
    #[must_use]
    pub fn list(&self) -> Listing {
        list(&self.contracts, &self.dir)
    }

    /// Read every contract, in parallel, sorted by path. A bad file has its findings and hides no other.
    #[must_use]
    pub fn load_all(&self) -> Vec<Loaded> {
        load_all(&self.list().files, &self.dir)
    }

    /// The falsifier of an id.
    ///
    /// # Errors
    /// When no contract has it (with the id that may be meant), several have it, or the contract that seems to
    /// have it is broken.
    pub fn falsifier(&self, id: &str) -> Result<Found, LookupError> {
        let files = self.list().files;
        // Reading is cheap and parsing is not: only a file that holds the id as text can define it.
        let mentions = |file: &&PathBuf| std::fs::read(file).is_ok_and(|text| holds(&text, id.as_bytes()));
        let candidates: Vec<PathBuf> = files.iter().filter(mentions).cloned().collect();
        let loaded = load_all(&candidates, &self.dir);
        let mut found: Vec<Found> = loaded.iter().filter_map(|loaded| Found::in_loaded(loaded, id)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(one), false) => {
                let mut paths: Vec<PathBuf> = found.into_iter().map(|other| other.path).collect();
                paths.push(one.path);
                Err(LookupError::Ambiguous { id: id.to_owned(), paths })
            }
            (None, _) => Err(self.unknown(id, &files, &loaded)),
        }
    }

    fn unknown(&self, id: &str, files: &[PathBuf], candidates: &[Loaded]) -> LookupError {
        if let Some(broken) = candidates.iter().find(|loaded| loaded.has_errors()) {
            let first = broken.findings.iter().find(|finding| finding.severity == Severity::Error);
            return LookupError::Broken {
                id: id.to_owned(),
                path: broken.source.path().to_owned(),
                finding: first.map(|finding| finding.message.clone()).unwrap_or_default(),
            };
        }
        let all = load_all(files, &self.dir);
        let ids = all
            .iter()
            .filter_map(|loaded| loaded.contract.as_ref())
            .flat_map(|contract| contract.falsification_tests.iter().map(|falsifier| falsifier.id.as_str()));
        let nearest = nearest(id, ids).map(str::to_owned);
        LookupError::Unknown { id: id.to_owned(), contracts: all.len(), nearest }
    }
}

/// A falsifier and where it is written.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file, relative to the root.
    pub path: PathBuf,
    /// The contract.
    pub contract: Contract,
    /// Which of its falsifiers.
    pub index: usize,
    /// The bytes of its id in the file.
    pub span: Span,
}

impl Found {
    fn in_loaded(loaded: &Loaded, id: &str) -> Option<Self> {
        let contract = loaded.contract.as_ref()?;
        let index = contract.falsification_tests.iter().position(|falsifier| falsifier.id.as_str() == id)?;
        let pointer = format!("/falsification_tests/{index}/id");
        let span = loaded.tree.as_ref()?.span(&pointer)?;
        Some(Self { path: loaded.source.path().to_owned(), contract: contract.clone(), index, span })
    }

    /// The falsifier.
    #[must_use]
    pub fn falsifier(&self) -> &Falsifier {
        &self.contract.falsification_tests[self.index]
    }
}

/// Why there is no one falsifier of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No contract has it.
    #[error(
        "no contract {}declares falsifier `{id}`{}",
        // A count would make the text of a compiler's error change with every new contract.
        if *contracts == 0 { "was found that " } else { "" },
        nearest.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
    )]
    Unknown {
        /// What was looked for.
        id: String,
        /// How many contracts were looked through.
        contracts: usize,
        /// What may be meant.
        nearest: Option<String>,
    },
    /// Several contracts have it.
    #[error("falsifier `{id}` is defined in {}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" and "))]
    Ambiguous {
        /// What was looked for.
        id: String,
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The file that mentions it has errors.
    #[error("falsifier `{id}` may be in {}, which has errors: {finding}", path.display())]
    Broken {
        /// What was looked for.
        id: String,
        /// The file.
        path: PathBuf,
        /// Its first error.
        finding: String,
    },
}

/// Read files in parallel, in the given order. Findings show paths relative to `base` where they can.
#[must_use]
pub fn load_all(files: &[PathBuf], base: &Path) -> Vec<Loaded> {
    let one = |file: &PathBuf| load(file, shown(file, base));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len() / 8);
    if workers < 2 {
        return files.iter().map(one).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(files.len())));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, atomic::Ordering::Relaxed);
                    let Some(file) = files.get(index) else { break };
                    let loaded = one(file);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, loaded));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, loaded)| loaded).collect()
}

fn shown<'p>(file: &'p Path, base: &Path) -> &'p Path {
    file.strip_prefix(base).unwrap_or(file)
}

/// The `.yaml` and `.yml` files below a folder, sorted. Links are followed, each folder once.
#[must_use]
pub fn list(dir: &Path, base: &Path) -> Listing {
    let mut listing = Listing::default();
    let mut seen = BTreeSet::new();
    let mut pending = vec![dir.to_owned()];
    let finding = |path: &Path, rule, message: String| {
        Source::new(shown(path, base), "").finding(rule, Span::default(), message)
    };
    while let Some(dir) = pending.pop() {
        let entries = dir.canonicalize().and_then(|real| Ok((real, std::fs::read_dir(&dir)?)));
        let (real, entries) = match entries {
            Ok(read) => read,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                listing.findings.push(finding(&dir, "unreadable-file", message));
                continue;
            }
        };
        if !seen.insert(real.clone()) {
            let message = format!("leads to {}, which is read already", shown(&real, base).display());
            let mut found = finding(&dir, "link-loop", message);
            found.severity = Severity::Warning;
            listing.findings.push(found);
            continue;
        }
        for entry in entries {
            match entry {
                Ok(entry) => sort_in(&entry, &mut listing.files, &mut pending),
                Err(error) => {
                    let message = format!("cannot be read: {error}");
                    listing.findings.push(finding(&dir, "unreadable-file", message));
                }
            }
        }
    }
    listing.files.sort_by(|a, b| order(a, b));
    listing
}

/// The order of paths, part by part. It is that of [`Path`] for paths of one spelling, in a single pass over their
/// bytes: a separator comes before every character of a name.
#[must_use]
pub fn order(a: &Path, b: &Path) -> Ordering {
    let (a, b) = (a.as_os_str().as_encoded_bytes(), b.as_os_str().as_encoded_bytes());
    let rank = |byte: u8| if std::path::is_separator(char::from(byte)) { 0 } else { byte };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((a, b)) => rank(*a).cmp(&rank(*b)),
        None => a.len().cmp(&b.len()),
    }
}

fn sort_in(entry: &std::fs::DirEntry, files: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) {
    let path = entry.path();
    // The folder knows what its entries are; only a link has to be followed.
    let is_dir = match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
        _ => path.is_dir(),
    };
    let hidden = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'));
    if is_dir {
        if !hidden {
            folders.push(path);
        }
    } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
        files.push(path);
    }
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && text.windows(word.len()).any(|window| window == word)
}
