//! An index as it is kept: each text that records repeat stands once, and so do the axes and hosts made of them. A
//! row names them by their place in these tables.

use super::{Defect, Held};
use crate::stamp::Stamp;
use contract::claim::Metric;
use contract::evidence::{self, Cause, Outcome};
use contract::hash::Digest;
use contract::id::{FalsifierId, FaultName};
use contract::status::facts::{MeasureFacts, RecordFacts};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::Hash;
use std::io;
use std::sync::Arc;

/// The name of the form with its version.
pub(super) const NAME: &str = "evidence 1";

/// The place of something in its table.
type At = u32;

#[derive(Serialize, Deserialize)]
pub(super) struct Form<'k> {
    #[serde(borrow)]
    texts: Vec<&'k str>,
    axes: Vec<Axes>,
    hosts: Vec<Host>,
    #[serde(borrow)]
    pub(super) store: Folder<'k>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Folder<'k> {
    pub(super) name: &'k str,
    pub(super) stamp: Stamp,
    #[serde(borrow)]
    pub(super) folders: Vec<Folder<'k>>,
    #[serde(borrow)]
    pub(super) files: Vec<File<'k>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct File<'k> {
    pub(super) name: &'k str,
    pub(super) stamp: Stamp,
    /// The digest of its bytes; empty when they could not be read.
    #[serde(borrow)]
    content: &'k [u8],
    #[serde(borrow)]
    row: Row<'k>,
}

#[derive(Serialize, Deserialize)]
enum Row<'k> {
    Record {
        /// The digest of the statement's bytes; left out where they are those of the file.
        #[serde(borrow)]
        digest: Option<&'k [u8]>,
        #[serde(borrow)]
        facts: Facts<'k>,
    },
    Retraction(At),
    Defect(At),
}

/// [`RecordFacts`] but for the file.
#[derive(Serialize, Deserialize)]
struct Facts<'k> {
    falsifier: At,
    result: Result,
    fault: Option<At>,
    fault_hits: u64,
    axes: At,
    host: At,
    measure: Option<Measure>,
    passed: Vec<At>,
    started: &'k str,
    commit: Option<At>,
    wall_s: f64,
    signed_by: Option<At>,
}

#[derive(Serialize, Deserialize)]
enum Result {
    Passed,
    Failed(Cause, At),
    Skipped(At),
    Error(At),
}

#[derive(Serialize, Deserialize)]
struct Measure {
    metric: Metric,
    comparisons: u64,
    worst: Option<At>,
    headroom: Option<f64>,
    declared: u64,
    hit: u64,
    /// The missed cells as JSON: their values have no other form that says of which kind they are.
    missed: Option<At>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Axes {
    claim: At,
    statement: At,
    test: At,
    subjects: At,
    deps: At,
    toolchain: At,
    profile: At,
    features: Vec<At>,
    models: Vec<(At, At)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Host {
    class: At,
    arch: At,
    cpu: At,
    gpu: Option<At>,
    driver: Option<At>,
}

impl File<'_> {
    /// The digest of its bytes.
    pub(super) fn digest(&self) -> Option<Digest> {
        digest(self.content)
    }
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    Some(Digest::from(<[u8; 32]>::try_from(bytes).ok()?))
}

/// A form with its axes and hosts as the records share them.
pub(super) struct Known<'k> {
    form: Form<'k>,
    axes: Vec<Arc<evidence::Axes>>,
    hosts: Vec<Arc<evidence::Host>>,
}

impl<'k> Known<'k> {
    /// What [`encode`] encoded; none when it is anything else.
    pub(super) fn decode(body: &'k [u8]) -> Option<Self> {
        let (form, rest): (Form<'_>, _) = postcard::take_from_bytes(body).ok()?;
        let axes = form.axes.iter().map(|row| form.axes(row).map(Arc::new)).collect::<Option<_>>()?;
        let hosts = form.hosts.iter().map(|row| form.host(row).map(Arc::new)).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { form, axes, hosts })
    }

