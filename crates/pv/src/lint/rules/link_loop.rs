//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A link in the folder of contracts leads back to a folder that is read already.
    ///
    /// ## Why is this bad?
    /// Every contract below it would be found twice, or for ever. Such a link is not followed.
    ///
    /// ## Example
    /// `contracts/old -> ../contracts`
    ///
    /// ## Instead
    /// Remove the link.
    "link-loop", Warning, &[Check::Reading]
}
