// What NVRTC gives without a header, against results computed by the host in another way.
#include "ptx.cuh"

extern "C" __global__ void halves(const unsigned short* h, float* f, unsigned short* back, float* bf, unsigned short* bf_back) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    f[i] = f16_to_f32(h[i]);
    back[i] = f32_to_f16(f[i]);
    bf[i] = bf16_to_f32(h[i]);
    bf_back[i] = f32_to_bf16(bf[i]);
}

extern "C" __global__ void rounded(const float* f, unsigned short* h, unsigned short* b, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) h[i] = f32_to_f16(f[i]), b[i] = f32_to_bf16(f[i]);
}

extern "C" __global__ void integers(const unsigned* x, unsigned* y, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const unsigned a = x[2 * i], b = x[2 * i + 1];
    unsigned* o = y + 12 * i;
    o[0] = static_cast<unsigned>(__dp4a(static_cast<int>(a), static_cast<int>(b), 7));
    o[1] = __dp4a(a, b, 7u);
    o[2] = __byte_perm(a, b, 0x7193);
    o[3] = __funnelshift_r(a, b, 13);
    o[4] = __vsubss4(a, b);
    o[5] = __vsub4(a, b);
    o[6] = static_cast<unsigned>(__popc(a) + __clz(static_cast<int>(b >> 5)) + __ffs(static_cast<int>(a & 0xfff0u)));
    o[7] = __umulhi(a, b);
    o[8] = __brev(a);
    o[9] = static_cast<unsigned>(__float2int_rn(__uint_as_float(a)));
    o[10] = min(a, b) ^ max(a, b);
    o[11] = __float_as_uint(fmaf(__uint_as_float(a & 0x3fffffffu), 3.0f, 1.0f));
}

/// Counts by every atomic operation.
extern "C" __global__ void atomics(unsigned* x) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&x[0], i);
    atomicMax(&x[1], i);
    atomicMin(&x[2], i);
    atomicOr(&x[3], 1u << (i & 31u));
    atomicAnd(&x[4], ~(1u << (i & 7u)));
    atomicXor(&x[5], i);
    atomicInc(&x[6], 9u);
    atomicSub(&x[7], 1u);
    unsigned old = ld_relaxed(&x[8]), seen;
    while ((seen = atomicCAS(&x[8], old, old + 2)) != old) old = seen;
    atomicExch(&x[9], 77u);
}
