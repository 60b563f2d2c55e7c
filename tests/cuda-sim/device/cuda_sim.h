// CUDA C++ for g++: force-included before a kernel file, it gives kernels what NVRTC gives them without any header, and
// declares what the bodies under CUDA_SIM in ptx.cuh call. The work is done in libcuda.so.1 (../src); this file holds
// types, spellings and the arithmetic that needs no other thread. It includes nothing, as NVRTC has nothing to include.
#pragma once

#define CUDA_SIM 1
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#ifdef CUDA_SIM_SCAN  // while libnvrtc looks for kernels, these three stay in the text
#define __global__ __cuda_sim_global__
#else
#define __global__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#endif

typedef __SIZE_TYPE__ size_t;

// ---- vector types

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};

#define CUDA_SIM_VECTORS(T, N)                                                \
    struct N##1 {                                                             \
        T x;                                                                  \
    };                                                                        \
    struct __attribute__((aligned(2 * sizeof(T)))) N##2 {                     \
        T x, y;                                                               \
    };                                                                        \
    struct __attribute__((aligned(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)))) N##4 { \
        T x, y, z, w;                                                         \
    };                                                                        \
    constexpr N##1 make_##N##1(T x) { return {x}; }                           \
    constexpr N##2 make_##N##2(T x, T y) { return {x, y}; }                   \
    constexpr N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define CUDA_SIM_VECTOR3(T, N)                                                \
    struct N##3 {                                                             \
        T x, y, z;                                                            \
    };                                                                        \
    constexpr N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }
CUDA_SIM_VECTORS(signed char, char)
CUDA_SIM_VECTOR3(signed char, char)
CUDA_SIM_VECTORS(unsigned char, uchar)
CUDA_SIM_VECTOR3(unsigned char, uchar)
CUDA_SIM_VECTORS(short, short)
CUDA_SIM_VECTOR3(short, short)
CUDA_SIM_VECTORS(unsigned short, ushort)
CUDA_SIM_VECTOR3(unsigned short, ushort)
CUDA_SIM_VECTORS(int, int)
CUDA_SIM_VECTOR3(int, int)
CUDA_SIM_VECTORS(unsigned, uint)
constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
CUDA_SIM_VECTORS(long long, longlong)
CUDA_SIM_VECTOR3(long long, longlong)
CUDA_SIM_VECTORS(unsigned long long, ulonglong)
CUDA_SIM_VECTOR3(unsigned long long, ulonglong)
CUDA_SIM_VECTORS(float, float)
CUDA_SIM_VECTOR3(float, float)
CUDA_SIM_VECTORS(double, double)
CUDA_SIM_VECTOR3(double, double)
#undef CUDA_SIM_VECTORS
#undef CUDA_SIM_VECTOR3

// ---- the simulator behind the headers

