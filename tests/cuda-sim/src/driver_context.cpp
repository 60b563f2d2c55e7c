// Calls of the driver: initialisation, devices, contexts, limits, errors, and finding entry points.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "config.h"
#include "driver.h"
#include "memory.h"
#include "queue.h"
#include "report.h"
#include "work.h"

namespace driver {

namespace {

bool initialised = false;
thread_local Context* current_context = nullptr;
Context* primaries[8];

std::recursive_mutex& lock() {
    static auto* m = new std::recursive_mutex;
    return *m;
}

Context* make_context(int device, bool primary) {
    auto* c = new Context;
    c->device = device;
    c->primary = primary;
    c->references = 1;
    c->legacy = make_stream(*c, true, 0, 0);
    live<Context>().insert(c);
    return c;
}

void destroy_context(Context* c) {
    if (c->error == 0) {
        queue::finish_all();
        if (c->error == 0) report_leaks(*c, "the context was destroyed");
    }
    for (auto it = queue::streams().begin(); it != queue::streams().end();) it = (*it)->context == c ? queue::streams().erase(it) : it + 1;
    bool last = true;
    for (Context* o : live<Context>()) last = last && (o == c || o->device != c->device);
    if (last) memory::release_all(c->device);
    live<Context>().erase(c);
    if (current_context == c) current_context = nullptr;
    // Streams and events of it may still be destroyed by their owners: its memory stays.
}

/// At the end of the process, where CUDA_SIM_LEAKS=exit asks for it.
struct AtExit {
    ~AtExit() {
        if (!config().leaks_at_exit) return;
        for (Context* c : live<Context>()) {
            if (c->error == 0) report_leaks(*c, "the process ended");
        }
    }
} at_exit;

}  // namespace

Call::Call(Needs needs) : lock_(lock()) {
    if (needs == Nothing) return;
    if (!initialised) {
        status = CUDA_ERROR_NOT_INITIALIZED;
        return;
    }
    if (needs == Initialised) return;
    context = current_context;
    if (!context) status = CUDA_ERROR_INVALID_CONTEXT;
    else if (!live<Context>().count(context)) status = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    else if (needs == HealthyContext) status = static_cast<Result>(context->error);
}

Context* current() { return current_context; }
void set_current(Context* c) { current_context = c; }

void report_leaks(const Context& c, const char* when) {
    if (!sees(Sight::Leaks)) return;
    size_t count = 0, bytes = 0;
    std::string first;
    memory::for_each_live([&](const memory::Allocation& a) {
        if (a.device != c.device) return;
        ++count;
        bytes += a.size;
        if (count <= 8) first += format("%s%lu (%zu bytes, %s)", count > 1 ? ", " : "", static_cast<unsigned long>(a.number), a.size, a.call);
    });
    size_t streams = 0, events = 0, graphs = 0, execs = 0, modules = 0;
    for (Stream* s : live<Stream>()) streams += s->context == &c;
    for (Event* e : live<Event>()) events += e->context == &c;
    for (Graph* g : live<Graph>()) graphs += g->context == &c;
    for (GraphExec* g : live<GraphExec>()) execs += g->context == &c;
    for (LoadedModule* m : live<LoadedModule>()) modules += m->context == &c;
    if (!count && !streams && !events && !graphs && !execs && !modules) return;
    Report r("leak");
    r.row("when", when);
    if (count) r.row("memory", "%zu allocations, %zu bytes: %s%s", count, bytes, first.c_str(), count > 8 ? ", ..." : "");
    if (streams + events + graphs + execs + modules) r.row("handles", "%zu streams, %zu events, %zu graphs, %zu instantiated graphs, %zu modules", streams, events, graphs, execs, modules);
    r.emit();
}

}  // namespace driver

using driver::Call;
using driver::current;
using driver::live;
using driver::valid;

