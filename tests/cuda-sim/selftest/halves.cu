// CUDA's own half types, in the small form the simulator has.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

/// Arithmetic on halves, one rounding each.
extern "C" __global__ void half_arithmetic(const unsigned short* x, unsigned short* y, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const __half a = __ushort_as_half(x[3 * i]), b = __ushort_as_half(x[3 * i + 1]), c = __ushort_as_half(x[3 * i + 2]);
    unsigned short* o = y + 4 * i;
    o[0] = __half_as_ushort(__hadd(a, b));
    o[1] = __half_as_ushort(__hmul(a, b));
    o[2] = __half_as_ushort(__hfma(a, b, c));
    o[3] = __bfloat16_as_ushort(__float2bfloat16(__half2float(a)));
}
