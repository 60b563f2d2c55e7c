//! Every version of a kernel against the scalar one, bit for bit, and the scalar one against `numerics`.

use super::*;
use crate::numerics;
use crate::quant::FORMATS;

/// Numbers of all sizes, from a fixed generator.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next() * (next() * 12.0).exp2()).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// Runs `kernel` at every level and demands the same bits; returns them.
fn same(kernel: impl Fn(Level) -> Vec<f32>) -> Vec<f32> {
    let want = kernel(Level::SCALAR);
    for level in Level::available() {
        assert_eq!(bits(&kernel(level)), bits(&want), "{level:?}");
    }
    want
}

const LENGTHS: [usize; 12] = [1, 2, 31, 32, 33, 64, 95, 127, 128, 129, 256, 768];

#[test]
fn dots_are_those_of_one_row_alone() {
    for cols in LENGTHS {
        for (rows, count) in [(1, 1), (2, 2), (3, 5), (4, 3), (5, 4), (8, 7), (9, 1)] {
            let w = numbers(1, rows * cols);
            let xs: Vec<Vec<f32>> = (0..count).map(|i| numbers(2 + i as u64, cols)).collect();
            let refs: Vec<&[f32]> = xs.iter().map(Vec::as_slice).collect();
            let stride = rows + 1;
            let got = same(|level| {
                let mut out = vec![-7.0; count * stride];
                dots(level, &w, cols, &refs, &mut out, stride);
                out
            });
            for (c, x) in refs.iter().enumerate() {
                for (r, w) in w.chunks(cols).enumerate() {
                    assert_eq!(got[c * stride + r].to_bits(), numerics::dot(w, x).to_bits());
                }
                assert_eq!(got[c * stride + rows], -7.0, "wrote past its rows");
            }
        }
    }
}

#[test]
fn weigh_adds_in_order() {
    for width in LENGTHS {
        for count in [0, 1, 2, 7] {
            let (e, v) = (numbers(3, count), numbers(4, count * width));
            let got = same(|level| {
                let mut o = numbers(5, width);
                weigh(level, &mut o, &e, &v);
                o
            });
            let mut want = numbers(5, width);
            for (e, v) in e.iter().zip(v.chunks(width)) {
                for (o, v) in want.iter_mut().zip(v) {
                    *o = e.mul_add(*v, *o);
                }
            }
            assert_eq!(bits(&got), bits(&want));
        }
    }
}

#[test]
fn elementwise_kernels_agree() {
    for n in LENGTHS {
        let (x, y) = (numbers(6, n), numbers(7, n));
        same(|level| {
            let mut o = vec![0.0; n];
            norm(level, &mut o, &x, &y, 1e-6);
            let mut p = x.clone();
            norm_in_place(level, &mut p, &y, 1e-6);
            assert_eq!(bits(&o), bits(&p));
            o
        });
        same(|level| {
            let mut o = x.clone();
            let sum = exponentials(level, &mut o);
            o.push(sum);
            o
        });
        same(|level| {
            let (mut o, mut h) = (vec![0.0; n], vec![0.0; n]);
            silu(level, &mut o, &x);
            swiglu(level, &mut h, &x, &y);
            add(level, &mut o, &h);
            add_scaled(level, &mut o, 0.3, &y);
            scale(level, &mut o, 0.7);
            divide(level, &mut o, 1.3);
            join(level, &mut o, &y, (0.7, 0.3));
            o
        });
        let (cos, sin) = (numbers(8, n), numbers(9, n));
        for rotate in [rotate_halves, rotate_neighbours] {
            same(|level| {
                let mut head = numbers(10, 2 * n);
                rotate(level, &mut head, &cos, &sin);
                head
            });
        }
    }
}

#[test]
fn special_values_agree() {
    let x = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-40, f32::MAX, f32::MIN, 88.9];
    same(|level| {
        let mut o = vec![0.0; x.len()];
        silu(level, &mut o, &x);
        // A NaN's payload and sign are not specified.
        o.iter().map(|v| if v.is_nan() { f32::NAN } else { *v }).collect()
    });
    let w = vec![1.0; x.len()];
    assert!(
        same(|level| {
            let mut out = [0.0];
            dots(level, &w, x.len(), &[&x], &mut out, 1);
            out.iter().map(|v| if v.is_nan() { f32::NAN } else { *v }).collect()
        })[0]
            .is_nan()
    );
}

#[test]
fn dequantization_is_the_reference() {
    for row in FORMATS {
        for blocks in [1, 2, 5] {
            let bytes: Vec<u8> =
                numbers(11, row.bytes * blocks).iter().map(|v| (v.to_bits() >> 9) as u8).collect();
            let mut want = vec![0.0; row.block * blocks];
            row.format.dequantize(&bytes, &mut want).unwrap();
            for level in Level::available() {
                let mut got = vec![0.0; want.len()];
                dequantize(level, row.format, &bytes, &mut got);
                let canonical = |x: &[f32]| -> Vec<u32> {
                    x.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
                };
                assert_eq!(canonical(&got), canonical(&want), "{} {level:?}", row.name);
            }
        }
    }
}

