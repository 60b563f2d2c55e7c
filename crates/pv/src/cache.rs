//! What was found in a contract file, kept for as long as its bytes stay the same, so that an unchanged file is not
//! parsed, and not even read when its stamp is that of last time. Only what depends on one file alone is kept:
//! settings, dates and other files play no part.
//!
//! A cache is one [`kept`] file with one entry per contract. An entry that cannot be read is as good as none.

use crate::kept::{self, Kept};
use crate::lint::{RULES, Rule, allow::Allow};
use crate::report::Counts;
use crate::stamp::Stamp;
use crate::workspace::Analysis;
use contract::diagnostic::{Diagnostic, Fix, Location, Position, Related, Severity, Span};
use contract::hash::Digest;
use contract::outline::Outline;
use contract::source::Source;
use contract::walk::Dialect;
use fault::fault;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The name of the form with its version.
const FORM: &str = "contracts 4";

/// What is known of files by their bytes.
#[derive(Debug, Default)]
pub struct Cache {
    /// Where it lies on the disk; nowhere for one that lives as long as its owner.
    place: Option<PathBuf>,
    /// What was read from the disk.
    kept: Kept,
    known: HashMap<Box<str>, Known>,
    changed: bool,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    digest: Digest,
    form: Encoded,
}

/// An encoded analysis; decoded only when its file is asked for.
#[derive(Debug)]
enum Encoded {
    /// A range of what was read from the disk.
    Stored(Range<usize>),
    Fresh(Vec<u8>),
}

/// What is to be kept of a file that was analysed.
#[derive(Debug)]
pub struct Fresh {
    /// The file's stamp before it was read.
    pub stamp: Stamp,
    /// The digest of its bytes.
    pub digest: Digest,
    encoded: Vec<u8>,
}

impl Fresh {
    /// What is known already, of a file that has another stamp now.
    #[must_use]
    pub fn again(stamp: Stamp, digest: Digest, encoded: &[u8]) -> Self {
        Self { stamp, digest, encoded: encoded.to_vec() }
    }
}

impl Cache {
    /// The cache at a place, empty when there is none that this program wrote.
    #[must_use]
    pub fn load(place: Option<PathBuf>) -> Self {
        let kept = place.as_ref().map(|place| Kept::load(place, FORM)).unwrap_or_default();
        let mut cache = Self { place, kept, ..Self::default() };
        let mut at = 0;
        while let Some((path, known, next)) = entry(cache.kept.body(), at) {
            cache.known.insert(path.into(), known);
            at = next;
        }
        cache
    }

    /// Whether it lies on the disk, for other processes.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        self.place.is_some()
    }

    /// What is known of a file whose stamp says that its bytes are those of last time. The default stamp, that of a
    /// text in an editor or of a file which could not be looked at, says nothing.
    #[must_use]
    pub fn unchanged(&self, path: &Path, stamp: &Stamp) -> Option<&[u8]> {
        let known = self.known.get(path.to_str()?)?;
        let same = known.stamp == *stamp && *stamp != Stamp::default()
            || fault!("cache-believes-set-times")
                && (known.stamp.size, known.stamp.modified) == (stamp.size, stamp.modified);
        same.then(|| self.encoded(known))
    }

    /// What is known of a file that holds bytes of this digest, and whether this is also its stamp.
    #[must_use]
    pub fn get(&self, path: &Path, digest: &Digest, stamp: &Stamp) -> Option<(&[u8], bool)> {
        let known = self.known.get(path.to_str()?)?;
        if known.digest != *digest && !fault!("cache-ignores-content") {
            return None;
        }
        Some((self.encoded(known), known.stamp == *stamp))
    }

    /// Keep what was found in files.
    pub fn extend<'a>(&mut self, found: impl IntoIterator<Item = (&'a Path, Fresh)>) {
        for (path, Fresh { stamp, digest, encoded }) in found {
            if let Some(path) = path.to_str() {
                self.known.insert(path.into(), Known { stamp, digest, form: Encoded::Fresh(encoded) });
                self.changed = true;
            }
        }
    }

    /// Write to the disk what is not there yet. `exists` says of a path whether there still is such a file.
    ///
    /// # Errors
    /// When the system refuses to.
    pub fn store(&mut self, exists: impl Fn(&str) -> bool) -> io::Result<()> {
        let Some(place) = self.place.clone().filter(|_| self.changed) else { return Ok(()) };
        let mut all = Vec::new();
        let mut known: Vec<_> = self.known.iter().filter(|(path, _)| exists(path)).collect();
        known.sort_unstable_by_key(|(path, _)| *path);
        for (path, known) in known {
            let encoded = self.encoded(known);
            let (Ok(name), Ok(size)) = (u32::try_from(path.len()), u32::try_from(encoded.len())) else {
                continue;
            };
            all.extend_from_slice(&name.to_le_bytes());
            all.extend_from_slice(&size.to_le_bytes());
            all.extend_from_slice(known.digest.bytes());
            all.extend_from_slice(&known.stamp.bytes());
            all.extend_from_slice(path.as_bytes());
            all.extend_from_slice(encoded);
        }
        kept::store(&place, FORM, &all)?;
        self.changed = false;
        Ok(())
    }

    fn encoded<'c>(&'c self, known: &'c Known) -> &'c [u8] {
        match &known.form {
            Encoded::Stored(range) => &self.kept.body()[range.clone()],
            Encoded::Fresh(encoded) => encoded,
        }
    }
}

