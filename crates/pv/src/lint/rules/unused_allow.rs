//! Found by [`crate::lint::allow`].

use crate::lint::Check;

rule! {
    /// A comment allows a finding that is not there.
    ///
    /// ## Why is this bad?
    /// It hides the next one, and tells a reader of a defect that is gone.
    ///
    /// ## Example
    /// ```yaml
    /// # pv: allow(idle-stage): accepted by the tests of the next release
    /// accepts: [FALSIFY-ROUTER-001]
    /// ```
    ///
    /// ## Instead
    /// Remove the comment.
    "unused-allow", Warning, &[Check::Allow]
}
