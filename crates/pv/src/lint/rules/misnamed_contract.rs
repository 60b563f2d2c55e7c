//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract's `metadata.id` is not the stem of its file name.
    ///
    /// ## Why is this bad?
    /// Contracts refer to each other by id and are found by file name.
    ///
    /// ## Example
    /// ```yaml
    /// # contracts/router-v1.yaml
    /// metadata: {id: router-v2}
    /// ```
    ///
    /// ## Instead
    /// Rename the file or change the id. Names from elsewhere belong into `aliases`.
    "misnamed-contract", Error, &[Check::Reading]
}
