// The part of CUDA's cuda_fp16.h that is the same to the last bit everywhere: storage, conversions, and arithmetic with
// one rounding. Products and sums of two halves are exact in f32, a fused multiply-add is in f64.
#pragma once

struct __half {
    unsigned short bits_;
    __half() = default;
    explicit __half(float f) : bits_(cuda_sim::f32_to_f16(f)) {}
    operator float() const { return cuda_sim::f16_to_f32(bits_); }
};
struct __attribute__((aligned(4))) __half2 {
    __half x, y;
};
typedef __half half;
typedef __half2 half2;

inline __half __ushort_as_half(unsigned short bits) {
    __half h;
    h.bits_ = bits;
    return h;
}
inline unsigned short __half_as_ushort(__half h) { return h.bits_; }
inline float __half2float(__half h) { return cuda_sim::f16_to_f32(h.bits_); }
inline __half __float2half(float f) { return __half(f); }
inline __half __float2half_rn(float f) { return __half(f); }
inline float __low2float(__half2 h) { return __half2float(h.x); }
inline float __high2float(__half2 h) { return __half2float(h.y); }
inline __half __low2half(__half2 h) { return h.x; }
inline __half __high2half(__half2 h) { return h.y; }
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline __half2 __floats2half2_rn(float a, float b) { return {__half(a), __half(b)}; }
inline __half2 __float22half2_rn(float2 f) { return {__half(f.x), __half(f.y)}; }
inline __half2 __half2half2(__half a) { return {a, a}; }
inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
inline __half __hneg(__half a) { return __ushort_as_half(static_cast<unsigned short>(a.bits_ ^ 0x8000)); }
inline __half __habs(__half a) { return __ushort_as_half(a.bits_ & 0x7fff); }
inline __half __hadd(__half a, __half b) { return __half(__half2float(a) + __half2float(b)); }
inline __half __hsub(__half a, __half b) { return __half(__half2float(a) - __half2float(b)); }
inline __half __hmul(__half a, __half b) { return __half(__half2float(a) * __half2float(b)); }
/// The product is exact in f64; its sum with c is rounded to odd there, so that rounding to half is the only one that shows.
inline __half __hfma(__half a, __half b, __half c) {
    const double product = static_cast<double>(__half2float(a)) * __half2float(b), addend = __half2float(c);
    const double sum = product + addend, from_product = sum - addend, error = (product - from_product) + (addend - (sum - from_product));
    unsigned long long bits = cuda_sim::bits<unsigned long long>(sum);
    if (error != 0.0 && (bits & 1) == 0) bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
    const double odd = sum - sum == 0.0 ? cuda_sim::bits<double>(bits) : sum;
    return odd != odd ? __ushort_as_half(0x7fff) : __ushort_as_half(cuda_sim::bits<unsigned short>(static_cast<_Float16>(odd)));
}
inline __half2 __hadd2(__half2 a, __half2 b) { return {__hadd(a.x, b.x), __hadd(a.y, b.y)}; }
inline __half2 __hsub2(__half2 a, __half2 b) { return {__hsub(a.x, b.x), __hsub(a.y, b.y)}; }
inline __half2 __hmul2(__half2 a, __half2 b) { return {__hmul(a.x, b.x), __hmul(a.y, b.y)}; }
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
inline bool __hlt(__half a, __half b) { return __half2float(a) < __half2float(b); }
inline bool __hgt(__half a, __half b) { return __half2float(a) > __half2float(b); }
inline bool __hisnan(__half a) { return (a.bits_ & 0x7fff) > 0x7c00; }
