//! Found by [`crate::lint::allow`].

use crate::lint::Check;

rule! {
    /// A `# pv:` comment allows nothing: it names no rule, a rule that cannot be allowed, or gives no reason.
    ///
    /// ## Why is this bad?
    /// Whoever wrote it believes that something is allowed, and whoever reads it cannot ask why. The structure of a file
    /// of schema 1 cannot be allowed to be wrong: no typed contract could be made of it.
    ///
    /// ## Example
    /// ```yaml
    /// # pv: allow(idle-stages)
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// # pv: allow(idle-stage): accepted by review only, see metadata.references
    /// ```
    /// The comment stands at the end of the line it is about, or on its own line above the entry it is about.
    /// `# pv: allow-file(RULE): REASON` holds for the whole file.
    "malformed-allow", Error, &[Check::Allow]
}
