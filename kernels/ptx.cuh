// Every instruction that CUDA C++ has no spelling for, as a function: the only file where inline PTX may appear. Each
// function has a second body for the CPU simulator (tests/cuda-sim), chosen by CUDA_SIM, right beside the first. It
// knows no tensor, no format and no kernel.
//
// Needs no header of a CUDA toolkit. Compiles for sm_80 and up: where a processor lacks an instruction, the function
// does the same work without it, so that kernels have one source for all of them.
#pragma once

// ---- dynamic shared memory and spinning

#ifdef CUDA_SIM
/// Declares `T* name`, the block's dynamic shared memory, aligned to 128 bytes.
#define DYN_SHARED(T, name) T* const name = reinterpret_cast<T*>(cuda_sim::dynamic_shared())
/// Goes into the body of every loop that waits for another thread; the simulator switches threads there.
#define GPU_PAUSE() cuda_sim::pause()
#else
#define DYN_SHARED(T, name)                                            \
    extern __shared__ __align__(128) unsigned char dyn_shared_bytes[]; \
    T* const name = reinterpret_cast<T*>(dyn_shared_bytes)
#define GPU_PAUSE()
#endif

/// Polls of a waiting loop before the kernel traps: seconds on a device, so that a mistake cannot hang it.
constexpr unsigned SPIN_LIMIT = 1u << 22;

