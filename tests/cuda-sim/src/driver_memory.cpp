// Calls of the driver: device and host memory, pools, copies, fills, pointers.
#include <cstring>

#include "abi.h"
#include "config.h"
#include "driver.h"
#include "memory.h"
#include "queue.h"
#include "report.h"
#include "work.h"

using driver::Call;
using driver::capture_forbids;
using driver::stream_of;
using driver::submit;
using driver::valid;

namespace {

Result allocate(uintptr_t* out, size_t bytes, memory::Kind kind, const Context& context, const char* name) {
    CUDA_SIM_REQUIRE(out && bytes, CUDA_ERROR_INVALID_VALUE);
    *out = memory::allocate(bytes, kind, context.device, name);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

bool is_global(uintptr_t a) { return memory::region.holds(a); }
bool is_pinned(uintptr_t a, size_t bytes) {
    const memory::Allocation* found = memory::find(a);
    return found ? found->kind != memory::Kind::Device : memory::registered(a, bytes);
}
/// Device memory proper, where only kernels and copies reach.
bool is_device(uintptr_t a) {
    const memory::Allocation* found = memory::find(a);
    return found ? found->kind == memory::Kind::Device : is_global(a);
}

CopyCall linear(uintptr_t to, uintptr_t from, size_t bytes, bool to_device, bool from_device, const char* name) {
    CopyCall c;
    c.to = to;
    c.from = from;
    c.width = bytes;
    c.to_pitch = c.from_pitch = bytes;
    c.to_device = to_device;
    c.from_device = from_device;
    c.call = name;
    return c;
}

/// A copy that the call waits for. Copies by the legacy stream where the caller names none.
Result copy_now(CopyCall c, Context& context) {
    Stream* s = context.legacy.get();
    if (s->capture || capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    if (const Result r = submit(s, std::move(c))) return r;
    queue::finish(s->tail);
    return static_cast<Result>(context.error);
}

/// A copy in stream order. Pageable memory is read at the call, and written before it returns, as the driver does.
Result copy_later(CopyCall c, Stream* handle, Context& context) {
    Stream* s = stream_of(handle, &context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    const size_t to_bytes = c.height ? (c.height - 1) * c.to_pitch + c.width : 0;
    const bool pageable_from = !c.from_device && !is_pinned(c.from, c.width), pageable_to = !c.to_device && !is_pinned(c.to, to_bytes);
    if (s->capture) {
        if (pageable_from || pageable_to) {
            s->capture->invalidated = true;
            Report("copy of pageable memory in a captured graph").row("what", "%s: a replay would read or write host memory that may be gone by then", c.call).emit();
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
        return submit(s, std::move(c));
    }
    if (pageable_from && c.width && c.height) {
        if (const int e = check(c)) return static_cast<Result>(e);
        c.staged = std::make_shared<std::vector<unsigned char>>(c.width * c.height);
        for (size_t row = 0; row < c.height; ++row) std::memcpy(c.staged->data() + row * c.width, reinterpret_cast<const void*>(c.from + row * c.from_pitch), c.width);
    }
    if (const Result r = submit(s, std::move(c))) return r;
    if (pageable_to) {
        queue::finish(s->tail);
        return static_cast<Result>(context.error);
    }
    return CUDA_SUCCESS;
}

Result fill(uintptr_t to, size_t count, unsigned element, uint32_t value, Stream* handle, Context& context, const char* name) {
    Stream* s = stream_of(handle, &context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    FillCall f;
    f.to = to;
    f.count = count;
    f.element = element;
    f.value = value;
    f.call = name;
    return submit(s, f);
}

}  // namespace

// ---- allocation

CUDA_SIM_EXPORT Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    CUDA_SIM_CALL(HealthyContext);
    if (total) *total = config().memory;
    if (free) *free = config().memory - memory::used(call.context->device);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuMemAlloc_v2(uintptr_t* out, size_t bytes) {
    CUDA_SIM_CALL(HealthyContext);
    if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return allocate(out, bytes, memory::Kind::Device, *call.context, "cuMemAlloc");
}

CUDA_SIM_EXPORT Result cuMemFree_v2(uintptr_t address) {
    CUDA_SIM_CALL(CurrentContext);
    if (!address) return CUDA_SUCCESS;
    if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    queue::finish_all();  // the driver waits for the device, too
    return memory::release(address, "cuMemFree") ? static_cast<Result>(call.context->error) : CUDA_ERROR_INVALID_VALUE;
}

CUDA_SIM_EXPORT Result cuMemAllocAsync(uintptr_t* out, size_t bytes, Stream* handle) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) {
        s->capture->invalidated = true;
        Report("allocation while capturing").row("what", "cuMemAllocAsync in a capturing stream makes an allocation node, which the simulator does not know").emit();
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return allocate(out, bytes, memory::Kind::Device, *call.context, "cuMemAllocAsync");
}

CUDA_SIM_EXPORT Result cuMemFreeAsync(uintptr_t address, Stream* handle) {
    CUDA_SIM_CALL(CurrentContext);
    if (!address) return CUDA_SUCCESS;
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) {
        s->capture->invalidated = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    const memory::Allocation* a = memory::find(address);
    if (!a || a->start != address) {
        memory::release(address, "cuMemFreeAsync");  // says why not
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (call.context->error) return memory::release(address, "cuMemFreeAsync") ? static_cast<Result>(call.context->error) : CUDA_ERROR_INVALID_VALUE;
    queue::add(*s, "cuMemFreeAsync", [address](Operation&) { return memory::release(address, "cuMemFreeAsync") ? 0 : static_cast<int>(CUDA_ERROR_INVALID_VALUE); });
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuMemHostAlloc(void** out, size_t bytes, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    uintptr_t a = 0;
    const Result r = allocate(&a, bytes, memory::Kind::Pinned, *call.context, "cuMemHostAlloc");
    if (out) *out = reinterpret_cast<void*>(a);
    return r;
}
CUDA_SIM_EXPORT Result cuMemAllocHost_v2(void** out, size_t bytes) { return cuMemHostAlloc(out, bytes, 0); }

CUDA_SIM_EXPORT Result cuMemFreeHost(void* p) {
    CUDA_SIM_CALL(CurrentContext);
    if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    queue::finish_all();
    return memory::release(reinterpret_cast<uintptr_t>(p), "cuMemFreeHost") ? static_cast<Result>(call.context->error) : CUDA_ERROR_INVALID_VALUE;
}

CUDA_SIM_EXPORT Result cuMemAllocManaged(uintptr_t* out, size_t bytes, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return allocate(out, bytes, memory::Kind::Managed, *call.context, "cuMemAllocManaged");
}

CUDA_SIM_EXPORT Result cuMemHostRegister_v2(void* p, size_t bytes, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(p && bytes, CUDA_ERROR_INVALID_VALUE);
    return memory::register_host(reinterpret_cast<uintptr_t>(p), bytes) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
}

CUDA_SIM_EXPORT Result cuMemHostUnregister(void* p) {
    CUDA_SIM_CALL(CurrentContext);
    queue::finish_all();
    return memory::unregister_host(reinterpret_cast<uintptr_t>(p)) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

CUDA_SIM_EXPORT Result cuMemHostGetDevicePointer_v2(uintptr_t* out, void* p, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && is_pinned(reinterpret_cast<uintptr_t>(p), 1), CUDA_ERROR_INVALID_VALUE);
    *out = reinterpret_cast<uintptr_t>(p);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuMemHostGetFlags(unsigned* flags, void* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(flags && is_pinned(reinterpret_cast<uintptr_t>(p), 1), CUDA_ERROR_INVALID_VALUE);
    *flags = 0;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuMemGetAddressRange_v2(uintptr_t* start, size_t* bytes, uintptr_t address) {
    CUDA_SIM_CALL(HealthyContext);
    const memory::Allocation* a = memory::find(address);
    CUDA_SIM_REQUIRE(a, CUDA_ERROR_NOT_FOUND);
    if (start) *start = a->start;
    if (bytes) *bytes = a->size;
    return CUDA_SUCCESS;
}

// ---- pools: one per device, with no memory of its own

static Pool* pool_of(int device) {
    static Pool pools[8];
    pools[device].device = device;
    driver::live<Pool>().insert(&pools[device]);
    return &pools[device];
}

CUDA_SIM_EXPORT Result cuDeviceGetDefaultMemPool(Pool** out, int device) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(device >= 0 && device < static_cast<int>(config().devices), CUDA_ERROR_INVALID_DEVICE);
    *out = pool_of(device);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuDeviceGetMemPool(Pool** out, int device) { return cuDeviceGetDefaultMemPool(out, device); }
CUDA_SIM_EXPORT Result cuDeviceSetMemPool(int device, Pool* pool) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(device >= 0 && device < static_cast<int>(config().devices), CUDA_ERROR_INVALID_DEVICE);
    return valid(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUDA_SIM_EXPORT Result cuMemPoolCreate(Pool** out, const void*) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    *out = new Pool{call.context->device, 0};
    driver::live<Pool>().insert(*out);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuMemPoolDestroy(Pool* pool) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(pool), CUDA_ERROR_INVALID_VALUE);
    driver::live<Pool>().erase(pool);
    if (pool != pool_of(pool->device)) delete pool;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuMemPoolGetAttribute(Pool* pool, int attribute, void* value) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(pool) && value, CUDA_ERROR_INVALID_VALUE);
    const uint64_t used = memory::used(pool->device);
    switch (attribute) {
        case 1: case 2: case 3: *static_cast<int*>(value) = 1; return CUDA_SUCCESS;
        case 4: *static_cast<uint64_t*>(value) = pool->release_threshold; return CUDA_SUCCESS;
        case 5: case 6: case 7: case 8: *static_cast<uint64_t*>(value) = used; return CUDA_SUCCESS;
        default: return CUDA_ERROR_INVALID_VALUE;
    }
}
CUDA_SIM_EXPORT Result cuMemPoolSetAttribute(Pool* pool, int attribute, void* value) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(pool) && value, CUDA_ERROR_INVALID_VALUE);
    if (attribute == 4) pool->release_threshold = *static_cast<uint64_t*>(value);
    return attribute >= 1 && attribute <= 8 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUDA_SIM_EXPORT Result cuMemPoolTrimTo(Pool* pool, size_t) {
    CUDA_SIM_CALL(Initialised);
    return valid(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUDA_SIM_EXPORT Result cuMemPoolSetAccess(Pool* pool, const void*, size_t) {
    CUDA_SIM_CALL(Initialised);
    return valid(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUDA_SIM_EXPORT Result cuMemAllocFromPoolAsync(uintptr_t* out, size_t bytes, Pool* pool, Stream* stream) {
    {
        CUDA_SIM_CALL(HealthyContext);
        CUDA_SIM_REQUIRE(valid(pool), CUDA_ERROR_INVALID_VALUE);
    }
    return cuMemAllocAsync(out, bytes, stream);
}

// ---- copies

CUDA_SIM_EXPORT Result cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_now(linear(to, reinterpret_cast<uintptr_t>(from), bytes, true, false, "cuMemcpyHtoD"), *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_now(linear(reinterpret_cast<uintptr_t>(to), from, bytes, false, true, "cuMemcpyDtoH"), *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyDtoD_v2(uintptr_t to, uintptr_t from, size_t bytes) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_now(linear(to, from, bytes, true, true, "cuMemcpyDtoD"), *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpy(uintptr_t to, uintptr_t from, size_t bytes) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_now(linear(to, from, bytes, is_device(to), is_device(from), "cuMemcpy"), *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_later(linear(to, reinterpret_cast<uintptr_t>(from), bytes, true, false, "cuMemcpyHtoDAsync"), stream, *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_later(linear(reinterpret_cast<uintptr_t>(to), from, bytes, false, true, "cuMemcpyDtoHAsync"), stream, *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_later(linear(to, from, bytes, true, true, "cuMemcpyDtoDAsync"), stream, *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyAsync(uintptr_t to, uintptr_t from, size_t bytes, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    return copy_later(linear(to, from, bytes, is_device(to), is_device(from), "cuMemcpyAsync"), stream, *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpyPeerAsync(uintptr_t to, Context* to_context, uintptr_t from, Context* from_context, size_t bytes, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(to_context) && valid(from_context), CUDA_ERROR_INVALID_CONTEXT);
    return copy_later(linear(to, from, bytes, true, true, "cuMemcpyPeerAsync"), stream, *call.context);
}

static Result rectangle(const abi::Memcpy2D* d, const char* name, CopyCall& c) {
    CUDA_SIM_REQUIRE(d, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(d->from_type != abi::ARRAY && d->to_type != abi::ARRAY, CUDA_ERROR_NOT_SUPPORTED);
    const uintptr_t from = d->from_type == abi::HOST ? reinterpret_cast<uintptr_t>(d->from_host) : d->from_device;
    const uintptr_t to = d->to_type == abi::HOST ? reinterpret_cast<uintptr_t>(d->to_host) : d->to_device;
    c.from_pitch = d->from_pitch ? d->from_pitch : d->width;
    c.to_pitch = d->to_pitch ? d->to_pitch : d->width;
    c.from = from + d->from_y * c.from_pitch + d->from_x;
    c.to = to + d->to_y * c.to_pitch + d->to_x;
    c.width = d->width;
    c.height = d->height;
    c.from_device = d->from_type == abi::DEVICE || (d->from_type == abi::UNIFIED && is_device(from));
    c.to_device = d->to_type == abi::DEVICE || (d->to_type == abi::UNIFIED && is_device(to));
    c.call = name;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuMemcpy2D_v2(const abi::Memcpy2D* d) {
    CUDA_SIM_CALL(HealthyContext);
    CopyCall c;
    if (const Result r = rectangle(d, "cuMemcpy2D", c)) return r;
    return copy_now(std::move(c), *call.context);
}
CUDA_SIM_EXPORT Result cuMemcpy2DAsync_v2(const abi::Memcpy2D* d, Stream* stream) {
    CUDA_SIM_CALL(HealthyContext);
    CopyCall c;
    if (const Result r = rectangle(d, "cuMemcpy2DAsync", c)) return r;
    return copy_later(std::move(c), stream, *call.context);
}

// ---- fills

#define FILL(name, element, T)                                                                                        \
    CUDA_SIM_EXPORT Result name##Async(uintptr_t to, T value, size_t count, Stream* stream) {                         \
        CUDA_SIM_CALL(HealthyContext);                                                                                \
        return fill(to, count, element, value, stream, *call.context, #name "Async");                                 \
    }                                                                                                                 \
    CUDA_SIM_EXPORT Result name##_v2(uintptr_t to, T value, size_t count) {                                           \
        CUDA_SIM_CALL(HealthyContext);                                                                                \
        if (capture_forbids()) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;                                             \
        return fill(to, count, element, value, nullptr, *call.context, #name);                                        \
    }
FILL(cuMemsetD8, 1, unsigned char)
FILL(cuMemsetD16, 2, unsigned short)
FILL(cuMemsetD32, 4, unsigned)

// ---- unified memory: hints, and who owns a pointer

CUDA_SIM_EXPORT Result cuMemAdvise_v2(uintptr_t, size_t, int, uint64_t) {
    CUDA_SIM_CALL(HealthyContext);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuMemPrefetchAsync_v2(uintptr_t, size_t, uint64_t, unsigned, Stream*) {
    CUDA_SIM_CALL(HealthyContext);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuStreamAttachMemAsync(Stream*, uintptr_t, size_t, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuPointerGetAttribute(void* value, int attribute, uintptr_t address) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
    const memory::Allocation* a = memory::find(address);
    const bool known = a || memory::registered(address, 1);
    CUDA_SIM_REQUIRE(known, CUDA_ERROR_INVALID_VALUE);
    switch (attribute) {
        case 1: *static_cast<Context**>(value) = call.context; return CUDA_SUCCESS;                                     // CONTEXT
        case 2: *static_cast<unsigned*>(value) = is_device(address) ? abi::DEVICE : abi::HOST; return CUDA_SUCCESS;     // MEMORY_TYPE
        case 3: case 4: *static_cast<uintptr_t*>(value) = address; return CUDA_SUCCESS;                                 // DEVICE_, HOST_POINTER
        case 7: *static_cast<uint64_t*>(value) = a ? a->number : 0; return CUDA_SUCCESS;                                // BUFFER_ID
        case 8: *static_cast<unsigned*>(value) = a && a->kind == memory::Kind::Managed; return CUDA_SUCCESS;            // IS_MANAGED
        case 9: *static_cast<int*>(value) = a ? a->device : call.context->device; return CUDA_SUCCESS;                  // DEVICE_ORDINAL
        case 11: *static_cast<uintptr_t*>(value) = a ? a->start : address; return CUDA_SUCCESS;                         // RANGE_START_ADDR
        case 12: *static_cast<size_t*>(value) = a ? a->size : 0; return CUDA_SUCCESS;                                   // RANGE_SIZE
        case 13: *static_cast<unsigned char*>(value) = 1; return CUDA_SUCCESS;                                          // MAPPED
        default: return CUDA_ERROR_NOT_SUPPORTED;
    }
}
