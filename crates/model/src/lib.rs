//! The engine: GGUF in, logits out, every intermediate value observable.
//!
//! There is one forward pass ([`forward`]), generic over where it runs ([`backend::Backend`]) and over who watches
//! ([`tap::Tap`]). Prefill and decode, CPU and CUDA, traced and not are parameters of it, not copies. Modules in
//! reading order: files first (`gguf`, `quant`), then the model they describe, then the pass over it.
#![deny(unsafe_code)]

pub mod bytes;
pub mod error;
pub mod gguf;
pub mod mapped;
pub mod quant;
pub mod tokenizer;

pub mod numerics;
pub mod route;

pub mod architecture;
pub mod backend;
pub mod bisect;
pub mod compare;
pub mod composed;
pub mod config;
pub mod diff;
pub mod footprint;
pub mod forward;
pub mod operation;
pub mod stage;
pub mod state;
pub mod tap;
pub mod tensors;
pub mod weights;

pub mod cpu;
pub mod cuda;

pub mod intervene;
pub mod loadcheck;
pub mod machine;
pub mod observer;
pub mod session;
pub mod trace;

pub mod battery;
pub mod bench;
pub mod eval;
pub mod generate;
pub mod sample;

pub mod cli;
pub mod synth;

pub use error::Error;
