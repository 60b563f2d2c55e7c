use super::*;
use crate::operand::Operand;
use contract::claim::METRICS;

fn reading<E: Operand + ?Sized, A: Operand + ?Sized>(metric: Metric, e: &E, a: &A) -> Reading {
    read(metric, NanPolicy::Forbid, e.view(), a.view()).unwrap()
}

fn value<E: Operand + ?Sized, A: Operand + ?Sized>(metric: Metric, e: &E, a: &A) -> f64 {
    reading(metric, e, a).value
}

/// Close enough to a value computed by hand: a few roundings of f64.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-15 * b.abs().max(1.0)
}

/// The metrics that compare floating-point vectors of equal length.
const OF_FLOATS: &[Metric] = &[
    Metric::Bitwise,
    Metric::Ulp,
    Metric::MaxAbs,
    Metric::RelL2,
    Metric::Nmse,
    Metric::Cosine,
    Metric::Kl,
    Metric::Argmax,
    Metric::Sum,
    Metric::Count,
    Metric::Predicate,
];

/// What the metric gives for a perfect match.
fn perfect(metric: Metric) -> f64 {
    if metric == Metric::Cosine { 1.0 } else { 0.0 }
}

#[test]
fn values_by_hand() {
    let (e, a) = ([3.0_f32, -4.0], [3.0_f32, -2.0]);
    assert_eq!(value(Metric::MaxAbs, &e, &a), 2.0);
    assert_eq!(value(Metric::Nmse, &e, &a), 4.0 / 25.0);
    assert_eq!(value(Metric::RelL2, &e, &a), 2.0 / 5.0);
    assert!(near(value(Metric::Cosine, &e, &a), 17.0 / (5.0 * 13.0_f64.sqrt())));
    assert_eq!(value(Metric::Sum, &e, &a), 2.0);
    assert_eq!(value(Metric::Count, &e, &a), 1.0);
    assert_eq!(value(Metric::Argmax, &e, &a), 0.0);
    assert_eq!(value(Metric::Argmax, &[1.0_f32, 2.0], &[2.0_f32, 1.0]), 1.0);
    // KL((1/2, 1/2) || (3/4, 1/4)) = ln 2 - ln(3)/2.
    let kl = value(Metric::Kl, &[0.0_f64, 0.0], &[3.0_f64.ln(), 0.0]);
    assert!(near(kl, 2.0_f64.ln() - 0.5 * 3.0_f64.ln()), "{kl}");
    assert_eq!(value(Metric::Sum, &1.0_f64, &[0.25_f32, 0.25, 0.5]), 0.0);
    assert_eq!(value(Metric::TopkSet, &[3_u32, 1, 2], &[1_u32, 2, 3]), 0.0);
    assert_eq!(value(Metric::TopkSet, &[3_u32, 1, 2], &[1_u32, 2, 4]), 1.0);
    assert_eq!(value(Metric::TopkSet, &[1_u32, 1, 2], &[1_u32, 2, 2]), 1.0);
}

#[test]
fn ulps_are_neighbours() {
    let one = 1.0_f32;
    assert_eq!(value(Metric::Ulp, &one, &one.next_up()), 1.0);
    assert_eq!(value(Metric::Ulp, &one.next_down(), &one.next_up()), 2.0);
    assert_eq!(value(Metric::Ulp, &0.0_f32, &-0.0_f32), 0.0);
    assert_eq!(value(Metric::Ulp, &f32::from_bits(1), &-f32::from_bits(1)), 2.0);
    assert_eq!(value(Metric::Ulp, &f32::MAX, &f32::INFINITY), f64::INFINITY);
    assert_eq!(value(Metric::Ulp, &f32::INFINITY, &f32::INFINITY), 0.0);
    assert_eq!(value(Metric::Ulp, &1.0_f64, &1.0_f64.next_up()), 1.0);
    // A reference in f64 is rounded to the type under test.
    assert_eq!(value(Metric::Ulp, &0.1_f64, &0.1_f32), 0.0);
    assert_eq!(value(Metric::Ulp, &0.1_f64, &0.1_f32.next_up()), 1.0);
    assert_eq!(value(Metric::Ulp, &1e300_f64, &f32::MAX), f64::INFINITY);
}

#[test]
fn a_perfect_match_is_perfect_for_every_vector() {
    let vectors: [&[f32]; 6] = [
        &[1.0, -2.0, 3.5],
        &[0.0, 0.0],
        &[-0.0, 0.0],
        &[f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)],
        &[1e30, 1e-30],
        &[-7.0],
    ];
    for vector in vectors {
        for metric in OF_FLOATS {
            let got = value(*metric, vector, vector);
            // A cosine is a quotient of roundings.
            assert!(near(got, perfect(*metric)), "{metric:?} of {vector:?} with itself is {got}");
        }
    }
}

