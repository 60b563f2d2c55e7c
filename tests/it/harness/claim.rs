//! What the claim handle promises: inner claims are given to it and their judgement is looked at.

use contract::claim::{Bound, Cell, Metric, NanPolicy};
use contract::evidence::{Cause, Outcome};
use falsify::{Claim, Judgement, falsifier};
use std::collections::BTreeMap;

fn inner(metric: Metric, bound: Option<Bound>) -> contract::claim::Claim {
    contract::claim::Claim {
        metric,
        bound,
        why: None,
        over: BTreeMap::new(),
        reference: None,
        nan: NanPolicy::Forbid,
    }
}

/// A bound that everything but a NaN holds.
fn any(metric: Metric) -> Option<Bound> {
    let none = Bound { at_most: None, at_least: None, equals: None, unit: None };
    match metric.info().better {
        None => None,
        Some(contract::claim::Better::Smaller) => Some(Bound { at_most: Some(f64::INFINITY), ..none }),
        Some(contract::claim::Better::Larger) => Some(Bound { at_least: Some(f64::NEG_INFINITY), ..none }),
    }
}

fn judged(claim: contract::claim::Claim, body: impl FnOnce(&mut Claim)) -> Judgement {
    let mut handle = Claim::new(claim);
    body(&mut handle);
    handle.judge()
}

fn cause(judgement: &Judgement) -> Option<Cause> {
    match &judgement.outcome {
        Outcome::Failed { cause, .. } => Some(*cause),
        _ => None,
    }
}

/// The metric that a cell of the domain names.
fn metric(cell: &Cell) -> Metric {
    Metric::from_name(&cell.to_string()).expect("the contract names metrics")
}

#[falsifier("FALSIFY-CLAIM-001")]
fn nan_is_refused(claim: &mut Claim) {
    let (plain, nan) = ([1.0_f32, 2.0, 3.0], [1.0_f32, f32::NAN, 3.0]);
    for name in claim.over("metric") {
        for side in claim.over("side") {
            let (expected, actual) = match side.to_string().as_str() {
                "expected" => (&nan, &plain),
                "actual" => (&plain, &nan),
                _ => (&nan, &nan),
            };
            let judgement = judged(inner(metric(&name), any(metric(&name))), |inner| {
                inner.compare(&plain, &plain);
                inner.compare(expected, actual);
            });
            let refused = cause(&judgement) == Some(Cause::Claim) && judgement.measure.nan > 0;
            claim.at("metric", &name).at("side", &side).check("a NaN is refused and counted", refused);
        }
    }
}

#[falsifier("FALSIFY-CLAIM-002")]
fn lengths_are_compared(claim: &mut Claim) {
    let whole = [1.0_f32, 2.0, 3.0];
    for name in claim.over("metric") {
        // Any finite bound: a difference of lengths is beyond all of them.
        let bound = any(metric(&name)).map(|bound| match bound.at_most {
            Some(_) => Bound { at_most: Some(f64::MAX), ..bound },
            None => Bound { at_least: Some(-f64::MAX), ..bound },
        });
        for (expected, actual) in
            [(&whole[..], &whole[..2]), (&whole[..2], &whole[..]), (&whole[..], &[][..])]
        {
            let judgement =
                judged(inner(metric(&name), bound.clone()), |inner| inner.compare(expected, actual));
            let what = format!("{} against {} elements", expected.len(), actual.len());
            claim.at("metric", &name).check(&what, cause(&judgement) == Some(Cause::Claim));
        }
    }
}

#[falsifier("FALSIFY-CLAIM-003")]
fn one_bad_comparison_refutes(claim: &mut Claim) {
    let bound = Some(Bound { at_most: Some(0.5), at_least: None, equals: None, unit: None });
    let places = 4_usize;
    let verdicts: Vec<bool> = (0..places)
        .map(|bad| {
            let judgement = judged(inner(Metric::MaxAbs, bound.clone()), |inner| {
                for at in 0..places {
                    inner.compare(&0.0_f64, &if at == bad { 1.0 } else { 0.25 });
                }
            });
            cause(&judgement) == Some(Cause::Claim)
                && judgement.measure.worst.is_some_and(|worst| worst.0 == 1.0)
        })
        .collect();
    // One comparison for all places: a verdict that later ones undo would undo this one too.
    claim.compare(&[true; 4], &verdicts);
}

/// A generator whose sequence is known: xorshift64*, Marsaglia and Vigna.
struct Noise(u64);