fn bytes(seed: u64, n: usize) -> Vec<u8> {
    numbers(seed, n).iter().map(|v| (v.to_bits() >> 9) as u8).collect()
}

/// NaN is NaN, whatever its payload.
fn canonical(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// What makes activations as weights of a format want them.
fn quantizer(format: Format) -> fn(Level, &[f32], &mut [Q8Block]) {
    if format.by_halves() { quantize_halves } else { quantize }
}

/// Rows of activations as weights of a format want them.
fn activations(format: Format, seed: u64, rows: usize, cols: usize) -> Vec<Vec<Q8Block>> {
    let blocks = |r| {
        let mut out = vec![Q8Block::default(); cols / q8::BLOCK];
        quantizer(format)(Level::SCALAR, &numbers(seed + r as u64, cols), &mut out);
        out
    };
    (0..rows).map(blocks).collect()
}

/// A tile times rows, in both ways and at every level, against the twin.
fn products_agree(format: Format, tile: &[u8], x: &[Vec<Q8Block>]) {
    let refs: Vec<&[Q8Block]> = x.iter().map(Vec::as_slice).collect();
    let mut want = vec![[0.0; ROWS]; x.len()];
    twin::products(format, tile, &refs, &mut want);
    for level in Level::available() {
        let mut opened = Opened::default();
        open(level, format, tile, &mut opened);
        for n in 1..=x.len() {
            let mut got = vec![[-7.0; ROWS]; n];
            products(level, &opened, &refs[..n], &mut got);
            assert_eq!(
                canonical(got.as_flattened()),
                canonical(want[..n].as_flattened()),
                "{format} {level:?} {n} rows"
            );
        }
        for (x, want) in refs.iter().zip(&want) {
            let mut got = [-7.0; ROWS];
            row_products(level, format, tile, x, &mut got);
            assert_eq!(canonical(&got), canonical(want), "{format} {level:?} alone");
        }
    }
}

#[test]
fn products_are_those_of_the_twin() {
    for row in FORMATS.iter().filter(|row| row.block > 1) {
        // 10,000 random blocks and more for each format, one to five of them in a row; sixteen rows.
        let per_row = row.block.max(q8::BLOCK * 2) / row.block;
        for seed in 0..10_000_u64.div_ceil((ROWS * 3 * per_row) as u64) {
            let blocks = (1 + seed as usize % 5) * per_row;
            let tile = bytes(seed, ROWS * blocks * row.bytes);
            let x = activations(row.format, seed + 1, 1 + seed as usize % 11, blocks * row.block);
            products_agree(row.format, &tile, &x);
        }
    }
}

#[test]
fn products_of_the_edges() {
    for row in FORMATS.iter().filter(|row| row.block > 1) {
        let cols = row.block.max(256);
        let mut x = activations(row.format, 3, 3, cols);
        x[0].fill(Q8Block::default());
        // The largest sums there are.
        x[1].fill(Q8Block { q: [127; 32], scales: [1.0, 1.0], sum: 4064.0, halves: [2032; 2] });
        x[2].fill(Q8Block { q: [-127; 32], scales: [1.0, 1.0], sum: -4064.0, halves: [-2032; 2] });
        for fill in [0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0] {
            products_agree(row.format, &vec![fill; ROWS * cols / row.block * row.bytes], &x);
        }
        // A NaN of the activations reaches every output, also where weights are zero.
        for at in [cols / 2, cols - 1] {
            let mut bad = numbers(5, cols);
            bad[at] = f32::NAN;
            let mut blocks = vec![Q8Block::default(); cols / q8::BLOCK];
            quantizer(row.format)(Level::best(), &bad, &mut blocks);
            let (mut out, tile) = ([0.0; ROWS], vec![0; ROWS * cols / row.block * row.bytes]);
            row_products(Level::best(), row.format, &tile, &blocks, &mut out);
            assert!(out.iter().all(|v| v.is_nan()), "{}: {out:?}", row.name);
        }
    }
}

#[test]
fn the_twin_reads_weights_as_the_reference_does() {
    for row in FORMATS.iter().filter(|row| row.block > 1) {
        for seed in 0..200 {
            let block = bytes(seed, row.bytes);
            let mut want = vec![0.0; row.block];
            row.format.dequantize(&block, &mut want).unwrap();
            for (g, want) in want.chunks_exact(q8::BLOCK).enumerate() {
                let group = twin::group(row.format, &block, g).unwrap();
                let pick = |s: twin::Scales, i: usize| match s {
                    twin::Scales::One(a) => a,
                    twin::Scales::Two(a, b) => [a, b][i / 16],
                };
                let got: Vec<f32> = (0..q8::BLOCK)
                    .map(|i| {
                        let product = pick(group.a, i) * f32::from(group.q[i]);
                        group.b.map_or(product, |b| product - pick(b, i))
                    })
                    .collect();
                assert_eq!(canonical(&got), canonical(want), "{} group {g}", row.name);
            }
        }
    }
}

#[test]
fn quantization_agrees() {
    for seed in 0..400 {
        let mut x = numbers(seed, 32 * 32);
        x[40..44].copy_from_slice(&[f32::NAN, f32::INFINITY, -0.0, 1e-42]);
        x[64..96].fill(0.0);
        x[96..128].fill(f32::from_bits(190));
        x[128] = f32::MAX;
        for quantize in [quantize, quantize_halves] {
            let run = |level| {
                let mut out = vec![Q8Block::default(); 32];
                quantize(level, &x, &mut out);
                let bits = |b: &Q8Block| (b.q, canonical(&[b.scales[0], b.scales[1], b.sum]), b.halves);
                out.iter().map(bits).collect::<Vec<_>>()
            };
            for level in Level::available() {
                assert_eq!(run(level), run(Level::SCALAR), "{level:?}");
            }
        }
    }
}

#[test]
fn attention_steps_agree() {
    for (heads, head_dim) in [(1, 16), (2, 64), (3, 48), (4, 128), (8, 128), (11, 80)] {
        for n in [1, 2, 15, 16, 17, 31, 32, 33, 100, 255, 256] {
            let halves = |seed, lines| -> Vec<Halves> {
                let numbers = numbers(seed, lines * HALF_LANES);
                let line = |c: &[f32; HALF_LANES]| {
                    let mut line = [0; 32];
                    for (to, v) in line.as_chunks_mut::<2>().0.iter_mut().zip(c) {
                        *to = half::f16::from_f32(*v).to_le_bytes();
                    }
                    line
                };
                numbers.as_chunks().0.iter().map(line).collect()
            };
            let keys = halves(1, CHUNK / HALF_LANES * head_dim);
            let values_of = halves(2, CHUNK * head_dim / HALF_LANES);
            let q = numbers(3, heads * head_dim);
            same(|level| {
                let mut s = vec![0.0; heads * CHUNK];
                scores(level, &q, &keys, n, 0.125, &mut s);
                let mut softmax = vec![Softmax { max: 0.5, sum: 1.5 }; heads];
                softmax[0] = Softmax::START;
                let mut step = vec![(0.0, 0.0); heads];
                weights(level, &mut s, n, &mut softmax, &mut step);
                let mut out = numbers(4, heads * head_dim);
                values(level, &s, &values_of, n, &step, &mut out);
                let mut all = out;
                all.extend(softmax.iter().flat_map(|s| [s.max, s.sum]));
                for s in s.chunks(CHUNK) {
                    assert!(s[n..n.next_multiple_of(HALF_LANES)].iter().all(|&e| e == 0.0));
                    all.extend(&s[..n]);
                }
                all
            });
        }
    }
}

#[test]
fn attention_in_chunks_is_the_softmax() {
    // Against f64 over all positions at once: 300 of them, so that two chunks are joined.
    let (head_dim, n) = (32, 300);
    let half = |v: f32| f64::from(half::f16::from_f32(v).to_f32());
    let (k, v, q) = (numbers(1, n * head_dim), numbers(2, n * head_dim), numbers(3, head_dim));
    let mut out = vec![0.0; head_dim];
    let mut softmax = [Softmax::START];
    for chunk in 0..n.div_ceil(CHUNK) {
        let mut keys = vec![[0; 32]; CHUNK / HALF_LANES * head_dim];
        let mut vals = vec![[0; 32]; CHUNK * head_dim / HALF_LANES];
        let here = (n - chunk * CHUNK).min(CHUNK);
        for p in 0..here {
            for d in 0..head_dim {
                let at = (chunk * CHUNK + p) * head_dim + d;
                let lane = p % HALF_LANES * 2;
                keys[p / HALF_LANES * head_dim + d][lane..lane + 2]
                    .copy_from_slice(&half::f16::from_f32(k[at]).to_le_bytes());
                let lane = d % HALF_LANES * 2;
                vals[(p * head_dim + d) / HALF_LANES][lane..lane + 2]
                    .copy_from_slice(&half::f16::from_f32(v[at]).to_le_bytes());
            }
        }
        let (mut s, mut step) = (vec![0.0; CHUNK], [(0.0, 0.0)]);
        scores(Level::best(), &q, &keys, here, 0.25, &mut s);
        weights(Level::best(), &mut s, here, &mut softmax, &mut step);
        values(Level::best(), &s, &vals, here, &step, &mut out);
    }
    let dot = |p: usize| -> f64 { (0..head_dim).map(|d| f64::from(q[d]) * half(k[p * head_dim + d])).sum() };
    let e: Vec<f64> = (0..n).map(|p| (dot(p) * 0.25).exp()).collect();
    for d in 0..head_dim {
        let want = (0..n).map(|p| e[p] * half(v[p * head_dim + d])).sum::<f64>() / e.iter().sum::<f64>();
        let got = f64::from(out[d] / softmax[0].sum);
        assert!(
            (got - want).abs() <= 1e-5 * (1.0 + want.abs()),
            "{d}: {got} {want}: some hundred roundings of f32"
        );
    }
}
