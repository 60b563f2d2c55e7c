#include "cases.h"

#include <cmath>

namespace {

constexpr int ILLEGAL_ADDRESS = 700, MISALIGNED = 716, LAUNCH_FAILED = 719;

template <class T>
void expect(std::string& problem, const char* what, const std::vector<T>& got, const std::vector<T>& want) {
    if (!problem.empty()) return;
    for (size_t i = 0; i < want.size(); ++i) {
        if (i < got.size() && std::memcmp(&got[i], &want[i], sizeof(T)) == 0) continue;
        std::ostringstream s;
        s << what << ": element " << i << " is " << (i < got.size() ? +got[i] : T{}) << ", not " << +want[i];
        problem = s.str();
        return;
    }
}
void expect(std::string& problem, const char* what, bool holds) {
    if (problem.empty() && !holds) problem = what;
}

/// Whole numbers, so that sums are exact in any order.
std::vector<float> whole(size_t n) {
    std::vector<float> x(n);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i % 7) - 2.0f;
    return x;
}
template <class T>
std::vector<T> noise(size_t n, uint64_t seed = 1) {
    std::vector<T> x(n);
    for (T& v : x) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        v = static_cast<T>(seed >> 33);
    }
    return x;
}

float half(uint16_t h) {
    const int e = h >> 10 & 31, m = h & 1023;
    const float v = e == 0 ? std::ldexp(static_cast<float>(m), -24) : e == 31 ? (m ? NAN : INFINITY) : std::ldexp(static_cast<float>(1024 + m), e - 25);
    return h & 0x8000 ? -v : v;
}

/// Sums of every block of a grid that strides over x.
std::vector<float> strided_sums(const std::vector<float>& x, unsigned grid, unsigned block) {
    std::vector<float> sums(grid);
    for (size_t i = 0; i < x.size(); ++i) sums[i / block % grid] += x[i];
    return sums;
}

using Body = std::function<void(Device&, std::string&)>;

/// What a missing barrier shows as: the reader may come before anything was written, or a copy may still be on its way.
const char* const MISSING_BARRIER = "race|uninitialised read|asynchronous copy not waited for";
const char* const MISSING_GRID_BARRIER = "race between blocks|uninitialised read";

class List {
  public:
    /// A program that is right in both modes.
    void correct(const std::string& name, Body body) {
        Case c;
        c.name = name;
        c.run = std::move(body);
        all.push_back(std::move(c));
    }
    /// One that only the simulator can be asked.
    void simulated(const std::string& name, Body body) {
        correct(name, std::move(body));
        all.back().simulator_only = true;
    }
    /// One planted mistake, which checked mode names.
    Case& planted(const std::string& name, const char* report, int error, std::vector<const char*> words, Body body) {
        Case c;
        c.name = name;
        c.run = std::move(body);
        c.report = report;
        c.error = error;
        c.words = std::move(words);
        c.checked_only = true;
        all.push_back(std::move(c));
        return all.back();
    }
    /// One that quick mode finds as well.
    void planted_anywhere(const std::string& name, const char* report, int error, std::vector<const char*> words, Body body) {
        Case& c = planted(name, report, error, std::move(words), std::move(body));
        c.checked_only = false;
        c.report_quick = report;
        c.error_quick = error;
    }
    std::vector<Case> all;
};

void sums(List& l) {
    const auto block_sum = [](const char* kernel, unsigned shared, int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(5000);
            const unsigned grid = 3 * d.sms();
            const uintptr_t in = d.put(x), out = d.zeros<float>(grid);
            d.launch(kernel, {grid, 256, shared}, in, out, static_cast<int>(x.size()), plant);
            if (d.sync() == 0) expect(problem, kernel, d.get<float>(out, grid), strided_sums(x, grid, 256));
        };
    };
    for (const char* k : {"sums.cu:block_sum", "sums.cu:block_sum_by_last_warp", "sums.cu:tree_sum"}) {
        const std::string name = std::string(k).substr(8);
        l.correct("sums/" + name, block_sum(k, 32, 0));
        l.planted("sums/" + name + "/removed-barrier", MISSING_BARRIER, LAUNCH_FAILED, {k + 8, "at       sums.cu:", "in "}, block_sum(k, 32, 1));
    }
    l.planted("sums/tree_sum/removed-one-level", MISSING_BARRIER, LAUNCH_FAILED, {"tree_sum"}, block_sum("sums.cu:tree_sum", 0, 2));

    const auto reversed = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(4 * 128);
            const uintptr_t in = d.put(x), out = d.zeros<float>(2 * 128);
            d.launch("sums.cu:reversed_rounds", {2, 128, 512}, in, out, plant);
            std::vector<float> want(256);
            for (size_t t = 0; t < 256; ++t) {
                for (size_t r = 0; r < 4; ++r) want[t] += x[r * 128 + 127 - t % 128];
            }
            if (d.sync() == 0) expect(problem, "reversed_rounds", d.get<float>(out, 256), want);
        };
    };
    l.correct("sums/reversed_rounds", reversed(0));
    l.planted("sums/reversed_rounds/removed-before-read", MISSING_BARRIER, LAUNCH_FAILED, {"of dynamic shared memory"}, reversed(1));
    l.planted("sums/reversed_rounds/removed-before-write", MISSING_BARRIER, LAUNCH_FAILED, {"of dynamic shared memory"}, reversed(2));

    const auto exchange = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(256);
            const uintptr_t in = d.put(x), out = d.zeros<float>(256);
            d.launch("sums.cu:warp_exchange", {1, 256}, in, out, plant);
            std::vector<float> want(256);
            for (size_t t = 0; t < 256; ++t) want[t] = 3.0f * x[t / 32 * 32 + 31 - t % 32] + 3.0f;
            if (d.sync() == 0) expect(problem, "warp_exchange", d.get<float>(out, 256), want);
        };
    };
    l.correct("sums/warp_exchange", exchange(0));
    l.planted("sums/warp_exchange/removed-before-read", MISSING_BARRIER, LAUNCH_FAILED, {}, exchange(1));
    l.planted("sums/warp_exchange/removed-before-write", MISSING_BARRIER, LAUNCH_FAILED, {}, exchange(2));
    l.planted("sums/warp_exchange/vote-instead-of-barrier", MISSING_BARRIER, LAUNCH_FAILED, {}, exchange(3));

    const auto hand_over = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(5 * 64);
            const uintptr_t in = d.put(x), out = d.zeros<float>(x.size());
            d.launch("sums.cu:hand_over", {1, 128}, in, out, 5, plant);
            std::vector<float> want(x.size());
            for (size_t i = 0; i < x.size(); ++i) want[i] = x[i / 64 * 64 + 63 - i % 64];
            if (d.sync() == 0) expect(problem, "hand_over", d.get<float>(out, x.size()), want);
        };
    };
    l.correct("sums/hand_over", hand_over(0));
    l.planted("sums/hand_over/removed-before-reuse", MISSING_BARRIER, LAUNCH_FAILED, {}, hand_over(1));
    l.planted("sums/hand_over/removed-before-read", "race|uninitialised read|deadlock", LAUNCH_FAILED, {}, hand_over(2));

    const auto narrow = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const auto x = noise<unsigned short>(256);
            const uintptr_t in = d.put(x), out = d.raw(512), bytes = d.raw(256);
            d.launch("sums.cu:narrow", {1, 256}, in, out, bytes, plant);
            std::vector<unsigned short> want(256);
            std::vector<signed char> small(256);
            for (size_t t = 0; t < 256; ++t) want[t] = x[255 - t], small[t] = static_cast<signed char>(t ^ 1);
            if (d.sync()) return;
            expect(problem, "halves", d.get<unsigned short>(out, 256), want);
            expect(problem, "bytes", d.get<signed char>(bytes, 256), small);
        };
    };
    l.correct("sums/narrow", narrow(0));
    l.planted("sums/narrow/removed-barrier", MISSING_BARRIER, LAUNCH_FAILED, {}, narrow(1));
    l.planted("sums/narrow/two-threads-one-byte", "race", LAUNCH_FAILED, {"writes 1 bytes", "allocation"}, narrow(2));

    const auto histogram = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const auto x = noise<unsigned>(3000);
            const uintptr_t in = d.put(x), out = d.zeros<unsigned>(16);
            d.launch("sums.cu:histogram", {1, 128}, in, out, 3000, plant);
            std::vector<unsigned> want(16);
            for (unsigned v : x) ++want[v & 15];
            if (d.sync() == 0) expect(problem, "histogram", d.get<unsigned>(out, 16), want);
        };
    };
    l.correct("sums/histogram", histogram(0));
    l.planted("sums/histogram/removed-after-clearing", MISSING_BARRIER, LAUNCH_FAILED, {}, histogram(1));
    l.planted("sums/histogram/removed-before-reading", MISSING_BARRIER, LAUNCH_FAILED, {}, histogram(2));

    l.correct("sums/counted", [](Device& d, std::string& problem) {
        const std::vector<float> x = whole(192);
        const uintptr_t in = d.put(x), out = d.zeros<int>(2);
        d.launch("sums.cu:counted", {2, 192}, in, out, 0);
        int positive = 0;
        for (float v : x) positive += v > 0.0f;
        d.sync();
        expect(problem, "counted", d.get<int>(out, 2), {positive + 2000, positive + 2000});
    });
}

