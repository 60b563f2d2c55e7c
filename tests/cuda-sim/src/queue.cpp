#include "queue.h"

#include <algorithm>

#include "config.h"

namespace queue {

namespace {

constexpr size_t LONGEST = 8192;  // operations that wait at most

std::vector<OperationRef> ready;
size_t waiting = 0;
Order host;  // what the host has seen end
uint64_t random_state = 0;

size_t choose(size_t n) {
    if (!config().seed) {
        // In the order they were asked for.
        return 0;
    }
    if (!random_state) random_state = config().seed * 0x9e3779b97f4a7c15ull | 1;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

void start(size_t which) {
    OperationRef op = ready[which];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(which));
    op->number = new_operation(op->lane, op->name);
    for (const OperationRef& before : op->after) {
        op->order.join(before->order);
        op->order.know(before->number);
    }
    if (op->early && op->early->number) {
        op->in_flight.push_back(op->early->number);
        if (op->early->early_trigger) op->in_flight.insert(op->in_flight.end(), op->early->in_flight.begin(), op->early->in_flight.end());
    }
    op->early.reset();
    op->after.clear();
    op->order.settle();
    if (op->context->error == 0) {
        if (const int error = op->work(*op)) op->context->error = error;
    }
    op->work = nullptr;
    op->done = true;
    op->ended = std::chrono::steady_clock::now();
    --waiting;
    for (const OperationRef& next : op->dependents) {
        if (--next->missing == 0) ready.push_back(next);
    }
    op->dependents.clear();
}

}  // namespace

std::vector<Stream*>& streams() {
    static auto* all = new std::vector<Stream*>;
    return *all;
}

OperationRef add(Context& context, uint32_t lane, std::string name, std::vector<OperationRef> after, std::function<int(Operation&)> work, bool kernel, const OperationRef& early) {
    auto op = std::make_shared<Operation>();
    op->name = std::move(name);
    op->context = &context;
    op->lane = lane;
    op->work = std::move(work);
    op->kernel = kernel;
    op->early = early;
    op->order = host;
    op->after = std::move(after);
    for (const OperationRef& before : op->after) {
        if (before->done) continue;
        ++op->missing;
        before->dependents.push_back(op);
    }
    ++waiting;
    if (op->missing == 0) ready.push_back(op);
    if (config().eager) {
        while (!op->done) start(choose(ready.size()));
    } else {
        while (waiting > LONGEST) start(choose(ready.size()));
    }
    return op;
}

OperationRef add(Stream& s, std::string name, std::function<int(Operation&)> work, bool kernel, bool dependent) {
    std::vector<OperationRef> after = std::move(s.waits);
    s.waits.clear();
    OperationRef early;
    if (s.tail) {
        // Only a kernel right behind a kernel may overtake it.
        if (dependent && s.tail->kernel && after.empty()) early = s.tail;
        after.push_back(s.tail);
    }
    if (&s == s.context->legacy.get()) {
        for (Stream* other : streams()) {
            if (other->context == s.context && other->blocking && other->tail && other != &s) after.push_back(other->tail);
        }
    } else if (s.blocking && s.context->legacy->tail) {
        after.push_back(s.context->legacy->tail);
    }
    s.tail = add(*s.context, s.lane, std::move(name), std::move(after), std::move(work), kernel, early);
    return s.tail;
}

void wait(Stream& s, const OperationRef& op) {
    if (op) s.waits.push_back(op);
}

void finish(const OperationRef& op) {
    if (!op) return;
    while (!op->done) start(choose(ready.size()));
    host.join(op->order);
    host.know(op->number);
}

void finish_all() {
    while (!ready.empty()) start(choose(ready.size()));
    for (Stream* s : streams()) {
        if (s->tail) finish(s->tail);
    }
}

void advance() {
    if (!ready.empty()) start(choose(ready.size()));
}

}  // namespace queue
