// The weight formats in device code: what crates/model/src/quant does on the host, weight for weight and rounding for
// rounding, and the 8-bit view that integer dot products use. Knows no operation.
//
// A format F is a struct with
//   Row                        where one row lies
//   row(Weights, index)        row `index` of all matrices of a tensor, one after another
//   weight(Row, c)             weight c as f32
// and, if its weights are integers times a scale, also
//   eight(Row, c)              weights c .. c + 7 (c a multiple of 8): w = scale * q - min
#pragma once
#include "args.cuh"
#include "ptx.cuh"

/// Eight weights: two words of four signed bytes, and what makes floats of them.
struct Eight {
    int low, high;
    float scale, min;
};

__device__ __forceinline__ unsigned load16(const unsigned char* p) {
    return *reinterpret_cast<const unsigned short*>(p);
}
/// Blocks are aligned to two bytes only.
__device__ __forceinline__ unsigned load32(const unsigned char* p) {
    return load16(p) | load16(p + 2) << 16;
}
__device__ __forceinline__ float half_at(const unsigned char* p) {
    return f16_to_f32(static_cast<unsigned short>(load16(p)));
}
/// `a - b` in each byte, for 0 <= a, b < 128.
__device__ __forceinline__ int bytes_minus(unsigned a, unsigned b) {
    return static_cast<int>(((a | 0x80808080u) - b) ^ 0x80808080u);
}

/// Where a row of blocks lies.
template <int BLOCK, int BYTES>
struct Blocks {
    static constexpr bool INTEGER = true;
    typedef const unsigned char* Row;
    static __device__ __forceinline__ Row row(const Weights& w, unsigned long long index) {
        return w.data + index * (w.cols / BLOCK) * BYTES;
    }
    static __device__ __forceinline__ const unsigned char* block(Row row, unsigned c) {
        return row + c / BLOCK * BYTES;
    }
};

struct F32 : Blocks<1, 4> {
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        return reinterpret_cast<const float*>(row)[c];
    }
};

struct F16 : Blocks<1, 2> {
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        return half_at(row + 2 * c);
    }
};

struct BF16 : Blocks<1, 2> {
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        return bf16_to_f32(static_cast<unsigned short>(load16(row + 2 * c)));
    }
};

/// Formats of 32 weights whose nibbles hold weights 0 .. 15 (low) and 16 .. 31 (high), at byte `AT` of the block.
template <int AT>
__device__ __forceinline__ unsigned nibble32(const unsigned char* block, unsigned i) {
    return block[AT + i % 16] >> (i / 16 * 4) & 15u;
}
/// Eight of them, a byte each; `i` a multiple of 8.
template <int AT>
__device__ __forceinline__ void nibbles32(const unsigned char* block, unsigned i, unsigned& low, unsigned& high) {
    const unsigned shift = i / 16 * 4;
    low = load32(block + AT + i % 16) >> shift & 0x0f0f0f0fu;
    high = load32(block + AT + i % 16 + 4) >> shift & 0x0f0f0f0fu;
}
/// Bits 0 .. 3 of `bits`, each to bit `TO` of a byte.
template <int TO>
__device__ __forceinline__ unsigned spread4(unsigned bits) {
    return ((bits & 1u) | (bits & 2u) << 7 | (bits & 4u) << 14 | (bits & 8u) << 21) << TO;
}

struct Q4_0 : Blocks<32, 18> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        return half_at(b) * static_cast<float>(static_cast<int>(nibble32<2>(b, c % 32)) - 8);
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        unsigned low, high;
        nibbles32<2>(b, c % 32, low, high);
        return {bytes_minus(low, 0x08080808u), bytes_minus(high, 0x08080808u), half_at(b), 0.0f};
    }
};

struct Q4_1 : Blocks<32, 20> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        return half_at(b) * static_cast<float>(nibble32<4>(b, c % 32)) + half_at(b + 2);
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        unsigned low, high;
        nibbles32<4>(b, c % 32, low, high);
        return {static_cast<int>(low), static_cast<int>(high), half_at(b), -half_at(b + 2)};
    }
};

/// Bit 4 of the weights in a word at byte `AT`, bit i of it for weight i.
template <int AT>
__device__ __forceinline__ void fives32(const unsigned char* b, unsigned i, unsigned& low, unsigned& high) {
    const unsigned bits = load32(b + AT) >> i;
    nibbles32<AT + 4>(b, i, low, high);
    low |= spread4<4>(bits);
    high |= spread4<4>(bits >> 4);
}

struct Q5_0 : Blocks<32, 22> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 32;
        const unsigned q = nibble32<6>(b, i) | (load32(b + 2) >> i & 1u) << 4;
        return half_at(b) * static_cast<float>(static_cast<int>(q) - 16);
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        unsigned low, high;
        fives32<2>(b, c % 32, low, high);
        return {bytes_minus(low, 0x10101010u), bytes_minus(high, 0x10101010u), half_at(b), 0.0f};
    }
};

