//! What a contract defines and what it refers to: names with their places, for both dialects.
//!
//! An outline is made from the tree alone, so a file with structural errors has one too and does not make the
//! references of others dangle. It holds all that rules across files need, and little else: it is what a cache
//! keeps of an unchanged file. Whether a reference resolves is not known here.

use crate::date::Date;
use crate::diagnostic::Span;
use crate::legacy;
use crate::walk::Dialect;
use crate::words::words;
use crate::yaml::{Data, Key, Node, Tree};
use serde::{Deserialize, Serialize};

words! {
    /// What a name can be the name of.
    #[derive(PartialOrd, Ord)]
    pub enum Item {
        /// A contract.
        Contract = "contract",
        /// Another name of a contract.
        Alias = "alias",
        /// An equation.
        Equation = "equation",
        /// A proof obligation.
        Obligation = "obligation",
        /// An implementation stage.
        Stage = "stage",
        /// A falsifier.
        Falsifier = "falsifier",
        /// A kani harness.
        Harness = "harness",
        /// A gate.
        Gate = "gate",
    }
}

words! {
    /// What a reference refers to, by the key it stands under.
    #[derive(PartialOrd, Ord)]
    pub enum Link {
        /// A contract that this one builds on.
        DependsOn = "depends_on",
        /// An equation, `all`, or a symbol of a source file.
        AppliesTo = "applies_to",
        /// A stage that comes before.
        After = "after",
        /// A falsifier that a stage waits for.
        Accepts = "accepts",
        /// A file a stage is made of.
        Artifact = "artifacts",
        /// An obligation a falsifier bears on.
        Obligation = "obligations",
        /// A data file a claim is measured against.
        Data = "reference",
        /// A file or glob a claim is about.
        Subject = "subjects",
        /// A host class.
        Host = "hosts",
        /// What a test needs of its host.
        Need = "needs",
        /// A planted fault.
        Fault = "faults",
        /// A file a review is pinned to.
        Pin = "pins",
        /// A falsifier a gate holds.
        Check = "checks",
        /// The obligation of a kani harness.
        Proves = "obligation",
        /// The function of a kani harness.
        Proof = "harness",
    }
}

words! {
    /// What a day puts an end to.
    pub enum Deadline {
        /// A waiver.
        Waiver = "waiver",
        /// A review.
        Review = "review",
    }
}

/// A name that a contract defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// What it names.
    pub item: Item,
    /// The name.
    pub name: Box<str>,
    /// Where.
    pub span: Span,
}

/// A name that a contract mentions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it must be the name of.
    pub link: Link,
    /// The name, without decoration.
    pub name: Box<str>,
    /// Where.
    pub span: Span,
    /// The id of the stage, falsifier or obligation that mentions it.
    pub from: Option<Box<str>>,
}

/// A day after which something no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// What ends.
    pub what: Deadline,
    /// The last day.
    pub until: Date,
    /// Where.
    pub span: Span,
    /// The falsifier.
    pub from: Option<Box<str>>,
}

/// The names of one contract file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The language of the file.
    pub dialect: Dialect,
    /// What it defines, in the order of the tables below and then of the file.
    pub definitions: Vec<Definition>,
    /// What it mentions, likewise.
    pub references: Vec<Reference>,
    /// When what is in it ends.
    pub expiries: Vec<Expiry>,
}

/// What is taken from the places that a path of keys leads to. `*` is every item of a list, or the mapping itself
/// where one may stand for a list; `@` is every key of a mapping.
type Row<T> = (&'static [&'static str], T);

const DEFINITIONS: &[Row<Item>] = &[
    (&["metadata", "id"], Item::Contract),
    (&["metadata", "aliases", "*"], Item::Alias),
    (&["equations", "@"], Item::Equation),
    (&["proof_obligations", "*", "id"], Item::Obligation),
    (&["implementation_stages", "*", "id"], Item::Stage),
    (&["falsification_tests", "*", "id"], Item::Falsifier),
    (&["kani_harnesses", "*", "id"], Item::Harness),
    (&["qa_gate", "id"], Item::Gate),
];

const LEGACY_DEFINITIONS: &[Row<Item>] = &[
    (&["metadata", "id"], Item::Alias),
    (&["equations", "@"], Item::Equation),
    (&["equations", "*", "id"], Item::Equation),
    (&["proof_obligations", "*", "id"], Item::Obligation),
    (&["implementation_stages", "*", "id"], Item::Stage),
    (&["falsification_tests", "*", "id"], Item::Falsifier),
    (&["kani_harnesses", "*", "id"], Item::Harness),
    (&["qa_gate", "id"], Item::Gate),
];

