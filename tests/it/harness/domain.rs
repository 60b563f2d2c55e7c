//! The cases of generated tests: what they range over, and which failing one is kept.

use contract::claim::{Bound, Cell, Metric, NanPolicy};
use contract::evidence::Outcome;
use falsify::{Case, Claim, Domain, Size, falsifier};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const DOMAIN: Domain = Domain {
    sizes: &[
        Size { name: "cols", from: 8, to: 96, step: 8, boundary: &[8, 16, 88, 96] },
        Size { name: "rows", from: 1, to: 50, step: 1, boundary: &[1, 2, 49, 50] },
    ],
    cases: 40,
    seed: 11,
};

/// A claim over two cells, each value of which may be off by at most one half.
fn inner() -> Claim {
    let over = BTreeMap::from([("kind".to_owned(), vec![Cell::from("plain"), Cell::from("odd")])]);
    let bound = Some(Bound { at_most: Some(0.5), at_least: None, equals: None, unit: None });
    let (why, reference, nan) = (None, None, NanPolicy::Forbid);
    Claim::new(contract::claim::Claim { metric: Metric::MaxAbs, bound, why, over, reference, nan })
}

type Asked = (String, usize, usize, u64);

fn asked(case: &Case) -> Asked {
    let word = case.word("kind").expect("a cell");
    (word.to_owned(), case.size("rows").expect("rows"), case.size("cols").expect("cols"), case.seed())
}

#[falsifier("FALSIFY-GENERATE-001")]
fn every_end_is_asked_for(claim: &mut Claim) {
    let run = || {
        let cases = RefCell::new(Vec::new());
        let mut handle = inner();
        let ended = DOMAIN.explore(&mut handle, |case| {
            cases.borrow_mut().push(asked(case));
            Ok::<_, String>(([1.0_f32], [1.0_f32]))
        });
        assert!(ended.is_ok() && handle.judge().outcome == Outcome::Passed, "nothing fails here");
        cases.into_inner()
    };
    let cases = run();
    let places: BTreeSet<_> =
        cases.iter().map(|(kind, rows, cols, _)| (kind.as_str(), *rows, *cols)).collect();
    for kind in ["plain", "odd"] {
        for rows in [1, 2, 49, 50] {
            for cols in [8, 16, 88, 96] {
                let is_there = places.contains(&(kind, rows, cols));
                claim.at("what", "ends").check(&format!("{kind}, {rows} rows, {cols} columns"), is_there);
            }
        }
    }
    let within =
        |(_, rows, cols, _): &Asked| (1..=50).contains(rows) && (8..=96).contains(cols) && cols % 8 == 0;
    claim.at("what", "within").check("every case lies in its ranges", cases.iter().all(within));
    let counted = cases.len() == 2 * 4 * 4 + 40;
    claim.at("what", "within").check("the ends once each, and as many drawn as asked for", counted);
    claim.at("what", "repeated").check("a seed draws the same cases", run() == cases);
}

/// What fails: odd cases from 20 rows and 40 columns on.
fn fails(case: &Case) -> bool {
    let (kind, rows, cols, _) = asked(case);
    kind == "odd" && rows >= 20 && cols >= 40
}

#[falsifier("FALSIFY-GENERATE-002")]
fn the_smallest_failing_case_is_kept(claim: &mut Claim) {
    // No end fails, so that it is a drawn case that does.
    let sizes: Vec<Size> = DOMAIN.sizes.iter().map(|size| Size { boundary: &[8], ..*size }).collect();
    let domain = Domain { sizes: sizes.leak(), ..DOMAIN };
    let smallest = BTreeMap::from([
        ("kind".to_owned(), Cell::from("odd")),
        ("rows".to_owned(), Cell::from(20)),
        ("cols".to_owned(), Cell::from(40)),
        ("seed".to_owned(), Cell::from(0)),
    ]);
    for failure in ["outside", "refused", "panicked"] {
        let mut handle = inner();
        let ended = domain.explore(&mut handle, |case| match (fails(case), failure) {
            (false, _) => Ok(([1.0_f32], [1.0_f32])),
            (true, "outside") => Ok(([1.0], [2.0])),
            (true, "refused") => Err("too large".to_owned()),
            (true, _) => std::panic::panic_any("too large"),
        });
        let judgement = handle.judge();
        let found = &judgement.measure.counterexample;
        let at = claim.at("failure", failure);
        at.check(&format!("the counterexample is {found:?}"), *found == smallest);
        let told = match ended {
            Ok(()) => failure == "outside" && !judgement.outcome.is_pass(),
            Err(error) => failure != "outside" && error.to_string().contains("cols=40 kind=odd rows=20"),
        };
        claim.at("failure", failure).check("it is told", told);
    }
}
