// Threads that must meet and do not. `plant` chooses the mistake.
#include "ptx.cuh"

/// Barriers that not every thread reaches, or not the same one.
extern "C" __global__ void barriers(int* out, int plant) {
    __shared__ int value;
    const unsigned t = threadIdx.x;
    if (plant == 1 && t == 3) {
        __syncthreads();  // another line
    } else if (plant == 2 && t == 3) {
        return;  // never arrives
    } else {
        __syncthreads();
    }
    if (t == 0) value = 7;
    if (plant == 3 && t >= 32) {
        for (int i = 0; i < 2; ++i) __syncthreads();
    } else {
        __syncthreads();
    }
    out[blockIdx.x * blockDim.x + t] = value;
}

/// Warp operations with the wrong lanes.
extern "C" __global__ void lanes(int* out, int plant) {
    const unsigned t = threadIdx.x, lane = lane_id();
    int v = static_cast<int>(t);
    if (plant == 1) {
        if (lane < 16) v += __shfl_xor_sync(0xffffffffu, v, 1);  // half of the mask never comes
        out[t] = v;
        return;
    }
    if (plant == 2 && lane >= 16) v += __shfl_xor_sync(0x0000ffffu, v, 1);  // not in its own mask
    if (plant == 3) {
        if (lane >= 24) return;
        v += __shfl_sync(0xffffffffu, v, 30);  // from a lane that has ended
    }
    if (plant == 4) {
        if (lane & 1u) v += __shfl_xor_sync(0xffffffffu, v, 2);
        else v += static_cast<int>(__ballot_sync(0xffffffffu, v > 3));  // two operations meet
    }
    if (plant == 5 && lane < 16) v += __shfl_sync(0x0000ffffu, v, 20);  // from outside the mask
    v += __shfl_xor_sync(0xffffffffu, v, 16);
    out[t] = v;
}

/// Every warp operation, with a known result.
extern "C" __global__ void warp_operations(unsigned* out) {
    const unsigned lane = lane_id(), all = 0xffffffffu;
    unsigned* o = out + 32 * 16 * (threadIdx.x / 32) + lane;
    o[0] = __shfl_sync(all, lane, 5);
    o[32] = __shfl_sync(all, lane, static_cast<int>(lane) + 3, 8);
    o[64] = __shfl_up_sync(all, lane, 2);
    o[96] = __shfl_down_sync(all, lane, 2, 16);
    o[128] = __shfl_xor_sync(all, lane, 9);
    o[160] = __ballot_sync(all, lane % 3 == 0);
    o[192] = static_cast<unsigned>(__any_sync(all, lane == 31)) + 2 * static_cast<unsigned>(__all_sync(all, lane < 31));
    o[224] = __match_any_sync(all, lane / 4);
    int same;
    o[256] = __match_all_sync(all, lane / 32, &same);
    o[288] = static_cast<unsigned>(same);
    o[320] = __reduce_add_sync(all, lane);
    o[352] = static_cast<unsigned>(__reduce_min_sync(all, static_cast<int>(lane) - 7));
    o[384] = __reduce_max_sync(all, lane * 3);
    o[416] = __reduce_xor_sync(all, lane | 64u);
    // Only the upper half takes part.
    o[448] = lane >= 16 ? __shfl_xor_sync(0xffff0000u, lane, 1) : 99u;
    const double wide = __shfl_xor_sync(all, static_cast<double>(lane) + 0.5, 1);
    o[480] = static_cast<unsigned>(wide * 2.0);
}

/// Waits for a flag that nobody sets.
extern "C" __global__ void endless(const unsigned* flag, unsigned* out) {
    if (threadIdx.x == 0) {
        while (ld_acquire(flag) == 0) GPU_PAUSE();
    }
    __syncthreads();
    out[threadIdx.x] = 1;
}

/// Gives up.
extern "C" __global__ void traps(const unsigned* x) {
    if (x[threadIdx.x] == 5) __trap();
}
