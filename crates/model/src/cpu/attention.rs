//! Causal grouped-query attention, one key head and its query heads at a time. Knows no projection.

use super::pool::{Columns, Part};
use super::q8::BLOCK;
use super::simd::{self, CHUNK, Level, Softmax};
use super::{Act, Cpu, Error, Kv, Scratch, kv};
use crate::backend::{Precision, Rows};
use crate::config::Config;
use crate::numerics::KEY_CHUNK;
use fault::fault;

/// Rows that go over the keys of a head together, so that these are fetched once for all of them.
const RUN: usize = 8;
/// Queries of one call of a kernel for f32.
const STACK: usize = 16;

/// `o[r]` = the values of the row's sequence up to its position, weighted by the softmax of its scores.
pub(super) fn attention(
    cpu: &mut Cpu,
    o: &mut Act,
    qkv: &Act,
    kv: &Kv,
    config: &Config,
    rows: &Rows,
) -> Result<(), Error> {
    let heads = Heads::new(cpu.level, qkv, kv, config, rows)?;
    Error::shape("attention", "output columns", o.width(), config.q_width())?;
    o.set_rows("attention", qkv.rows())?;
    match kv.precision() {
        Precision::Exact => float(cpu, o, &heads),
        Precision::Fast => half(cpu, o, &heads),
    }
    Ok(())
}

/// Over keys and values in f32: all scores of a row, their softmax, the values.
fn float(cpu: &mut Cpu, o: &mut Act, heads: &Heads<'_>) {
    let Heads { level, kv, rows, head_dim, group, kv_heads, .. } = *heads;
    let cost = 2 * heads.longest * group * head_dim;
    let Cpu { pool, scratch, .. } = cpu;
    pool.tiles(o.values_mut(), group * head_dim, cost, |thread, tile, out| {
        let (row, head) = (tile / kv_heads, tile % kv_heads);
        let keys = heads.context(row);
        let Scratch { floats: scores, sums: part, .. } = &mut *scratch.get(thread);
        scores.resize(group * keys, 0.0);
        heads.scores(row, head, &mut Vec::new(), scores);
        let sequence = rows.sequence[row] as usize;
        out.fill(0.0);
        for (weights, out) in scores.chunks_exact_mut(keys).zip(out.chunks_exact_mut(head_dim)) {
            let sum = simd::exponentials(level, weights);
            part.clear();
            part.resize(head_dim, 0.0);
            let mut at = 0;
            for (_, values) in kv.pages(sequence, head, keys) {
                let n = values.len() / head_dim;
                simd::weigh(level, part, &weights[at..at + n], values);
                at += n;
                if at.is_multiple_of(KEY_CHUNK) || at == keys {
                    simd::add(level, out, part);
                    part.fill(0.0);
                }
            }
            simd::divide(level, out, sum);
        }
    });
}

/// Over keys and values in half floats, 256 positions at a time, with a running softmax.
fn half(cpu: &mut Cpu, o: &mut Act, heads: &Heads<'_>) {
    let Heads { level, head_dim, group, kv_heads, .. } = *heads;
    // What steps to come may need is there from the first pass on: a token takes no memory anew.
    let room = heads.most_pieces(cpu.pool.threads()) * heads.piece();
    if cpu.pieces.len() < room {
        cpu.pieces.resize(room, 0.0);
    }
    if o.rows() * kv_heads < cpu.pool.threads() && heads.longest > CHUNK {
        return by_chunks(cpu, o, heads);
    }
    let (width, blocks) = (o.width(), o.with_blocks());
    // A tile of columns has whole heads and whole blocks.
    let tile_heads = if (group * head_dim).is_multiple_of(BLOCK) { 1 } else { kv_heads };
    let tile = tile_heads * group * head_dim;
    let Cpu { pool, scratch, groups, .. } = cpu;
    groups.runs(o.rows(), if o.rows() > pool.threads() { RUN } else { 1 });
    let (values, q8) = o.parts_mut();
    let mut planes = (
        Columns::new(values, width, 0, width, tile),
        blocks.then(|| Columns::new(q8, width / BLOCK, 0, width / BLOCK, tile / BLOCK)),
    );
    pool.split(
        &mut planes,
        groups,
        width.checked_div(tile).unwrap_or(0),
        |thread, run, tile, (mut out, q8)| {
            let scratch = &mut *scratch.get(thread);
            let rows = groups.get(run);
            for h in 0..tile_heads {
                heads.attend(scratch, rows, tile * tile_heads + h, &mut out, h * group * head_dim);
            }
            if let Some(mut q8) = q8 {
                for i in 0..rows.len() {
                    simd::quantize(level, out.row(i), q8.row(i));
                }
            }
        },
    );
}

