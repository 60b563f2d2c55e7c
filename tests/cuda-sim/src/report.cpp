#include "report.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "config.h"

namespace {

std::string vformat(const char* text, va_list list) {
    va_list again;
    va_copy(again, list);
    const int n = std::vsnprintf(nullptr, 0, text, list);
    std::string out(n > 0 ? static_cast<size_t>(n) : 0, '\0');
    if (n > 0) std::vsnprintf(out.data(), out.size() + 1, text, again);
    va_end(again);
    return out;
}

void put(int file, const std::string& s) {
    for (size_t done = 0; done < s.size();) {
        const ssize_t n = write(file, s.data() + done, s.size() - done);
        if (n <= 0) return;
        done += static_cast<size_t>(n);
    }
}

}  // namespace

std::string format(const char* text, ...) {
    va_list list;
    va_start(list, text);
    std::string s = vformat(text, list);
    va_end(list);
    return s;
}

Report& Report::row(const char* key, const char* text, ...) {
    va_list list;
    va_start(list, text);
    const std::string s = vformat(text, list);
    va_end(list);
    return row(key, s);
}

Report& Report::row(const char* key, const std::string& text) {
    text_ += ::format("  %-9s", key);
    text_ += text + "\n";
    return *this;
}

void Report::emit() const {
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    const std::string all = text_ + "====\n";
    put(STDERR_FILENO, all);
    if (!config().report.empty()) {
        const int file = open(config().report.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file >= 0) {
            put(file, all);
            close(file);
        }
    }
    if (config().fatal) _exit(86);
}
