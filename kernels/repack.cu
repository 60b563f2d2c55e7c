// Operation: repack_q6_k, blocks as a file has them to the planes of formats.cuh; a permutation of bits.
// Shapes: source [n, 210] bytes; target [blocks, 210] bytes in planes; block i goes to place first + i.
// Geometry: 8 threads to a block of weights, blocks of 256 threads.
// Bytes moved: everything once in, once out.
// Share of peak, H200 (scripts/gpu-shares): 86 % of the level-2 cache, whose lines blocks of 210 bytes share.
#include "formats.cuh"

extern "C" __global__ void __launch_bounds__(256) repack_q6_k(const RepackArgs a) {
    const unsigned long long i = static_cast<unsigned long long>(blockIdx.x) * (blockDim.x / 8) + threadIdx.x / 8;
    if (i >= a.n) return;
    const unsigned t = threadIdx.x % 8;
    const unsigned char* from = a.source + 210 * i;
    const unsigned long long to = a.first + i;
    unsigned char* ql = a.target + 128 * to + 16 * t;
    unsigned char* qh = a.target + 128 * a.blocks + 64 * to + 8 * t;
    unsigned char* scales = a.target + 192 * a.blocks + 16 * to + 2 * t;
    for (unsigned b = 0; b < 16; b++) ql[b] = from[16 * t + b];
    // In the file byte i of a half holds, from bit 0, the high bits of weights i, i + 32, i + 64, i + 96.
    const unsigned first = Q6_K::first(t), half = first / 128, column = first % 32, shift = first / 32 % 2 * 2;
    for (unsigned b = 0; b < 8; b++) {
        const unsigned w = b / 4, at = column + 8 * w + b % 4;
        const unsigned x = from[128 + 32 * half + at] >> shift, y = from[128 + 32 * half + at + 4] >> shift;
        qh[b] = static_cast<unsigned char>((x & 3u) | (x >> 4 & 3u) << 2 | (y & 3u) << 4 | (y >> 4 & 3u) << 6);
    }
    scales[0] = from[192 + first / 16];
    scales[1] = from[192 + first / 16 + 4];
    if (t == 0) {
        unsigned char* d = a.target + 208 * a.blocks + 2 * to;
        d[0] = from[208];
        d[1] = from[209];
    }
}
