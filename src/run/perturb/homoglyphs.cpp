// Letters that look like others and are not them (Boucher et al. 2022, "Bad characters",
// https://arxiv.org/abs/2106.09898): Cyrillic and Greek ones in the place of Latin ones, full-width
// digits. First one of them, drawn, then all that have such a twin.
#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

constexpr std::array<std::pair<char32_t, char32_t>, 30> kTwins = {{
    {U'a', U'\u0430'}, {U'c', U'\u0441'}, {U'd', U'\u0501'}, {U'e', U'\u0435'}, {U'h', U'\u04BB'},
    {U'i', U'\u0456'}, {U'j', U'\u0458'}, {U'o', U'\u043E'}, {U'p', U'\u0440'}, {U's', U'\u0455'},
    {U'v', U'\u03BD'}, {U'x', U'\u0445'}, {U'y', U'\u0443'}, {U'A', U'\u0410'}, {U'B', U'\u0412'},
    {U'C', U'\u0421'}, {U'E', U'\u0415'}, {U'H', U'\u041D'}, {U'I', U'\u0406'}, {U'J', U'\u0408'},
    {U'K', U'\u041A'}, {U'M', U'\u041C'}, {U'N', U'\u039D'}, {U'O', U'\u041E'}, {U'P', U'\u0420'},
    {U'S', U'\u0405'}, {U'T', U'\u0422'}, {U'X', U'\u0425'}, {U'Y', U'\u04AE'}, {U'Z', U'\u0396'},
}};

char32_t twin_of(char32_t c) {  // itself where it has none
  if (c >= U'0' && c <= U'9') return c - U'0' + U'\uFF10';
  const auto found = std::find_if(kTwins.begin(), kTwins.end(),
                                  [&](const auto& twins) { return twins.first == c; });
  return found == kTwins.end() ? c : found->second;
}

class Homoglyphs : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word,
                                  RandomStream& random) const override {
    const std::u32string is = from_utf8(bytes_of(text, word));
    std::vector<size_t> places;
    for (size_t i = 0; i < is.size(); ++i) {
      if (twin_of(is[i]) != is[i]) places.push_back(i);
    }
    if (places.empty()) return {};
    std::u32string one = is, all = is;
    const size_t chosen = places[random.below(places.size())];
    one[chosen] = twin_of(one[chosen]);
    for (const size_t place : places) all[place] = twin_of(all[place]);
    if (one == all) return {to_utf8(one)};
    return {to_utf8(one), to_utf8(all)};
  }
};

}  // namespace

PerturbationInfo homoglyphs() {
  return {"homoglyphs", "letters of other scripts that look alike", nullptr,
          [](const PerturbationFiles&) -> std::unique_ptr<Perturbation> {
            return std::make_unique<Homoglyphs>();
          }};
}

}  // namespace hone
