// Operation: rms_norm, o[r] = x[r] / rms(x[r]) * w; head_norm, the same in place for each group of columns.
// Shapes: x, o [rows, n]; w [n]. head_norm: x [rows, stride], groups of `n` columns from `start`.
// Geometry: rms_norm: a block of 256 to a row. head_norm: a block of 128 to a group of a row, grid (groups, rows).
// Bytes moved: x twice (the second time from L1), o once, in `fast` one byte and a quarter more per element.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): of 512 tokens rms_norm
// 10 % of memory, head_norm 57 % of the multiprocessors; of one token 8 us and 3 us, which is their chain of waits.
#include "plane.cuh"

extern "C" __global__ void __launch_bounds__(256) rms_norm(const NormArgs a) {
    __shared__ float lanes[SUM_LANES];
    const unsigned n = a.out.width;
    const float* x = a.x + static_cast<unsigned long long>(blockIdx.x) * n;
    const float scale = norm_scale(x, n, a.eps, lanes);
    store_row(a.out, blockIdx.x, [&](unsigned i) { return x[i] * scale * a.w[i]; });
}

extern "C" __global__ void __launch_bounds__(128) head_norm(const HeadNormArgs a) {
    __shared__ float lanes[SUM_LANES];
    float* x = a.x + static_cast<unsigned long long>(blockIdx.y) * a.stride + a.start + blockIdx.x * a.n;
    const float scale = norm_scale(x, a.n, a.eps, lanes);
    for (unsigned i = threadIdx.x; i < a.n; i += blockDim.x) x[i] = x[i] * scale * a.w[i];
}