struct Q5_1 : Blocks<32, 24> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 32;
        const unsigned q = nibble32<8>(b, i) | (load32(b + 4) >> i & 1u) << 4;
        return half_at(b) * static_cast<float>(q) + half_at(b + 2);
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        unsigned low, high;
        fives32<4>(b, c % 32, low, high);
        return {static_cast<int>(low), static_cast<int>(high), half_at(b), -half_at(b + 2)};
    }
};

struct Q8_0 : Blocks<32, 34> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        return half_at(b) * static_cast<float>(static_cast<signed char>(b[2 + c % 32]));
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned char* q = b + 2 + c % 32;
        return {static_cast<int>(load32(q)), static_cast<int>(load32(q + 4)), half_at(b), 0.0f};
    }
};

/// Two bits of weight `i`: two halves of 128 weights in 32 bytes each, weights i, i + 32, i + 64, i + 96 in one byte.
__device__ __forceinline__ unsigned pair_at(const unsigned char* qs, unsigned i) {
    return qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3u;
}
/// Four of them, a byte each; `i` a multiple of 4.
__device__ __forceinline__ unsigned pairs_at(const unsigned char* qs, unsigned i) {
    return load32(qs + i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 0x03030303u;
}

struct Q2_K : Blocks<256, 84> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256, group = b[i / 16];
        const float scale = half_at(b + 80) * static_cast<float>(group & 15u);
        const float min = half_at(b + 82) * static_cast<float>(group >> 4);
        return scale * static_cast<float>(pair_at(b + 16, i)) - min;
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256, group = b[i / 16];
        return {static_cast<int>(pairs_at(b + 16, i)), static_cast<int>(pairs_at(b + 16, i + 4)),
                half_at(b + 80) * static_cast<float>(group & 15u), half_at(b + 82) * static_cast<float>(group >> 4)};
    }
};

struct Q3_K : Blocks<256, 110> {
    static __device__ __forceinline__ float scale(const unsigned char* b, unsigned group) {
        const unsigned low = b[96 + group % 8] >> (group / 8 * 4) & 15u;
        const unsigned high = b[104 + group % 4] >> (group / 4 * 2) & 3u;
        return half_at(b + 108) * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256, high = b[i % 32] >> (i / 32) & 1u;
        return scale(b, i / 16) * static_cast<float>(static_cast<int>(pair_at(b + 32, i) | high << 2) - 4);
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256, bit = i / 32;
        const unsigned low = pairs_at(b + 32, i) | (load32(b + i % 32) >> bit & 0x01010101u) << 2;
        const unsigned high = pairs_at(b + 32, i + 4) | (load32(b + i % 32 + 4) >> bit & 0x01010101u) << 2;
        return {bytes_minus(low, 0x04040404u), bytes_minus(high, 0x04040404u), scale(b, i / 16), 0.0f};
    }
};

/// Scale and minimum, 6 bits each, of group `g` in the 12 bytes that Q4_K and Q5_K share.
__device__ __forceinline__ void scale_min(const unsigned char* s, unsigned g, unsigned& scale, unsigned& min) {
    if (g < 4) {
        scale = s[g] & 63u;
        min = s[g + 4] & 63u;
    } else {
        scale = (s[g + 4] & 15u) | s[g - 4] >> 6 << 4;
        min = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}
/// Four bits of weights i .. i + 3 of a block of 256: quarters of 64 weights in 32 bytes, low nibbles first.
__device__ __forceinline__ unsigned nibbles256(const unsigned char* qs, unsigned i) {
    return load32(qs + i / 64 * 32 + i % 32) >> (i / 32 % 2 * 4) & 0x0f0f0f0fu;
}

struct Q4_K : Blocks<256, 144> {
    static __device__ __forceinline__ void factors(const unsigned char* b, unsigned g, float& scale, float& min) {
        unsigned s, m;
        scale_min(b + 4, g, s, m);
        scale = half_at(b) * static_cast<float>(s);
        min = half_at(b + 2) * static_cast<float>(m);
#ifdef FAULT_F16_OVERFLOW
        scale = f16_to_f32(f32_to_f16(scale));
#endif
    }
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256;
        float scale, min;
        factors(b, i / 32, scale, min);
#ifdef FAULT_SWAPPED_NIBBLE
        const unsigned shift = (i / 32 + 1) % 2 * 4;
#else
        const unsigned shift = i / 32 % 2 * 4;
#endif
        return scale * static_cast<float>(b[16 + i / 64 * 32 + i % 32] >> shift & 15u) - min;
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256;
        float scale, min;
        factors(b, i / 32, scale, min);
        return {static_cast<int>(nibbles256(b + 16, i)), static_cast<int>(nibbles256(b + 16, i + 4)), scale, min};
    }
};

struct Q5_K : Blocks<256, 176> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256;
        float scale, min;
        Q4_K::factors(b, i / 32, scale, min);
        const unsigned low = b[48 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15u;
        const unsigned high = b[16 + i % 32] >> (i / 32) & 1u;
        return scale * static_cast<float>(low | high << 4) - min;
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned i = c % 256, g = i / 32;
        float scale, min;
        Q4_K::factors(b, g, scale, min);
        const unsigned low = nibbles256(b + 48, i) | (load32(b + 16 + i % 32) >> g & 0x01010101u) << 4;
        const unsigned high = nibbles256(b + 48, i + 4) | (load32(b + 16 + i % 32 + 4) >> g & 0x01010101u) << 4;
        return {static_cast<int>(low), static_cast<int>(high), scale, min};
    }
};

