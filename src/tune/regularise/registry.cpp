// The regularisers, in the order in which they wrap each other, the innermost first: one line each.
#include <algorithm>

#include "tune/regularise/regulariser.h"

namespace hone {

RegulariserInfo reinit();  // each in the file of its name
RegulariserInfo word_dropout();
RegulariserInfo layer_drop();
RegulariserInfo mixup();
RegulariserInfo neftune();
RegulariserInfo r_drop();
RegulariserInfo smart();
RegulariserInfo gradual_unfreezing();
RegulariserInfo l2_sp();
RegulariserInfo mixout();
RegulariserInfo swa();
RegulariserInfo fgm();
RegulariserInfo pgd();
RegulariserInfo freelb();
RegulariserInfo ema();
RegulariserInfo average();

Table<RegulariserInfo>& regularisers() {
  static Table<RegulariserInfo> all(
      "regulariser", {
                         reinit(),
                         word_dropout(),
                         layer_drop(),
                         mixup(),
                         neftune(),
                         r_drop(),
                         smart(),
                         fgm(),
                         pgd(),
                         freelb(),
                         mixout(),  // before what adds to gradients: it ends what its mask did
                         l2_sp(),
                         gradual_unfreezing(),
                         ema(),
                         average(),
                         swa(),
                     });
  return all;
}

std::vector<ChosenRegulariser> read_regularisers(Config& section) {
  for (const std::string& key : section.keys()) {
    if (regularisers().find(key) == nullptr)
      throw section.error(key, fmt::format("\"{}\" is no regulariser{}; known are {}", key,
                                           did_you_mean(key, regularisers().names()),
                                           fmt::join(regularisers().names(), ", ")));
    if (!section.has(key))
      throw section.error(key, fmt::format("\"{}\" has no value; write \"{}: {{}}\" for its "
                                           "defaults, or leave it out",
                                           key, key));
  }
  std::string averages;  // the one that says what weights are evaluated
  for (const char* name : {"ema", "average", "swa"}) {
    if (!section.has(name)) continue;
    if (!averages.empty())
      throw section.error(name,
                          fmt::format("\"{}\" and \"{}\" both say what weights are evaluated; "
                                      "take one",
                                      averages, name));
    averages = name;
  }
  std::vector<ChosenRegulariser> chosen;
  for (const RegulariserInfo& info : regularisers()) {
    if (!section.has(info.name)) continue;
    Config own = section.section(info.name);
    chosen.push_back(info.read(own));
    chosen.back().name = info.name;
    chosen.back().pairs = info.pairs;
    chosen.back().averages = averages == info.name;
  }
  return chosen;
}

bool want_pairs(const std::vector<ChosenRegulariser>& chosen) {
  return std::any_of(chosen.begin(), chosen.end(),
                     [](const ChosenRegulariser& one) { return one.pairs; });
}

}  // namespace hone
