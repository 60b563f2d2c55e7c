//! From logits to a token: greedily, or drawn from a trimmed distribution. The same seed draws the same tokens on every
//! machine. A NaN among the logits gives no token: it never becomes a choice.

use crate::numerics::exp;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use std::cmp::Ordering;

/// The index of the largest logit, of equal ones the lowest; `None` when one is NaN or there is none.
#[must_use]
pub fn greedy(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (i, &logit) in (0..).zip(logits) {
        if logit.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, most)| logit > most) {
            best = Some((i, logit));
        }
    }
    best.map(|(i, _)| i)
}

/// How tokens are drawn. Trimming is done in the order of the fields, each on what the one before it left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Logits are divided by this; 0 is greedy.
    pub temperature: f32,
    /// Only the so many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Only tokens at least this likely relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Settings {
    /// The largest logit.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 };
}

/// A setting out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what} is {found}, expected {expected}")]
pub struct RangeError {
    what: &'static str,
    found: f32,
    expected: &'static str,
}

/// Draws tokens.
#[derive(Debug)]
pub struct Sampler {
    settings: Settings,
    random: Xoshiro256PlusPlus,
    /// Tokens and their weights, kept to be reused.
    candidates: Vec<(u32, f32)>,
}

/// The more likely first, of equal ones the lower id.
fn likelier(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Tokens sorted at first when the most likely ones are looked for; more only if these do not suffice.
const HEAD: usize = 1024;

impl Sampler {
    /// A sampler at the start of its sequence.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(settings: Settings) -> Result<Self, RangeError> {
        let s = settings;
        let checks = [
            ("temperature", s.temperature, s.temperature >= 0.0 && s.temperature.is_finite(), "0 or more"),
            ("top-p", s.top_p, s.top_p > 0.0 && s.top_p <= 1.0, "more than 0, at most 1"),
            ("min-p", s.min_p, (0.0..=1.0).contains(&s.min_p), "0 to 1"),
        ];
        if let Some(&(what, found, _, expected)) = checks.iter().find(|(_, _, holds, _)| !holds) {
            return Err(RangeError { what, found, expected });
        }
        Ok(Self {
            settings,
            random: Xoshiro256PlusPlus::seed_from_u64(settings.seed),
            candidates: Vec::new(),
        })
    }

    /// The next token; `None` when a logit is NaN, or none is above minus infinity.
    pub fn sample(&mut self, logits: &[f32]) -> Option<u32> {
        let Settings { temperature, top_k, top_p, min_p, .. } = self.settings;
        let best = greedy(logits)?;
        let most = logits[best as usize];
        if temperature == 0.0 || most == f32::INFINITY {
            return Some(best);
        }
        if most == f32::NEG_INFINITY {
            return None;
        }
        let c = &mut self.candidates;
        c.clear();
        c.extend((0..).zip(logits).map(|(id, &l)| (id, exp((l - most) / temperature))));
        if top_k > 0 && top_k < c.len() {
            c.select_nth_unstable_by(top_k, likelier);
            c.truncate(top_k);
        }
        if top_p < 1.0 {
            trim(c, f64::from(top_p));
        }
        if min_p > 0.0 {
            // The most likely one has weight 1.
            c.retain(|&(_, weight)| weight >= min_p);
        }
        // In a fixed order, whatever the trimming left: the draw depends on weights alone.
        c.sort_unstable_by_key(|&(id, _)| id);
        let sum: f64 = c.iter().map(|&(_, w)| f64::from(w)).sum();
        // 53 random bits: uniform in [0, 1).
        let mut at = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        for &(id, weight) in c.iter() {
            at -= f64::from(weight);
            if at < 0.0 {
                return Some(id);
            }
        }
        // Rounding can leave a crumb; it belongs to the last token that has weight.
        c.iter().rev().find(|&&(_, w)| w > 0.0).map(|&(id, _)| id)
    }
}

