//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A review is pinned to something that is no SHA-256 digest.
    ///
    /// ## Why is this bad?
    /// A review counts for the content that was looked at. Without its digest the content may change under it.
    ///
    /// ## Example
    /// ```yaml
    /// pins: {src/route.rs: v3}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// pins: {src/route.rs: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
    /// ```
    /// `sha256sum FILE` prints the digits.
    "invalid-digest", Error, &[Check::Reading]
}