void bounds(List& l) {
    const auto shift = [](int plant, int n = 1000) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(static_cast<size_t>(n));
            const uintptr_t in = d.put(x), out = d.raw(x.size() * 4), untouched = d.raw(64);
            d.launch("bounds.cu:shift", {static_cast<unsigned>(n + 128) / 128, 128}, in, out, untouched, n, plant);
            std::vector<float> want = x;
            for (float& v : want) v += 1.0f;
            if (d.sync() == 0) expect(problem, "shift", d.get<float>(out, x.size()), want);
        };
    };
    l.correct("bounds/shift", shift(0));
    l.planted("bounds/write-past-end", "out of bounds", ILLEGAL_ADDRESS, {"writes 4 bytes", "0 bytes past the end of allocation", "(4000 bytes, cuMemAlloc)", "bounds.cu:", "in shift", "block ("}, shift(1));
    // A buffer that ends at a page is caught without looking.
    l.planted_anywhere("bounds/write-past-page", "out of bounds", ILLEGAL_ADDRESS, {"past the end of"}, shift(1, 1024));
    l.planted("bounds/read-past-end", "out of bounds", ILLEGAL_ADDRESS, {"reads 4 bytes", "past the end of"}, shift(2));
    l.planted("bounds/uninitialised-global", "uninitialised read", LAUNCH_FAILED, {"nobody wrote", "byte 12 of allocation", "(64 bytes, cuMemAlloc)"}, shift(3));
    l.planted_anywhere("bounds/null-pointer", "illegal address", ILLEGAL_ADDRESS, {"a null pointer"}, shift(4));
    l.planted("bounds/misaligned-vector", "misaligned access", MISALIGNED, {"float4", "multiple of 16"}, shift(5));
    l.planted_anywhere("bounds/division-by-zero", "integer division by zero", LAUNCH_FAILED, {}, shift(6));

    l.planted("bounds/host-pointer", "illegal address", ILLEGAL_ADDRESS, {"a host pointer?"}, [](Device& d, std::string&) {
        static std::vector<float> host(256, 1.0f);
        const uintptr_t out = d.raw(1024);
        d.launch("bounds.cu:shift", {2, 128}, host.data(), out, out, 256, 0);
        d.sync();
    });
    l.planted_anywhere("bounds/use-after-free", "use after free", ILLEGAL_ADDRESS, {"freed allocation"}, [](Device& d, std::string&) {
        const uintptr_t in = d.put(whole(256)), out = d.raw(1024);
        d.free(in);
        d.launch("bounds.cu:shift", {2, 128}, in, out, out, 256, 0);
        d.sync();
    });

    const auto edges = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t out = d.raw(4 * 128);
            d.launch("bounds.cu:shared_edges", {2, 64, 256}, out, plant);
            if (d.sync() == 0) expect(problem, "shared_edges", d.get<float>(out, 128), std::vector<float>(128, 3.0f));
        };
    };
    l.correct("bounds/shared_edges", edges(0));
    l.planted("bounds/uninitialised-static", "uninitialised read", LAUNCH_FAILED, {"static shared memory"}, edges(1));
    l.planted("bounds/uninitialised-dynamic", "uninitialised read", LAUNCH_FAILED, {"dynamic shared memory"}, edges(2));
    l.planted("bounds/past-static", "out of bounds", ILLEGAL_ADDRESS, {"float [64]"}, edges(3));
    l.planted("bounds/past-dynamic", "illegal address", ILLEGAL_ADDRESS, {"0 bytes past the end of the block's 256 bytes of dynamic shared memory"}, edges(4));

    const auto coherent = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t x = d.zeros<float>(64), w = d.put(std::vector<unsigned>(256, 0x40000000u)), y = d.raw(256);
            d.launch("bounds.cu:non_coherent", {1, 64}, x, w, y, plant);
            if (d.sync() == 0) expect(problem, "non_coherent", d.get<float>(y, 64), std::vector<float>(64, 2.0f));
        };
    };
    l.correct("bounds/non_coherent", coherent(0));
    l.planted("bounds/non-coherent-load-of-written", "non-coherent load of memory that the kernel writes", LAUNCH_FAILED, {}, coherent(1));

    const auto prefetch = [](unsigned bytes) {
        return [=](Device& d, std::string&) {
            const uintptr_t x = d.put(whole(64)), y = d.raw(256);
            d.launch("bounds.cu:prefetches", {1, 64}, x, y, bytes);
            d.sync();
        };
    };
    l.correct("bounds/prefetches", prefetch(256));
    l.planted("bounds/prefetch-past-end", "out of bounds", ILLEGAL_ADDRESS, {"prefetch_l2"}, prefetch(272));
    l.planted_anywhere("bounds/prefetch-odd-size", "misaligned access", MISALIGNED, {"prefetch_l2"}, prefetch(40));

    const auto local = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t y = d.raw(256);
            d.launch("bounds.cu:local_arrays", {1, 64}, y, plant);
            std::vector<float> want(64);
            for (size_t i = 0; i < 64; ++i) want[i] = static_cast<float>(i & 7);
            if (d.sync() == 0) expect(problem, "local_arrays", d.get<float>(y, 64), want);
        };
    };
    l.correct("bounds/local_arrays", local(0));
    l.planted("bounds/local-array-of-another", "illegal address", ILLEGAL_ADDRESS, {"another thread's local memory"}, local(1));

    l.correct("bounds/by_value", [](Device& d, std::string& problem) {
        struct {
            int rows, columns;
            uintptr_t data;
        } shape{4, 8, d.put(whole(32))};
        const uintptr_t y = d.raw(128);
        d.launch("bounds.cu:by_value", {1, 32}, shape, static_cast<unsigned char>(3), 0.5, y);
        const std::vector<float> x = whole(32);
        std::vector<float> want(32);
        for (size_t i = 0; i < 32; ++i) want[i] = x[i] * static_cast<float>(1 << (i & 3)) + 3.5f;
        d.sync();
        expect(problem, "by_value", d.get<float>(y, 32), want);
    });
}

