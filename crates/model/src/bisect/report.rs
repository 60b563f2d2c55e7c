//! What a bisection found, for people and for programs.

use crate::compare::{Element, Flip, Verdict};
use crate::trace::Number;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// Why two passes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// An operation gives another result than its scalar twin of the same precision, on the same input.
    KernelError,
    /// An operation's result is what its precision costs, and that alone is beyond the bound.
    PrecisionDifference,
    /// Logits almost tied at the last chosen expert, and the difference of the passes tipped them over.
    RouterFlip,
    /// No operation is wrong: what comes in differs, and by how much grew on the way.
    CarriedDrift,
    /// The first operation that makes of finite inputs what is not finite.
    NanSource,
}

impl Class {
    /// Every class, once.
    pub const ALL: [Self; 5] =
        [Self::KernelError, Self::PrecisionDifference, Self::RouterFlip, Self::CarriedDrift, Self::NanSource];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KernelError => "kernel-error",
            Self::PrecisionDifference => "precision-difference",
            Self::RouterFlip => "router-flip",
            Self::CarriedDrift => "carried-drift",
            Self::NanSource => "nan-source",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which side is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The reference.
    Left,
    /// What was judged.
    Right,
    /// Both alike.
    Both,
}

/// One pass of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Positions: first and past the last.
    pub positions: [usize; 2],
    /// Which decoded token, from 1; none for the prompt.
    pub decode: Option<usize>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode {
            None => f.pad("prefill"),
            Some(n) => f.pad(&format!("decode {n}")),
        }
    }
}

/// A tensor of the file that an operation reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weight {
    /// Its name.
    pub tensor: String,
    /// Its format.
    pub format: String,
}

/// Which elements are wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extent {
    /// How many.
    pub elements: usize,
    /// Of how many.
    pub of: usize,
    /// Positions that have some.
    pub positions: Vec<u32>,
    /// Columns between which they lie: first and past the last.
    pub columns: [usize; 2],
    /// Experts whose output has some, of stages of experts.
    pub experts: Vec<u32>,
}

/// One operation's element that is not finite, and everything it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NonFiniteElement {
    /// Its index in the flattened value of the step.
    pub index: usize,
    /// Its position.
    pub position: u32,
    /// Its column.
    pub column: usize,
    /// Its expert, of stages of experts.
    pub expert: Option<u32>,
    /// What it is.
    pub value: Number,
    /// What the scalar twin makes of the same input, where it was asked.
    pub twin: Option<Number>,
    /// The row of weights that makes it.
    pub weights: Option<WeightRow>,
    /// The row of each input.
    pub inputs: Vec<Range>,
}

/// One row of weights as the file has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightRow {
    /// The tensor.
    pub tensor: String,
    /// Its format.
    pub format: String,
    /// The row, within its expert.
    pub row: usize,
    /// What is in it.
    #[serde(flatten)]
    pub range: Range,
}

/// Extremes of some numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Range {
    /// Whose.
    pub of: String,
    /// The smallest finite one.
    pub min: Number,
    /// The largest finite one.
    pub max: Number,
    /// How many are not finite.
    pub not_finite: usize,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Why the passes differ.
    pub class: Class,
    /// Who is wrong.
    pub side: Which,
    /// When.
    pub step: Step,
    /// Where: `layers.<N>.<stage>` or `<stage>`.
    pub key: String,
    /// The layer, of stages that have one.
    pub layer: Option<usize>,
    /// The stage.
    pub stage: String,
    /// The backend's primitive.
    pub primitive: String,
    /// The weights it reads, those alone that the wrong elements are made of.
    pub weights: Vec<Weight>,
    /// Its own error, computed from the left side's input.
    pub own: Number,
    /// Its distance from the scalar twin on the same input, where the twin was asked.
    pub twin: Option<Number>,
    /// What is wrong in it.
    pub extent: Option<Extent>,
    /// The elements furthest apart.
    pub worst: Vec<Element>,
    /// What the wrong value looks like, where it looks like something.
    pub sign: Option<String>,
    /// Of a `nan-source`.
    pub nan: Option<NonFiniteElement>,
    /// Of a `router-flip`.
    pub flip: Option<Flip>,
    /// The falsifier that it breaks, where one is known.
    pub falsifier: Option<&'static str>,
}

/// One site of the step in which something was found.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The site.
    pub key: String,
    /// Error of the free-running passes.
    pub free: Option<Number>,
    /// Error of the operation alone, from the left side's input.
    pub own: Option<Number>,
    /// Distance from the scalar twin, where it was asked.
    pub twin: Option<Number>,
    /// What it comes to.
    pub class: Option<Class>,
}

/// The first difference of two free-running passes.
#[derive(Debug, Clone, Serialize)]
pub struct Divergence {
    /// When.
    pub step: Step,
    /// Where.
    pub key: String,
    /// How.
    pub verdict: Verdict,
    /// By how much: NMSE; of a choice of experts the share of positions.
    pub nmse: Number,
}

