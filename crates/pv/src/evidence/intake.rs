//! What may enter the committed store. A batch enters whole or not at all: every record is judged first, and one
//! that is refused keeps the others out too, so that a mended batch can be tried again.

use super::dsse::Envelope;
use super::source::SourceTree;
use super::store::Store;
use contract::date::timestamp;
use contract::evidence::{Outcome, RecordError, Statement, sha256_hex};
use contract::id::FalsifierId;
use contract::schema::{Contract, Falsifier};
use contract::settings::Settings;
use contract::status::facts::Current;
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};

/// How far the clock of another host may run ahead of this one, in seconds.
const SKEW_S: u64 = 300;

/// What records are held against.
#[derive(Debug)]
pub struct Basis<'a> {
    /// The contracts.
    pub contracts: &'a [&'a Contract],
    /// pv.toml.
    pub settings: &'a Settings,
    /// What the tree holds, per falsifier.
    pub current: &'a BTreeMap<FalsifierId, Current>,
    /// The digests of all records that the store holds, retracted ones too.
    pub known: &'a BTreeSet<String>,
    /// The tree that is checked out; `None` outside a repository.
    pub source: Option<&'a SourceTree>,
    /// Seconds since 1970.
    pub now: u64,
}

/// A record on its way in.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The record.
    pub statement: Statement,
    /// The envelope it came in.
    pub envelope: Option<Envelope>,
}

impl Candidate {
    /// Reads one record, signed or not.
    ///
    /// # Errors
    /// What it is instead.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        match Envelope::from_bytes(bytes) {
            Ok(envelope) => {
                let statement = envelope.statement().map_err(|e| e.to_string())?;
                Ok(Self { statement, envelope: Some(envelope) })
            }
            Err(_) => {
                let statement = Statement::from_bytes(bytes).map_err(|e| e.to_string())?;
                Ok(Self { statement, envelope: None })
            }
        }
    }
}

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is none.
    #[error("{0}")]
    Unreadable(String),
    /// No contract declares the falsifier, or another one does.
    #[error("no contract `{contract}` declares {falsifier}")]
    Undeclared {
        /// The contract it names.
        contract: String,
        /// The falsifier it names.
        falsifier: FalsifierId,
    },
    /// It was made for another claim.
    #[error("{falsifier}: it was made for another claim or binding than the tree declares")]
    ForeignClaim {
        /// The falsifier.
        falsifier: FalsifierId,
    },
    /// It computed another metric.
    #[error("{falsifier}: it measured {found}, and the claim is of {claimed}")]
    ForeignMetric {
        /// The falsifier.
        falsifier: FalsifierId,
        /// What was measured.
        found: &'static str,
        /// What is claimed.
        claimed: &'static str,
    },
    /// It was made from sources that nobody can check out.
    #[error("{falsifier}: it was made from a dirty tree, which is not the one that is checked out")]
    Dirty {
        /// The falsifier.
        falsifier: FalsifierId,
    },
    /// The store has or had it already.
    #[error("{falsifier}: the store holds this record already ({digest})")]
    Replayed {
        /// The falsifier.
        falsifier: FalsifierId,
        /// The first digits of its digest.
        digest: String,
    },
    /// It is from the future.
    #[error("{falsifier}: it started at {started}, and here it is {now}")]
    Skewed {
        /// The falsifier.
        falsifier: FalsifierId,
        /// When it started.
        started: String,
        /// What the clock says here.
        now: String,
    },
    /// Its host is of no class, or not of the one it names.
    #[error("{falsifier}: its machine ({machine}) is not of host class `{class}` of pv.toml")]
    Host {
        /// The falsifier.
        falsifier: FalsifierId,
        /// The machine.
        machine: String,
        /// The class.
        class: String,
    },
    /// A needed signature is missing, or a given one does not fit.
    #[error("{falsifier}: {reason}")]
    Signature {
        /// The falsifier.
        falsifier: FalsifierId,
        /// What is wrong with it.
        reason: String,
    },
    /// It has no bytes to be identified by.
    #[error("{0}")]
    Record(String),
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        Self::Record(error.to_string())
    }
}

