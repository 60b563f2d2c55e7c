//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A key that must be there is not.
    ///
    /// ## Why is this bad?
    /// A claim without a prediction cannot fail, and one without `if_fails` leaves the reader alone when it does.
    ///
    /// ## Example
    /// ```yaml
    /// - id: FALSIFY-ROUTER-001
    ///   rule: weights sum to one
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// - id: FALSIFY-ROUTER-001
    ///   rule: weights sum to one
    ///   prediction: the sum differs from one by at most the bound
    ///   if_fails: renormalisation in route.rs
    /// ```
    "missing-key", Error, &[Check::Reading]
}
