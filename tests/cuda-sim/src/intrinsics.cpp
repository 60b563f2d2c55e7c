// What kernels call through device/cuda_sim.h where it takes more than one thread: where am I, barriers, warp
// operations, tensor cores, dependent launch, clusters. The declarations there and the definitions here are matched by
// the linker when a compiled kernel file is loaded.
#include <cstring>

#include "access.h"
#include "block.h"
#include "config.h"
#include "errors.h"

#define RETURN __builtin_return_address(0)

namespace {

using Values = unsigned char[WARP][16];

/// Meets the lanes of the mask and copies all their values, so that a later meeting cannot change them.
uint32_t gather(const char* what, uint32_t mask, const void* value, size_t bytes, Site site, Values& all) {
    unsigned slot;
    const Meeting& m = here->meet(what, mask, value, bytes, site, false, slot);
    std::memcpy(all, m.values[slot], sizeof all);
    return m.present[slot];
}

template <class T>
T at(const Values& values, unsigned lane) {
    T v;
    std::memcpy(&v, values[lane], sizeof v);
    return v;
}

/// Values of a whole warp; tensor core operations know nothing less.
void gather_warp(const char* what, const void* value, size_t bytes, Site site, Values& all) {
    const uint32_t present = gather(what, 0xffffffffu, value, bytes, site, all);
    if (present == 0xffffffffu) return;
    Report r("divergent warp operation");
    r.row("what", "%s needs all 32 lanes; these took part: %08x", what, present);
    here->fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
}

float half_at(uint32_t word, unsigned i) {
    const auto bits = static_cast<uint16_t>(word >> 16 * i);
    _Float16 h;
    std::memcpy(&h, &bits, sizeof h);
    return static_cast<float>(h);
}
float bfloat_at(uint32_t word, unsigned i) {
    const uint32_t bits = (word >> 16 * i & 0xffffu) << 16;
    float f;
    std::memcpy(&f, &bits, sizeof f);
    return f;
}

/// m16n8k16: lane 4g + t holds rows g, g + 8 of a, column g of b; see the PTX manual.
template <class Element>
void mma_16bit(const char* what, float* d, const unsigned* a, const unsigned* b, Site site, Element element) {
    Values av, bv;
    gather_warp(what, a, 16, site, av);
    gather_warp(what, b, 8, site, bv);
    const unsigned lane = here->current->lane(), g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = g + i / 2 * 8, column = 2 * t + i % 2;
        float sum = d[i];
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned register_of_a = (row >= 8) + 2 * (k >= 8), register_of_b = k >= 8;
            const unsigned owner = k % 8 / 2;
            uint32_t aw, bw;
            std::memcpy(&aw, av[row % 8 * 4 + owner] + 4 * register_of_a, 4);
            std::memcpy(&bw, bv[column * 4 + owner] + 4 * register_of_b, 4);
            sum = __builtin_fmaf(element(aw, k % 2), element(bw, k % 2), sum);
        }
        d[i] = sum;
    }
}

}  // namespace

#pragma GCC visibility push(default)

