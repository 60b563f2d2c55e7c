//! How fast a model runs: the same work several times, and the memory bandwidth it could have had.
//!
//! Tokens are arbitrary: what they say does not change the work, apart from which experts they choose.

use crate::Error;
use crate::sample::greedy;
use crate::session::{Out, Session};
use crate::trace::{self, Format, Plan, Recorder};
use std::path::Path;
use std::time::{Duration, Instant};

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// So many tokens in one prompt.
    Prefill(usize),
    /// So many tokens one after the other.
    Decode(usize),
}

/// A piece of work after a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What is timed.
    pub work: Work,
    /// Positions computed before it, not timed.
    pub depth: usize,
}

impl Case {
    /// Tokens that are timed.
    #[must_use]
    pub fn tokens(self) -> usize {
        match self.work {
            Work::Prefill(n) | Work::Decode(n) => n,
        }
    }

    /// Its name: `pp512`, `tg128`, and after a context `tg128@4096`.
    #[must_use]
    pub fn name(self) -> String {
        let (kind, n) = match self.work {
            Work::Prefill(n) => ("pp", n),
            Work::Decode(n) => ("tg", n),
        };
        if self.depth == 0 { format!("{kind}{n}") } else { format!("{kind}{n}@{}", self.depth) }
    }

    /// Does the work once to warm up, then `reps` times; `each` hears every repetition's time and may end it.
    ///
    /// # Errors
    /// What the session reports.
    pub fn run(
        self,
        session: &mut Session,
        reps: usize,
        mut each: impl FnMut(Duration) -> bool,
    ) -> Result<Vec<Duration>, Error> {
        let tokens = self.start(session)?;
        let mut times = Vec::with_capacity(reps);
        for rep in 0..=reps {
            session.rewind(self.depth)?;
            let start = Instant::now();
            self.once(session, &tokens, Out::Last, None)?;
            let time = start.elapsed();
            if rep > 0 {
                times.push(time);
            }
            if !each(time) {
                break;
            }
        }
        Ok(times)
    }

    /// Does the work untraced and traced in turn, once to warm up and then `reps` times; the times of both. Traced is
    /// what `plan` says, its tensors written into `folder`.
    ///
    /// # Errors
    /// What the session and the recorder report.
    pub fn tracing_cost(
        self,
        session: &mut Session,
        reps: usize,
        plan: &Plan,
        (format, folder): (Format, &Path),
        mut each: impl FnMut(Duration) -> bool,
    ) -> Result<[Vec<Duration>; 2], Error> {
        let tokens = self.start(session)?;
        // What is traced of all positions has logits of all; so has the same work untraced.
        let out = if plan.positions.len() == tokens.len() { Out::All } else { Out::Last };
        let mut times = [Vec::with_capacity(reps), Vec::with_capacity(reps)];
        for rep in 0..=reps {
            // Files that are replaced cost more than new ones.
            let folder = folder.join(rep.to_string());
            let io = |source| Error::Io { path: folder.clone(), source };
            std::fs::create_dir(&folder).map_err(io)?;
            for (traced, times) in times.iter_mut().enumerate() {
                session.rewind(self.depth)?;
                let start = Instant::now();
                if traced == 1 {
                    let mut progress = |_| true;
                    let mut recorder = Recorder::new(plan, Some((format, &folder)), &mut progress)?;
                    let done = self.once(session, &tokens, out, Some(&mut recorder));
                    recorder.take_error().map_or(done, |e| Err(e.into()))?;
                    recorder.finish()?;
                } else {
                    self.once(session, &tokens, out, None)?;
                }
                let time = start.elapsed();
                if rep > 0 {
                    times.push(time);
                }
                if !each(time) {
                    return Err(trace::Error::Interrupted.into());
                }
            }
            std::fs::remove_dir_all(&folder).map_err(io)?;
        }
        Ok(times)
    }

    /// Computes the context; the tokens of the work itself.
    fn start(self, session: &mut Session) -> Result<Vec<u32>, Error> {
        session.rewind(0)?;
        let mut tokens = tokens(session.config().vocab, self.depth + self.tokens());
        let timed = tokens.split_off(self.depth);
        if !tokens.is_empty() {
            session.run(&tokens, Out::Last)?;
        }
        Ok(timed)
    }

