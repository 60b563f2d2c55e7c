#include "access.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "config.h"
#include "errors.h"
#include "memory.h"

namespace {

constexpr size_t DYNAMIC_ROOM = 228 << 10;  // addresses after a block's dynamic shared memory that mean nothing else

const char* verb(unsigned flags) {
    return flags & Access::PENDING ? "is the destination of a copy" : flags & Access::ATOMIC ? (flags & Access::WRITE ? "atomically updates" : "atomically reads") : flags & Access::WRITE ? "writes" : "reads";
}
const char* past(unsigned flags) { return flags & Access::ATOMIC ? (flags & Access::WRITE ? "atomically updated" : "atomically read") : flags & Access::WRITE ? "wrote" : "read"; }

bool reads(unsigned flags) { return !(flags & Access::WRITE) || flags & Access::UPDATE; }

/// A finding about one cell, made while it is held and told after.
struct Conflict {
    enum Kind { None, Race, Uninitialised, Pending, ReadOnly, EarlyRead } kind = None;
    Access with;
};

[[noreturn]] void tell(const Conflict& c, size_t bytes, unsigned flags, const std::string& where, const void* code) {
    Block& b = *here;
    const Access& o = c.with;
    const bool same_launch = o.launch == b.launch->operation;
    const auto other = [&] {
        if (!same_launch) return name_of(o.launch);
        const Index3 s = b.launch->block, g = b.launch->grid;
        std::string thread = format("thread (%u,%u,%u)", o.thread % s.x, o.thread / s.x % s.y, o.thread / (s.x * s.y));
        if (o.block != b.index) thread += format(" of block (%u,%u,%u)", o.block % g.x, o.block / g.x % g.y, o.block / (g.x * g.y));
        return thread + " at " + b.launch->module->source(o.code);
    };
    const std::string what = format("%s %zu bytes at %s", verb(flags), bytes, where.c_str());
    switch (c.kind) {
        case Conflict::Race: {
            Report r(same_launch ? (o.block == b.index ? "race" : "race between blocks") : "race between operations");
            r.row("what", "this thread " + what);
            r.row("other", format("%s it: ", past(o.flags)) + other());
            r.row("why", same_launch ? (o.block == b.index ? "no barrier orders the two" : "no grid barrier, acquire or release orders the two") : "no stream, event or graph edge orders the two");
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        case Conflict::Uninitialised: {
            Report r("uninitialised read");
            r.row("what", "this thread " + what + ", which nobody wrote");
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        case Conflict::Pending: {
            Report r("asynchronous copy not waited for");
            r.row("what", "this thread " + what);
            r.row("other", "the copy into it: " + other());
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        case Conflict::ReadOnly: {
            Report r("non-coherent load of memory that the kernel writes");
            r.row("what", "this thread " + what);
            r.row("other", format("%s it: ", past(o.flags)) + other());
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        case Conflict::EarlyRead: {
            Report r("read before the dependency wait");
            r.row("what", "this thread " + what + " before griddep_wait");
            r.row("other", "a kernel that may still run wrote it: " + name_of(o.launch));
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        case Conflict::None: break;
    }
    std::abort();
}

Conflict admit_shared(Cell& cell, const Access& now) {
    const auto current = [&](const Access& a) { return a.valid() && a.launch == now.launch && a.block == now.block; };
    if (current(cell.write) && cell.write.flags & Access::PENDING && sees(Sight::Copies)) return {Conflict::Pending, cell.write};
    if (reads(now.flags) && !current(cell.write) && sees(Sight::Uninitialised)) return {Conflict::Uninitialised, {}};
    const Access* race = cell.admit(now, [&](const Access& a) { return !current(a) || here->ordered(a); });
    return race && sees(Sight::Races) ? Conflict{Conflict::Race, *race} : Conflict{};
}

Conflict admit_global(Cell& cell, const Access& now) {
    Block& b = *here;
    if (cell.write.valid()) {
        if (now.flags & Access::READONLY && cell.write.launch == now.launch) return {Conflict::ReadOnly, cell.write};
        if (!b.current->dependency && b.launch->is_in_flight(cell.write.launch) && sees(Sight::Dependencies)) return {Conflict::EarlyRead, cell.write};
    }
    if (now.writes()) {
        for (const Access& a : cell.others) {
            if (a.valid() && a.flags & Access::READONLY && a.launch == now.launch) return {Conflict::ReadOnly, a};
        }
    }
    const Access* race = cell.admit(now, [&](const Access& a) { return b.ordered(a); });
    return race && sees(race->launch == now.launch ? Sight::Races : Sight::Operations) ? Conflict{Conflict::Race, *race} : Conflict{};
}

void touch_shared(SharedRange& s, uintptr_t address, size_t bytes, unsigned flags, const void* code) {
    Block& b = *here;
    const size_t offset = address - s.base;
    if (bytes > s.size - offset && sees(Sight::Bounds)) {
        Report r("out of bounds");
        r.row("what", "this thread %s %zu bytes at offset %zu of %zu bytes of %s", verb(flags), bytes, offset, s.size, s.name);
        b.fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
    }
    const Access now = b.access(flags, code);
    Conflict c;
    for (size_t at = offset, end = offset + bytes; at < end && c.kind == Conflict::None;) {
        const size_t g = at / 4, next = std::min(end, g * 4 + 4);
        if (!s.split[g] && next - at < 4) {
            s.bytes.push_back({s.cells[g], s.cells[g], s.cells[g], s.cells[g]});
            s.split[g] = static_cast<uint32_t>(s.bytes.size());
        }
        if (!s.split[g]) {
            c = admit_shared(s.cells[g], now);
        } else {
            for (size_t i = at; i < next && c.kind == Conflict::None; ++i) c = admit_shared(s.bytes[s.split[g] - 1][i % 4], now);
        }
        at = next;
    }
    if (c.kind != Conflict::None) tell(c, bytes, flags, format("offset %zu of %s", offset, s.name), code);
}

/// The state of a byte that is not as the access needs it, or nothing: 0 is fine.
void check_states(uintptr_t address, size_t bytes, unsigned flags, const void* code) {
    Block& b = *here;
    uint8_t* state = memory::region.state(address);
    if (reads(flags)) {
        static const uint8_t written[16] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
        if (bytes <= 16 ? std::memcmp(state, written, bytes) == 0 : std::all_of(state, state + bytes, [](uint8_t s) { return s == memory::WRITTEN; })) return;
    }
    for (size_t i = 0; i < bytes; ++i) {
        if (state[i] == memory::NONE && sees(Sight::Bounds)) {
            Report r(memory::describe(address + i).find("freed") != std::string::npos ? "use after free" : "out of bounds");
            r.row("what", "this thread %s %zu bytes at 0x%zx", verb(flags), bytes, address);
            r.row("address", memory::describe(address + i));
            b.fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
        }
        if (reads(flags) && state[i] == memory::UNWRITTEN && sees(Sight::Uninitialised)) {
            Report r("uninitialised read");
            r.row("what", "this thread %s %zu bytes of global memory that nobody wrote", verb(flags), bytes);
            r.row("address", memory::describe(address + i));
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
    }
    if (flags & Access::WRITE) std::memset(state, memory::WRITTEN, bytes);
}

void touch_global(uintptr_t address, size_t bytes, unsigned flags, const void* code) {
    Block& b = *here;
    const bool writes = flags & Access::WRITE;
    check_states(address, bytes, flags, code);
    if (writes && !b.current->dependency && sees(Sight::Dependencies)) {
        Report r("store before the dependency wait");
        r.row("what", "this thread %s %zu bytes before griddep_wait: kernels before this one may still use them", verb(flags), bytes);
        r.row("address", memory::describe(address));
        b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
    }
    const Access now = b.access(flags, code);
    for (uintptr_t at = address, end = address + bytes; at < end;) {
        memory::Page& page = memory::region.page(at);
        const uintptr_t page_end = std::min(end, at / memory::PAGE * memory::PAGE + memory::PAGE);
        const size_t in_page = at % memory::PAGE;
        for (const memory::Page::Transfer* t : {&page.filled, &page.drained}) {
            if ((t == &page.drained && !writes) || !t->overlaps(in_page, in_page + (page_end - at)) || b.launch->order->after(t->operation) || !sees(Sight::Operations)) continue;
            Report r("race between operations");
            r.row("what", "this thread %s %zu bytes", verb(flags), bytes);
            r.row("address", memory::describe(address));
            r.row("other", name_of(t->operation) + ", and no stream, event or graph edge orders the two");
            b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
        }
        if (!page.tracked.load(std::memory_order_relaxed)) {
            if (!writes) {
                at = page_end;
                continue;
            }
            memory::track(at);
        }
        Conflict c;
        {
            memory::Locked locked(page);
            while (at < page_end && c.kind == Conflict::None) {
                const uintptr_t next = std::min(page_end, at / 4 * 4 + 4);
                const bool whole = next - at == 4;
                if (!locked.split(at) && !whole) locked.divide(at);
                Cell* cells = locked.granule(at);
                if (!locked.split(at)) {
                    c = admit_global(*cells, now);
                } else {
                    for (uintptr_t i = at; i < next && c.kind == Conflict::None; ++i) c = admit_global(cells[i % 4], now);
                    if (c.kind == Conflict::None && whole && writes && !(flags & Access::ATOMIC)) locked.unite(at);
                }
                at = next;
            }
        }
        if (c.kind != Conflict::None) tell(c, bytes, flags, memory::describe(address), code);
    }
}

void bad_address(uintptr_t address, size_t bytes, unsigned flags, const void* code) {
    if (!sees(Sight::Bounds)) return;
    Block& b = *here;
    Report r("illegal address");
    r.row("what", "this thread %s %zu bytes at 0x%zx", verb(flags), bytes, address);
    if (address - b.stacks_begin < b.stacks_end - b.stacks_begin) r.row("address", "another thread's local memory");
    else if (address - b.dynamic.base < DYNAMIC_ROOM) r.row("address", "%zu bytes past the end of the block's %zu bytes of dynamic shared memory", address - b.dynamic.base - b.dynamic.size, b.dynamic.size);
    else r.row("address", memory::describe(address) + (address < memory::PAGE ? "" : " (a host pointer?)"));
    b.fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
}

}  // namespace

void touch(const void* pointer, size_t bytes, unsigned flags, const void* code) {
    Block* b = here;
    if (!b || !b->current) return;
    const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    if (address - b->stack_of(*b->current) < config().stack) return;
    if (b->launch->failed()) b->leave();
    if (memory::region.holds(address)) return touch_global(address, bytes, flags, code);
    if (b->dynamic.holds(address)) return touch_shared(b->dynamic, address, bytes, flags, code);
    if (b->statics.holds(address)) return touch_shared(b->statics, address, bytes, flags, code);
    // Constants and variables of the module, and host memory that was made known, are not followed.
    if (address - b->launch->module->image < b->launch->module->image_end - b->launch->module->image) return;
    if (memory::registered(address, bytes)) return;
    bad_address(address, bytes, flags, code);
}

SharedRange& shared_range(uintptr_t address, size_t bytes, const char* what, const void* code) {
    Block& b = *here;
    SharedRange* s = b.dynamic.holds(address) ? &b.dynamic : b.statics.holds(address) ? &b.statics : nullptr;
    if (!s || bytes > s->size - (address - s->base)) {
        Report r(s ? "out of bounds" : "illegal address");
        if (s) r.row("what", "%s: %zu bytes at offset %zu of %zu bytes of %s", what, bytes, address - s->base, s->size, s->name);
        else r.row("what", "%s: 0x%zx is not shared memory of this block", what, address);
        b.fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
    }
    return *s;
}

void arrived(SharedRange& s, uintptr_t address, size_t bytes, const Access& by) {
    for (size_t at = address - s.base, end = at + bytes; at < end; ++at) {
        Cell& cell = s.split[at / 4] ? s.bytes[s.split[at / 4] - 1][at % 4] : s.cells[at / 4];
        cell.write = by;
    }
}

void require_aligned(uintptr_t address, size_t alignment, const char* what, const void* code) {
    if (address % alignment == 0) return;
    Report r("misaligned access");
    r.row("what", "%s: 0x%zx is not a multiple of %zu", what, address, alignment);
    here->fail(r, CUDA_ERROR_MISALIGNED_ADDRESS, code);
}

void require_allocated(uintptr_t address, size_t bytes, const char* what, const void* code) {
    for (size_t i = 0; i < bytes; ++i) {
        const uintptr_t a = address + i;
        if (memory::region.holds(a) ? *memory::region.state(a) != memory::NONE : memory::registered(a, 1)) continue;
        Report r("out of bounds");
        r.row("what", "%s: %zu bytes at 0x%zx", what, bytes, address);
        r.row("address", memory::describe(a));
        here->fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
    }
}

// ---- what g++ -fsanitize=thread calls

#pragma GCC visibility push(default)

#define RETURN __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}

#define PLAIN(n)                                                                            \
    void __tsan_read##n(void* p) { touch(p, n, 0, RETURN); }                                \
    void __tsan_write##n(void* p) { touch(p, n, Access::WRITE, RETURN); }                   \
    void __tsan_unaligned_read##n(void* p) { touch(p, n, 0, RETURN); }                      \
    void __tsan_unaligned_write##n(void* p) { touch(p, n, Access::WRITE, RETURN); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)
void __tsan_read_range(void* p, unsigned long n) { touch(p, n, 0, RETURN); }
void __tsan_write_range(void* p, unsigned long n) { touch(p, n, Access::WRITE, RETURN); }

}  // extern "C"

namespace {

/// The channel of a word, if threads ever published through it (or `make` asks for it). Hold the lock while using it.
class ChannelOf {
  public:
    ChannelOf(const volatile void* p, bool make) {
        Block& b = *here;
        const uintptr_t a = reinterpret_cast<uintptr_t>(p);
        const bool global = memory::region.holds(a);
        if (global) lock_ = std::unique_lock<std::mutex>(b.launch->channel_mutex);
        auto& channels = global ? b.launch->channels : b.channels;
        if (make) channel = &channels[a];
        else if (auto found = channels.find(a); found != channels.end()) channel = &found->second;
    }
    Channel* channel = nullptr;

    void publish(const Published& p) {
        Block& b = *here;
        channel->clock = with(join(channel->clock, p.others), b.launch->blocks(), b.index, p.own);
        ++channel->version;
    }
    /// After a load: with acquire the thread knows now, else after its next fence.
    void observe(bool acquire) {
        if (!channel) return;
        Fiber& f = *here->current;
        if (!acquire) {
            f.observed = join(f.observed, channel->clock);
        } else if (f.seen != channel || f.seen_version != channel->version) {
            here->learn(channel->clock);
            f.seen = channel;
            f.seen_version = channel->version;
        }
    }

  private:
    std::unique_lock<std::mutex> lock_;
};

bool acquires(int order) { return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST || order == __ATOMIC_CONSUME; }
bool releases(int order) { return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST; }

/// Tells blocks that poll that something changed.
void changed() {
    ++here->activity;
    here->launch->progress.fetch_add(1, std::memory_order_relaxed);
}

/// An atomic access: checks it, publishes what its order (or an earlier fence) says, does it, and learns.
template <class T, class F>
T atomic(const volatile T* p, unsigned flags, int order, const void* code, F operation) {
    if (!here || !here->current) return operation();
    touch(const_cast<const T*>(p), sizeof(T), flags | Access::ATOMIC, code);
    Fiber& f = *here->current;
    const bool writes = flags & Access::WRITE;
    const bool publishes = writes && (releases(order) || f.fenced);
    Published published;
    if (publishes) published = releases(order) ? here->publish() : f.fence;
    ChannelOf word(p, publishes);
    if (publishes) word.publish(published);
    const T before = operation();
    if (reads(flags)) word.observe(acquires(order));
    return before;
}

template <class T>
T load(const volatile T* p, int order, const void* code) {
    return atomic(p, 0, order, code, [&] { return __atomic_load_n(p, __ATOMIC_SEQ_CST); });
}
template <class T>
void store(volatile T* p, T v, int order, const void* code) {
    const T before = atomic(p, Access::WRITE, order, code, [&] { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); });
    if (before != v) changed();
}
template <class T, class F>
T update(volatile T* p, int order, const void* code, F next) {
    T after{};
    const T before = atomic(p, Access::WRITE | Access::UPDATE, order, code, [&] {
        T old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
        do after = next(old);
        while (!__atomic_compare_exchange_n(p, &old, after, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
        return old;
    });
    if (before != after) changed();
    return before;
}
template <class T>
T swap_if(volatile T* p, T expected, T v, int order, const void* code) {
    return update(p, order, code, [&](T old) { return old == expected ? v : old; });
}

}  // namespace

extern "C" {

#define ATOMIC(bits, T)                                                                                                                                      \
    T __tsan_atomic##bits##_load(const volatile T* p, int o) { return load(p, o, RETURN); }                                                                  \
    void __tsan_atomic##bits##_store(volatile T* p, T v, int o) { store(p, v, o, RETURN); }                                                                  \
    T __tsan_atomic##bits##_exchange(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T) { return v; }); }                                       \
    T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(x + v); }); }                \
    T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(x - v); }); }                \
    T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(x & v); }); }                \
    T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(x | v); }); }                 \
    T __tsan_atomic##bits##_fetch_xor(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(x ^ v); }); }                \
    T __tsan_atomic##bits##_fetch_nand(volatile T* p, T v, int o) { return update(p, o, RETURN, [&](T x) { return static_cast<T>(~(x & v)); }); }            \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T v, int o, int) {                                                                \
        const T old = swap_if(p, *e, v, o, RETURN);                                                                                                          \
        const bool same = old == *e;                                                                                                                         \
        *e = old;                                                                                                                                            \
        return same;                                                                                                                                         \
    }                                                                                                                                                        \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* e, T v, int o, int) {                                                                  \
        const T old = swap_if(p, *e, v, o, RETURN);                                                                                                          \
        const bool same = old == *e;                                                                                                                         \
        *e = old;                                                                                                                                            \
        return same;                                                                                                                                         \
    }                                                                                                                                                        \
    T __tsan_atomic##bits##_compare_exchange_val(volatile T* p, T e, T v, int o, int) { return swap_if(p, e, v, o, RETURN); }
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

