//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file or folder cannot be read.
    ///
    /// ## Why is this bad?
    /// What is not read is not checked, and a check that leaves files out says less than it seems to. The other files
    /// are still checked.
    ///
    /// ## Example
    /// A link to a file that is gone, a file without read permission.
    ///
    /// ## Instead
    /// Make the file readable, or remove it from the folder of contracts.
    "unreadable-file", Error, &[Check::Reading]
}
