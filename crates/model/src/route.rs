//! The router's rule: which experts, with what weights, by what margin. Knows no backend.

use crate::config::Experts;
use crate::numerics;
use fault::fault;

/// Chooses experts for one row of router logits: the `used` largest, ties to the lower index, best first.
///
/// The weights are the softmax over all experts at the chosen ones, divided by their sum (added in rank order) where
/// the model renormalizes. Returns the margin: by how much the last chosen logit beats the best one left out; infinite
/// when none is left out. A NaN among the logits makes every weight and the margin NaN, never a finite choice.
///
/// `order` is scratch; `ids` and `weights` hold `used` elements.
pub fn choose(
    logits: &[f32],
    experts: &Experts,
    order: &mut Vec<u32>,
    ids: &mut [u32],
    weights: &mut [f32],
) -> f32 {
    order.clear();
    order.extend(0..logits.len() as u32);
    // A NaN has no rank; it goes last so that the ids stay valid, and the weights tell.
    order.sort_unstable_by(|&a, &b| {
        let (x, y) = (logits[a as usize], logits[b as usize]);
        let rank = match y.partial_cmp(&x) {
            Some(rank) => rank,
            None => x.is_nan().cmp(&y.is_nan()),
        };
        rank.then(if fault!("router-tie-highest") { b.cmp(&a) } else { a.cmp(&b) })
    });
    ids.copy_from_slice(&order[..ids.len()]);
    if fault!("router-swap-expert") && ids.len() > 1 {
        ids.swap(0, 1);
    }

    let largest = if fault!("router-no-max") { 0.0 } else { numerics::max(logits) };
    let mut lanes = [0.0; numerics::SUM_LANES];
    for (i, &x) in logits.iter().enumerate() {
        lanes[i % numerics::SUM_LANES] += numerics::exp(x - largest);
    }
    let sum = numerics::halve(lanes);
    for (w, &id) in weights.iter_mut().zip(&*ids) {
        *w = numerics::exp(logits[id as usize] - largest) / sum;
    }
    if experts.renormalize && !fault!("router-skip-renorm") {
        let total = weights.iter().fold(0.0, |s, w| s + w);
        // A guard such as `if total > 0` would turn NaN into a uniform choice here.
        let broken = fault!("router-swallow-nan") && total.is_nan();
        for w in weights.iter_mut() {
            *w = if broken { 1.0 / ids.len() as f32 } else { *w / total };
        }
    }
    if sum.is_nan() {
        return f32::NAN;
    }
    match order.get(ids.len()) {
        Some(&next) => {
            let last = if fault!("router-margin-of-the-best") { 0 } else { ids.len() - 1 };
            logits[order[last] as usize] - logits[next as usize]
        }
        None => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(logits: &[f32], used: usize, renormalize: bool) -> (Vec<u32>, Vec<f32>, f32) {
        let experts = Experts { count: logits.len(), used, renormalize };
        let (mut ids, mut weights) = (vec![0; used], vec![0.0; used]);
        let margin = choose(logits, &experts, &mut Vec::new(), &mut ids, &mut weights);
        (ids, weights, margin)
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        let (ids, weights, margin) = route(&[1.0, 2.0, 2.0, 1.0, 2.0], 2, true);
        assert_eq!(ids, [1, 2]);
        assert_eq!(weights, [0.5, 0.5]);
        assert_eq!(margin, 0.0);
        assert_eq!(route(&[0.0; 6], 3, true).0, [0, 1, 2]);
    }

    #[test]
    fn raw_weights_are_the_softmax_over_all() {
        let (ids, weights, margin) = route(&[0.0, 3.0, 1.0], 2, false);
        assert_eq!(ids, [1, 2]);
        let z = 1.0 + 3f64.exp() + 1f64.exp();
        assert!((f64::from(weights[0]) - 3f64.exp() / z).abs() < 1e-7, "one ulp of a number below 1");
        assert_eq!(margin, 1.0);
        assert_eq!(route(&[0.0, 3.0, 1.0], 3, false).2, f32::INFINITY);
    }

    #[test]
    fn nan_makes_every_weight_nan() {
        for at in 0..4 {
            let mut logits = [0.1, 0.2, 0.3, 0.4];
            logits[at] = f32::NAN;
            let (ids, weights, margin) = route(&logits, 2, true);
            assert!(weights.iter().all(|w| w.is_nan()), "{weights:?}");
            assert!(margin.is_nan());
            assert!(ids.iter().all(|&id| id < 4));
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let (ids, weights, _) = route(&[1000.0, 999.0, -1000.0, 0.0], 2, true);
        assert_eq!(ids, [0, 1]);
        assert!(weights[0] > weights[1] && weights.iter().all(|w| w.is_finite()));
        assert!((weights.iter().sum::<f32>() - 1.0).abs() <= f32::EPSILON);
    }
}
