#include "tasks/classify/threshold.h"

#include <iterator>

#include "tasks/classify/scorer.h"

namespace hone::classify {

void ThresholdSearch::add(double p, bool is_there) {
  Counts& counts = by_probability_[p];
  counts.there += is_there;
  there_ += is_there;
  ++counts.all;
}

// From the surest down: at each probability, all labels from it on are given.
void ThresholdSearch::add_to(Report& report) const {
  if (there_ == 0) return;
  double best_f1 = 0, best = 0;
  Counts given;
  for (auto at = by_probability_.rbegin(); at != by_probability_.rend() && at->first > 0; ++at) {
    given.there += at->second.there;
    given.all += at->second.all;
    const double f1 =
        2 * static_cast<double>(given.there) / static_cast<double>(given.all + there_);
    if (f1 <= best_f1) continue;
    const auto below = std::next(at);
    best_f1 = f1;
    best = (at->first + (below == by_probability_.rend() ? 0 : below->first)) / 2;
  }
  if (best_f1 > 0) report.add({kBestMicroF1, kBestThreshold}, {best_f1, best});
}

}  // namespace hone::classify
