// What every call of the driver begins with: the lock, the state of the context, the handles.
#pragma once
#include <mutex>
#include <set>

#include "errors.h"
#include "objects.h"

#define CUDA_SIM_EXPORT extern "C" __attribute__((visibility("default")))

namespace driver {

/// Held during a call. `status` is what the call must return at once when it is not 0.
class Call {
  public:
    enum Needs { Nothing, Initialised, CurrentContext, HealthyContext };
    explicit Call(Needs needs);
    Result status = CUDA_SUCCESS;
    Context* context = nullptr;  // the current one

  private:
    std::lock_guard<std::recursive_mutex> lock_;
};

/// The live handles of one kind.
template <class T>
std::set<T*>& live() {
    static auto* all = new std::set<T*>;
    return *all;
}
template <class T>
bool valid(T* handle) {
    return handle && live<T>().count(handle);
}

/// The stream of a handle: 0 and the legacy constant are the context's own. Null: no such stream.
Stream* stream_of(Stream* handle, Context* context);
Context* current();
void set_current(Context* context);
std::unique_ptr<Stream> make_stream(Context& context, bool blocking, unsigned flags, int priority);

/// Whether a capture that forbids calls with hidden synchronisation is in progress; it is invalidated then.
bool capture_forbids();
/// A call that asks for the state of recorded work, which never runs: it fails with `why`, and the capture is lost. Once it
/// is, every such call says so.
Result lose(Capture& capture, Result why);
/// A node at the end of the capturing stream.
Node* capture(Stream& stream, NodeType type);

/// Adds the work, or the node when the stream captures.
Result submit(Stream* stream, KernelCall call);
Result submit(Stream* stream, CopyCall call);
Result submit(Stream* stream, FillCall call);

/// Reads launch arguments as cuLaunchKernel gets them.
Result arguments(KernelCall& call, void** parameters, void** extra);

/// Tells of everything of the context that was not given back.
void report_leaks(const Context& context, const char* when);

}  // namespace driver

/// Begins a call; `call` and its context are in scope afterwards.
#define CUDA_SIM_CALL(needs)                         \
    driver::Call call(driver::Call::needs);          \
    if (call.status != CUDA_SUCCESS) return call.status
#define CUDA_SIM_REQUIRE(condition, error) \
    if (!(condition)) return error
