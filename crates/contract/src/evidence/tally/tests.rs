use super::*;
use crate::claim::{Metric, NanPolicy};

fn claim(metric: Metric, bound: Option<Bound>) -> Claim {
    Claim { metric, bound, why: None, over: BTreeMap::new(), reference: None, nan: NanPolicy::Forbid }
}

fn bound(at_most: Option<f64>, at_least: Option<f64>, equals: Option<f64>) -> Option<Bound> {
    Some(Bound { at_most, at_least, equals, unit: None })
}

fn at_most(value: f64) -> Option<Bound> {
    bound(Some(value), None, None)
}

fn over(mut claim: Claim, sets: &[(&str, &[Cell])]) -> Claim {
    claim.over = sets.iter().map(|(key, values)| ((*key).to_owned(), values.to_vec())).collect();
    claim
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn place(parts: &[(&str, Cell)]) -> Place {
    parts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn reading(value: f64) -> Reading {
    Reading { value, elements: 4, element: Some(2), nan: 0, detail: None }
}

fn cause(judgement: &Judgement) -> Option<Cause> {
    match &judgement.outcome {
        Outcome::Failed { cause, .. } => Some(*cause),
        _ => None,
    }
}

fn judged(claim: Claim, values: &[f64]) -> Judgement {
    let mut tally = Tally::new(claim);
    for value in values {
        tally.enter(Place::new(), None, reading(*value));
    }
    tally.judge()
}

#[test]
fn the_worst_is_kept_wherever_it_stands() {
    for values in [[1e-3, 1.0, 2e-3], [1.0, 1e-3, 2e-3], [2e-3, 1e-3, 1.0]] {
        let judgement = judged(claim(Metric::MaxAbs, at_most(0.5)), &values);
        assert_eq!(judgement.measure.worst, Some(Number(1.0)));
        assert_eq!(cause(&judgement), Some(Cause::Claim));
    }
    let judgement = judged(claim(Metric::Cosine, bound(None, Some(0.99), None)), &[0.999, 0.995, 1.0]);
    assert_eq!(judgement.measure.worst, Some(Number(0.995)));
    assert!(judgement.outcome.is_pass() && judgement.measure.holds());
    let judgement = judged(claim(Metric::Count, bound(None, None, Some(3.0))), &[3.0, 2.0, 3.0]);
    assert_eq!(judgement.measure.worst, Some(Number(2.0)));
    assert_eq!(cause(&judgement), Some(Cause::Claim));
}

#[test]
fn nan_is_the_worst_of_all_and_stays() {
    for values in
        [[f64::NAN, 0.0, f64::INFINITY], [0.0, f64::INFINITY, f64::NAN], [f64::INFINITY, f64::NAN, 0.0]]
    {
        for limit in
            [at_most(f64::INFINITY), bound(None, Some(f64::NEG_INFINITY), None), bound(None, None, Some(0.0))]
        {
            let judgement = judged(claim(Metric::Ratio, limit), &values);
            assert_eq!(judgement.measure.worst, Some(Number(f64::NAN)));
            assert_eq!(cause(&judgement), Some(Cause::Claim));
            assert!(!judgement.measure.holds());
        }
    }
}

#[test]
fn the_bound_itself_holds_and_headroom_is_how_often_the_worst_fits() {
    let judgement = judged(claim(Metric::MaxAbs, at_most(1e-6)), &[1e-6, 2.5e-7]);
    assert!(judgement.outcome.is_pass());
    assert_eq!(judgement.measure.headroom, Some(1.0));
    assert_eq!(judged(claim(Metric::MaxAbs, at_most(1e-6)), &[2.5e-7]).measure.headroom, Some(4.0));
    assert_eq!(
        judged(claim(Metric::Throughput, bound(None, Some(50.0), None)), &[75.0]).measure.headroom,
        Some(1.5)
    );
    assert_eq!(judged(claim(Metric::MaxAbs, at_most(1e-6)), &[0.0]).measure.headroom, None);
    assert_eq!(judged(claim(Metric::Bitwise, None), &[0.0]).measure.headroom, None);
}

#[test]
fn a_yes_or_no_counts_violations() {
    assert!(judged(claim(Metric::Bitwise, None), &[0.0, 0.0]).outcome.is_pass());
    let judgement = judged(claim(Metric::Bitwise, None), &[0.0, 3.0]);
    let Outcome::Failed { message, .. } = &judgement.outcome else { panic!("{judgement:?}") };
    assert_eq!(message, "bitwise violated 3 times at element 2 (1 of 2 outside)");
}

#[test]
fn nothing_compared_is_vacuous_and_other_things_compared_are_misuse() {
    assert_eq!(cause(&judged(claim(Metric::MaxAbs, at_most(1.0)), &[])), Some(Cause::Vacuous));
    let mut tally = Tally::new(claim(Metric::MaxAbs, at_most(1.0)));
    tally.enter(Place::new(), None, Reading { elements: 0, element: None, ..reading(0.0) });
    assert_eq!(cause(&tally.judge()), Some(Cause::Vacuous));
    let mut tally = Tally::new(claim(Metric::MaxAbs, at_most(1.0)));
    tally.check(Place::new(), "shape", true);
    assert_eq!(cause(&tally.judge()), Some(Cause::Misuse));
    let mut tally = Tally::new(claim(Metric::Throughput, bound(None, Some(1.0), None)));
    tally.measure(Place::new(), None, "speed", 3.0, "");
    assert_eq!(cause(&tally.judge()), Some(Cause::Misuse));
}

#[test]
fn a_check_beside_the_metric_can_fail_the_claim() {
    let mut tally = Tally::new(claim(Metric::MaxAbs, at_most(1.0)));
    tally.enter(Place::new(), None, reading(0.5));
    tally.check(Place::new(), "shape", false);
    let judgement = tally.judge();
    assert_eq!(
        judgement.outcome,
        Outcome::Failed { cause: Cause::Claim, message: "shape: does not hold".to_owned() }
    );
    let mut tally = Tally::new(claim(Metric::Predicate, None));
    tally.check(Place::new(), "sorted", true);
    tally.check(Place::new(), "unique", false);
    let judgement = tally.judge();
    let Outcome::Failed { message, .. } = &judgement.outcome else { panic!("{judgement:?}") };
    assert_eq!(message, "unique: does not hold (1 of 2 outside)");
}

#[test]
fn a_measure_counts_under_its_own_name_and_unit_alone() {
    let tokens = Claim {
        bound: Some(Bound {
            at_most: None,
            at_least: Some(50.0),
            equals: None,
            unit: Some("tok/s".to_owned()),
        }),
        ..claim(Metric::Throughput, None)
    };
    let mut tally = Tally::new(tokens.clone());
    tally.measure(Place::new(), None, "load", 3.5, "s");
    tally.measure(Place::new(), None, "throughput", 75.0, "tok/s");
    let judgement = tally.judge();
    assert!(judgement.outcome.is_pass());
    assert_eq!(judgement.measure.also["load"].value, Number(3.5));
    assert_eq!(judgement.measure.comparisons, 1);
    let mut tally = Tally::new(tokens);
    tally.measure(Place::new(), None, "throughput", 75.0, "tok/min");
    assert_eq!(cause(&tally.judge()), Some(Cause::Misuse));
}

#[test]
fn cells_are_counted_and_the_missed_ones_named() {
    let grid = over(
        claim(Metric::MaxAbs, at_most(1.0)),
        &[("case", &[text("ties"), text("random")]), ("n", &[Cell::Int(1), Cell::Int(64), Cell::Float(0.5)])],
    );
    let mut tally = Tally::new(grid.clone());
    for (case, n) in [("ties", Cell::Int(1)), ("ties", Cell::Int(1)), ("random", Cell::Float(64.0))] {
        tally.enter(place(&[("case", text(case)), ("n", n)]), None, reading(0.5));
    }
    // Half a place is a place to report and no cell.
    tally.enter(place(&[("case", text("ties"))]), None, reading(0.5));
    let judgement = tally.judge();
    assert!(judgement.outcome.is_pass());
    assert_eq!((judgement.measure.cells.declared, judgement.measure.cells.hit), (6, 2));
    assert_eq!(judgement.measure.cells.missed.len(), 4);
    assert_eq!(judgement.measure.cells.missed[0], place(&[("case", text("ties")), ("n", Cell::Int(64))]));
    assert!(
        judgement.report[0].starts_with("4 of 6 cells were not reached: case=ties n=64; "),
        "{judgement:?}"
    );

    let mut tally = Tally::new(grid.clone());
    tally.enter(place(&[("cases", text("ties"))]), None, reading(0.5));
    tally.enter(place(&[("case", text("tie"))]), None, reading(0.5));
    let judgement = tally.judge();
    assert_eq!(cause(&judgement), Some(Cause::Misuse));
    assert_eq!(judgement.report[0], "the claim does not range over `cases` (did you mean `case`?)");
    assert_eq!(judgement.report[1], "`case` has no value `tie` in the claim (did you mean `ties`?)");
}

#[test]
fn a_bound_that_is_none_is_a_misuse_whatever_is_compared() {
    for bad in [None, bound(None, None, None), bound(Some(1.0), Some(0.0), None)] {
        assert_eq!(cause(&judged(claim(Metric::MaxAbs, bad), &[0.0])), Some(Cause::Misuse));
    }
    let wide: Vec<Cell> = (0..2000).map(Cell::Int).collect();
    let huge = over(claim(Metric::Finite, None), &[("a", &wide), ("b", &wide)]);
    assert_eq!(cause(&judged(huge, &[0.0])), Some(Cause::Misuse));
}

#[test]
fn a_report_lists_the_first_places_and_counts_the_others() {
    let judgement = judged(claim(Metric::MaxAbs, at_most(0.0)), &[1.0; 20]);
    assert_eq!(judgement.report.len(), LISTED + 1);
    assert_eq!(judgement.report[LISTED], "and 12 more");
    let Outcome::Failed { message, .. } = &judgement.outcome else { panic!("{judgement:?}") };
    assert_eq!(message, "max_abs 1 at element 2, at most 0 claimed (20 of 20 outside)");
}

#[test]
fn parts_of_a_run_add_up_to_one_measure() {
    let grid =
        over(claim(Metric::MaxAbs, at_most(1.0)), &[("n", &[Cell::Int(1), Cell::Int(2), Cell::Int(3)])]);
    let part = |n: i64, value: f64| {
        let mut tally = Tally::new(grid.clone());
        tally.enter(place(&[("n", Cell::Int(n))]), None, reading(value));
        tally.measure(Place::new(), None, &format!("seconds-{n}"), value, "s");
        let Judgement { measure, hit, .. } = tally.judge();
        (measure, hit)
    };
    for order in [[part(1, 0.25), part(3, 0.5)], [part(3, 0.5), part(1, 0.25)]] {
        let merged = merge(&grid, order).unwrap();
        assert_eq!((merged.comparisons, merged.elements), (2, 8));
        assert_eq!(merged.worst, Some(Number(0.5)));
        assert_eq!(merged.at, place(&[("n", Cell::Int(3))]));
        assert_eq!(merged.headroom, Some(2.0));
        assert_eq!(merged.cells, Cells { declared: 3, hit: 2, missed: vec![place(&[("n", Cell::Int(2))])] });
        assert_eq!(merged.also.len(), 2);
    }
    assert_eq!(merge(&grid, []), None);
}