void meetings(List& l) {
    const auto barriers = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t out = d.raw(4 * 128);
            d.launch("meetings.cu:barriers", {2, 64}, out, plant);
            if (d.sync() == 0) expect(problem, "barriers", d.get<int>(out, 128), std::vector<int>(128, 7));
        };
    };
    l.correct("meetings/barriers", barriers(0));
    l.planted_anywhere("meetings/another-line", "divergent barrier", LAUNCH_FAILED, {"meetings.cu:9", "meetings.cu:13"}, barriers(1));
    l.planted_anywhere("meetings/never-arrives", "divergent barrier", LAUNCH_FAILED, {"(3,0,0)", "ended"}, barriers(2));
    l.planted_anywhere("meetings/in-a-branch", "divergent barrier", LAUNCH_FAILED, {}, barriers(3));

    const auto lanes = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t out = d.raw(4 * 64);
            d.launch("meetings.cu:lanes", {1, 64}, out, plant);
            std::vector<int> want(64);
            for (int t = 0; t < 64; ++t) want[static_cast<size_t>(t)] = plant == 1 ? (t % 32 < 16 ? t + (t ^ 1) : t) : t + (t ^ 16);
            if (d.sync() == 0) expect(problem, "lanes", d.get<int>(out, 64), want);
        };
    };
    l.correct("meetings/lanes", lanes(0));
    // The lanes that end count as arrived; what they would have given is missing then.
    l.correct("meetings/ended-lanes-are-not-waited-for", lanes(1));
    l.planted_anywhere("meetings/not-in-mask", "warp operation outside its mask", LAUNCH_FAILED, {"0000ffff"}, lanes(2));
    l.planted_anywhere("meetings/shuffle-from-ended-lane", "shuffle from a lane that takes no part", LAUNCH_FAILED, {"reads lane 30"}, lanes(3));
    l.planted_anywhere("meetings/two-operations", "divergent warp operation", LAUNCH_FAILED, {"__ballot_sync", "__shfl_xor_sync"}, lanes(4));
    l.planted_anywhere("meetings/shuffle-from-outside-mask", "shuffle from a lane that takes no part", LAUNCH_FAILED, {"reads lane 20"}, lanes(5));

    l.correct("meetings/warp_operations", [](Device& d, std::string& problem) {
        const uintptr_t out = d.raw(4 * 2 * 16 * 32);
        d.launch("meetings.cu:warp_operations", {1, 64}, out);
        std::vector<unsigned> want(2 * 16 * 32);
        for (unsigned i = 0; i < 64; ++i) {
            const unsigned lane = i % 32;
            unsigned* o = &want[512 * (i / 32) + lane];
            o[0] = 5;
            o[32] = lane / 8 * 8 + (lane + 3) % 8;
            o[64] = lane < 2 ? lane : lane - 2;
            o[96] = lane % 16 + 2 < 16 ? lane + 2 : lane;
            o[128] = lane ^ 9;
            o[160] = 0x49249249u;
            o[192] = 1;
            o[224] = 0xfu << lane / 4 * 4;
            o[256] = 0xffffffffu;
            o[288] = 1;
            o[320] = 496;
            o[352] = static_cast<unsigned>(-7);
            o[384] = 93;
            o[416] = 0;
            o[448] = lane >= 16 ? lane ^ 1 : 99;
            o[480] = 2 * (lane ^ 1) + 1;
        }
        d.sync();
        expect(problem, "warp_operations", d.get<unsigned>(out, want.size()), want);
    });

    l.planted_anywhere("meetings/endless", "deadlock", LAUNCH_FAILED, {"poll at meetings.cu:", "nothing changes"}, [](Device& d, std::string&) {
        const uintptr_t flag = d.zeros<unsigned>(1), out = d.raw(256);
        d.launch("meetings.cu:endless", {2, 64}, flag, out);
        d.sync();
    });
    l.planted_anywhere("meetings/trap", "trap", LAUNCH_FAILED, {"meetings.cu:", "(5,0,0)"}, [](Device& d, std::string&) {
        std::vector<unsigned> x(64);
        for (unsigned i = 0; i < 64; ++i) x[i] = i;
        d.launch("meetings.cu:traps", {1, 64}, d.put(x));
        d.sync();
    });
}

void grids(List& l) {
    const auto ring = [](const char* kernel, int plant, bool cooperative = true) {
        return [=](Device& d, std::string& problem) {
            const unsigned n = d.sms();
            const uintptr_t slots = d.raw(8 * n), state = d.zeros<unsigned>(1), out = d.raw(4 * n);
            const int rounds = 5;
            Launch launch{n, 64};
            launch.cooperative = cooperative;
            // Twice: the barrier's word is ready for the next launch.
            for (int again = 0; again < 2; ++again) d.launch(kernel, launch, slots, state, out, rounds, plant);
            std::vector<unsigned> want(n);
            for (unsigned b = 0; b < n; ++b) want[b] = (b + static_cast<unsigned>(rounds)) % n + static_cast<unsigned>(rounds);
            if (d.sync() == 0) expect(problem, kernel, d.get<unsigned>(out, n), want);
        };
    };
    l.correct("grids/ring", ring("grids.cu:ring", 0));
    l.planted("grids/ring/removed-grid-barrier", MISSING_GRID_BARRIER, LAUNCH_FAILED, {"no grid barrier, acquire or release"}, ring("grids.cu:ring", 1));
    l.correct("grids/ring_of_one", ring("grids.cu:ring_of_one", 0));
    l.planted("grids/ring_of_one/removed-second-barrier", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, ring("grids.cu:ring_of_one", 1));
    l.planted_anywhere("grids/not-cooperative", "grid barrier in a launch that is not cooperative", LAUNCH_FAILED, {}, ring("grids.cu:ring", 0, false));

    const auto last = [](const char* kernel, float factor, int plant) {
        return [=](Device& d, std::string& problem) {
            const unsigned n = 3 * d.sms();
            const std::vector<float> x = whole(64 * n);
            const uintptr_t in = d.put(x), parts = d.raw(256 * n), count = d.zeros<unsigned>(1), out = d.raw(4);
            d.launch(kernel, {n, 64}, in, parts, count, out, plant);
            float want = 0.0f;
            for (float v : x) want += factor * v;
            if (d.sync() == 0) expect(problem, kernel, d.get<float>(out, 1), {want});
        };
    };
    l.correct("grids/last_block", last("grids.cu:last_block", 2.0f, 0));
    l.planted("grids/last_block/removed-barrier", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, last("grids.cu:last_block", 2.0f, 1));
    l.planted("grids/last_block/relaxed-counter", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, last("grids.cu:last_block", 2.0f, 2));
    l.correct("grids/last_block_by_fences", last("grids.cu:last_block_by_fences", 1.0f, 0));
    l.planted("grids/last_block_by_fences/removed-first-fence", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, last("grids.cu:last_block_by_fences", 1.0f, 1));
    l.planted("grids/last_block_by_fences/removed-second-fence", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, last("grids.cu:last_block_by_fences", 1.0f, 2));

    const auto flag = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const unsigned n = d.sms();
            const uintptr_t words = d.zeros<unsigned long long>(n), out = d.raw(4 * n);
            Launch launch{n, 32};
            launch.cooperative = true;
            d.launch("grids.cu:flag_with_data", launch, words, out, plant);
            std::vector<unsigned> want(n);
            for (unsigned b = 0; b < n; ++b) want[b] = (b + 1) % n * 3;
            if (d.sync() == 0) expect(problem, "flag_with_data", d.get<unsigned>(out, n), want);
        };
    };
    l.correct("grids/flag_with_data", flag(0));
    l.planted("grids/flag_with_data/plain-load", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, flag(1));

    const auto beside = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const unsigned n = d.sms();
            const uintptr_t data = d.raw(256 * n), flags = d.zeros<unsigned>(n), out = d.raw(256 * n);
            Launch launch{n, 64};
            launch.cooperative = true;
            d.launch("grids.cu:flag_beside_data", launch, data, flags, out, plant);
            std::vector<unsigned> want(64 * n);
            for (unsigned i = 0; i < 64 * n; ++i) want[i] = (i / 64 + 1) % n * 1000 + i % 64;
            if (d.sync() == 0) expect(problem, "flag_beside_data", d.get<unsigned>(out, want.size()), want);
        };
    };
    l.correct("grids/flag_beside_data", beside(0));
    l.planted("grids/flag_beside_data/removed-barrier-before-release", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, beside(1));
    l.planted("grids/flag_beside_data/relaxed-store", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, beside(2));
    l.planted("grids/flag_beside_data/relaxed-load", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, beside(3));
    l.planted("grids/flag_beside_data/removed-barrier-after-acquire", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, beside(4));

    const auto everybody = [](int plant) {
        return [=](Device& d, std::string&) {
            const unsigned n = 2 * d.sms();
            d.launch("grids.cu:everybody_writes", {n, 32}, d.raw(4 * n), plant);
            d.sync();
        };
    };
    l.correct("grids/everybody_writes", everybody(0));
    l.planted("grids/two-blocks-one-word", "race between blocks", LAUNCH_FAILED, {}, everybody(1));

    const auto clusters = [](int plant, unsigned size, unsigned grid) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t slots = d.raw(4 * grid), out = d.raw(4 * grid);
            Launch launch{grid, 64};
            launch.cluster = size;
            d.launch("grids.cu:clusters", launch, slots, out, plant);
            std::vector<unsigned> want(grid);
            for (unsigned b = 0; b < grid; ++b) {
                for (unsigned r = 0; r < size; ++r) want[b] += b / size * size + r + 100;
            }
            if (d.sync() == 0 && !d.error) expect(problem, "clusters", d.get<unsigned>(out, grid), want);
        };
    };
    l.correct("grids/clusters", clusters(0, 4, 12));
    l.planted("grids/clusters/removed-barrier", MISSING_GRID_BARRIER, LAUNCH_FAILED, {}, clusters(1, 4, 12));
    l.planted_anywhere("grids/cluster-of-3-in-8", "launch refused", 912, {"multiple of the cluster"}, clusters(0, 3, 8));
}

