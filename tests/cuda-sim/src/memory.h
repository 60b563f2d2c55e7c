// Global memory: one reserved range of addresses, what is allocated in it, and its shadow. A byte has a state (not
// allocated, allocated, written); a page knows its allocation, the last copy into it and, where kernels write, a cell
// for every four bytes. Addresses are not reused, so use after free is seen. It knows no kernel.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "cell.h"

namespace memory {

enum class Kind : uint8_t { Device, Pinned, Managed };

struct Allocation {
    uintptr_t start = 0;
    size_t size = 0;
    Kind kind = Kind::Device;
    int device = 0;
    uint64_t number = 0;      // of the allocations of this process, from 1
    const char* call = "";    // the function that made it
    bool freed = false;
};

enum State : uint8_t { NONE = 0, UNWRITTEN = 1, WRITTEN = 2 };

constexpr size_t PAGE = 4096, GRANULE = 4;

struct Page {
    uint32_t allocation;  // its number; 0: none
    struct Transfer {
        uint32_t operation;  // 0: none
        uint16_t begin, end;

        bool overlaps(size_t from, size_t to) const { return operation && from < end && to > begin; }
    };
    Transfer filled, drained;  // the last copy or fill that wrote here, the last copy that read
    std::atomic<uint8_t> lock;
    std::atomic<uint8_t> tracked;  // accesses are kept
    Cell* cells;          // [PAGE / GRANULE], or null
    Cell** bytes;         // [PAGE / GRANULE], null or [GRANULE] cells of a split granule; or null
};

struct Region {
    uintptr_t base = 0;
    size_t size = 0;
    uint8_t* states = nullptr;
    Page* pages = nullptr;

    bool holds(uintptr_t a) const { return a - base < size; }
    uint8_t* state(uintptr_t a) const { return states + (a - base); }
    Page& page(uintptr_t a) const { return pages[(a - base) / PAGE]; }
};
extern Region region;

/// Reserves the addresses; false when the system refuses.
bool reserve();

/// 0: out of memory. Aligned to 256 bytes at least.
uintptr_t allocate(size_t bytes, Kind kind, int device, const char* call);
/// False: not the start of a live allocation (reported).
bool release(uintptr_t start, const char* call);
void release_all(int device);
/// The live allocation that holds the address, or null.
Allocation* find(uintptr_t address);
/// From now on accesses to the allocation that holds the address are kept in cells.
void track(uintptr_t address);
void for_each_live(const std::function<void(const Allocation&)>& visit);
/// Bytes of live device memory.
size_t used(int device);

/// Host memory made known by cuMemHostRegister.
bool register_host(uintptr_t start, size_t bytes);
bool unregister_host(uintptr_t start);
bool registered(uintptr_t address, size_t bytes);

/// "4 bytes past the end of allocation 12 (2778624 bytes, cuMemAlloc)", for reports.
std::string describe(uintptr_t address);

/// Holds the lock of a page.
class Locked {
  public:
    explicit Locked(Page& page);
    ~Locked() { page_.lock.store(0, std::memory_order_release); }
    Locked(const Locked&) = delete;
    /// The cells of the granule at the address: one, or four of a byte each.
    Cell* granule(uintptr_t address);
    bool split(uintptr_t address) const;
    /// Splits a granule: its bytes inherit its accesses.
    void divide(uintptr_t address);
    /// Undoes it: one thread wrote the whole granule.
    void unite(uintptr_t address);

  private:
    Page& page_;
};

}  // namespace memory
