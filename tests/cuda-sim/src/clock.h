// Happens-before, as far as the simulator follows it: what a thread of a running grid knows of the others.
//
// Inside a block, a block barrier orders everything: accesses carry the number of barriers before them (the epoch), and
// an older epoch is known to all. Within one epoch a thread knows per other thread how far that one had come when they
// last met (warp barrier, named barrier, mbarrier, release and acquire): a vector clock. Between blocks the same is kept
// per block. Nothing here knows memory.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

/// How far each thread of a block had come, within one epoch. Shared between threads that met, never changed then.
using Steps = std::shared_ptr<const std::vector<uint32_t>>;

/// The element-wise larger one; either may be empty.
inline Steps join(const Steps& a, const Steps& b) {
    if (!a || a == b) return b;
    if (!b) return a;
    auto sum = std::make_shared<std::vector<uint32_t>>(*a);
    for (size_t i = 0; i < sum->size(); ++i) (*sum)[i] = std::max((*sum)[i], (*b)[i]);
    return sum;
}

/// What is known of one block: everything before `epoch`, and within it the steps.
struct BlockClock {
    uint32_t epoch = 0;
    Steps steps;
};

inline BlockClock join(const BlockClock& a, const BlockClock& b) {
    if (a.epoch != b.epoch) return a.epoch > b.epoch ? a : b;
    return {a.epoch, join(a.steps, b.steps)};
}

/// What is known of every block of the grid, by its linear index. Shared, never changed; empty knows nothing.
using GridClock = std::shared_ptr<const std::vector<BlockClock>>;

inline GridClock join(const GridClock& a, const GridClock& b) {
    if (!a || a == b) return b;
    if (!b) return a;
    auto sum = std::make_shared<std::vector<BlockClock>>(*a);
    for (size_t i = 0; i < sum->size(); ++i) (*sum)[i] = join((*sum)[i], (*b)[i]);
    return sum;
}

/// `clock` with the entry of one block joined in.
inline GridClock with(const GridClock& clock, size_t blocks, uint32_t block, const BlockClock& entry) {
    auto sum = clock ? std::make_shared<std::vector<BlockClock>>(*clock) : std::make_shared<std::vector<BlockClock>>(blocks);
    (*sum)[block] = join((*sum)[block], entry);
    return sum;
}
