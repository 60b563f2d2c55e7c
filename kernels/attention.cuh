// Causal grouped-query attention of one row, in two orders of summation: `exact` as crates/model/src/cpu/attention.rs, all
// keys of a head at once; `fast` in chunks that blocks share out. Knows no projection and no grid.
#pragma once
#include "plane.cuh"

/// Where keys and values of a row's sequence lie: [sequence][head][position][dim] of T.
template <class T>
__device__ __forceinline__ const T* cached(const void* base, const HeadsArgs& h, unsigned row, unsigned kv_head) {
    const unsigned long long head = static_cast<unsigned long long>(h.sequence[row]) * h.kv_heads + kv_head;
    return static_cast<const T*>(base) + head * h.capacity * h.head_dim;
}

__device__ __forceinline__ float as_float(float v) {
    return v;
}
__device__ __forceinline__ float as_float(unsigned short v) {
    return f16_to_f32(v);
}

/// Scaled scores of one query head against keys 0 .. keys - 1; a warp to a key. All threads of the block call it.
template <class T>
__device__ __forceinline__ void scores_of(float* out, const float* q, const T* k, unsigned keys, unsigned dim, float scale) {
    const unsigned lane = lane_id();
    for (unsigned j = threadIdx.x / 32; j < keys; j += blockDim.x / 32) {
        float s = 0.0f;
        for (unsigned d = lane; d < dim; d += 32) s = fmaf(as_float(k[static_cast<unsigned long long>(j) * dim + d]), q[d], s);
        s = warp_sum(s);
        if (lane == 0) out[j] = s * scale;
    }
}

/// What `exponentials` works in.
struct Softmax {
    float lanes[SUM_LANES];
    float largest[32];
};

/// Replaces scores by e^(x - largest) and returns their sum. All threads of the block, at least 128, call it after a
/// barrier; it ends with the exponentials visible to all.
__device__ __forceinline__ float exponentials(float* x, unsigned n, Softmax& s) {
    float largest = __int_as_float(0xff800000);
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) largest = larger(largest, x[i]);
    largest = warp_max(largest);
    if (lane_id() == 0) s.largest[threadIdx.x / 32] = largest;
    __syncthreads();
    largest = warp_max(s.largest[lane_id() < blockDim.x / 32 ? lane_id() : 0]);
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) x[i] = exponential(x[i] - largest);
    __syncthreads();
    float lane = 0.0f;
    if (threadIdx.x < SUM_LANES)
        for (unsigned i = threadIdx.x; i < n; i += SUM_LANES) lane += x[i];
    return tree_sum(lane, s.lanes);
}

// ---- in chunks

#if defined(HEAD_DIM) && defined(GROUP)
/// Most chunks of a row: with more keys the chunks grow, not their number.
constexpr unsigned MOST_CHUNKS = 32;
/// Keys of the smallest chunk.
constexpr unsigned SMALLEST_CHUNK = 64;
/// Warps that share a chunk.
constexpr unsigned CHUNK_WARPS = 8;
/// Keys a warp takes at once: four lanes to a key.
constexpr unsigned WARP_KEYS = 8;
/// Dimensions of a key that one of its four lanes holds.
constexpr unsigned QUARTER = HEAD_DIM / 4;
/// Dimensions of a value that one lane of a warp holds.
constexpr unsigned OWN = HEAD_DIM / 32;
static_assert(HEAD_DIM % 32 == 0, "a lane loads keys 16 bytes at a time");
/// Floats of a chunk's result for one head: largest score, sum, weighted values.
constexpr unsigned PARTIAL = HEAD_DIM + 2;

/// Keys of a chunk for a context: a function of the context alone, so that results do not depend on the grid.
__device__ __forceinline__ unsigned chunk_keys(unsigned context) {
    unsigned keys = SMALLEST_CHUNK;
    while (keys * MOST_CHUNKS < context) keys *= 2;
    return keys;
}

/// Shared memory of a chunk.
struct Chunk {
    /// The queries; quarters are set apart by four floats, so that the four lanes of a key use different banks.
    float q[GROUP][HEAD_DIM + 16];
    float weights[CHUNK_WARPS][GROUP][WARP_KEYS];
    float largest[GROUP][CHUNK_WARPS];
    float sum[GROUP][CHUNK_WARPS];
    float values[CHUNK_WARPS][GROUP][HEAD_DIM];
    unsigned last;
};

__device__ __forceinline__ float& query(Chunk& s, unsigned head, unsigned d) {
    return s.q[head][d + d / QUARTER * 4];
}

/// Eight halves as floats.
__device__ __forceinline__ void unpack8(const uint4& v, float (&out)[8]) {
    const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 pair = f16x2_to_f32(words[i]);
        out[2 * i] = pair.x;
        out[2 * i + 1] = pair.y;
    }
}