namespace cuda_sim {

/// A place in the source, for barriers and warp operations that must be the same for all who meet.
struct Site {
    const char* file;
    int line;
};
#define CUDA_SIM_SITE cuda_sim::Site site = {__builtin_FILE(), __builtin_LINE()}

// Constant for the thread that calls, so a function asks once.
uint3 thread_index() __attribute__((const));
uint3 block_index() __attribute__((const));
uint3 block_shape() __attribute__((const));
uint3 grid_shape() __attribute__((const));
unsigned lane() __attribute__((const));
void* dynamic_shared() __attribute__((const));

void pause();
[[noreturn]] void trap(Site);
long long clock();

void block_barrier(Site);
/// Barrier `id` (1 .. 15) of `threads` threads, whole warps.
void named_barrier(unsigned id, unsigned threads, CUDA_SIM_SITE);
enum Count { COUNT, AND, OR };
int block_barrier_count(Count, int predicate, Site);
void warp_barrier(unsigned mask, Site);
void fence(int scope);  // 0 block, 1 device, 2 system

enum Shuffle { INDEX, XOR, UP, DOWN };
/// Replaces `value` (at most 16 bytes) by that of another lane.
void shuffle(Shuffle, unsigned mask, void* value, unsigned bytes, int lane, int width, Site);
unsigned ballot(unsigned mask, int predicate, Site);
enum Vote { ANY, ALL };
int vote(Vote, unsigned mask, int predicate, Site);
unsigned match_any(unsigned mask, unsigned long long value, Site);
unsigned match_all(unsigned mask, unsigned long long value, int* same, Site);
enum Reduce { ADD_U, MIN_U, MAX_U, MIN_I, MAX_I, AND_U, OR_U, XOR_U };
unsigned reduce(Reduce, unsigned mask, unsigned value, Site);

constexpr int RELAXED = __ATOMIC_RELAXED, ACQUIRE = __ATOMIC_ACQUIRE, RELEASE = __ATOMIC_RELEASE, ACQ_REL = __ATOMIC_ACQ_REL;
template <class T>
inline T atomic_load(const T* p, int order) {
    return order == ACQUIRE ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : __atomic_load_n(p, __ATOMIC_RELAXED);
}
template <class T>
inline void atomic_store(T* p, T v, int order) {
    order == RELEASE ? __atomic_store_n(p, v, __ATOMIC_RELEASE) : __atomic_store_n(p, v, __ATOMIC_RELAXED);
}
template <class T>
inline T atomic_add(T* p, T v, int order) {
    return order == ACQ_REL ? __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL) : order == RELEASE ? __atomic_fetch_add(p, v, __ATOMIC_RELEASE) : __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}

/// Checks a read of memory that nobody may write during the kernel; the load itself follows.
void readonly(const void* p, unsigned bytes);
template <class T>
inline T ld_readonly(const T* p) {
    readonly(p, sizeof(T));
    return *p;
}
/// A copy that knows its ranges: `memcpy` in kernels.
void copy(void* to, const void* from, size_t bytes);
void fill(void* to, int byte, size_t bytes);

void prefetch(const void* p, unsigned bytes);
void cp_async(void* shared, const void* global, unsigned bytes, unsigned valid);
void cp_async_commit();
void cp_async_wait(unsigned pending);
void mbarrier_init(unsigned long long* bar, unsigned arrivals);
void mbarrier_fence_init();
void mbarrier_arrive(unsigned long long* bar, unsigned expect);
bool mbarrier_done(unsigned long long* bar, unsigned parity);
void bulk_load(void* shared, const void* global, unsigned bytes, unsigned long long* bar);
void fence_proxy_async();

void griddep_wait();
void griddep_launch();
void grid_barrier(unsigned* state, CUDA_SIM_SITE);
unsigned cluster_size() __attribute__((const));
unsigned cluster_rank() __attribute__((const));
void cluster_barrier(CUDA_SIM_SITE);

void mma_f16(float* d, const unsigned* a, const unsigned* b, CUDA_SIM_SITE);
void mma_bf16(float* d, const unsigned* a, const unsigned* b, CUDA_SIM_SITE);
void mma_s8(int* d, const unsigned* a, const unsigned* b, CUDA_SIM_SITE);
void ldmatrix(unsigned* r, unsigned tiles, const void* row, bool transposed, CUDA_SIM_SITE);