#[test]
fn infinities_agree_with_themselves_alone() {
    let (e, same, other) = ([f32::INFINITY, 1.0], [f32::INFINITY, 1.0], [f32::NEG_INFINITY, 1.0]);
    let finite = [f32::MAX, 1.0];
    for metric in [
        Metric::Bitwise,
        Metric::Ulp,
        Metric::MaxAbs,
        Metric::RelL2,
        Metric::Nmse,
        Metric::Sum,
        Metric::Count,
    ] {
        assert_eq!(value(metric, &e, &same), 0.0, "{metric:?}");
        for wrong in [&other, &finite] {
            let got = value(metric, &e, wrong);
            assert!(got > 0.9, "{metric:?} of {e:?} and {wrong:?} is {got}");
        }
    }
    // An equal infinity in the reference hides no other difference.
    assert_eq!(value(Metric::Nmse, &[f32::INFINITY, 1.0], &[f32::INFINITY, 2.0]), 1.0);
    assert!(value(Metric::Cosine, &e, &same).is_nan());
    assert!(value(Metric::Kl, &e, &same).is_nan());
    assert_eq!(value(Metric::Kl, &[f64::NEG_INFINITY, 0.0], &[f64::NEG_INFINITY, 0.0]), 0.0);
    assert_eq!(value(Metric::Kl, &[0.0, 0.0], &[f64::NEG_INFINITY, 0.0]), f64::INFINITY);
}

#[test]
fn zero_against_zero_matches_and_against_something_does_not() {
    let (zero, some) = ([0.0_f32, -0.0], [0.0_f32, 1e-30]);
    for metric in [Metric::MaxAbs, Metric::RelL2, Metric::Nmse] {
        assert_eq!(value(metric, &zero, &[0.0_f32, 0.0]), 0.0, "{metric:?}");
        assert!(value(metric, &zero, &some) > 0.0, "{metric:?}");
    }
    assert_eq!(value(Metric::RelL2, &zero, &some), f64::INFINITY);
    assert_eq!(value(Metric::Cosine, &zero, &zero), 1.0);
    assert_eq!(value(Metric::Cosine, &zero, &some), 0.0);
    assert_eq!(value(Metric::Cosine, &some, &zero), 0.0);
    assert_eq!(value(Metric::Bitwise, &zero, &[0.0_f32, 0.0]), 1.0);
}

#[test]
fn neither_huge_nor_tiny_elements_overflow_or_vanish() {
    for scale in [1e-300_f64, 1e-30, 1.0, 1e30, 1e300] {
        let (e, a) = ([3.0 * scale, -4.0 * scale], [3.0 * scale, -2.0 * scale]);
        for (metric, expected) in [(Metric::Nmse, 0.16), (Metric::RelL2, 0.4)] {
            let got = value(metric, &e, &a);
            assert!((got - expected).abs() < 1e-14, "{metric:?} at {scale:e} is {got}");
        }
        let cosine = value(Metric::Cosine, &e, &a);
        assert!((cosine - 17.0 / (5.0 * 13.0_f64.sqrt())).abs() < 1e-14, "cosine at {scale:e} is {cosine}");
    }
    // 1 + 1e100 + 1 - 1e100 is 2 and not 0.
    assert_eq!(value(Metric::Sum, &2.0_f64, &[1.0, 1e100, 1.0, -1e100]), 0.0);
}

#[test]
fn a_forbidden_nan_is_the_value_of_every_metric() {
    let (plain, nan) = ([1.0_f32, 2.0, 3.0], [1.0_f32, f32::NAN, 3.0]);
    for metric in OF_FLOATS {
        for (e, a) in [(&plain, &nan), (&nan, &plain), (&nan, &nan)] {
            let got = reading(*metric, e, a);
            assert!(got.value.is_nan(), "{metric:?} of {e:?} and {a:?} is {}", got.value);
            assert!(got.nan > 0);
        }
    }
    assert_eq!(reading(Metric::MaxAbs, &plain, &nan).element, Some(1));
}

