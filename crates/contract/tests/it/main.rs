//! The contract crate from outside, one module per subject.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests write files, and a helper that fails fails its test"
)]

mod hash;
mod hostile;
mod outline;
mod read;
mod root;
mod shape;