template <class To, class From>
inline To bits(From v) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    __builtin_memcpy(&to, &v, sizeof to);
    return to;
}
inline float f16_to_f32(unsigned short h) { return static_cast<float>(bits<_Float16>(h)); }
inline unsigned short f32_to_f16(float f) { return f != f ? 0x7fff : bits<unsigned short>(static_cast<_Float16>(f)); }
inline unsigned short f32_to_bf16(float f) {
    const unsigned u = bits<unsigned>(f);
    return f != f ? 0x7fff : static_cast<unsigned short>((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

// ---- how the simulator calls a kernel: a table made after the file by CUDA_SIM_KERNEL rows

struct Bounds {
    unsigned a = 0, b = 0, c = 0;
    constexpr Bounds() {}
    constexpr Bounds(unsigned a, unsigned b = 0, unsigned c = 0) : a(a), b(b), c(c) {}
};
struct Kernel {
    const char* name;
    void (*call)(void* const* arguments);
    unsigned parameters;
    const unsigned* sizes;
    const unsigned* alignments;
    Bounds launch, cluster;
};
template <class F, F f>
struct Thunk;
template <class... P, void (*f)(P...)>
struct Thunk<void (*)(P...), f> {
    template <int... I>
    struct Indices {};
    template <int... I>
    __attribute__((no_sanitize("thread"), no_sanitize("undefined"))) static void spread(void* const* a, Indices<I...>) {
        f(*static_cast<P*>(a[I])...);
    }
    __attribute__((no_sanitize("thread"), no_sanitize("undefined"))) static void call(void* const* a) { spread(a, Indices<__integer_pack(sizeof...(P))...>{}); }
    static constexpr unsigned sizes[] = {sizeof(P)..., 0};
    static constexpr unsigned alignments[] = {alignof(P)..., 0};
    static constexpr unsigned count = sizeof...(P);
};
#define CUDA_SIM_KERNEL(f, launch, cluster)                                                                                                        \
    {#f, cuda_sim::Thunk<decltype(&f), &f>::call, cuda_sim::Thunk<decltype(&f), &f>::count, cuda_sim::Thunk<decltype(&f), &f>::sizes,              \
     cuda_sim::Thunk<decltype(&f), &f>::alignments, launch, cluster}

}  // namespace cuda_sim

#define threadIdx (cuda_sim::thread_index())
#define blockIdx (cuda_sim::block_index())
#define blockDim (cuda_sim::block_shape())
#define gridDim (cuda_sim::grid_shape())
constexpr int warpSize = 32;

// ---- barriers, votes, shuffles

inline void __syncthreads(CUDA_SIM_SITE) { cuda_sim::block_barrier(site); }
inline int __syncthreads_count(int p, CUDA_SIM_SITE) { return cuda_sim::block_barrier_count(cuda_sim::COUNT, p, site); }
inline int __syncthreads_and(int p, CUDA_SIM_SITE) { return cuda_sim::block_barrier_count(cuda_sim::AND, p, site); }
inline int __syncthreads_or(int p, CUDA_SIM_SITE) { return cuda_sim::block_barrier_count(cuda_sim::OR, p, site); }
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_SIM_SITE) { cuda_sim::warp_barrier(mask, site); }
inline void __threadfence_block() { cuda_sim::fence(0); }
inline void __threadfence() { cuda_sim::fence(1); }
inline void __threadfence_system() { cuda_sim::fence(2); }
inline void __nanosleep(unsigned) { cuda_sim::pause(); }
[[noreturn]] inline void __trap(CUDA_SIM_SITE) { cuda_sim::trap(site); }
inline long long clock64() { return cuda_sim::clock(); }
inline int clock() { return static_cast<int>(cuda_sim::clock()); }

template <class T>
inline T __shfl_sync(unsigned mask, T v, int lane, int width = 32, CUDA_SIM_SITE) {
    cuda_sim::shuffle(cuda_sim::INDEX, mask, &v, sizeof(T), lane, width, site);
    return v;
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, CUDA_SIM_SITE) {
    cuda_sim::shuffle(cuda_sim::XOR, mask, &v, sizeof(T), lanes, width, site);
    return v;
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, CUDA_SIM_SITE) {
    cuda_sim::shuffle(cuda_sim::UP, mask, &v, sizeof(T), static_cast<int>(delta), width, site);
    return v;
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, CUDA_SIM_SITE) {
    cuda_sim::shuffle(cuda_sim::DOWN, mask, &v, sizeof(T), static_cast<int>(delta), width, site);
    return v;
}
inline unsigned __ballot_sync(unsigned mask, int p, CUDA_SIM_SITE) { return cuda_sim::ballot(mask, p, site); }
inline int __any_sync(unsigned mask, int p, CUDA_SIM_SITE) { return cuda_sim::vote(cuda_sim::ANY, mask, p, site); }
inline int __all_sync(unsigned mask, int p, CUDA_SIM_SITE) { return cuda_sim::vote(cuda_sim::ALL, mask, p, site); }
inline unsigned __match_any_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::match_any(mask, v, site); }
inline unsigned __match_any_sync(unsigned mask, int v, CUDA_SIM_SITE) { return cuda_sim::match_any(mask, static_cast<unsigned>(v), site); }
inline unsigned __match_any_sync(unsigned mask, unsigned long long v, CUDA_SIM_SITE) { return cuda_sim::match_any(mask, v, site); }
inline unsigned __match_all_sync(unsigned mask, unsigned v, int* same, CUDA_SIM_SITE) { return cuda_sim::match_all(mask, v, same, site); }
inline unsigned __match_all_sync(unsigned mask, int v, int* same, CUDA_SIM_SITE) { return cuda_sim::match_all(mask, static_cast<unsigned>(v), same, site); }
inline unsigned __reduce_add_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::ADD_U, mask, v, site); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::MIN_U, mask, v, site); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::MAX_U, mask, v, site); }
inline unsigned __reduce_and_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::AND_U, mask, v, site); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::OR_U, mask, v, site); }
inline unsigned __reduce_xor_sync(unsigned mask, unsigned v, CUDA_SIM_SITE) { return cuda_sim::reduce(cuda_sim::XOR_U, mask, v, site); }
inline int __reduce_add_sync(unsigned mask, int v, CUDA_SIM_SITE) { return static_cast<int>(cuda_sim::reduce(cuda_sim::ADD_U, mask, static_cast<unsigned>(v), site)); }
inline int __reduce_min_sync(unsigned mask, int v, CUDA_SIM_SITE) { return static_cast<int>(cuda_sim::reduce(cuda_sim::MIN_I, mask, static_cast<unsigned>(v), site)); }
inline int __reduce_max_sync(unsigned mask, int v, CUDA_SIM_SITE) { return static_cast<int>(cuda_sim::reduce(cuda_sim::MAX_I, mask, static_cast<unsigned>(v), site)); }

