// What the environment asks of the simulator, read once. README.md lists the variables; this file knows their names,
// their defaults and what they accept.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

struct Config {
    bool checked = true;        // CUDA_SIM_MODE=checked|quick
    bool eager = false;         // CUDA_SIM_ORDER=lazy|eager; quick mode is always eager
    unsigned sms = 4;           // CUDA_SIM_SMS
    uint64_t seed = 1;          // CUDA_SIM_SEED; 0 keeps threads, blocks and streams in order
    bool fatal = false;         // CUDA_SIM_FATAL: the first report ends the process with exit code 86
    unsigned threads = 0;       // CUDA_SIM_THREADS: blocks running at a time; the processors of the machine
    size_t memory = 8ull << 30; // CUDA_SIM_MEMORY: bytes of device memory
    unsigned devices = 1;       // CUDA_SIM_DEVICES
    unsigned arch = 90;         // CUDA_SIM_ARCH: compute capability, 80, 89, 90 or 100
    size_t stack = 64 << 10;    // CUDA_SIM_STACK: bytes of local memory of a thread
    std::string cache;          // CUDA_SIM_CACHE: compiled kernels
    std::string report;         // CUDA_SIM_REPORT: a file that reports are appended to, beside stderr
    std::string limits;         // CUDA_SIM_LIMITS: registers and shared memory per kernel, from scripts/cuda-toolchain
    std::string cxx = "g++";    // CUDA_SIM_CXX
    bool leaks_at_exit = false; // CUDA_SIM_LEAKS=context|exit
    std::string blind;          // CUDA_SIM_BLIND: a class of findings that is overlooked, to see its tests fail
    std::string remove;         // CUDA_SIM_REMOVE=FILE:LINE: a barrier or wait that libnvrtc leaves out, to see it found
    std::string error;          // not empty: a variable holds what it may not
};

/// The settings of this process.
const Config& config();

/// What CUDA_SIM_BLIND may name.
enum class Sight { Races, Uninitialised, Bounds, Barriers, Copies, Dependencies, Operations, Leaks, BarrierOrder };
/// Whether findings of a class are made; only the simulator's own falsifiers turn one off.
bool sees(Sight);

/// The folder this library was loaded from.
const std::string& library_folder();
