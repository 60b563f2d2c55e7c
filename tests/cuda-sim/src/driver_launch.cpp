// Calls of the driver: modules, functions, launches, occupancy.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "abi.h"
#include "config.h"
#include "driver.h"
#include "queue.h"
#include "report.h"
#include "work.h"

namespace driver {

Result arguments(KernelCall& call, void** parameters, void** extra) {
    const KernelEntry& k = *call.function->kernel;
    size_t offset = 0;
    call.argument_offsets.clear();
    for (unsigned i = 0; i < k.parameters; ++i) {
        offset = (offset + k.alignments[i] - 1) / k.alignments[i] * k.alignments[i];
        call.argument_offsets.push_back(offset);
        offset += k.sizes[i];
    }
    call.argument_bytes.assign(offset + 16, 0);  // room to align the block itself
    const auto refuse = [&](const std::string& why) {
        Report("launch refused").row("why", why).row("kernel", describe(call)).emit();
        return CUDA_ERROR_INVALID_VALUE;
    };
    if (extra) {
        const void* from = nullptr;
        size_t bytes = 0;
        for (void** e = extra; reinterpret_cast<uintptr_t>(*e) != abi::PARAM_END; e += 2) {
            if (reinterpret_cast<uintptr_t>(*e) == abi::PARAM_POINTER) from = e[1];
            if (reinterpret_cast<uintptr_t>(*e) == abi::PARAM_SIZE) bytes = *static_cast<size_t*>(e[1]);
        }
        if (bytes < offset || (offset && !from)) return refuse(format("%zu bytes of arguments, the kernel takes %zu", bytes, offset));
        std::memcpy(call.argument_bytes.data(), from, offset);
        return CUDA_SUCCESS;
    }
    if (k.parameters && !parameters) return refuse(format("no arguments, the kernel takes %u", k.parameters));
    for (unsigned i = 0; i < k.parameters; ++i) {
        if (!parameters[i]) return refuse(format("argument %u is a null pointer", i));
        std::memcpy(call.argument_bytes.data() + call.argument_offsets[i], parameters[i], k.sizes[i]);
    }
    return CUDA_SUCCESS;
}

}  // namespace driver

using driver::Call;
using driver::live;
using driver::stream_of;
using driver::submit;
using driver::valid;

namespace {

Result loaded(LoadError e, const std::shared_ptr<Module>& module, const std::string& why, Context& context, LoadedModule** out) {
    if (e != LoadError::None) {
        Report("module refused").row("why", why).emit();
        switch (e) {
            case LoadError::NotSimulated: return CUDA_ERROR_NO_BINARY_FOR_GPU;
            default: return CUDA_ERROR_INVALID_IMAGE;
        }
    }
    *out = new LoadedModule;
    (*out)->context = &context;
    (*out)->module = module;
    live<LoadedModule>().insert(*out);
    return CUDA_SUCCESS;
}

Result launch(Function* f, const unsigned* grid, const unsigned* block, unsigned shared, Stream* handle, void** parameters, void** extra, bool cooperative, const abi::LaunchAttribute* attributes, unsigned count) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    KernelCall k;
    k.function = f;
    k.grid = {grid[0], grid[1], grid[2]};
    k.block = {block[0], block[1], block[2]};
    k.dynamic_shared = shared;
    k.cooperative = cooperative;
    for (unsigned i = 0; i < count; ++i) {
        const abi::LaunchAttribute& a = attributes[i];
        switch (a.id) {
            case abi::COOPERATIVE: k.cooperative = a.value.flag != 0; break;
            case abi::CLUSTER_DIMENSION: k.cluster = {a.value.cluster.x, a.value.cluster.y, a.value.cluster.z}; break;
            case abi::PROGRAMMATIC_STREAM_SERIALIZATION: k.dependent = a.value.flag != 0; break;
            // These change how fast a device is, not what it does.
            case abi::IGNORE: case abi::ACCESS_POLICY_WINDOW: case abi::SYNCHRONIZATION_POLICY: case abi::CLUSTER_SCHEDULING: case abi::PRIORITY:
            case abi::MEM_SYNC_DOMAIN_MAP: case abi::MEM_SYNC_DOMAIN: case abi::PREFERRED_CLUSTER_DIMENSION: case abi::SHARED_MEMORY_CARVEOUT: break;
            default:
                Report("launch refused").row("why", "the simulator does not know launch attribute %u", a.id).emit();
                return CUDA_ERROR_NOT_SUPPORTED;
        }
    }
    if (const Result r = driver::arguments(k, parameters, extra)) return r;
    return submit(s, std::move(k));
}

}  // namespace

// ---- modules