#ifndef CUDA_SIM
/// The 32-bit address that instructions on shared memory take.
__device__ __forceinline__ unsigned shared_address(const void* p) {
    return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
#endif

/// Index of the calling thread in its warp.
__device__ __forceinline__ unsigned lane_id() {
#ifdef CUDA_SIM
    return cuda_sim::lane();
#else
    unsigned lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
#endif
}

// ---- half and bfloat16, as bits

/// The f32 equal to an IEEE half.
__device__ __forceinline__ float f16_to_f32(unsigned short h) {
#ifdef CUDA_SIM
    return cuda_sim::f16_to_f32(h);
#else
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
#endif
}

/// The half nearest to `f`, ties to even; beyond 65504 + 15 infinity; every NaN becomes 0x7fff.
__device__ __forceinline__ unsigned short f32_to_f16(float f) {
#ifdef CUDA_SIM
    return cuda_sim::f32_to_f16(f);
#else
    unsigned short h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
#endif
}

/// Two halves, the low bits first.
__device__ __forceinline__ float2 f16x2_to_f32(unsigned hh) {
    return make_float2(f16_to_f32(static_cast<unsigned short>(hh & 0xffffu)), f16_to_f32(static_cast<unsigned short>(hh >> 16)));
}

/// Two halves in one word, `lo` in the low bits.
__device__ __forceinline__ unsigned f32_to_f16x2(float lo, float hi) {
    return static_cast<unsigned>(f32_to_f16(lo)) | static_cast<unsigned>(f32_to_f16(hi)) << 16;
}

/// The f32 equal to a bfloat16.
__device__ __forceinline__ float bf16_to_f32(unsigned short h) {
    return __uint_as_float(static_cast<unsigned>(h) << 16);
}

/// The bfloat16 nearest to `f`, ties to even; every NaN becomes 0x7fff.
__device__ __forceinline__ unsigned short f32_to_bf16(float f) {
#ifdef CUDA_SIM
    return cuda_sim::f32_to_bf16(f);
#else
    unsigned short h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
#endif
}

// ---- loads and stores with a purpose
//
// `ld_stream` is non-coherent: the memory must not be written by anyone during the kernel. `ld_l2` reads what other
// blocks wrote before a barrier or an acquire of this block. The relaxed, acquire and release forms are for flags.

/// 16 bytes that are read once: kept out of L1, the neighbouring 128 bytes fetched into L2.
__device__ __forceinline__ uint4 ld_stream(const uint4* p) {
#ifdef CUDA_SIM
    return cuda_sim::ld_readonly(p);
#else
    uint4 v;
    asm("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
#endif
}

/// 8 bytes, likewise.
__device__ __forceinline__ uint2 ld_stream(const uint2* p) {
#ifdef CUDA_SIM
    return cuda_sim::ld_readonly(p);
#else
    uint2 v;
    asm("ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
#endif
}

/// 4 bytes, likewise.
__device__ __forceinline__ unsigned ld_stream(const unsigned* p) {
#ifdef CUDA_SIM
    return cuda_sim::ld_readonly(p);
#else
    unsigned v;
    asm("ld.global.nc.L1::no_allocate.L2::128B.u32 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
#endif
}

/// A coherent load from L2, past L1.
template <class T>
__device__ __forceinline__ T ld_l2(const T* p) {
    return __ldcg(p);
}

/// A store to L2, past L1.
template <class T>
__device__ __forceinline__ void st_l2(T* p, T v) {
    __stcg(p, v);
}

/// An atomic load that orders nothing.
__device__ __forceinline__ unsigned ld_relaxed(const unsigned* p) {
#ifdef CUDA_SIM
    return cuda_sim::atomic_load(p, cuda_sim::RELAXED);
#else
    unsigned v;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
#endif
}

/// An atomic load of 8 bytes that orders nothing: a value and its flag travel together.
__device__ __forceinline__ unsigned long long ld_relaxed(const unsigned long long* p) {
#ifdef CUDA_SIM
    return cuda_sim::atomic_load(p, cuda_sim::RELAXED);
#else
    unsigned long long v;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
    return v;
#endif
}

/// What the thread that stored this value with release did before is visible after it.
__device__ __forceinline__ unsigned ld_acquire(const unsigned* p) {
#ifdef CUDA_SIM
    return cuda_sim::atomic_load(p, cuda_sim::ACQUIRE);
#else
    unsigned v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
#endif
}

/// An atomic store that orders nothing.
__device__ __forceinline__ void st_relaxed(unsigned* p, unsigned v) {
#ifdef CUDA_SIM
    cuda_sim::atomic_store(p, v, cuda_sim::RELAXED);
#else
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
#endif
}

/// An atomic store of 8 bytes that orders nothing.
__device__ __forceinline__ void st_relaxed(unsigned long long* p, unsigned long long v) {
#ifdef CUDA_SIM
    cuda_sim::atomic_store(p, v, cuda_sim::RELAXED);
#else
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory");
#endif
}

/// Publishes what the calling thread did, and what it knows of by barriers, before.
__device__ __forceinline__ void st_release(unsigned* p, unsigned v) {
#ifdef CUDA_SIM
    cuda_sim::atomic_store(p, v, cuda_sim::RELEASE);
#else
    asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
#endif
}

/// Adds and publishes; returns nothing, so it costs no round trip.
__device__ __forceinline__ void red_add_release(unsigned* p, unsigned v) {
#ifdef CUDA_SIM
    cuda_sim::atomic_add(p, v, cuda_sim::RELEASE);
#else
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
#endif
}

/// Adds, publishes and acquires; returns the value before. The last of n blocks sees n - 1 and all their stores.
__device__ __forceinline__ unsigned atom_add_acq_rel(unsigned* p, unsigned v) {
#ifdef CUDA_SIM
    return cuda_sim::atomic_add(p, v, cuda_sim::ACQ_REL);
#else
    unsigned old;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(p), "r"(v) : "memory");
    return old;
#endif
}

// ---- prefetch

/// Asks for `bytes` (a multiple of 16, 16-byte aligned) to be in L2 soon. Reads nothing: also allowed before
/// `griddep_wait` on memory that another kernel still writes.
__device__ __forceinline__ void prefetch_l2(const void* p, unsigned bytes) {
#if defined(CUDA_SIM)
    cuda_sim::prefetch(p, bytes);
#elif __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p), "r"(bytes) : "memory");
#else
    for (unsigned i = 0; i < bytes; i += 128) {
        asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(p) + i));
    }
#endif
}

// ---- copies to shared memory behind the thread's back: per thread

/// Starts copying 16 bytes; both addresses 16-byte aligned. Until `cp_async_wait` the destination holds nothing.
__device__ __forceinline__ void cp_async16(void* shared, const void* global) {
#ifdef CUDA_SIM
    cuda_sim::cp_async(shared, global, 16, 16);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#endif
}

/// The same, or 16 zero bytes when `valid` is false (nothing is read then).
__device__ __forceinline__ void cp_async16_or_zero(void* shared, const void* global, bool valid) {
#ifdef CUDA_SIM
    cuda_sim::cp_async(shared, global, 16, valid ? 16 : 0);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid ? 16 : 0) : "memory");
#endif
}

/// 4 bytes; both addresses 4-byte aligned.
__device__ __forceinline__ void cp_async4(void* shared, const void* global) {
#ifdef CUDA_SIM
    cuda_sim::cp_async(shared, global, 4, 4);
#else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#endif
}

