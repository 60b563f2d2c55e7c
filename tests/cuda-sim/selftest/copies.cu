// Copies to shared memory that happen behind a thread's back. `plant` chooses the mistake.
#include "ptx.cuh"

/// Rows of 64 x 4 floats by cp.async, two stages: y = 2 x, each thread reading another thread's copy.
extern "C" __global__ void staged(const float4* x, float4* y, int rows, int plant) {
    __shared__ float4 stage[2][64];
    const unsigned t = threadIdx.x;
    cp_async16(&stage[0][t], x + t);
    cp_async_commit();
    for (int r = 0; r < rows; ++r) {
        if (r + 1 < rows) cp_async16(&stage[(r + 1) & 1][t], x + (r + 1) * 64 + t);
        cp_async_commit();
        if (plant == 1) cp_async_wait<2>();
        else if (plant == 2) cp_async_wait<0>();
        else cp_async_wait<1>();
        if (plant != 3) __syncthreads();
        float4 v = stage[r & 1][63 - t];
        y[r * 64 + static_cast<int>(t)] = make_float4(2.0f * v.x, 2.0f * v.y, 2.0f * v.z, 2.0f * v.w);
        if (plant != 4) __syncthreads();
    }
    if (plant != 5) cp_async_wait<0>();
}

/// Rows past the end come as zeros.
extern "C" __global__ void zero_filled(const float4* x, float4* y, int valid) {
    DYN_SHARED(float4, rows);
    const unsigned t = threadIdx.x;
    cp_async16_or_zero(&rows[t], x + t, static_cast<int>(t) < valid);
    cp_async4(reinterpret_cast<float*>(rows + 64) + t, reinterpret_cast<const float*>(x) + t % 4);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    y[t] = rows[63 - t];
    y[64 + t].x = reinterpret_cast<float*>(rows + 64)[63 - t];
}

/// Rows by bulk copies, two stages with a full and an empty barrier each: one thread produces, all consume.
extern "C" __global__ void bulk(const float* x, float* y, int rows, int plant) {
    DYN_SHARED(float, stages);
    __shared__ Mbarrier full[2], empty[2];
    const unsigned t = threadIdx.x, width = blockDim.x;
    if (t == 0) {
        for (int s = 0; s < 2; ++s) {
            mbarrier_init(&full[s], 1);
            mbarrier_init(&empty[s], width);
        }
        mbarrier_fence_init();
    }
    if (plant != 1) __syncthreads();
    const auto load = [&](int r) {
        bulk_load(stages + static_cast<unsigned>(r & 1) * width, x + static_cast<unsigned>(r) * width, width * 4, &full[r & 1]);
        mbarrier_arrive_expect(&full[r & 1], plant == 2 ? width * 4 - 16 : width * 4);
    };
    if (t == 0) {
        load(0);
        if (rows > 1) load(1);
    }
    for (int r = 0; r < rows; ++r) {
        const unsigned parity = static_cast<unsigned>(r / 2) & 1u;
        if (plant != 3) mbarrier_wait(&full[r & 1], parity);
        y[static_cast<unsigned>(r) * width + t] = 2.0f * stages[static_cast<unsigned>(r & 1) * width + width - 1 - t];
        mbarrier_arrive(&empty[r & 1]);
        if (t == 0 && r + 2 < rows) {
            if (plant != 4) mbarrier_wait(&empty[r & 1], parity);
            fence_proxy_async();
            load(r + 2);
        }
    }
}

/// Addresses and sizes that the instructions refuse.
extern "C" __global__ void misaligned_copies(const float* x, float* y, int plant) {
    __shared__ __align__(16) float buffer[64];
    __shared__ Mbarrier bar;
    if (threadIdx.x == 0) {
        if (plant != 3) mbarrier_init(&bar, 1);
        if (plant == 1) cp_async16(buffer, x + 1);
        else if (plant == 2) bulk_load(buffer, x, 24, &bar);
        else bulk_load(buffer, x, 256, &bar);
        mbarrier_arrive_expect(&bar, 256);
        mbarrier_wait(&bar, 0);
        y[0] = buffer[plant == 4 ? 65 : 0];
    }
}
