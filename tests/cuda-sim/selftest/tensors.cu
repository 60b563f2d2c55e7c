// Tensor core tiles: every element through the fragment layouts, in exact arithmetic.
#include "ptx.cuh"

/// c = a * b for one 16 x 16 by 16 x 8 tile of halves per warp, fragments loaded as the manual says.
extern "C" __global__ void tile_f16(const unsigned short* a, const unsigned short* b, float* c, int bfloat) {
    const unsigned lane = lane_id(), g = lane / 4, t = lane % 4;
    unsigned ra[4], rb[2];
    for (unsigned i = 0; i < 4; ++i) ra[i] = *reinterpret_cast<const unsigned*>(a + (g + (i & 1u) * 8) * 16 + t * 2 + (i >> 1) * 8);
    for (unsigned i = 0; i < 2; ++i) {
        const unsigned k = t * 2 + i * 8;
        rb[i] = static_cast<unsigned>(b[k * 8 + g]) | static_cast<unsigned>(b[(k + 1) * 8 + g]) << 16;
    }
    float d[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (bfloat) mma_bf16(d, ra, rb);
    else mma_f16(d, ra, rb);
    for (unsigned i = 0; i < 4; ++i) c[(g + (i >> 1) * 8) * 8 + t * 2 + (i & 1u)] = d[i];
}

/// The same with both operands from shared memory by ldmatrix; b row major, so transposed on the way.
extern "C" __global__ void tile_ldmatrix(const unsigned short* a, const unsigned short* b, float* c, int plant) {
    __shared__ __align__(16) unsigned short sa[16 * 16];
    __shared__ __align__(16) unsigned short sb[16 * 8];
    const unsigned lane = lane_id(), g = lane / 4, t = lane % 4;
    for (unsigned i = lane; i < 256; i += 32) sa[i] = a[i];
    for (unsigned i = lane; i < 128; i += 32) sb[i] = b[i];
    if (plant != 1) __syncwarp();
    unsigned ra[4], rb[2];
    ldmatrix_x4(ra, sa + (lane % 16) * 16 + lane / 16 * 8 + (plant == 2 ? 1 : 0));
    ldmatrix_x2_transposed(rb, sb + lane % 16 * 8);
    float d[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (plant != 3 || lane < 31) mma_f16(d, ra, rb);
    for (unsigned i = 0; i < 4; ++i) c[(g + (i >> 1) * 8) * 8 + t * 2 + (i & 1u)] = d[i];
}

/// c = a * b for one 16 x 32 by 32 x 8 tile of bytes per warp; b is given as columns.
extern "C" __global__ void tile_s8(const signed char* a, const signed char* b_columns, int* c) {
    const unsigned lane = lane_id(), g = lane / 4, t = lane % 4;
    unsigned ra[4], rb[2];
    for (unsigned i = 0; i < 4; ++i) ra[i] = *reinterpret_cast<const unsigned*>(a + (g + (i & 1u) * 8) * 32 + t * 4 + (i >> 1) * 16);
    for (unsigned i = 0; i < 2; ++i) rb[i] = *reinterpret_cast<const unsigned*>(b_columns + g * 32 + t * 4 + i * 16);
    int d[4] = {5, 5, 5, 5};
    mma_s8(d, ra, rb);
    for (unsigned i = 0; i < 4; ++i) c[(g + (i >> 1) * 8) * 8 + t * 2 + (i & 1u)] = d[i];
}