impl Basis<'_> {
    fn falsifier(&self, statement: &Statement) -> Option<&Falsifier> {
        let record = &statement.predicate.pv_evidence;
        let contract = self.contracts.iter().find(|c| c.metadata.id == record.contract)?;
        contract.falsification_tests.iter().find(|f| f.id == record.falsifier)
    }

    /// Judges one record.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, candidate: &Candidate) -> Result<(), Refusal> {
        let statement = &candidate.statement;
        let record = &statement.predicate.pv_evidence;
        let id = || record.falsifier.clone();
        let Some(falsifier) = self.falsifier(statement) else {
            return Err(Refusal::Undeclared { contract: record.contract.to_string(), falsifier: id() });
        };
        let claim = self.current.get(&record.falsifier).and_then(|current| current.claim.as_ref());
        if claim != Some(&record.axes.claim) && !fault!("intake-takes-any-claim") {
            return Err(Refusal::ForeignClaim { falsifier: id() });
        }
        if let (Some(claim), Some(measure)) = (&falsifier.claim, &record.measure)
            && claim.metric != measure.metric
        {
            let (found, claimed) = (measure.metric.info().name, claim.metric.info().name);
            return Err(Refusal::ForeignMetric { falsifier: id(), found, claimed });
        }
        if record.source.dirty && !self.is_checked_out(statement) && !fault!("intake-takes-dirty-trees") {
            return Err(Refusal::Dirty { falsifier: id() });
        }
        let digest = sha256_hex(&statement.to_bytes()?);
        if self.known.contains(&digest) && !fault!("intake-takes-replays") {
            return Err(Refusal::Replayed { falsifier: id(), digest: digest[..8].to_owned() });
        }
        // Both are `2026-11-20T10:15:02Z`, in which the order of texts is that of times.
        let latest = timestamp((self.now + SKEW_S) * 1000);
        if record.started > latest && !fault!("intake-ignores-clocks") {
            let now = timestamp(self.now * 1000);
            return Err(Refusal::Skewed { falsifier: id(), started: record.started.clone(), now });
        }
        let host = &record.host;
        let class = self.settings.hosts.get(&host.class);
        if !class
            .is_some_and(|class| class.matches_hardware(host) && class.matches_driver(host.driver.as_deref()))
        {
            let machine = host.gpu.clone().unwrap_or_else(|| host.cpu.clone());
            return Err(Refusal::Host { falsifier: id(), machine, class: host.class.clone() });
        }
        self.signature(candidate, &host.class)
            .map_err(|reason| Refusal::Signature { falsifier: id(), reason })
    }

    /// Whether the tree that was run is the one that is checked out, committed since.
    fn is_checked_out(&self, statement: &Statement) -> bool {
        let ran = statement.subject.iter().find(|subject| subject.name == "source");
        let ran = ran.and_then(|source| source.digest.get("gitTree"));
        self.source.is_some_and(|here| !here.dirty && ran == Some(&here.tree))
    }

    fn signature(&self, candidate: &Candidate, class: &str) -> Result<(), String> {
        let needed = self.settings.gate.require_signature.contains(class);
        let Some(envelope) = &candidate.envelope else {
            return if needed {
                Err(format!(
                    "records of host class `{class}` must be signed (pv.toml, gate.require_signature)"
                ))
            } else {
                Ok(())
            };
        };
        let keys = envelope.verify().map_err(|error| error.to_string())?;
        let trusted = |key: &String| self.settings.gate.trusted_keys.contains(key);
        if needed && !keys.iter().map(ToString::to_string).any(|key| trusted(&key)) {
            return Err("no key that signed it is among gate.trusted_keys of pv.toml".to_owned());
        }
        Ok(())
    }

    /// Judges a batch.
    ///
    /// # Errors
    /// Every refusal; a record that stands in the batch twice is refused the second time.
    pub fn judge_all(&self, batch: &[Candidate]) -> Result<(), Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut seen = BTreeSet::new();
        for candidate in batch {
            if let Err(refusal) = self.judge(candidate) {
                refusals.push(refusal);
                continue;
            }
            match candidate.statement.to_bytes() {
                Ok(bytes) if !seen.insert(sha256_hex(&bytes)) => refusals.push(Refusal::Replayed {
                    falsifier: candidate.statement.predicate.pv_evidence.falsifier.clone(),
                    digest: sha256_hex(&bytes)[..8].to_owned(),
                }),
                Ok(_) => {}
                Err(error) => refusals.push(error.into()),
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(refusals) }
    }
}

/// Whether a record says anything: a skip or an error changes no status and is not worth keeping.
#[must_use]
pub fn says_something(statement: &Statement) -> bool {
    matches!(statement.predicate.pv_evidence.outcome, Outcome::Passed | Outcome::Failed { .. })
}

/// Puts judged records into a store and says where.
///
/// # Errors
/// When one cannot be written.
pub fn add(store: &Store, batch: &[Candidate]) -> Result<Vec<String>, super::store::StoreError> {
    batch
        .iter()
        .map(|candidate| {
            let path = store.add(&candidate.statement, candidate.envelope.as_ref())?;
            Ok(path.display().to_string())
        })
        .collect()
}