CUDA_SIM_EXPORT Result cuInit(unsigned flags) {
    Call call(Call::Nothing);
    CUDA_SIM_REQUIRE(flags == 0, CUDA_ERROR_INVALID_VALUE);
    if (!config().error.empty()) {
        Report("the simulator is not set up").row("why", config().error).emit();
        return CUDA_ERROR_INVALID_VALUE;
    }
    CUDA_SIM_REQUIRE(config().devices > 0, CUDA_ERROR_NO_DEVICE);
    if (!memory::reserve()) {
        Report("the simulator is not set up").row("why", "the system refuses to reserve 1 TiB of addresses (ulimit -v?)").emit();
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    driver::initialised = true;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDriverGetVersion(int* version) {
    CUDA_SIM_REQUIRE(version, CUDA_ERROR_INVALID_VALUE);
    *version = 13000;
    return CUDA_SUCCESS;
}

// ---- errors

CUDA_SIM_EXPORT Result cuGetErrorName(int error, const char** text) {
    CUDA_SIM_REQUIRE(text, CUDA_ERROR_INVALID_VALUE);
    switch (error) {
#define CUDA_SIM_ERROR(name, value, words) \
    case value: *text = #name; return CUDA_SUCCESS;
        CUDA_SIM_ERRORS(CUDA_SIM_ERROR)
#undef CUDA_SIM_ERROR
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

CUDA_SIM_EXPORT Result cuGetErrorString(int error, const char** text) {
    CUDA_SIM_REQUIRE(text, CUDA_ERROR_INVALID_VALUE);
    switch (error) {
#define CUDA_SIM_ERROR(name, value, words) \
    case value: *text = words; return CUDA_SUCCESS;
        CUDA_SIM_ERRORS(CUDA_SIM_ERROR)
#undef CUDA_SIM_ERROR
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

// ---- devices

CUDA_SIM_EXPORT Result cuDeviceGetCount(int* n) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(n, CUDA_ERROR_INVALID_VALUE);
    *n = static_cast<int>(config().devices);
    return CUDA_SUCCESS;
}

static bool is_device(int d) { return d >= 0 && d < static_cast<int>(config().devices); }

CUDA_SIM_EXPORT Result cuDeviceGet(int* device, int ordinal) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(device, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(ordinal), CUDA_ERROR_INVALID_DEVICE);
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDeviceGetName(char* text, int n, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(text && n > 0, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    std::snprintf(text, static_cast<size_t>(n), "CUDA simulator (sm_%u, %s)", config().arch, config().checked ? "checked" : "quick");
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDeviceGetUuid_v2(char* uuid, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(uuid, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    std::memset(uuid, 0, 16);
    std::memcpy(uuid, "cuda-sim", 8);
    uuid[15] = static_cast<char>(device);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuDeviceGetUuid(char* uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

CUDA_SIM_EXPORT Result cuDeviceTotalMem_v2(size_t* bytes, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(bytes, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    *bytes = config().memory;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDeviceGetPCIBusId(char* text, int n, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(text && n > 0, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    std::snprintf(text, static_cast<size_t>(n), "0000:%02x:00.0", device + 1);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDeviceComputeCapability(int* major, int* minor, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(major && minor, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    *major = static_cast<int>(config().arch / 10);
    *minor = static_cast<int>(config().arch % 10);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDeviceGetAttribute(int* value, int attribute, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    const DeviceLimits& l = device_limits();
    const bool hopper = config().arch >= 90;
    // As an H200 says, where it has a meaning here; an attribute that is not listed is 0, as a missing feature is.
    struct Row {
        int attribute;
        long value;
    };
    const Row rows[] = {
        {1, 1024},                                   // MAX_THREADS_PER_BLOCK
        {2, 1024}, {3, 1024}, {4, 64},               // MAX_BLOCK_DIM_X, _Y, _Z
        {5, 2147483647}, {6, 65535}, {7, 65535},     // MAX_GRID_DIM_X, _Y, _Z
        {8, 48 << 10},                               // MAX_SHARED_MEMORY_PER_BLOCK
        {9, 64 << 10},                               // TOTAL_CONSTANT_MEMORY
        {10, 32},                                    // WARP_SIZE
        {11, 2147483647},                            // MAX_PITCH
        {12, REGISTERS_PER_SM},                      // MAX_REGISTERS_PER_BLOCK
        {13, 1980000},                               // CLOCK_RATE, kHz
        {14, 512},                                   // TEXTURE_ALIGNMENT
        {15, 1},                                     // GPU_OVERLAP
        {16, config().sms},                          // MULTIPROCESSOR_COUNT
        {19, 1},                                     // CAN_MAP_HOST_MEMORY
        {31, 1},                                     // CONCURRENT_KERNELS
        {32, 1},                                     // ECC_ENABLED
        {33, device + 1},                            // PCI_BUS_ID
        {36, 3201000},                               // MEMORY_CLOCK_RATE, kHz
        {37, 6144},                                  // GLOBAL_MEMORY_BUS_WIDTH
        {38, 60 << 20},                              // L2_CACHE_SIZE
        {39, l.threads_per_sm},                      // MAX_THREADS_PER_MULTIPROCESSOR
        {40, 3},                                     // ASYNC_ENGINE_COUNT
        {41, 1},                                     // UNIFIED_ADDRESSING
        {75, config().arch / 10},                    // COMPUTE_CAPABILITY_MAJOR
        {76, config().arch % 10},                    // COMPUTE_CAPABILITY_MINOR
        {78, 1},                                     // STREAM_PRIORITIES_SUPPORTED
        {79, 1}, {80, 1},                            // GLOBAL_, LOCAL_L1_CACHE_SUPPORTED
        {81, static_cast<long>(l.shared_per_sm)},    // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        {82, REGISTERS_PER_SM},                      // MAX_REGISTERS_PER_MULTIPROCESSOR
        {83, 1},                                     // MANAGED_MEMORY
        {89, 1},                                     // CONCURRENT_MANAGED_ACCESS
        {95, 1},                                     // COOPERATIVE_LAUNCH
        {97, static_cast<long>(l.shared_per_block)}, // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        {99, 1},                                     // HOST_REGISTER_SUPPORTED
        {106, l.blocks_per_sm},                      // MAX_BLOCKS_PER_MULTIPROCESSOR
        {111, static_cast<long>(RESERVED_SHARED)},   // RESERVED_SHARED_MEMORY_PER_BLOCK
        {115, 1},                                    // MEMORY_POOLS_SUPPORTED
        {120, hopper},                               // CLUSTER_LAUNCH
        {129, 1},                                    // UNIFIED_FUNCTION_POINTERS
    };
    *value = 0;
    for (const Row& r : rows) {
        if (r.attribute == attribute) *value = static_cast<int>(r.value);
    }
    return attribute > 0 && attribute < 200 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUDA_SIM_EXPORT Result cuDeviceCanAccessPeer(int* can, int a, int b) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(can, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(a) && is_device(b), CUDA_ERROR_INVALID_DEVICE);
    *can = a != b;
    return CUDA_SUCCESS;
}

// ---- contexts

CUDA_SIM_EXPORT Result cuDevicePrimaryCtxRetain(Context** out, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    Context*& c = driver::primaries[device];
    if (c) ++c->references;
    else c = driver::make_context(device, true);
    *out = c;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDevicePrimaryCtxRelease_v2(int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    Context*& c = driver::primaries[device];
    CUDA_SIM_REQUIRE(c, CUDA_ERROR_INVALID_CONTEXT);
    if (--c->references == 0) {
        driver::destroy_context(c);
        c = nullptr;
    }
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDevicePrimaryCtxReset_v2(int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    Context*& c = driver::primaries[device];
    if (c) driver::destroy_context(c);
    c = nullptr;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(flags && active, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    *flags = driver::primaries[device] ? driver::primaries[device]->flags : 0;
    *active = driver::primaries[device] != nullptr;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    if (driver::primaries[device]) driver::primaries[device]->flags = flags;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxCreate_v4(Context** out, void*, unsigned flags, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
    *out = driver::make_context(device, false);
    (*out)->flags = flags;
    driver::set_current(*out);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxDestroy_v2(Context* c) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(c) && !c->primary, CUDA_ERROR_INVALID_CONTEXT);
    driver::destroy_context(c);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetCurrent(Context** out) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    *out = current();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxSetCurrent(Context* c) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(!c || valid(c), CUDA_ERROR_INVALID_CONTEXT);
    driver::set_current(c);
    return CUDA_SUCCESS;
}

static thread_local std::vector<Context*> context_stack;

CUDA_SIM_EXPORT Result cuCtxPushCurrent_v2(Context* c) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(c), CUDA_ERROR_INVALID_CONTEXT);
    context_stack.push_back(current());
    driver::set_current(c);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxPopCurrent_v2(Context** out) {
    CUDA_SIM_CALL(CurrentContext);
    if (out) *out = call.context;
    driver::set_current(context_stack.empty() ? nullptr : context_stack.back());
    if (!context_stack.empty()) context_stack.pop_back();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetDevice(int* device) {
    CUDA_SIM_CALL(CurrentContext);
    CUDA_SIM_REQUIRE(device, CUDA_ERROR_INVALID_VALUE);
    *device = call.context->device;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetApiVersion(Context*, unsigned* version) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(version, CUDA_ERROR_INVALID_VALUE);
    *version = 13000;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetFlags(unsigned* flags) {
    CUDA_SIM_CALL(CurrentContext);
    CUDA_SIM_REQUIRE(flags, CUDA_ERROR_INVALID_VALUE);
    *flags = call.context->flags;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxSetFlags(unsigned flags) {
    CUDA_SIM_CALL(CurrentContext);
    call.context->flags = flags;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxSynchronize() {
    CUDA_SIM_CALL(HealthyContext);
    if (driver::capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    queue::finish_all();
    return static_cast<Result>(call.context->error);
}

CUDA_SIM_EXPORT Result cuCtxGetLimit(size_t* value, int limit) {
    CUDA_SIM_CALL(CurrentContext);
    CUDA_SIM_REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(limit >= 0 && limit <= 6, CUDA_ERROR_UNSUPPORTED_LIMIT);
    const auto found = call.context->limits.find(limit);
    *value = found != call.context->limits.end() ? found->second : limit == 0 ? 1024 : 0;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxSetLimit(int limit, size_t value) {
    CUDA_SIM_CALL(CurrentContext);
    CUDA_SIM_REQUIRE(limit >= 0 && limit <= 6, CUDA_ERROR_UNSUPPORTED_LIMIT);
    call.context->limits[limit] = value;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetCacheConfig(int* value) {
    CUDA_SIM_CALL(CurrentContext);
    CUDA_SIM_REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
    *value = 0;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuCtxSetCacheConfig(int) {
    CUDA_SIM_CALL(CurrentContext);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    CUDA_SIM_CALL(CurrentContext);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuCtxEnablePeerAccess(Context* peer, unsigned) {
    CUDA_SIM_CALL(CurrentContext);
    return valid(peer) && peer != call.context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
CUDA_SIM_EXPORT Result cuCtxDisablePeerAccess(Context* peer) {
    CUDA_SIM_CALL(CurrentContext);
    return valid(peer) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUDA_SIM_EXPORT Result cuProfilerStart() {
    CUDA_SIM_CALL(CurrentContext);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuProfilerStop() {
    CUDA_SIM_CALL(CurrentContext);
    return CUDA_SUCCESS;
}

// ---- entry points

/// The newest form of a name that this library has: names come without their version.
CUDA_SIM_EXPORT Result cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* status) {
    CUDA_SIM_REQUIRE(name && function, CUDA_ERROR_INVALID_VALUE);
    void* self = dlopen((library_folder() + "/libcuda.so.1").c_str(), RTLD_NOW | RTLD_NOLOAD);
    *function = nullptr;
    for (const char* version : {"_v4", "_v3", "_v2", ""}) {
        if (!*function) *function = dlsym(self, (std::string(name) + version).c_str());
    }
    if (self) dlclose(self);
    if (status) *status = *function ? 0 : 1;
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
CUDA_SIM_EXPORT Result cuGetProcAddress(const char* name, void** function, int version, uint64_t flags) { return cuGetProcAddress_v2(name, function, version, flags, nullptr); }
