#include "stamp.h"

#include "config.h"

#ifndef CUDA_SIM_STAMP
#error "the Makefile defines CUDA_SIM_STAMP, a digest of the headers that compiled kernel files depend on"
#endif

std::string module_stamp() { return std::string(config().checked ? "checked-" : "quick-") + CUDA_SIM_STAMP; }
