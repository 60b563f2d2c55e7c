// Calls of the driver: streams, events, capture of streams into graphs.
#include <algorithm>

#include "abi.h"
#include "config.h"
#include "driver.h"
#include "queue.h"
#include "report.h"
#include "work.h"

namespace driver {

namespace {

std::vector<std::weak_ptr<Capture>> captures;
uint64_t captures_begun = 0;

/// Drops ended captures; calls `visit` for the others.
template <class F>
void each_capture(F visit) {
    for (auto it = captures.begin(); it != captures.end();) {
        if (const auto c = it->lock(); c && !c->ended) {
            visit(*c);
            ++it;
        } else {
            it = captures.erase(it);
        }
    }
}

template <class Call>
Result submit_any(Stream* s, Call call, NodeType type, Call Node::*member, const char* name) {
    if (const int e = check(call)) return static_cast<Result>(e);
    if (s->capture) {
        if (s->capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        Node* n = capture(*s, type);
        n->*member = std::move(call);
        return CUDA_SUCCESS;
    }
    queue::add(*s, name, [call = std::move(call)](Operation& op) { return run(call, op); });
    return CUDA_SUCCESS;
}

}  // namespace

std::unique_ptr<Stream> make_stream(Context& context, bool blocking, unsigned flags, int priority) {
    auto s = std::make_unique<Stream>();
    s->context = &context;
    s->lane = new_lane();
    s->blocking = blocking;
    s->flags = flags;
    s->priority = priority;
    queue::streams().push_back(s.get());
    return s;
}

Stream* stream_of(Stream* handle, Context* context) {
    if (!handle || handle == abi::LEGACY || handle == abi::PER_THREAD) return context->legacy.get();
    return valid(handle) ? handle : nullptr;
}

Result lose(Capture& c, Result why) {
    if (c.invalidated && !c.ended) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    c.invalidated = true;
    return why;
}

bool capture_forbids() {
    bool forbidden = false;
    each_capture([&](Capture& c) {
        if (c.mode == 2) return;
        c.invalidated = forbidden = true;
    });
    return forbidden;
}

Node* capture(Stream& s, NodeType type) {
    Graph& g = *s.capture->graph;
    auto& n = g.nodes.emplace_back(std::make_unique<Node>());
    n->graph = &g;
    n->type = type;
    n->after = s.capture_tail;
    s.capture_tail = {n.get()};
    return n.get();
}

Result submit(Stream* s, CopyCall c) {
    const char* name = c.call;
    return submit_any(s, std::move(c), NodeType::Copy, &Node::copy, name);
}
Result submit(Stream* s, FillCall f) {
    const char* name = f.call;
    return submit_any(s, std::move(f), NodeType::Fill, &Node::fill, name);
}

Result submit(Stream* s, KernelCall k) {
    if (const int e = check(k)) return static_cast<Result>(e);
    if (s->capture) {
        if (s->capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        capture(*s, NodeType::Kernel)->kernel = std::move(k);
        return CUDA_SUCCESS;
    }
    const bool dependent = k.dependent;
    std::string name = describe(k);
    queue::add(*s, std::move(name), [k = std::move(k)](Operation& op) { return run(k, op); }, true, dependent);
    return CUDA_SUCCESS;
}

}  // namespace driver

using driver::Call;
using driver::live;
using driver::stream_of;
using driver::valid;

// ---- streams

CUDA_SIM_EXPORT Result cuStreamCreateWithPriority(Stream** out, unsigned flags, int priority) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && flags <= 1, CUDA_ERROR_INVALID_VALUE);
    *out = driver::make_stream(*call.context, flags == 0, flags, priority).release();
    live<Stream>().insert(*out);
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuStreamCreate(Stream** out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }

CUDA_SIM_EXPORT Result cuStreamDestroy_v2(Stream* s) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(s), CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) s->capture->invalidated = true;
    // What it was asked for still runs, at the latest now: nobody can wait for it any more.
    if (live<Context>().count(s->context) && s->context->error == 0) queue::finish(s->tail);
    auto& all = queue::streams();
    all.erase(std::remove(all.begin(), all.end(), s), all.end());
    live<Stream>().erase(s);
    delete s;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuStreamSynchronize(Stream* handle) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) return driver::lose(*s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    // Waits of the stream for events count, even with nothing behind them.
    for (const OperationRef& w : s->waits) queue::finish(w);
    queue::finish(s->tail);
    if (s == call.context->legacy.get()) {
        for (Stream* o : queue::streams()) {
            if (o->context == call.context && o->blocking) queue::finish(o->tail);
        }
    } else if (s->blocking) {
        queue::finish(call.context->legacy->tail);
    }
    return static_cast<Result>(call.context->error);
}

