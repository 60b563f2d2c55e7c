// Layouts and numbers of the CUDA 13.0 driver API that the calls exchange with their callers.
#pragma once
#include <cstddef>
#include <cstdint>

struct Stream;
struct Function;
struct Node;

namespace abi {

struct LaunchAttribute {
    uint32_t id;
    char pad[4];
    union {
        char bytes[64];
        int flag;
        struct {
            unsigned x, y, z;
        } cluster;
    } value;
};
enum LaunchAttributeId : uint32_t {
    IGNORE = 0,
    ACCESS_POLICY_WINDOW = 1,
    COOPERATIVE = 2,
    SYNCHRONIZATION_POLICY = 3,
    CLUSTER_DIMENSION = 4,
    CLUSTER_SCHEDULING = 5,
    PROGRAMMATIC_STREAM_SERIALIZATION = 6,
    PRIORITY = 8,
    MEM_SYNC_DOMAIN_MAP = 9,
    MEM_SYNC_DOMAIN = 10,
    PREFERRED_CLUSTER_DIMENSION = 11,
    SHARED_MEMORY_CARVEOUT = 14,
};

struct LaunchConfig {
    unsigned grid[3], block[3], shared;
    ::Stream* stream;
    LaunchAttribute* attributes;
    unsigned count;
};

struct KernelNodeParams {
    ::Function* function;
    unsigned grid[3], block[3], shared;
    void** arguments;
    void** extra;
    void* kernel;
    void* context;
};

struct MemsetNodeParams {
    uintptr_t to;
    size_t pitch;
    unsigned value, element;
    size_t width, height;
};

enum MemoryType : int { HOST = 1, DEVICE = 2, ARRAY = 3, UNIFIED = 4 };
struct Memcpy2D {
    size_t from_x, from_y;
    int from_type;
    const void* from_host;
    uintptr_t from_device;
    void* from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    int to_type;
    void* to_host;
    uintptr_t to_device;
    void* to_array;
    size_t to_pitch;
    size_t width, height;
};
struct Memcpy3D {
    size_t from_x, from_y, from_z, from_lod;
    int from_type;
    const void* from_host;
    uintptr_t from_device;
    void* from_array;
    void* reserved0;
    size_t from_pitch, from_height;
    size_t to_x, to_y, to_z, to_lod;
    int to_type;
    void* to_host;
    uintptr_t to_device;
    void* to_array;
    void* reserved1;
    size_t to_pitch, to_height;
    size_t width, height, depth;
};

struct HostNodeParams {
    void (*function)(void*);
    void* data;
};

struct GraphExecUpdateResult {
    uint32_t result;
    ::Node* error_node;
    ::Node* error_from;
};
struct EdgeData {
    unsigned char from_port, to_port, type, reserved[5];
};
struct GraphInstantiateParams {
    uint64_t flags;
    ::Stream* upload;
    ::Node* error_node;
    uint32_t result;
};

constexpr uintptr_t PARAM_END = 0, PARAM_POINTER = 1, PARAM_SIZE = 2;
inline ::Stream* const LEGACY = reinterpret_cast<::Stream*>(1);
inline ::Stream* const PER_THREAD = reinterpret_cast<::Stream*>(2);

}  // namespace abi