// ---- memory

template <class T>
inline T __ldg(const T* p) {
    return cuda_sim::ld_readonly(p);
}
template <class T>
inline T __ldcg(const T* p) {
    return *p;
}
template <class T>
inline T __ldca(const T* p) {
    return *p;
}
template <class T>
inline T __ldcs(const T* p) {
    return *p;
}
template <class T>
inline T __ldlu(const T* p) {
    return *p;
}
template <class T>
inline T __ldcv(const T* p) {
    return *const_cast<const volatile T*>(p);
}
template <class T>
inline void __stcg(T* p, T v) {
    *p = v;
}
template <class T>
inline void __stcs(T* p, T v) {
    *p = v;
}
template <class T>
inline void __stwb(T* p, T v) {
    *p = v;
}
template <class T>
inline void __stwt(T* p, T v) {
    *p = v;
}
inline void* memcpy(void* to, const void* from, size_t n) { return cuda_sim::copy(to, from, n), to; }
inline void* memset(void* to, int byte, size_t n) { return cuda_sim::fill(to, byte, n), to; }
extern "C" int printf(const char*, ...) __attribute__((format(printf, 1, 2)));

#define CUDA_SIM_ATOMICS(T)                                                                          \
    inline T atomicAdd(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }             \
    inline T atomicSub(T* p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }             \
    inline T atomicAnd(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }             \
    inline T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }               \
    inline T atomicXor(T* p, T v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); }             \
    inline T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }           \
    inline T atomicCAS(T* p, T expected, T v) {                                                      \
        __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);     \
        return expected;                                                                             \
    }                                                                                                \
    inline T atomicMax(T* p, T v) {                                                                  \
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                \
        while (!__atomic_compare_exchange_n(p, &old, old > v ? old : v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} \
        return old;                                                                                  \
    }                                                                                                \
    inline T atomicMin(T* p, T v) {                                                                  \
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                \
        while (!__atomic_compare_exchange_n(p, &old, old < v ? old : v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} \
        return old;                                                                                  \
    }
CUDA_SIM_ATOMICS(int)
CUDA_SIM_ATOMICS(unsigned)
CUDA_SIM_ATOMICS(long long)
CUDA_SIM_ATOMICS(unsigned long long)
#undef CUDA_SIM_ATOMICS
inline float atomicExch(float* p, float v) { return cuda_sim::bits<float>(atomicExch(reinterpret_cast<unsigned*>(p), cuda_sim::bits<unsigned>(v))); }
inline unsigned atomicInc(unsigned* p, unsigned limit) {
    unsigned old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(p, &old, old >= limit ? 0 : old + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return old;
}
/// The sum depends on the order of the threads, so the result differs between runs.
inline float atomicAdd(float* p, float v) __attribute__((error("atomicAdd on float is not reproducible: sum in a fixed order")));
inline double atomicAdd(double* p, double v) __attribute__((error("atomicAdd on double is not reproducible: sum in a fixed order")));

// ---- integers

inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 32; i += 8) c += static_cast<signed char>(a >> i) * static_cast<signed char>(b >> i);
    return c;
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 32; i += 8) c += (a >> i & 255u) * (b >> i & 255u);
    return c;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
    const unsigned long long v = static_cast<unsigned long long>(b) << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned select = s >> 4 * i & 15u, byte = static_cast<unsigned>(v >> 8 * (select & 7u)) & 255u;
        r |= (select & 8u ? (byte & 128u ? 255u : 0u) : byte) << 8 * i;
    }
    return r;
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) { return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) >> (s & 31u)); }
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) { return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) << (s & 31u) >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
    return r;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