impl Noise {
    /// A value in [-1, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// The formula of a metric, term by term, as the contract's equations have it.
fn formula(metric: Metric, e: &[f64], a: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| e.iter().zip(a).map(|(e, a)| f(*e, *a)).sum::<f64>();
    let softmax = |x: &[f64]| {
        let total: f64 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| x.exp() / total).collect::<Vec<_>>()
    };
    let nmse = sum(&|e, a| (a - e) * (a - e)) / sum(&|e, _| e * e);
    match metric {
        Metric::MaxAbs => e.iter().zip(a).map(|(e, a)| (a - e).abs()).fold(0.0, f64::max),
        Metric::Nmse => nmse,
        Metric::RelL2 => nmse.sqrt(),
        Metric::Cosine => sum(&|e, a| e * a) / (sum(&|e, _| e * e).sqrt() * sum(&|_, a| a * a).sqrt()),
        Metric::Kl => softmax(e).iter().zip(softmax(a)).map(|(p, q)| p * (p.ln() - q.ln())).sum(),
        Metric::Sum => (sum(&|e, _| e) - sum(&|_, a| a)).abs(),
        // The contract lists no other; NaN fails.
        _ => f64::NAN,
    }
}

#[falsifier("FALSIFY-CLAIM-004")]
fn metrics_are_their_formulas(claim: &mut Claim) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for size in claim.over("n") {
        let n: usize = size.to_string().parse().expect("a size");
        let e: Vec<f64> = (0..n).map(|_| noise.next()).collect();
        let a: Vec<f64> = e.iter().map(|e| e * (1.0 + 0.25 * noise.next())).collect();
        for name in claim.over("metric") {
            let metric = metric(&name);
            let judgement = judged(inner(metric, any(metric)), |inner| inner.compare(&e, &a));
            let got = judgement.measure.worst.map_or(f64::NAN, |worst| worst.0);
            // A divergence and a sum of noise can be tiny; against one they are compared absolutely.
            let shift = if matches!(metric, Metric::Kl | Metric::Sum) { 1.0 } else { 0.0 };
            claim
                .at("metric", &name)
                .at("n", &size)
                .compare(&(formula(metric, &e, &a) + shift), &(got + shift));
        }
    }
}

#[falsifier("FALSIFY-CLAIM-005")]
fn another_claim_is_misuse(claim: &mut Claim) {
    let bound = |unit: Option<&str>| {
        Some(Bound { at_most: Some(1.0), at_least: None, equals: None, unit: unit.map(str::to_owned) })
    };
    let mut over = inner(Metric::MaxAbs, bound(None));
    over.over.insert("case".to_owned(), vec![Cell::from("ties")]);
    type Body = fn(&mut Claim);
    let mistakes: [(&str, contract::claim::Claim, Body); 7] = [
        ("unit", inner(Metric::Latency, bound(Some("ms"))), |c| c.measure("latency", 0.5, "s")),
        ("name", inner(Metric::Latency, bound(Some("ms"))), |c| c.measure("time", 0.5, "ms")),
        ("key", over.clone(), |c| c.at("cases", "ties").compare(&1.0_f64, &1.0_f64)),
        ("value", over, |c| c.at("case", "tie").compare(&1.0_f64, &1.0_f64)),
        ("bound", inner(Metric::MaxAbs, None), |c| c.compare(&1.0_f64, &1.0_f64)),
        ("operand", inner(Metric::MaxAbs, bound(None)), |c| c.compare("a", "a")),
        ("check-alone", inner(Metric::MaxAbs, bound(None)), |c| c.check("shape", true)),
    ];
    for (mistake, inner, body) in mistakes {
        let judgement = judged(inner, body);
        claim.at("mistake", mistake).check("is misuse", cause(&judgement) == Some(Cause::Misuse));
    }
}

#[falsifier("FALSIFY-CLAIM-006")]
fn nothing_compared_is_vacuous(claim: &mut Claim) {
    type Body = fn(&mut Claim);
    let bodies: [(&str, Body); 3] = [
        ("empty", |_| ()),
        ("empty-operands", |c| c.compare::<[f32], [f32]>(&[], &[])),
        ("assertion", |c| assert!(c.over("nothing").is_empty())),
    ];
    for (name, body) in bodies {
        let judgement = judged(inner(Metric::MaxAbs, any(Metric::MaxAbs)), body);
        claim.at("body", name).check("is vacuous", cause(&judgement) == Some(Cause::Vacuous));
    }
}

#[falsifier("FALSIFY-CLAIM-007")]
fn cells_are_counted(claim: &mut Claim) {
    let mut grid = inner(Metric::Predicate, None);
    grid.over.insert("case".to_owned(), ["a", "b"].map(Cell::from).to_vec());
    grid.over.insert("n".to_owned(), [1, 2, 3].map(Cell::Int).to_vec());
    let judgement = judged(grid, |inner| {
        inner.at("case", "a").at("n", 1).check("x", true);
        inner.at("case", "b").at("n", 3).check("x", true);
        inner.at("case", "b").at("n", 3).check("x", true);
        // Half a place is no cell.
        inner.at("case", "b").check("x", true);
        inner.at("n", 2).check("x", true);
    });
    let cells = judgement.measure.cells;
    let missed: Vec<String> =
        cells.missed.iter().map(|cell| format!("{}{}", cell["case"], cell["n"])).collect();
    claim.on("cells declared and reached").compare(&[6_u64, 2], &[cells.declared, cells.hit]);
    claim.on("cells missed").compare(&["a2", "a3", "b1", "b2"], &missed);
}
