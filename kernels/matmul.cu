// Operation: embed, o[r] = table[token[r]]; matmul, o[entry, col ..] = W x[row of entry], W a matrix or the entry's expert.
// Shapes: W [count, rows, cols] of format FORMAT; x [m or m * chosen, cols]; entries m, or m * chosen with a route.
// Geometry: matmul: block = 8 warps, a warp to a weight row; grid.x = rows / 8, grid.y = entries (one) or tiles of
// entries that share a matrix (many). embed: block of 256 to a row.
// Bytes moved: the weights once per tile, the activations of a tile once per weight row from L1.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): one of a step in `fast`
// 56 % of memory (the head alone 68 %), in `exact` 77 % of the multiprocessors; many 55 % and 59 % of these; embed and
// select_rows last as long as their launch.
#include "matmul.cuh"

#ifndef FORMAT
#error "define FORMAT: a struct of formats.cuh"
#endif

/// Entries that share one pass over a matrix.
constexpr int TILE = 8;

template <bool FAST, int N>
__device__ __forceinline__ void tile_product(const MatmulArgs& a, unsigned expert, unsigned first, unsigned count) {
    const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= a.w.rows) return;
#ifdef FAULT_ROW_OFF_BY_ONE
    const unsigned weight_row = row + 1;
#else
    const unsigned weight_row = row;
#endif
    unsigned entry[N];
    Activations x[N];
#pragma unroll
    for (int n = 0; n < N; n++) {
        // Past the end the last entry is computed again and not stored: the loop below has no branch.
        const unsigned at = first + min(static_cast<unsigned>(n), count - 1);
        entry[n] = a.order ? a.order[at] : at;
        x[n] = row_of(a.x, entry[n] / a.entries_per_row);
    }
    float sums[N];
    product_of<FAST, FORMAT, N>(sums, FORMAT::row(a.w, static_cast<unsigned long long>(expert) * a.w.rows + weight_row), a.w.cols, x);
#pragma unroll
    for (int n = 0; n < N; n++) {
        if (static_cast<unsigned>(n) < count && lane_id() == 0)
            a.out[static_cast<unsigned long long>(entry[n]) * a.out_stride + a.col + row] = sums[n];
    }
}

template <bool FAST>
__device__ __forceinline__ void many(const MatmulArgs& a) {
    if (a.tiles) {
        if (blockIdx.y >= *a.tile_count) return;
        const uint4 tile = a.tiles[blockIdx.y];
        tile_product<FAST, TILE>(a, tile.x, tile.y, tile.z);
    } else {
        const unsigned first = blockIdx.y * TILE;
        tile_product<FAST, TILE>(a, 0, first, min(static_cast<unsigned>(TILE), a.entries - first));
    }
}

extern "C" __global__ void __launch_bounds__(256) matmul_exact_one(const MatmulArgs a) {
    tile_product<false, 1>(a, a.experts ? a.experts[blockIdx.y] : 0, blockIdx.y, 1);
}

extern "C" __global__ void __launch_bounds__(256) matmul_exact_many(const MatmulArgs a) {
    many<false>(a);
}

extern "C" __global__ void __launch_bounds__(256) matmul_fast_one(const MatmulArgs a) {
    tile_product<true, 1>(a, a.experts ? a.experts[blockIdx.y] : 0, blockIdx.y, 1);
}

extern "C" __global__ void __launch_bounds__(256) matmul_fast_many(const MatmulArgs a) {
    many<true>(a);
}

extern "C" __global__ void __launch_bounds__(256) embed(const EmbedArgs a) {
    const unsigned token = a.token[blockIdx.x];
    const FORMAT::Row row = FORMAT::row(a.table, token);
    for (unsigned c = threadIdx.x; c < a.table.cols; c += blockDim.x)
        a.out[static_cast<unsigned long long>(blockIdx.x) * a.table.cols + c] = FORMAT::weight(row, c);
}
