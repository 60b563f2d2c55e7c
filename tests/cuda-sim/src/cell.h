// The shadow of four bytes: who accessed them last, so that the next access can be found to race with it. Kept for
// shared memory of a running block and for the pages of global memory that kernels write. A cell covers four bytes;
// where threads access less, it is split into one cell per byte. It knows no clocks: callers say what is ordered.
#pragma once
#include <cstdint>

/// One access.
struct Access {
    enum Flag : uint16_t {
        VALID = 1,
        WRITE = 2,
        ATOMIC = 4,
        PENDING = 8,   // the destination of a copy that has not happened yet
        READONLY = 16, // read past the coherent caches
        UPDATE = 32,   // a write that reads, too
    };

    uint32_t launch = 0;  // the operation that ran the kernel
    uint32_t block = 0;   // linear
    uint32_t epoch = 0;   // barriers of the block before
    uint32_t step = 0;    // of the thread within the epoch
    uint32_t code = 0;    // offset of the instruction in its module
    uint16_t thread = 0;  // linear
    uint16_t flags = 0;

    bool valid() const { return flags & VALID; }
    bool writes() const { return flags & WRITE; }
    bool same_thread(const Access& o) const { return launch == o.launch && block == o.block && thread == o.thread; }
    bool same_warp(const Access& o) const { return launch == o.launch && block == o.block && thread / 32 == o.thread / 32; }
};

/// The last write and two more accesses that nothing is known to follow: readers, or atomic writers before the last.
struct Cell {
    Access write, others[2];

    /// Takes in `now`. Returns the access it races with, or null. `ordered(a)`: `a` happened before `now`.
    template <class Ordered>
    const Access* admit(const Access& now, Ordered ordered) {
        const auto races = [&](const Access& a) {
            return a.valid() && (now.writes() || a.writes()) && !(now.flags & a.flags & Access::ATOMIC) && !now.same_thread(a) && !ordered(a);
        };
        if (races(write)) return &write;
        for (const Access& a : others) {
            if (races(a)) return &a;
        }
        if (now.writes()) {
            // Atomic writers do not order each other: one more is kept, for a plain access that only knows the last.
            const bool keep = write.valid() && (write.flags & now.flags & Access::ATOMIC) && !write.same_thread(now) && !ordered(write);
            others[0] = keep ? write : Access{};
            others[1] = Access{};
            write = now;
            return nullptr;
        }
        Access* place = nullptr;
        for (Access& a : others) {
            if (a.valid() && !a.writes() && a.same_thread(now)) {
                const uint16_t readonly = a.flags & Access::READONLY;
                a = now;
                a.flags |= readonly;
                return nullptr;
            }
            if (!place && (!a.valid() || ordered(a))) place = &a;
        }
        // Two readers are enough if they are of different warps: a later writer is unordered with one of them.
        if (!place && others[0].same_warp(others[1]) && !others[0].same_warp(now) && !others[1].writes()) place = &others[1];
        if (place) *place = now;
        return nullptr;
    }
};
