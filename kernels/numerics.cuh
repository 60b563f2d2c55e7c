// The arithmetic of crates/model/src/numerics.rs for a GPU: the same operations in the same order, so that the results
// are the same bits. Knows no tensor and no format. Compile with --fmad=false: a fused multiply-add is written as fmaf.
#pragma once
#include "ptx.cuh"

constexpr unsigned ALL_LANES = 0xffffffffu;
/// Lanes of a tree sum.
constexpr int SUM_LANES = 128;
/// Activations that share a scale.
constexpr int QUANTUM = 32;

/// e^x, within one unit in the last place.
__device__ __forceinline__ float exponential(float x) {
    x = x < -105.0f ? -105.0f : x;
    x = x > 89.0f ? 89.0f : x;
    // Rounds to an integer, ties to even.
    const float n = fmaf(x, 1.44269504088896340736f, 12582912.0f) - 12582912.0f;
    const float r = fmaf(n, 1.9046542e-9f, fmaf(n, -0.693147180559945309417f, x));
    float p = fmaf(r, 0.0013814599f, 0.008368717f);
    p = fmaf(r, p, 0.04166839f);
    p = fmaf(r, p, 0.16666521f);
    p = fmaf(r, p, 0.49999994f);
    const float y = fmaf(r * r, p, r) + 1.0f;
    // 2^n in two factors: n reaches -151, where one would be subnormal and round twice. A NaN x leaves y NaN.
    const int k = __float2int_rz(n), half = k >> 1;
    return y * __int_as_float((half + 127) << 23) * __int_as_float((k - half + 127) << 23);
}

/// x / (1 + e^-x).
__device__ __forceinline__ float silu(float x) {
    return x / (1.0f + exponential(-x));
}

/// The larger of two, NaN if either is.
__device__ __forceinline__ float larger(float a, float b) {
    return isnan(a) || b <= a ? a : b;
}

/// Sum over the lanes of a warp, upper half onto lower: every lane receives what lane 0 of the tree holds, because the
/// two operands of an addition commute.
__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int half = 16; half > 0; half >>= 1) v += __shfl_xor_sync(ALL_LANES, v, half);
    return v;
}

/// Largest value of a warp, NaN if there is one.
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int half = 16; half > 0; half >>= 1) v = larger(v, __shfl_xor_sync(ALL_LANES, v, half));
    return v;
}

/// Sum of 128 lanes, upper half onto lower. Threads 0 .. 127 of the block pass a lane each; `lanes` is shared memory.
/// All threads of the block call it and receive the sum. It ends with `lanes` still being read: a barrier stands
/// between two uses.
__device__ __forceinline__ float tree_sum(float v, float (&lanes)[SUM_LANES]) {
    if (threadIdx.x < SUM_LANES) lanes[threadIdx.x] = v;
#ifndef FAULT_MISSING_BARRIER
    __syncthreads();
#endif
    const int l = static_cast<int>(lane_id());
    return warp_sum((lanes[l] + lanes[l + 64]) + (lanes[l + 32] + lanes[l + 96]));
}

/// The factor of a root-mean-square norm over `n` elements. All threads of the block call it, at least 128; as
/// `tree_sum` for `lanes`.
template <class X>
__device__ __forceinline__ float norm_scale(const X& x, unsigned n, float eps, float (&lanes)[SUM_LANES]) {
    float s = 0.0f;
    if (threadIdx.x < SUM_LANES) {
        for (unsigned i = threadIdx.x; i < n; i += SUM_LANES) {
            const float v = x[i];
            s = fmaf(v, v, s);
        }
    }
    return 1.0f / sqrtf(tree_sum(s, lanes) / static_cast<float>(n) + eps);
}

/// 32 activations in 8 bits (crates/model/src/cpu/q8.rs): q = round(x / d), d = largest magnitude / 127. `d` and the
/// sums of the first and the last 16 quanta (in the halves of a word) stand together: every consumer needs both.
struct Quantum {
    float d;
    unsigned sums;
};

/// Quantizes one value a lane; all lanes of the warp call it. A block with an infinity or a NaN gets quanta 0 and a `d`
/// that is not finite, so that every product with it is NaN.
__device__ __forceinline__ int quantize(float x, Quantum& quantum) {
    // The order of the bits of magnitudes is that of the numbers, NaN above infinity: no NaN is lost.
    const unsigned largest = __reduce_max_sync(ALL_LANES, __float_as_uint(x) & 0x7fffffffu);
    const float d = __uint_as_float(largest) / 127.0f;
    const bool usable = d > 0.0f && d < __int_as_float(0x7f800000);
    float y = x / (usable ? d : 1.0f);
    // A subnormal `d` may be rounded so far that quotients pass 127.
    y = y < -127.0f ? -127.0f : y;
    y = y > 127.0f ? 127.0f : y;
#ifdef FAULT_QUANTUM_TRUNCATED
    const int q = usable ? __float2int_rz(y) : 0;
#else
    const int q = usable ? __float2int_rn(y) : 0;
#endif
    const bool upper = lane_id() >= 16;
    const unsigned low = static_cast<unsigned>(__reduce_add_sync(ALL_LANES, upper ? 0 : q));
    const unsigned high = static_cast<unsigned>(__reduce_add_sync(ALL_LANES, upper ? q : 0));
    quantum.d = d;
    quantum.sums = (low & 0xffffu) | high << 16;
    return q;
}

/// The sum of the first 16 quanta.
__device__ __forceinline__ int low_sum(unsigned sums) {
    return static_cast<short>(sums & 0xffffu);
}
/// The sum of the last 16 quanta.
__device__ __forceinline__ int high_sum(unsigned sums) {
    return static_cast<int>(sums) >> 16;
}
