// Blocks that sum through shared memory in the ways kernels do. `plant` names the barrier to leave out, 0 for none.
#include "ptx.cuh"

#define BARRIER(n) \
    if (plant != n) __syncthreads()
#define WARP_BARRIER(n) \
    if (plant != n) __syncwarp()

/// out[block] = sum of x, by shuffles and one float per warp. Static shared memory.
extern "C" __global__ void __launch_bounds__(256) block_sum(const float* x, float* out, int n, int plant) {
    __shared__ float part[8];
    float a = 0.0f;
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += static_cast<int>(gridDim.x * blockDim.x)) a += x[i];
    for (int o = 16; o > 0; o >>= 1) a += __shfl_xor_sync(0xffffffffu, a, o);
    if (lane_id() == 0) part[threadIdx.x / 32] = a;
    BARRIER(1);
    if (threadIdx.x < 32) {
        a = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0.0f;
        for (int o = 4; o > 0; o >>= 1) a += __shfl_xor_sync(0xffffffffu, a, o);
        if (threadIdx.x == 0) out[blockIdx.x] = a;
    }
}

/// The same with the last warp reading: a fixed order of threads would hide the missing barrier.
extern "C" __global__ void block_sum_by_last_warp(const float* x, float* out, int n, int plant) {
    DYN_SHARED(float, part);
    float a = 0.0f;
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += static_cast<int>(gridDim.x * blockDim.x)) a += x[i];
    for (int o = 16; o > 0; o >>= 1) a += __shfl_xor_sync(0xffffffffu, a, o);
    if (lane_id() == 0) part[threadIdx.x / 32] = a;
    BARRIER(1);
    if (threadIdx.x >= blockDim.x - 32) {
        a = lane_id() < blockDim.x / 32 ? part[lane_id()] : 0.0f;
        for (int o = 4; o > 0; o >>= 1) a += __shfl_xor_sync(0xffffffffu, a, o);
        if (lane_id() == 0) out[blockIdx.x] = a;
    }
}

/// A tree in shared memory; every level needs its barrier.
extern "C" __global__ void tree_sum(const float* x, float* out, int n, int plant) {
    __shared__ float tree[256];
    const unsigned t = threadIdx.x;
    float a = 0.0f;
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + t); i < n; i += static_cast<int>(gridDim.x * blockDim.x)) a += x[i];
    tree[t] = a;
    BARRIER(1);
    for (unsigned half = 128; half > 0; half >>= 1) {
        if (t < half) tree[t] += tree[t + half];
        if (plant != 2 || half != 64) __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = tree[0];
}

/// One buffer used four times: a barrier before the reads and one before the next writes.
extern "C" __global__ void reversed_rounds(const float* x, float* out, int plant) {
    DYN_SHARED(float, buffer);
    float sum = 0.0f;
    for (int round = 0; round < 4; ++round) {
        buffer[threadIdx.x] = x[static_cast<unsigned>(round) * blockDim.x + threadIdx.x];
        BARRIER(1);
        sum += buffer[blockDim.x - 1 - threadIdx.x];
        BARRIER(2);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/// Lanes exchange through shared memory: warp barriers order them, shuffles and votes do not.
extern "C" __global__ void warp_exchange(const float* x, float* out, int plant) {
    __shared__ float slots[8][32];
    const unsigned warp = threadIdx.x / 32, lane = lane_id();
    float sum = 0.0f;
    for (int round = 0; round < 3; ++round) {
        slots[warp][lane] = x[threadIdx.x] + static_cast<float>(round);
        if (plant == 3) __any_sync(0xffffffffu, 1);
        else WARP_BARRIER(1);
        sum += slots[warp][31 - lane];
        WARP_BARRIER(2);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/// Halves and bytes: several threads in one word of shared and of global memory.
extern "C" __global__ void narrow(const unsigned short* x, unsigned short* out, signed char* bytes, int plant) {
    __shared__ unsigned short halves[256];
    __shared__ signed char small[256];
    const unsigned t = threadIdx.x;
    halves[t] = x[t];
    small[t] = static_cast<signed char>(t);
    BARRIER(1);
    out[t] = halves[255 - t];
    if (plant == 2) bytes[t / 2] = small[t];
    else bytes[t] = small[t ^ 1];
}

/// A histogram by atomics on shared memory, read plainly after a barrier.
extern "C" __global__ void histogram(const unsigned* x, unsigned* out, int n, int plant) {
    __shared__ unsigned counts[16];
    if (threadIdx.x < 16) counts[threadIdx.x] = 0;
    BARRIER(1);
    for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) atomicAdd(&counts[x[i] & 15u], 1u);
    BARRIER(2);
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], counts[threadIdx.x]);
}

/// The sum of predicates by a counting barrier.
extern "C" __global__ void counted(const float* x, int* out, int plant) {
    const int positive = __syncthreads_count(x[threadIdx.x] > 0.0f);
    const int any = __syncthreads_or(x[threadIdx.x] > 1000.0f), every = __syncthreads_and(x[threadIdx.x] > -1000.0f);
    if (threadIdx.x == 0) out[blockIdx.x] = positive + 1000 * any + 2000 * every;
}

/// Warps 0 and 1 hand rows to warps 2 and 3 through one buffer, by two named barriers a round.
extern "C" __global__ void hand_over(const float* x, float* out, int rounds, int plant) {
    __shared__ float row[64];
    const unsigned t = threadIdx.x % 64;
    for (int r = 0; r < rounds; ++r) {
        if (threadIdx.x < 64) {
            if (plant != 1 && r > 0) named_barrier(1, 128);
            row[t] = x[static_cast<unsigned>(r) * 64 + t];
            named_barrier(2, 128);
        } else {
            if (plant != 2) named_barrier(2, 128);
            out[static_cast<unsigned>(r) * 64 + t] = row[63 - t];
            if (plant != 1 && r + 1 < rounds) named_barrier(1, 128);
        }
    }
}
