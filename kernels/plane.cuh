// Writing a row of activations in every form its consumers read. Knows planes; knows no operation.
#pragma once
#include "args.cuh"
#include "numerics.cuh"

/// Stores 32 activations, one a lane, from column `c` (a multiple of 32). All lanes of the warp call it.
__device__ __forceinline__ void store_quantum(const Plane& o, unsigned long long row, unsigned c, float v) {
    const unsigned long long at = row * o.width + c;
    const unsigned lane = lane_id();
    o.f[at + lane] = v;
    if (o.q) {
        Quantum quantum;
        o.q[at + lane] = static_cast<signed char>(quantize(v, quantum));
        if (lane == 0) reinterpret_cast<Quantum*>(o.s)[at / QUANTUM] = quantum;
    }
}

/// Stores a row of `value(column)`. All threads of the block call it.
template <class V>
__device__ __forceinline__ void store_row(const Plane& o, unsigned row, V value) {
    if (o.q) {
        for (unsigned c = threadIdx.x & ~31u; c < o.width; c += blockDim.x) store_quantum(o, row, c, value(c + lane_id()));
    } else {
        for (unsigned c = threadIdx.x; c < o.width; c += blockDim.x)
            o.f[static_cast<unsigned long long>(row) * o.width + c] = value(c);
    }
}
