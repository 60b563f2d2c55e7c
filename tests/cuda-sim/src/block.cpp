#include "block.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "config.h"
#include "errors.h"

thread_local Block* here = nullptr;

extern "C" void cuda_sim_switch(void** save, void* to);
#if !defined(__x86_64__)
#error "cuda_sim_switch is written for x86-64"
#endif
// Saves the registers a callee must keep, and goes on with another stack.
asm(R"(
.text
.globl cuda_sim_switch
.hidden cuda_sim_switch
.type cuda_sim_switch,@function
cuda_sim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_sim_switch,.-cuda_sim_switch
)");

namespace {

constexpr uint64_t CANARY = 0x5afec0de5afec0deull;
constexpr unsigned IDLE_AFTER = 32;  // polls without any other activity
constexpr size_t DYNAMIC_LIMIT = 228 << 10;

uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

}  // namespace

bool cuda_sim::Site::operator==(const Site& o) const { return line == o.line && (file == o.file || std::strcmp(file, o.file) == 0); }

static std::string text(Site s) { return format("%s:%d", s.file, s.line); }

void SharedRange::reset(uintptr_t new_base, size_t new_size) {
    base = new_base;
    size = new_size;
    if (config().checked) {
        const size_t granules = (size + 3) / 4;
        if (cells.size() < granules) cells.resize(granules), split.resize(granules);
    }
}

Block::~Block() {
    if (stacks_) munmap(stacks_, stacks_bytes_);
    if (dynamic_buffer_) munmap(dynamic_buffer_, DYNAMIC_LIMIT + 4096);
}

uint64_t Block::random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
}

void Block::prepare() {
    const unsigned n = static_cast<unsigned>(launch->block.count());
    const size_t stack = config().stack;
    if (stacks_bytes_ < n * stack) {
        if (stacks_) munmap(stacks_, stacks_bytes_);
        stacks_bytes_ = n * stack;
        void* p = mmap(nullptr, stacks_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) std::abort();
        stacks_ = static_cast<char*>(p);
    }
    stacks_begin = reinterpret_cast<uintptr_t>(stacks_);
    stacks_end = stacks_begin + n * stack;
    if (!dynamic_buffer_) {
        void* p = mmap(nullptr, DYNAMIC_LIMIT + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) std::abort();
        dynamic_buffer_ = static_cast<char*>(p);
    }
    dynamic.name = "dynamic shared memory";
    dynamic.reset(reinterpret_cast<uintptr_t>(dynamic_buffer_), launch->dynamic_shared);
    statics.name = "static shared memory";
    statics.reset(reinterpret_cast<uintptr_t>(launch->module->thread_storage()), launch->module->shared_bytes);
    // Whatever the block before left is gone: a NaN in every float format.
    std::memset(reinterpret_cast<void*>(dynamic.base), 0xff, dynamic.size);
    if (statics.size) std::memset(reinterpret_cast<void*>(statics.base), 0xff, statics.size);

    epoch = 1;
    channels.clear();
    mbarriers.clear();
    activity = seen_activity_ = 0;
    seen_progress_ = 0;
    idle_polls_ = 0;
    idle_ = false;
    waited_for_dependency_ = !launch->dependent;
    random_ = config().seed ? mix(config().seed * 0x10001 + index) | 1 : 0;
    for (Barrier& b : barriers_) b = Barrier{};
    ready_.clear();
    paused_.clear();
    warps_.resize((n + WARP - 1) / WARP);
    for (Warp& w : warps_) w.alive = 0, w.meetings.clear();
    fibers_.resize(n);
    alive_ = n;
    for (unsigned i = 0; i < n; ++i) {
        Fiber& f = fibers_[i];
        f = Fiber{};
        f.index = static_cast<uint16_t>(i);
        const Index3& s = launch->block;
        f.thread = {i % s.x, i / s.x % s.y, i / (s.x * s.y)};
        f.dependency = !launch->dependent;
        f.step = 1;
        f.stack = stacks_ + i * stack;
        std::memcpy(f.stack, &CANARY, sizeof CANARY);
        // A return into `entry` with the stack aligned as after a call.
        void** sp = reinterpret_cast<void**>(f.stack + stack);
        *--sp = nullptr;
        *--sp = reinterpret_cast<void*>(&Block::entry);
        for (int k = 0; k < 6; ++k) *--sp = nullptr;
        f.stack_pointer = sp;
        warps_[i / WARP].alive |= 1u << (i % WARP);
        ready_.push_back(&f);
    }
    if (!random_) std::reverse(ready_.begin(), ready_.end());
}