CUDA_SIM_EXPORT Result cuStreamQuery(Stream* handle) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) return driver::lose(*s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (s->tail && !s->tail->done) queue::advance();
    if (s->tail && !s->tail->done) return CUDA_ERROR_NOT_READY;
    queue::finish(s->tail);
    return static_cast<Result>(call.context->error);
}

CUDA_SIM_EXPORT Result cuStreamGetCtx(Stream* handle, Context** out) {
    CUDA_SIM_CALL(CurrentContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s && out, CUDA_ERROR_INVALID_HANDLE);
    *out = s->context;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuStreamGetFlags(Stream* handle, unsigned* flags) {
    CUDA_SIM_CALL(CurrentContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s && flags, CUDA_ERROR_INVALID_HANDLE);
    *flags = s->flags;
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuStreamGetPriority(Stream* handle, int* priority) {
    CUDA_SIM_CALL(CurrentContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s && priority, CUDA_ERROR_INVALID_HANDLE);
    *priority = s->priority;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuLaunchHostFunc(Stream* handle, void (*function)(void*), void* data) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(function, CUDA_ERROR_INVALID_VALUE);
    if (s->capture) {
        driver::capture(*s, NodeType::Host)->host = {function, data};
        return CUDA_SUCCESS;
    }
    queue::add(*s, "cuLaunchHostFunc", [function, data](Operation&) { return function(data), 0; });
    return CUDA_SUCCESS;
}

// ---- events

CUDA_SIM_EXPORT Result cuEventCreate(Event** out, unsigned flags) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(out && flags <= 7, CUDA_ERROR_INVALID_VALUE);
    *out = new Event;
    (*out)->context = call.context;
    (*out)->flags = flags;
    live<Event>().insert(*out);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuEventDestroy_v2(Event* e) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    live<Event>().erase(e);
    delete e;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuEventRecordWithFlags(Event* e, Stream* handle, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s && valid(e), CUDA_ERROR_INVALID_HANDLE);
    if (s->capture) {
        e->capture = s->capture;
        e->nodes = s->capture_tail;
        return CUDA_SUCCESS;
    }
    e->capture.reset();
    e->nodes.clear();
    e->recorded = queue::add(*s, "cuEventRecord", [](Operation&) { return 0; });
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuEventRecord(Event* e, Stream* s) { return cuEventRecordWithFlags(e, s, 0); }

CUDA_SIM_EXPORT Result cuEventQuery(Event* e) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    if (e->capture) return driver::lose(*e->capture, CUDA_ERROR_CAPTURED_EVENT);
    if (!e->recorded) return CUDA_SUCCESS;
    if (!e->recorded->done) queue::advance();
    if (!e->recorded->done) return CUDA_ERROR_NOT_READY;
    queue::finish(e->recorded);
    return static_cast<Result>(call.context->error);
}

CUDA_SIM_EXPORT Result cuEventSynchronize(Event* e) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(valid(e), CUDA_ERROR_INVALID_HANDLE);
    if (e->capture) return driver::lose(*e->capture, CUDA_ERROR_CAPTURED_EVENT);
    queue::finish(e->recorded);
    return static_cast<Result>(call.context->error);
}

