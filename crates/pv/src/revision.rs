//! A git revision of the work tree as a folder, so that it can be read like any other.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A revision that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Git could not be started.
    #[error("git cannot be started: {0}")]
    Start(#[source] std::io::Error),
    /// Git refused.
    #[error("git {args}: {said}")]
    Git {
        /// What was asked.
        args: String,
        /// What it said.
        said: String,
    },
    /// There is no place to write to.
    #[error("a temporary folder: {0}")]
    Temporary(#[source] std::io::Error),
}

/// The files of a revision, gone with this value.
#[derive(Debug)]
pub struct Revision {
    /// Keeps the folder.
    _scratch: tempfile::TempDir,
    root: PathBuf,
}

impl Revision {
    /// Whether a text names a revision of the repository that holds a folder.
    #[must_use]
    pub fn exists(dir: &Path, name: &str) -> bool {
        let commit = format!("{name}^{{commit}}");
        git(dir, None, &["rev-parse", "--quiet", "--verify", "--end-of-options", &commit]).is_ok()
    }

    /// Write the files of a revision out. The work tree and its index are not touched.
    ///
    /// # Errors
    /// When git cannot be run, or there is no such revision.
    pub fn export(dir: &Path, name: &str) -> Result<Self, RevisionError> {
        let scratch = tempfile::tempdir().map_err(RevisionError::Temporary)?;
        let index = scratch.path().join("index");
        let files = scratch.path().join("files");
        std::fs::create_dir(&files).map_err(RevisionError::Temporary)?;
        let prefix = git(dir, None, &["rev-parse", "--show-prefix"])?;
        let top = git(dir, None, &["rev-parse", "--show-toplevel"])?;
        let top = Path::new(top.trim_end());
        let commit = format!("{name}^{{commit}}");
        let commit = git(dir, None, &["rev-parse", "--verify", "--end-of-options", &commit])?;
        git(top, Some(&index), &["read-tree", commit.trim_end()])?;
        let out = format!("--prefix={}/", files.display());
        git(top, Some(&index), &["checkout-index", "--all", "--quiet", &out])?;
        Ok(Self { root: files.join(prefix.trim_end()), _scratch: scratch })
    }

    /// The folder that the exported one was.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn git(dir: &Path, index: Option<&Path>, args: &[&str]) -> Result<String, RevisionError> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let out = command.output().map_err(RevisionError::Start)?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().next().unwrap_or("failed without a word").to_owned();
    Err(RevisionError::Git { args: args.join(" "), said })
}
