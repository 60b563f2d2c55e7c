//! What a recording will hold, decided before anything runs: sites, shapes, bytes.

use super::manifest::Dtype;
use super::similar;
use crate::config::Config;
use crate::stage::{STAGES, Scope, Site, Stage};
use fault::fault;
use std::ops::Range;

/// Which positions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The last of the prompt, and every decoded one.
    Last,
    /// All.
    All,
}

impl std::str::FromStr for Positions {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            "all" => Ok(Self::All),
            other => Err(format!("unknown positions '{other}', expected last or all")),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Stages by name; `None` for all that the model makes.
    pub stages: Option<Vec<Stage>>,
    /// Layers, half-open; `None` for all.
    pub layers: Option<Range<usize>>,
    /// Positions.
    pub positions: Positions,
}

/// Why a selection selects nothing that could be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A stage that does not exist.
    #[error("unknown stage '{name}'{}, expected `all` or some of {}",
        similar.map(|s| format!(", did you mean '{s}'?")).unwrap_or_default(), names())]
    Unknown {
        /// The name.
        name: String,
        /// What sounds like it.
        similar: Option<&'static str>,
    },
    /// A list without names.
    #[error("no stage is named, expected `all` or some of {}", names())]
    Empty,
    /// A stage that this model never makes.
    #[error("stage '{stage}' is not made by architecture '{architecture}', expected some of {}", emitted.join(","))]
    NotEmitted {
        /// The stage.
        stage: Stage,
        /// The model's architecture.
        architecture: &'static str,
        /// What it makes.
        emitted: Vec<&'static str>,
    },
    /// A range that is none.
    #[error("'{text}' is no range of layers, expected A..B with A < B")]
    Range {
        /// The text.
        text: String,
    },
    /// Layers that the model does not have.
    #[error("layers {}..{} were asked for, expected 0..{layers} or a part of it", range.start, range.end)]
    PastEnd {
        /// The range.
        range: Range<usize>,
        /// How many there are.
        layers: usize,
    },
}

fn names() -> String {
    STAGES.iter().map(|r| r.name).collect::<Vec<_>>().join(",")
}

/// Reads `attn_norm,moe_router` or `all`, in any case.
///
/// # Errors
/// An unknown name, with what sounds like it; an empty list.
pub fn parse_stages(text: &str) -> Result<Option<Vec<Stage>>, SelectError> {
    let mut stages = Vec::new();
    for name in text.split(',').map(str::trim) {
        let lower = if fault!("stage-names-in-case") { name.to_owned() } else { name.to_ascii_lowercase() };
        if lower == "all" && text.trim().eq_ignore_ascii_case("all") {
            return Ok(None);
        }
        let Some(stage) = Stage::from_name(&lower) else {
            if name.is_empty() {
                return Err(SelectError::Empty);
            }
            let similar = similar(&lower, STAGES.iter().map(|r| r.name));
            return Err(SelectError::Unknown { name: name.to_owned(), similar });
        };
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    Ok(Some(stages))
}

/// Reads `A..B`, half-open.
///
/// # Errors
/// Anything else, and ranges without a layer.
pub fn parse_layers(text: &str) -> Result<Range<usize>, SelectError> {
    let range = text.trim().split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    range
        .filter(|r: &Range<usize>| r.start < r.end)
        .ok_or_else(|| SelectError::Range { text: text.to_owned() })
}

/// One tensor to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Where it is made.
    pub site: Site,
    /// Its lengths, positions first.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: Dtype,
}

impl Planned {
    /// Elements of one position.
    #[must_use]
    pub fn row(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        4 * self.shape.iter().map(|&n| n as u64).product::<u64>()
    }
}

/// Everything a recording will hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tensors, in the order in which they happen.
    pub tensors: Vec<Planned>,
    /// The stages, in the order in which they happen.
    pub stages: Vec<Stage>,
    /// Layers of stages that have one.
    pub layers: Range<usize>,
    /// Positions kept.
    pub positions: Range<usize>,
    /// Tokens of the prompt.
    pub prompt: usize,
}

impl Plan {
    /// What a selection comes to for a prompt of so many tokens, decoded on by so many, on the first `layers` layers.
    ///
    /// Stages of experts bring the experts' ids with them.
    ///
    /// # Errors
    /// Stages that the model does not make, layers that it does not have.
    pub fn new(
        config: &Config,
        layers: usize,
        selection: &Selection,
        prompt: usize,
        decode: usize,
    ) -> Result<Self, SelectError> {
        let emitted = || STAGES.iter().filter(|r| (r.emitted)(config));
        let mut stages: Vec<Stage> = match &selection.stages {
            None => emitted().map(|r| r.stage).collect(),
            Some(stages) => stages.clone(),
        };
        let missing = stages.iter().find(|s| !(s.row().emitted)(config));
        if let Some(&stage) = missing.filter(|_| !fault!("trace-skips-missing-stages")) {
            let emitted = emitted().map(|r| r.name).collect();
            return Err(SelectError::NotEmitted { stage, architecture: config.architecture, emitted });
        }
        if stages.iter().any(|s| s.row().scope == Scope::Expert) {
            stages.push(Stage::MoeRouterIndices);
        }
        if !fault!("trace-stages-unordered") {
            stages.sort_unstable();
        }
        stages.dedup();
        let range = match &selection.layers {
            Some(range) if !fault!("trace-all-layers") => range.clone(),
            _ => 0..layers,
        };
        if (range.end > layers && !fault!("trace-layers-unchecked")) || range.is_empty() {
            return Err(SelectError::PastEnd { range, layers });
        }
        let total = prompt + decode;
        let first = match selection.positions {
            Positions::All => 0,
            Positions::Last => prompt.saturating_sub(1),
        };
        let planned = |site: Site| {
            // 0 stands for the length of the context in the table of stages.
            let axes = (site.stage.row().shape)(config).into_iter().map(|n| if n == 0 { total } else { n });
            let dtype = if site.stage == Stage::MoeRouterIndices { Dtype::I32 } else { Dtype::F32 };
            Planned { site, shape: std::iter::once(total - first).chain(axes).collect(), dtype }
        };
        // A pass makes `embedding`, then layer by layer, then the stages of the output.
        let model = |output| {
            let of =
                stages.iter().filter(move |s| !s.row().scope.in_layers() && s.of_output_rows() == output);
            of.map(|&stage| planned(Site { layer: None, stage }))
        };
        let in_layers = range.clone().flat_map(|layer| {
            let of = stages.iter().filter(|s| s.row().scope.in_layers());
            of.map(move |&stage| planned(Site { layer: Some(layer), stage }))
        });
        let tensors = model(false).chain(in_layers).chain(model(true)).collect();
        Ok(Self { tensors, stages, layers: range, positions: first..total, prompt })
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(Planned::bytes).sum()
    }
}
