// The order of operations of the device (kernels, copies, fills): which are known to have ended before which, through
// streams, events, graphs and the host. Every operation has a lane (a stream, or a branch of a graph) and its position
// there; an operation knows how far each lane had come. It knows no memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

class Order {
  public:
    /// How far each lane is known to have come; lanes beyond the end: not at all.
    std::vector<uint32_t> lanes;
    /// Every operation up to this number is known; filled by `settle`.
    uint32_t all_up_to = 0;

    void join(const Order& o);
    void know(uint32_t operation);
    void settle();
    /// Whether the operation is known to have ended before.
    bool after(uint32_t operation) const;
};

/// A new operation of a lane: returns its number, from 1.
uint32_t new_operation(uint32_t lane, std::string name);
uint32_t new_lane();
uint32_t position_of(uint32_t operation);
uint32_t lane_of(uint32_t operation);
/// "norm<<<...>>>, operation 7"
std::string name_of(uint32_t operation);
