//! A bundle: the records of a run in one file, to be carried from the host that ran to the tree that keeps them.
//!
//! The first line counts and digests the others, so that a bundle cut between two records is known from a whole
//! one; each other line is one record, signed or not. What a record is worth is judged when it is imported.

use super::intake::Candidate;
use contract::evidence::{RecordError, Statement, sha256_hex};
use fault::fault;
use serde::{Deserialize, Serialize};

/// The version of the form.
const SCHEMA: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    pv_bundle: u32,
    records: usize,
    sha256: String,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The first line is no head.
    #[error("not a bundle: {0}")]
    Head(String),
    /// The form is of a later version.
    #[error("the bundle has version {0}; this program reads version {SCHEMA}")]
    Newer(u32),
    /// Something is missing at the end, or was added.
    #[error("the bundle says that it holds {declared} records, and {found} are there: it was cut or edited")]
    Count {
        /// What the head says.
        declared: usize,
        /// What there is.
        found: usize,
    },
    /// The records are not those that were written.
    #[error("the bundle's records are not those that its first line digests: it was edited")]
    Digest,
    /// One of the records is none.
    #[error("record {number}: {reason}")]
    Record {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
}

/// The bytes of a bundle.
///
/// # Errors
/// When a record has no bytes.
pub fn write(records: &[Statement]) -> Result<Vec<u8>, RecordError> {
    let mut body = Vec::new();
    for record in records {
        body.extend(record.to_bytes()?);
    }
    let head = Head { pv_bundle: SCHEMA, records: records.len(), sha256: sha256_hex(&body) };
    let mut bytes = serde_json::to_vec(&head)?;
    bytes.push(b'\n');
    bytes.extend(body);
    Ok(bytes)
}

/// The records of a bundle.
///
/// # Errors
/// When it is none, or not whole.
pub fn read(bytes: &[u8]) -> Result<Vec<Candidate>, BundleError> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let head: Head = serde_json::from_slice(head).map_err(|error| BundleError::Head(error.to_string()))?;
    if head.pv_bundle != SCHEMA {
        return Err(BundleError::Newer(head.pv_bundle));
    }
    let lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() != head.records {
        return Err(BundleError::Count { declared: head.records, found: lines.len() });
    }
    if sha256_hex(body) != head.sha256 && !fault!("bundle-digests-nothing") {
        return Err(BundleError::Digest);
    }
    let record = |(at, line): (usize, &&[u8])| {
        Candidate::read(line).map_err(|reason| BundleError::Record { number: at + 1, reason })
    };
    lines.iter().enumerate().map(record).collect()
}
