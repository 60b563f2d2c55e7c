// The host side of the self-test: the driver API with plain handles, and a device with its buffers and launches in one
// object. A failed call does not stop a case; the first error is kept, as a program would see it.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
struct LaunchAttribute {
    unsigned id;
    char pad[4];
    union {
        char bytes[64];
        int flag;
        unsigned cluster[3];
    } value;
};
struct LaunchConfig {
    unsigned grid[3], block[3], shared;
    void* stream;
    LaunchAttribute* attributes;
    unsigned count;
};
struct KernelNodeParams {
    void* function;
    unsigned grid[3], block[3], shared;
    void** arguments;
    void** extra;
    void *kernel, *context;
};
int cuInit(unsigned);
int cuDeviceGetCount(int*);
int cuDeviceGetAttribute(int*, int, int);
int cuDevicePrimaryCtxRetain(void**, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(void*);
int cuCtxSynchronize();
int cuGetErrorName(int, const char**);
int cuGetProcAddress_v2(const char*, void**, int, uint64_t, int*);
int cuMemGetInfo_v2(size_t*, size_t*);
int cuMemAlloc_v2(uintptr_t*, size_t);
int cuMemFree_v2(uintptr_t);
int cuMemAllocAsync(uintptr_t*, size_t, void*);
int cuMemFreeAsync(uintptr_t, void*);
int cuMemHostAlloc(void**, size_t, unsigned);
int cuMemFreeHost(void*);
int cuMemHostRegister_v2(void*, size_t, unsigned);
int cuMemHostUnregister(void*);
int cuMemcpyHtoD_v2(uintptr_t, const void*, size_t);
int cuMemcpyDtoH_v2(void*, uintptr_t, size_t);
int cuMemcpyHtoDAsync_v2(uintptr_t, const void*, size_t, void*);
int cuMemcpyDtoHAsync_v2(void*, uintptr_t, size_t, void*);
int cuMemcpyDtoDAsync_v2(uintptr_t, uintptr_t, size_t, void*);
int cuMemsetD8Async(uintptr_t, unsigned char, size_t, void*);
int cuMemsetD32Async(uintptr_t, unsigned, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamDestroy_v2(void*);
int cuStreamSynchronize(void*);
int cuStreamQuery(void*);
int cuStreamWaitEvent(void*, void*, unsigned);
int cuStreamBeginCapture_v2(void*, int);
int cuStreamEndCapture(void*, void**);
int cuEventCreate(void**, unsigned);
int cuEventDestroy_v2(void*);
int cuEventRecord(void*, void*);
int cuEventQuery(void*);
int cuEventSynchronize(void*);
int cuEventElapsedTime_v2(float*, void*, void*);
int cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
int cuGraphDestroy(void*);
int cuGraphExecDestroy(void*);
int cuGraphLaunch(void*, void*);
int cuGraphGetNodes(void*, void**, size_t*);
int cuGraphNodeGetType(void*, int*);
int cuGraphKernelNodeGetParams_v2(void*, KernelNodeParams*);
int cuGraphExecKernelNodeSetParams_v2(void*, void*, const KernelNodeParams*);
int cuGraphExecUpdate_v2(void*, void*, void*);
int cuModuleLoadData(void**, const void*);
int cuModuleUnload(void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuFuncGetAttribute(int*, int, void*);
int cuFuncSetAttribute(void*, int, int);
int cuLaunchKernelEx(const LaunchConfig*, void*, void**, void**);
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int*, void*, int, size_t);
int nvrtcVersion(int*, int*);
int nvrtcCreateProgram(void**, const char*, const char*, int, const char* const*, const char* const*);
int nvrtcDestroyProgram(void**);
int nvrtcCompileProgram(void*, int, const char* const*);
int nvrtcGetProgramLogSize(void*, size_t*);
int nvrtcGetProgramLog(void*, char*);
int nvrtcGetCUBINSize(void*, size_t*);
int nvrtcGetCUBIN(void*, char*);
int nvrtcGetPTXSize(void*, size_t*);
int nvrtcGetPTX(void*, char*);
}

inline std::string read_text(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    std::stringstream s;
    s << f.rdbuf();
    return s.str();
}

/// The folders of the repository that hold kernels: `selftest` and `kernels`.
struct Sources {
    std::string selftest, kernels;
};
extern Sources sources;

/// A compile by NVRTC's calls, with ptx.cuh from memory. 0 or the first error; `log` in any case.
inline int compile(const std::string& source, const std::string& name, std::vector<char>& cubin, std::string& log, std::vector<std::string> options = {}) {
    const std::string header = read_text(sources.kernels + "/ptx.cuh");
    const char *text = header.c_str(), *header_name = "ptx.cuh";
    void* program = nullptr;
    int r = nvrtcCreateProgram(&program, source.c_str(), name.c_str(), 1, &text, &header_name);
    if (r) return r;
    options.insert(options.begin(), {"--gpu-architecture=sm_90", "--std=c++17", "--fmad=false"});
    std::vector<const char*> pointers;
    for (const std::string& o : options) pointers.push_back(o.c_str());
    r = nvrtcCompileProgram(program, static_cast<int>(pointers.size()), pointers.data());
    size_t n = 0;
    nvrtcGetProgramLogSize(program, &n);
    std::vector<char> words(n);
    nvrtcGetProgramLog(program, words.data());
    log = words.data();
    if (r == 0 && (r = nvrtcGetCUBINSize(program, &n)) == 0) {
        cubin.resize(n);
        r = nvrtcGetCUBIN(program, cubin.data());
    }
    nvrtcDestroyProgram(&program);
    return r;
}

struct Launch {
    unsigned grid = 1, block = 32, shared = 0;
    void* stream = nullptr;
    bool cooperative = false, dependent = false;
    unsigned cluster = 0;
};

class Device {
  public:
    Device() {
        keep(cuInit(0));
        keep(cuDevicePrimaryCtxRetain(&context_, 0));
        keep(cuCtxSetCurrent(context_));
    }
    ~Device() { close(); }
    void close() {
        if (!context_) return;
        for (uintptr_t p : buffers_) cuMemFree_v2(p);
        for (auto& [name, module] : modules_) cuModuleUnload(module);
        cuDevicePrimaryCtxRelease_v2(0);
        context_ = nullptr;
    }

    /// The first error that any call gave.
    int error = 0;
    int keep(int r) {
        if (r && !error) error = r;
        return r;
    }
    unsigned sms() {
        int n = 0;
        keep(cuDeviceGetAttribute(&n, 16, 0));
        return static_cast<unsigned>(n);
    }

    uintptr_t raw(size_t bytes) {
        uintptr_t p = 0;
        keep(cuMemAlloc_v2(&p, bytes));
        if (p) buffers_.push_back(p);
        return p;
    }
    template <class T>
    uintptr_t put(const std::vector<T>& v) {
        const uintptr_t p = raw(v.size() * sizeof(T));
        keep(cuMemcpyHtoD_v2(p, v.data(), v.size() * sizeof(T)));
        return p;
    }
    template <class T>
    uintptr_t zeros(size_t n) {
        return put(std::vector<T>(n));
    }
    template <class T>
    std::vector<T> get(uintptr_t p, size_t n) {
        std::vector<T> v(n);
        keep(cuMemcpyDtoH_v2(v.data(), p, n * sizeof(T)));
        return v;
    }
    void free(uintptr_t p) {
        keep(cuMemFree_v2(p));
        forget(p);
    }
    void forget(uintptr_t p) {
        for (size_t i = 0; i < buffers_.size(); ++i) {
            if (buffers_[i] == p) buffers_.erase(buffers_.begin() + static_cast<long>(i--));
        }
    }

    /// A kernel, by "file.cu:name"; the file lies in the self-test's folder.
    void* kernel(const std::string& which) {
        const size_t colon = which.find(':');
        const std::string file = which.substr(0, colon), name = which.substr(colon + 1);
        void*& module = modules_[file];
        if (!module) {
            std::vector<char> cubin;
            std::string log;
            const int r = compile(read_text(sources.selftest + "/" + file), file, cubin, log);
            if (r || !log.empty()) std::fprintf(stderr, "%s", log.c_str());
            if (keep(r) || keep(cuModuleLoadData(&module, cubin.data()))) return nullptr;
        }
        void* function = nullptr;
        keep(cuModuleGetFunction(&function, module, name.c_str()));
        return function;
    }

    template <class... A>
    int launch(void* function, const Launch& l, A... arguments) {
        void* pointers[] = {&arguments..., nullptr};
        LaunchAttribute attributes[3] = {};
        unsigned n = 0;
        if (l.cooperative) attributes[n].id = 2, attributes[n++].value.flag = 1;
        if (l.cluster) {
            attributes[n].id = 4;
            attributes[n].value.cluster[0] = l.cluster;
            attributes[n].value.cluster[1] = attributes[n].value.cluster[2] = 1;
            ++n;
        }
        if (l.dependent) attributes[n].id = 6, attributes[n++].value.flag = 1;
        const LaunchConfig c{{l.grid, 1, 1}, {l.block, 1, 1}, l.shared, l.stream, attributes, n};
        return keep(cuLaunchKernelEx(&c, function, pointers, nullptr));
    }
    template <class... A>
    int launch(const std::string& which, const Launch& l, A... arguments) {
        void* function = kernel(which);
        return function ? launch(function, l, arguments...) : error;
    }
    int sync() { return keep(cuCtxSynchronize()); }

  private:
    void* context_ = nullptr;
    std::vector<uintptr_t> buffers_;
    std::map<std::string, void*> modules_;
};