// A volatile access is a relaxed atomic one, done by the kernel itself after the call.
#define VOLATILE(n)                                                                                   \
    void __tsan_volatile_read##n(void* p) {                                                           \
        touch(p, n, Access::ATOMIC, RETURN);                                                          \
        if (here && here->current) ChannelOf(p, false).observe(false);                                \
    }                                                                                                 \
    void __tsan_volatile_write##n(void* p) {                                                          \
        touch(p, n, Access::ATOMIC | Access::WRITE, RETURN);                                          \
        if (!here || !here->current) return;                                                          \
        if (here->current->fenced) ChannelOf(p, true).publish(here->current->fence);                  \
        changed();                                                                                    \
    }                                                                                                 \
    void __tsan_unaligned_volatile_read##n(void* p) { __tsan_volatile_read##n(p); }                   \
    void __tsan_unaligned_volatile_write##n(void* p) { __tsan_volatile_write##n(p); }
VOLATILE(1)
VOLATILE(2)
VOLATILE(4)
VOLATILE(8)
VOLATILE(16)

// ---- what g++ -fsanitize=alignment,bounds calls; the structures are those of GCC's ubsan.c

struct UbsanLocation {
    const char* file;
    uint32_t line, column;
};
struct UbsanType {
    uint16_t kind, info;
    char name[1];
};
struct UbsanMismatch {
    UbsanLocation location;
    const UbsanType* type;
    unsigned char log_alignment, check;
};
struct UbsanBounds {
    UbsanLocation location;
    const UbsanType* array;
    const UbsanType* index;
};