/// Keeps the fewest most likely candidates whose share of all reaches `share`.
fn trim(c: &mut Vec<(u32, f32)>, share: f64) {
    let wanted = share * c.iter().map(|&(_, w)| f64::from(w)).sum::<f64>();
    for head in [HEAD, usize::MAX] {
        let head = c.len().min(head);
        if head < c.len() {
            c.select_nth_unstable_by(head, likelier);
        }
        c[..head].sort_unstable_by(likelier);
        let mut reached = 0.0;
        let needed = c[..head].iter().position(|&(_, w)| {
            reached += f64::from(w);
            reached >= wanted
        });
        if let Some(last) = needed {
            c.truncate(last + 1);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Settings, greedy};

    fn settings() -> Settings {
        Settings { temperature: 1.0, ..Settings::GREEDY }
    }

    /// How often each token comes of `n` draws.
    fn draws(settings: Settings, logits: &[f32], n: usize) -> Vec<usize> {
        let mut sampler = Sampler::new(settings).unwrap();
        let mut counts = vec![0; logits.len()];
        for _ in 0..n {
            counts[sampler.sample(logits).unwrap() as usize] += 1;
        }
        counts
    }

    /// Logits of probabilities 0.5, 0.25, 0.15, 0.1: their logarithms and 2.
    const LOGITS: [f32; 4] = [1.306_852_8, 0.613_705_6, 0.102_88, -0.302_585_1];

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        let n = 20_000;
        for (temperature, expected) in
            [(1.0, [0.5, 0.25, 0.15, 0.1]), (0.5, [0.724_6, 0.181_2, 0.065_2, 0.029])]
        {
            let counts = draws(Settings { temperature, ..settings() }, &LOGITS, n);
            for (count, expected) in counts.iter().zip(expected) {
                // Five standard deviations of the largest share.
                assert!((*count as f64 / n as f64 - expected).abs() < 0.018, "{temperature}: {counts:?}");
            }
        }
    }

    #[test]
    fn trimming_keeps_what_it_says() {
        let kept = |s: Settings| draws(s, &LOGITS, 2_000).iter().map(|&c| c > 0).collect::<Vec<_>>();
        assert_eq!(kept(settings()), [true; 4]);
        assert_eq!(kept(Settings { top_k: 2, ..settings() }), [true, true, false, false]);
        assert_eq!(kept(Settings { top_p: 0.7, ..settings() }), [true, true, false, false]);
        assert_eq!(kept(Settings { top_p: 0.8, ..settings() }), [true, true, true, false]);
        assert_eq!(kept(Settings { min_p: 0.28, ..settings() }), [true, true, true, false]);
        assert_eq!(kept(Settings { top_k: 3, top_p: 0.6, ..settings() }), [true, true, false, false]);
        assert_eq!(kept(Settings { temperature: 0.0, ..settings() }), [true, false, false, false]);
        assert_eq!(kept(Settings { top_p: 1e-9, ..settings() }), [true, false, false, false]);
    }

    #[test]
    fn a_share_that_needs_more_than_the_first_thousand_is_found() {
        let flat = vec![0.0; 5_000];
        let counts = draws(Settings { top_p: 0.5, ..settings() }, &flat, 20_000);
        // Of equal tokens the lower ids are kept.
        assert!(counts[..2_500].iter().filter(|&&c| c > 0).count() > 2_400);
        assert_eq!(counts[2_500..].iter().sum::<usize>(), 0);
    }

    #[test]
    fn a_seed_is_a_sequence() {
        let sequence = |seed| {
            let mut s = Sampler::new(Settings { seed, ..settings() }).unwrap();
            (0..64).map(|_| s.sample(&LOGITS).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn no_number_is_no_token() {
        let mut s = Sampler::new(settings()).unwrap();
        assert_eq!(s.sample(&[0.0, f32::NAN]), None);
        assert_eq!(s.sample(&[f32::NEG_INFINITY; 3]), None);
        assert_eq!(s.sample(&[]), None);
        assert_eq!(s.sample(&[0.0, f32::INFINITY, f32::INFINITY]), Some(1));
        assert_eq!(s.sample(&[f32::NEG_INFINITY, -1e30, f32::NEG_INFINITY]), Some(1));
        assert_eq!(greedy(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(greedy(&[1.0, f32::NAN]), None);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (s, says) in [
            (Settings { temperature: -1.0, ..settings() }, "temperature is -1, expected 0 or more"),
            (Settings { temperature: f32::NAN, ..settings() }, "temperature is NaN"),
            (Settings { top_p: 0.0, ..settings() }, "top-p is 0"),
            (Settings { min_p: 1.5, ..settings() }, "min-p is 1.5"),
        ] {
            let error = Sampler::new(s).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
