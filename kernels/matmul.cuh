// Products of weight rows with activations, a warp to a weight row: the one place where either precision multiplies.
// Knows formats; knows no grid and no stage.
//
// The order of a sum depends on the column count alone. `exact`: lane l adds columns l, l + 32, ... (numerics::dot).
// `fast`: a lane adds the parts that its format's walk gives it, in order. Then the lanes are halved.
#pragma once
#include "formats.cuh"
#include "numerics.cuh"

/// One row of a plane, in the forms an operation may read.
struct Activations {
    const float* f;
    const signed char* q;
    const Quantum* s;
};

__device__ __forceinline__ Activations row_of(const Plane& x, unsigned row) {
    const unsigned long long at = static_cast<unsigned long long>(row) * x.width;
    return {x.f + at, x.q + at, reinterpret_cast<const Quantum*>(x.s) + at / QUANTUM};
}

/// How a warp walks a row in 8 bits: `STEP` columns at a time, every lane the part it owns. A part is what a lane keeps
/// in registers between loading weights and multiplying them, so that loads of many parts can be in flight.
template <class F>
struct Walk {
    static constexpr unsigned STEP = 256;
    typedef Eight Part;
    static __device__ __forceinline__ bool owns(unsigned cols, unsigned step, unsigned lane) {
        return step * STEP + lane * 8 < cols;
    }
    static __device__ __forceinline__ Part load(const typename F::Row& row, unsigned step, unsigned lane) {
        return F::eight(row, step * STEP + lane * 8);
    }
    static __device__ __forceinline__ float multiply(float sum, const Part& w, const Activations& x, unsigned step, unsigned lane) {
        const unsigned c = step * STEP + lane * 8;
        const int2 q = *reinterpret_cast<const int2*>(x.q + c);
        const float d = x.s[c / QUANTUM].d;
        const int dot = __dp4a(w.high, q.y, __dp4a(w.low, q.x, 0));
        const int all = __dp4a(0x01010101, q.y, __dp4a(0x01010101, q.x, 0));
        sum = fmaf(d * w.scale, static_cast<float>(dot), sum);
        return fmaf(-(d * w.min), static_cast<float>(all), sum);
    }
};

/// Eight lanes to a block, 16 bytes of it each: two runs of 16 weights, 32 apart.
template <>
struct Walk<Q4_K> {
    static constexpr unsigned STEP = 1024;
    struct Part {
        uint4 head, q;
    };
    static __device__ __forceinline__ bool owns(unsigned cols, unsigned step, unsigned lane) {
        return step * 4 + lane / 8 < cols / 256;
    }
    static __device__ __forceinline__ Part load(const Q4_K::Row& row, unsigned step, unsigned lane) {
        const uint4* block = reinterpret_cast<const uint4*>(row + (step * 4 + lane / 8) * 144);
        return {ld_stream(block), ld_stream(block + 1 + lane % 8)};
    }
    static __device__ __forceinline__ float multiply(float sum, const Part& w, const Activations& x, unsigned step, unsigned lane) {
        const unsigned block = step * 4 + lane / 8, j = lane % 8 / 2, odd = lane % 2;
        const unsigned c = block * 256 + j * 64 + odd * 16;
        const int4 x0 = *reinterpret_cast<const int4*>(x.q + c);
        const int4 x1 = *reinterpret_cast<const int4*>(x.q + c + 32);
        const uint4 s = *reinterpret_cast<const uint4*>(x.s + block * 8 + j * 2);
        // Scales and minima of groups 2 j and 2 j + 1, a byte each (quant/q4_k.rs).
        const unsigned shift = j % 2 * 16;
        const unsigned a0 = w.head.y >> shift, a1 = w.head.z >> shift, a2 = w.head.w >> shift;
        unsigned scales, mins;
        if (j < 2) {
            scales = a0 & 0x3f3fu;
            mins = a1 & 0x3f3fu;
        } else {
            scales = (a2 & 0x0f0fu) | (a0 & 0xc0c0u) >> 2;
            mins = (a2 >> 4 & 0x0f0fu) | (a1 & 0xc0c0u) >> 2;
        }
        int low = __dp4a(static_cast<int>(w.q.x & 0x0f0f0f0fu), x0.x, 0);
        low = __dp4a(static_cast<int>(w.q.y & 0x0f0f0f0fu), x0.y, low);
        low = __dp4a(static_cast<int>(w.q.z & 0x0f0f0f0fu), x0.z, low);
        low = __dp4a(static_cast<int>(w.q.w & 0x0f0f0f0fu), x0.w, low);
        int high = __dp4a(static_cast<int>(w.q.x >> 4 & 0x0f0f0f0fu), x1.x, 0);
        high = __dp4a(static_cast<int>(w.q.y >> 4 & 0x0f0f0f0fu), x1.y, high);
        high = __dp4a(static_cast<int>(w.q.z >> 4 & 0x0f0f0f0fu), x1.z, high);
        high = __dp4a(static_cast<int>(w.q.w >> 4 & 0x0f0f0f0fu), x1.w, high);
        const int sum0 = odd ? high_sum(s.y) : low_sum(s.y), sum1 = odd ? high_sum(s.w) : low_sum(s.w);
        const float d0 = __uint_as_float(s.x), d1 = __uint_as_float(s.z);
        const float2 d = f16x2_to_f32(w.head.x);
        // The integers stay below 2^24, so the conversions are exact.
        const float products = fmaf(d0, static_cast<float>(static_cast<int>(scales & 0xffu) * low),
                                    d1 * static_cast<float>(static_cast<int>(scales >> 8) * high));
        const float offsets = fmaf(d0, static_cast<float>(static_cast<int>(mins & 0xffu) * sum0),
                                   d1 * static_cast<float>(static_cast<int>(mins >> 8) * sum1));
        return fmaf(-d.y, offsets, fmaf(d.x, products, sum));
    }
};