const REFERENCES: &[Row<Link>] = &[
    (&["metadata", "depends_on", "*"], Link::DependsOn),
    (&["proof_obligations", "*", "applies_to"], Link::AppliesTo),
    (&["implementation_stages", "*", "after", "*"], Link::After),
    (&["implementation_stages", "*", "accepts", "*"], Link::Accepts),
    (&["implementation_stages", "*", "artifacts", "*"], Link::Artifact),
    (&["falsification_tests", "*", "obligations", "*"], Link::Obligation),
    (&["falsification_tests", "*", "claim", "reference", "path"], Link::Data),
    (&["falsification_tests", "*", "test", "*", "needs", "*"], Link::Need),
    (&["falsification_tests", "*", "command", "needs", "*"], Link::Need),
    (&["falsification_tests", "*", "hosts", "*"], Link::Host),
    (&["falsification_tests", "*", "subjects", "*"], Link::Subject),
    (&["falsification_tests", "*", "faults", "*"], Link::Fault),
    (&["falsification_tests", "*", "review", "pins", "@"], Link::Pin),
    (&["qa_gate", "checks", "*"], Link::Check),
    (&["kani_harnesses", "*", "obligation"], Link::Proves),
    (&["kani_harnesses", "*", "harness"], Link::Proof),
];

const LEGACY_REFERENCES: &[Row<Link>] = &[
    (&["metadata", "depends_on", "*"], Link::DependsOn),
    (&["implementation_stages", "*", "expected_acceptance", "*"], Link::Accepts),
    (&["kani_harnesses", "*", "obligation"], Link::Proves),
];

const EXPIRIES: &[Row<Deadline>] = &[
    (&["falsification_tests", "*", "waiver", "until"], Deadline::Waiver),
    (&["falsification_tests", "*", "review", "expires"], Deadline::Review),
];

impl Outline {
    /// The outline of a document.
    #[must_use]
    pub fn of(tree: &Tree, dialect: Dialect) -> Self {
        let (definitions, references, expiries) = match dialect {
            Dialect::Schema1 => (DEFINITIONS, REFERENCES, EXPIRIES),
            Dialect::Legacy => (LEGACY_DEFINITIONS, LEGACY_REFERENCES, &[][..]),
        };
        let mut outline =
            Self { dialect, definitions: Vec::new(), references: Vec::new(), expiries: Vec::new() };
        for (path, item) in definitions {
            visit(&tree.root, path, None, &mut |name, span, _| {
                outline.definitions.push(Definition { item: *item, name: name.into(), span });
            });
        }
        for (path, link) in references {
            visit(&tree.root, path, None, &mut |name, span, from| {
                let name = match dialect {
                    Dialect::Schema1 => name,
                    Dialect::Legacy => legacy::bare_name(name),
                };
                let from = from.map(Into::into);
                outline.references.push(Reference { link: *link, name: name.into(), span, from });
            });
        }
        for (path, what) in expiries {
            visit(&tree.root, path, None, &mut |day, span, from| {
                // What is no day is a structural finding already.
                if let Ok(until) = Date::parse(day) {
                    outline.expiries.push(Expiry { what: *what, until, span, from: from.map(Into::into) });
                }
            });
        }
        outline
    }

    /// The names of one kind that the contract defines.
    pub fn defined(&self, item: Item) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(move |definition| definition.item == item)
    }

    /// The references of one kind.
    pub fn referring(&self, link: Link) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(move |reference| reference.link == link)
    }
}

/// Call `found` with every text that a path leads to and the id of the nearest list item around it.
fn visit<'n>(
    node: &'n Node,
    path: &[&str],
    from: Option<&'n str>,
    found: &mut impl FnMut(&'n str, Span, Option<&'n str>),
) {
    let Some((step, rest)) = path.split_first() else {
        if let Data::Text(text) = &node.data {
            found(text, node.span, from);
        }
        return;
    };
    match (*step, &node.data) {
        ("*", Data::List(items)) => {
            for item in items {
                visit(item, rest, item.get("id").and_then(Node::text).or(from), found);
            }
        }
        // One binding may stand where a list of them may.
        ("*", Data::Map(_)) => visit(node, rest, from, found),
        ("@", Data::Map(entries)) => {
            for Key { span, text } in entries.iter().map(|entry| &entry.key) {
                found(text, *span, from);
            }
        }
        (key, Data::Map(_)) => {
            if let Some(value) = node.get(key) {
                visit(value, rest, from, found);
            }
        }
        _ => {}
    }
}
