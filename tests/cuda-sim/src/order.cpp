#include "order.h"

#include <algorithm>
#include <deque>
#include <set>

namespace {

struct Record {
    uint32_t lane, position;
    const std::string* name;
};
std::deque<Record> records;                     // number - 1
std::deque<std::vector<uint32_t>> lane_operations;  // of each lane, in order
std::set<std::string> names;

}  // namespace

uint32_t new_lane() {
    lane_operations.emplace_back();
    return static_cast<uint32_t>(lane_operations.size() - 1);
}

uint32_t new_operation(uint32_t lane, std::string name) {
    const uint32_t number = static_cast<uint32_t>(records.size() + 1);
    auto& of_lane = lane_operations[lane];
    of_lane.push_back(number);
    records.push_back({lane, static_cast<uint32_t>(of_lane.size()), &*names.insert(std::move(name)).first});
    return number;
}

uint32_t position_of(uint32_t operation) { return records[operation - 1].position; }
uint32_t lane_of(uint32_t operation) { return records[operation - 1].lane; }
std::string name_of(uint32_t operation) { return *records[operation - 1].name + ", operation " + std::to_string(operation); }

void Order::join(const Order& o) {
    if (lanes.size() < o.lanes.size()) lanes.resize(o.lanes.size());
    for (size_t i = 0; i < o.lanes.size(); ++i) lanes[i] = std::max(lanes[i], o.lanes[i]);
}

void Order::know(uint32_t operation) {
    const Record& r = records[operation - 1];
    if (lanes.size() <= r.lane) lanes.resize(r.lane + 1);
    lanes[r.lane] = std::max(lanes[r.lane], r.position);
}

void Order::settle() {
    all_up_to = static_cast<uint32_t>(records.size());
    for (size_t lane = 0; lane < lane_operations.size(); ++lane) {
        const uint32_t known = lane < lanes.size() ? lanes[lane] : 0;
        if (known < lane_operations[lane].size()) all_up_to = std::min(all_up_to, lane_operations[lane][known] - 1);
    }
}

bool Order::after(uint32_t operation) const {
    if (operation <= all_up_to) return true;
    const Record& r = records[operation - 1];
    return r.lane < lanes.size() && lanes[r.lane] >= r.position;
}
