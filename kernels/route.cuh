// The router's rule of crates/model/src/route.rs in device code, bit for bit. Knows no grid.
#pragma once
#include "args.cuh"
#include "numerics.cuh"

/// Most experts a layer may have: what the shared memory below is laid out for.
constexpr unsigned MOST_EXPERTS = 512;
/// Most experts a row may choose.
constexpr unsigned MOST_CHOSEN = 32;

/// What `choose` works in.
struct Choice {
    float logits[MOST_EXPERTS];
    float lanes[SUM_LANES];
    float largest[32];
    unsigned ids[MOST_CHOSEN + 1];
    float weights[MOST_CHOSEN];
};

/// Whether expert i goes before expert j: the larger logit, ties to the lower index, NaN last.
__device__ __forceinline__ bool before(float x, unsigned i, float y, unsigned j) {
    if (isnan(x) || isnan(y)) return isnan(x) == isnan(y) ? i < j : isnan(y);
#ifdef FAULT_ROUTER_TIE_HIGHEST
    return x > y || (x == y && i > j);
#else
    return x > y || (x == y && i < j);
#endif
}

/// Chooses for one row of logits that lie in `s.logits`. All threads of the block (a multiple of 32, at least 128) call
/// it after a barrier; it ends behind a barrier with `s.ids` and `s.weights` filled. Returns the margin.
__device__ __forceinline__ float choose(Choice& s, unsigned experts, unsigned chosen, bool renormalize) {
    // The largest logit, NaN if there is one.
    float largest = __int_as_float(0xff800000);
    for (unsigned i = threadIdx.x; i < experts; i += blockDim.x) largest = larger(largest, s.logits[i]);
    largest = warp_max(largest);
    if (lane_id() == 0) s.largest[threadIdx.x / 32] = largest;
    // An expert's rank is the number of experts before it: no two are equal, so every place is filled once.
    for (unsigned i = threadIdx.x; i < experts; i += blockDim.x) {
        const float x = s.logits[i];
        unsigned rank = 0;
        for (unsigned j = 0; j < experts; j++) rank += before(s.logits[j], j, x, i);
        if (rank <= chosen) s.ids[rank] = i;
    }
    __syncthreads();
    largest = lane_id() < blockDim.x / 32 ? s.largest[lane_id()] : s.largest[0];
    largest = warp_max(largest);
    float lane = 0.0f;
    if (threadIdx.x < SUM_LANES)
        for (unsigned i = threadIdx.x; i < experts; i += SUM_LANES) lane += exponential(s.logits[i] - largest);
    const float sum = tree_sum(lane, s.lanes);
    float weight = 0.0f;
    if (threadIdx.x < chosen) {
        weight = exponential(s.logits[s.ids[threadIdx.x]] - largest) / sum;
        s.weights[threadIdx.x] = weight;
    }
    __syncthreads();
#ifdef FAULT_ROUTER_SKIP_RENORM
    renormalize = false;
#endif
    if (renormalize) {
        float total = 0.0f;
        for (unsigned j = 0; j < chosen; j++) total += s.weights[j];
        __syncthreads();
        if (threadIdx.x < chosen) s.weights[threadIdx.x] = weight / total;
    }
    __syncthreads();
    if (isnan(sum)) return sum;
    return chosen < experts ? s.logits[s.ids[chosen - 1]] - s.logits[s.ids[chosen]] : __int_as_float(0x7f800000);
}