    fn once(
        self,
        session: &mut Session,
        tokens: &[u32],
        out: Out,
        recorder: Option<&mut Recorder<'_>>,
    ) -> Result<(), Error> {
        match (self.work, recorder) {
            (Work::Prefill(_), recorder) => {
                match recorder {
                    None => session.run(tokens, out)?,
                    Some(recorder) => session.observe(tokens, out, recorder)?,
                }
                // A device is done when it gives what it made, not when it has its orders.
                session.logits().map(drop)
            }
            (Work::Decode(_), mut recorder) => {
                let mut logits = Vec::new();
                for token in tokens {
                    match &mut recorder {
                        None => session.run(&[*token], Out::Last)?,
                        Some(recorder) => session.observe(&[*token], Out::Last, *recorder)?,
                    }
                    // As a token loop would: the logits come to the caller, who chooses.
                    let position = session.position() - 1;
                    session.read_logits(&mut logits)?;
                    greedy(&logits).ok_or(Error::NoToken { position })?;
                }
                Ok(())
            }
        }
    }
}

/// Tokens that differ from each other: multiples of an odd number, by the golden ratio of 2^32.
fn tokens(vocab: usize, n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| ((u64::from(i.wrapping_mul(2_654_435_769)) * vocab as u64) >> 32) as u32).collect()
}

/// Mean, deviation and median of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// Standard deviation of one of them; 0 for a single one.
    pub deviation: f64,
    /// The middle one, or the mean of the middle two.
    pub median: f64,
}

impl Summary {
    /// That of some numbers; `None` when there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let middle = sorted.get(n / 2)?;
        let median = if n % 2 == 1 { *middle } else { (sorted[n / 2 - 1] + middle) / 2.0 };
        let mean = sorted.iter().sum::<f64>() / n as f64;
        let squares = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let deviation = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 };
        Some(Self { mean, deviation, median })
    }
}

/// Bytes per second that `threads` threads read from memory together, each its own share of `bytes`: the best of several
/// passes, because anything else on the machine only takes away. `bytes` should exceed every cache.
#[must_use]
pub fn bandwidth(threads: usize, bytes: usize) -> f64 {
    const PASSES: usize = 5;
    let words = (bytes / threads.max(1) / 8).max(1);
    let barrier = std::sync::Barrier::new(threads.max(1));
    let worker = || {
        // Written by the thread that reads it, so that it lies in that thread's memory.
        let mut share: Vec<u64> = (0..words as u64).collect();
        let mut spans = Vec::with_capacity(PASSES);
        for _ in 0..PASSES {
            barrier.wait();
            let start = Instant::now();
            // Eight sums, so that additions do not wait for each other.
            let (chunks, _) = share.as_chunks::<8>();
            let mut sums = [0_u64; 8];
            for chunk in chunks {
                for (sum, word) in sums.iter_mut().zip(chunk) {
                    *sum = sum.wrapping_add(*word);
                }
            }
            spans.push((start, Instant::now()));
            // What was read is used: the next pass differs by it.
            share[0] = std::hint::black_box(sums).iter().fold(0, |a, b| a ^ b);
        }
        spans
    };
    let spans: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    let passes = (0..PASSES).filter_map(|i| {
        let start = spans.iter().map(|s| s[i].0).min()?;
        let end = spans.iter().map(|s| s[i].1).max()?;
        Some((end - start).as_secs_f64())
    });
    let fastest = passes.fold(f64::INFINITY, f64::min);
    (words * 8 * spans.len()) as f64 / fastest
}

#[cfg(test)]
mod tests {
    use super::{Case, Summary, Work, bandwidth, tokens};

    #[test]
    fn summaries_are_those_of_the_textbook() {
        let s = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((s.mean, s.median), (5.0, 4.5));
        // Sum of squares 32 over 7.
        assert!((s.deviation - 2.138_089_9).abs() < 1e-7);
        assert_eq!(Summary::of(&[3.0]), Some(Summary { mean: 3.0, deviation: 0.0, median: 3.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn tokens_are_spread_over_the_vocabulary() {
        let t = tokens(512, 300);
        assert!(t.iter().all(|&t| t < 512));
        let distinct: std::collections::HashSet<_> = t.iter().collect();
        assert!(distinct.len() > 250, "{}", distinct.len());
    }

    #[test]
    fn cases_have_names() {
        assert_eq!(Case { work: Work::Prefill(512), depth: 0 }.name(), "pp512");
        assert_eq!(Case { work: Work::Decode(32), depth: 16_384 }.name(), "tg32@16384");
    }

    #[test]
    fn bandwidth_is_a_positive_number() {
        let rate = bandwidth(2, 1 << 20);
        assert!(rate.is_finite() && rate > 1e6, "{rate}");
    }
}