inline unsigned __vadd4(unsigned a, unsigned b) {
    unsigned r = 0;
    for (int i = 0; i < 32; i += 8) r |= ((a >> i) + (b >> i) & 255u) << i;
    return r;
}
inline unsigned __vsub4(unsigned a, unsigned b) {
    unsigned r = 0;
    for (int i = 0; i < 32; i += 8) r |= ((a >> i) - (b >> i) & 255u) << i;
    return r;
}
inline unsigned __vsubss4(unsigned a, unsigned b) {
    unsigned r = 0;
    for (int i = 0; i < 32; i += 8) {
        int d = static_cast<signed char>(a >> i) - static_cast<signed char>(b >> i);
        d = d > 127 ? 127 : d < -128 ? -128 : d;
        r |= (static_cast<unsigned>(d) & 255u) << i;
    }
    return r;
}
#define CUDA_SIM_MINMAX(T)                                  \
    constexpr T min(T a, T b) { return b < a ? b : a; }     \
    constexpr T max(T a, T b) { return a < b ? b : a; }
CUDA_SIM_MINMAX(int)
CUDA_SIM_MINMAX(unsigned)
CUDA_SIM_MINMAX(long)
CUDA_SIM_MINMAX(unsigned long)
CUDA_SIM_MINMAX(long long)
CUDA_SIM_MINMAX(unsigned long long)
#undef CUDA_SIM_MINMAX
constexpr unsigned min(int a, unsigned b) { return min(static_cast<unsigned>(a), b); }
constexpr unsigned min(unsigned a, int b) { return min(a, static_cast<unsigned>(b)); }
constexpr unsigned max(int a, unsigned b) { return max(static_cast<unsigned>(a), b); }
constexpr unsigned max(unsigned a, int b) { return max(a, static_cast<unsigned>(b)); }
extern "C" int abs(int) noexcept;

// ---- floats: what IEEE 754 fixes to the last bit, and nothing else

inline float __int_as_float(int v) { return cuda_sim::bits<float>(v); }
inline int __float_as_int(float v) { return cuda_sim::bits<int>(v); }
inline float __uint_as_float(unsigned v) { return cuda_sim::bits<float>(v); }
inline unsigned __float_as_uint(float v) { return cuda_sim::bits<unsigned>(v); }
inline double __longlong_as_double(long long v) { return cuda_sim::bits<double>(v); }
inline long long __double_as_longlong(double v) { return cuda_sim::bits<long long>(v); }