/// A bisection.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The layout of this object.
    pub schema: &'static str,
    /// The model's file.
    pub model: String,
    /// The reference.
    pub left: String,
    /// What is judged.
    pub right: String,
    /// The tokens, decoded ones last.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt_tokens: usize,
    /// The layers that were compared: first and past the last.
    pub layers: [usize; 2],
    /// The bound on the error of free-running passes.
    pub bound: Number,
    /// The first difference of the free-running passes beyond the bound.
    pub diverges: Option<Divergence>,
    /// The largest error of the free-running passes, and where.
    pub largest: Option<(Number, String)>,
    /// Positions whose experts differ in the free-running passes, over all layers and steps.
    pub flips: usize,
    /// How many stages were replayed, over all steps.
    pub replayed: usize,
    /// What is behind it.
    pub finding: Option<Finding>,
    /// The sites of its step, in the order of the pass.
    pub stages: Vec<Line>,
    /// It all in one sentence.
    pub sentence: String,
    /// The wrong operation, where one was found and a capsule was asked for.
    #[serde(skip)]
    pub capsule: Option<Box<super::Capsule>>,
}

/// Rows shown before and after the finding.
const BEFORE: usize = 3;
const AFTER: usize = 5;

impl Report {
    /// Whether nothing diverges.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.finding.is_none() && self.diverges.is_none()
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let decoded = self.tokens.len() - self.prompt_tokens;
        writeln!(
            out,
            "{}: left {}, right {}, {} + {decoded} tokens, layers {}..{}",
            self.model, self.left, self.right, self.prompt_tokens, self.layers[0], self.layers[1]
        )?;
        match &self.diverges {
            Some(d) => writeln!(
                out,
                "free-running  {} at {}, {}, error {:.1e}, bound {:.0e}; {} choices of experts differ",
                d.verdict, d.key, d.step, d.nmse.0, self.bound.0, self.flips
            )?,
            None => {
                let (nmse, key) = self.largest.clone().unwrap_or((Number(0.0), "-".to_owned()));
                writeln!(
                    out,
                    "free-running  within the bound {:.0e}; largest NMSE {:.1e} at {key}; {} choices of experts differ",
                    self.bound.0, nmse.0, self.flips
                )?;
            }
        }
        writeln!(out, "replayed      {} stages, each from the left side's input", self.replayed)?;
        if let Some(finding) = &self.finding {
            let at = self.stages.iter().position(|l| l.key == finding.key).unwrap_or(0);
            let shown = self.stages.iter().take(at + AFTER + 1).skip(at.saturating_sub(BEFORE));
            writeln!(
                out,
                "\n{:<10} {:<30} {:>10} {:>10} {:>10}  class",
                "step", "stage", "free", "own", "to twin"
            )?;
            let number = |n: Option<Number>| n.map_or_else(|| "-".to_owned(), |n| format!("{:.1e}", n.0));
            for line in shown {
                let class = line.class.map_or("", Class::name);
                let mark = if line.key == finding.key { "  <--" } else { "" };
                writeln!(
                    out,
                    "{:<10} {:<30} {:>10} {:>10} {:>10}  {class}{mark}",
                    finding.step,
                    line.key,
                    number(line.free),
                    number(line.own),
                    number(line.twin)
                )?;
            }
            finding.write(out)?;
        }
        writeln!(out, "\n{}", self.sentence)
    }
}

impl Finding {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.extent.is_some() {
            writeln!(out)?;
        }
        for w in &self.weights {
            writeln!(out, "weights   {} ({})", w.tensor, w.format)?;
        }
        if let Some(e) = &self.extent {
            write!(out, "wrong     {} of {} elements, positions {}", e.elements, e.of, list(&e.positions))?;
            write!(out, ", columns {}..{}", e.columns[0], e.columns[1])?;
            if !e.experts.is_empty() {
                write!(out, ", experts {}", list(&e.experts))?;
            }
            writeln!(out)?;
        }
        if let Some(w) = self.worst.first() {
            writeln!(out, "worst     element {}: {:e} instead of {:e}", w.index, w.right, w.left)?;
        }
        if let Some(sign) = &self.sign {
            writeln!(out, "looks like {sign}")?;
        }
        if let Some(n) = &self.nan {
            writeln!(out, "element   {n}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NonFiniteElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (position {}, column {}", self.index, self.position, self.column)?;
        if let Some(expert) = self.expert {
            write!(f, ", expert {expert}")?;
        }
        write!(f, ") is {}", self.value)?;
        if let Some(twin) = self.twin {
            write!(f, ", its twin {twin}")?;
        }
        if let Some(w) = &self.weights {
            let Range { min, max, not_finite, .. } = &w.range;
            let (row, tensor, format) = (w.row, &w.tensor, &w.format);
            write!(f, "; row {row} of {tensor} ({format}): {min} .. {max}, {not_finite} not finite")?;
        }
        for Range { of, min, max, not_finite } in &self.inputs {
            write!(f, "; input {of}: {min} .. {max}, {not_finite} not finite")?;
        }
        Ok(())
    }
}

/// `0..5, 7`.
pub(super) fn list(numbers: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(a, b)| **a == *b).count().max(1);
        parts.push(if run > 2 { format!("{first}..{}", first as usize + run) } else { first.to_string() });
        rest = &rest[if run > 2 { run } else { 1 }..];
    }
    parts.join(", ")
}
