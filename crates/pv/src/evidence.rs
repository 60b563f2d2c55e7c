//! Evidence on disk: the stores, signatures, the identity of the sources, bundles. What a record must say is in
//! `contract::evidence`; whether it still counts is derived from it and the tree.

pub mod bundle;
pub mod dsse;
pub mod index;
pub mod intake;
pub mod junit;
pub(crate) mod portable;
pub mod prune;
pub mod source;
pub mod store;
