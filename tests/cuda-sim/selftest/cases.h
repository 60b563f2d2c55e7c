// What the self-test tries: correct programs, which must give the right result and no report, and programs with one
// planted mistake, which must give the report that names it.
#pragma once
#include <functional>

#include "host.h"

struct Case {
    std::string name;
    /// Runs it; a wrong result goes into `problem`.
    std::function<void(Device&, std::string& problem)> run;
    /// What checked mode must report, and quick mode; "" for nothing, "a|b" for either. A missing barrier shows as
    /// one or another finding, depending on which thread came first.
    const char* report = "";
    int error = 0;  // the first error that the host sees
    std::vector<const char*> words{};  // that the report must hold
    const char* report_quick = "";
    int error_quick = 0;
    bool simulator_only = false;  // knows the simulator's ways; a device is right in others
    bool checked_only = false;  // quick mode does not look, so the result is left to chance
    std::vector<std::pair<const char*, const char*>> environment{};
};

const std::vector<Case>& cases();
