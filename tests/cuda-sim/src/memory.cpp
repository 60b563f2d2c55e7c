#include "memory.h"

#include <sched.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "config.h"
#include "report.h"

namespace memory {

Region region;

namespace {

constexpr size_t REGION = 1ull << 40;  // addresses, not memory
constexpr size_t ALIGNMENT = 256;      // what cuMemAlloc promises
// Accesses to allocations up to this size are kept from the start; to larger ones, weights mostly, once a kernel wrote
// to them: a cell takes 18 times the memory it covers.
constexpr size_t ALWAYS_TRACKED = 1 << 20;

std::mutex mutex;
std::deque<Allocation> all;                    // number - 1
std::map<uintptr_t, Allocation*> by_address;   // live and freed: addresses are not reused
std::map<uintptr_t, size_t> host;
uintptr_t next_free = 0;
size_t used_bytes[8];

size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void* map(size_t bytes, int protection) {
    void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

/// Gives the memory of whole pages back; they read as zero (or fault, in quick mode) afterwards.
void drop(uintptr_t start, size_t bytes) {
    madvise(reinterpret_cast<void*>(start), bytes, MADV_DONTNEED);
}

Allocation* locked_find(uintptr_t address) {
    auto after = by_address.upper_bound(address);
    if (after == by_address.begin()) return nullptr;
    Allocation* a = std::prev(after)->second;
    return address - a->start < a->size ? a : nullptr;
}

/// Where the pages of an allocation begin: in quick mode its end lies at a page that faults, not its start.
uintptr_t first_page(const Allocation& a) { return a.start / PAGE * PAGE; }
size_t pages_of(const Allocation& a) { return up(a.start + a.size - first_page(a), PAGE) / PAGE; }

void forget(Allocation& a) {
    a.freed = true;
    if (a.kind == Kind::Device) used_bytes[a.device] -= up(a.size, 512);
    const uintptr_t first = first_page(a);
    const size_t pages = pages_of(a);
    for (size_t i = 0; i < pages; ++i) {
        Page& page = region.page(first + i * PAGE);
        if (page.bytes) {
            for (size_t g = 0; g < PAGE / GRANULE; ++g) delete[] page.bytes[g];
            std::free(page.bytes);
        }
        std::free(page.cells);
    }
    std::memset(static_cast<void*>(&region.page(first)), 0, pages * sizeof(Page));
    drop(first, pages * PAGE);
    drop(reinterpret_cast<uintptr_t>(region.state(first)), pages * PAGE);
    if (!config().checked) mprotect(reinterpret_cast<void*>(first), pages * PAGE, PROT_NONE);
}

}  // namespace

bool reserve() {
    static const bool done = [] {
        // Checked mode looks before it touches; quick mode relies on pages that fault.
        void* data = map(REGION, config().checked ? PROT_READ | PROT_WRITE : PROT_NONE);
        void* states = map(REGION, PROT_READ | PROT_WRITE);
        void* pages = map(REGION / PAGE * sizeof(Page), PROT_READ | PROT_WRITE);
        if (!data || !states || !pages) return false;
        region.base = reinterpret_cast<uintptr_t>(data);
        region.size = REGION;
        region.states = static_cast<uint8_t*>(states);
        region.pages = static_cast<Page*>(pages);
        next_free = region.base + PAGE;
        return true;
    }();
    return done;
}

uintptr_t allocate(size_t bytes, Kind kind, int device, const char* call) {
    std::lock_guard<std::mutex> lock(mutex);
    if (bytes == 0) return 0;
    if (kind == Kind::Device && (bytes > config().memory || used_bytes[device] + up(bytes, 512) > config().memory)) return 0;
    const size_t span = up(bytes, PAGE);
    if (bytes > region.size || next_free + span + PAGE > region.base + region.size) {
        Report("the simulator has no addresses left").row("asked", "%zu bytes; addresses are never reused, 1 TiB in all", bytes).emit();
        return 0;
    }
    uintptr_t start = next_free;
    next_free += span + PAGE;
    if (!config().checked) {
        if (mprotect(reinterpret_cast<void*>(start), span, PROT_READ | PROT_WRITE) != 0) return 0;
        start += span - up(bytes, ALIGNMENT);
    }
    Allocation& a = all.emplace_back();
    a.start = start;
    a.size = bytes;
    a.kind = kind;
    a.device = device;
    a.number = all.size();
    a.call = call;
    by_address[start] = &a;
    if (kind == Kind::Device) used_bytes[device] += up(bytes, 512);
    if (config().checked) {
        std::memset(region.state(start), kind == Kind::Device ? UNWRITTEN : WRITTEN, bytes);
        for (size_t i = 0; i < span / PAGE; ++i) {
            Page& page = region.page(start + i * PAGE);
            page.allocation = static_cast<uint32_t>(a.number);
            page.tracked.store(bytes <= ALWAYS_TRACKED, std::memory_order_relaxed);
        }
    }
    // Never zeros by luck: a NaN in every float format.
    if (kind == Kind::Device && bytes <= (16u << 20)) std::memset(reinterpret_cast<void*>(start), 0xff, bytes);
    return start;
}

bool release(uintptr_t start, const char* call) {
    std::lock_guard<std::mutex> lock(mutex);
    auto at = by_address.find(start);
    if (at == by_address.end() || at->second->freed) {
        Report(at != by_address.end() ? "double free" : "free of something that is not an allocation")
            .row("call", call)
            .row("address", "0x%zx", start)
            .emit();
        return false;
    }
    forget(*at->second);
    return true;
}

void release_all(int device) {
    std::lock_guard<std::mutex> lock(mutex);
    for (Allocation& a : all) {
        if (!a.freed && a.device == device) forget(a);
    }
}

Allocation* find(uintptr_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    Allocation* a = locked_find(address);
    return a && !a->freed ? a : nullptr;
}

void track(uintptr_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    Allocation* a = locked_find(address);
    if (!a) return;
    const uintptr_t first = first_page(*a);
    for (size_t i = 0; i < pages_of(*a); ++i) region.page(first + i * PAGE).tracked.store(1, std::memory_order_relaxed);
}

void for_each_live(const std::function<void(const Allocation&)>& visit) {
    std::lock_guard<std::mutex> lock(mutex);
    for (const Allocation& a : all) {
        if (!a.freed) visit(a);
    }
}

size_t used(int device) {
    std::lock_guard<std::mutex> lock(mutex);
    return used_bytes[device];
}

bool register_host(uintptr_t start, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    if (bytes == 0) return false;
    auto after = host.upper_bound(start);
    if (after != host.begin() && std::prev(after)->first + std::prev(after)->second > start) return false;
    if (after != host.end() && start + bytes > after->first) return false;
    host[start] = bytes;
    return true;
}

bool unregister_host(uintptr_t start) {
    std::lock_guard<std::mutex> lock(mutex);
    return host.erase(start) == 1;
}

bool registered(uintptr_t address, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    auto after = host.upper_bound(address);
    if (after == host.begin()) return false;
    --after;
    return address + bytes <= after->first + after->second;
}

std::string describe(uintptr_t address) {
    if (address < PAGE) return format("0x%zx, a null pointer", address);
    if (!region.holds(address)) return format("0x%zx, which is not device memory", address);
    std::lock_guard<std::mutex> lock(mutex);
    const auto name = [](const Allocation& a) { return format("allocation %lu (%zu bytes, %s)", static_cast<unsigned long>(a.number), a.size, a.call); };
    if (const Allocation* a = locked_find(address)) {
        return format("0x%zx = byte %zu of %s%s", address, address - a->start, a->freed ? "freed " : "", name(*a).c_str());
    }
    auto after = by_address.upper_bound(address);
    if (after != by_address.begin()) {
        const Allocation& a = *std::prev(after)->second;
        const size_t past = address - a.start - a.size;
        if (after == by_address.end() || past <= after->first - address) {
            return format("0x%zx = %zu bytes past the end of %s%s", address, past, a.freed ? "freed " : "", name(a).c_str());
        }
    }
    if (after != by_address.end()) {
        return format("0x%zx = %zu bytes before the start of %s", address, after->first - address, name(*after->second).c_str());
    }
    return format("0x%zx, near no allocation", address);
}

Locked::Locked(Page& page) : page_(page) {
    for (unsigned spins = 0; page_.lock.exchange(1, std::memory_order_acquire);) {
        if (++spins % 64 == 0) sched_yield();
    }
    if (!page_.cells) {
        page_.cells = static_cast<Cell*>(std::calloc(PAGE / GRANULE, sizeof(Cell)));
        if (!page_.cells) std::abort();
    }
}

bool Locked::split(uintptr_t address) const { return page_.bytes && page_.bytes[address % PAGE / GRANULE]; }

Cell* Locked::granule(uintptr_t address) {
    const size_t g = address % PAGE / GRANULE;
    return split(address) ? page_.bytes[g] : &page_.cells[g];
}

void Locked::divide(uintptr_t address) {
    if (!page_.bytes) {
        page_.bytes = static_cast<Cell**>(std::calloc(PAGE / GRANULE, sizeof(Cell*)));
        if (!page_.bytes) std::abort();
    }
    const size_t g = address % PAGE / GRANULE;
    if (page_.bytes[g]) return;
    page_.bytes[g] = new Cell[GRANULE];
    for (size_t i = 0; i < GRANULE; ++i) page_.bytes[g][i] = page_.cells[g];
}

void Locked::unite(uintptr_t address) {
    const size_t g = address % PAGE / GRANULE;
    page_.cells[g] = page_.bytes[g][0];
    delete[] page_.bytes[g];
    page_.bytes[g] = nullptr;
}

}  // namespace memory
