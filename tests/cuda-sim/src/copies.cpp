// Copies to shared memory behind a thread's back: cp.async, and bulk copies counted by an mbarrier. The bytes move as
// late as they may, at the wait; until then the destination holds nothing and touching it is a finding.
#include <cstring>

#include "access.h"
#include "block.h"
#include "config.h"
#include "errors.h"

#define RETURN __builtin_return_address(0)

namespace {

/// Checks a new copy, and takes its destination out of use.
void start(uintptr_t to, uintptr_t from, unsigned bytes, unsigned valid, const char* what, const void* code) {
    shared_range(to, bytes, what, code);
    if (config().checked) {
        if (valid) touch(reinterpret_cast<const void*>(from), valid, 0, code);
        touch(reinterpret_cast<const void*>(to), bytes, Access::WRITE | Access::PENDING, code);
    }
    std::memset(reinterpret_cast<void*>(to), 0xff, bytes);
}

/// Moves the bytes; from now on the destination was written by `by`.
void land(const PendingCopy& c, const Access& by, const void* code) {
    std::memcpy(reinterpret_cast<void*>(c.to), reinterpret_cast<const void*>(c.from), c.valid);
    std::memset(reinterpret_cast<void*>(c.to + c.valid), 0, c.bytes - c.valid);
    if (config().checked) arrived(shared_range(c.to, c.bytes, "copy", code), c.to, c.bytes, by);
}

Mbarrier& mbarrier_at(unsigned long long* bar, const char* what, const void* code) {
    Block& b = *here;
    const uintptr_t a = reinterpret_cast<uintptr_t>(bar);
    const auto found = b.mbarriers.find(a);
    if (found == b.mbarriers.end()) {
        Report r("mbarrier never initialised");
        r.row("what", "%s on 0x%zx", what, a);
        b.fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
    }
    // Initialising is a plain write; using it is not: the two must be ordered by a barrier.
    if (config().checked) touch(bar, sizeof *bar, Access::ATOMIC, code);
    return found->second;
}

/// What the waiters of the current phase will know.
void gather(Mbarrier& m) {
    if (!config().checked) return;
    const Published p = here->publish();
    m.gathering = join(m.gathering, p.own);
    m.gathering_grid = join(m.gathering_grid, p.others);
}

/// Ends the phase if everybody arrived and all announced bytes are on their way: they land now.
bool complete(Mbarrier& m, const void* code) {
    if (m.missing || m.announced != m.issued) return false;
    Block& b = *here;
    const bool copies = !m.copies.empty();
    for (const PendingCopy& copy : m.copies) {
        Access by = b.access(Access::WRITE, code);
        by.code = copy.code;
        land(copy, by, code);
    }
    // The thread that saw the bytes land stands for the copy engine: whoever waits for the phase follows it.
    if (copies) gather(m);
    m.copies.clear();
    m.missing = m.arrivals;
    m.announced = m.issued = 0;
    m.completed = std::move(m.gathering);
    m.completed_grid = std::move(m.gathering_grid);
    m.gathering = {};
    m.gathering_grid.reset();
    ++m.phase;
    ++b.activity;
    return true;
}

}  // namespace

#pragma GCC visibility push(default)

namespace cuda_sim {

void prefetch(const void* p, unsigned bytes) {
    const uintptr_t a = reinterpret_cast<uintptr_t>(p);
    require_aligned(a, 16, "prefetch_l2", RETURN);
    require_aligned(bytes, 16, "bytes of prefetch_l2", RETURN);
    if (config().checked) require_allocated(a, bytes, "prefetch_l2", RETURN);
}

void cp_async(void* shared, const void* global, unsigned bytes, unsigned valid) {
    const uintptr_t to = reinterpret_cast<uintptr_t>(shared), from = reinterpret_cast<uintptr_t>(global);
    require_aligned(to, bytes, "the destination of cp_async", RETURN);
    if (valid) require_aligned(from, bytes, "the source of cp_async", RETURN);
    start(to, from, bytes, valid, "cp_async", RETURN);
    here->current->copies.push_back({to, from, bytes, valid, here->access(0, RETURN).code});
}

void cp_async_commit() {
    Fiber& f = *here->current;
    f.groups.push_back(std::move(f.copies));
    f.copies.clear();
    // A group of nothing at the front has nothing to wait for.
    while (!f.groups.empty() && f.groups.front().empty()) f.groups.pop_front();
}

void cp_async_wait(unsigned pending) {
    Fiber& f = *here->current;
    while (f.groups.size() > pending) {
        for (const PendingCopy& c : f.groups.front()) {
            Access by = here->access(Access::WRITE, RETURN);
            by.code = c.code;
            land(c, by, RETURN);
        }
        f.groups.pop_front();
    }
    while (!f.groups.empty() && f.groups.front().empty()) f.groups.pop_front();
}

void mbarrier_init(unsigned long long* bar, unsigned arrivals) {
    Block& b = *here;
    const uintptr_t a = reinterpret_cast<uintptr_t>(bar);
    require_aligned(a, 8, "mbarrier_init", RETURN);
    shared_range(a, 8, "mbarrier_init", RETURN);
    if (arrivals == 0 || arrivals > (1u << 20) - 1) {
        Report r("invalid barrier");
        r.row("what", "mbarrier_init with %u arrivals: 1 to 1048575", arrivals);
        b.fail(r, CUDA_ERROR_LAUNCH_FAILED, RETURN);
    }
    if (config().checked) touch(bar, sizeof *bar, Access::WRITE, RETURN);
    Mbarrier m;
    m.arrivals = m.missing = arrivals;
    b.mbarriers[a] = std::move(m);
}

void mbarrier_fence_init() {}
void fence_proxy_async() {}

void mbarrier_arrive(unsigned long long* bar, unsigned expect) {
    Mbarrier& m = mbarrier_at(bar, "mbarrier_arrive", RETURN);
    if (m.missing == 0 && !complete(m, RETURN)) {
        Report r("too many arrivals at an mbarrier");
        r.row("what", "its phase takes %u arrivals and has them", m.arrivals);
        here->fail(r, CUDA_ERROR_LAUNCH_FAILED, RETURN);
    }
    gather(m);
    m.announced += expect;
    --m.missing;
    ++here->activity;
    if (m.copies.empty()) complete(m, RETURN);
}

bool mbarrier_done(unsigned long long* bar, unsigned parity) {
    Mbarrier& m = mbarrier_at(bar, "mbarrier_wait", RETURN);
    if ((m.phase & 1) == (parity & 1) && !complete(m, RETURN)) return false;
    if (config().checked) {
        here->learn(Published{m.completed, m.completed_grid});
    }
    return true;
}

void bulk_load(void* shared, const void* global, unsigned bytes, unsigned long long* bar) {
    const uintptr_t to = reinterpret_cast<uintptr_t>(shared), from = reinterpret_cast<uintptr_t>(global);
    require_aligned(to, 16, "the destination of bulk_load", RETURN);
    require_aligned(from, 16, "the source of bulk_load", RETURN);
    require_aligned(bytes, 16, "bytes of bulk_load", RETURN);
    Mbarrier& m = mbarrier_at(bar, "bulk_load", RETURN);
    start(to, from, bytes, bytes, "bulk_load", RETURN);
    m.issued += bytes;
    m.copies.push_back({to, from, bytes, bytes, here->access(0, RETURN).code});
}

}  // namespace cuda_sim

#pragma GCC visibility pop
