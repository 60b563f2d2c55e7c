// Work that was asked for and has not run yet. A device does it whenever it likes within the order that streams, events
// and graphs impose; so does the queue: as late as possible and in an order drawn from the seed, unless it is eager. It
// knows operations, not what they do.
#pragma once
#include "objects.h"

namespace queue {

/// Adds work to a stream, after what the stream waits for.
OperationRef add(Stream& stream, std::string name, std::function<int(Operation&)> work, bool kernel = false, bool dependent = false);
/// Adds work after exactly these operations.
OperationRef add(Context& context, uint32_t lane, std::string name, std::vector<OperationRef> after, std::function<int(Operation&)> work, bool kernel = false, const OperationRef& early = {});

/// Runs work until this one has run; the host then knows that it ended.
void finish(const OperationRef& operation);
/// Runs all work.
void finish_all();
/// Runs one piece of work, if any can run: what a poll of the host gives the device time for.
void advance();
/// The stream's next operation waits for this one.
void wait(Stream& stream, const OperationRef& operation);

/// Streams that exist, for the legacy stream's rule.
std::vector<Stream*>& streams();

}  // namespace queue
