//! Contracts as plain data: what a contract may say, what a test run recorded, and the status that follows.
//!
//! This crate parses YAML with every position kept, checks the structure, and turns a clean tree into the typed
//! structs of [`schema`]. It holds the vocabulary that the macro, the recorder and the command line share: ids,
//! claims, bindings, evidence records, the status lattice. It runs nothing, knows no cargo, no git and no
//! terminal, and writes no file.
#![forbid(unsafe_code)]

mod words;

pub mod binding;
pub mod claim;
pub mod date;
pub mod generate;
pub mod gpu;
pub mod id;
pub mod need;
pub mod schema;
pub mod status;

pub mod diagnostic;
pub mod legacy;
pub mod load;
pub mod lower;
pub mod outline;
pub mod root;
pub mod shape;
pub mod source;
pub mod suggest;
pub mod walk;
pub mod yaml;

pub mod evidence;
pub mod hash;
#[cfg(feature = "settings")]
pub mod host;
pub mod marker;
#[cfg(feature = "settings")]
pub mod settings;
#[cfg(feature = "tokens")]
pub mod tokens;

pub use load::{Loaded, load};
