//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A text is empty, a key holds nothing, or a list that needs an item has none.
    ///
    /// ## Why is this bad?
    /// It fills a form without saying anything. A contract without `references`, for one, gives no reason to believe it.
    ///
    /// ## Example
    /// ```yaml
    /// references: []
    /// if_fails: ""
    /// ```
    ///
    /// ## Instead
    /// Write what belongs there, or remove the key where it is optional.
    "empty-value", Error, &[Check::Reading]
}