/// Attention of GROUP query heads (in `s.q`, behind a barrier) over keys first .. end - 1 of one key head. A block of
/// CHUNK_WARPS warps calls it; `out` receives [GROUP][PARTIAL] and ends behind a barrier.
__device__ __forceinline__ void attend_chunk(Chunk& s, const unsigned short* k, const unsigned short* v, unsigned first, unsigned end, float scale, float* out) {
    const unsigned warp = threadIdx.x / 32, lane = lane_id();
    const unsigned key = lane / 4, quarter = lane % 4;
    const float none = __int_as_float(0xff800000);
    float largest[GROUP], sum[GROUP], acc[GROUP][OWN];
#pragma unroll
    for (int h = 0; h < GROUP; h++) {
        largest[h] = none;
        sum[h] = 0.0f;
#pragma unroll
        for (int i = 0; i < static_cast<int>(OWN); i++) acc[h][i] = 0.0f;
    }
    for (unsigned base = first + warp * WARP_KEYS; base < end; base += CHUNK_WARPS * WARP_KEYS) {
        const unsigned keys = min(WARP_KEYS, end - base);
        // Past the end a lane repeats the last key; its weight is 0.
        const unsigned long long mine = base + min(key, keys - 1);
        float score[GROUP];
#pragma unroll
        for (int h = 0; h < GROUP; h++) score[h] = 0.0f;
#pragma unroll
        for (unsigned d = 0; d < QUARTER; d += 8) {
            float part[8];
            unpack8(*reinterpret_cast<const uint4*>(k + mine * HEAD_DIM + quarter * QUARTER + d), part);
#pragma unroll
            for (int h = 0; h < GROUP; h++) {
                const float* q = &s.q[h][quarter * (QUARTER + 4) + d];
#pragma unroll
                for (int i = 0; i < 8; i++) score[h] = fmaf(part[i], q[i], score[h]);
            }
        }
#pragma unroll
        for (int h = 0; h < GROUP; h++) {
            float x = score[h];
            x += __shfl_xor_sync(ALL_LANES, x, 2);
            x += __shfl_xor_sync(ALL_LANES, x, 1);
            x = key < keys ? x * scale : none;
            float top = x;
#pragma unroll
            for (int half = 16; half > 2; half >>= 1) top = larger(top, __shfl_xor_sync(ALL_LANES, top, half));
            const float next = larger(largest[h], top);
            // The first keys of a warp: nothing to rescale, and infinity minus infinity would be NaN.
            const float rescale = largest[h] == none ? 0.0f : exponential(largest[h] - next);
            const float weight = key < keys ? exponential(x - next) : 0.0f;
            float total = weight;
#pragma unroll
            for (int half = 16; half > 2; half >>= 1) total += __shfl_xor_sync(ALL_LANES, total, half);
            if (quarter == 0) s.weights[warp][h][key] = weight;
            sum[h] = fmaf(sum[h], rescale, total);
            largest[h] = next;
#pragma unroll
            for (int i = 0; i < static_cast<int>(OWN); i++) acc[h][i] *= rescale;
        }
        __syncwarp();
        for (unsigned j = 0; j < keys; j++) {
            float value[OWN];
            const unsigned short* from = v + (static_cast<unsigned long long>(base) + j) * HEAD_DIM + lane * OWN;
            if constexpr (OWN == 4) {
                const uint2 four = *reinterpret_cast<const uint2*>(from);
                const float2 a = f16x2_to_f32(four.x), b = f16x2_to_f32(four.y);
                value[0] = a.x, value[1] = a.y, value[2] = b.x, value[3] = b.y;
            } else {
#pragma unroll
                for (int i = 0; i < static_cast<int>(OWN); i++) value[i] = f16_to_f32(from[i]);
            }
#pragma unroll
            for (int h = 0; h < GROUP; h++) {
                const float weight = s.weights[warp][h][j];
#pragma unroll
                for (int i = 0; i < static_cast<int>(OWN); i++) acc[h][i] = fmaf(weight, value[i], acc[h][i]);
            }
        }
        // The next keys' weights go where these were read.
        __syncwarp();
    }
#pragma unroll
    for (int h = 0; h < GROUP; h++) {
        if (lane == 0) {
            s.largest[h][warp] = largest[h];
            s.sum[h][warp] = sum[h];
        }
#pragma unroll
        for (int i = 0; i < static_cast<int>(OWN); i++) s.values[warp][h][lane * OWN + i] = acc[h][i];
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < GROUP * HEAD_DIM; i += blockDim.x) {
        const unsigned h = i / HEAD_DIM, d = i % HEAD_DIM;
        float top = none;
#pragma unroll
        for (int w = 0; w < static_cast<int>(CHUNK_WARPS); w++) top = larger(top, s.largest[h][w]);
        float total = 0.0f, value = 0.0f;
#pragma unroll
        for (int w = 0; w < static_cast<int>(CHUNK_WARPS); w++) {
            // A warp that saw no key has sum 0 and weight e^-inf = 0.
            const float weight = exponential(s.largest[h][w] - top);
            total = fmaf(s.sum[h][w], weight, total);
            value = fmaf(s.values[w][h][d], weight, value);
        }
        out[h * PARTIAL + 2 + d] = value;
        if (d == 0) {
            out[h * PARTIAL] = top;
            out[h * PARTIAL + 1] = total;
        }
    }
    __syncthreads();
}

/// Brings the chunks' results together, in their order: [chunks][GROUP][PARTIAL] to columns from `column` of a row. All
/// threads of the block call it.
__device__ __forceinline__ void join_chunks(const float* partials, unsigned chunks, const Plane& o, unsigned row, unsigned column) {
    for (unsigned i = threadIdx.x; i < GROUP * HEAD_DIM; i += blockDim.x) {
        const unsigned h = i / HEAD_DIM, d = i % HEAD_DIM;
        float top = __int_as_float(0xff800000);
        for (unsigned c = 0; c < chunks; c++) top = larger(top, ld_l2(partials + (c * GROUP + h) * PARTIAL));
        float total = 0.0f, value = 0.0f;
        for (unsigned c = 0; c < chunks; c++) {
            const float* partial = partials + (c * GROUP + h) * PARTIAL;
            const float weight = exponential(ld_l2(partial) - top);
            total = fmaf(ld_l2(partial + 1), weight, total);
            value = fmaf(ld_l2(partial + 2 + d), weight, value);
        }
        // 32 neighbouring columns lie in one warp, because HEAD_DIM and the block are multiples of 32.
        const float result = value / total;
        if (o.q) store_quantum(o, row, column + i - lane_id(), result);
        else o.f[static_cast<unsigned long long>(row) * o.width + column + i] = result;
    }
}
#endif