/// The same where there are fewer rows of key heads than threads: each chunk of positions apart, then joined in the order
/// in which one thread takes them, to the same bits.
fn by_chunks(cpu: &mut Cpu, o: &mut Act, heads: &Heads<'_>) {
    let Heads { level, head_dim, group, kv_heads, longest, .. } = *heads;
    let (width, chunks) = (group * head_dim, longest.div_ceil(CHUNK));
    let piece = heads.piece();
    let (rows, blocks) = (o.rows(), o.with_blocks());
    let Cpu { pool, scratch, pieces, .. } = cpu;
    let pieces = &mut pieces[..rows * kv_heads * chunks * piece];
    pool.tiles(pieces, piece, 2 * CHUNK * width, |thread, unit, piece| {
        let (tile, chunk) = (unit / chunks, unit % chunks);
        let (row, head) = (tile / kv_heads, tile % kv_heads);
        let Scratch { floats: scores, softmax, steps, .. } = &mut *scratch.get(thread);
        let (values, states) = piece.split_at_mut(width);
        // Added to a sum, it leaves the sign of zero as it is.
        values.fill(-0.0);
        scores.resize(group * CHUNK, 0.0);
        steps.resize(group, (0.0, 0.0));
        softmax.clear();
        softmax.resize(group, Softmax::START);
        heads.chunk(row, head, chunk, scores, softmax, steps, values);
        for (state, softmax) in states.as_chunks_mut::<2>().0.iter_mut().zip(softmax) {
            *state = [softmax.max, softmax.sum];
        }
    });
    let (values, q8) = o.parts_mut();
    pool.tiles(values, width, chunks * width, |_, tile, out| {
        out.fill(0.0);
        let used = heads.context(tile / kv_heads).div_ceil(CHUNK);
        let pieces = &pieces[tile * chunks * piece..][..used * piece];
        for (h, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let mut softmax = Softmax::START;
            for chunk in 0..used {
                let chunk = if fault!("attention-chunks-reversed") { used - 1 - chunk } else { chunk };
                let piece = &pieces[chunk * piece..][..piece];
                let (values, states) = piece.split_at(width);
                let [max, sum] = states.as_chunks::<2>().0[h];
                let step = softmax.join(max, sum);
                simd::join(level, out, &values[h * head_dim..][..head_dim], step);
            }
            simd::divide(level, out, softmax.sum);
        }
    });
    if blocks {
        let width = kv_heads * width;
        let values = &*values;
        pool.tiles(q8, width / BLOCK, width, |_, r, q8| {
            simd::quantize(level, &values[r * width..][..width], q8);
        });
    }
}

/// The scores themselves, `[rows, heads, longest context]`, or their softmax.
pub(super) fn scores(
    cpu: &mut Cpu,
    o: &mut Act,
    qkv: &Act,
    kv: &Kv,
    config: &Config,
    rows: &Rows,
    softmax: bool,
) -> Result<(), Error> {
    let heads = Heads::new(cpu.level, qkv, kv, config, rows)?;
    let Heads { level, group, longest, kv_heads, .. } = heads;
    o.reshape(qkv.rows(), config.heads * longest);
    let cost = longest * group * config.head_dim;
    let Cpu { pool, scratch, .. } = cpu;
    pool.tiles(o.values_mut(), group * longest, cost, |thread, tile, out| {
        let (row, head) = (tile / kv_heads, tile % kv_heads);
        let keys = heads.context(row);
        let Scratch { floats: scores, sums, .. } = &mut *scratch.get(thread);
        scores.resize(group * keys, 0.0);
        heads.scores(row, head, sums, scores);
        for (weights, out) in scores.chunks_exact_mut(keys).zip(out.chunks_exact_mut(longest)) {
            if softmax {
                let sum = simd::exponentials(level, weights);
                simd::divide(level, weights, sum);
            }
            out[..keys].copy_from_slice(weights);
            out[keys..].fill(if softmax { 0.0 } else { f32::NEG_INFINITY });
        }
    });
    Ok(())
}

