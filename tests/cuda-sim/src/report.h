// What the simulator says when something is wrong: one block of text per finding, written in one piece. It knows
// neither kernels nor memory; callers bring the rows.
#pragma once
#include <cstdarg>
#include <string>

class Report {
  public:
    /// `title` names the class of the finding: a fixed phrase, which tests and people search for.
    explicit Report(const char* title) : text_(std::string("==== cuda-sim: ") + title + "\n") {}
    /// Adds a row; the key stands before it, padded.
    Report& row(const char* key, const char* format, ...) __attribute__((format(printf, 3, 4)));
    Report& row(const char* key, const std::string& text);
    /// Writes it to stderr (and CUDA_SIM_REPORT). Ends the process where CUDA_SIM_FATAL asks for that.
    void emit() const;

  private:
    std::string text_;
};

/// Formats as printf does.
std::string format(const char* format, ...) __attribute__((format(printf, 1, 2)));
