// The part of device/cuda_sim.h that the simulator and compiled kernel files share: the table of kernels. Kept equal to
// the device side by the stamp of compiled modules, which covers both files.
#pragma once

struct KernelBounds {
    unsigned a, b, c;
};
struct KernelEntry {
    const char* name;
    void (*call)(void* const* arguments);
    unsigned parameters;
    const unsigned* sizes;
    const unsigned* alignments;
    KernelBounds launch, cluster;  // __launch_bounds__(threads, blocks), __cluster_dims__(x, y, z); 0: not given
};

/// A place in the source.
namespace cuda_sim {
struct Site {
    const char* file;
    int line;
    bool operator==(const Site& o) const;
};
}  // namespace cuda_sim
using cuda_sim::Site;

struct uint3 {
    unsigned x, y, z;
    unsigned long long count() const { return static_cast<unsigned long long>(x) * y * z; }
};
using Index3 = uint3;
