//! `pv`: contracts read, checked, bound to compiled tests, run, and their status derived.
//!
//! The library is the command line without its process: every command is a function from its arguments and a
//! [`context::Context`] to an [`exit::Exit`]. Nothing here ends the process, and only [`context`] reads the
//! environment.
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod context;
pub mod error;
pub mod exit;

pub mod atomic;
pub mod binding;
pub mod cache;
pub mod content;
pub mod dashboard;
pub mod diff;
pub mod edit;
pub mod evidence;
pub mod faults;
pub mod generate;
pub mod graph;
pub mod kept;
pub mod lint;
pub mod literals;
pub mod lsp;
pub mod migrate;
pub mod plan;
pub mod report;
pub mod revision;
pub mod run;
pub mod stamp;
pub mod status;
pub mod symbols;
pub mod workspace;