#[test]
fn a_matching_nan_agrees_under_its_policy_and_a_lone_one_does_not() {
    let with = |metric, e: &[f32], a: &[f32]| read(metric, NanPolicy::Match, e.view(), a.view()).unwrap();
    let nan = f32::NAN;
    for metric in OF_FLOATS.iter().filter(|m| **m != Metric::Sum) {
        let both = with(*metric, &[nan, 2.0, 1.0], &[nan, 2.0, 1.0]);
        assert!(near(both.value, perfect(*metric)), "{metric:?} is {}", both.value);
        assert_eq!(both.nan, 2);
        for (e, a) in [([nan, 2.0], [1.0, 2.0]), ([1.0, 2.0], [nan, 2.0])] {
            assert!(with(*metric, &e, &a).value.is_nan(), "{metric:?} of {e:?} and {a:?}");
        }
    }
    // The others are still compared.
    assert_eq!(with(Metric::MaxAbs, &[nan, 2.0], &[nan, 5.0]).value, 3.0);
    assert!(with(Metric::Sum, &[nan], &[nan]).value.is_nan());
}

#[test]
fn different_lengths_are_as_far_apart_as_can_be_said() {
    let (long, short) = ([1.0_f32, 2.0], [1.0_f32]);
    for metric in OF_FLOATS {
        for (e, a) in [(&long[..], &short[..]), (&short[..], &long[..]), (&long[..], &[][..])] {
            if *metric == Metric::Sum && e.len() == 1 {
                continue;
            }
            let got = value(*metric, e, a);
            let furthest = if *metric == Metric::Cosine { f64::NEG_INFINITY } else { f64::INFINITY };
            assert_eq!(got, furthest, "{metric:?} of {e:?} and {a:?}");
        }
    }
}

#[test]
fn whole_numbers_and_texts_are_compared_exactly() {
    assert_eq!(value(Metric::MaxAbs, &[u64::MAX], &[u64::MAX - 1]), 1.0);
    assert_eq!(value(Metric::MaxAbs, &[i64::MIN], &[i64::MAX]), 2.0_f64.powi(64));
    assert_eq!(value(Metric::Bitwise, &[1_u8, 2, 3], &[1_u8, 2, 4]), 1.0);
    assert_eq!(value(Metric::Bitwise, "abc", "abd"), 1.0);
    assert_eq!(value(Metric::Predicate, &["a", "b"], &vec!["a".to_owned(), "c".to_owned()]), 1.0);
    assert_eq!(value(Metric::Predicate, &3_usize, &3_u8), 0.0);
    assert_eq!(value(Metric::Predicate, &true, &false), 1.0);
    let report = reading(Metric::Predicate, "one\ntwo", "one\nTwo");
    assert_eq!(report.detail.as_deref(), Some("expected \"two\", got \"Two\""));
}

#[test]
fn finite_counts_what_is_not() {
    let got = finite([1.0_f32, f32::INFINITY, f32::NAN].view()).unwrap();
    assert_eq!((got.value, got.nan, got.elements, got.element), (2.0, 1, 3, Some(1)));
    assert_eq!(value(Metric::Finite, &[1.0_f32], &[f32::NAN, 1.0]), 1.0);
    assert!(finite([1_u8].view()).is_err());
}

#[test]
fn a_metric_refuses_what_it_cannot_measure() {
    let refusal =
        |metric, e: View<'_>, a: View<'_>| read(metric, NanPolicy::Forbid, e, a).unwrap_err().to_string();
    let (f, i, t) = ([1.0_f32], [1_i32], ["a"]);
    assert_eq!(
        refusal(Metric::Bitwise, f.view(), [1.0_f64].view()),
        "bitwise compares operands of one type, not f32 with f64"
    );
    assert_eq!(
        refusal(Metric::Ulp, i.view(), i.view()),
        "ulp compares floating-point numbers, not whole numbers"
    );
    assert_eq!(refusal(Metric::TopkSet, f.view(), f.view()), "topk_set compares indices, not f32");
    assert_eq!(refusal(Metric::MaxAbs, t.view(), t.view()), "max_abs compares numbers, not texts");
    for metric in [Metric::Throughput, Metric::Latency, Metric::Memory, Metric::Ratio] {
        let seen = refusal(metric, f.view(), f.view());
        assert!(seen.contains("is measured, not compared"), "{seen}");
    }
    assert_eq!(
        refusal(Metric::Bitwise, [1_u8].view(), [1_i8].view()),
        "bitwise compares operands of one type, not whole numbers"
    );
}

/// Every metric of the table is either compared or measured; a new row without code is found here.
#[test]
fn every_metric_does_something() {
    let (e, a) = ([1.0_f64, 2.0], [1.0_f64, 2.5]);
    for info in METRICS {
        let floats = read(info.metric, NanPolicy::Forbid, e.view(), a.view());
        let ints = read(info.metric, NanPolicy::Forbid, [1_u32].view(), [2_u32].view());
        let measured = matches!(floats, Err(MetricError::Measured { .. }));
        assert!(measured || floats.is_ok() || ints.is_ok(), "{}", info.name);
    }
}