/// Closes a group: the copies this thread started since the last one.
__device__ __forceinline__ void cp_async_commit() {
#ifdef CUDA_SIM
    cuda_sim::cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the newest `PENDING` groups of this thread are still on their way. Other threads' copies need
/// a barrier after it.
template <int PENDING>
__device__ __forceinline__ void cp_async_wait() {
#ifdef CUDA_SIM
    cuda_sim::cp_async_wait(PENDING);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// ---- copies to shared memory behind the thread's back: whole rows, counted by an mbarrier
//
// One thread: `mbarrier_init`, `mbarrier_fence_init`, then a block barrier. Per use: one thread starts its copies and
// then arrives with their sum of bytes; everybody waits for the parity of the use (0, 1, 0, ...).

/// An mbarrier: 8 bytes of shared memory.
typedef unsigned long long Mbarrier;

/// Prepares a barrier that completes a phase after `arrivals` arrivals and all bytes they announced.
__device__ __forceinline__ void mbarrier_init(Mbarrier* bar, unsigned arrivals) {
#ifdef CUDA_SIM
    cuda_sim::mbarrier_init(bar, arrivals);
#else
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals) : "memory");
#endif
}

/// Makes initialised barriers known to the copy engine; before the block barrier that publishes them.
__device__ __forceinline__ void mbarrier_fence_init() {
#if defined(CUDA_SIM)
    cuda_sim::mbarrier_fence_init();
#elif __CUDA_ARCH__ >= 900
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// Orders this thread's earlier accesses to shared memory before the copy engine's later ones: between the last use
/// of a buffer and the next `bulk_load` into it, after the barrier that collects the users.
__device__ __forceinline__ void fence_proxy_async() {
#if defined(CUDA_SIM)
    cuda_sim::fence_proxy_async();
#elif __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/// Arrives once.
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* bar) {
#ifdef CUDA_SIM
    cuda_sim::mbarrier_arrive(bar, 0);
#else
    asm volatile("{\n\t.reg .b64 state;\n\tmbarrier.arrive.shared.b64 state, [%0];\n\t}" ::"r"(shared_address(bar)) : "memory");
#endif
}

/// Arrives once, announcing the bytes of the bulk copies that this thread started on the barrier before.
__device__ __forceinline__ void mbarrier_arrive_expect(Mbarrier* bar, unsigned bytes) {
#if defined(CUDA_SIM)
    cuda_sim::mbarrier_arrive(bar, bytes);
#elif __CUDA_ARCH__ >= 900
    asm volatile("{\n\t.reg .b64 state;\n\tmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n\t}" ::"r"(shared_address(bar)), "r"(bytes) : "memory");
#else
    // Without bulk copies the bytes are there already.
    mbarrier_arrive(bar);
#endif
}

/// True once the phase of this parity has completed.
__device__ __forceinline__ bool mbarrier_done(Mbarrier* bar, unsigned parity) {
#if defined(CUDA_SIM)
    return cuda_sim::mbarrier_done(bar, parity);
#elif __CUDA_ARCH__ >= 900
    unsigned done;
    asm volatile("{\n\t.reg .pred p;\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\tselp.u32 %0, 1, 0, p;\n\t}" : "=r"(done) : "r"(shared_address(bar)), "r"(parity) : "memory");
    return done != 0;
#else
    unsigned done;
    asm volatile("{\n\t.reg .pred p;\n\tmbarrier.test_wait.parity.shared.b64 p, [%1], %2;\n\tselp.u32 %0, 1, 0, p;\n\t}" : "=r"(done) : "r"(shared_address(bar)), "r"(parity) : "memory");
    return done != 0;
#endif
}

/// Waits for the phase of this parity.
__device__ __forceinline__ void mbarrier_wait(Mbarrier* bar, unsigned parity) {
    for (unsigned polls = 0; !mbarrier_done(bar, parity); ++polls) {
        if (polls == SPIN_LIMIT) __trap();
        GPU_PAUSE();
    }
}

/// Starts copying `bytes` (a multiple of 16) from global to shared memory, both 16-byte aligned; the barrier counts
/// them. Announce them with `mbarrier_arrive_expect` after starting the copies.
__device__ __forceinline__ void bulk_load(void* shared, const void* global, unsigned bytes, Mbarrier* bar) {
#if defined(CUDA_SIM)
    cuda_sim::bulk_load(shared, global, bytes, bar);
#elif __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(shared)), "l"(global), "r"(bytes), "r"(shared_address(bar)) : "memory");
#else
    const uint4* from = static_cast<const uint4*>(global);
    uint4* to = static_cast<uint4*>(shared);
    for (unsigned i = 0; i < bytes / 16; ++i) to[i] = from[i];
#endif
}

// ---- programmatic dependent launch: the next kernel of a stream starts early

/// Waits until the kernels before this one have completed and their stores are visible. Before it only memory that
/// no kernel in flight writes may be read, and nothing may be written. Every block must call it, when launched so.
__device__ __forceinline__ void griddep_wait() {
#if defined(CUDA_SIM)
    cuda_sim::griddep_wait();
#elif __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next kernel start once every block of this one got here or ended. It orders no memory.
__device__ __forceinline__ void griddep_launch() {
#if defined(CUDA_SIM)
    cuda_sim::griddep_launch();
#elif __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---- tensor cores
//
// Fragments as in the PTX manual: lane = 4 * g + t; the accumulators are rows g and g + 8, columns 2t and 2t + 1.

/// d += a * b: a 16 x 16 row major, b 16 x 8 column major, halves; f32 sums. The order of the 16 products of a sum is
/// the device's own: results of two backends agree to rounding only.
__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef CUDA_SIM
    cuda_sim::mma_f16(d, a, b);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// The same for bfloat16.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef CUDA_SIM
    cuda_sim::mma_bf16(d, a, b);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// d += a * b: a 16 x 32 row major, b 32 x 8 column major, signed bytes; exact 32-bit sums.
__device__ __forceinline__ void mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef CUDA_SIM
    cuda_sim::mma_s8(d, a, b);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Loads four 8 x 8 tiles of 2-byte elements: lanes 8i .. 8i + 7 name the rows (16 bytes, aligned) of tile i, and
/// lane 4r + c receives elements 2c and 2c + 1 of row r of each.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row) {
#ifdef CUDA_SIM
    cuda_sim::ldmatrix(r, 4, row, false);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
#endif
}

/// The same with every tile transposed.
__device__ __forceinline__ void ldmatrix_x4_transposed(unsigned (&r)[4], const void* row) {
#ifdef CUDA_SIM
    cuda_sim::ldmatrix(r, 4, row, true);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
#endif
}

/// Two tiles; lanes 0 .. 15 name the rows.
__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], const void* row) {
#ifdef CUDA_SIM
    cuda_sim::ldmatrix(r, 2, row, false);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
#endif
}