CUDA_SIM_EXPORT Result cuModuleLoadData(LoadedModule** out, const void* image) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && image, CUDA_ERROR_INVALID_VALUE);
    std::shared_ptr<Module> m;
    std::string why;
    const LoadError e = load(image, m, why);
    return loaded(e, m, why, *call.context, out);
}
CUDA_SIM_EXPORT Result cuModuleLoadDataEx(LoadedModule** out, const void* image, unsigned, int*, void**) { return cuModuleLoadData(out, image); }
CUDA_SIM_EXPORT Result cuModuleLoadFatBinary(LoadedModule** out, const void* image) { return cuModuleLoadData(out, image); }

CUDA_SIM_EXPORT Result cuModuleLoad(LoadedModule** out, const char* path) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && path, CUDA_ERROR_INVALID_VALUE);
    if (!std::ifstream(path)) return CUDA_ERROR_FILE_NOT_FOUND;
    std::shared_ptr<Module> m;
    std::string why;
    const LoadError e = load_file(path, m, why);
    return loaded(e, m, why, *call.context, out);
}

CUDA_SIM_EXPORT Result cuModuleUnload(LoadedModule* m) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(m), CUDA_ERROR_INVALID_HANDLE);
    if (live<Context>().count(m->context) && m->context->error == 0) queue::finish_all();
    for (auto& [name, f] : m->functions) live<Function>().erase(f.get());
    live<LoadedModule>().erase(m);
    delete m;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuModuleGetFunction(Function** out, LoadedModule* m, const char* name) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && name, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(m), CUDA_ERROR_INVALID_HANDLE);
    std::unique_ptr<Function>& f = m->functions[name];
    if (!f) {
        const KernelEntry* k = m->module->kernel(name);
        if (!k) {
            m->functions.erase(name);
            return CUDA_ERROR_NOT_FOUND;
        }
        f = std::make_unique<Function>();
        f->module = m->module;
        f->kernel = k;
        f->owner = m;
        live<Function>().insert(f.get());
    }
    *out = f.get();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuModuleGetFunctionCount(unsigned* count, LoadedModule* m) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(count, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(m), CUDA_ERROR_INVALID_HANDLE);
    *count = 0;
    for (const KernelEntry* k = m->module->kernels; k->name; ++k) ++*count;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuModuleGetGlobal_v2(uintptr_t*, size_t*, LoadedModule* m, const char* name) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(m), CUDA_ERROR_INVALID_HANDLE);
    // Its size is not known here, and copies to it could not be checked.
    Report("variables of modules cannot be reached").row("what", "cuModuleGetGlobal of %s: pass a pointer to memory instead", name ? name : "(null)").emit();
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUDA_SIM_EXPORT Result cuModuleGetLoadingMode(int* mode) {
    CUDA_SIM_REQUIRE(mode, CUDA_ERROR_INVALID_VALUE);
    *mode = 1;  // eager
    return CUDA_SUCCESS;
}

// ---- functions

CUDA_SIM_EXPORT Result cuFuncGetAttribute(int* value, int attribute, Function* f) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(value, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    switch (attribute) {
        case 0: *value = static_cast<int>(max_threads(*f)); return CUDA_SUCCESS;
        case 1: *value = static_cast<int>(static_shared(*f)); return CUDA_SUCCESS;
        case 2: case 3: *value = 0; return CUDA_SUCCESS;  // constant, local bytes
        case 4: *value = static_cast<int>(resources(f->kernel->name).registers); return CUDA_SUCCESS;
        case 5: case 6: *value = static_cast<int>(config().arch); return CUDA_SUCCESS;
        case 7: *value = 0; return CUDA_SUCCESS;
        case 8: *value = static_cast<int>(f->dynamic_limit); return CUDA_SUCCESS;
        case 9: *value = -1; return CUDA_SUCCESS;
        case 10: *value = f->kernel->cluster.a != 0; return CUDA_SUCCESS;
        case 11: *value = static_cast<int>(f->kernel->cluster.a); return CUDA_SUCCESS;
        case 12: *value = static_cast<int>(f->kernel->cluster.b); return CUDA_SUCCESS;
        case 13: *value = static_cast<int>(f->kernel->cluster.c); return CUDA_SUCCESS;
        case 14: *value = f->large_clusters; return CUDA_SUCCESS;
        case 15: *value = 0; return CUDA_SUCCESS;
        default: return CUDA_ERROR_INVALID_VALUE;
    }
}

