#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "config.h"
#include "report.h"

namespace {

struct TlsIndex {
    size_t module, offset;
};
extern "C" void* __tls_get_addr(TlsIndex*);

/// Sizes of what the loader mapped.
int measure(dl_phdr_info* info, size_t, void* data) {
    Module& m = *static_cast<Module*>(data);
    if (info->dlpi_addr != m.image) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& h = info->dlpi_phdr[i];
        if (h.p_type == PT_TLS) m.shared_bytes = h.p_memsz;
        if (h.p_type == PT_LOAD) m.image_end = std::max<uintptr_t>(m.image_end, m.image + h.p_vaddr + h.p_memsz);
    }
    return 1;
}

/// Bytes of an image: g++ writes the table of sections last.
size_t image_size(const Elf64_Ehdr& h) { return h.e_shoff + static_cast<size_t>(h.e_shentsize) * h.e_shnum; }

LoadError finish(std::shared_ptr<Module> m, std::shared_ptr<Module>& out, std::string& why) {
    m->handle = dlopen(m->path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!m->handle) {
        why = dlerror();
        return LoadError::Broken;
    }
    const auto* stamp = static_cast<const char*>(dlsym(m->handle, "cuda_sim_stamp"));
    m->kernels = static_cast<const KernelEntry*>(dlsym(m->handle, "cuda_sim_kernels"));
    if (!stamp || !m->kernels) {
        why = "it holds no table of kernels";
        return LoadError::NotSimulated;
    }
    if (stamp != module_stamp()) {
        why = std::string("it was compiled for ") + stamp + ", this is " + module_stamp();
        return LoadError::WrongMode;
    }
    link_map* map = nullptr;
    if (dlinfo(m->handle, RTLD_DI_LINKMAP, &map) != 0 || dlinfo(m->handle, RTLD_DI_TLS_MODID, &m->storage) != 0) {
        why = dlerror();
        return LoadError::Broken;
    }
    m->image = map->l_addr;
    dl_iterate_phdr(measure, m.get());
    out = std::move(m);
    return LoadError::None;
}

std::string run(const std::string& command) {
    std::string out;
    FILE* p = popen(command.c_str(), "r");
    if (!p) return out;
    char buffer[512];
    while (const size_t n = fread(buffer, 1, sizeof buffer, p)) out.append(buffer, n);
    pclose(p);
    return out;
}

bool ends_with(const std::string& s, const char* end) {
    const size_t n = std::strlen(end);
    return s.size() >= n && s.compare(s.size() - n, n, end) == 0;
}

}  // namespace

Module::~Module() {
    if (handle) dlclose(handle);
    if (file >= 0) close(file);
}

const KernelEntry* Module::kernel(const char* name) const {
    for (const KernelEntry* k = kernels; k->name; ++k) {
        if (std::strcmp(k->name, name) == 0) return k;
    }
    return nullptr;
}

void* Module::thread_storage() const {
    TlsIndex index{storage, 0};
    return shared_bytes ? __tls_get_addr(&index) : nullptr;
}

std::string Module::source(uint32_t code) const {
    static std::mutex mutex;
    static std::map<std::pair<const Module*, uint32_t>, std::string> cache;
    std::lock_guard<std::mutex> lock(mutex);
    std::string& text = cache[{this, code}];
    if (!text.empty()) return text;
    // The instruction before the one to return to; inlined calls from the innermost outwards.
    std::istringstream lines(run(format("addr2line -Cfie %s 0x%x 2>/dev/null", path.c_str(), code - 1)));
    struct Frame {
        std::string function, place;
    };
    std::vector<Frame> frames;
    for (Frame f; std::getline(lines, f.function) && std::getline(lines, f.place);) {
        if (const size_t note = f.place.find(" (discriminator"); note != std::string::npos) f.place.resize(note);
        // Compiled in a scratch folder that is called "." in the lines.
        if (f.place.compare(0, 2, "./") == 0) f.place.erase(0, 2);
        if (f.place.find("cuda_sim.h:") == std::string::npos) frames.push_back(f);
    }
    // A line of ptx.cuh says less than the line that called it.
    const auto helper = [](const Frame& f) { return f.place.find("ptx.cuh:") != std::string::npos; };
    while (frames.size() > 1 && helper(frames.front())) frames.erase(frames.begin());
    if (frames.empty() || ends_with(frames[0].place, "?") || ends_with(frames[0].place, ":0")) {
        text = format("offset 0x%x of the module (addr2line finds no line)", code - 1);
    } else {
        text = frames[0].place + " in " + frames[0].function;
        if (frames.size() > 1) text += ", called from " + frames.back().place + " in " + frames.back().function;
    }
    return text;
}

LoadError load_file(const std::string& path, std::shared_ptr<Module>& out, std::string& why) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream bytes;
    if (!(bytes << file.rdbuf())) {
        why = "cannot read " + path;
        return LoadError::Broken;
    }
    return load(bytes.str().c_str(), out, why);
}

LoadError load(const void* image, std::shared_ptr<Module>& out, std::string& why) {
    const auto* bytes = static_cast<const char*>(image);
    if (std::strncmp(bytes, PTX_PREFIX, sizeof PTX_PREFIX - 1) == 0) {
        const char* path = bytes + sizeof PTX_PREFIX - 1;
        return load_file(std::string(path, std::strcspn(path, "\n")), out, why);
    }
    Elf64_Ehdr header;
    if (std::memcmp(bytes, ELFMAG, SELFMAG) != 0) {
        why = "neither an image nor PTX made by the simulator's libnvrtc: a fatbin or PTX of the real compiler does not run here";
        return LoadError::NotSimulated;
    }
    std::memcpy(&header, bytes, sizeof header);
    if (header.e_machine != EM_X86_64) {
        why = "a cubin of the real compiler: it does not run here";
        return LoadError::NotSimulated;
    }
    auto m = std::make_shared<Module>();
    m->file = memfd_create("cuda-sim", 0);
    if (m->file < 0) {
        why = std::strerror(errno);
        return LoadError::Broken;
    }
    for (size_t done = 0, size = image_size(header); done < size;) {
        const ssize_t n = write(m->file, bytes + done, size - done);
        if (n <= 0) {
            why = std::strerror(errno);
            return LoadError::Broken;
        }
        done += static_cast<size_t>(n);
    }
    // By process, so that addr2line can read it, too.
    m->path = format("/proc/%d/fd/%d", getpid(), m->file);
    return finish(std::move(m), out, why);
}

Resources resources(const std::string& kernel) {
    // Columns: kernel, compute capability, registers, static shared bytes, spilled bytes. A kernel compiled with several
    // sets of options has several rows: the largest counts.
    static const std::map<std::string, Resources> table = [] {
        std::map<std::string, Resources> t;
        std::ifstream file(config().limits);
        for (std::string line; std::getline(file, line);) {
            std::istringstream columns(line);
            std::string name;
            unsigned arch = 0;
            Resources r;
            if (!(columns >> name >> arch >> r.registers >> r.shared) || arch != config().arch) continue;
            Resources& all = t[name];
            all = {true, std::max(all.registers, r.registers), std::max(all.shared, r.shared)};
        }
        return t;
    }();
    const auto found = table.find(kernel);
    return found == table.end() ? Resources{} : found->second;
}
