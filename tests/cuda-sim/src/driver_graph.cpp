// Calls of the driver: graphs, their nodes, instantiation, update and launch.
#include <algorithm>
#include <cstring>

#include "abi.h"
#include "driver.h"
#include "queue.h"
#include "report.h"
#include "work.h"

using driver::Call;
using driver::live;
using driver::stream_of;
using driver::valid;

namespace {

/// A copy of a graph; `map` gives the copy of each node.
void copy(const Graph& from, Graph& to, std::map<const Node*, Node*>& map) {
    to.context = from.context;
    to.nodes.clear();
    map.clear();
    for (const auto& n : from.nodes) {
        auto& m = to.nodes.emplace_back(std::make_unique<Node>(*n));
        m->graph = &to;
        map[n.get()] = m.get();
    }
    for (auto& m : to.nodes) {
        for (Node*& before : m->after) before = map[before];
    }
}

/// The nodes with every dependency before its dependents; fewer than all when there is a cycle.
std::vector<Node*> sorted(const Graph& g) {
    std::vector<Node*> order;
    std::set<const Node*> placed;
    for (bool more = true; more;) {
        more = false;
        for (const auto& n : g.nodes) {
            if (placed.count(n.get())) continue;
            if (!std::all_of(n->after.begin(), n->after.end(), [&](Node* b) { return placed.count(b) > 0; })) continue;
            placed.insert(n.get());
            order.push_back(n.get());
            more = true;
        }
    }
    return order;
}

Node* find_node(Node* handle) {
    for (Graph* g : live<Graph>()) {
        for (const auto& n : g->nodes) {
            if (n.get() == handle) return handle;
        }
    }
    return nullptr;
}

Result add(Node** out, Graph* g, Node* const* after, size_t count, NodeType type, Node*& node) {
    CUDA_SIM_REQUIRE(out && (count == 0 || after), CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    for (size_t i = 0; i < count; ++i) CUDA_SIM_REQUIRE(find_node(after[i]) && after[i]->graph == g, CUDA_ERROR_INVALID_VALUE);
    auto& n = g->nodes.emplace_back(std::make_unique<Node>());
    n->graph = g;
    n->type = type;
    if (count) n->after.assign(after, after + count);
    *out = node = n.get();
    return CUDA_SUCCESS;
}

Result read(const abi::KernelNodeParams* p, KernelCall& k) {
    CUDA_SIM_REQUIRE(p, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(p->function), CUDA_ERROR_INVALID_HANDLE);
    k.function = p->function;
    k.grid = {p->grid[0], p->grid[1], p->grid[2]};
    k.block = {p->block[0], p->block[1], p->block[2]};
    k.dynamic_shared = p->shared;
    if (const Result r = driver::arguments(k, p->arguments, p->extra)) return r;
    return static_cast<Result>(check(k));
}

int execute(const Node& n, Operation& op) {
    switch (n.type) {
        case NodeType::Kernel: return run(n.kernel, op);
        case NodeType::Copy: return run(n.copy, op);
        case NodeType::Fill: return run(n.fill, op);
        case NodeType::Host: return n.host.function(n.host.data), 0;
        case NodeType::Empty: return 0;
    }
    return CUDA_ERROR_UNKNOWN;
}

std::string name(const Node& n) {
    switch (n.type) {
        case NodeType::Kernel: return describe(n.kernel) + " of a graph";
        case NodeType::Copy: return "copy node of a graph";
        case NodeType::Fill: return "fill node of a graph";
        case NodeType::Host: return "host node of a graph";
        case NodeType::Empty: break;
    }
    return "empty node of a graph";
}

Result instantiate(GraphExec** out, Graph* g, uint64_t flags) {
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    if (sorted(*g).size() != g->nodes.size()) return CUDA_ERROR_INVALID_VALUE;
    auto* e = new GraphExec;
    e->context = g->context;
    e->flags = flags;
    copy(*g, e->graph, e->of_source);
    // A chain of nodes is one lane; a branch begins a new one.
    std::set<uint32_t> continued;
    std::map<const Node*, uint32_t> lane_of_node;
    for (Node* n : sorted(e->graph)) {
        uint32_t lane = 0;
        bool found = false;
        for (Node* before : n->after) {
            const uint32_t l = lane_of_node[before];
            bool is_end = true;
            for (const auto& [other, its] : lane_of_node) {
                if (its == l && other != before && std::find(other->after.begin(), other->after.end(), before) != other->after.end()) is_end = false;
            }
            if (!found && is_end) lane = l, found = true;
        }
        lane_of_node[n] = found ? lane : new_lane();
    }
    for (const auto& n : e->graph.nodes) e->lanes.push_back(lane_of_node[n.get()]);
    live<GraphExec>().insert(e);
    *out = e;
    return CUDA_SUCCESS;
}

/// Whether two nodes differ in what an update may change only.
bool same_shape(const Node& a, const Node& b) {
    if (a.type != b.type || a.after.size() != b.after.size()) return false;
    if (a.type == NodeType::Kernel) return a.kernel.cooperative == b.kernel.cooperative;
    return true;
}

}  // namespace

// ---- graphs

CUDA_SIM_EXPORT Result cuGraphCreate(Graph** out, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    *out = new Graph;
    (*out)->context = call.context;
    live<Graph>().insert(*out);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphDestroy(Graph* g) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    live<Graph>().erase(g);
    delete g;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphClone(Graph** out, Graph* g) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    std::map<const Node*, Node*> map;
    *out = new Graph;
    copy(*g, **out, map);
    live<Graph>().insert(*out);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphGetNodes(Graph* g, Node** nodes, size_t* count) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(count, CUDA_ERROR_INVALID_VALUE);
    const size_t room = nodes ? *count : 0;
    for (size_t i = 0; i < room; ++i) nodes[i] = i < g->nodes.size() ? g->nodes[i].get() : nullptr;
    *count = nodes ? std::min(room, g->nodes.size()) : g->nodes.size();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphGetEdges_v2(Graph* g, Node** from, Node** to, abi::EdgeData* data, size_t* count) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(count, CUDA_ERROR_INVALID_VALUE);
    size_t n = 0;
    for (const auto& node : g->nodes) {
        for (Node* before : node->after) {
            if (from && to && n < *count) {
                from[n] = before;
                to[n] = node.get();
                // Type 1: a dependent launch that may start early.
                if (data) data[n] = {}, data[n].type = node->type == NodeType::Kernel && node->kernel.dependent && before->type == NodeType::Kernel;
            }
            ++n;
        }
    }
    *count = n;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuGraphGetEdges(Graph* g, Node** from, Node** to, size_t* count) { return cuGraphGetEdges_v2(g, from, to, nullptr, count); }

// ---- nodes

CUDA_SIM_EXPORT Result cuGraphNodeGetType(Node* n, int* type) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n) && type, CUDA_ERROR_INVALID_HANDLE);
    *type = static_cast<int>(n->type);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphNodeGetDependencies(Node* n, Node** after, size_t* count) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n) && count, CUDA_ERROR_INVALID_HANDLE);
    const size_t room = after ? *count : 0;
    for (size_t i = 0; i < room; ++i) after[i] = i < n->after.size() ? n->after[i] : nullptr;
    *count = n->after.size();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphAddDependencies_v2(Graph* g, Node* const* from, Node* const* to, const abi::EdgeData*, size_t count) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(g), CUDA_ERROR_INVALID_HANDLE);
    for (size_t i = 0; i < count; ++i) {
        CUDA_SIM_REQUIRE(find_node(from[i]) && find_node(to[i]), CUDA_ERROR_INVALID_VALUE);
        to[i]->after.push_back(from[i]);
    }
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuGraphAddDependencies(Graph* g, Node* const* from, Node* const* to, size_t count) { return cuGraphAddDependencies_v2(g, from, to, nullptr, count); }