/// The entry that starts at an offset, and where the next one does: two lengths, a digest, a stamp, a path, an analysis.
fn entry(bytes: &[u8], at: usize) -> Option<(&str, Known, usize)> {
    let rest = bytes.get(at..)?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let (stamp, rest) = rest.split_first_chunk()?;
    let (path, rest) = rest.split_at_checked(u32::from_le_bytes(*name) as usize)?;
    let (encoded, rest) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
    let end = bytes.len() - rest.len();
    let form = Encoded::Stored(end - encoded.len()..end);
    let known = Known { stamp: Stamp::from_bytes(stamp), digest: Digest::from(*digest), form };
    Some((std::str::from_utf8(path).ok()?, known, end))
}

/// An analysis without what its file says anyway: paths are left out, rules are rows of the table.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    dialect: Dialect,
    start: Span,
    outline: Option<Cow<'a, Outline>>,
    #[serde(borrow)]
    findings: Vec<Finding<'a>>,
    allows: Cow<'a, [Allow]>,
    counts: Cow<'a, Counts>,
}

#[derive(Serialize, Deserialize)]
struct Finding<'a> {
    rule: usize,
    severity: Severity,
    place: Place,
    message: &'a str,
    label: Option<&'a str>,
    help: Option<&'a str>,
    #[serde(borrow)]
    related: Vec<(Place, &'a str)>,
    fix: Option<Cow<'a, Fix>>,
}

/// A location in the file itself.
#[derive(Serialize, Deserialize)]
struct Place {
    span: Span,
    start: Position,
    end: Position,
}

impl Place {
    /// A location without its path; none when it lies in another file.
    fn of(location: &Location, source: &Source) -> Option<Self> {
        let Location { path, span, start, end } = location;
        (**path == *source.path()).then_some(Self { span: *span, start: *start, end: *end })
    }

    fn location(&self, source: &Source) -> Location {
        Location { path: source.shared_path(), span: self.span, start: self.start, end: self.end }
    }
}

/// Encode what was found in a file. None when it says something that cannot be kept.
#[must_use]
pub fn encode(source: &Source, stamp: Stamp, digest: Digest, analysis: &Analysis) -> Option<Fresh> {
    let form = Form {
        dialect: analysis.dialect,
        start: analysis.start,
        outline: analysis.outline.as_ref().map(Cow::Borrowed),
        findings: analysis
            .findings
            .iter()
            .map(|found| encode_finding(source, found))
            .collect::<Option<_>>()?,
        allows: Cow::Borrowed(&analysis.allows),
        counts: Cow::Borrowed(&analysis.counts),
    };
    Some(Fresh { stamp, digest, encoded: postcard::to_stdvec(&form).ok()? })
}

fn encode_finding<'a>(source: &Source, finding: &'a Diagnostic) -> Option<Finding<'a>> {
    let related = |related: &'a Related| Some((Place::of(&related.location, source)?, &*related.message));
    Some(Finding {
        rule: Rule::row(&finding.rule)?,
        severity: finding.severity,
        place: Place::of(&finding.location, source)?,
        message: &finding.message,
        label: finding.label.as_deref(),
        help: finding.help.as_deref(),
        related: finding.related.iter().map(related).collect::<Option<_>>()?,
        fix: finding.fix.as_ref().map(Cow::Borrowed),
    })
}

/// What [`encode`] encoded of the same file; none when it cannot be read.
#[must_use]
pub fn decode(encoded: &[u8], source: &Source) -> Option<Analysis> {
    let (form, rest) = postcard::take_from_bytes::<Form<'_>>(encoded).ok()?;
    let findings = form.findings.iter().map(|finding| {
        let related = finding.related.iter().map(|(place, message)| Related {
            location: place.location(source),
            message: (*message).to_owned(),
        });
        Some(Diagnostic {
            rule: Cow::Borrowed(RULES.get(finding.rule)?.id),
            severity: finding.severity,
            location: finding.place.location(source),
            message: finding.message.to_owned(),
            label: finding.label.map(str::to_owned),
            help: finding.help.map(str::to_owned),
            related: related.collect(),
            fix: finding.fix.clone().map(Cow::into_owned),
        })
    });
    rest.is_empty().then_some(())?;
    Some(Analysis {
        dialect: form.dialect,
        start: form.start,
        findings: if fault!("cache-forgets-findings") {
            Vec::new()
        } else {
            findings.collect::<Option<_>>()?
        },
        outline: form.outline.map(Cow::into_owned),
        allows: form.allows.into_owned(),
        counts: form.counts.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_that_was_never_taken_matches_none() {
        let (path, taken) = (Path::new("a.yaml"), Stamp { size: 1, modified: 2, changed: 3, inode: 4 });
        for (stamp, matches) in [(Stamp::default(), false), (taken, true)] {
            let mut cache = Cache::default();
            cache.extend([(path, Fresh::again(stamp, Digest::of(b"x"), b"found"))]);
            assert_eq!(cache.unchanged(path, &stamp).is_some(), matches, "{stamp:?}");
        }
    }
}
