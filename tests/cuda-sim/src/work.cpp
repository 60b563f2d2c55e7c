#include "work.h"

#include <algorithm>
#include <cstring>

#include "config.h"
#include "errors.h"
#include "memory.h"
#include "report.h"

namespace {

size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

int refuse(const KernelCall& c, int error, const std::string& why) {
    Report("launch refused").row("why", why).row("kernel", describe(c)).emit();
    return error;
}

/// A range of global memory that a copy or a fill is about to use.
int use(uintptr_t address, size_t bytes, bool write, Operation& op) {
    if (!memory::region.holds(address) || !config().checked) return CUDA_SUCCESS;
    const auto race = [&](uintptr_t at, const Access& a) {
        Report("race between operations")
            .row("what", "%s %s %zu bytes", name_of(op.number).c_str(), write ? "writes" : "reads", bytes)
            .row("address", memory::describe(at))
            .row("other", "%s %s it, and no stream, event or graph edge orders the two", name_of(a.launch).c_str(), a.writes() ? "wrote" : "read")
            .emit();
        return CUDA_ERROR_LAUNCH_FAILED;
    };
    const uint8_t* state = memory::region.state(address);
    for (size_t i = 0; i < bytes; ++i) {
        if (state[i] != memory::NONE && (write || state[i] == memory::WRITTEN)) continue;
        const bool allocated = state[i] != memory::NONE;
        if (!sees(allocated ? Sight::Uninitialised : Sight::Bounds)) break;
        Report(allocated ? "uninitialised read" : "use after free").row("what", "%s %s %zu bytes", name_of(op.number).c_str(), write ? "writes" : "reads", bytes).row("address", memory::describe(address + i)).emit();
        return allocated ? CUDA_ERROR_LAUNCH_FAILED : CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    for (uintptr_t at = address, end = address + bytes; at < end;) {
        memory::Page& page = memory::region.page(at);
        const uintptr_t page_end = std::min(end, at / memory::PAGE * memory::PAGE + memory::PAGE);
        const size_t begin = at % memory::PAGE, stop = begin + (page_end - at);
        for (const memory::Page::Transfer* t : {&page.filled, &page.drained}) {
            if ((t == &page.drained && !write) || !t->overlaps(begin, stop) || op.order.after(t->operation) || !sees(Sight::Operations)) continue;
            Access a;
            a.launch = t->operation;
            a.flags = static_cast<uint16_t>(Access::VALID | (t == &page.filled ? Access::WRITE : 0));
            return race(at, a);
        }
        if (page.cells) {
            memory::Locked locked(page);
            for (uintptr_t g = at; g < page_end; g = g / 4 * 4 + 4) {
                const Cell* cells = locked.granule(g);
                for (size_t k = 0; k < (locked.split(g) ? 4u : 1u); ++k) {
                    const Cell& c = cells[k];
                    for (const Access* a : {&c.write, &c.others[0], &c.others[1]}) {
                        if (a->valid() && (write || a->writes()) && !op.order.after(a->launch) && sees(Sight::Operations)) return race(g, *a);
                    }
                }
            }
        }
        (write ? page.filled : page.drained) = {op.number, static_cast<uint16_t>(begin), static_cast<uint16_t>(stop)};
        at = page_end;
    }
    if (write) std::memset(memory::region.state(address), memory::WRITTEN, bytes);
    return CUDA_SUCCESS;
}

/// Whether `rows` rows of `bytes` lie in one allocation (or in host memory); reports when not.
int in_one_allocation(const char* call, const char* which, uintptr_t address, size_t bytes) {
    if (bytes == 0) return CUDA_SUCCESS;
    const memory::Allocation* a = memory::find(address);
    if (a && bytes <= a->size - (address - a->start)) return CUDA_SUCCESS;
    if (!a && memory::registered(address, bytes)) return CUDA_SUCCESS;
    Report("out of bounds").row("what", "%s: %zu bytes of %s", call, bytes, which).row("address", memory::describe(a ? a->start + a->size : address)).emit();
    return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

const DeviceLimits& device_limits() {
    static const DeviceLimits sm80{2048, 32, 167936, 166912}, sm86{1536, 24, 102400, 101376}, sm90{2048, 32, 233472, 232448};
    const unsigned arch = config().arch;
    return arch == 80 || arch == 87 ? sm80 : arch < 90 || arch >= 120 ? sm86 : sm90;
}

size_t static_shared(const Function& f) {
    const Resources r = resources(f.kernel->name);
    return r.known ? r.shared : f.module->shared_bytes;
}

unsigned max_threads(const Function& f) {
    unsigned most = f.kernel->launch.a ? f.kernel->launch.a : 1024;
    const Resources r = resources(f.kernel->name);
    if (r.known && r.registers) most = std::min<unsigned>(most, static_cast<unsigned>(REGISTERS_PER_SM / up(r.registers * 32, 256)) * 32);
    return most;
}

unsigned blocks_per_sm(const Function& f, uint64_t threads, size_t dynamic) {
    const DeviceLimits& l = device_limits();
    const uint64_t warps = (threads + 31) / 32;
    uint64_t blocks = std::min<uint64_t>(l.blocks_per_sm, l.threads_per_sm / (warps * 32));
    blocks = std::min<uint64_t>(blocks, l.shared_per_sm / up(static_shared(f) + dynamic + RESERVED_SHARED, 128));
    const Resources r = resources(f.kernel->name);
    if (r.known && r.registers) blocks = std::min<uint64_t>(blocks, REGISTERS_PER_SM / (up(r.registers * 32, 256) * warps));
    return static_cast<unsigned>(blocks);
}

std::string describe(const KernelCall& c) {
    return format("%s<<<(%u,%u,%u), (%u,%u,%u), %zu bytes>>>", c.function->kernel->name, c.grid.x, c.grid.y, c.grid.z, c.block.x, c.block.y, c.block.z, c.dynamic_shared);
}

int check(const KernelCall& c) {
    const Function& f = *c.function;
    const DeviceLimits& l = device_limits();
    if (!c.grid.count() || !c.block.count()) return refuse(c, CUDA_ERROR_INVALID_VALUE, "an empty grid or block");
    if (c.grid.x > 0x7fffffffu || c.grid.y > 65535 || c.grid.z > 65535) return refuse(c, CUDA_ERROR_INVALID_VALUE, "the grid is larger than (2147483647, 65535, 65535)");
    if (c.block.x > 1024 || c.block.y > 1024 || c.block.z > 64 || c.block.count() > 1024) return refuse(c, CUDA_ERROR_INVALID_VALUE, "the block is larger than (1024, 1024, 64) or 1024 threads");
    if (f.kernel->launch.a && c.block.count() > f.kernel->launch.a) return refuse(c, CUDA_ERROR_INVALID_VALUE, format("%llu threads, but __launch_bounds__(%u)", c.block.count(), f.kernel->launch.a));
    if (c.block.count() > max_threads(f)) return refuse(c, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, format("%llu threads of %u registers do not fit %u registers", c.block.count(), resources(f.kernel->name).registers, REGISTERS_PER_SM));
    const size_t fixed = static_shared(f);
    if (c.dynamic_shared > f.dynamic_limit) {
        return refuse(c, CUDA_ERROR_INVALID_VALUE, format("%zu bytes of dynamic shared memory, but the function's limit is %zu: cuFuncSetAttribute(MAX_DYNAMIC_SHARED_SIZE_BYTES) raises it", c.dynamic_shared, f.dynamic_limit));
    }
    if (fixed + c.dynamic_shared > l.shared_per_block) return refuse(c, CUDA_ERROR_INVALID_VALUE, format("%zu bytes of static and %zu of dynamic shared memory, a block has %zu", fixed, c.dynamic_shared, l.shared_per_block));
    Index3 cluster = c.cluster;
    const KernelBounds& required = f.kernel->cluster;
    if (required.a) {
        const Index3 fixed_cluster{required.a, std::max(1u, required.b), std::max(1u, required.c)};
        if (cluster.x && (cluster.x != fixed_cluster.x || cluster.y != fixed_cluster.y || cluster.z != fixed_cluster.z)) return refuse(c, CUDA_ERROR_INVALID_CLUSTER_SIZE, "the cluster differs from the kernel's __cluster_dims__");
        cluster = fixed_cluster;
    }
    if (cluster.x) {
        if (config().arch < 90) return refuse(c, CUDA_ERROR_INVALID_CLUSTER_SIZE, "clusters need compute capability 9.0");
        if (cluster.count() == 0 || cluster.count() > (f.large_clusters ? 16 : 8)) return refuse(c, CUDA_ERROR_INVALID_CLUSTER_SIZE, format("a cluster of %llu blocks", cluster.count()));
        if (c.grid.x % cluster.x || c.grid.y % cluster.y || c.grid.z % cluster.z) return refuse(c, CUDA_ERROR_INVALID_CLUSTER_SIZE, "the grid is not a multiple of the cluster");
    }
    const unsigned per_sm = blocks_per_sm(f, c.block.count(), c.dynamic_shared);
    if (per_sm == 0) return refuse(c, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "not even one block fits on a multiprocessor");
    if (c.cooperative && c.grid.count() > static_cast<uint64_t>(per_sm) * config().sms) {
        return refuse(c, CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, format("%llu blocks, of which %u multiprocessors hold %u each", c.grid.count(), config().sms, per_sm));
    }
    return CUDA_SUCCESS;
}

int run(const KernelCall& c, Operation& op) {
    Launch l;
    l.module = c.function->module;
    l.kernel = c.function->kernel;
    l.grid = c.grid;
    l.block = c.block;
    if (c.cluster.x) l.cluster = c.cluster;
    else if (l.kernel->cluster.a) l.cluster = {l.kernel->cluster.a, std::max(1u, l.kernel->cluster.b), std::max(1u, l.kernel->cluster.c)};
    l.dynamic_shared = c.dynamic_shared;
    l.cooperative = c.cooperative;
    l.dependent = c.dependent && config().arch >= 90;
    l.argument_bytes = c.argument_bytes;
    for (size_t offset : c.argument_offsets) l.arguments.push_back(l.argument_bytes.data() + offset);
    l.device = op.context->device;
    l.operation = op.number;
    l.order = &op.order;
    l.in_flight = op.in_flight;
    run(l);
    op.early_trigger = l.early_trigger;
    return l.error;
}

int check(const CopyCall& c) {
    if (c.width == 0 || c.height == 0) return CUDA_SUCCESS;
    const size_t to = (c.height - 1) * c.to_pitch + c.width, from = (c.height - 1) * c.from_pitch + c.width;
    if (c.height > 1 && (c.to_pitch < c.width || c.from_pitch < c.width)) return CUDA_ERROR_INVALID_VALUE;
    if (c.to_device) {
        if (const int e = in_one_allocation(c.call, "destination", c.to, to)) return e;
    }
    if (c.from_device) {
        if (const int e = in_one_allocation(c.call, "source", c.from, from)) return e;
    }
    return !c.to || !c.from ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

int run(const CopyCall& c, Operation& op) {
    for (size_t row = 0; row < c.height && c.width; ++row) {
        const uintptr_t to = c.to + row * c.to_pitch, from = c.staged ? reinterpret_cast<uintptr_t>(c.staged->data()) + row * c.width : c.from + row * c.from_pitch;
        // A copy within the device may move bytes that nobody wrote: they stay so.
        const bool both = memory::region.holds(from) && memory::region.holds(to) && config().checked;
        std::vector<uint8_t> states;
        if (both) {
            states.assign(memory::region.state(from), memory::region.state(from) + c.width);
            if (std::find(states.begin(), states.end(), memory::NONE) == states.end()) std::memset(memory::region.state(from), memory::WRITTEN, c.width);
        }
        int error = use(from, c.width, false, op);
        if (both && !error) std::memcpy(memory::region.state(from), states.data(), c.width);
        if (!error) error = use(to, c.width, true, op);
        if (error) return error;
        std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), c.width);
        if (both) std::memcpy(memory::region.state(to), states.data(), c.width);
    }
    return CUDA_SUCCESS;
}

int check(const FillCall& c) {
    if (c.to % c.element) return CUDA_ERROR_INVALID_VALUE;
    return in_one_allocation(c.call, "destination", c.to, c.count * c.element);
}

int run(const FillCall& c, Operation& op) {
    if (const int error = use(c.to, c.count * c.element, true, op)) return error;
    if (c.element == 1) std::memset(reinterpret_cast<void*>(c.to), static_cast<int>(c.value & 255), c.count);
    for (size_t i = 0; c.element > 1 && i < c.count; ++i) std::memcpy(reinterpret_cast<void*>(c.to + i * c.element), &c.value, c.element);
    return CUDA_SUCCESS;
}
