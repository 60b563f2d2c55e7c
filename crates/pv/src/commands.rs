//! One module per command: its `Args` and its `run(&Args, &Context) -> Result<Exit, Error>`.

pub mod can_merge;
pub mod check;
pub mod completions;
pub mod dashboard;
pub mod diff;
pub mod evidence;
pub mod explain;
pub mod fix;
pub mod generate;
pub mod graph;
pub mod lint;
pub mod lsp;
pub mod man;
pub mod migrate;
pub mod new;
pub mod plan;
pub mod run;
pub mod schema;
pub mod status;
pub mod validate;
