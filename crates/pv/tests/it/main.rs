//! Tests of `pv` as a whole: its library over real little repositories, and its binary.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod binding;
mod cache;
mod cli;
mod compare;
mod content;
mod dashboard;
mod fixture;
mod generate;
mod hostile;
mod intake;
mod junit;
mod known;
mod legacy;
mod lint;
mod lsp;
mod plan;
mod report;
mod rewrite;
mod run;
mod yaml;
