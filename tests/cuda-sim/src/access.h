// Every load and store of a running kernel passes here in checked mode: is the address one the thread may touch, was it
// written, is the access ordered with the others. Findings end the launch.
#pragma once
#include <cstddef>
#include <cstdint>

#include "block.h"

/// Checks an access of the running thread and remembers it. `flags` are those of Access; a plain read has none.
void touch(const void* address, size_t bytes, unsigned flags, const void* code);

/// The shared range of the running block that holds all these bytes; ends the launch when there is none.
SharedRange& shared_range(uintptr_t address, size_t bytes, const char* what, const void* code);
/// The copy into these bytes has happened, by the access `by`.
void arrived(SharedRange& range, uintptr_t address, size_t bytes, const Access& by);
/// Ends the launch unless the address is a multiple of `alignment`.
void require_aligned(uintptr_t address, size_t alignment, const char* what, const void* code);
/// Ends the launch unless all these bytes are allocated.
void require_allocated(uintptr_t address, size_t bytes, const char* what, const void* code);
