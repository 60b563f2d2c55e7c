// Operation: the arithmetic between the matrix products, one kernel each: bias, add, swiglu, silu, combine, rope, append,
// select, quantize, and `tap`, which stores a value for an observer.
// Shapes: planes [rows, width], rows in grid.y (rope, append: grid.z); columns in grid.x.
// Geometry: blocks of 256.
// Bytes moved: each input read once, each output written once.
// Share of peak, H200, 30B shape, 512 tokens at once and one after them (scripts/gpu-shares): of 512 tokens, of
// memory: combine 63 %, swiglu 36 % (quantizing 29 %, with 59 % of the multiprocessors), add 33 %, rope 12 %, append 10 %;
// of one token each lasts as long as its launch, 3 us.
#include "plane.cuh"

namespace {
__device__ __forceinline__ unsigned column() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ unsigned long long at(unsigned row, unsigned stride, unsigned column) {
    return static_cast<unsigned long long>(row) * stride + column;
}
}  // namespace

// x[r, col ..] += b
extern "C" __global__ void __launch_bounds__(256) bias(const BiasArgs a) {
    const unsigned c = column();
    if (c < a.n) a.x[at(blockIdx.y, a.stride, a.col + c)] += a.b[c];
}

// x += y
extern "C" __global__ void __launch_bounds__(256) add(const AddArgs a) {
    const unsigned c = column();
    if (c < a.width) a.x[at(blockIdx.y, a.width, c)] += a.y[at(blockIdx.y, a.width, c)];
}

// o[r] = silu(gate[r]) * up[r] of a plane gate | up
extern "C" __global__ void __launch_bounds__(256) swiglu(const SwigluArgs a) {
    const unsigned ff = a.out.width;
    const float* gate = a.gate_up + at(blockIdx.y, 2 * ff, 0);
#ifdef FAULT_GATE_UP_SWAPPED
    store_row(a.out, blockIdx.y, [&](unsigned c) { return silu(gate[ff + c]) * gate[c]; });
#else
    store_row(a.out, blockIdx.y, [&](unsigned c) { return silu(gate[c]) * gate[ff + c]; });
#endif
}

// o[r] = silu(gate[r])
extern "C" __global__ void __launch_bounds__(256) silu_gate(const SwigluArgs a) {
    const unsigned ff = a.out.width;
    const float* gate = a.gate_up + at(blockIdx.y, 2 * ff, 0);
    store_row(a.out, blockIdx.y, [&](unsigned c) { return silu(gate[c]); });
}

// o[r] = sum over j of weight[r, j] * y[r * chosen + j], in rank order
extern "C" __global__ void __launch_bounds__(256) combine(const CombineArgs a) {
    const unsigned c = column();
    if (c >= a.width) return;
    float s = 0.0f;
#ifdef FAULT_COMBINE_DROPS_LAST
    const unsigned used = a.chosen - 1;
#else
    const unsigned used = a.chosen;
#endif
    for (unsigned j = 0; j < used; j++) {
        const unsigned entry = blockIdx.y * a.chosen + j;
        s = fmaf(a.weights[entry], a.y[at(entry, a.width, c)], s);
    }
    a.out[at(blockIdx.y, a.width, c)] = s;
}

// Rotates the pairs of each head: grid (pairs, heads, rows).
extern "C" __global__ void __launch_bounds__(256) rope(const RopeArgs a) {
    const unsigned j = column();
    if (j >= a.pairs) return;
    const unsigned long long t = at(a.position[blockIdx.z], a.pairs, j);
    const float cosine = a.cos[t], sine = a.sin[t];
    float* x = a.x + at(blockIdx.z, a.stride, a.start + blockIdx.y * a.head_dim);
    float* first = x + (a.neighbours ? 2 * j : j);
    float* second = x + (a.neighbours ? 2 * j + 1 : j + a.pairs);
    const float u = *first, v = *second;
    *first = fmaf(u, cosine, -(v * sine));
    *second = fmaf(v, cosine, u * sine);
}

namespace {
// Writes a row's keys and values to its place in its sequence: grid (head_dim, heads, rows).
template <class T, class Store>
__device__ __forceinline__ void append_row(const AppendArgs& a, Store store) {
    const unsigned d = column();
    if (d >= a.head_dim) return;
    const unsigned row = blockIdx.z, head = blockIdx.y;
    const unsigned long long slot =
        ((static_cast<unsigned long long>(a.sequence[row]) * a.heads + head) * a.capacity + a.position[row]) * a.head_dim + d;
    const float* k = a.qkv + at(row, a.stride, a.k_start + head * a.head_dim + d);
    store(static_cast<T*>(a.k) + slot, k[0]);
    store(static_cast<T*>(a.v) + slot, k[a.heads * a.head_dim]);
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256) append_f32(const AppendArgs a) {
    append_row<float>(a, [](float* to, float v) { *to = v; });
}

extern "C" __global__ void __launch_bounds__(256) append_f16(const AppendArgs a) {
    append_row<unsigned short>(a, [](unsigned short* to, float v) { *to = f32_to_f16(v); });
}

// o[i] = x[rows[i]]
extern "C" __global__ void __launch_bounds__(256) select_rows(const SelectArgs a) {
    const unsigned c = column();
    if (c < a.width) a.out[at(blockIdx.y, a.width, c)] = a.x[at(a.rows[blockIdx.y], a.width, c)];
}

// Makes the 8-bit form of a plane follow its floats.
extern "C" __global__ void __launch_bounds__(256) quantize_plane(const Plane x) {
    store_row(x, blockIdx.y, [&](unsigned c) { return x.f[at(blockIdx.y, x.width, c)]; });
}

// Copies columns of a plane to where the observer wants them, if it does.
extern "C" __global__ void __launch_bounds__(256) tap(const TapArgs a) {
    float* to = *a.slot;
    const unsigned c = column();
    if (to && c < a.n) to[at(blockIdx.y, a.n, c)] = a.x[at(blockIdx.y, a.stride, a.start + c)];
}
