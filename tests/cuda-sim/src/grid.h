// One launch of a kernel: how its blocks are spread over threads of the system, how they may wait for each other, and
// what came of it. A cooperative grid has all blocks running, a cluster its own; of others as many run as there are
// processors, in an order drawn from the seed.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "kernel.h"
#include "module.h"
#include "order.h"

class Block;

/// A word that threads synchronise through: what its writers published.
struct Channel {
    GridClock clock;
    uint32_t version = 0;
};

/// Blocks meet here: those of a cluster, or all of a cooperative grid. Who leaves knows what was done before each of
/// the arrivals of this meeting, and nothing that came after.
class Gathering {
  public:
    /// Called by one thread per block, between two block barriers; returns when `blocks` blocks have called.
    void meet(unsigned blocks, const void* code);

  private:
    std::mutex mutex_;
    unsigned arrived_ = 0;
    std::atomic<unsigned> generation_{0};
    GridClock gathering_, completed_;
};

struct Launch {
    // ---- asked
    std::shared_ptr<Module> module;
    const KernelEntry* kernel = nullptr;
    Index3 grid{1, 1, 1}, block{1, 1, 1};
    Index3 cluster{1, 1, 1};           // blocks of a cluster
    size_t dynamic_shared = 0;
    bool cooperative = false;
    bool dependent = false;            // may start before the kernel before it ends
    std::vector<unsigned char> argument_bytes;
    std::vector<void*> arguments;      // into argument_bytes
    int device = 0;

    // ---- given by the queue
    uint32_t operation = 0;            // its number
    const Order* order = nullptr;
    std::vector<uint32_t> in_flight;   // kernels that may still run while this one has not waited

    // ---- outcome
    std::atomic<int> error{0};
    std::atomic<bool> early_trigger{false};  // launched its dependents before its own wait

    // ---- while it runs
    std::atomic<uint64_t> progress{0};     // stores that other blocks can wait for
    std::atomic<uint64_t> transitions{0};  // blocks that started, ended, or began or ceased to idle
    std::mutex mutex;                      // of what follows
    unsigned running = 0;                  // threads of the system that have blocks to run
    std::vector<Block*> idle;
    std::mutex channel_mutex;
    std::unordered_map<uintptr_t, Channel> channels;  // words of global memory that blocks synchronise through
    std::map<uintptr_t, Gathering> grid_barriers;     // by their word
    std::unique_ptr<Gathering[]> clusters;

    unsigned blocks() const { return static_cast<unsigned>(grid.count()); }
    bool failed() const { return error.load(std::memory_order_relaxed) != 0; }
    bool is_in_flight(uint32_t operation) const;
    /// "norm<<<(4,1,1), (128,1,1), 0 bytes>>>"
    std::string describe() const;
};

/// Runs it to its end; its outcome is in `launch.error`.
void run(Launch& launch);