void copies(List& l) {
    const auto staged = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(5 * 256);
            const uintptr_t in = d.put(x), out = d.raw(x.size() * 4);
            d.launch("copies.cu:staged", {1, 64}, in, out, 5, plant);
            std::vector<float> want(x.size());
            for (size_t r = 0; r < 5; ++r) {
                for (size_t i = 0; i < 256; ++i) want[r * 256 + i] = 2.0f * x[r * 256 + (63 - i / 4) * 4 + i % 4];
            }
            if (d.sync() == 0) expect(problem, "staged", d.get<float>(out, x.size()), want);
        };
    };
    l.correct("copies/staged", staged(0));
    l.correct("copies/staged/waits-for-all", staged(2));
    l.planted("copies/staged/waits-for-too-few", "asynchronous copy not waited for", LAUNCH_FAILED, {"copies.cu:"}, staged(1));
    l.planted("copies/staged/removed-barrier-after-wait", MISSING_BARRIER, LAUNCH_FAILED, {}, staged(3));
    l.planted("copies/staged/removed-barrier-before-reuse", MISSING_BARRIER, LAUNCH_FAILED, {}, staged(4));

    l.correct("copies/zero_filled", [](Device& d, std::string& problem) {
        const std::vector<float> x = whole(256);
        const uintptr_t in = d.put(x), out = d.zeros<float>(512);
        d.launch("copies.cu:zero_filled", {1, 64, 64 * 16 + 256}, in, out, 40);
        std::vector<float> want(512);
        for (size_t t = 0; t < 64; ++t) {
            for (size_t k = 0; k < 4; ++k) want[4 * t + k] = 63 - t < 40 ? x[4 * (63 - t) + k] : 0.0f;
            want[4 * (64 + t)] = x[(63 - t) % 4];
        }
        d.sync();
        expect(problem, "zero_filled", d.get<float>(out, 512), want);
    });

    const auto bulk = [](int plant) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> x = whole(7 * 128);
            const uintptr_t in = d.put(x), out = d.raw(x.size() * 4);
            d.launch("copies.cu:bulk", {1, 128, 1024}, in, out, 7, plant);
            std::vector<float> want(x.size());
            for (size_t r = 0; r < 7; ++r) {
                for (size_t i = 0; i < 128; ++i) want[r * 128 + i] = 2.0f * x[r * 128 + 127 - i];
            }
            if (d.sync() == 0) expect(problem, "bulk", d.get<float>(out, x.size()), want);
        };
    };
    l.correct("copies/bulk", bulk(0));
    l.planted("copies/bulk/removed-barrier-after-init", "mbarrier never initialised|race", LAUNCH_FAILED, {}, bulk(1));
    l.planted_anywhere("copies/bulk/wrong-bytes", "deadlock", LAUNCH_FAILED, {"496 bytes announced, copies of 512 bytes started"}, bulk(2));
    l.planted("copies/bulk/no-wait-for-full", MISSING_BARRIER, LAUNCH_FAILED, {}, bulk(3));
    // The producer may also run so far ahead that the others miss a whole phase.
    l.planted("copies/bulk/no-wait-for-empty", "race|asynchronous copy not waited for|deadlock", LAUNCH_FAILED, {}, bulk(4));

    const auto misaligned = [](int plant) {
        return [=](Device& d, std::string&) {
            d.launch("copies.cu:misaligned_copies", {1, 32}, d.put(whole(64)), d.raw(4), plant);
            d.sync();
        };
    };
    l.correct("copies/bulk-of-256-bytes", misaligned(0));
    l.planted_anywhere("copies/cp_async-misaligned", "misaligned access", MISALIGNED, {"the source of cp_async"}, misaligned(1));
    l.planted_anywhere("copies/bulk-of-24-bytes", "misaligned access", MISALIGNED, {"bytes of bulk_load"}, misaligned(2));
    l.planted_anywhere("copies/no-init", "mbarrier never initialised", LAUNCH_FAILED, {}, misaligned(3));
}

void tensors(List& l) {
    // Small whole numbers: every sum is exact.
    std::vector<uint16_t> a(256), b(128), ab(256), bb(128);
    const auto small = noise<unsigned>(384, 7);
    const auto to_half = [](int v) { return static_cast<uint16_t>(v == 0 ? 0 : (v < 0 ? 0x8000 : 0) | (v == 1 || v == -1 ? 0x3c00 : v == 2 || v == -2 ? 0x4000 : 0x4200)); };
    const auto to_bfloat = [](int v) {
        const float f = static_cast<float>(v);
        uint32_t u;
        std::memcpy(&u, &f, 4);
        return static_cast<uint16_t>(u >> 16);
    };
    std::vector<int> av(256), bv(128);
    for (size_t i = 0; i < 256; ++i) av[i] = static_cast<int>(small[i] % 7) - 3, a[i] = to_half(av[i]), ab[i] = to_bfloat(av[i]);
    for (size_t i = 0; i < 128; ++i) bv[i] = static_cast<int>(small[256 + i] % 7) - 3, b[i] = to_half(bv[i]), bb[i] = to_bfloat(bv[i]);
    std::vector<float> want(128, 1.0f);
    for (size_t m = 0; m < 16; ++m) {
        for (size_t n = 0; n < 8; ++n) {
            for (size_t k = 0; k < 16; ++k) want[m * 8 + n] += static_cast<float>(av[m * 16 + k] * bv[k * 8 + n]);
        }
    }
    l.correct("tensors/tile_f16", [=](Device& d, std::string& problem) {
        const uintptr_t out = d.raw(512);
        d.launch("tensors.cu:tile_f16", {1, 32}, d.put(a), d.put(b), out, 0);
        d.sync();
        expect(problem, "f16", d.get<float>(out, 128), want);
        d.launch("tensors.cu:tile_f16", {1, 32}, d.put(ab), d.put(bb), out, 1);
        d.sync();
        expect(problem, "bf16", d.get<float>(out, 128), want);
    });
    const auto by_ldmatrix = [=](int plant) {
        return [=](Device& d, std::string& problem) {
            const uintptr_t out = d.raw(512);
            d.launch("tensors.cu:tile_ldmatrix", {1, 32}, d.put(a), d.put(b), out, plant);
            if (d.sync() == 0) expect(problem, "ldmatrix", d.get<float>(out, 128), want);
        };
    };
    l.correct("tensors/tile_ldmatrix", by_ldmatrix(0));
    l.planted("tensors/tile_ldmatrix/removed-barrier", MISSING_BARRIER, LAUNCH_FAILED, {"tensors.cu:"}, by_ldmatrix(1));
    l.planted_anywhere("tensors/tile_ldmatrix/misaligned-row", "misaligned access", MISALIGNED, {"a row of ldmatrix"}, by_ldmatrix(2));
    l.planted_anywhere("tensors/tile_ldmatrix/lane-missing", "divergent warp operation", LAUNCH_FAILED, {"mma_f16"}, by_ldmatrix(3));

    l.correct("tensors/tile_s8", [](Device& d, std::string& problem) {
        const auto x = noise<signed char>(16 * 32, 3), y = noise<signed char>(8 * 32, 4);
        const uintptr_t out = d.raw(512);
        d.launch("tensors.cu:tile_s8", {1, 32}, d.put(x), d.put(y), out);
        std::vector<int> sums(128, 5);
        for (size_t m = 0; m < 16; ++m) {
            for (size_t n = 0; n < 8; ++n) {
                for (size_t k = 0; k < 32; ++k) sums[m * 8 + n] += x[m * 32 + k] * y[n * 32 + k];
            }
        }
        d.sync();
        expect(problem, "s8", d.get<int>(out, 128), sums);
    });
}

