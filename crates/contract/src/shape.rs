//! The structure of a contract as a table: which keys a mapping has, what each holds, and which go together.
//!
//! The table says what the structs of [`crate::schema`] accept, in a form from which every error of a file can be
//! told at once; a test holds the two together. It knows no positions and no severities.

use crate::binding::Target;
use crate::binding::shorthand::{self, ShorthandError};
use crate::claim::{Metric, NanPolicy, ReferenceKind};
use crate::date::Date;
use crate::hash::Digest;
use crate::id::{ContractId, FalsifierId, FaultName, ObligationId, StageId};
use crate::need::Need;
use crate::schema::{Axis, Kind, ObligationType};
use crate::status::FalsifierStatus;
use std::ops::Range;

/// What a value must be.
#[derive(Debug)]
pub enum Shape {
    /// A mapping with known keys; `x-` keys are left to others.
    Map(Map),
    /// A mapping from any name to one kind of value.
    Table {
        /// What the mapping is.
        what: &'static str,
        /// Each value.
        value: &'static Shape,
    },
    /// A list.
    List {
        /// Each item.
        item: &'static Shape,
        /// How many there are at least.
        min: usize,
    },
    /// Text that is not empty.
    Text(Text),
    /// One of a few words.
    Word {
        /// What the word says.
        what: &'static str,
        /// The accepted ones.
        names: &'static [&'static str],
    },
    /// A truth value.
    Bool,
    /// A whole number in a range, both ends included.
    Int {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A finite number.
    Number,
    /// Text, a number or a truth value.
    Scalar,
    /// Anything.
    Any,
    /// One of several, told apart by the kind of the value.
    ByKind {
        /// What to accept of each kind.
        text: Option<Text>,
        /// For a list.
        list: Option<&'static Shape>,
        /// For a mapping.
        map: Option<&'static Shape>,
    },
}

/// A closed mapping.
#[derive(Debug)]
pub struct Map {
    /// What it is, `a falsifier`.
    pub what: &'static str,
    /// Its keys, in the order in which they are usually written.
    pub fields: &'static [Field],
    /// Which keys go together.
    pub constraints: &'static [Constraint],
}

/// One key of a closed mapping.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it holds.
    pub shape: Shape,
}

/// What a text must be beyond not being empty.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// The rule a wrong one breaks.
    pub rule: &'static str,
    /// Says what is wrong with a text, if anything is.
    pub check: fn(&str) -> Result<(), Misfit>,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// In words: what was found and what is accepted.
    pub message: String,
    /// Which bytes of the text, when it is not all of it.
    pub at: Option<Range<usize>>,
}

impl Misfit {
    fn whole(message: impl ToString) -> Self {
        Self { message: message.to_string(), at: None }
    }
}