CUDA_SIM_EXPORT Result cuEventElapsedTime_v2(float* ms, Event* a, Event* b) {
    CUDA_SIM_CALL(HealthyContext);
    CUDA_SIM_REQUIRE(ms, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(valid(a) && valid(b) && !((a->flags | b->flags) & 2) && a->recorded && b->recorded, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(a->recorded->done && b->recorded->done, CUDA_ERROR_NOT_READY);
    *ms = std::chrono::duration<float, std::milli>(b->recorded->ended - a->recorded->ended).count();
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuEventElapsedTime(float* ms, Event* a, Event* b) { return cuEventElapsedTime_v2(ms, a, b); }

CUDA_SIM_EXPORT Result cuStreamWaitEvent(Stream* handle, Event* e, unsigned) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s && valid(e), CUDA_ERROR_INVALID_HANDLE);
    if (e->capture) {
        if (e->capture->ended) return CUDA_ERROR_CAPTURED_EVENT;
        if (s->capture && s->capture != e->capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
        if (!s->capture) {
            // The stream joins the capture.
            s->capture = e->capture;
            s->capture_tail.clear();
            e->capture->streams.push_back(s);
        }
        for (Node* n : e->nodes) {
            if (std::find(s->capture_tail.begin(), s->capture_tail.end(), n) == s->capture_tail.end()) s->capture_tail.push_back(n);
        }
        return CUDA_SUCCESS;
    }
    if (s->capture) {
        if (!e->recorded) return CUDA_SUCCESS;
        s->capture->invalidated = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    queue::wait(*s, e->recorded);
    return CUDA_SUCCESS;
}

// ---- capture

CUDA_SIM_EXPORT Result cuStreamBeginCapture_v2(Stream* handle, int mode) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(mode >= 0 && mode <= 2, CUDA_ERROR_INVALID_VALUE);
    CUDA_SIM_REQUIRE(s != call.context->legacy.get(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CUDA_SIM_REQUIRE(!s->capture, CUDA_ERROR_ILLEGAL_STATE);
    s->capture = std::make_shared<Capture>();
    s->capture->graph->context = call.context;
    s->capture->origin = s;
    s->capture->streams = {s};
    s->capture->mode = mode;
    s->capture->id = ++driver::captures_begun;
    s->capture_tail.clear();
    driver::captures.push_back(s->capture);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuStreamEndCapture(Stream* handle, Graph** out) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(out, CUDA_ERROR_INVALID_VALUE);
    *out = nullptr;
    CUDA_SIM_REQUIRE(s->capture, CUDA_ERROR_ILLEGAL_STATE);
    CUDA_SIM_REQUIRE(s->capture->origin == s, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    const std::shared_ptr<Capture> c = s->capture;
    // Every node must come before the end of this stream.
    std::set<const Node*> before(s->capture_tail.begin(), s->capture_tail.end());
    for (auto it = c->graph->nodes.rbegin(); it != c->graph->nodes.rend(); ++it) {
        if (before.count(it->get())) before.insert((*it)->after.begin(), (*it)->after.end());
    }
    c->ended = true;
    const bool joined = before.size() == c->graph->nodes.size();
    for (Stream* o : c->streams) {
        if (!valid(o)) continue;
        o->capture.reset();
        o->capture_tail.clear();
    }
    if (c->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    *out = c->graph.release();
    c->graph = std::make_unique<Graph>();
    live<Graph>().insert(*out);
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuStreamIsCapturing(Stream* handle, int* status) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(status, CUDA_ERROR_INVALID_VALUE);
    *status = !s->capture ? 0 : s->capture->invalidated ? 2 : 1;
    return CUDA_SUCCESS;
}

CUDA_SIM_EXPORT Result cuStreamGetCaptureInfo_v3(Stream* handle, int* status, uint64_t* id, Graph** graph, Node* const** tail, const abi::EdgeData** edges, size_t* count) {
    CUDA_SIM_CALL(HealthyContext);
    Stream* s = stream_of(handle, call.context);
    CUDA_SIM_REQUIRE(s, CUDA_ERROR_INVALID_HANDLE);
    CUDA_SIM_REQUIRE(status, CUDA_ERROR_INVALID_VALUE);
    *status = !s->capture ? 0 : s->capture->invalidated ? 2 : 1;
    if (*status != 1) return CUDA_SUCCESS;
    if (id) *id = s->capture->id;
    if (graph) *graph = s->capture->graph.get();
    if (tail) *tail = s->capture_tail.data();
    if (edges) *edges = nullptr;
    if (count) *count = s->capture_tail.size();
    return CUDA_SUCCESS;
}
CUDA_SIM_EXPORT Result cuStreamGetCaptureInfo_v2(Stream* handle, int* status, uint64_t* id, Graph** graph, Node* const** tail, size_t* count) {
    return cuStreamGetCaptureInfo_v3(handle, status, id, graph, tail, nullptr, count);
}

CUDA_SIM_EXPORT Result cuThreadExchangeStreamCaptureMode(int* mode) {
    CUDA_SIM_CALL(Initialised);
    CUDA_SIM_REQUIRE(mode && *mode >= 0 && *mode <= 2, CUDA_ERROR_INVALID_VALUE);
    static thread_local int own = 0;
    std::swap(own, *mode);
    return CUDA_SUCCESS;
}
