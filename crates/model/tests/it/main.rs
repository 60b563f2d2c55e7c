//! The engine's own tests, one module per subject.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, finds its data by the environment, and starts the program it tests"
)]

mod apr;
mod bisect;
mod bitwise;
mod capsule;
mod collect;
mod data;
mod dense;
mod diff;
mod docs;
mod doctor;
mod eval;
mod fast;
mod gguf;
mod inspect;
mod load;
mod norm;
mod perturbed;
mod probes;
mod quant;
mod reference;
mod router;
mod run;
mod synth;
mod tap_off;
mod test_ops;
mod tokenizer;
mod trace;
