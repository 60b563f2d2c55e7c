#include "config.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>

namespace {

/// Reads one variable after the other; remembers the first that does not parse.
class Reader {
  public:
    explicit Reader(std::string& error) : error_(error) {}

    template <class T>
    void number(const char* name, T& value, uint64_t least, uint64_t most) {
        const char* text = std::getenv(name);
        if (!text) return;
        char* end = nullptr;
        const unsigned long long v = std::strtoull(text, &end, 10);
        if (end == text || *end || v < least || v > most) return refuse(name, text, "a number from " + std::to_string(least) + " to " + std::to_string(most));
        value = static_cast<T>(v);
    }
    void choice(const char* name, bool& value, const char* when_false, const char* when_true) {
        const char* text = std::getenv(name);
        if (!text) return;
        if (std::strcmp(text, when_true) == 0) value = true;
        else if (std::strcmp(text, when_false) == 0) value = false;
        else refuse(name, text, std::string(when_false) + " or " + when_true);
    }
    void text(const char* name, std::string& value) {
        if (const char* text = std::getenv(name)) value = text;
    }

  private:
    void refuse(const char* name, const char* text, const std::string& accepted) {
        if (error_.empty()) error_ = std::string(name) + "=" + text + ": expected " + accepted;
    }
    std::string& error_;
};

/// In the order of Sight.
const std::string SIGHTS[] = {"races", "uninitialised", "bounds", "barriers", "copies", "dependencies", "operations", "leaks", "barrier-order"};

std::string default_cache() {
    if (const char* home = std::getenv("XDG_CACHE_HOME")) return std::string(home) + "/cuda-sim";
    if (const char* home = std::getenv("HOME")) return std::string(home) + "/.cache/cuda-sim";
    return "/tmp/cuda-sim-" + std::to_string(getuid());
}

Config read() {
    Config c;
    Reader r(c.error);
    bool quick = false;
    r.choice("CUDA_SIM_MODE", quick, "checked", "quick");
    c.checked = !quick;
    r.choice("CUDA_SIM_ORDER", c.eager, "lazy", "eager");
    c.eager |= quick;
    r.number("CUDA_SIM_SMS", c.sms, 1, 256);
    r.number("CUDA_SIM_SEED", c.seed, 0, UINT64_MAX);
    r.choice("CUDA_SIM_FATAL", c.fatal, "0", "1");
    c.threads = std::max(1u, std::thread::hardware_concurrency());
    r.number("CUDA_SIM_THREADS", c.threads, 1, 256);
    r.number("CUDA_SIM_MEMORY", c.memory, 1, 1ull << 39);
    r.number("CUDA_SIM_DEVICES", c.devices, 0, 8);
    r.number("CUDA_SIM_ARCH", c.arch, 50, 129);
    r.number("CUDA_SIM_STACK", c.stack, 16 << 10, 16 << 20);
    c.stack = (c.stack + 4095) & ~static_cast<size_t>(4095);
    c.cache = default_cache();
    r.text("CUDA_SIM_CACHE", c.cache);
    r.text("CUDA_SIM_REPORT", c.report);
    c.limits = library_folder() + "/limits.tsv";
    r.text("CUDA_SIM_LIMITS", c.limits);
    r.text("CUDA_SIM_CXX", c.cxx);
    r.text("CUDA_SIM_BLIND", c.blind);
    if (!c.blind.empty() && std::find(std::begin(SIGHTS), std::end(SIGHTS), c.blind) == std::end(SIGHTS)) c.error = "CUDA_SIM_BLIND=" + c.blind + ": no such class of findings";
    r.text("CUDA_SIM_REMOVE", c.remove);
    r.choice("CUDA_SIM_LEAKS", c.leaks_at_exit, "context", "exit");
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) {
        c.error = "this processor lacks AVX2, FMA or F16C, which compiled kernels use";
    }
    return c;
}

}  // namespace

const Config& config() {
    static const Config c = read();
    return c;
}

bool sees(Sight sight) {
    static const std::ptrdiff_t blind = std::find(std::begin(SIGHTS), std::end(SIGHTS), config().blind) - std::begin(SIGHTS);
    return blind != static_cast<std::ptrdiff_t>(sight);
}

const std::string& library_folder() {
    static const std::string folder = [] {
        Dl_info info{};
        char full[PATH_MAX];
        if (!dladdr(reinterpret_cast<void*>(&library_folder), &info) || !realpath(info.dli_fname, full)) return std::string(".");
        std::string s = full;
        return s.substr(0, s.rfind('/'));
    }();
    return folder;
}