void Block::run(Launch& l, uint32_t i, Gathering* c) {
    here = this;
    launch = &l;
    index = i;
    position = {i % l.grid.x, i / l.grid.x % l.grid.y, i / (l.grid.x * l.grid.y)};
    cluster = c;
    prepare();
    loop();
    if (!l.failed()) finish();
    if (idle_) {
        std::lock_guard<std::mutex> lock(l.mutex);
        ++l.transitions;
        l.idle.erase(std::find(l.idle.begin(), l.idle.end(), this));
    }
    here = nullptr;
}

Fiber* Block::take() {
    const size_t i = random_ ? random() % ready_.size() : ready_.size() - 1;
    Fiber* f = ready_[i];
    ready_[i] = ready_.back();
    ready_.pop_back();
    return f;
}

void Block::loop() {
    while (alive_ > 0 && !launch->failed()) {
        if (!ready_.empty()) {
            current = take();
            cuda_sim_switch(&main_stack_pointer_, current->stack_pointer);
            current = nullptr;
        } else if (!paused_.empty()) {
            poll();
        } else {
            Report r("deadlock");
            r.row("what", "every thread of the block waits for another");
            fail_outside(r, CUDA_ERROR_LAUNCH_FAILED);
        }
    }
}

/// The running fiber cannot go on: another does.
void Block::schedule() {
    Fiber* self = current;
    uint64_t canary;
    std::memcpy(&canary, self->stack, sizeof canary);
    if (canary != CANARY) {
        Report r("local memory overflow");
        r.row("what", "a thread used more than CUDA_SIM_STACK=%zu bytes of stack", config().stack);
        fail(r, CUDA_ERROR_LAUNCH_FAILED, self->site);
    }
    if (ready_.empty() || launch->failed()) {
        cuda_sim_switch(&self->stack_pointer, main_stack_pointer_);
        return;
    }
    Fiber* next = take();
    if (next == self) return;
    current = next;
    cuda_sim_switch(&self->stack_pointer, next->stack_pointer);
}

void Block::leave() {
    void* dropped;
    cuda_sim_switch(&dropped, main_stack_pointer_);
    std::abort();  // nobody switches back to a stack that was dropped
}

void Block::wait(const char* what, Site site, uint32_t mask) {
    current->waits = what;
    current->site = site;
    current->mask = mask;
    schedule();
}

void Block::wake(Fiber* f) {
    f->waits = nullptr;
    ready_.push_back(f);
}

void Block::entry() {
    Block* b = here;
    b->launch->kernel->call(b->launch->arguments.data());
    b->end_of_thread();
}

void Block::end_of_thread() {
    Fiber* f = current;
    ++activity;
    if ((!f->copies.empty() || !f->groups.empty()) && sees(Sight::Copies)) {
        Report r("asynchronous copy never waited for");
        r.row("what", "the thread ends with cp_async copies in flight");
        const PendingCopy& c = f->copies.empty() ? f->groups.front().front() : f->copies.front();
        r.row("copy", launch->module->source(c.code));
        fail(r, CUDA_ERROR_LAUNCH_FAILED, nullptr);
    }
    if (!barriers_[0].arrived.empty() && sees(Sight::Barriers)) {
        Report r("divergent barrier");
        r.row("what", "this thread ended while thread %s waits at %s", thread_name(barriers_[0].arrived[0]->index).c_str(), text(barriers_[0].site).c_str());
        fail(r, CUDA_ERROR_LAUNCH_FAILED, nullptr);
    }
    f->done = true;
    --alive_;
    waited_for_dependency_ |= f->dependency;
    Warp& w = warps_[f->index / WARP];
    w.alive &= ~(1u << f->lane());
    for (Meeting& m : w.meetings) {
        if (m.arrived && (m.arrived & w.alive) == (m.mask & w.alive)) complete(w, m);
    }
    schedule();
    std::abort();  // a fiber that is done is never taken
}