void dependents(List& l) {
    // Each kernel reads what the one before wrote; the weights are written by nobody.
    const auto chain = [](int plant, bool in_graph) {
        return [=](Device& d, std::string& problem) {
            const std::vector<float> w(512, 2.0f), x = whole(512);
            uintptr_t weights = d.put(w), a = d.put(x), b = d.raw(2048);
            void *stream = nullptr, *graph = nullptr, *exec = nullptr;
            d.keep(cuStreamCreate(&stream, 1));
            void* scale = d.kernel("dependents.cu:scale");
            Launch launch{4, 128};
            launch.stream = stream;
            launch.dependent = true;
            if (in_graph) d.keep(cuStreamBeginCapture_v2(stream, 1));
            for (int i = 0; i < 4; ++i) {
                d.launch(scale, launch, weights, a, b, i == 2 ? plant : 0);
                std::swap(a, b);
            }
            if (in_graph) {
                d.keep(cuStreamEndCapture(stream, &graph));
                if (!d.keep(cuGraphInstantiateWithFlags(&exec, graph, 0))) d.keep(cuGraphLaunch(exec, stream));
            }
            std::vector<float> want = x;
            for (float& v : want) v *= 16.0f;
            if (!d.keep(cuStreamSynchronize(stream))) expect(problem, "chain", d.get<float>(a, 512), want);
            if (exec) cuGraphExecDestroy(exec);
            if (graph) cuGraphDestroy(graph);
            cuStreamDestroy_v2(stream);
        };
    };
    l.correct("dependents/chain", chain(0, false));
    l.correct("dependents/chain-in-a-graph", chain(0, true));
    l.planted("dependents/read-before-wait", "read before the dependency wait", LAUNCH_FAILED, {"scale<<<(4,1,1), (128,1,1), 0 bytes>>>", "dependents.cu:"}, chain(2, false));
    l.planted("dependents/read-before-wait-in-a-graph", "read before the dependency wait", LAUNCH_FAILED, {"of a graph"}, chain(2, true));
    l.planted("dependents/store-before-wait", "store before the dependency wait", LAUNCH_FAILED, {}, chain(3, false));
    l.planted_anywhere("dependents/no-wait", "missing dependency wait|read before the dependency wait|store before the dependency wait", LAUNCH_FAILED, {}, chain(4, false));

    const auto two_back = [](int plant) {
        return [=](Device& d, std::string&) {
            const uintptr_t w = d.put(std::vector<float>(512, 2.0f)), x = d.put(whole(512)), a = d.zeros<float>(512), b = d.raw(2048), c = d.raw(2048);
            void* stream = nullptr;
            d.keep(cuStreamCreate(&stream, 1));
            Launch launch{4, 128};
            launch.stream = stream;
            launch.dependent = true;
            d.launch("dependents.cu:scale", launch, w, x, a, 0);        // writes a
            d.launch("dependents.cu:scale", launch, w, x, b, plant);    // may let the next start while the first still runs
            d.launch("dependents.cu:scale_reading_old", launch, a, b, c);  // reads a before its wait
            d.keep(cuStreamSynchronize(stream));
            cuStreamDestroy_v2(stream);
        };
    };
    l.correct("dependents/two-back", two_back(0));
    l.planted("dependents/two-back/triggers-before-its-wait", "read before the dependency wait", LAUNCH_FAILED, {}, two_back(1));
}

