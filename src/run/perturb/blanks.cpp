// A blank within a word, or blanks between all of its characters ("g o o d"), as people write past
// filters (Li et al. 2019, "TextBugger", https://arxiv.org/abs/1812.05271).
#include "base/utf8.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

class Blanks : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word,
                                  RandomStream& random) const override {
    std::u32string one = from_utf8(bytes_of(text, word));
    if (one.size() < 2) return {};
    std::u32string all(1, one.front());
    for (size_t i = 1; i < one.size(); ++i) all += {U' ', one[i]};
    one.insert(1 + random.below(one.size() - 1), 1, U' ');
    if (one == all) return {to_utf8(one)};
    return {to_utf8(one), to_utf8(all)};
  }
};

}  // namespace

PerturbationInfo blanks() {
  return {"blanks", "a blank within a word, or between all of its characters", nullptr,
          [](const PerturbationFiles&) -> std::unique_ptr<Perturbation> {
            return std::make_unique<Blanks>();
          }};
}

}  // namespace hone
