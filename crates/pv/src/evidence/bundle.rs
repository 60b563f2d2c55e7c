//! A bundle: the records of a run in one file, one JSON line each, to be carried from the host that ran to the
//! tree that keeps them. It adds nothing to the records; what it is worth is judged when it is imported.

use contract::evidence::{RecordError, Statement};

/// The bytes of a bundle.
///
/// # Errors
/// When a record has no bytes.
pub fn write(records: &[Statement]) -> Result<Vec<u8>, RecordError> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend(record.to_bytes()?);
    }
    Ok(bytes)
}