/// Two tiles, each transposed.
__device__ __forceinline__ void ldmatrix_x2_transposed(unsigned (&r)[2], const void* row) {
#ifdef CUDA_SIM
    cuda_sim::ldmatrix(r, 2, row, true);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
#endif
}

// ---- barriers narrower and wider than a block

/// `threads` threads, whole warps, meet at barrier `id` (1 .. 15) and see each other's stores.
__device__ __forceinline__ void named_barrier(unsigned id, unsigned threads) {
#ifdef CUDA_SIM
    cuda_sim::named_barrier(id, threads);
#else
    asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

/// All threads of the grid meet, and see each other's stores. `state` is one word of global memory, zero once when it
/// is allocated; every completed barrier leaves it ready for the next, in this launch or another. The launch must be
/// cooperative.
__device__ __forceinline__ void grid_barrier(unsigned* state) {
#ifdef CUDA_SIM
    cuda_sim::grid_barrier(state);
#else
    __syncthreads();
    if ((threadIdx.x | threadIdx.y | threadIdx.z) == 0) {
        // One block adds 2^31 - (blocks - 1), the others 1: the top bit flips when all have arrived.
        const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
        const bool first = (blockIdx.x | blockIdx.y | blockIdx.z) == 0;
        const unsigned before = atom_add_acq_rel(state, first ? 0x80000000u - (blocks - 1) : 1u);
        for (unsigned polls = 0; ((before ^ ld_acquire(state)) & 0x80000000u) == 0; ++polls) {
            if (polls == SPIN_LIMIT) __trap();
        }
    }
    __syncthreads();
#endif
}

/// Blocks of the cluster; 1 without clusters.
__device__ __forceinline__ unsigned cluster_size() {
#if defined(CUDA_SIM)
    return cuda_sim::cluster_size();
#elif __CUDA_ARCH__ >= 900
    unsigned n;
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(n));
    return n;
#else
    return 1;
#endif
}

/// Index of the block in its cluster.
__device__ __forceinline__ unsigned cluster_rank() {
#if defined(CUDA_SIM)
    return cuda_sim::cluster_rank();
#elif __CUDA_ARCH__ >= 900
    unsigned n;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(n));
    return n;
#else
    return 0;
#endif
}

/// All threads of the cluster meet, and see each other's stores; a block barrier without clusters.
__device__ __forceinline__ void cluster_barrier() {
#if defined(CUDA_SIM)
    cuda_sim::cluster_barrier();
#elif __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __syncthreads();
#endif
}