void arithmetic(List& l) {
    l.correct("arithmetic/halves", [](Device& d, std::string& problem) {
        std::vector<unsigned short> all(65536);
        for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<unsigned short>(i);
        const uintptr_t in = d.put(all), f = d.raw(4 * 65536), back = d.raw(2 * 65536), bf = d.raw(4 * 65536), bf_back = d.raw(2 * 65536);
        d.launch("arithmetic.cu:halves", {512, 128}, in, f, back, bf, bf_back);
        d.sync();
        const auto floats = d.get<float>(f, 65536), bfloats = d.get<float>(bf, 65536);
        const auto again = d.get<unsigned short>(back, 65536), bf_again = d.get<unsigned short>(bf_back, 65536);
        for (size_t i = 0; i < 65536 && problem.empty(); ++i) {
            const float want = half(all[i]);
            const bool nan = std::isnan(want), bf_nan = (i & 0x7fff) > 0x7f80;
            expect(problem, "half to float", nan ? std::isnan(floats[i]) : floats[i] == want && std::signbit(floats[i]) == std::signbit(want));
            expect(problem, "and back", again[i] == (nan ? 0x7fff : all[i]));
            uint32_t bits;
            std::memcpy(&bits, &bfloats[i], 4);
            expect(problem, "bfloat to float", bits == static_cast<uint32_t>(i) << 16 || bf_nan);
            expect(problem, "bfloat and back", bf_again[i] == (bf_nan ? 0x7fff : all[i]));
        }
    });
    l.correct("arithmetic/rounded", [](Device& d, std::string& problem) {
        // Around every half: the midpoints to its neighbours, and a little to either side.
        std::vector<float> x;
        std::vector<unsigned short> want;
        for (unsigned h = 0; h < 0x7bff; h += 3) {
            const float low = half(static_cast<uint16_t>(h)), high = half(static_cast<uint16_t>(h + 1)), middle = (low + high) / 2;
            x.insert(x.end(), {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)});
            want.insert(want.end(), {static_cast<unsigned short>(h + (h & 1)), static_cast<unsigned short>(h), static_cast<unsigned short>(h + 1)});
        }
        const uintptr_t in = d.put(x), h = d.raw(2 * x.size()), b = d.raw(2 * x.size());
        d.launch("arithmetic.cu:rounded", {static_cast<unsigned>(x.size()) / 128 + 1, 128}, in, h, b, static_cast<int>(x.size()));
        d.sync();
        expect(problem, "rounded", d.get<unsigned short>(h, x.size()), want);
    });
    l.correct("arithmetic/integers", [](Device& d, std::string& problem) {
        const auto x = noise<unsigned>(2 * 500, 9);
        const uintptr_t in = d.put(x), out = d.raw(4 * 12 * 500);
        d.launch("arithmetic.cu:integers", {4, 128}, in, out, 500);
        std::vector<unsigned> want;
        for (size_t i = 0; i < 500; ++i) {
            const unsigned a = x[2 * i], b = x[2 * i + 1];
            int64_t ds = 7, du = 7;
            unsigned ss = 0, sw = 0;
            for (int k = 0; k < 4; ++k) {
                const int sa = static_cast<int8_t>(a >> 8 * k), sb = static_cast<int8_t>(b >> 8 * k);
                ds += sa * sb;
                du += static_cast<int64_t>(a >> 8 * k & 255) * (b >> 8 * k & 255);
                ss |= static_cast<unsigned>(static_cast<uint8_t>(std::max(-128, std::min(127, sa - sb)))) << 8 * k;
                sw |= static_cast<unsigned>(static_cast<uint8_t>(sa - sb)) << 8 * k;
            }
            const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
            const auto byte = [&](unsigned k) { return static_cast<unsigned>(both >> 8 * k & 255); };
            unsigned perm = byte(3) | (byte(1) & 128 ? 255u : 0u) << 8 | byte(1) << 16 | byte(7) << 24;
            int bits = 0, lead = 0, first = 0;
            for (int k = 0; k < 32; ++k) bits += a >> k & 1;
            while (lead < 32 && !((b >> 5) >> (31 - lead) & 1)) ++lead;
            for (int k = 31; k >= 0; --k) first = (a & 0xfff0u) >> k & 1 ? k + 1 : first;
            unsigned reversed = 0;
            for (int k = 0; k < 32; ++k) reversed |= (a >> k & 1) << (31 - k);
            float fa, fm;
            std::memcpy(&fa, &a, 4);
            const unsigned am = a & 0x3fffffffu;
            std::memcpy(&fm, &am, 4);
            const double rounded = std::nearbyint(static_cast<double>(fa));
            const int whole = std::isnan(fa) ? 0 : rounded >= 2147483647.0 ? INT32_MAX : rounded <= -2147483648.0 ? INT32_MIN : static_cast<int>(rounded);
            const float f = static_cast<float>(static_cast<double>(fm) * 3.0 + 1.0);  // one rounding: the product is exact in double, and so nearly always the sum
            unsigned fb;
            std::memcpy(&fb, &f, 4);
            want.insert(want.end(), {static_cast<unsigned>(ds), static_cast<unsigned>(du), perm, static_cast<unsigned>(both >> 13), ss, sw, static_cast<unsigned>(bits + lead + first), static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32), reversed, static_cast<unsigned>(whole),
                                     a ^ b, fb});
        }
        d.sync();
        expect(problem, "integers", d.get<unsigned>(out, want.size()), want);
    });
    l.simulated("arithmetic/half_arithmetic", [](Device& d, std::string& problem) {
        auto x = noise<unsigned short>(3 * 4000, 5);
        const auto is_nan = [](unsigned h) { return (h & 0x7fff) > 0x7c00; };
        const uintptr_t in = d.put(x), out = d.raw(8 * 4000);
        d.launch("halves.cu:half_arithmetic", {32, 128}, in, out, 4000);
        d.sync();
        const auto got = d.get<unsigned short>(out, 4 * 4000);
        // long double holds every sum and product of halves exactly, so it is rounded once.
        const auto rounded = [](long double v) {
            unsigned best = 0x7c00;
            const long double m = std::fabs(v);
            for (unsigned low = 0, high = 0x7c00; low <= high;) {
                const unsigned middle = (low + high) / 2;
                const long double value = middle == 0x7c00 ? 65536.0L : half(static_cast<uint16_t>(middle));
                if (value <= m) best = middle, low = middle + 1;
                else high = middle - 1;
            }
            if (best == 0x7c00) return std::isinf(v) || m >= 65520.0L ? static_cast<int>(best) : 0x7bff;
            const long double down = half(static_cast<uint16_t>(best)), up = best == 0x7bff ? 65536.0L : half(static_cast<uint16_t>(best + 1));
            const long double from_down = m - down, to_up = up - m;
            return static_cast<int>(from_down < to_up || (from_down == to_up && best % 2 == 0) ? best : best + 1);
        };
        for (size_t i = 0; i < 4000 && problem.empty(); ++i) {
            const long double a = half(x[3 * i]), b = half(x[3 * i + 1]), c = half(x[3 * i + 2]);
            const long double want[3] = {a + b, a * b, a * b + c};
            for (size_t k = 0; k < 3; ++k) {
                const unsigned h = got[4 * i + k];
                if (std::isnan(want[k])) expect(problem, "half arithmetic: NaN", is_nan(h));
                else if (std::isinf(want[k])) expect(problem, "half arithmetic: infinity", (h & 0x7fff) == 0x7c00);
                else expect(problem, "half arithmetic", static_cast<int>(h & 0x7fff) == rounded(want[k]) && (std::signbit(want[k]) == (h >> 15) || want[k] == 0));
            }
        }
    });
    l.correct("arithmetic/atomics", [](Device& d, std::string& problem) {
        const uintptr_t x = d.put(std::vector<unsigned>{0, 0, 1000, 0, 0xffffffffu, 0, 0, 5000, 10, 0});
        d.launch("arithmetic.cu:atomics", {16, 64}, x);
        d.sync();
        expect(problem, "atomics", d.get<unsigned>(x, 10), {1023 * 512, 1023, 0, 0xffffffffu, 0xffffff00u, 0, 1024 % 10, 5000 - 1024, 10 + 2048, 77});
    });
}