/// Queries against the keys of their sequence.
#[derive(Clone, Copy)]
struct Heads<'a> {
    level: Level,
    qkv: &'a Act,
    kv: &'a Kv,
    rows: &'a Rows,
    head_dim: usize,
    kv_heads: usize,
    /// Query heads that share a key head.
    group: usize,
    /// `1 / sqrt(head_dim)`
    scale: f32,
    /// The longest context of the rows.
    longest: usize,
}

impl<'a> Heads<'a> {
    fn new(level: Level, qkv: &'a Act, kv: &'a Kv, config: &Config, rows: &'a Rows) -> Result<Self, Error> {
        Error::shape("attention", "columns", qkv.width(), config.q_width() + 2 * config.kv_width())?;
        Error::shape("attention", "rows", qkv.rows(), rows.position.len())?;
        if config.kv_heads == 0 || !config.heads.is_multiple_of(config.kv_heads) {
            let (found, expected) = (config.heads, config.kv_heads);
            return Err(Error::Shape { op: "attention", what: "heads", found, expected });
        }
        for (&sequence, &position) in rows.sequence.iter().zip(&rows.position) {
            let filled = kv.filled(sequence as usize);
            if position as usize >= filled {
                return Err(Error::Gap { sequence, position, filled });
            }
        }
        Ok(Self {
            level,
            qkv,
            kv,
            rows,
            head_dim: config.head_dim,
            kv_heads: config.kv_heads,
            group: config.heads / config.kv_heads,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
            longest: rows.position.iter().max().map_or(0, |&p| p as usize + 1),
        })
    }

    /// How many keys a row sees.
    fn context(&self, row: usize) -> usize {
        self.rows.position[row] as usize + 1
    }

