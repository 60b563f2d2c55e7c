// What handles of the driver stand for: contexts, streams, events, modules, functions, graphs, pools. Plain data; the
// calls in driver_*.cpp work on it under one lock.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grid.h"
#include "module.h"
#include "order.h"

struct Stream;
struct Capture;
struct Graph;
struct Node;

struct Context {
    int device = 0;
    bool primary = false;
    unsigned references = 0;
    int error = 0;                       // of a kernel: every later call returns it
    std::unique_ptr<Stream> legacy;      // the stream 0
    std::map<int, size_t> limits;
    unsigned flags = 0;
};

/// One piece of work of the device.
struct Operation {
    std::string name;
    Context* context = nullptr;
    uint32_t lane = 0;
    uint32_t number = 0;                                // from its start on
    std::function<int(Operation&)> work;                // a result code
    std::vector<std::shared_ptr<Operation>> after;      // until it starts
    std::vector<std::shared_ptr<Operation>> dependents; // until it ends
    unsigned missing = 0;                               // of `after`, not ended
    bool done = false;
    Order order;                                        // what is known to have ended before
    std::chrono::steady_clock::time_point ended;

    bool kernel = false;
    std::shared_ptr<Operation> early;    // the kernel that this one may overtake until it waits
    std::vector<uint32_t> in_flight;     // operations that may still run when this one starts
    bool early_trigger = false;
};
using OperationRef = std::shared_ptr<Operation>;

struct Stream {
    Context* context = nullptr;
    uint32_t lane = 0;
    bool blocking = true;                // ordered with the legacy stream
    int priority = 0;
    unsigned flags = 0;
    OperationRef tail;                   // the newest operation
    std::vector<OperationRef> waits;     // of the next operation: events
    std::shared_ptr<Capture> capture;
    std::vector<Node*> capture_tail;
};

struct Event {
    Context* context = nullptr;
    unsigned flags = 0;
    OperationRef recorded;
    std::shared_ptr<Capture> capture;    // recorded while capturing
    std::vector<Node*> nodes;
};

/// A launch as it was asked for, before it is run; graph nodes keep it.
struct KernelCall {
    struct Function* function = nullptr;
    Index3 grid{1, 1, 1}, block{1, 1, 1}, cluster{0, 0, 0};
    size_t dynamic_shared = 0;
    bool cooperative = false, dependent = false;
    std::vector<unsigned char> argument_bytes;
    std::vector<size_t> argument_offsets;
    std::vector<void*> argument_pointers;  // for cuGraphKernelNodeGetParams
};

/// A copy of `height` rows of `width` bytes.
struct CopyCall {
    uintptr_t to = 0, from = 0;
    size_t width = 0, height = 1, to_pitch = 0, from_pitch = 0;
    bool to_device = false, from_device = false;
    std::shared_ptr<std::vector<unsigned char>> staged;  // pageable memory is read when the call is made
    const char* call = "";
};

/// `count` elements of 1, 2 or 4 bytes.
struct FillCall {
    uintptr_t to = 0;
    size_t count = 0;
    unsigned element = 1;
    uint32_t value = 0;
    const char* call = "";
};

struct HostCall {
    void (*function)(void*) = nullptr;
    void* data = nullptr;
};

struct Function {
    std::shared_ptr<Module> module;
    const KernelEntry* kernel = nullptr;
    size_t dynamic_limit = 48 << 10;     // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    bool large_clusters = false;
    void* owner = nullptr;               // the CUmodule
};

struct LoadedModule {
    Context* context = nullptr;
    std::shared_ptr<Module> module;
    std::map<std::string, std::unique_ptr<Function>> functions;
};

enum class NodeType : int { Kernel = 0, Copy = 1, Fill = 2, Host = 3, Empty = 5 };

struct Node {
    Graph* graph = nullptr;
    NodeType type = NodeType::Empty;
    std::vector<Node*> after;
    KernelCall kernel;
    CopyCall copy;
    FillCall fill;
    HostCall host;
};

struct Graph {
    Context* context = nullptr;
    std::vector<std::unique_ptr<Node>> nodes;  // in the order they were added
};

struct GraphExec {
    Context* context = nullptr;
    Graph graph;
    std::map<const Node*, Node*> of_source;   // nodes of the graph it was made from
    std::vector<uint32_t> lanes;              // of each node
    uint64_t flags = 0;
    OperationRef last;                        // launches of one exec do not overlap
};

/// A capture in progress, shared by the streams it reached.
struct Capture {
    std::unique_ptr<Graph> graph = std::make_unique<Graph>();
    Stream* origin = nullptr;
    std::vector<Stream*> streams;
    int mode = 0;                             // 0 global, 1 of this thread, 2 relaxed
    uint64_t id = 0;
    bool invalidated = false;
    bool ended = false;                       // events may still name it
};

struct Pool {
    int device = 0;
    uint64_t release_threshold = 0;
};
