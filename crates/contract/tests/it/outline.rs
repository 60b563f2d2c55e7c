//! Outlines hold every name that rules across files look at.

use contract::load;
use contract::outline::{Deadline, Item, Link, Outline};
use contract::source::Source;

fn outline(text: &str) -> (Outline, Source) {
    let loaded = load::read(Source::new("moe-router-v1.yaml", text));
    (Outline::of(loaded.tree.as_ref().unwrap(), loaded.dialect), loaded.source)
}

#[test]
fn a_contract_of_schema_1() {
    let text = include_str!("data/moe-router-v1.yaml").replace(
        "  faults: {none: the order is fixed by the sort}",
        "  waiver: {reason: r, until: '2026-12-31'}\n  review: {expires: '2027-01-01'}",
    );
    let (outline, source) = outline(&text);
    let defined: Vec<(Item, &str)> = outline.definitions.iter().map(|d| (d.item, &*d.name)).collect();
    assert_eq!(
        defined,
        [
            (Item::Contract, "moe-router-v1"),
            (Item::Equation, "route"),
            (Item::Obligation, "OBL-ROUTER-REF"),
            (Item::Stage, "M-ROUTER-1"),
            (Item::Falsifier, "FALSIFY-MOE-ROUTER-001"),
            (Item::Falsifier, "FALSIFY-MOE-ROUTER-002"),
        ]
    );
    let referring: Vec<(Link, &str, Option<&str>)> =
        outline.references.iter().map(|r| (r.link, &*r.name, r.from.as_deref())).collect();
    assert_eq!(
        referring,
        [
            (Link::AppliesTo, "crates/model/src/route.rs::route", Some("OBL-ROUTER-REF")),
            (Link::Accepts, "FALSIFY-MOE-ROUTER-001", Some("M-ROUTER-1")),
            (Link::Artifact, "crates/model/src/route.rs", Some("M-ROUTER-1")),
            (Link::Obligation, "OBL-ROUTER-REF", Some("FALSIFY-MOE-ROUTER-001")),
            (Link::Data, "tests/data/router.safetensors", Some("FALSIFY-MOE-ROUTER-001")),
            (Link::Host, "cpu", Some("FALSIFY-MOE-ROUTER-001")),
            (Link::Subject, "crates/model/src/route.rs", Some("FALSIFY-MOE-ROUTER-001")),
            (Link::Subject, "tests/data/router.safetensors", Some("FALSIFY-MOE-ROUTER-001")),
            (Link::Fault, "router-skip-renorm", Some("FALSIFY-MOE-ROUTER-001")),
        ]
    );
    let ends: Vec<(Deadline, String)> =
        outline.expiries.iter().map(|e| (e.what, e.until.to_string())).collect();
    assert_eq!(
        ends,
        [(Deadline::Waiver, "2026-12-31".to_owned()), (Deadline::Review, "2027-01-01".to_owned())]
    );
    for definition in &outline.definitions {
        assert_eq!(source.slice(definition.span), &*definition.name);
    }
}

#[test]
fn a_legacy_contract_loses_its_decoration() {
    let (outline, source) = outline(
        "metadata:\n  version: 1\n  depends_on:\n  - 'apr-x-v1 v1.4.0 (sibling, DRAFT)'\n\
         implementation_stages:\n- id: M-1\n  expected_acceptance: [FALSIFY-A-1 (again)]\n",
    );
    let names: Vec<(Link, &str)> = outline.references.iter().map(|r| (r.link, &*r.name)).collect();
    assert_eq!(names, [(Link::DependsOn, "apr-x-v1"), (Link::Accepts, "FALSIFY-A-1")]);
    assert_eq!(source.slice(outline.references[0].span), "'apr-x-v1 v1.4.0 (sibling, DRAFT)'");
}
