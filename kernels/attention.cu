// Operation: attention of every row over its sequence up to its position, and its scores alone.
// Shapes: qkv [rows, stride], queries first; keys, values [sequences, kv_heads, capacity, head_dim]; o [rows, heads * head_dim].
// Geometry: attention_exact, scores: a block of 256 to a head of a row. attention_fast: a block of 256 to a key head's
// chunk of a row, grid (splits, kv_heads, rows); the last block of a key head joins its chunks.
// Bytes moved: in `fast` every key and value of the row's sequence once per key head; results of chunks are small.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): of 512 tokens, of the
// multiprocessors, attention_fast 37 %, attention_exact 39 %; of one token attention_fast takes 27 us. scores are of traced
// passes alone.
#include "attention.cuh"

namespace {
template <class T>
__device__ __forceinline__ void scores_row(const ScoresArgs& a) {
    __shared__ Softmax s;
    const HeadsArgs& h = a.h;
    const unsigned row = blockIdx.y, head = blockIdx.x, keys = h.position[row] + 1;
    float* out = a.out + (static_cast<unsigned long long>(row) * h.heads + head) * a.longest;
    const float* q = h.qkv + static_cast<unsigned long long>(row) * h.stride + head * h.head_dim;
    scores_of(out, q, cached<T>(h.k, h, row, head / (h.heads / h.kv_heads)), keys, h.head_dim, h.scale);
    __syncthreads();
    float past = __int_as_float(0xff800000);
    if (a.softmax) {
        const float sum = exponentials(out, keys, s);
        for (unsigned i = threadIdx.x; i < keys; i += blockDim.x) out[i] = out[i] / sum;
        past = 0.0f;
    }
    for (unsigned i = keys + threadIdx.x; i < a.longest; i += blockDim.x) out[i] = past;
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256) scores_f32(const ScoresArgs a) {
    scores_row<float>(a);
}

extern "C" __global__ void __launch_bounds__(256) scores_f16(const ScoresArgs a) {
    scores_row<unsigned short>(a);
}

// Blocks take (row, head) in turn, each with its own scratch of `capacity` scores.
extern "C" __global__ void __launch_bounds__(256) attention_exact(const AttentionExactArgs a) {
    __shared__ Softmax s;
    const HeadsArgs& h = a.h;
    float* weights = a.scratch + static_cast<unsigned long long>(blockIdx.x) * h.capacity;
    for (unsigned item = blockIdx.x; item < a.items; item += gridDim.x) {
        const unsigned row = item / h.heads, head = item % h.heads, kv_head = head / (h.heads / h.kv_heads);
        const unsigned keys = h.position[row] + 1;
        const float* q = h.qkv + static_cast<unsigned long long>(row) * h.stride + head * h.head_dim;
        scores_of(weights, q, cached<float>(h.k, h, row, kv_head), keys, h.head_dim, h.scale);
        __syncthreads();
        const float sum = exponentials(weights, keys, s);
        const float* v = cached<float>(h.v, h, row, kv_head);
        for (unsigned d = threadIdx.x; d < h.head_dim; d += blockDim.x) {
            // Keys in runs of 256, as numerics::KEY_CHUNK has it.
            float out = 0.0f;
            for (unsigned first = 0; first < keys; first += 256) {
                float part = 0.0f;
                const unsigned end = min(keys, first + 256);
                for (unsigned j = first; j < end; j++) part = fmaf(weights[j], v[static_cast<unsigned long long>(j) * h.head_dim + d], part);
                out += part;
            }
            a.out.f[static_cast<unsigned long long>(row) * a.out.width + head * h.head_dim + d] = out / sum;
        }
        // The next item's scores go where these were read.
        __syncthreads();
    }
}

#if defined(HEAD_DIM) && defined(GROUP)
extern "C" __global__ void __launch_bounds__(256) attention_fast(const AttentionFastArgs a) {
    DYN_SHARED(Chunk, s);
    const HeadsArgs& h = a.h;
    const unsigned row = blockIdx.z, kv_head = blockIdx.y, context = h.position[row] + 1;
    const unsigned size = chunk_keys(context), chunks = (context + size - 1) / size;
    const unsigned long long cell = static_cast<unsigned long long>(row) * h.kv_heads + kv_head;
    float* partials = a.partials + cell * (MOST_CHUNKS * GROUP * PARTIAL);
    const float* q = h.qkv + static_cast<unsigned long long>(row) * h.stride + kv_head * (GROUP * HEAD_DIM);
    for (unsigned i = threadIdx.x; i < GROUP * HEAD_DIM; i += blockDim.x) query(*s, i / HEAD_DIM, i % HEAD_DIM) = q[i];
    __syncthreads();
    const unsigned short *k = cached<unsigned short>(h.k, h, row, kv_head), *v = cached<unsigned short>(h.v, h, row, kv_head);
    for (unsigned c = blockIdx.x; c < chunks; c += gridDim.x)
        attend_chunk(*s, k, v, c * size, min(context, (c + 1) * size), h.scale, partials + c * (GROUP * PARTIAL));
    // The last block to arrive sees what all have stored, and leaves the counter ready for the next launch.
    if (threadIdx.x == 0) {
        __threadfence();
        s->last = atom_add_acq_rel(a.arrivals + cell, 1u) == gridDim.x - 1;
        if (s->last) st_relaxed(a.arrivals + cell, 0u);
    }
    __syncthreads();
    if (s->last) join_chunks(partials, chunks, a.out, row, kv_head * (GROUP * HEAD_DIM));
}
#endif
