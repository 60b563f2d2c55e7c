// Runs the self-test: every case in a process of its own, under the settings given, and says what the simulator found.
//   selftest REPOSITORY [--sms N] [--mode checked|quick] [--seed N] [--only TEXT] [--kind correct|planted] [--list]
//   selftest REPOSITORY --device
// The second form runs the correct programs on a real device, by the libraries the loader finds: it shows that the
// instructions of ptx.cuh do there what their bodies for the simulator do. One line per case: its name, what should be found, what was; "ok" or "FAILED". Exit 1 when a case failed, 2 when none ran.
#include <sys/wait.h>
#include <unistd.h>

#include <climits>

#include "cases.h"

Sources sources;

namespace {

std::string folder_of(const char* program) {
    char full[PATH_MAX];
    const std::string s = realpath(program, full) ? full : program;
    return s.substr(0, s.rfind('/'));
}

/// The titles of all reports in a text.
std::vector<std::string> titles(const std::string& text) {
    const std::string mark = "==== cuda-sim: ";
    std::vector<std::string> all;
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
        at += mark.size();
        all.push_back(text.substr(at, text.find('\n', at) - at));
    }
    return all;
}

/// Whether `found` is one of the alternatives, which "|" separates.
bool one_of(const std::string& alternatives, const std::string& found) {
    std::istringstream all(alternatives + "|");
    for (std::string a; std::getline(all, a, '|');) {
        if (a == found) return true;
    }
    return false;
}

struct Outcome {
    std::string found, problem, text;
};

/// In the child: runs the case, and writes what it noticed.
int run_here(const Case& c, const std::string& result) {
    std::string problem;
    int error = 0;
    {
        Device d;
        c.run(d, problem);
        error = d.error;
        d.close();
    }
    std::ofstream f(result);
    f << error << "\n" << problem << "\n";
    f.close();
    return f.good() ? 0 : 1;
}

Outcome run_in_child(const Case& c, const std::string& scratch, bool checked) {
    const std::string report = scratch + "/report", result = scratch + "/result", errors = scratch + "/stderr";
    for (const std::string& f : {report, result, errors}) std::remove(f.c_str());
    const pid_t child = fork();
    if (child == 0) {
        setenv("CUDA_SIM_REPORT", report.c_str(), 1);
        for (const auto& [name, value] : c.environment) setenv(name, value, 1);
        if (!freopen(errors.c_str(), "w", stderr)) _exit(99);
        _exit(run_here(c, result));
    }
    int status = 0;
    waitpid(child, &status, 0);
    Outcome o;
    o.text = read_text(errors).substr(0, 4000);
    std::istringstream lines(read_text(result));
    std::string error_text;
    std::getline(lines, error_text);
    std::getline(lines, o.problem);
    const std::vector<std::string> found = titles(read_text(report));
    for (const std::string& t : found) o.found += (o.found.empty() ? "" : ", ") + t;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        o.problem = "the process ended with status " + std::to_string(status);
        return o;
    }
    if (!o.problem.empty()) return o;
    const std::string expected = checked ? c.report : c.report_quick;
    const int code = checked ? c.error : c.error_quick;
    if (!one_of(expected, o.found)) o.problem = "expected " + (expected.empty() ? "no report" : "\"" + expected + "\"");
    else if (std::atoi(error_text.c_str()) != code) o.problem = "the host saw error " + error_text + ", expected " + std::to_string(code);
    if (checked && o.problem.empty()) {
        for (const char* word : c.words) {
            if (o.text.find(word) == std::string::npos) o.problem = std::string("the report does not say: ") + word;
        }
    }
    return o;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string own = folder_of(argv[0]);
    if (argc < 2) {
        std::fprintf(stderr, "usage: selftest REPOSITORY [--sms N] [--mode checked|quick] [--seed N] [--only TEXT] [--kind correct|planted] [--list] [--device]\n");
        return 3;
    }
    sources.kernels = std::string(argv[1]) + "/kernels";
    sources.selftest = std::string(argv[1]) + "/tests/cuda-sim/selftest";
    std::string only, kind;
    bool list = false, checked = true, device = false;
    setenv("CUDA_SIM_CACHE", (own + "/cache").c_str(), 1);
    setenv("CUDA_SIM_LIMITS", (sources.selftest + "/limits.tsv").c_str(), 1);
    for (int i = 2; i < argc; ++i) {
        const std::string o = argv[i], v = i + 1 < argc ? argv[i + 1] : "";
        if (o == "--list") list = true;
        else if (o == "--only") only = v, ++i;
        else if (o == "--device") device = true, kind = "correct";
        else if (o == "--kind" && (v == "correct" || v == "planted")) kind = v, ++i;
        else if (o == "--sms") setenv("CUDA_SIM_SMS", v.c_str(), 1), ++i;
        else if (o == "--seed") setenv("CUDA_SIM_SEED", v.c_str(), 1), ++i;
        else if (o == "--mode") setenv("CUDA_SIM_MODE", v.c_str(), 1), checked = v == "checked", ++i;
        else return std::fprintf(stderr, "selftest: unknown option %s\n", o.c_str()), 3;
    }
    char scratch[] = "/tmp/cuda-sim-selftest-XXXXXX";
    if (!mkdtemp(scratch)) return 3;
    unsigned ran = 0, failed = 0;
    for (const Case& c : cases()) {
        const bool correct = !*c.report && c.error == 0;
        if (c.name.find(only) == std::string::npos || (!checked && c.checked_only) || (!kind.empty() && (kind == "correct") != correct) || (device && c.simulator_only)) continue;
        ++ran;
        if (list) {
            std::printf("%s\t%s\n", c.name.c_str(), c.report);
            continue;
        }
        const Outcome o = run_in_child(c, scratch, checked);
        failed += !o.problem.empty();
        std::printf("%s\t%s\t%s\t%s%s\n", c.name.c_str(), checked ? c.report : c.report_quick, o.found.c_str(), o.problem.empty() ? "ok" : "FAILED: ", o.problem.c_str());
        if (!o.problem.empty()) std::printf("%s", o.text.c_str());
        std::fflush(stdout);
    }
    for (const char* f : {"/report", "/result", "/stderr"}) std::remove((std::string(scratch) + f).c_str());
    rmdir(scratch);
    std::printf("%u cases, %u failed\n", ran, failed);
    return ran == 0 ? 2 : failed ? 1 : 0;
}
