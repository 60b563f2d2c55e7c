#include "grid.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#include "block.h"
#include "config.h"
#include "errors.h"
#include "memory.h"
#include "report.h"

bool Launch::is_in_flight(uint32_t o) const { return std::find(in_flight.begin(), in_flight.end(), o) != in_flight.end(); }

std::string Launch::describe() const {
    return format("%s<<<(%u,%u,%u), (%u,%u,%u), %zu bytes>>>", kernel->name, grid.x, grid.y, grid.z, block.x, block.y, block.z, dynamic_shared);
}

void Gathering::meet(unsigned blocks, const void* code) {
    Block& b = *here;
    unsigned generation;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        generation = generation_.load();
        if (config().checked) {
            const Published p = b.publish();
            gathering_ = with(join(gathering_, p.others), b.launch->blocks(), b.index, p.own);
        }
        ++b.activity;
        ++b.launch->progress;
        if (++arrived_ == blocks) {
            arrived_ = 0;
            completed_ = std::move(gathering_);
            gathering_.reset();
            ++generation_;
        }
    }
    while (generation_.load() == generation) b.pause(code);
    std::lock_guard<std::mutex> lock(mutex_);
    b.learn(completed_);
}

namespace {

// ---- faults of the processor, in kernels

struct sigaction before_segv, before_fpe;
thread_local uintptr_t fault_address, fault_code;
thread_local int fault_signal;

/// Runs on the fiber's stack, in place of the instruction that faulted.
void after_fault() {
    const void* code = reinterpret_cast<const void*>(fault_code);
    if (fault_signal == SIGFPE) {
        Report r("integer division by zero");
        r.row("what", "a device gives an unspecified result here");
        here->fail(r, CUDA_ERROR_LAUNCH_FAILED, code);
    }
    const bool freed = memory::describe(fault_address).find("freed") != std::string::npos;
    Report r(freed ? "use after free" : memory::region.holds(fault_address) ? "out of bounds" : "illegal address");
    r.row("address", memory::describe(fault_address));
    here->fail(r, CUDA_ERROR_ILLEGAL_ADDRESS, code);
}

void on_fault(int number, siginfo_t* info, void* context) {
    const struct sigaction& before = number == SIGSEGV || number == SIGBUS ? before_segv : before_fpe;
    if (here && here->current) {
        auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
        fault_address = reinterpret_cast<uintptr_t>(info->si_addr);
        fault_code = static_cast<uintptr_t>(registers[REG_RIP]) + 1;
        fault_signal = number;
        // Past the red zone, aligned as after a call.
        registers[REG_RSP] = ((registers[REG_RSP] - 256) & ~15ll) - 8;
        registers[REG_RIP] = reinterpret_cast<greg_t>(&after_fault);
        return;
    }
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) return before.sa_sigaction(number, info, context);
    if (!(before.sa_flags & SA_SIGINFO) && before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
    signal(number, SIG_DFL);  // faults again, with nobody to catch it
}

void catch_faults() {
    static const bool once = [] {
        struct sigaction a {};
        a.sa_sigaction = on_fault;
        a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(SIGSEGV, &a, &before_segv);
        sigaction(SIGFPE, &a, &before_fpe);
        return true;
    }();
    (void)once;
}

// ---- threads of the system that run blocks

class Pool {
  public:
    /// Calls `task(i)` for 0 <= i < n, all at the same time, and returns when all have returned.
    void run(unsigned n, const std::function<void(unsigned)>& task) {
        std::unique_lock<std::mutex> lock(mutex_);
        while (threads_ < n) {
            const unsigned i = threads_++;
            std::thread([this, i] { work(i); }).detach();
        }
        task_ = &task;
        wanted_ = left_ = n;
        ++job_;
        start_.notify_all();
        end_.wait(lock, [&] { return left_ == 0; });
    }

  private:
    void work(unsigned i) {
        stack_t stack{};
        stack.ss_size = 64 << 10;
        stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sigaltstack(&stack, nullptr);
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t seen = 0;;) {
            start_.wait(lock, [&] { return job_ != seen && i < wanted_; });
            seen = job_;
            const auto* task = task_;
            lock.unlock();
            (*task)(i);
            lock.lock();
            if (--left_ == 0) end_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable start_, end_;
    const std::function<void(unsigned)>* task_ = nullptr;
    unsigned threads_ = 0, wanted_ = 0, left_ = 0;
    uint64_t job_ = 0;
};

/// Lives as long as the process: its threads do.
Pool& pool() {
    static Pool* const p = new Pool;
    return *p;
}

/// The order in which `n` things are taken up.
std::vector<uint32_t> shuffled(uint32_t n, uint64_t salt) {
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    if (!config().seed) return order;
    uint64_t x = config().seed * 0x9e3779b97f4a7c15ull + salt * 0xbf58476d1ce4e5b9ull + 1;
    for (uint32_t i = n; i > 1; --i) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        std::swap(order[i - 1], order[x % i]);
    }
    return order;
}

}  // namespace

void run(Launch& l) {
    catch_faults();
    const unsigned blocks = l.blocks(), per_cluster = static_cast<unsigned>(l.cluster.count());
    const unsigned clusters = blocks / per_cluster;
    const Index3 c = l.cluster, in_clusters{l.grid.x / c.x, l.grid.y / c.y, l.grid.z / c.z};
    if (per_cluster > 1) l.clusters = std::make_unique<Gathering[]>(clusters);
    const std::vector<uint32_t> order = shuffled(clusters, l.operation);

    const auto run_block = [&](unsigned cluster, unsigned rank) {
        // On the heap: storage per thread is scarce in a library that is opened late.
        static thread_local const std::unique_ptr<Block> own = std::make_unique<Block>();
        Block& block = *own;
        const unsigned x = cluster % in_clusters.x * c.x + rank % c.x;
        const unsigned y = cluster / in_clusters.x % in_clusters.y * c.y + rank / c.x % c.y;
        const unsigned z = cluster / (in_clusters.x * in_clusters.y) * c.z + rank / (c.x * c.y);
        block.rank = rank;
        block.run(l, (z * l.grid.y + y) * l.grid.x + x, per_cluster > 1 ? &l.clusters[cluster] : nullptr);
    };
    const auto run_threads = [&](unsigned threads, const std::function<void(unsigned)>& task) {
        l.running = threads;
        pool().run(threads, [&](unsigned i) {
            task(i);
            std::lock_guard<std::mutex> lock(l.mutex);
            --l.running;
            ++l.transitions;
        });
    };
    if (l.cooperative) {
        run_threads(blocks, [&](unsigned i) { run_block(order[i / per_cluster], i % per_cluster); });
    } else if (per_cluster > 1) {
        // The threads go through the clusters in the same order, so one cluster's blocks come to run together.
        run_threads(per_cluster, [&](unsigned rank) {
            for (unsigned i = 0; i < clusters && !l.failed(); ++i) run_block(order[i], rank);
        });
    } else {
        std::atomic<unsigned> next{0};
        run_threads(std::min(blocks, config().threads), [&](unsigned) {
            for (unsigned i; !l.failed() && (i = next.fetch_add(1)) < blocks;) run_block(order[i], 0);
        });
    }
}
