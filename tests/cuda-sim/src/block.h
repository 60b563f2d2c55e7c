// A running block: its threads as fibers on one thread of the system, the barriers and warp operations where they meet,
// and what each knows of the others. Fibers switch only where CUDA threads may wait, in an order drawn from the seed.
// It knows no allocation and no stream.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "cell.h"
#include "clock.h"
#include "grid.h"
#include "kernel.h"
#include "report.h"

constexpr unsigned WARP = 32;

/// What a thread had done and knew when it released.
struct Published {
    BlockClock own;
    GridClock others;
};

/// A copy to shared memory that has not happened yet.
struct PendingCopy {
    uintptr_t to, from;
    unsigned bytes, valid;  // the rest is zeroed
    uint32_t code;
};

struct Fiber {
    void* stack_pointer;
    char* stack;
    uint16_t index;
    Index3 thread;
    bool done;
    bool dependency;          // griddep_wait is behind it, or needs not be
    const char* waits;        // null: it can run
    Site site;                // of what it waits at
    uint32_t mask;            // of the warp operation it waits at
    uint32_t code;            // where it polls
    uint32_t step;            // own
    Steps steps;              // of the block's other threads, in this epoch
    GridClock grid;           // of other blocks
    bool fenced;
    Published fence;          // what a relaxed store publishes
    GridClock observed;       // what relaxed loads saw, known after a fence
    const Channel* seen;
    uint32_t seen_version;
    std::vector<PendingCopy> copies;             // not committed
    std::deque<std::vector<PendingCopy>> groups; // committed, oldest first

    unsigned lane() const { return index % WARP; }
};

/// Lanes of a warp that meet under one mask.
struct Meeting {
    uint32_t mask = 0, arrived = 0, generation = 0;
    const char* what = nullptr;
    Site site{};
    uint32_t present[2] = {};
    alignas(16) unsigned char values[2][WARP][16];
};

struct Warp {
    uint32_t alive = 0;
    std::deque<Meeting> meetings;
};

struct Barrier {
    std::vector<Fiber*> arrived;
    Site site{};
    unsigned expected = 0;
    const char* what = nullptr;
    int sum = 0, result = 0;
};

struct Mbarrier {
    unsigned arrivals = 0, missing = 0;
    long announced = 0, issued = 0;  // bytes of the current phase
    unsigned phase = 0;
    std::vector<PendingCopy> copies;
    BlockClock gathering, completed;
    GridClock gathering_grid, completed_grid;
};

/// A range of shared memory, with its shadow.
struct SharedRange {
    uintptr_t base = 0;
    size_t size = 0;
    const char* name = "";
    std::vector<Cell> cells;                   // of blocks before, too: their accesses name their block
    std::vector<uint32_t> split;               // 0, or the place in `bytes` of a split granule, from 1
    std::vector<std::array<Cell, 4>> bytes;

    bool holds(uintptr_t a) const { return a - base < size; }
    void reset(uintptr_t new_base, size_t new_size);
};

class Block {
  public:
    ~Block();
    /// Runs one block to its end, or until the launch fails.
    void run(Launch& launch, uint32_t index, Gathering* cluster);

    // ---- what running threads call
    void barrier(unsigned id, unsigned threads, const char* what, Site site);
    int barrier_count(int kind, int predicate, Site site);
    /// Meets the lanes of `mask`; the returned meeting holds all their values in the slot of `generation`.
    const Meeting& meet(const char* what, uint32_t mask, const void* value, size_t bytes, Site site, bool orders_memory, unsigned& slot);
    void pause(const void* code);

    /// What the current thread has done up to now, others' too where it knows; the thread then takes a step.
    Published publish();
    void learn(const Published& published);
    void learn(const GridClock& clock);
    bool ordered(const Access& a) const;
    Access access(unsigned flags, const void* code) const;

    /// Ends the launch with a finding of the running thread: adds who and where, reports, does not return.
    [[noreturn]] void fail(Report& report, int error, const void* code);
    [[noreturn]] void fail(Report& report, int error, Site site);
    [[noreturn]] void leave();

    Launch* launch = nullptr;
    uint32_t index = 0;       // linear in the grid
    Index3 position{};
    uint32_t epoch = 1;
    Fiber* current = nullptr;
    Gathering* cluster = nullptr;
    unsigned rank = 0;        // in the cluster
    SharedRange statics, dynamic;
    std::unordered_map<uintptr_t, Channel> channels;  // in shared memory
    std::map<uintptr_t, Mbarrier> mbarriers;
    uint64_t activity = 0;    // grows with everything but polling
    std::atomic<uint64_t> stamp{0};  // of the last poll
    uintptr_t stacks_begin = 0, stacks_end = 0;

    Index3 shape() const { return launch->block; }
    uintptr_t stack_of(const Fiber& f) const { return reinterpret_cast<uintptr_t>(f.stack); }
    /// "3 threads wait at __syncthreads (a.cu:7)", one per line.
    std::vector<std::string> waiting() const;
    std::string thread_name(unsigned index) const;

  private:
    static void entry();
    void prepare();
    void loop();
    void poll();
    void schedule();
    Fiber* take();
    void wait(const char* what, Site site, uint32_t mask = 0);
    void wake(Fiber* fiber);
    void end_of_thread();
    void finish();
    void complete(Barrier& barrier, bool all);
    void complete(Warp& warp, Meeting& meeting);
    void order_together(const std::vector<Fiber*>& fibers);
    void fail_outside(Report& report, int error);
    uint64_t random();

    std::vector<Fiber> fibers_;
    std::vector<Warp> warps_;
    Barrier barriers_[16];
    std::vector<Fiber*> ready_, paused_;
    unsigned alive_ = 0;
    void* main_stack_pointer_ = nullptr;
    char* stacks_ = nullptr;
    size_t stacks_bytes_ = 0;
    char* dynamic_buffer_ = nullptr;
    uint64_t random_ = 1;
    uint64_t seen_activity_ = 0, seen_progress_ = 0;
    unsigned idle_polls_ = 0;
    bool idle_ = false;
    bool waited_for_dependency_ = false;
};

/// The block that the calling thread of the system runs, or null.
extern thread_local Block* here;