void Block::finish() {
    if (!waited_for_dependency_ && sees(Sight::Dependencies)) {
        Report r("missing dependency wait");
        r.row("what", "launched to start early, but no thread of block (%u,%u,%u) called griddep_wait", position.x, position.y, position.z);
        r.row("why", "the kernel after this one could start before the kernel before it has ended");
        fail_outside(r, CUDA_ERROR_LAUNCH_FAILED);
    }
    for (const auto& [address, m] : mbarriers) {
        if (!m.copies.empty() && sees(Sight::Copies)) {
            Report r("asynchronous copy never waited for");
            r.row("what", "block (%u,%u,%u) ends with bulk copies in flight", position.x, position.y, position.z);
            r.row("copy", launch->module->source(m.copies.front().code));
            fail_outside(r, CUDA_ERROR_LAUNCH_FAILED);
            return;
        }
    }
}

// ---- waiting for other blocks

void Block::pause(const void* code) {
    if (launch->failed()) leave();
    current->code = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(code) - launch->module->image);
    paused_.push_back(current);
    schedule();
    if (launch->failed()) leave();
}

/// All threads that could run have polled: lets them poll again, unless nobody can change what they poll.
void Block::poll() {
    Launch& l = *launch;
    const uint64_t transitions = l.transitions.load();
    const uint64_t progress = l.progress.load();
    const bool quiet = activity == seen_activity_ && progress == seen_progress_;
    seen_activity_ = activity;
    seen_progress_ = progress;
    idle_polls_ = quiet ? idle_polls_ + 1 : 0;
    if ((idle_polls_ >= IDLE_AFTER) != idle_) {
        std::lock_guard<std::mutex> lock(l.mutex);
        idle_ = !idle_;
        if (idle_) l.idle.push_back(this);
        else l.idle.erase(std::find(l.idle.begin(), l.idle.end(), this));
        ++l.transitions;
    }
    stamp.store(transitions);
    if (idle_) {
        bool stuck;
        {
            std::lock_guard<std::mutex> lock(l.mutex);
            stuck = l.idle.size() == l.running;
            for (const Block* b : l.idle) stuck = stuck && b->stamp.load() >= l.transitions.load();
        }
        if (stuck) {
            Report r("deadlock");
            r.row("what", "every running block only polls, and nothing changes");
            if (!l.cooperative && l.blocks() > 1) r.row("note", "the launch is not cooperative: %u of %u blocks run at a time here, and none may wait for another", config().threads, l.blocks());
            for (const auto& [address, m] : mbarriers) {
                if (m.missing || m.announced != m.issued) r.row("mbarrier", "at 0x%zx: %u of %u arrivals missing, %ld bytes announced, copies of %ld bytes started", address, m.missing, m.arrivals, m.announced, m.issued);
            }
            fail_outside(r, CUDA_ERROR_LAUNCH_FAILED);
            return;
        }
        usleep(50);
    } else if (idle_polls_ > 1) {
        sched_yield();
    }
    // Polling again is not activity: the count before the round is the one to compare with.
    ready_.swap(paused_);
}

// ---- meeting

