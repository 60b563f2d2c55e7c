// A libnvrtc.so.13 for machines without a GPU: compiles a CUDA C++ file with g++ against the headers of device/ to a
// shared object, which stands for the cubin. Compiled files are kept in CUDA_SIM_CACHE by a digest of everything they
// depend on. It knows nothing of running kernels.
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "config.h"
#include "digest.h"
#include "report.h"
#include "stamp.h"

extern char** environ;

namespace {

enum NvrtcResult : int {
    SUCCESS = 0,
    OUT_OF_MEMORY = 1,
    PROGRAM_CREATION_FAILURE = 2,
    INVALID_INPUT = 3,
    INVALID_PROGRAM = 4,
    INVALID_OPTION = 5,
    COMPILATION = 6,
    BUILTIN_OPERATION_FAILURE = 7,
    NO_NAME_EXPRESSIONS_AFTER_COMPILATION = 8,
    NO_LOWERED_NAMES_BEFORE_COMPILATION = 9,
    NAME_EXPRESSION_NOT_VALID = 10,
    INTERNAL_ERROR = 11,
};

struct Program {
    std::string source, name, log, image, ptx;
    std::vector<std::pair<std::string, std::string>> headers;  // include name, text
    bool compiled = false;
};

std::string read_file(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    std::stringstream s;
    s << f.rdbuf();
    return s.str();
}

bool write_file(const std::string& path, const std::string& text) {
    std::ofstream f(path, std::ios::binary);
    f << text;
    f.close();
    return f.good();
}

bool make_folders(const std::string& path) {
    for (size_t i = 1; i <= path.size(); ++i) {
        if (i == path.size() || path[i] == '/') {
            if (mkdir(path.substr(0, i).c_str(), 0755) != 0 && errno != EEXIST) return false;
        }
    }
    return true;
}

/// A folder that goes away with everything in it that was named here.
class Scratch {
  public:
    Scratch() {
        const char* base = std::getenv("TMPDIR");
        path_ = std::string(base ? base : "/tmp") + "/cuda-sim-XXXXXX";
        if (!mkdtemp(path_.data())) path_.clear();
    }
    ~Scratch() {
        if (path_.empty()) return;
        for (auto it = files_.rbegin(); it != files_.rend(); ++it) std::remove(it->c_str());
        rmdir(path_.c_str());
    }
    explicit operator bool() const { return !path_.empty(); }
    const std::string& path() const { return path_; }
    std::string file(const std::string& name) {
        // Header names may have folders.
        for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
            const std::string folder = path_ + "/" + name.substr(0, slash);
            if (mkdir(folder.c_str(), 0700) == 0) files_.push_back(folder);
        }
        files_.push_back(path_ + "/" + name);
        return files_.back();
    }

  private:
    std::string path_;
    std::vector<std::string> files_;
};