/// Eight lanes to a block: two runs of 16 weights, 64 apart.
template <>
struct Walk<Q6_K> {
    static constexpr unsigned STEP = 1024;
    struct Part {
        uint4 q;
        uint2 high;
        unsigned scales, d;
    };
    static __device__ __forceinline__ bool owns(unsigned cols, unsigned step, unsigned lane) {
        return step * 4 + lane / 8 < cols / 256;
    }
    static __device__ __forceinline__ Part load(const Q6_K::Row& row, unsigned step, unsigned lane) {
        const unsigned long long block = step * 4 + lane / 8;
        return {ld_stream(reinterpret_cast<const uint4*>(row.ql + 128 * block) + lane % 8),
                ld_stream(reinterpret_cast<const uint2*>(row.qh + 64 * block) + lane % 8),
                load16(row.scales + 16 * block + 2 * (lane % 8)), load16(row.d + 2 * block)};
    }
    static __device__ __forceinline__ float multiply(float sum, const Part& w, const Activations& x, unsigned step, unsigned lane) {
        const unsigned block = step * 4 + lane / 8, t = lane % 8, odd = lane % 2;
        const unsigned c = block * 256 + Q6_K::first(t);
        const int4 x0 = *reinterpret_cast<const int4*>(x.q + c);
        const int4 x1 = *reinterpret_cast<const int4*>(x.q + c + 64);
        const Quantum s0 = x.s[c / QUANTUM], s1 = x.s[c / QUANTUM + 2];
        int low = __dp4a(static_cast<int>((w.q.x & 0x0f0f0f0fu) | (w.high.x << 4 & 0x30303030u)), x0.x, 0);
        low = __dp4a(static_cast<int>((w.q.y & 0x0f0f0f0fu) | (w.high.x & 0x30303030u)), x0.y, low);
        low = __dp4a(static_cast<int>((w.q.z & 0x0f0f0f0fu) | (w.high.y << 4 & 0x30303030u)), x0.z, low);
        low = __dp4a(static_cast<int>((w.q.w & 0x0f0f0f0fu) | (w.high.y & 0x30303030u)), x0.w, low);
        int high = __dp4a(static_cast<int>((w.q.x >> 4 & 0x0f0f0f0fu) | (w.high.x << 2 & 0x30303030u)), x1.x, 0);
        high = __dp4a(static_cast<int>((w.q.y >> 4 & 0x0f0f0f0fu) | (w.high.x >> 2 & 0x30303030u)), x1.y, high);
        high = __dp4a(static_cast<int>((w.q.z >> 4 & 0x0f0f0f0fu) | (w.high.y << 2 & 0x30303030u)), x1.z, high);
        high = __dp4a(static_cast<int>((w.q.w >> 4 & 0x0f0f0f0fu) | (w.high.y >> 2 & 0x30303030u)), x1.w, high);
        low -= 32 * (odd ? high_sum(s0.sums) : low_sum(s0.sums));
        high -= 32 * (odd ? high_sum(s1.sums) : low_sum(s1.sums));
        const int scale0 = static_cast<signed char>(w.scales & 0xffu), scale1 = static_cast<signed char>(w.scales >> 8);
        // The integers stay below 2^24, so the conversions are exact.
        const float products = fmaf(s0.d, static_cast<float>(scale0 * low), s1.d * static_cast<float>(scale1 * high));
        return fmaf(f16_to_f32(static_cast<unsigned short>(w.d)), products, sum);
    }
};

/// Steps of a row.
template <class F>
__device__ __forceinline__ constexpr unsigned steps(unsigned cols) {
    return (cols + Walk<F>::STEP - 1) / Walk<F>::STEP;
}

/// One weight row times `N` rows of activations, in `fast`. All lanes of the warp call it and receive the sums.
template <class F, int N>
__device__ __forceinline__ void dot_fast(float (&sums)[N], const typename F::Row& row, unsigned cols, const Activations (&x)[N]) {
    const unsigned lane = lane_id();
#pragma unroll
    for (int n = 0; n < N; n++) sums[n] = 0.0f;
    for (unsigned step = 0; step < steps<F>(cols); step++) {
        if (Walk<F>::owns(cols, step, lane)) {
            const typename Walk<F>::Part part = Walk<F>::load(row, step, lane);
#pragma unroll
            for (int n = 0; n < N; n++) sums[n] = Walk<F>::multiply(sums[n], part, x[n], step, lane);
        }
    }
#pragma unroll
    for (int n = 0; n < N; n++) sums[n] = warp_sum(sums[n]);
}

/// The same in `exact`.
template <class F, int N>
__device__ __forceinline__ void dot_exact(float (&sums)[N], const typename F::Row& row, unsigned cols, const Activations (&x)[N]) {
#pragma unroll
    for (int n = 0; n < N; n++) sums[n] = 0.0f;
    for (unsigned c = lane_id(); c < cols; c += 32) {
        const float w = F::weight(row, c);
#pragma unroll
        for (int n = 0; n < N; n++) sums[n] = fmaf(w, x[n].f[c], sums[n]);
    }
#pragma unroll
    for (int n = 0; n < N; n++) sums[n] = warp_sum(sums[n]);
}

/// The same in either precision. Weights that are no integers stay floats in `fast` too.
template <bool FAST, class F, int N>
__device__ __forceinline__ void product_of(float (&sums)[N], const typename F::Row& row, unsigned cols, const Activations (&x)[N]) {
    if constexpr (FAST && F::INTEGER) dot_fast<F, N>(sums, row, cols, x);
    else dot_exact<F, N>(sums, row, cols, x);
}
