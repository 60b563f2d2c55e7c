// Blocks that hand data to each other. `plant` chooses the mistake.
#include "ptx.cuh"

/// Rounds over a ring of blocks: each reads its neighbour's last value. Two buffers, one grid barrier a round.
extern "C" __global__ void ring(unsigned* slots, unsigned* state, unsigned* out, int rounds, int plant) {
    unsigned value = blockIdx.x;
    for (int r = 0; r < rounds; ++r) {
        unsigned* buffer = slots + static_cast<unsigned>(r & 1) * gridDim.x;
        if (threadIdx.x == 0) buffer[blockIdx.x] = value;
        if (plant != 1 || r != rounds / 2) grid_barrier(state);
        if (threadIdx.x == 0) value = buffer[(blockIdx.x + 1) % gridDim.x] + 1;
    }
    if (threadIdx.x == 0) out[blockIdx.x] = value;
}

/// One buffer instead of two needs a second barrier a round.
extern "C" __global__ void ring_of_one(unsigned* slots, unsigned* state, unsigned* out, int rounds, int plant) {
    unsigned value = blockIdx.x;
    for (int r = 0; r < rounds; ++r) {
        if (threadIdx.x == 0) slots[blockIdx.x] = value;
        grid_barrier(state);
        if (threadIdx.x == 0) value = slots[(blockIdx.x + 1) % gridDim.x] + 1;
        if (plant != 1) grid_barrier(state);
    }
    if (threadIdx.x == 0) out[blockIdx.x] = value;
}

/// The last block to finish adds up what all wrote.
extern "C" __global__ void last_block(const float* x, float* parts, unsigned* count, float* out, int plant) {
    __shared__ bool last;
    __shared__ float sums[64];
    const unsigned t = threadIdx.x;
    parts[blockIdx.x * 64 + t] = x[blockIdx.x * 64 + t] * 2.0f;
    if (plant != 1) __syncthreads();
    if (t == 0) {
        const unsigned before = plant == 2 ? atomicAdd(count, 1u) : atom_add_acq_rel(count, 1u);
        last = before == gridDim.x - 1;
    }
    __syncthreads();
    if (!last) return;
    float sum = 0.0f;
    for (unsigned b = 0; b < gridDim.x; ++b) sum += parts[b * 64 + t];
    sums[t] = sum;
    __syncthreads();
    if (t == 0) {
        float total = 0.0f;
        for (int i = 0; i < 64; ++i) total += sums[i];
        *out = total;
    }
}

/// The same with fences around a relaxed counter.
extern "C" __global__ void last_block_by_fences(const float* x, float* parts, unsigned* count, float* out, int plant) {
    __shared__ bool last;
    const unsigned t = threadIdx.x;
    parts[blockIdx.x * 64 + t] = x[blockIdx.x * 64 + t];
    if (plant != 1) __threadfence();
    __syncthreads();
    if (t == 0) {
        last = atomicAdd(count, 1u) == gridDim.x - 1;
        if (plant != 2) __threadfence();
    }
    __syncthreads();
    if (!last || t != 0) return;
    float sum = 0.0f;
    for (unsigned i = 0; i < gridDim.x * 64; ++i) sum += parts[i];
    *out = sum;
}

/// A value and its flag in one word of 8 bytes: needs no order at all.
extern "C" __global__ void flag_with_data(unsigned long long* words, unsigned* out, int plant) {
    if (threadIdx.x == 0) {
        st_relaxed(&words[blockIdx.x], 1ull << 32 | (blockIdx.x * 3));
        const unsigned next = (blockIdx.x + 1) % gridDim.x;
        unsigned long long v;
        if (plant == 1) v = words[next];
        else
            while ((v = ld_relaxed(&words[next])) >> 32 == 0) GPU_PAUSE();
        out[blockIdx.x] = static_cast<unsigned>(v);
    }
}

/// A flag beside the data: released, and acquired.
extern "C" __global__ void flag_beside_data(unsigned* data, unsigned* flags, unsigned* out, int plant) {
    const unsigned t = threadIdx.x;
    data[blockIdx.x * blockDim.x + t] = blockIdx.x * 1000 + t;
    if (plant != 1) __syncthreads();
    if (t == 0) {
        if (plant == 2) st_relaxed(&flags[blockIdx.x], 1);
        else st_release(&flags[blockIdx.x], 1);
        const unsigned next = (blockIdx.x + 1) % gridDim.x;
        if (plant == 3) {
            while (ld_relaxed(&flags[next]) == 0) GPU_PAUSE();
        } else {
            while (ld_acquire(&flags[next]) == 0) GPU_PAUSE();
        }
    }
    if (plant != 4) __syncthreads();
    out[blockIdx.x * blockDim.x + t] = data[(blockIdx.x + 1) % gridDim.x * blockDim.x + t];
}

/// Two blocks store to one word.
extern "C" __global__ void everybody_writes(unsigned* out, int plant) {
    if (threadIdx.x == 0) out[plant == 1 ? blockIdx.x / 2 : blockIdx.x] = blockIdx.x;
}

/// The blocks of a cluster exchange through global memory.
extern "C" __global__ void clusters(unsigned* slots, unsigned* out, int plant) {
    if (threadIdx.x == 0) slots[blockIdx.x] = blockIdx.x + 100;
    if (plant != 1) cluster_barrier();
    const unsigned first = blockIdx.x - cluster_rank();
    if (threadIdx.x == 0) {
        unsigned sum = 0;
        for (unsigned r = 0; r < cluster_size(); ++r) sum += slots[first + r];
        out[blockIdx.x] = sum;
    }
}