/// Runs a program in a folder, with its output into files; its exit status, or -1.
int execute(const std::vector<std::string>& arguments, const std::string& folder, const std::string& out, const std::string& errors) {
    std::vector<char*> argv;
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        write_file(errors, arguments[0] + ": " + std::strerror(failed) + "\n");
        return -1;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// What NVRTC's options mean here; `why` when one cannot be followed.
struct Options {
    std::vector<std::string> arguments;
    unsigned arch = 0;
    bool fmad = true;
    std::string why;
};

Options parse(int n, const char* const* given) {
    Options o;
    const auto value = [&](const std::string& s, std::initializer_list<const char*> names, int& i, std::string& v) {
        for (const char* name : names) {
            if (s == name && i + 1 < n) {
                v = given[++i];
                return true;
            }
            if (s.compare(0, std::strlen(name) + 1, std::string(name) + "=") == 0) {
                v = s.substr(std::strlen(name) + 1);
                return true;
            }
        }
        return false;
    };
    // The compiler runs in another folder.
    const auto include = [&](const std::string& path) {
        char here[PATH_MAX];
        o.arguments.push_back("-I" + (path.empty() || path[0] == '/' || !getcwd(here, sizeof here) ? path : std::string(here) + "/" + path));
    };
    for (int i = 0; i < n; ++i) {
        const std::string s = given[i];
        std::string v;
        if (value(s, {"--gpu-architecture", "-arch"}, i, v)) {
            const size_t digits = v.find('_');
            o.arch = digits == std::string::npos ? 0 : static_cast<unsigned>(std::strtoul(v.c_str() + digits + 1, nullptr, 10));
            if (!o.arch) o.why = "no architecture: " + s;
        } else if (value(s, {"--fmad", "-fmad"}, i, v)) {
            o.fmad = v != "false";
        } else if (value(s, {"--std", "-std"}, i, v)) {
            o.arguments.push_back("-std=" + v);
        } else if (value(s, {"--define-macro"}, i, v)) {
            o.arguments.push_back("-D" + v);
        } else if (value(s, {"--undefine-macro"}, i, v)) {
            o.arguments.push_back("-U" + v);
        } else if (value(s, {"--include-path"}, i, v)) {
            include(v);
        } else if (s == "-I") {
            if (++i < n) include(given[i]);
        } else if (s.compare(0, 2, "-I") == 0) {
            include(s.substr(2));
        } else if (s == "-D" || s == "-U") {
            if (++i < n) o.arguments.push_back(s + given[i]);
        } else if (s.compare(0, 2, "-D") == 0 || s.compare(0, 2, "-U") == 0) {
            o.arguments.push_back(s);
        } else if (value(s, {"--ptxas-options", "-Xptxas", "--maxrregcount", "-maxrregcount", "--diag-suppress", "-diag-suppress", "--diag-error", "--split-compile", "-split-compile", "--dopt", "--device-int128"}, i, v)) {
            // How the device's code is optimised has no counterpart.
        } else if (value(s, {"--prec-div", "--prec-sqrt", "-prec-div", "-prec-sqrt"}, i, v)) {
            if (v != "true") o.why = s + ": division and square root are correctly rounded here";
        } else if (value(s, {"--ftz", "-ftz"}, i, v)) {
            if (v != "false") o.why = s + ": subnormal numbers are kept here";
        } else if (s == "-lineinfo" || s == "--generate-line-info" || s == "-default-device" || s == "--device-as-default-execution-space" || s == "-G" || s == "--device-debug" || s == "-w" || s == "--disable-warnings" || s == "--extra-device-vectorization" || s == "--restrict" || s == "--display-error-number") {
            // Always or never so here.
        } else {
            o.why = "the simulator does not know the option " + s;
        }
    }
    if (!o.arch && o.why.empty()) o.arch = 75;  // NVRTC's own default
    return o;
}

/// A kernel found in preprocessed source, with the text of its bounds.
struct Found {
    std::string name, launch, cluster;
};

/// Finds kernels by the word that `__global__` is turned into while scanning.
std::vector<Found> find_kernels(const std::string& text) {
    std::vector<Found> all;
    std::set<std::string> seen;
    const std::string marker = "__cuda_sim_global__";
    const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    for (size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, at)) {
        at += marker.size();
        Found f;
        size_t i = at;
        const auto skip_space = [&] {
            while (i < text.size() && std::isspace(static_cast<unsigned char>(text[i]))) ++i;
        };
        const auto parentheses = [&] {
            const size_t from = i;
            int depth = 0;
            do {
                if (text[i] == '(') ++depth;
                if (text[i] == ')') --depth;
            } while (++i < text.size() && depth > 0);
            return text.substr(from + 1, i - from - 2);
        };
        while (i < text.size()) {
            skip_space();
            if (text[i] == '#') {  // a line mark
                i = text.find('\n', i);
                if (i == std::string::npos) break;
                continue;
            }
            const size_t from = i;
            while (i < text.size() && is_name(text[i])) ++i;
            const std::string word = text.substr(from, i - from);
            if (word.empty()) break;
            skip_space();
            if (word == "__launch_bounds__" && text[i] == '(') f.launch = parentheses();
            else if (word == "__cluster_dims__" && text[i] == '(') f.cluster = parentheses();
            else if (word == "__attribute__" && text[i] == '(') parentheses();
            else if (text[i] == '(') {
                f.name = word;
                break;
            }
        }
        if (!f.name.empty() && seen.insert(f.name).second) all.push_back(f);
    }
    return all;
}

