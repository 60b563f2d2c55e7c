// Operation: products fused with what follows them, for steps of few rows: `sum`, x += W a; `gate_up`,
// h = silu(G a) * (U a) for each chosen expert; `down`, x += sum over experts of weight * (W h), in rank order.
// Shapes: W, G, U [count, rows, cols] of format FORMAT; a [entries or positions, cols]; x [positions, rows].
// Geometry: a warp to a weight row, blocks of 8 warps; sum: grid (rows / 8, entries); gate_up: grid (rows / 32, entries), a
// block makes the 32 values that share a scale; down: grid (rows / 8, positions), a warp goes through the experts.
// Bytes moved: the weights of the chosen experts once; values between the products stay in registers.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): of memory in `fast`, one
// token: gate_up 19 % (14 MB in 15.6 us), down 15 %, sum 19 %; in `exact` 34 %, 26 % and 28 % of the multiprocessors.
// Bits: those of matmul.cu and elementwise.cu one after the other. Values with a name are stored where a slot says.
#include "matmul.cuh"
#include "plane.cuh"

#ifndef FORMAT
#error "define FORMAT: a struct of formats.cuh"
#endif

namespace {
/// Stores a watched value, if it is one.
__device__ __forceinline__ void watch(float* const* slot, unsigned long long at, float v) {
    if (slot && *slot) (*slot)[at] = v;
}

template <bool FAST>
__device__ __forceinline__ float product(const Weights& w, unsigned long long row, const Activations& x) {
    float sums[1];
    const Activations one[1] = {x};
    product_of<FAST, FORMAT, 1>(sums, FORMAT::row(w, row), w.cols, one);
    return sums[0];
}

template <bool FAST>
__device__ __forceinline__ void sum_of(const SumArgs& a) {
    const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= a.w.rows) return;
    const float y = product<FAST>(a.w, row, row_of(a.x, blockIdx.y));
    if (lane_id() != 0) return;
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.y) * a.w.rows + row;
    watch(a.slot_out, at, y);
    const float x = a.sum[at] + y;
    a.sum[at] = x;
    watch(a.slot_sum, at, x);
}

template <bool FAST>
__device__ __forceinline__ void gate_up_of(const GateUpArgs& a) {
    __shared__ float h[QUANTUM];
    const unsigned entry = blockIdx.y, expert = a.experts ? a.experts[entry] : 0, first = blockIdx.x * QUANTUM;
    const unsigned rows = a.gate.rows, lane = lane_id();
    const unsigned long long matrix = static_cast<unsigned long long>(expert) * rows;
    const unsigned long long out = static_cast<unsigned long long>(entry) * rows;
    const Activations x = row_of(a.x, entry / a.entries_per_row);
    for (unsigned i = threadIdx.x / 32; i < QUANTUM && first + i < rows; i += blockDim.x / 32) {
        const unsigned row = first + i;
        const float gate = product<FAST>(a.gate, matrix + row, x), up = product<FAST>(a.up, matrix + row, x);
        if (lane == 0) {
            watch(a.slot_gate, out + row, gate);
            watch(a.slot_up, out + row, up);
            h[i] = silu(gate) * up;
        }
    }
    __syncthreads();
    if (threadIdx.x >= 32 || first + lane >= rows) return;
    const float v = h[lane];
    // With an 8-bit form rows are a multiple of 32, and the whole warp is here.
    if (a.out.q) store_quantum(a.out, entry, first, v);
    else a.out.f[out + first + lane] = v;
    watch(a.slot_out, out + first + lane, v);
}

template <bool FAST>
__device__ __forceinline__ void down_of(const DownArgs& a) {
    const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= a.w.rows) return;
    float s = 0.0f;
    for (unsigned j = 0; j < a.chosen; j++) {
#ifdef FAULT_FUSED_RANK_ORDER
        const unsigned entry = blockIdx.y * a.chosen + (a.chosen - 1 - j);
#else
        const unsigned entry = blockIdx.y * a.chosen + j;
#endif
        const unsigned expert = a.experts ? a.experts[entry] : 0;
        const float y = product<FAST>(a.w, static_cast<unsigned long long>(expert) * a.w.rows + row, row_of(a.x, entry));
        if (lane_id() == 0) watch(a.slot_down, static_cast<unsigned long long>(entry) * a.w.rows + row, y);
        s = fmaf(a.weights[entry], y, s);
    }
    if (lane_id() != 0) return;
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.y) * a.w.rows + row;
    watch(a.slot_out, at, s);
    const float x = a.sum[at] + s;
    a.sum[at] = x;
    watch(a.slot_sum, at, x);
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256) sum_exact(const SumArgs a) {
    sum_of<false>(a);
}

extern "C" __global__ void __launch_bounds__(256) sum_fast(const SumArgs a) {
    sum_of<true>(a);
}

extern "C" __global__ void __launch_bounds__(256) gate_up_exact(const GateUpArgs a) {
    gate_up_of<false>(a);
}

extern "C" __global__ void __launch_bounds__(256) gate_up_fast(const GateUpArgs a) {
    gate_up_of<true>(a);
}

extern "C" __global__ void __launch_bounds__(256) down_exact(const DownArgs a) {
    down_of<false>(a);
}

extern "C" __global__ void __launch_bounds__(256) down_fast(const DownArgs a) {
    down_of<true>(a);
}
