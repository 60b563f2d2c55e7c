// What binds a compiled kernel file to the simulator it was compiled for.
#pragma once
#include <string>

/// Carried by every compiled file: the mode, and the digest of the headers that the two sides share.
std::string module_stamp();

/// Begins the text that stands for PTX; the path of the compiled file follows.
constexpr char PTX_PREFIX[] = "// cuda-sim module ";