CUDA_SIM_EXPORT Result cuFuncSetAttribute(Function* f, int attribute, int value) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    if (attribute == 8) {
        const size_t most = device_limits().shared_per_block - std::min(device_limits().shared_per_block, static_shared(*f));
        if (value < 0 || static_cast<size_t>(value) > most) {
            Report("launch refused").row("why", "%d bytes of dynamic shared memory for %s, which may have %zu", value, f->kernel->name, most).emit();
            return CUDA_ERROR_INVALID_VALUE;
        }
        f->dynamic_limit = static_cast<size_t>(value);
        return CUDA_SUCCESS;
    }
    if (attribute == 14) {
        f->large_clusters = value != 0;
        return CUDA_SUCCESS;
    }
    return attribute == 9 || attribute == 15 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUDA_SIM_EXPORT Result cuFuncSetCacheConfig(Function* f, int) {
    CUDA_SIM_CALL(HealthyContext);
    return valid(f) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
CUDA_SIM_EXPORT Result cuFuncGetModule(LoadedModule** out, Function* f) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    *out = static_cast<LoadedModule*>(f->owner);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuFuncGetName(const char** name, Function* f) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    *name = f->kernel->name;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuFuncGetParamInfo(Function* f, size_t index, size_t* offset, size_t* size) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    const KernelEntry& k = *f->kernel;
    CUDA_SIM_REQUIRE(index < k.parameters && offset, CUDA_ERROR_INVALID_VALUE);
    *offset = 0;
    for (size_t i = 0; i <= index; ++i) {
        *offset = (*offset + k.alignments[i] - 1) / k.alignments[i] * k.alignments[i];
        if (i < index) *offset += k.sizes[i];
    }
    if (size) *size = k.sizes[index];
    return CUDA_SUCCESS;
}

// ---- launches

CUDA_SIM_EXPORT Result cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream* s, void** parameters, void** extra) {
    const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    return launch(f, grid, block, shared, s, parameters, extra, false, nullptr, 0);
}
CUDA_SIM_EXPORT Result cuLaunchCooperativeKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream* s, void** parameters) {
    const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    return launch(f, grid, block, shared, s, parameters, nullptr, true, nullptr, 0);
}
CUDA_SIM_EXPORT Result cuLaunchKernelEx(const abi::LaunchConfig* c, Function* f, void** parameters, void** extra) {
    CUDA_SIM_REQUIRE(c, CUDA_ERROR_INVALID_VALUE);
    return launch(f, c->grid, c->block, c->shared, c->stream, parameters, extra, false, c->attributes, c->count);
}

// ---- occupancy

CUDA_SIM_EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function* f, int threads, size_t dynamic) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(blocks && threads > 0 && threads <= 1024, CUDA_ERROR_INVALID_VALUE);
    *blocks = static_cast<unsigned>(threads) > max_threads(*f) ? 0 : static_cast<int>(blocks_per_sm(*f, static_cast<uint64_t>(threads), dynamic));
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, Function* f, int threads, size_t dynamic, unsigned) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, dynamic);
}
CUDA_SIM_EXPORT Result cuOccupancyMaxPotentialBlockSize(int* grid, int* block, Function* f, size_t (*dynamic_of)(int), size_t dynamic, int limit) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(grid && block, CUDA_ERROR_INVALID_VALUE);
    unsigned best = 0;
    const int most = std::min<int>(limit > 0 ? limit : 1024, static_cast<int>(max_threads(*f)));
    for (int threads = most / 32 * 32; threads > 0; threads -= 32) {
        const unsigned n = blocks_per_sm(*f, static_cast<uint64_t>(threads), dynamic_of ? dynamic_of(threads) : dynamic);
        if (n * static_cast<unsigned>(threads) > best) {
            best = n * static_cast<unsigned>(threads);
            *block = threads;
            *grid = static_cast<int>(n * config().sms);
        }
    }
    return best ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}
CUDA_SIM_EXPORT Result cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, Function* f, size_t (*dynamic_of)(int), size_t dynamic, int limit, unsigned) {
    return cuOccupancyMaxPotentialBlockSize(grid, block, f, dynamic_of, dynamic, limit);
}
CUDA_SIM_EXPORT Result cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, Function* f, int blocks, int threads) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f), CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(bytes && blocks > 0 && threads > 0, CUDA_ERROR_INVALID_VALUE);
    const size_t each = device_limits().shared_per_sm / static_cast<size_t>(blocks), used = static_shared(*f) + RESERVED_SHARED;
    *bytes = std::min(each > used ? each - used : 0, device_limits().shared_per_block - std::min(device_limits().shared_per_block, static_shared(*f)));
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuOccupancyMaxPotentialClusterSize(int* size, Function* f, const abi::LaunchConfig*) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f) && size, CUDA_ERROR_INVALID_HANDLE);
    *size = config().arch >= 90 ? (f->large_clusters ? 16 : 8) : 1;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuOccupancyMaxActiveClusters(int* clusters, Function* f, const abi::LaunchConfig* c) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(f) && clusters && c, CUDA_ERROR_INVALID_HANDLE);
    unsigned size = 1;
    for (unsigned i = 0; i < c->count; ++i) {
        if (c->attributes[i].id == abi::CLUSTER_DIMENSION) size = c->attributes[i].value.cluster.x * c->attributes[i].value.cluster.y * c->attributes[i].value.cluster.z;
    }
    *clusters = static_cast<int>(blocks_per_sm(*f, static_cast<uint64_t>(c->block[0]) * c->block[1] * c->block[2], c->shared) * config().sms / std::max(1u, size));
    return CUDA_SUCCESS;
}
