// Operation: top_k, the experts of each row with weights and margin; only_expert, the route of a dense layer; sort, the
// entries (row, rank) of a batch by expert, cut into tiles.
// Shapes: logits [rows, experts]; ids, weights [rows, chosen]; margin [rows]; order [rows * chosen];
// tiles [experts + rows * chosen / tile] of {expert, first place in order, entries, 0}.
// Geometry: top_k: a block of 128 to a row. sort: one block of 1024. only_expert: blocks of 256.
// Bytes moved: the logits once; a few words per entry.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): top_k 60 % of the multiprocessors
// at 512 tokens, 6.6 us of one; sort is one block, 70 us.
#include "route.cuh"

extern "C" __global__ void __launch_bounds__(128) top_k(const TopKArgs a) {
    __shared__ Choice s;
    const unsigned row = blockIdx.x;
    for (unsigned i = threadIdx.x; i < a.experts; i += blockDim.x)
        s.logits[i] = a.logits[static_cast<unsigned long long>(row) * a.experts + i];
    __syncthreads();
    const float margin = choose(s, a.experts, a.chosen, a.renormalize);
    if (threadIdx.x < a.chosen) {
        a.ids[row * a.chosen + threadIdx.x] = s.ids[threadIdx.x];
        a.weights[row * a.chosen + threadIdx.x] = s.weights[threadIdx.x];
    }
    if (threadIdx.x == 0) a.margin[row] = margin;
}

extern "C" __global__ void __launch_bounds__(256) only_expert(const OnlyExpertArgs a) {
    const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= a.rows) return;
    a.ids[row] = 0;
    a.weights[row] = 1.0f;
    a.margin[row] = __int_as_float(0x7f800000);
}

// A warp gathers the entries of an expert in ascending order, so that the result depends on nothing but the ids.
extern "C" __global__ void __launch_bounds__(1024) sort(const SortArgs a) {
    __shared__ unsigned count[MOST_EXPERTS], first[MOST_EXPERTS], first_tile[MOST_EXPERTS];
    const unsigned warp = threadIdx.x / 32, lane = lane_id(), warps = blockDim.x / 32;
    for (unsigned e = threadIdx.x; e < a.experts; e += blockDim.x) count[e] = 0;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < a.entries; i += blockDim.x) atomicAdd(&count[a.ids[i]], 1u);
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned place = 0, tile = 0;
        for (unsigned e = 0; e < a.experts; e++) {
            first[e] = place;
            first_tile[e] = tile;
            place += count[e];
            tile += (count[e] + a.tile - 1) / a.tile;
        }
        *a.tile_count = tile;
    }
    __syncthreads();
    for (unsigned e = warp; e < a.experts; e += warps) {
        if (count[e] == 0) continue;
        unsigned place = first[e];
        for (unsigned base = 0; base < a.entries; base += 32) {
            const bool mine = base + lane < a.entries && a.ids[base + lane] == e;
            const unsigned mask = __ballot_sync(ALL_LANES, mine);
            if (mine) a.order[place + __popc(mask & ((1u << lane) - 1u))] = base + lane;
            place += __popc(mask);
        }
        for (unsigned t = lane; t * a.tile < count[e]; t += 32)
            a.tiles[first_tile[e] + t] = make_uint4(e, first[e] + t * a.tile, min(a.tile, count[e] - t * a.tile), 0);
    }
}