    /// The query heads of one key head.
    fn queries(&self, row: usize, head: usize) -> &'a [f32] {
        let width = self.group * self.head_dim;
        &self.qkv.row(row)[head * width..][..width]
    }

    fn scale(&self) -> f32 {
        if fault!("attention-unscaled") { 1.0 } else { self.scale }
    }

    /// The scaled scores of the query heads of one key head, `[group, keys]`.
    fn scores(&self, row: usize, head: usize, chunk_scores: &mut Vec<f32>, out: &mut [f32]) {
        let keys = self.context(row);
        let sequence = self.rows.sequence[row] as usize;
        match self.kv.precision() {
            Precision::Exact => {
                let from = if fault!("attention-wrong-kv-head") { 0 } else { head };
                // A stack of queries for each call, so that nothing is allocated.
                let queries = self.queries(row, head);
                for (s, stack) in queries.chunks(STACK * self.head_dim).enumerate() {
                    let mut refs: [&[f32]; STACK] = [&[]; STACK];
                    for (query, slot) in stack.chunks_exact(self.head_dim).zip(&mut refs) {
                        *slot = query;
                    }
                    let refs = &refs[..stack.len() / self.head_dim];
                    for (p, (k, _)) in self.kv.pages(sequence, from, keys).enumerate() {
                        let out = &mut out[s * STACK * keys + p * kv::PAGE..];
                        simd::dots(self.level, k, self.head_dim, refs, out, keys);
                    }
                }
                simd::scale(self.level, out, self.scale());
            }
            Precision::Fast => {
                chunk_scores.resize(self.group * CHUNK, 0.0);
                for chunk in 0..keys.div_ceil(CHUNK) {
                    let n = self.chunk_scores(row, head, chunk, chunk_scores);
                    for (from, to) in chunk_scores.chunks_exact(CHUNK).zip(out.chunks_exact_mut(keys)) {
                        to[chunk * CHUNK..][..n].copy_from_slice(&from[..n]);
                    }
                }
            }
        }
        if fault!("attention-mask-off-by-one") && keys > 1 {
            // The row does not see its own position.
            for scores in out.chunks_exact_mut(keys) {
                scores[keys - 1] = f32::NEG_INFINITY;
            }
        }
    }

    /// The scaled scores of one chunk of half-float keys, `[group, 256]`; how many of them there are.
    fn chunk_scores(&self, row: usize, head: usize, chunk: usize, out: &mut [f32]) -> usize {
        let n = (self.context(row) - chunk * CHUNK).min(CHUNK);
        let from = if fault!("attention-wrong-kv-head") { 0 } else { head };
        if let Some((keys, _)) = self.kv.chunk(self.rows.sequence[row] as usize, from, chunk) {
            simd::scores(self.level, self.queries(row, head), keys, n, self.scale(), out);
        }
        n
    }

    /// Floats of a chunk apart: its values, then the largest score and the sum of exponentials of each query head.
    fn piece(&self) -> usize {
        self.group * self.head_dim + 2 * self.group
    }

    /// How many chunks there are at most that [`by_chunks`] takes apart for so many threads.
    fn most_pieces(&self, threads: usize) -> usize {
        (threads - 1) / self.kv_heads * self.kv_heads * self.kv.chunks()
    }

    /// Joins what the query heads of one key head see of a chunk to `softmax` and `out`, `[group, head_dim]`.
    #[expect(clippy::too_many_arguments, reason = "three of them are buffers of the thread")]
    fn chunk(
        &self,
        row: usize,
        head: usize,
        chunk: usize,
        scores: &mut [f32],
        softmax: &mut [Softmax],
        steps: &mut [(f32, f32)],
        out: &mut [f32],
    ) {
        if self.context(row) <= chunk * CHUNK {
            return;
        }
        let n = self.chunk_scores(row, head, chunk, scores);
        let masked = fault!("attention-mask-off-by-one") && n > 1 && chunk * CHUNK + n == self.context(row);
        let n = if masked { n - 1 } else { n };
        if let Some((_, values)) = self.kv.chunk(self.rows.sequence[row] as usize, head, chunk) {
            simd::weights(self.level, scores, n, softmax, steps);
            simd::values(self.level, scores, values, n, steps, out);
        }
    }

    /// The attention of `rows` over half-float keys and values of one head, into the columns of `out` from `col` on.
    fn attend(&self, scratch: &mut Scratch, rows: &[u32], head: usize, out: &mut Part<'_, f32>, col: usize) {
        let Scratch { floats: scores, softmax, steps, .. } = scratch;
        let width = self.group * self.head_dim;
        scores.resize(self.group * CHUNK, 0.0);
        steps.resize(self.group, (0.0, 0.0));
        softmax.clear();
        softmax.resize(rows.len() * self.group, Softmax::START);
        for i in 0..rows.len() {
            out.row(i)[col..][..width].fill(0.0);
        }
        let longest = rows.iter().map(|&r| self.context(r as usize)).max().unwrap_or(0);
        for chunk in 0..longest.div_ceil(CHUNK) {
            for (i, softmax) in softmax.chunks_exact_mut(self.group).enumerate() {
                let out = &mut out.row(i)[col..][..width];
                self.chunk(rows[i] as usize, head, chunk, scores, softmax, steps, out);
            }
        }
        for (i, softmax) in softmax.chunks_exact(self.group).enumerate() {
            let out = &mut out.row(i)[col..][..width];
            for (softmax, out) in softmax.iter().zip(out.chunks_exact_mut(self.head_dim)) {
                simd::divide(self.level, out, softmax.sum);
            }
        }
    }
}