extern "C" {
float fmaf(float, float, float) noexcept;
float sqrtf(float) noexcept;
float fabsf(float) noexcept;
float fminf(float, float) noexcept;
float fmaxf(float, float) noexcept;
float rintf(float) noexcept;
float nearbyintf(float) noexcept;
float roundf(float) noexcept;
float floorf(float) noexcept;
float ceilf(float) noexcept;
float truncf(float) noexcept;
float copysignf(float, float) noexcept;
float ldexpf(float, int) noexcept;
double fma(double, double, double) noexcept;
double sqrt(double) noexcept;
double fabs(double) noexcept;
double fmin(double, double) noexcept;
double fmax(double, double) noexcept;
double rint(double) noexcept;
double floor(double) noexcept;
double ceil(double) noexcept;
double trunc(double) noexcept;
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
constexpr bool isnan(float v) { return v != v; }
constexpr bool isnan(double v) { return v != v; }
constexpr bool isinf(float v) { return __builtin_isinf(v); }
constexpr bool isfinite(float v) { return __builtin_isfinite(v); }
inline bool signbit(float v) { return __builtin_signbit(v); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __int2float_rn(int v) { return static_cast<float>(v); }
inline float __uint2float_rn(unsigned v) { return static_cast<float>(v); }
inline float __double2float_rn(double v) { return static_cast<float>(v); }
namespace cuda_sim {
// Devices saturate, and turn NaN into 0.
inline int to_int(float whole) { return whole != whole ? 0 : whole >= 2147483648.0f ? 2147483647 : whole < -2147483648.0f ? -2147483647 - 1 : static_cast<int>(whole); }
inline unsigned to_uint(float whole) { return !(whole > 0.0f) ? 0u : whole >= 4294967296.0f ? 4294967295u : static_cast<unsigned>(whole); }
}  // namespace cuda_sim
inline int __float2int_rn(float v) { return cuda_sim::to_int(rintf(v)); }
inline int __float2int_rz(float v) { return cuda_sim::to_int(truncf(v)); }
inline int __float2int_rd(float v) { return cuda_sim::to_int(floorf(v)); }
inline int __float2int_ru(float v) { return cuda_sim::to_int(ceilf(v)); }
inline unsigned __float2uint_rn(float v) { return cuda_sim::to_uint(rintf(v)); }
inline unsigned __float2uint_rz(float v) { return cuda_sim::to_uint(truncf(v)); }

#define CUDA_SIM_INEXACT(...) __VA_ARGS__ __attribute__((error("devices round this in their own way: build it from fmaf, + - * / and sqrtf")))
extern "C" {
CUDA_SIM_INEXACT(float expf(float) noexcept);
CUDA_SIM_INEXACT(float exp2f(float) noexcept);
CUDA_SIM_INEXACT(float exp10f(float) noexcept);
CUDA_SIM_INEXACT(float expm1f(float) noexcept);
CUDA_SIM_INEXACT(float logf(float) noexcept);
CUDA_SIM_INEXACT(float log2f(float) noexcept);
CUDA_SIM_INEXACT(float log10f(float) noexcept);
CUDA_SIM_INEXACT(float log1pf(float) noexcept);
CUDA_SIM_INEXACT(float powf(float, float) noexcept);
CUDA_SIM_INEXACT(float sinf(float) noexcept);
CUDA_SIM_INEXACT(float cosf(float) noexcept);
CUDA_SIM_INEXACT(void sincosf(float, float*, float*) noexcept);
CUDA_SIM_INEXACT(float tanhf(float) noexcept);
CUDA_SIM_INEXACT(float erff(float) noexcept);
}
CUDA_SIM_INEXACT(float rsqrtf(float));
CUDA_SIM_INEXACT(float __expf(float));
CUDA_SIM_INEXACT(float __exp2f(float));
CUDA_SIM_INEXACT(float __logf(float));
CUDA_SIM_INEXACT(float __log2f(float));
CUDA_SIM_INEXACT(float __powf(float, float));
CUDA_SIM_INEXACT(float __sinf(float));
CUDA_SIM_INEXACT(float __cosf(float));
CUDA_SIM_INEXACT(float __fdividef(float, float));
CUDA_SIM_INEXACT(float __frsqrt_rn(float));
#undef CUDA_SIM_INEXACT
