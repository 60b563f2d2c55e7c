// Memory that may not be touched so. `plant` chooses the mistake.
#include "ptx.cuh"

/// y = x + 1 over n floats; the mistakes are the index, the pointer, and what was never written.
extern "C" __global__ void shift(const float* x, float* y, float* untouched, int n, int plant) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (plant == 1) {
        if (i <= n) y[i] = x[i == n ? 0 : i] + 1.0f;  // writes one past the end
        return;
    }
    if (plant == 2 && i == n - 1) {
        y[i] = x[i + 1];  // reads one past the end
        return;
    }
    if (plant == 3 && i == 0) {
        y[i] = untouched[3] + 1.0f;
        return;
    }
    if (plant == 4 && i == 0) {
        y[i] = *reinterpret_cast<const float*>(static_cast<size_t>(i));
        return;
    }
    if (plant == 5 && i == 0) {
        const float4 v = *reinterpret_cast<const float4*>(x + 1);
        y[i] = v.x;
        return;
    }
    if (plant == 6 && i == 0) {
        y[0] = static_cast<float>(n / static_cast<int>(x[0] - x[0]));  // integer division by zero
        return;
    }
    if (i < n) y[i] = x[i] + 1.0f;
}

/// Static and dynamic shared memory: indices past the end, and reads of what nobody wrote.
extern "C" __global__ void shared_edges(float* y, int plant) {
    __shared__ float fixed[64];
    DYN_SHARED(float, dynamic);
    const unsigned t = threadIdx.x;
    if (plant != 1 || t != 7) fixed[t] = 1.0f;
    if (plant != 2 || t != 9) dynamic[t] = 2.0f;
    __syncthreads();
    const unsigned i = plant == 3 && t == 0 ? 64 + blockIdx.x : 63 - t, j = plant == 4 && t == 0 ? 64 : 63 - t;
    y[blockIdx.x * blockDim.x + t] = fixed[i] + dynamic[j];
}

/// Loads that may skip coherence read what the kernel itself writes.
extern "C" __global__ void non_coherent(float* x, const uint4* weights, float* y, int plant) {
    const unsigned t = threadIdx.x;
    const uint4 w = ld_stream(weights + t);
    x[t] = __uint_as_float(w.x);
    __syncthreads();
    y[t] = plant == 1 ? __ldg(x + 63 - t) : x[63 - t];
}

/// Prefetches touch nothing but must name memory.
extern "C" __global__ void prefetches(const float* x, float* y, unsigned bytes) {
    prefetch_l2(x, bytes);
    y[threadIdx.x] = x[threadIdx.x];
}

/// A thread's local array through a pointer, private to it.
extern "C" __global__ void local_arrays(float* y, int plant) {
    __shared__ float* pointers[64];
    float own[8];
    for (int i = 0; i < 8; ++i) own[i] = static_cast<float>(i);
    pointers[threadIdx.x] = own;
    __syncthreads();
    y[threadIdx.x] = pointers[plant == 1 ? 63 - threadIdx.x : threadIdx.x][threadIdx.x & 7u];
}

struct Shape {
    int rows, columns;
    const float* data;
};

/// A struct by value, a table in constant memory, memcpy between structs.
__constant__ const float TABLE[4] = {1.0f, 2.0f, 4.0f, 8.0f};
extern "C" __global__ void by_value(Shape s, unsigned char narrow, double wide, float* y) {
    Shape copy;
    memcpy(&copy, &s, sizeof copy);
    const int i = static_cast<int>(threadIdx.x);
    if (i < copy.rows * copy.columns) y[i] = copy.data[i] * TABLE[i & 3] + static_cast<float>(narrow) + static_cast<float>(wide);
}
