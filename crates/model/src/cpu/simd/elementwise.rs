//! Kernels whose elements do not meet: the compiler vectorizes them as they stand.

use crate::numerics;

#[inline(always)]
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
pub(super) fn add_scaled(o: &mut [f32], a: f32, y: &[f32]) {
    for (o, y) in o.iter_mut().zip(y) {
        *o = a.mul_add(*y, *o);
    }
}

#[inline(always)]
pub(super) fn scale(x: &mut [f32], a: f32) {
    for x in x {
        *x *= a;
    }
}

#[inline(always)]
pub(super) fn join(o: &mut [f32], y: &[f32], step: (f32, f32)) {
    for (o, y) in o.iter_mut().zip(y) {
        *o = y.mul_add(step.1, *o * step.0);
    }
}

#[inline(always)]
pub(super) fn divide(x: &mut [f32], a: f32) {
    for x in x {
        *x /= a;
    }
}

#[inline(always)]
pub(super) fn silu(o: &mut [f32], gate: &[f32]) {
    for (o, g) in o.iter_mut().zip(gate) {
        *o = numerics::silu(*g);
    }
}

#[inline(always)]
pub(super) fn swiglu(h: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((h, g), u) in h.iter_mut().zip(gate).zip(up) {
        *h = numerics::silu(*g) * u;
    }
}

#[inline(always)]
pub(super) fn rotate_halves(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(head.len() / 2);
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = numerics::rotate(*a, *b, *cos, *sin);
    }
}

#[inline(always)]
pub(super) fn rotate_neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (pairs, _) = head.as_chunks_mut::<2>();
    for (([a, b], cos), sin) in pairs.iter_mut().zip(cos).zip(sin) {
        (*a, *b) = numerics::rotate(*a, *b, *cos, *sin);
    }
}
