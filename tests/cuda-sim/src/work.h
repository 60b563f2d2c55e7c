// What operations do when they run: launches, copies, fills, and the checks that belong to them.
#pragma once
#include "objects.h"

/// The device's limits, per compute capability.
struct DeviceLimits {
    unsigned threads_per_sm, blocks_per_sm;
    size_t shared_per_sm, shared_per_block;  // shared_per_block: with opt-in, static and dynamic
};
const DeviceLimits& device_limits();
constexpr unsigned REGISTERS_PER_SM = 65536;
constexpr size_t RESERVED_SHARED = 1024;  // per block, by the driver

/// Static shared memory of a kernel.
size_t static_shared(const Function& function);
/// Threads that a block of this kernel may have.
unsigned max_threads(const Function& function);
/// Blocks of this kernel that fit on one multiprocessor.
unsigned blocks_per_sm(const Function& function, uint64_t threads, size_t dynamic_shared);

/// A result code; findings are reported with the reason.
int check(const KernelCall& call);
int check(const CopyCall& call);
int check(const FillCall& call);

std::string describe(const KernelCall& call);
int run(const KernelCall& call, Operation& operation);
int run(const CopyCall& call, Operation& operation);
int run(const FillCall& call, Operation& operation);