/// What the host does wrong.
void host(List& l) {
    l.correct("host/streams-and-events", [](Device& d, std::string& problem) {
        const std::vector<float> x = whole(1000);
        const uintptr_t in = d.put(x), middle = d.raw(4000), out = d.raw(4000);
        void *a = nullptr, *b = nullptr, *event = nullptr;
        d.keep(cuStreamCreate(&a, 1)), d.keep(cuStreamCreate(&b, 1)), d.keep(cuEventCreate(&event, 0));
        Launch on_a{8, 128}, on_b{8, 128};
        on_a.stream = a, on_b.stream = b;
        d.launch("bounds.cu:shift", on_a, in, middle, in, 1000, 0);
        d.keep(cuEventRecord(event, a));
        d.keep(cuStreamWaitEvent(b, event, 0));
        d.launch("bounds.cu:shift", on_b, middle, out, in, 1000, 0);
        std::vector<float> got(1000), want = x;
        d.keep(cuMemcpyDtoHAsync_v2(got.data(), out, 4000, b));
        d.keep(cuStreamSynchronize(b));
        for (float& v : want) v += 2.0f;
        expect(problem, "two streams", got, want);
        cuEventDestroy_v2(event), cuStreamDestroy_v2(a), cuStreamDestroy_v2(b);
    });
    l.planted("host/missing-event", "race between operations", LAUNCH_FAILED, {"shift<<<", "no stream, event or graph edge"}, [](Device& d, std::string&) {
        const uintptr_t in = d.put(whole(1000)), middle = d.zeros<float>(1000), out = d.raw(4000);
        void *a = nullptr, *b = nullptr;
        d.keep(cuStreamCreate(&a, 1)), d.keep(cuStreamCreate(&b, 1));
        Launch on_a{8, 128}, on_b{8, 128};
        on_a.stream = a, on_b.stream = b;
        d.launch("bounds.cu:shift", on_a, in, middle, in, 1000, 0);
        d.launch("bounds.cu:shift", on_b, middle, out, in, 1000, 0);
        d.sync();
        cuStreamDestroy_v2(a), cuStreamDestroy_v2(b);
    });
    l.planted("host/drain-without-event", "race between operations", LAUNCH_FAILED, {"cuMemcpyDtoHAsync"}, [](Device& d, std::string&) {
        const uintptr_t in = d.put(whole(1000)), out = d.zeros<float>(1000);
        void *a = nullptr, *b = nullptr, *pinned = nullptr;
        d.keep(cuMemHostAlloc(&pinned, 4000, 0));
        d.keep(cuStreamCreate(&a, 1)), d.keep(cuStreamCreate(&b, 1));
        Launch on_a{8, 128};
        on_a.stream = a;
        d.launch("bounds.cu:shift", on_a, in, out, in, 1000, 0);
        d.keep(cuMemcpyDtoHAsync_v2(pinned, out, 4000, b));
        d.sync();
        cuStreamDestroy_v2(a), cuStreamDestroy_v2(b), cuMemFreeHost(pinned);
    });
    l.simulated("host/results-come-late", [](Device& d, std::string& problem) {
        // Pinned memory holds the old bytes until somebody waits, unless the device was quick.
        void *stream = nullptr, *pinned = nullptr;
        d.keep(cuMemHostAlloc(&pinned, 4000, 0));
        d.keep(cuStreamCreate(&stream, 1));
        std::memset(pinned, 0, 4000);
        const uintptr_t in = d.put(whole(1000)), out = d.raw(4000);
        Launch on{8, 128};
        on.stream = stream;
        d.launch("bounds.cu:shift", on, in, out, in, 1000, 0);
        d.keep(cuMemcpyDtoHAsync_v2(pinned, out, 4000, stream));
        const char* mode = std::getenv("CUDA_SIM_MODE");
        const bool lazy = !mode || std::strcmp(mode, "quick") != 0;
        if (lazy) expect(problem, "nothing has arrived yet", static_cast<float*>(pinned)[5] == 0.0f);
        d.keep(cuStreamSynchronize(stream));
        expect(problem, "it has now", static_cast<float*>(pinned)[5] == whole(6)[5] + 1.0f);
        cuStreamDestroy_v2(stream), cuMemFreeHost(pinned);
    });
    l.correct("host/pageable-sources-are-read-at-the-call", [](Device& d, std::string& problem) {
        void* stream = nullptr;
        d.keep(cuStreamCreate(&stream, 1));
        const uintptr_t p = d.raw(4000);
        std::vector<float> x = whole(1000), y(1000);
        d.keep(cuMemcpyHtoDAsync_v2(p, x.data(), 4000, stream));
        std::memset(x.data(), 0, 4000);
        d.keep(cuMemcpyDtoHAsync_v2(y.data(), p, 4000, stream));
        expect(problem, "pageable copies", y, whole(1000));
        cuStreamDestroy_v2(stream);
    });
    l.correct("host/legacy-stream-orders-blocking-streams", [](Device& d, std::string& problem) {
        void* stream = nullptr;
        d.keep(cuStreamCreate(&stream, 0));
        const uintptr_t in = d.put(whole(1000)), middle = d.raw(4000), out = d.raw(4000);
        Launch on{8, 128};
        d.launch("bounds.cu:shift", on, in, middle, in, 1000, 0);
        on.stream = stream;
        d.launch("bounds.cu:shift", on, middle, out, in, 1000, 0);
        std::vector<float> want = whole(1000);
        for (float& v : want) v += 2.0f;
        expect(problem, "legacy stream", d.get<float>(out, 1000), want);
        cuStreamDestroy_v2(stream);
    });
    l.correct("host/events-tell-time", [](Device& d, std::string& problem) {
        void *a = nullptr, *b = nullptr;
        d.keep(cuEventCreate(&a, 0)), d.keep(cuEventCreate(&b, 0));
        d.keep(cuEventRecord(a, nullptr));
        d.launch("bounds.cu:shift", {8, 128}, d.put(whole(1000)), d.raw(4000), d.raw(4), 1000, 0);
        d.keep(cuEventRecord(b, nullptr));
        d.keep(cuEventSynchronize(b));
        float ms = -1.0f;
        d.keep(cuEventElapsedTime_v2(&ms, a, b));
        expect(problem, "time passes", ms >= 0.0f && cuEventQuery(b) == 0);
        cuEventDestroy_v2(a), cuEventDestroy_v2(b);
    });

    // Graphs: what was captured is run with what was given then.
    const auto graph = [](int what) {
        return [=](Device& d, std::string& problem) {
            void *stream = nullptr, *side = nullptr, *fork = nullptr, *join = nullptr, *graph = nullptr, *exec = nullptr;
            d.keep(cuStreamCreate(&stream, 1)), d.keep(cuStreamCreate(&side, 1)), d.keep(cuEventCreate(&fork, 2)), d.keep(cuEventCreate(&join, 2));
            const uintptr_t in = d.put(whole(1000)), a = d.raw(4000), b = d.raw(4000), out = d.raw(4000);
            void* shift = d.kernel("bounds.cu:shift");
            Launch on{8, 128}, on_side{8, 128};
            on.stream = stream, on_side.stream = side;
            d.keep(cuStreamBeginCapture_v2(stream, 0));
            d.launch(shift, on, in, a, in, 1000, 0);
            d.keep(cuEventRecord(fork, stream));
            d.keep(cuStreamWaitEvent(side, fork, 0));
            d.launch(shift, on_side, a, b, in, 1000, 0);
            d.keep(cuMemsetD32Async(out, 0, 1000, stream));
            if (what != 1) {
                d.keep(cuEventRecord(join, side));
                d.keep(cuStreamWaitEvent(stream, join, 0));
            }
            d.launch(shift, on, b, out, in, 1000, 0);
            if (what == 3) d.raw(16);  // may synchronise
            if (what == 4) d.keep(cuStreamSynchronize(stream));
            d.keep(cuStreamEndCapture(stream, &graph));
            if (!d.error) {
                d.keep(cuGraphInstantiateWithFlags(&exec, graph, 0));
                if (what == 2) d.free(a);
                for (int i = 0; i < 3; ++i) d.keep(cuGraphLaunch(exec, stream));
                if (what == 5) {
                    // The second kernel reads another buffer from now on.
                    void* nodes[8] = {};
                    size_t n = 8;
                    d.keep(cuGraphGetNodes(graph, nodes, &n));
                    const uintptr_t other = d.put(std::vector<float>(1000, 100.0f));
                    int kernels = 0;
                    for (size_t i = 0; i < n; ++i) {
                        int type = -1;
                        cuGraphNodeGetType(nodes[i], &type);
                        if (type != 0 || ++kernels != 2) continue;
                        KernelNodeParams p;
                        d.keep(cuGraphKernelNodeGetParams_v2(nodes[i], &p));
                        uintptr_t source = other, to = b, none = in;
                        int count = 1000, plant = 0;
                        void* arguments[] = {&source, &to, &none, &count, &plant};
                        p.arguments = arguments;
                        d.keep(cuGraphExecKernelNodeSetParams_v2(exec, nodes[i], &p));
                    }
                    d.keep(cuGraphLaunch(exec, stream));
                }
                std::vector<float> want = whole(1000);
                for (float& v : want) v = what == 5 ? 102.0f : v + 3.0f;
                if (!d.keep(cuStreamSynchronize(stream))) expect(problem, "graph", d.get<float>(out, 1000), want);
            }
            if (exec) cuGraphExecDestroy(exec);
            if (graph) cuGraphDestroy(graph);
            cuEventDestroy_v2(fork), cuEventDestroy_v2(join), cuStreamDestroy_v2(stream), cuStreamDestroy_v2(side);
        };
    };
    l.correct("host/graph", graph(0));
    l.correct("host/graph-node-changed", graph(5));
    l.planted_anywhere("host/graph-unjoined", "", 904, {}, graph(1));
    l.planted_anywhere("host/graph-of-freed-buffer", "use after free", ILLEGAL_ADDRESS, {"freed allocation"}, graph(2));
    l.planted_anywhere("host/allocation-while-capturing", "", 900, {}, graph(3));
    l.planted_anywhere("host/synchronise-while-capturing", "", 900, {}, graph(4));

    // What is recorded does not run, so nobody can ask for its results; a program that does loses the whole graph.
    const auto capturing = [](int (*ask)(Device&, void* stream, void* event, uintptr_t buffer)) {
        return [=](Device& d, std::string& problem) {
            void *stream = nullptr, *event = nullptr, *graph = nullptr;
            d.keep(cuStreamCreate(&stream, 1)), d.keep(cuEventCreate(&event, 2));
            const uintptr_t in = d.put(whole(1000)), out = d.raw(4000);
            void* shift = d.kernel("bounds.cu:shift");
            Launch on{8, 128};
            on.stream = stream;
            d.keep(cuStreamBeginCapture_v2(stream, 1));
            d.launch(shift, on, in, out, in, 1000, 0);
            d.keep(cuEventRecord(event, stream));
            d.keep(ask(d, stream, event, out));
            expect(problem, "the next call says that the capture is lost", cuMemsetD32Async(out, 0, 1000, stream) == 901);
            expect(problem, "no graph comes of it", cuStreamEndCapture(stream, &graph) == 901 && !graph);
            d.launch(shift, on, in, out, in, 1000, 0);
            expect(problem, "the stream works again", cuStreamSynchronize(stream) == 0);
            cuEventDestroy_v2(event), cuStreamDestroy_v2(stream);
        };
    };
    l.planted_anywhere("host/wait-while-capturing", "", 900, {}, capturing([](Device&, void* stream, void*, uintptr_t) { return cuStreamSynchronize(stream); }));
    l.planted_anywhere("host/query-while-capturing", "", 900, {}, capturing([](Device&, void* stream, void*, uintptr_t) { return cuStreamQuery(stream); }));
    l.planted_anywhere("host/wait-for-captured-event", "", 907, {}, capturing([](Device&, void*, void* event, uintptr_t) { return cuEventSynchronize(event); }));
    l.planted_anywhere("host/query-of-captured-event", "", 907, {}, capturing([](Device&, void*, void* event, uintptr_t) { return cuEventQuery(event); }));
    l.planted_anywhere("host/read-while-capturing", "copy of pageable memory in a captured graph", 900, {"cuMemcpyDtoHAsync"}, capturing([](Device&, void* stream, void*, uintptr_t buffer) {
        std::vector<float> y(1000);
        const int copied = cuMemcpyDtoHAsync_v2(y.data(), buffer, 4000, stream);
        // A device records the copy and refuses the wait.
        return copied ? copied : cuStreamSynchronize(stream);
    }));

    l.planted_anywhere("host/leak", "leak", 0, {"2 allocations, 1064 bytes", "1 streams"}, [](Device& d, std::string&) {
        d.forget(d.raw(1000));
        d.forget(d.raw(64));
        void* stream = nullptr;
        d.keep(cuStreamCreate(&stream, 0));
    });
    l.planted_anywhere("host/double-free", "double free", 1, {"cuMemFree"}, [](Device& d, std::string&) {
        const uintptr_t p = d.raw(1000);
        d.free(p);
        d.free(p);
    });
    l.planted_anywhere("host/copy-past-end", "out of bounds", 1, {"cuMemcpyHtoD", "1000 bytes"}, [](Device& d, std::string&) {
        const uintptr_t p = d.raw(1000);
        d.keep(cuMemcpyHtoD_v2(p + 8, whole(250).data(), 1000));
    });
    l.planted("host/uninitialised-copy", "uninitialised read", LAUNCH_FAILED, {"cuMemcpyDtoH", "byte 0 of allocation"}, [](Device& d, std::string&) { d.get<float>(d.raw(1000), 250); });
    l.planted_anywhere("host/out-of-memory", "", 2, {}, [](Device& d, std::string& problem) {
        size_t before = 0, after = 0, total = 0;
        d.keep(cuMemGetInfo_v2(&before, &total));
        const uintptr_t p = d.raw(1 << 20);
        d.keep(cuMemGetInfo_v2(&after, &total));
        expect(problem, "free memory drops by what was allocated", before - after == 1 << 20 && p != 0);
        d.raw(total);
    });
    const auto limits = [](Launch launch, int shared_limit) {
        return [=](Device& d, std::string&) {
            void* f = d.kernel("bounds.cu:shift");
            if (shared_limit) d.keep(cuFuncSetAttribute(f, 8, shared_limit));
            const uintptr_t in = d.put(whole(32)), out = d.raw(128);
            d.launch(f, launch, in, out, in, 32, 0);
            d.sync();
        };
    };
    l.correct("host/shared-memory-with-opt-in", limits({1, 64, 100 << 10}, 100 << 10));
    l.planted_anywhere("host/shared-memory-without-opt-in", "launch refused", 1, {"cuFuncSetAttribute"}, limits({1, 64, 100 << 10}, 0));
    l.planted_anywhere("host/more-shared-memory-than-there-is", "launch refused", 1, {}, limits({1, 64, 64}, 240 << 10));
    l.planted_anywhere("host/too-many-threads", "launch refused", 1, {"1024"}, limits({1, 1056}, 0));
    l.planted_anywhere("host/too-many-registers", "launch refused", 701, {"128 registers"}, [](Device& d, std::string&) {
        // The table says 128 registers a thread: 512 threads fill a multiprocessor, 544 do not fit.
        void* f = d.kernel("bounds.cu:non_coherent");
        const uintptr_t x = d.zeros<float>(544), w = d.put(std::vector<unsigned>(4 * 544, 1)), y = d.raw(4 * 544);
        d.launch(f, {1, 544}, x, w, y, 0);
    });
    l.simulated("host/occupancy-by-registers", [](Device& d, std::string& problem) {
        int blocks = 0, registers = 0, shared = 0, most = 0;
        void* f = d.kernel("bounds.cu:non_coherent");
        d.keep(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 128, 0));
        d.keep(cuFuncGetAttribute(&registers, 4, f)), d.keep(cuFuncGetAttribute(&most, 0, f));
        expect(problem, "65536 registers hold 4 blocks of 128 threads with 128 each", blocks == 4 && registers == 128 && most == 512);
        d.keep(cuFuncGetAttribute(&shared, 1, d.kernel("sums.cu:narrow")));
        expect(problem, "static shared memory of one kernel", shared == 768);
        d.keep(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 64, 100 << 10));
        expect(problem, "228 KiB hold 2 blocks of 101 KiB", blocks == 2);
    });
    l.planted_anywhere("host/empty-grid", "launch refused", 1, {"empty"}, limits({0, 64}, 0));
    l.planted_anywhere("host/launch-bounds", "launch refused", 1, {"__launch_bounds__(256)"}, [](Device& d, std::string&) { d.launch("sums.cu:block_sum", {1, 512}, d.put(whole(8)), d.raw(4), 8, 0); });
    l.planted_anywhere("host/cooperative-too-large", "launch refused", 720, {"multiprocessors hold"}, [](Device& d, std::string&) {
        Launch launch{d.sms() * 100, 1024};
        launch.cooperative = true;
        d.launch("grids.cu:ring", launch, d.raw(4), d.zeros<unsigned>(1), d.raw(4), 1, 0);
    });
    l.simulated("host/names-and-entry-points", [](Device& d, std::string& problem) {
        const char* name = nullptr;
        cuGetErrorName(700, &name);
        expect(problem, "names", name && std::strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0);
        void* f = nullptr;
        expect(problem, "entry points", cuGetProcAddress_v2("cuMemAlloc", &f, 13000, 0, nullptr) == 0 && f == reinterpret_cast<void*>(&cuMemAlloc_v2));
        (void)d;
    });
    l.planted_anywhere("host/kernel-error-sticks", "trap", LAUNCH_FAILED, {}, [](Device& d, std::string& problem) {
        d.launch("meetings.cu:traps", {1, 32}, d.put(std::vector<unsigned>(32, 5)));
        d.sync();
        uintptr_t p = 0;
        expect(problem, "a later call", cuMemAlloc_v2(&p, 16) == LAUNCH_FAILED);
    });
    l.simulated("host/compile-errors", [](Device&, std::string& problem) {
        std::vector<char> cubin;
        std::string log;
        expect(problem, "a syntax error", compile("extern \"C\" __global__ void k() { int x }\n", "bad.cu", cubin, log) == 6 && log.find("bad.cu:1") != std::string::npos);
        expect(problem, "inexact functions", compile("extern \"C\" __global__ void k(float* x) { *x = expf(*x); }\n", "bad.cu", cubin, log) == 6 && log.find("devices round this") != std::string::npos);
        expect(problem, "float atomics", compile("extern \"C\" __global__ void k(float* x) { atomicAdd(x, 1.0f); }\n", "bad.cu", cubin, log) == 6 && log.find("not reproducible") != std::string::npos);
        expect(problem, "fast math", compile("extern \"C\" __global__ void k() {}\n", "ok.cu", cubin, log, {"--use_fast_math"}) == 5 && log.find("--use_fast_math") != std::string::npos);
        int major = 0, minor = 0;
        expect(problem, "its version is no release", nvrtcVersion(&major, &minor) == 0 && major == 13 && minor >= 1000000);
    });
    l.planted_anywhere("host/foreign-cubin", "module refused", 209, {"does not run here"}, [](Device& d, std::string&) {
        void* module = nullptr;
        d.keep(cuModuleLoadData(&module, "\x50\xed\x55\xba\x01\x00\x10\x00"));
    });
}

}  // namespace

const std::vector<Case>& cases() {
    static const std::vector<Case> all = [] {
        List l;
        sums(l);
        bounds(l);
        meetings(l);
        grids(l);
        copies(l);
        tensors(l);
        dependents(l);
        arithmetic(l);
        host(l);
        return l.all;
    }();
    return all;
}