CUDA_SIM_EXPORT Result cuGraphDestroyNode(Node* n) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n), CUDA_ERROR_INVALID_HANDLE);
    auto& all = n->graph->nodes;
    for (auto& o : all) o->after.erase(std::remove(o->after.begin(), o->after.end(), n), o->after.end());
    all.erase(std::find_if(all.begin(), all.end(), [&](auto& o) { return o.get() == n; }));
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphAddEmptyNode(Node** out, Graph* g, Node* const* after, size_t count) {
    CUDA_SIM_CALL(HealthyContext);
    Node* n;
    return add(out, g, after, count, NodeType::Empty, n);
}

CUDA_SIM_EXPORT Result cuGraphAddKernelNode_v2(Node** out, Graph* g, Node* const* after, size_t count, const abi::KernelNodeParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    KernelCall k;
    if (const Result r = read(p, k)) return r;
    Node* n;
    if (const Result r = add(out, g, after, count, NodeType::Kernel, n)) return r;
    n->kernel = std::move(k);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphKernelNodeGetParams_v2(Node* n, abi::KernelNodeParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n) && n->type == NodeType::Kernel && p, CUDA_ERROR_INVALID_HANDLE);
    KernelCall& k = n->kernel;
    *p = {};
    p->function = k.function;
    p->grid[0] = k.grid.x, p->grid[1] = k.grid.y, p->grid[2] = k.grid.z;
    p->block[0] = k.block.x, p->block[1] = k.block.y, p->block[2] = k.block.z;
    p->shared = static_cast<unsigned>(k.dynamic_shared);
    k.argument_pointers.clear();
    for (size_t offset : k.argument_offsets) k.argument_pointers.push_back(k.argument_bytes.data() + offset);
    p->arguments = k.argument_pointers.data();
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphKernelNodeSetParams_v2(Node* n, const abi::KernelNodeParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n) && n->type == NodeType::Kernel, CUDA_ERROR_INVALID_HANDLE);
    KernelCall k = n->kernel;
    if (const Result r = read(p, k)) return r;
    n->kernel = std::move(k);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphKernelNodeSetAttribute(Node* n, uint32_t id, const void* value) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(find_node(n) && n->type == NodeType::Kernel && value, CUDA_ERROR_INVALID_HANDLE);
    abi::LaunchAttribute a{};
    std::memcpy(&a.value, value, sizeof a.value);
    KernelCall k = n->kernel;
    switch (id) {
        case abi::COOPERATIVE: k.cooperative = a.value.flag != 0; break;
        case abi::CLUSTER_DIMENSION: k.cluster = {a.value.cluster.x, a.value.cluster.y, a.value.cluster.z}; break;
        case abi::PRIORITY: case abi::ACCESS_POLICY_WINDOW: break;
        default: return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (const int e = check(k)) return static_cast<Result>(e);
    n->kernel = std::move(k);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphAddMemsetNode(Node** out, Graph* g, Node* const* after, size_t count, const abi::MemsetNodeParams* p, Context*) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(p && p->height <= 1 && (p->element == 1 || p->element == 2 || p->element == 4), CUDA_ERROR_NOT_SUPPORTED);
    FillCall f;
    f.to = p->to;
    f.count = p->width;
    f.element = p->element;
    f.value = p->value;
    f.call = "cuGraphAddMemsetNode";
    if (const int e = check(f)) return static_cast<Result>(e);
    Node* n;
    if (const Result r = add(out, g, after, count, NodeType::Fill, n)) return r;
    n->fill = f;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphAddMemcpyNode(Node** out, Graph* g, Node* const* after, size_t count, const abi::Memcpy3D* p, Context*) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(p && p->depth <= 1 && p->from_type != abi::ARRAY && p->to_type != abi::ARRAY && !p->from_z && !p->to_z, CUDA_ERROR_NOT_SUPPORTED);
    CopyCall c;
    c.from_pitch = p->from_pitch ? p->from_pitch : p->width;
    c.to_pitch = p->to_pitch ? p->to_pitch : p->width;
    c.from = (p->from_type == abi::HOST ? reinterpret_cast<uintptr_t>(p->from_host) : p->from_device) + p->from_y * c.from_pitch + p->from_x;
    c.to = (p->to_type == abi::HOST ? reinterpret_cast<uintptr_t>(p->to_host) : p->to_device) + p->to_y * c.to_pitch + p->to_x;
    c.width = p->width;
    c.height = p->height;
    c.from_device = p->from_type == abi::DEVICE;
    c.to_device = p->to_type == abi::DEVICE;
    c.call = "cuGraphAddMemcpyNode";
    if (const int e = check(c)) return static_cast<Result>(e);
    Node* n;
    if (const Result r = add(out, g, after, count, NodeType::Copy, n)) return r;
    n->copy = c;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphAddHostNode(Node** out, Graph* g, Node* const* after, size_t count, const abi::HostNodeParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(p && p->function, CUDA_ERROR_INVALID_VALUE);
    Node* n;
    if (const Result r = add(out, g, after, count, NodeType::Host, n)) return r;
    n->host = {p->function, p->data};
    return CUDA_SUCCESS;
}

// ---- instantiated graphs

CUDA_SIM_EXPORT Result cuGraphInstantiateWithFlags(GraphExec** out, Graph* g, unsigned long long flags) {
    CUDA_SIM_CALL(HealthyContext);
    return instantiate(out, g, flags);
}
CUDA_SIM_EXPORT Result cuGraphInstantiateWithParams(GraphExec** out, Graph* g, abi::GraphInstantiateParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(p, CUDA_ERROR_INVALID_VALUE);
    const Result r = instantiate(out, g, p->flags);
    p->error_node = nullptr;
    p->result = r != CUDA_SUCCESS;
    return r;
}

CUDA_SIM_EXPORT Result cuGraphExecGetFlags(GraphExec* e, uint64_t* flags) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e) && flags, CUDA_ERROR_INVALID_HANDLE);
    *flags = e->flags;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphExecDestroy(GraphExec* e) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    if (live<Context>().count(e->context) && e->context->error == 0) queue::finish(e->last);
    live<GraphExec>().erase(e);
    delete e;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphUpload(GraphExec* e, Stream*) {
    CUDA_SIM_CALL(HealthyContext);
    return valid(e) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUDA_SIM_EXPORT Result cuGraphExecKernelNodeSetParams_v2(GraphExec* e, Node* source, const abi::KernelNodeParams* p) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    const auto found = e->of_source.find(source);
    CUDA_SIM_REQUIRE(found != e->of_source.end() && found->second->type == NodeType::Kernel, CUDA_ERROR_INVALID_VALUE);
    KernelCall k = found->second->kernel;
    if (const Result r = read(p, k)) return r;
    queue::finish(e->last);  // launches already asked for keep what they had
    found->second->kernel = std::move(k);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphExecUpdate_v2(GraphExec* e, Graph* g, abi::GraphExecUpdateResult* result) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e) && valid(g), CUDA_ERROR_INVALID_HANDLE);
    if (result) *result = {};
    const auto differs = [&](uint32_t code) {
        if (result) result->result = code;
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    };
    if (e->graph.nodes.size() != g->nodes.size()) return differs(2);  // the topology changed
    for (size_t i = 0; i < g->nodes.size(); ++i) {
        if (!same_shape(*e->graph.nodes[i], *g->nodes[i])) return differs(e->graph.nodes[i]->type == g->nodes[i]->type ? 2 : 3);
    }
    queue::finish(e->last);
    copy(*g, e->graph, e->of_source);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuGraphLaunch(GraphExec* e, Stream* handle) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) {
        s->capture->invalidated = true;
        Report("graph launch while capturing").row("what", "child graphs are not known to the simulator").emit();
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    queue::wait(*s, e->last);
    const OperationRef begin = queue::add(*s, "begin of a graph", [](Operation&) { return 0; });
    std::map<const Node*, OperationRef> of;
    std::map<const Node*, uint32_t> lane;
    for (size_t i = 0; i < e->graph.nodes.size(); ++i) lane[e->graph.nodes[i].get()] = e->lanes[i];
    std::set<const Node*> ends;
    for (Node* n : sorted(e->graph)) {
        std::vector<OperationRef> after;
        for (Node* before : n->after) {
            after.push_back(of[before]);
            ends.erase(before);
        }
        if (after.empty()) after.push_back(begin);
        ends.insert(n);
        const bool kernel = n->type == NodeType::Kernel;
        const OperationRef early = kernel && n->kernel.dependent && n->after.size() == 1 && n->after[0]->type == NodeType::Kernel ? after[0] : OperationRef{};
        // The node may be changed by an update before it runs: updates wait for the launch.
        of[n] = queue::add(*e->context, lane[n], name(*n), std::move(after), [n](Operation& op) { return execute(*n, op); }, kernel, early);
    }
    for (const Node* n : ends) queue::wait(*s, of[n]);
    e->last = queue::add(*s, "end of a graph", [](Operation&) { return 0; });
    return CUDA_SUCCESS;
}