void Block::barrier(unsigned id, unsigned threads, const char* what, Site site) {
    Barrier& b = barriers_[id];
    const unsigned all = static_cast<unsigned>(fibers_.size());
    ++activity;
    if (id == 0 && alive_ < all && sees(Sight::Barriers)) {
        Report r("divergent barrier");
        for (const Fiber& f : fibers_) {
            if (!f.done) continue;
            r.row("what", "this thread is at %s, but thread %s has ended", what, thread_name(f.index).c_str());
            break;
        }
        fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    if (b.arrived.empty()) {
        b.site = site;
        b.what = what;
        b.expected = threads;
    } else if (sees(Sight::Barriers) && (!(b.site == site) || std::strcmp(b.what, what) != 0 || b.expected != threads)) {
        Report r("divergent barrier");
        r.row("what", "this thread is at %s, while thread %s waits at %s of %s", what, thread_name(b.arrived[0]->index).c_str(), b.what, text(b.site).c_str());
        fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    b.arrived.push_back(current);
    if (b.arrived.size() == threads) {
        complete(b, id == 0);
        if (random_ & 1) {  // any of them may be the first to go on
            ready_.push_back(current);
            schedule();
        }
        return;
    }
    wait(what, site);
}

int Block::barrier_count(int kind, int predicate, Site site) {
    static const char* const names[] = {"__syncthreads_count", "__syncthreads_and", "__syncthreads_or"};
    Barrier& b = barriers_[0];
    const int n = static_cast<int>(fibers_.size());
    b.sum += predicate != 0;
    barrier(0, static_cast<unsigned>(n), names[kind], site);
    return kind == 0 ? b.result : kind == 1 ? b.result == n : b.result > 0;
}

void Block::complete(Barrier& b, bool all) {
    b.result = b.sum;
    b.sum = 0;
    if (config().checked) {
        if (sees(Sight::BarrierOrder)) order_together(b.arrived);
        if (all && sees(Sight::BarrierOrder)) {
            ++epoch;
            for (Fiber* f : b.arrived) f->steps.reset();
        }
    }
    for (Fiber* f : b.arrived) {
        if (f != current) wake(f);
    }
    b.arrived.clear();
}

/// What each of them did and knew, all of them know now.
void Block::order_together(const std::vector<Fiber*>& fibers) {
    auto steps = std::make_shared<std::vector<uint32_t>>(fibers_.size());
    const std::vector<uint32_t>* last = nullptr;
    GridClock grid;
    bool dependency = false, fenced = false;
    Published fence;
    for (const Fiber* f : fibers) {
        if (f->steps && f->steps.get() != last) {
            last = f->steps.get();
            for (size_t i = 0; i < steps->size(); ++i) (*steps)[i] = std::max((*steps)[i], (*last)[i]);
        }
        grid = join(grid, f->grid);
        dependency |= f->dependency;
        if (f->fenced) {
            fenced = true;
            fence = {join(fence.own, f->fence.own), join(fence.others, f->fence.others)};
        }
    }
    for (const Fiber* f : fibers) (*steps)[f->index] = f->step;
    for (Fiber* f : fibers) {
        f->steps = steps;
        ++f->step;
        f->grid = grid;
        f->dependency = dependency;
        if (fenced) f->fenced = true, f->fence = fence;
    }
}

const Meeting& Block::meet(const char* what, uint32_t mask, const void* value, size_t bytes, Site site, bool orders_memory, unsigned& slot) {
    Fiber* f = current;
    Warp& w = warps_[f->index / WARP];
    const unsigned lane = f->lane();
    ++activity;
    if (!(mask >> lane & 1)) {
        Report r("warp operation outside its mask");
        r.row("what", "lane %u calls %s with mask %08x, which leaves it out", lane, what, mask);
        fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    Meeting* m = nullptr;
    for (Meeting& x : w.meetings) {
        if (x.mask == mask) m = &x;
    }
    if (!m) {
        // A mask computed per use would make this grow: the old ones that nobody is in are taken again.
        for (Meeting& x : w.meetings) {
            if (!x.arrived && w.meetings.size() > 64) m = &x;
        }
        if (!m) m = &w.meetings.emplace_back();
        m->mask = mask;
    }
    if (m->arrived && (std::strcmp(m->what, what) != 0 || (!orders_memory && !(m->site == site)))) {
        Report r("divergent warp operation");
        r.row("what", "lane %u is at %s, while other lanes of mask %08x wait at %s of %s", lane, what, mask, m->what, text(m->site).c_str());
        fail(r, CUDA_ERROR_LAUNCH_FAILED, site);
    }
    m->what = what;
    m->site = site;
    const uint32_t generation = m->generation;
    slot = generation & 1;
    if (bytes) std::memcpy(m->values[slot][lane], value, bytes);
    m->arrived |= 1u << lane;
    if ((m->arrived & w.alive) == (mask & w.alive)) {
        complete(w, *m);
        if (random_ & 1) {
            ready_.push_back(current);
            schedule();
        }
    } else {
        wait(what, site, mask);
    }
    return *m;
}

void Block::complete(Warp& w, Meeting& m) {
    const size_t first = static_cast<size_t>(&w - warps_.data()) * WARP;
    m.present[m.generation & 1] = m.arrived;
    std::vector<Fiber*> lanes;
    for (unsigned i = 0; i < WARP; ++i) {
        if (m.arrived >> i & 1) lanes.push_back(&fibers_[first + i]);
    }
    if (config().checked && std::strcmp(m.what, "__syncwarp") == 0) order_together(lanes);
    for (Fiber* f : lanes) {
        if (f != current) wake(f);
    }
    m.arrived = 0;
    ++m.generation;
}

// ---- knowing

Access Block::access(unsigned flags, const void* code) const {
    Access a;
    a.launch = launch->operation;
    a.block = index;
    a.epoch = epoch;
    a.step = current->step;
    a.code = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(code) - launch->module->image);
    a.thread = current->index;
    a.flags = static_cast<uint16_t>(flags | Access::VALID);
    return a;
}

bool Block::ordered(const Access& a) const {
    if (a.launch != launch->operation) return launch->order->after(a.launch);
    const Fiber& f = *current;
    if (a.block == index) return a.epoch < epoch || (f.steps && (*f.steps)[a.thread] >= a.step);
    if (!f.grid) return false;
    const BlockClock& known = (*f.grid)[a.block];
    return known.epoch > a.epoch || (known.epoch == a.epoch && known.steps && (*known.steps)[a.thread] >= a.step);
}

Published Block::publish() {
    Fiber& f = *current;
    auto steps = f.steps ? std::make_shared<std::vector<uint32_t>>(*f.steps) : std::make_shared<std::vector<uint32_t>>(fibers_.size());
    (*steps)[f.index] = f.step++;
    return {{epoch, steps}, f.grid};
}

void Block::learn(const GridClock& clock) {
    if (!clock) return;
    Fiber& f = *current;
    const BlockClock& own = (*clock)[index];
    if (own.epoch == epoch) f.steps = join(f.steps, own.steps);
    f.grid = join(f.grid, clock);
}

void Block::learn(const Published& p) {
    Fiber& f = *current;
    if (p.own.epoch == epoch) f.steps = join(f.steps, p.own.steps);
    f.grid = join(f.grid, p.others);
}

// ---- findings

std::string Block::thread_name(unsigned i) const {
    const Index3& t = fibers_[i].thread;
    return format("(%u,%u,%u)", t.x, t.y, t.z);
}

std::vector<std::string> Block::waiting() const {
    std::map<std::string, std::vector<unsigned>> groups;
    for (const Fiber& f : fibers_) {
        if (f.done) groups["ended"].push_back(f.index);
        else if (f.waits && f.mask) groups[format("wait at %s of %s with mask %08x", f.waits, text(f.site).c_str(), f.mask)].push_back(f.index);
        else if (f.waits) groups[format("wait at %s of %s", f.waits, text(f.site).c_str())].push_back(f.index);
        else if (f.code) groups["poll at " + launch->module->source(f.code)].push_back(f.index);
        else groups["can run"].push_back(f.index);
    }
    std::vector<std::string> lines;
    for (const auto& [what, threads] : groups) {
        lines.push_back(format("%zu %s (first %s)", threads.size(), what.c_str(), thread_name(threads[0]).c_str()));
    }
    return lines;
}

void Block::fail(Report& r, int error, const void* code) {
    int none = 0;
    if (launch->error.compare_exchange_strong(none, error)) {
        r.row("kernel", name_of(launch->operation));
        r.row("thread", "%s of block (%u,%u,%u)", thread_name(current->index).c_str(), position.x, position.y, position.z);
        if (code) r.row("at", launch->module->source(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(code) - launch->module->image)));
        r.emit();
    }
    leave();
}

void Block::fail(Report& r, int error, Site site) {
    int none = 0;
    if (launch->error.compare_exchange_strong(none, error)) {
        r.row("kernel", name_of(launch->operation));
        r.row("thread", "%s of block (%u,%u,%u)", thread_name(current->index).c_str(), position.x, position.y, position.z);
        if (site.file) r.row("at", text(site));
        r.emit();
    }
    leave();
}

void Block::fail_outside(Report& r, int error) {
    int none = 0;
    if (!launch->error.compare_exchange_strong(none, error)) return;
    r.row("kernel", name_of(launch->operation));
    r.row("block", "(%u,%u,%u)", position.x, position.y, position.z);
    for (const std::string& line : waiting()) r.row("threads", line);
    r.emit();
}