void __ubsan_handle_type_mismatch_v1(const UbsanMismatch* m, uintptr_t address) {
    if (!here || !here->current) return;
    Report r("misaligned access");
    r.row("what", "0x%zx is accessed as %s, which must lie at a multiple of %u", address, m->type->name, 1u << m->log_alignment);
    here->fail(r, CUDA_ERROR_MISALIGNED_ADDRESS, RETURN);
}
void __ubsan_handle_out_of_bounds(const UbsanBounds* o, uintptr_t index) {
    if (!here || !here->current || !sees(Sight::Bounds)) return;
    Report r("out of bounds");
    r.row("what", "index %ld of an array of type %s", static_cast<long>(index), o->array->name);
    here->fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, RETURN);
}

}  // extern "C"

namespace cuda_sim {

void readonly(const void* p, unsigned bytes) {
    if (config().checked) touch(p, bytes, Access::READONLY, RETURN);
}

void copy(void* to, const void* from, size_t bytes) {
    if (config().checked) {
        touch(from, bytes, 0, RETURN);
        touch(to, bytes, Access::WRITE, RETURN);
    }
    std::memmove(to, from, bytes);
}

void fill(void* to, int byte, size_t bytes) {
    if (config().checked) touch(to, bytes, Access::WRITE, RETURN);
    std::memset(to, byte, bytes);
}

}  // namespace cuda_sim

#pragma GCC visibility pop