    /// The store's own folder.
    pub(super) fn store(&self) -> &Folder<'k> {
        &self.form.store
    }

    /// What a file holds that is shown under a path; none when that cannot be told.
    pub(super) fn held(&self, known: &File<'_>, file: String) -> Option<Held> {
        Some(match &known.row {
            Row::Record { digest: of_statement, facts } => {
                let digest = of_statement.map_or_else(|| known.digest(), digest)?;
                Held::Record(digest, Box::new(self.facts(facts, file)?))
            }
            Row::Retraction(retracts) => Held::Retraction(self.form.owned(*retracts)?),
            Row::Defect(reason) => Held::Defect(Defect { file, reason: self.form.owned(*reason)? }),
        })
    }

    fn facts(&self, row: &Facts<'_>, file: String) -> Option<RecordFacts> {
        let form = &self.form;
        Some(RecordFacts {
            file,
            falsifier: FalsifierId::parse(form.text(row.falsifier)?).ok()?,
            outcome: match row.result {
                Result::Passed => Outcome::Passed,
                Result::Failed(cause, message) => Outcome::Failed { cause, message: form.owned(message)? },
                Result::Skipped(reason) => Outcome::Skipped { reason: form.owned(reason)? },
                Result::Error(message) => Outcome::Error { message: form.owned(message)? },
            },
            fault: match row.fault {
                Some(fault) => Some(FaultName::parse(form.text(fault)?).ok()?),
                None => None,
            },
            fault_hits: row.fault_hits,
            axes: Arc::clone(self.axes.get(row.axes as usize)?),
            host: Arc::clone(self.hosts.get(row.host as usize)?),
            measure: match &row.measure {
                Some(measure) => Some(form.measure(measure)?),
                None => None,
            },
            passed: form.list(&row.passed)?,
            started: row.started.to_owned(),
            commit: form.optional(row.commit)?,
            wall_s: row.wall_s,
            signed_by: form.optional(row.signed_by)?,
        })
    }
}

impl<'k> Form<'k> {
    fn measure(&self, row: &Measure) -> Option<MeasureFacts> {
        let Measure { metric, comparisons, worst, headroom, declared, hit, missed } = *row;
        let missed = match missed {
            Some(missed) => serde_json::from_str(self.text(missed)?).ok()?,
            None => Vec::new(),
        };
        Some(MeasureFacts {
            metric,
            comparisons,
            worst: self.optional(worst)?,
            headroom,
            declared,
            hit,
            missed,
        })
    }

    fn axes(&self, row: &Axes) -> Option<evidence::Axes> {
        let model = |(name, digest): &(At, At)| Some((self.owned(*name)?, self.owned(*digest)?));
        Some(evidence::Axes {
            claim: self.owned(row.claim)?,
            statement: self.owned(row.statement)?,
            test: self.owned(row.test)?,
            subjects: self.owned(row.subjects)?,
            deps: self.owned(row.deps)?,
            toolchain: self.owned(row.toolchain)?,
            profile: self.owned(row.profile)?,
            features: self.list(&row.features)?,
            models: row.models.iter().map(model).collect::<Option<_>>()?,
        })
    }

    fn host(&self, row: &Host) -> Option<evidence::Host> {
        Some(evidence::Host {
            class: self.owned(row.class)?,
            arch: self.owned(row.arch)?,
            cpu: self.owned(row.cpu)?,
            gpu: self.optional(row.gpu)?,
            driver: self.optional(row.driver)?,
        })
    }

    fn text(&self, at: At) -> Option<&'k str> {
        self.texts.get(at as usize).copied()
    }

    fn owned(&self, at: At) -> Option<String> {
        self.text(at).map(str::to_owned)
    }

    /// A text that may be left out: none when it is not and cannot be told.
    fn optional(&self, at: Option<At>) -> Option<Option<String>> {
        match at {
            Some(at) => self.owned(at).map(Some),
            None => Some(None),
        }
    }

    fn list(&self, list: &[At]) -> Option<Vec<String>> {
        list.iter().map(|at| self.owned(*at)).collect()
    }
}

/// Encode what a walk found.
///
/// # Errors
/// When something in it has no encoded form.
pub(super) fn encode(found: &super::Folder<'_>) -> io::Result<Vec<u8>> {
    let mut tables = Tables::default();
    let store = tables.folder(found, "")?;
    let texts = tables.texts.list();
    let texts = texts.iter().map(|text| &**text).collect();
    let form = Form { texts, axes: tables.axes.list(), hosts: tables.hosts.list(), store };
    // A record takes some two hundred bytes; a buffer that grows copies itself again and again.
    let room = 1024 + 256 * tables.records;
    postcard::to_extend(&form, Vec::with_capacity(room)).map_err(io::Error::other)
}