/// Which keys of one mapping go together.
#[derive(Debug)]
pub enum Constraint {
    /// Exactly one of these.
    One(&'static [&'static str]),
    /// At most one of these.
    AtMostOne(&'static [&'static str]),
    /// The first only with the second.
    Needs(&'static str, &'static str),
    /// The third is there when the first has the value of the second.
    When(&'static str, &'static str, &'static str),
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

const fn text(rule: &'static str, check: fn(&str) -> Result<(), Misfit>) -> Shape {
    Shape::Text(Text { rule, check })
}

const fn list(item: &'static Shape) -> Shape {
    Shape::List { item, min: 0 }
}

/// Any text.
pub(crate) const PROSE: Shape = text("empty-value", |_| Ok(()));
const PROSES: Shape = list(&PROSE);
const NEEDS: Shape =
    list(&text("invalid-need", |t| Need::try_from(t.to_owned()).map(drop).map_err(Misfit::whole)));
const DATE: Shape = text("invalid-date", check_date);

/// A contract of schema 1.
pub static CONTRACT: Shape = Shape::Map(Map {
    what: "a contract",
    fields: &[
        required("schema", Shape::Int { min: 1, max: 1 }),
        required("metadata", Shape::Map(METADATA)),
        optional("equations", Shape::Table { what: "equations", value: &Shape::Map(EQUATION) }),
        optional("proof_obligations", list(&Shape::Map(OBLIGATION))),
        optional("implementation_stages", list(&Shape::Map(STAGE))),
        optional("falsification_tests", list(&Shape::Map(FALSIFIER))),
        optional("qa_gate", Shape::Map(QA_GATE)),
        optional("kani_harnesses", list(&Shape::Map(KANI_HARNESS))),
        optional("notes", PROSE),
    ],
    constraints: &[],
});

const CONTRACT_ID: Shape = text("invalid-id", |t| ContractId::parse(t).map(drop).map_err(Misfit::whole));
const FALSIFIER_ID: Shape = text("invalid-id", |t| FalsifierId::parse(t).map(drop).map_err(Misfit::whole));
const OBLIGATION_ID: Shape = text("invalid-id", |t| ObligationId::parse(t).map(drop).map_err(Misfit::whole));
const STAGE_ID: Shape = text("invalid-id", |t| StageId::parse(t).map(drop).map_err(Misfit::whole));
const FAULT_NAME: Shape = text("invalid-id", |t| FaultName::parse(t).map(drop).map_err(Misfit::whole));

const METADATA: Map = Map {
    what: "`metadata`",
    fields: &[
        required("id", CONTRACT_ID),
        required("version", text("invalid-version", check_version)),
        required("kind", Shape::Word { what: "a kind of contract", names: Kind::NAMES }),
        required("title", PROSE),
        required("description", PROSE),
        optional("owner", PROSE),
        required("references", Shape::List { item: &PROSE, min: 1 }),
        optional("depends_on", list(&CONTRACT_ID)),
        optional("aliases", PROSES),
    ],
    constraints: &[],
};

const EQUATION: Map = Map {
    what: "an equation",
    fields: &[
        required("formula", PROSE),
        optional("domain", PROSE),
        optional("codomain", PROSE),
        optional("invariants", PROSES),
    ],
    constraints: &[],
};

const OBLIGATION: Map = Map {
    what: "an obligation",
    fields: &[
        optional("id", OBLIGATION_ID),
        required("type", Shape::Word { what: "a type of obligation", names: ObligationType::NAMES }),
        required("property", PROSE),
        optional("formal", PROSE),
        optional("applies_to", PROSE),
        optional("notes", PROSE),
    ],
    constraints: &[],
};

const STAGE: Map = Map {
    what: "a stage",
    fields: &[
        required("id", STAGE_ID),
        required("description", PROSE),
        optional("after", list(&STAGE_ID)),
        required("accepts", list(&FALSIFIER_ID)),
        optional("artifacts", PROSES),
        optional("notes", PROSE),
    ],
    constraints: &[],
};

const FALSIFIER: Map = Map {
    what: "a falsifier",
    fields: &[
        required("id", FALSIFIER_ID),
        required("rule", PROSE),
        required("prediction", PROSE),
        required("if_fails", PROSE),
        optional("obligations", list(&OBLIGATION_ID)),
        optional("claim", Shape::Map(CLAIM)),
        optional("test", TESTS),
        optional("review", Shape::Map(REVIEW)),
        optional("command", Shape::Map(COMMAND)),
        optional("proposed", Shape::Map(PROPOSED)),
        optional("hosts", Shape::List { item: &PROSE, min: 1 }),
        optional("subjects", PROSES),
        optional(
            "fresh",
            Shape::List { item: &Shape::Word { what: "an axis of evidence", names: Axis::NAMES }, min: 1 },
        ),
        optional(
            "faults",
            Shape::ByKind {
                text: None,
                list: Some(&Shape::List { item: &FAULT_NAME, min: 1 }),
                map: Some(&Shape::Map(NO_FAULTS)),
            },
        ),
        optional("generate", Shape::Map(GENERATE)),
        optional("waiver", Shape::Map(WAIVER)),
        optional("status", Shape::Word { what: "a status", names: FalsifierStatus::NAMES }),
        optional("owner", PROSE),
        optional("aliases", PROSES),
        optional("notes", PROSE),
    ],
    constraints: &[
        Constraint::AtMostOne(&["test", "review", "command", "proposed"]),
        Constraint::Needs("generate", "test"),
        Constraint::Needs("generate", "claim"),
    ],
};

const GENERATE: Map = Map {
    what: "`generate`",
    fields: &[
        required("operation", text("invalid-test", check_function)),
        optional("sizes", Shape::Table { what: "`sizes`", value: &Shape::Map(SIZE) }),
        required("random", Shape::Map(RANDOM)),
    ],
    constraints: &[],
};

const NUMBER: Shape = Shape::Int { min: 0, max: u32::MAX as i64 };

const SIZE: Map = Map {
    what: "a range of sizes",
    fields: &[
        required("from", NUMBER),
        required("to", NUMBER),
        optional("step", Shape::Int { min: 1, max: u32::MAX as i64 }),
        optional("edges", list(&NUMBER)),
    ],
    constraints: &[],
};

const RANDOM: Map = Map {
    what: "`random`",
    fields: &[required("cases", NUMBER), required("seed", Shape::Int { min: 0, max: i64::MAX })],
    constraints: &[],
};

const CLAIM: Map = Map {
    what: "a claim",
    fields: &[
        required("metric", Shape::Word { what: "a metric", names: Metric::NAMES }),
        optional("bound", Shape::Map(BOUND)),
        optional("why", PROSE),
        optional(
            "over",
            Shape::Table { what: "`over`", value: &Shape::List { item: &Shape::Scalar, min: 1 } },
        ),
        optional("reference", Shape::Map(REFERENCE)),
        optional("nan", Shape::Word { what: "a policy for NaN", names: NanPolicy::NAMES }),
    ],
    constraints: &[],
};

const BOUND: Map = Map {
    what: "a bound",
    fields: &[
        optional("at_most", Shape::Number),
        optional("at_least", Shape::Number),
        optional("equals", Shape::Number),
        optional("unit", PROSE),
    ],
    constraints: &[Constraint::One(&["at_most", "at_least", "equals"])],
};

const REFERENCE: Map = Map {
    what: "a reference",
    fields: &[
        required("kind", Shape::Word { what: "a kind of reference", names: ReferenceKind::NAMES }),
        optional("path", PROSE),
        optional("name", PROSE),
    ],
    constraints: &[
        Constraint::When("kind", "data", "path"),
        Constraint::When("kind", "backend", "name"),
        Constraint::When("kind", "analytic", "name"),
    ],
};

const TESTS: Shape = Shape::ByKind {
    text: Some(Text { rule: "invalid-test", check: check_shorthand }),
    list: Some(&Shape::List { item: &TEST, min: 1 }),
    map: Some(&TEST),
};

const TEST: Shape = Shape::Map(Map {
    what: "a test binding",
    fields: &[
        required("package", PROSE),
        required("target", text("invalid-test", check_target)),
        optional("path", PROSE),
        optional("prefix", PROSE),
        optional("at_least", Shape::Int { min: 1, max: u32::MAX as i64 }),
        optional("features", PROSES),
        optional("ignored", Shape::Bool),
        optional("needs", NEEDS),
        optional("timeout_s", Shape::Int { min: 1, max: u32::MAX as i64 }),
    ],
    constraints: &[
        Constraint::One(&["path", "prefix"]),
        Constraint::Needs("prefix", "at_least"),
        Constraint::Needs("at_least", "prefix"),
    ],
});

const REVIEW: Map = Map {
    what: "a review",
    fields: &[
        required("by", PROSE),
        required("date", DATE),
        required("expires", DATE),
        required("pins", Shape::Table { what: "`pins`", value: &text("invalid-digest", check_digest) }),
        optional("question", PROSE),
    ],
    constraints: &[],
};

const COMMAND: Map = Map {
    what: "a command",
    fields: &[
        required("argv", Shape::List { item: &PROSE, min: 1 }),
        optional("exit", Shape::Int { min: i32::MIN as i64, max: i32::MAX as i64 }),
        optional("needs", NEEDS),
        optional("timeout_s", Shape::Int { min: 1, max: u32::MAX as i64 }),
    ],
    constraints: &[],
};

const PROPOSED: Map = Map {
    what: "`proposed`",
    fields: &[required("reason", PROSE), optional("needs", PROSES)],
    constraints: &[],
};

const WAIVER: Map =
    Map { what: "a waiver", fields: &[required("reason", PROSE), required("until", DATE)], constraints: &[] };

const NO_FAULTS: Map = Map { what: "`faults`", fields: &[required("none", PROSE)], constraints: &[] };

const QA_GATE: Map = Map {
    what: "`qa_gate`",
    fields: &[
        required("id", PROSE),
        required("name", PROSE),
        optional("description", PROSE),
        required("checks", Shape::List { item: &FALSIFIER_ID, min: 1 }),
    ],
    constraints: &[],
};

const KANI_HARNESS: Map = Map {
    what: "a kani harness",
    fields: &[
        required("id", PROSE),
        required("obligation", OBLIGATION_ID),
        required("harness", PROSE),
        required("bound", Shape::Int { min: 0, max: u32::MAX as i64 }),
    ],
    constraints: &[],
};

fn check_shorthand(text: &str) -> Result<(), Misfit> {
    let misfit = |error: ShorthandError| Misfit { message: error.to_string(), at: Some(error.span) };
    shorthand::parse(text).map(drop).map_err(misfit)
}

fn check_target(text: &str) -> Result<(), Misfit> {
    Target::try_from(text.to_owned()).map(drop).map_err(Misfit::whole)
}

/// `operations::norm`: names of Rust with `::` between them.
fn check_function(text: &str) -> Result<(), Misfit> {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if text.split("::").all(name) {
        Ok(())
    } else {
        Err(Misfit::whole(format!("`{text}` is no path of a function (accepted: operations::norm)")))
    }
}

/// `2026-11-20`, a day that exists.
fn check_date(text: &str) -> Result<(), Misfit> {
    Date::parse(text).map(drop).map_err(Misfit::whole)
}

/// `MAJOR.MINOR.PATCH` with an optional pre-release and build, as semver.org has it.
pub(crate) fn check_version(text: &str) -> Result<(), Misfit> {
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let label = |part: &str| {
        part.split('.').all(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() == 3 && parts.into_iter().all(number) && [pre, build].into_iter().flatten().all(label) {
        Ok(())
    } else {
        Err(Misfit::whole(format!("`{text}` is no semantic version (accepted: 1.0.0, 1.2.3-rc.1)")))
    }
}

fn check_digest(text: &str) -> Result<(), Misfit> {
    Digest::parse(text).map(drop).map_err(Misfit::whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semantic() {
        for good in ["0.1.0", "1.2.3-rc.1", "1.0.0+build.5", "10.20.30"] {
            assert_eq!(check_version(good), Ok(()));
        }
        for bad in ["", "1", "1.0", "1.0.0.0", "01.0.0", "v1.0.0", "1.0.x", "1.0.0-", "1.0.0-a..b"] {
            assert!(check_version(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn digests_are_lower_case_sha256() {
        assert_eq!(check_digest(&format!("sha256:{}", "0a".repeat(32))), Ok(()));
        for bad in ["", "sha256:", "sha256:00", &format!("sha256:{}", "0A".repeat(32)), &"0a".repeat(32)] {
            assert!(check_digest(bad).is_err(), "{bad} was accepted");
        }
    }
}