std::vector<std::string> compiler(const Options& o) {
    std::vector<std::string> a = {config().cxx, "-x", "c++", "-std=c++17"};
    a.insert(a.end(), {"-include", library_folder() + "/include/cuda_sim.h", "-I" + library_folder() + "/include", "-I."});
    a.push_back("-D__CUDA_ARCH__=" + std::to_string(o.arch * 10));
    a.insert(a.end(), o.arguments.begin(), o.arguments.end());
    return a;
}

/// What tells one compiler from another without starting it: its place, size and time.
std::string compiler_identity() {
    const std::string& name = config().cxx;
    std::istringstream folders(name.find('/') != std::string::npos ? "" : std::getenv("PATH") ? std::getenv("PATH") : "/usr/bin");
    std::string folder, path = name;
    struct stat s {};
    while (stat(path.c_str(), &s) != 0 && std::getline(folders, folder, ':')) path = folder + "/" + name;
    return format("%s %lld %lld", path.c_str(), static_cast<long long>(s.st_size), static_cast<long long>(s.st_mtime));
}

const std::vector<std::string>& code_options() {
    static const std::vector<std::string> options = [] {
        std::vector<std::string> o = {
            "-g1", "-gdwarf-4", "-fPIC", "-shared", "-mavx2", "-mfma", "-mf16c",
            // Arithmetic as written: no contraction, signed overflow wraps, reinterpreted memory is read as it is.
            "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing", "-fwrapv",
            // An object that can be unloaded, and binds to itself.
            "-fno-gnu-unique", "-nodefaultlibs", "-Wl,-Bsymbolic", "-fno-exceptions", "-fno-rtti", "-fcf-protection=none", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
            "-Wno-unknown-pragmas", "-Wno-attributes", "-Wno-psabi"};
        if (config().checked) {
            // No load may move ahead of the condition it is under: the kernel does not make it.
            o.insert(o.end(), {"-O1", "-fno-tree-loop-im", "-fno-ssa-phiopt", "-fno-tree-phiprop", "-fno-if-conversion", "-fno-if-conversion2", "-fno-code-hoisting", "-fno-tree-pre", "-fno-tree-sink",
                               "-fsanitize=thread", "-fsanitize=alignment,bounds", "--param", "tsan-distinguish-volatile=1", "--param", "tsan-instrument-func-entry-exit=0"});
        } else {
            o.push_back("-O2");
        }
        return o;
    }();
    return options;
}

std::string warnings_for(const Options& o) {
    if (!o.fmad) return "";
    return "cuda-sim: warning: compiled without --fmad=false: a device contracts a * b + c, this simulator does not\n";
}

/// Leaves out the barrier or the wait in one line of one file, as CUDA_SIM_REMOVE asks; what stands for it is as long.
bool leave_out(Program& p, std::string& why) {
    const std::string& where = config().remove;
    const size_t colon = where.rfind(':');
    const auto same = [&](const std::string& name) { return name.substr(name.rfind('/') + 1) == where.substr(0, colon); };
    std::string* text = same(p.name) ? &p.source : nullptr;
    for (auto& [name, header] : p.headers) {
        if (same(name)) text = &header;
    }
    if (!text) return true;  // a file of another compile
    size_t begin = 0;
    for (unsigned long line = std::strtoul(where.c_str() + colon + 1, nullptr, 10); line > 1 && begin != std::string::npos; --line) begin = text->find('\n', begin) + 1;
    const size_t end = std::min(text->find('\n', begin), text->size());
    for (const char* name : {"__syncthreads", "__syncwarp", "grid_barrier", "cluster_barrier", "named_barrier", "cp_async_wait", "mbarrier_wait", "griddep_wait"}) {
        const size_t at = text->find(name, begin);
        if (at >= end) continue;
        const size_t semicolon = text->find(';', at);
        if (semicolon >= end) continue;
        text->replace(at, semicolon - at, "(void)0");
        return true;
    }
    why = where + " holds no barrier and no wait";
    return false;
}

