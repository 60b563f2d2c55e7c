//! The dialect of files without `schema:`, which grew over years and across repositories.
//!
//! It is read so that such files can be checked, counted and migrated. Keys that a surveyed corpus uses in more
//! than one file are known; the rest is somebody's extension, unless it is nearly a known key.

use crate::binding::{TestBinding, shorthand};
use crate::shape::{Field, Map, PROSE, Shape};
use crate::walk::{self, Dialect};
use crate::yaml::{Findings, Node};

/// Report what is wrong with a legacy file.
pub fn walk(root: &Node, findings: &mut Findings<'_>) {
    walk::walk(root, &CONTRACT, Dialect::Legacy, findings);
}

const fn known(name: &'static str) -> Field {
    Field { name, required: false, shape: Shape::Any }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

const fn list(item: &'static Shape) -> Shape {
    Shape::List { item, min: 0 }
}

/// A version is text or, with no harm done, a number.
const VERSION: Shape = Shape::Scalar;

/// A legacy contract.
pub static CONTRACT: Shape = Shape::Map(Map {
    what: "a contract",
    fields: &[
        required("metadata", Shape::Map(METADATA)),
        optional("equations", EQUATIONS),
        optional("proof_obligations", list(&Shape::Map(OBLIGATION))),
        optional("implementation_stages", list(&Shape::Map(STAGE))),
        optional("falsification_tests", list(&Shape::Map(FALSIFIER))),
        optional("qa_gate", Shape::Map(QA_GATE)),
        optional("kani_harnesses", list(&Shape::Map(KANI_HARNESS))),
        known("enforcement"),
        known("kernel_structure"),
        known("simd_dispatch"),
        known("falsification"),
        known("preconditions"),
        known("postconditions"),
        known("verification_summary"),
        known("verification"),
        known("invariants"),
        known("type_invariants"),
        known("obligations"),
        known("bindings"),
        known("target_crate"),
        known("architectures"),
        known("formats"),
        known("baseline"),
        known("gap_register"),
        known("kaizen"),
        optional("version", VERSION),
        known("status"),
        known("contract"),
        known("date"),
        known("name"),
        known("title"),
        known("kind"),
        known("scope"),
        known("description"),
        known("notes"),
    ],
    constraints: &[],
});

const METADATA: Map = Map {
    what: "`metadata`",
    fields: &[
        required("version", VERSION),
        required("description", PROSE),
        optional("references", list(&PROSE)),
        optional("depends_on", list(&PROSE)),
        known("id"),
        known("contract"),
        known("title"),
        known("kind"),
        known("created"),
        known("updated"),
        known("last_modified"),
        known("author"),
        known("owner"),
        known("registry"),
        known("status"),
        known("scope"),
        known("part"),
        known("category"),
        known("changelog"),
        known("amendment_history"),
        known("lessons_learned"),
        known("binds_to"),
        known("parent_contracts"),
        known("related_contracts"),
        known("verification"),
        known("proved_type"),
        known("chapter_file"),
        known("critical"),
        known("enforcement_level"),
        known("locked_level"),
        known("aliases"),
    ],
    constraints: &[],
};

/// A mapping from names, or a list of mappings with ids.
const EQUATIONS: Shape = Shape::ByKind {
    text: None,
    list: Some(&list(&Shape::Map(EQUATION))),
    map: Some(&Shape::Table { what: "equations", value: &Shape::Map(EQUATION) }),
};

const EQUATION: Map = Map {
    what: "an equation",
    fields: &[
        required("formula", PROSE),
        known("id"),
        known("name"),
        known("domain"),
        known("codomain"),
        known("invariants"),
        known("preconditions"),
        known("postconditions"),
        known("lean_theorem"),
        known("kani_harness"),
        known("description"),
        known("properties"),
        known("guarantees"),
        known("assumes"),
        known("rationale"),
        known("measured"),
        known("where"),
        known("note"),
        known("notes"),
    ],
    constraints: &[],
};

const OBLIGATION: Map = Map {
    what: "an obligation",
    fields: &[
        optional("id", PROSE),
        required("type", PROSE),
        optional("property", PROSE),
        optional("statement", PROSE),
        known("formal"),
        known("tolerance"),
        known("applies_to"),
        known("applies_to_phase"),
        known("lean"),
        known("requires"),
        known("parent_contract"),
        known("discharged_by"),
        known("enforced_by"),
        known("equation"),
        known("proof_level"),
        known("check"),
        known("severity"),
        known("measurement"),
        known("verification"),
        known("rationale"),
        known("na_reason"),
        known("na_owner"),
        known("note"),
        known("notes"),
    ],
    constraints: &[],
};

const STAGE: Map = Map {
    what: "a stage",
    fields: &[
        required("id", PROSE),
        required("description", PROSE),
        known("status"),
        known("evidence"),
        optional("expected_acceptance", list(&PROSE)),
        known("blockers"),
        known("after"),
        known("notes"),
    ],
    constraints: &[],
};

const FALSIFIER: Map = Map {
    what: "a falsifier",
    fields: &[
        required("id", PROSE),
        required("rule", PROSE),
        required("prediction", PROSE),
        required("if_fails", PROSE),
        known("test"),
        known("test_harness"),
        known("command"),
        known("status"),
        known("reference"),
        known("name"),
        known("description"),
        known("expected"),
        known("expected_output"),
        known("algorithm_evidence"),
        known("mutation"),
        known("binds_to"),
        known("obligation"),
        known("obligations"),
        known("severity"),
        known("falsification_test"),
        known("if_test_passes"),
        known("if_test_fails"),
        known("notes"),
    ],
    constraints: &[],
};

const QA_GATE: Map = Map {
    what: "`qa_gate`",
    fields: &[
        required("id", PROSE),
        required("name", PROSE),
        known("description"),
        known("checks"),
        known("pass_criteria"),
        known("falsification"),
        known("min_coverage"),
        known("max_complexity"),
        known("required_tests"),
        known("coverage_threshold"),
        known("complexity_threshold"),
    ],
    constraints: &[],
};

const KANI_HARNESS: Map = Map {
    what: "a kani harness",
    fields: &[
        required("id", PROSE),
        required("obligation", PROSE),
        known("property"),
        known("bound"),
        known("strategy"),
        known("solver"),
        known("harness"),
        known("description"),
        known("status"),
        known("notes"),
    ],
    constraints: &[],
};

/// A name of a contract in a reference that may be decorated: `apr-x-v1 v1.4.0 (sibling, DRAFT)` is `apr-x-v1`.
#[must_use]
pub fn bare_name(text: &str) -> &str {
    let first = text.split_whitespace().next().unwrap_or_default();
    first.trim_end_matches([',', ';', ':']).trim_end_matches(".yaml").trim_end_matches(".yml")
}

/// The binding that the first line of a prose `test:` spells out, and where in the text the rest starts.
///
/// `cargo test -p P --lib path (11/11 PASS)` names one test and says something about it; a filter, or a command
/// without package, target or path, names none.
#[must_use]
pub fn command(text: &str) -> Option<(TestBinding, usize)> {
    let line = text.split('\n').next().unwrap_or_default();
    let end = line.find(" (").or_else(|| line.find(" #")).unwrap_or(line.len());
    shorthand::parse(&line[..end]).ok().map(|binding| (binding, end))
}
