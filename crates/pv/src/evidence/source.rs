//! The state of the work tree as git sees it: the id of its tree without evidence and reports, the commit, and
//! whether that tree is the commit's.
//!
//! The id is made through a temporary index and a temporary object store, so the repository is not touched. It is
//! the same before a commit, after it, and after evidence was added to it. A folder without git has no id.

use super::store::COMMITTED;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is written by reports and evidence, relative to the root; it takes no part in the identity of a tree.
pub const DERIVED: &[&str] = &[COMMITTED, "STATUS.md", "badges"];

/// The identity of the sources that are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// The id of the tree, 40 hexadecimal digits.
    pub tree: String,
    /// The commit that is checked out; `None` before the first.
    pub commit: Option<String>,
    /// Whether the tree is not the commit's.
    pub dirty: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Git could not be started.
    #[error("cannot start git: {0}")]
    Start(#[source] std::io::Error),
    /// Git refused.
    #[error("git {words} in {}: {said}", dir.display())]
    Git {
        /// What was asked.
        words: String,
        /// Where.
        dir: PathBuf,
        /// The first line of its answer.
        said: String,
    },
    /// No place for the temporary index.
    #[error("a temporary folder: {0}")]
    Temporary(#[source] std::io::Error),
}

impl SourceTree {
    /// The identity of the tree below `root`, which may be a folder inside a repository.
    ///
    /// # Errors
    /// When `root` is in no repository, or git fails.
    pub fn of(root: &Path) -> Result<Self, SourceError> {
        let scratch = tempfile::tempdir().map_err(SourceError::Temporary)?;
        let git = Git { root, scratch: scratch.path(), objects: None };
        let ask = |words: &[&str]| git.run(words).map(|text| text.trim_end().to_owned());
        let prefix = ask(&["rev-parse", "--show-prefix"])?;
        let index = root.join(ask(&["rev-parse", "--git-path", "index"])?);
        let objects = root.join(ask(&["rev-parse", "--git-path", "objects"])?);
        let commit = ask(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]).ok();
        let git = Git { objects: Some(&objects), ..git };
        // The index of the repository knows which files are unchanged; without it every file is read again.
        if index.is_file() {
            std::fs::copy(&index, git.index()).map_err(SourceError::Temporary)?;
        }
        git.run(&["add", "--all", "--", "."])?;
        let tree = git.tree(&prefix)?;
        let committed = match &commit {
            Some(commit) => {
                git.run(&["read-tree", commit])?;
                // A commit from before the folder has no tree of it.
                git.tree(&prefix).ok()
            }
            None => None,
        };
        Ok(Self { dirty: committed.as_ref() != Some(&tree), tree, commit })
    }
}

/// The 40 hexadecimal digits of the commit that a revision names.
///
/// # Errors
/// When there is none, or git fails.
pub fn commit(root: &Path, revision: &str) -> Result<String, SourceError> {
    let scratch = tempfile::tempdir().map_err(SourceError::Temporary)?;
    let git = Git { root, scratch: scratch.path(), objects: None };
    let named = format!("{revision}^{{commit}}");
    Ok(git.run(&["rev-parse", "--verify", "--end-of-options", &named])?.trim_end().to_owned())
}

/// The id of a commit's tree below `root`, without evidence and reports.
///
/// # Errors
/// When there is no such commit, or git fails.
pub fn tree_of(root: &Path, commit: &str) -> Result<String, SourceError> {
    let scratch = tempfile::tempdir().map_err(SourceError::Temporary)?;
    let git = Git { root, scratch: scratch.path(), objects: None };
    let ask = |words: &[&str]| git.run(words).map(|text| text.trim_end().to_owned());
    let prefix = ask(&["rev-parse", "--show-prefix"])?;
    let objects = root.join(ask(&["rev-parse", "--git-path", "objects"])?);
    let git = Git { objects: Some(&objects), ..git };
    git.run(&["read-tree", &format!("{commit}^{{commit}}")])?;
    git.tree(&prefix)
}

struct Git<'a> {
    root: &'a Path,
    scratch: &'a Path,
    objects: Option<&'a Path>,
}

impl Git<'_> {
    fn index(&self) -> PathBuf {
        self.scratch.join("index")
    }

    /// The id of the tree in the temporary index, without what is derived.
    fn tree(&self, prefix: &str) -> Result<String, SourceError> {
        let mut words = vec!["rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--"];
        words.extend(DERIVED);
        self.run(&words)?;
        let prefix = format!("--prefix={prefix}");
        let words: &[&str] = if prefix == "--prefix=" { &["write-tree"] } else { &["write-tree", &prefix] };
        Ok(self.run(words)?.trim_end().to_owned())
    }

    fn run(&self, words: &[&str]) -> Result<String, SourceError> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.root).args(words).stdin(Stdio::null());
        // A hook that runs pv gives it the variables of its own repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        if let Some(objects) = self.objects {
            let own = self.scratch.join("objects");
            std::fs::create_dir_all(&own).map_err(SourceError::Temporary)?;
            let inherited = std::env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
            let alternates = [objects.as_os_str(), inherited.as_os_str()];
            let alternates: Vec<&OsStr> = alternates.into_iter().filter(|path| !path.is_empty()).collect();
            command
                .env("GIT_INDEX_FILE", self.index())
                .env("GIT_OBJECT_DIRECTORY", own)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates.join(OsStr::new(":")));
        }
        let output = command.output().map_err(SourceError::Start)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(SourceError::Git {
            words: words.first().copied().unwrap_or_default().to_owned(),
            dir: self.root.to_owned(),
            said: said.lines().next().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