/// Compiles, or finds the result of an earlier compile.
NvrtcResult compile(Program& p, const Options& o) {
    Scratch scratch;
    if (!scratch) return INTERNAL_ERROR;
    if (std::string why; !config().remove.empty() && !leave_out(p, why)) {
        p.log = "cuda-sim: error: CUDA_SIM_REMOVE=" + why + "\n";
        return COMPILATION;
    }
    Digest digest;
    digest.field(module_stamp()).field(compiler_identity()).field(p.name).field(p.source);
    for (const auto& [name, text] : p.headers) digest.field(name).field(text);
    for (const std::string& a : compiler(o)) digest.field(a);
    for (const std::string& a : code_options()) digest.field(a);
    const std::string text = "#line 1 \"" + p.name + "\"\n" + p.source + "\n";
    if (!write_file(scratch.file("kernel.cu"), text)) return INTERNAL_ERROR;
    for (const auto& [name, header] : p.headers) {
        if (name.find("..") != std::string::npos || name.empty() || name[0] == '/' || !write_file(scratch.file(name), header)) return INVALID_INPUT;
    }
    const std::string scanned = scratch.file("kernel.i"), errors = scratch.file("errors");
    const auto scan = [&] {
        std::vector<std::string> command = compiler(o);
        command.insert(command.end(), {"-DCUDA_SIM_SCAN", "-E", "-w", "kernel.cu", "-o", "kernel.i"});
        const int status = execute(command, scratch.path(), "/dev/null", errors);
        p.log += read_file(errors);
        return status == 0;
    };
    p.log = warnings_for(o);
    // The simulator's headers are in the stamp, those from memory in the digest; folders of the caller's have to be read.
    const bool foreign = std::any_of(o.arguments.begin(), o.arguments.end(), [](const std::string& a) { return a.compare(0, 2, "-I") == 0; });
    if (foreign) {
        if (!scan()) return COMPILATION;
        digest.field(read_file(scanned));
    }
    const std::string cached = config().cache + "/" + digest.hex() + ".so";
    if (p.image = read_file(cached); p.image.empty()) {
        if (!foreign && !scan()) return COMPILATION;
        const std::vector<Found> kernels = find_kernels(read_file(scanned));
        std::string table = text + "#line 1 \"kernel table\"\nextern \"C\" const char cuda_sim_stamp[] = \"" + module_stamp() + "\";\nextern \"C\" const cuda_sim::Kernel cuda_sim_kernels[] = {\n";
        for (const Found& k : kernels) table += "CUDA_SIM_KERNEL(" + k.name + ", cuda_sim::Bounds(" + k.launch + "), cuda_sim::Bounds(" + k.cluster + ")),\n";
        table += "{nullptr, nullptr, 0, nullptr, nullptr, {}, {}}};\n";
        const std::string object = scratch.file("kernel.so");
        if (!write_file(scratch.path() + "/kernel.cu", table)) return INTERNAL_ERROR;
    std::vector<std::string> command = compiler(o);
        command.insert(command.end(), code_options().begin(), code_options().end());
        command.insert(command.end(), {"-ffile-prefix-map=" + scratch.path() + "=.", "kernel.cu", "-o", "kernel.so", "-L" + library_folder(), "-l:libcuda.so.1", "-lm", "-lc"});
        const int status = execute(command, scratch.path(), "/dev/null", errors);
        p.log += read_file(errors);
        if (status != 0) return COMPILATION;
        p.image = read_file(object);
        if (p.image.empty()) return INTERNAL_ERROR;
        if (make_folders(config().cache)) {
            const std::string temporary = cached + "." + std::to_string(getpid()) + "." + std::to_string(reinterpret_cast<uintptr_t>(&p));
            if (!write_file(temporary, p.image) || std::rename(temporary.c_str(), cached.c_str()) != 0) std::remove(temporary.c_str());
        }
    }
    p.ptx = PTX_PREFIX + cached + "\n";
    p.compiled = true;
    return SUCCESS;
}

