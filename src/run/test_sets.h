// Several test sets of one model beside each other: what is lost from the first one to the others.
#pragma once

#include <string>
#include <vector>

#include "tasks/report.h"

namespace hone {

struct TestSet {
  std::string name;  // "test", or as `data.tests` has it
  const Report* report;
};

// A table of all sets with the main metric, its interval, and how much worse it is than on the
// first set, with the interval of that (the sets are taken as independent): above 0, the model
// loses there, whichever way the metric is better. The other metrics follow.
Section test_sets_section(const std::vector<TestSet>& sets);

}  // namespace hone
