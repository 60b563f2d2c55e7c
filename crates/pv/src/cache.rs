//! What was found in a contract file, kept for as long as its bytes stay the same, so that an unchanged file is
//! read and not parsed. Only what depends on one file alone is kept: settings, dates and other files play no part.
//!
//! A cache is one file: a line that names the form, the version of pv and the program itself, then one line per
//! contract. Another program's cache is as good as none, and so is a line that cannot be read.

use crate::binding::executable::Stamp;
use crate::workspace::Analysis;
use rayon::prelude::*;
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The version of the form.
const FORM: u32 = 1;

/// What is known of files by their bytes.
#[derive(Debug, Default)]
pub struct Cache {
    /// Where it lies on the disk; nowhere for one that lives as long as its owner.
    place: Option<PathBuf>,
    /// What was read from the disk.
    text: String,
    known: HashMap<String, Known>,
    changed: bool,
}

#[derive(Debug)]
struct Known {
    digest: String,
    json: Json,
}

/// An analysis as JSON, made again when it is asked for: most commands need few of them at once.
#[derive(Debug)]
enum Json {
    Stored(Range<usize>),
    Fresh(String),
}

impl Cache {
    /// The cache at a place, empty when there is none that this program wrote.
    #[must_use]
    pub fn load(place: Option<PathBuf>) -> Self {
        let text = place.as_ref().and_then(|place| std::fs::read_to_string(place).ok()).unwrap_or_default();
        let mut cache = Self { place, text, ..Self::default() };
        let Some(body) = cache.text.strip_prefix(&head()) else { return cache };
        let mut at = cache.text.len() - body.len();
        for line in body.split_inclusive('\n') {
            let mut cells = line.splitn(3, '\t');
            if let (Some(digest), Some(path), Some(json)) = (cells.next(), cells.next(), cells.next()) {
                let end = at + line.len();
                let stored = Json::Stored(end - json.len()..end);
                cache.known.insert(path.to_owned(), Known { digest: digest.to_owned(), json: stored });
            }
            at += line.len();
        }
        cache
    }

    /// What is known of a file that holds bytes of this digest.
    #[must_use]
    pub fn get(&self, path: &Path, digest: &str) -> Option<Analysis> {
        let known = self.known.get(path.to_str()?).filter(|known| known.digest == digest)?;
        serde_json::from_str(self.json(known)).ok()
    }

    /// Keep what was found in files, by path and digest.
    pub fn extend<'a>(&mut self, found: Vec<(&'a Path, String, &'a Analysis)>) {
        let fresh: Vec<(String, Known)> = found
            .into_par_iter()
            .filter_map(|(path, digest, analysis)| {
                let path = path.to_str().filter(|path| !path.contains(['\t', '\n']))?;
                let json = Json::Fresh(serde_json::to_string(analysis).ok()?);
                Some((path.to_owned(), Known { digest, json }))
            })
            .collect();
        self.changed |= !fresh.is_empty();
        self.known.extend(fresh);
    }

    /// Write to the disk what is not there yet. `exists` says of a path whether there still is such a file.
    ///
    /// # Errors
    /// When the system refuses to.
    pub fn store(&mut self, exists: impl Fn(&str) -> bool) -> io::Result<()> {
        let Some(place) = self.place.clone().filter(|_| self.changed) else { return Ok(()) };
        let folder = place.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let ignore = folder.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n")?;
        }
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut out = io::BufWriter::new(&mut file);
        out.write_all(head().as_bytes())?;
        let mut known: Vec<(&String, &Known)> = self.known.iter().filter(|(path, _)| exists(path)).collect();
        known.sort_by_key(|(path, _)| *path);
        for (path, known) in known {
            writeln!(out, "{}\t{path}\t{}", known.digest, self.json(known).trim_end())?;
        }
        out.flush()?;
        drop(out);
        file.persist(&place)?;
        self.changed = false;
        Ok(())
    }

    fn json<'c>(&'c self, known: &'c Known) -> &'c str {
        match &known.json {
            Json::Stored(range) => &self.text[range.clone()],
            Json::Fresh(json) => json,
        }
    }
}

/// The first line: a cache of another form, another version, or another build of the same version does not count.
fn head() -> String {
    let program = std::env::current_exe().and_then(|path| Stamp::of(&path)).ok();
    let Stamp { size, modified } = program.unwrap_or(Stamp { size: 0, modified: 0 });
    format!("pv {FORM} {} {size} {modified}\n", env!("CARGO_PKG_VERSION"))
}