NvrtcResult give(const std::string& text, char* to) {
    std::memcpy(to, text.data(), text.size());
    return SUCCESS;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

const char* nvrtcGetErrorString(NvrtcResult r) {
    static const char* const names[] = {"NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE", "NVRTC_ERROR_INVALID_INPUT", "NVRTC_ERROR_INVALID_PROGRAM", "NVRTC_ERROR_INVALID_OPTION",
                                        "NVRTC_ERROR_COMPILATION", "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE", "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION", "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
                                        "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID", "NVRTC_ERROR_INTERNAL_ERROR"};
    return r >= 0 && r < static_cast<int>(sizeof names / sizeof *names) ? names[r] : "NVRTC_ERROR unknown";
}

NvrtcResult nvrtcVersion(int* major, int* minor) {
    if (!major || !minor) return INVALID_INPUT;
    // No release has such a number: what a program caches by version never mixes with the real compiler's, nor with that
    // of another mode, another simulator or a removed barrier.
    unsigned long h = 5381;
    for (char c : module_stamp() + config().remove) h = h * 33 + static_cast<unsigned char>(c);
    *major = 13;
    *minor = static_cast<int>(1000000 + h % 1000000000);
    return SUCCESS;
}

NvrtcResult nvrtcGetNumSupportedArchs(int* n) {
    if (!n) return INVALID_INPUT;
    *n = 12;
    return SUCCESS;
}

NvrtcResult nvrtcGetSupportedArchs(int* archs) {
    static const int all[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
    if (!archs) return INVALID_INPUT;
    std::memcpy(archs, all, sizeof all);
    return SUCCESS;
}

NvrtcResult nvrtcCreateProgram(Program** out, const char* source, const char* name, int n, const char* const* headers, const char* const* names) {
    if (!out || !source || n < 0 || (n > 0 && (!headers || !names))) return INVALID_INPUT;
    if (!config().error.empty()) {
        Report("the simulator is not set up").row("why", config().error).emit();
        return PROGRAM_CREATION_FAILURE;
    }
    auto* p = new Program;
    p->source = source;
    p->name = name ? name : "default_program";
    for (int i = 0; i < n; ++i) p->headers.emplace_back(names[i], headers[i]);
    *out = p;
    return SUCCESS;
}

NvrtcResult nvrtcDestroyProgram(Program** p) {
    if (!p || !*p) return INVALID_PROGRAM;
    delete *p;
    *p = nullptr;
    return SUCCESS;
}

NvrtcResult nvrtcCompileProgram(Program* p, int n, const char* const* options) {
    if (!p) return INVALID_PROGRAM;
    const Options o = parse(n, options);
    if (!o.why.empty()) {
        p->log = "cuda-sim: error: " + o.why + "\n";
        return INVALID_OPTION;
    }
    return compile(*p, o);
}

// Kernels are found by their plain names; templates have none.
NvrtcResult nvrtcAddNameExpression(Program* p, const char*) { return p ? NAME_EXPRESSION_NOT_VALID : INVALID_PROGRAM; }
NvrtcResult nvrtcGetLoweredName(Program* p, const char*, const char**) { return p ? NAME_EXPRESSION_NOT_VALID : INVALID_PROGRAM; }

NvrtcResult nvrtcGetProgramLogSize(Program* p, size_t* n) {
    if (!p || !n) return INVALID_INPUT;
    *n = p->log.size() + 1;
    return SUCCESS;
}
NvrtcResult nvrtcGetProgramLog(Program* p, char* to) {
    if (!p || !to) return INVALID_INPUT;
    std::memcpy(to, p->log.c_str(), p->log.size() + 1);
    return SUCCESS;
}
NvrtcResult nvrtcGetCUBINSize(Program* p, size_t* n) {
    if (!p || !n || !p->compiled) return INVALID_PROGRAM;
    *n = p->image.size();
    return SUCCESS;
}
NvrtcResult nvrtcGetCUBIN(Program* p, char* to) { return p && to && p->compiled ? give(p->image, to) : INVALID_PROGRAM; }
NvrtcResult nvrtcGetPTXSize(Program* p, size_t* n) {
    if (!p || !n || !p->compiled) return INVALID_PROGRAM;
    *n = p->ptx.size() + 1;
    return SUCCESS;
}
NvrtcResult nvrtcGetPTX(Program* p, char* to) {
    if (!p || !to || !p->compiled) return INVALID_PROGRAM;
    to[p->ptx.size()] = 0;
    return give(p->ptx, to);
}
NvrtcResult nvrtcGetLTOIRSize(Program*, size_t*) { return INVALID_PROGRAM; }
NvrtcResult nvrtcGetLTOIR(Program*, char*) { return INVALID_PROGRAM; }
NvrtcResult nvrtcGetOptiXIRSize(Program*, size_t*) { return INVALID_PROGRAM; }
NvrtcResult nvrtcGetOptiXIR(Program*, char*) { return INVALID_PROGRAM; }

}  // extern "C"
#pragma GCC visibility pop