namespace cuda_sim {

Index3 thread_index() { return here->current->thread; }
Index3 block_index() { return here->position; }
Index3 block_shape() { return here->launch->block; }
Index3 grid_shape() { return here->launch->grid; }
unsigned lane() { return here->current->lane(); }
void* dynamic_shared() { return reinterpret_cast<void*>(here->dynamic.base); }

void pause() { here->pause(RETURN); }

[[noreturn]] void trap(Site site) {
    Report r("trap");
    r.row("what", "the kernel gave up by __trap");
    for (const std::string& line : here->waiting()) r.row("threads", line);
    here->fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
}

long long clock() { return static_cast<long long>(here->activity); }

// ---- barriers and fences

void block_barrier(Site site) { here->barrier(0, static_cast<unsigned>(here->shape().count()), "__syncthreads", site); }

void named_barrier(unsigned id, unsigned threads, Site site) {
    if (id < 1 || id > 15 || threads == 0 || threads % WARP != 0 || threads > here->shape().count()) {
        Report r("invalid barrier");
        r.row("what", "named barrier %u of %u threads: ids are 1 to 15, threads whole warps of the block", id, threads);
        here->fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    here->barrier(id, threads, "named_barrier", site);
}

enum Count { COUNT, AND, OR };
int block_barrier_count(Count kind, int predicate, Site site) { return here->barrier_count(kind, predicate, site); }

void warp_barrier(unsigned mask, Site site) {
    unsigned slot;
    here->meet("__syncwarp", mask, nullptr, 0, site, true, slot);
}

void fence(int scope) {
    if (!config().checked || scope == 0) return;
    Fiber& f = *here->current;
    here->learn(f.observed);
    f.observed.reset();
    f.fence = here->publish();
    f.fenced = true;
}

// ---- warp operations

enum Shuffle { INDEX, XOR, UP, DOWN };
void shuffle(Shuffle kind, unsigned mask, void* value, unsigned bytes, int argument, int width, Site site) {
    static const char* const names[] = {"__shfl_sync", "__shfl_xor_sync", "__shfl_up_sync", "__shfl_down_sync"};
    const char* what = names[kind];
    if (bytes > 16 || width < 1 || width > 32 || (width & (width - 1))) {
        Report r("invalid warp operation");
        r.row("what", "%s of %u bytes with width %d: at most 16 bytes, widths 1, 2, 4 .. 32", what, bytes, width);
        here->fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    Values all;
    const uint32_t present = gather(what, mask, value, bytes, site, all);
    const int lane = static_cast<int>(here->current->lane()), first = lane & ~(width - 1);
    int from = lane;
    switch (kind) {
        case INDEX: from = first | (argument & (width - 1)); break;
        case XOR: from = (lane ^ argument) < first + width ? lane ^ argument : lane; break;
        case UP: from = lane - argument >= first ? lane - argument : lane; break;
        case DOWN: from = lane + argument < first + width ? lane + argument : lane; break;
    }
    if (from < 0 || from >= 32 || !(present >> from & 1)) {
        Report r("shuffle from a lane that takes no part");
        r.row("what", "lane %d reads lane %d in %s; these took part: %08x", lane, from, what, present);
        here->fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    std::memcpy(value, all[from], bytes);
}

unsigned ballot(unsigned mask, int predicate, Site site) {
    Values all;
    const int v = predicate != 0;
    const uint32_t present = gather("__ballot_sync", mask, &v, sizeof v, site, all);
    unsigned result = 0;
    for (unsigned i = 0; i < WARP; ++i) {
        if (present >> i & 1 && at<int>(all, i)) result |= 1u << i;
    }
    return result;
}

enum Vote { ANY, ALL };
int vote(Vote kind, unsigned mask, int predicate, Site site) {
    Values all;
    const int v = predicate != 0;
    const uint32_t present = gather(kind == ANY ? "__any_sync" : "__all_sync", mask, &v, sizeof v, site, all);
    int any = 0, every = 1;
    for (unsigned i = 0; i < WARP; ++i) {
        if (!(present >> i & 1)) continue;
        any |= at<int>(all, i);
        every &= at<int>(all, i);
    }
    return kind == ANY ? any : every;
}

unsigned match_any(unsigned mask, unsigned long long value, Site site) {
    Values all;
    const uint32_t present = gather("__match_any_sync", mask, &value, sizeof value, site, all);
    unsigned result = 0;
    for (unsigned i = 0; i < WARP; ++i) {
        if (present >> i & 1 && at<unsigned long long>(all, i) == value) result |= 1u << i;
    }
    return result;
}

unsigned match_all(unsigned mask, unsigned long long value, int* same, Site site) {
    Values all;
    const uint32_t present = gather("__match_all_sync", mask, &value, sizeof value, site, all);
    *same = 1;
    for (unsigned i = 0; i < WARP; ++i) {
        if (present >> i & 1 && at<unsigned long long>(all, i) != value) *same = 0;
    }
    return *same ? present : 0;
}

enum Reduce { ADD_U, MIN_U, MAX_U, MIN_I, MAX_I, AND_U, OR_U, XOR_U };
unsigned reduce(Reduce kind, unsigned mask, unsigned value, Site site) {
    static const char* const names[] = {"__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync", "__reduce_min_sync", "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync", "__reduce_xor_sync"};
    Values all;
    const uint32_t present = gather(names[kind], mask, &value, sizeof value, site, all);
    unsigned result = 0;
    bool first = true;
    for (unsigned i = 0; i < WARP; ++i) {
        if (!(present >> i & 1)) continue;
        const unsigned v = at<unsigned>(all, i);
        const auto s = [](unsigned x) { return static_cast<int>(x); };
        if (first) result = v;
        else switch (kind) {
            case ADD_U: result += v; break;
            case MIN_U: result = v < result ? v : result; break;
            case MAX_U: result = v > result ? v : result; break;
            case MIN_I: result = s(v) < s(result) ? v : result; break;
            case MAX_I: result = s(v) > s(result) ? v : result; break;
            case AND_U: result &= v; break;
            case OR_U: result |= v; break;
            case XOR_U: result ^= v; break;
        }
        first = false;
    }
    return result;
}

// ---- tensor cores

void mma_f16(float* d, const unsigned* a, const unsigned* b, Site site) { mma_16bit("mma_f16", d, a, b, site, half_at); }
void mma_bf16(float* d, const unsigned* a, const unsigned* b, Site site) { mma_16bit("mma_bf16", d, a, b, site, bfloat_at); }

/// m16n8k32.
void mma_s8(int* d, const unsigned* a, const unsigned* b, Site site) {
    Values av, bv;
    gather_warp("mma_s8", a, 16, site, av);
    gather_warp("mma_s8", b, 8, site, bv);
    const unsigned lane = here->current->lane(), g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = g + i / 2 * 8, column = 2 * t + i % 2;
        int sum = d[i];
        for (unsigned k = 0; k < 32; ++k) {
            const unsigned byte = k % 4, owner = k % 16 / 4;
            const auto x = static_cast<signed char>(av[row % 8 * 4 + owner][4 * ((row >= 8) + 2 * (k >= 16)) + byte]);
            const auto y = static_cast<signed char>(bv[column * 4 + owner][4 * (k >= 16) + byte]);
            sum += x * y;
        }
        d[i] = sum;
    }
}

void ldmatrix(unsigned* r, unsigned tiles, const void* row, bool transposed, Site site) {
    const uintptr_t own = reinterpret_cast<uintptr_t>(row);
    const unsigned lane = here->current->lane();
    if (lane < 8 * tiles) {
        require_aligned(own, 16, "a row of ldmatrix", RETURN);
        shared_range(own, 16, "a row of ldmatrix", RETURN);
    }
    Values rows;
    gather_warp("ldmatrix", &own, sizeof own, site, rows);
    for (unsigned i = 0; i < tiles; ++i) {
        const auto element = [&](unsigned in_row, unsigned column) {
            const uintptr_t a = at<uintptr_t>(rows, 8 * i + in_row) + 2 * column;
            if (config().checked) touch(reinterpret_cast<const void*>(a), 2, 0, RETURN);
            uint16_t v;
            std::memcpy(&v, reinterpret_cast<const void*>(a), sizeof v);
            return static_cast<unsigned>(v);
        };
        const unsigned x = lane / 4, y = lane % 4 * 2;
        r[i] = transposed ? element(y, x) | element(y + 1, x) << 16 : element(x, y) | element(x, y + 1) << 16;
    }
}

// ---- launches that start early, grids and clusters

void griddep_wait() { here->current->dependency = true; }

void griddep_launch() {
    if (!here->current->dependency) here->launch->early_trigger.store(true, std::memory_order_relaxed);
}

void grid_barrier(unsigned* state, Site site) {
    Block& b = *here;
    Launch& l = *b.launch;
    if (!l.cooperative) {
        Report r("grid barrier in a launch that is not cooperative");
        r.row("what", "its blocks need not run at the same time");
        b.fail(r, CUDA_ERROR_LAUNCH_FAILED, RETURN);
    }
    const unsigned threads = static_cast<unsigned>(b.shape().count());
    b.barrier(0, threads, "grid_barrier", site);
    if (b.current->index == 0) {
        if (config().checked) touch(state, sizeof *state, Access::ATOMIC | Access::WRITE | Access::UPDATE, RETURN);
        if (*state & 0x7fffffffu) {
            Report r("grid barrier on a word that is not zero");
            r.row("what", "it holds 0x%08x: it must be zero when it is allocated, and be used for nothing else", *state);
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, RETURN);
        }
        Gathering* gathering;
        {
            std::lock_guard<std::mutex> lock(l.mutex);
            gathering = &l.grid_barriers[reinterpret_cast<uintptr_t>(state)];
        }
        gathering->meet(l.blocks(), RETURN);
    }
    b.barrier(0, threads, "grid_barrier", site);
}

unsigned cluster_size() { return static_cast<unsigned>(here->launch->cluster.count()); }
unsigned cluster_rank() { return here->rank; }

void cluster_barrier(Site site) {
    Block& b = *here;
    const unsigned threads = static_cast<unsigned>(b.shape().count());
    b.barrier(0, threads, "cluster_barrier", site);
    if (!b.cluster) return;
    if (b.current->index == 0) b.cluster->meet(cluster_size(), RETURN);
    b.barrier(0, threads, "cluster_barrier", site);
}

}  // namespace cuda_sim

#pragma GCC visibility pop