/// Things with their places, each once.
struct Table<T>(HashMap<T, At>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Table<T> {
    fn at(&mut self, thing: T) -> At {
        // A place past the last is none, and whoever reads the row makes it again.
        let next = At::try_from(self.0.len()).unwrap_or(At::MAX);
        *self.0.entry(thing).or_insert(next)
    }

    fn list(self) -> Vec<T> {
        let mut list: Vec<(T, At)> = self.0.into_iter().collect();
        list.sort_unstable_by_key(|(_, at)| *at);
        list.into_iter().map(|(thing, _)| thing).collect()
    }
}

#[derive(Default)]
struct Tables<'f> {
    texts: Table<Cow<'f, str>>,
    axes: Table<Axes>,
    hosts: Table<Host>,
    /// Neighbouring records share theirs.
    last: Option<(&'f evidence::Axes, At)>,
    records: usize,
}

impl<'f> Tables<'f> {
    fn folder(&mut self, folder: &'f super::Folder<'_>, name: &'f str) -> io::Result<Folder<'f>> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        // A folder of which a name is no text cannot be known by its names.
        let mut stamp = folder.stamp;
        for below in &folder.folders {
            match below.name.to_str() {
                Some(name) => folders.push(self.folder(below, name)?),
                None => stamp = Stamp::default(),
            }
        }
        for file in &folder.files {
            match file.name.to_str() {
                Some(name) => files.push(self.file(file, name)?),
                None => stamp = Stamp::default(),
            }
        }
        Ok(Folder { name, stamp, folders, files })
    }

    fn file(&mut self, file: &'f super::File<'_>, name: &'f str) -> io::Result<File<'f>> {
        let content = file.content.as_ref().map_or(&[][..], |content| content.bytes());
        let row = match &file.held {
            Held::Record(digest, facts) => {
                let digest = (file.content != Some(*digest)).then_some(&digest.bytes()[..]);
                Row::Record { digest, facts: self.facts(facts)? }
            }
            Held::Retraction(retracts) => Row::Retraction(self.text(retracts)),
            Held::Defect(defect) => Row::Defect(self.text(&defect.reason)),
        };
        Ok(File { name, stamp: file.stamp, content, row })
    }

    fn facts(&mut self, facts: &'f RecordFacts) -> io::Result<Facts<'f>> {
        self.records += 1;
        Ok(Facts {
            falsifier: self.text(facts.falsifier.as_str()),
            result: match &facts.outcome {
                Outcome::Passed => Result::Passed,
                Outcome::Failed { cause, message } => Result::Failed(*cause, self.text(message)),
                Outcome::Skipped { reason } => Result::Skipped(self.text(reason)),
                Outcome::Error { message } => Result::Error(self.text(message)),
            },
            fault: facts.fault.as_ref().map(|fault| self.text(fault.as_str())),
            fault_hits: facts.fault_hits,
            axes: self.axes(&facts.axes),
            host: self.host(&facts.host),
            measure: facts.measure.as_ref().map(|measure| self.measure(measure)).transpose()?,
            passed: self.list(&facts.passed),
            started: &facts.started,
            commit: self.optional(&facts.commit),
            wall_s: facts.wall_s,
            signed_by: self.optional(&facts.signed_by),
        })
    }

    fn measure(&mut self, facts: &'f MeasureFacts) -> io::Result<Measure> {
        let MeasureFacts { metric, comparisons, headroom, declared, hit, .. } = *facts;
        let missed = match &*facts.missed {
            [] => None,
            missed => Some(self.texts.at(serde_json::to_string(missed)?.into())),
        };
        let worst = self.optional(&facts.worst);
        Ok(Measure { metric, comparisons, worst, headroom, declared, hit, missed })
    }

    fn axes(&mut self, axes: &'f evidence::Axes) -> At {
        if let Some((last, at)) = self.last
            && std::ptr::eq(last, axes)
        {
            return at;
        }
        let row = Axes {
            claim: self.text(&axes.claim),
            statement: self.text(&axes.statement),
            test: self.text(&axes.test),
            subjects: self.text(&axes.subjects),
            deps: self.text(&axes.deps),
            toolchain: self.text(&axes.toolchain),
            profile: self.text(&axes.profile),
            features: self.list(&axes.features),
            models: axes.models.iter().map(|(name, digest)| (self.text(name), self.text(digest))).collect(),
        };
        let at = self.axes.at(row);
        self.last = Some((axes, at));
        at
    }

    fn host(&mut self, host: &'f evidence::Host) -> At {
        let row = Host {
            class: self.text(&host.class),
            arch: self.text(&host.arch),
            cpu: self.text(&host.cpu),
            gpu: self.optional(&host.gpu),
            driver: self.optional(&host.driver),
        };
        self.hosts.at(row)
    }

    fn text(&mut self, text: &'f str) -> At {
        self.texts.at(Cow::Borrowed(text))
    }

    fn optional(&mut self, text: &'f Option<String>) -> Option<At> {
        text.as_ref().map(|text| self.text(text))
    }

    fn list(&mut self, list: &'f [String]) -> Vec<At> {
        list.iter().map(|text| self.text(text)).collect()
    }
}
