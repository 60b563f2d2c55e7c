// Kernels that start before the one before them has ended. `plant` chooses the mistake.
#include "ptx.cuh"

/// y = w * x, the weights loaded before the wait; then lets the next kernel start.
extern "C" __global__ void scale(const float* weights, const float* x, float* y, int plant) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (plant == 1) griddep_launch();  // before its own wait: the kernel after the next may start, too
    const float w = weights[i];
    const float early = plant == 2 ? x[i] : 0.0f;
    if (plant == 3) y[i] = 0.0f;
    if (plant != 4) griddep_wait();
    if (plant != 1) griddep_launch();
    y[i] = w * (plant == 2 ? early : x[i]);
}

/// Reads `old` before its wait, which the kernel two before wrote.
extern "C" __global__ void scale_reading_old(const float* old, const float* x, float* y) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const float w = old[i];
    prefetch_l2(x, 16);  // reads nothing
    griddep_wait();
    griddep_launch();
    y[i] = w + x[i];
}