/// In four planes over the whole tensor, so that every load is aligned (repack.cu): low bits (128 bytes a block, in the
/// file's order), high bits (64), scales (16), scale of scales (2).
///
/// Eight lanes share a block. Lane t owns the low-bit bytes 16 t .. 16 t + 15: their low nibbles are 16 weights from
/// first(t), their high nibbles those 64 further. Of its 8 bytes of high bits, byte b (0 .. 3) of word w (0, 1) holds,
/// from bit 0 and two bits each: low-nibble weight 8 w + b, high-nibble weight 8 w + b, low-nibble weight 8 w + 4 + b,
/// high-nibble weight 8 w + 4 + b. Its scales are bytes 2 t (low nibbles) and 2 t + 1.
struct Q6_K {
    static constexpr bool INTEGER = true;
    struct Row {
        const unsigned char *ql, *qh, *scales, *d;
    };
    static __device__ __forceinline__ Row row(const Weights& w, unsigned long long index) {
        const unsigned long long at = index * (w.cols / 256);
        return {w.data + 128 * at, w.data + 128 * w.blocks + 64 * at, w.data + 192 * w.blocks + 16 * at,
                w.data + 208 * w.blocks + 2 * at};
    }
    /// The first weight of lane t's low nibbles.
    static __host__ __device__ __forceinline__ constexpr unsigned first(unsigned t) {
        return t / 4 * 128 + t % 4 / 2 * 32 + t % 2 * 16;
    }
    /// Lane, place in the lane's 16 bytes, and nibble of weight i of a block.
    static __device__ __forceinline__ void place(unsigned i, unsigned& t, unsigned& at, unsigned& nibble) {
        t = i / 128 * 4 + i / 32 % 2 * 2 + i / 16 % 2;
        at = i % 16;
        nibble = i / 64 % 2;
    }
    static __device__ __forceinline__ float weight(const Row& row, unsigned c) {
        const unsigned long long b = c / 256;
        unsigned t, at, nibble;
        place(c % 256, t, at, nibble);
        const unsigned low = row.ql[128 * b + 16 * t + at] >> (4 * nibble) & 15u;
        const unsigned high = row.qh[64 * b + 8 * t + at / 8 * 4 + at % 4] >> (at / 4 % 2 * 4 + 2 * nibble) & 3u;
        const int scale = static_cast<signed char>(row.scales[16 * b + 2 * t + nibble]);
        return half_at(row.d + 2 * b) * static_cast<float>(scale) * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
};

/// GGML's table of IQ4_NL, shared with IQ4_XS.
__device__ __forceinline__ int iq4_value(unsigned q) {
    // Four words of four signed bytes; a table in memory would cost a load a weight.
    const unsigned word = q < 8 ? (q < 4 ? 0xbfad9881u : 0xf6eaddcfu) : (q < 12 ? 0x26190d01u : 0x71594535u);
    return static_cast<signed char>(word >> (q % 4 * 8));
}
/// Four nibbles, a byte each, through the table.
__device__ __forceinline__ int iq4_values(unsigned q) {
    // Bits 0 .. 2 select a byte of eight; bit 3 selects which eight.
    const unsigned select = (q & 7u) | (q >> 4 & 0x70u) | (q >> 8 & 0x700u) | (q >> 12 & 0x7000u);
    const unsigned lower = __byte_perm(0xbfad9881u, 0xf6eaddcfu, select);
    const unsigned upper = __byte_perm(0x26190d01u, 0x71594535u, select);
    const unsigned mask = (q >> 3 & 0x01010101u) * 255u;
    return static_cast<int>((upper & mask) | (lower & ~mask));
}

struct IQ4_NL : Blocks<32, 18> {
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        return half_at(b) * static_cast<float>(iq4_value(nibble32<2>(b, c % 32)));
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        unsigned low, high;
        nibbles32<2>(b, c % 32, low, high);
        return {iq4_values(low), iq4_values(high), half_at(b), 0.0f};
    }
};

struct IQ4_XS : Blocks<256, 136> {
    static __device__ __forceinline__ float scale(const unsigned char* b, unsigned g) {
        const unsigned low = b[4 + g / 2] >> (g % 2 * 4) & 15u;
        const unsigned high = load16(b + 2) >> (2 * g) & 3u;
        return half_at(b) * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
    static __device__ __forceinline__ float weight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned g = c % 256 / 32;
        return scale(b, g) * static_cast<float>(iq4_value(nibble32<8>(b + 16 * g, c % 32)));
    }
    static __device__ __forceinline__ Eight eight(Row row, unsigned c) {
        const unsigned char* b = block(row, c);
        const unsigned g = c % 256 / 32;
        unsigned low, high;
        nibbles32<8>(b + 16 * g, c % 32, low, high);
        return {iq4_values(low), iq4_values(high), scale(b, g), 0.0f};
    }
};
