// A compiled kernel file in this process: a shared object made by libnvrtc's stand-in, its kernels, and the way back
// from an instruction to the source.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel.h"
#include "stamp.h"

struct Module {
    ~Module();
    Module() = default;
    Module(const Module&) = delete;

    std::string path;             // as the loader knows it
    int file = -1;                // keeps the image alive for `source`
    void* handle = nullptr;
    const KernelEntry* kernels = nullptr;  // ends with a null name
    uintptr_t image = 0;          // load address
    uintptr_t image_end = 0;
    size_t shared_bytes = 0;      // static shared memory of the whole file
    size_t storage = 0;           // the loader's number for it

    /// Null when there is no such kernel.
    const KernelEntry* kernel(const char* name) const;
    /// The static shared memory of the block that the calling thread runs.
    void* thread_storage() const;
    /// "kernels/norm.cu:42 in row_sum, called from kernels/norm.cu:60 in norm"
    std::string source(uint32_t code) const;
};

/// What ptxas said of a kernel, from the table at CUDA_SIM_LIMITS.
struct Resources {
    bool known = false;
    unsigned registers = 0;  // of a thread
    size_t shared = 0;       // static
};
Resources resources(const std::string& kernel);

enum class LoadError { None, NotSimulated, WrongMode, Broken };
/// Loads an image given as bytes (a "cubin") or as the text that stands for PTX.
LoadError load(const void* image, std::shared_ptr<Module>& out, std::string& why);
LoadError load_file(const std::string& path, std::shared_ptr<Module>& out, std::string& why);
