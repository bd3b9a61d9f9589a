// The regularisers, in the order in which they wrap each other, the innermost first: one line each.
#include "tune/regularise/regulariser.h"

namespace hone {

RegulariserInfo neftune();  // each in the file of its name
RegulariserInfo r_drop();
RegulariserInfo fgm();
RegulariserInfo pgd();
RegulariserInfo freelb();
RegulariserInfo ema();
RegulariserInfo average();

Table<RegulariserInfo>& regularisers() {
  static Table<RegulariserInfo> all("regulariser", {
                                                       neftune(),
                                                       r_drop(),
                                                       fgm(),
                                                       pgd(),
                                                       freelb(),
                                                       ema(),
                                                       average(),
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
  if (section.has("ema") && section.has("average"))
    throw section.error("average",
                        "\"ema\" and \"average\" both say what weights are evaluated; take one");
  std::vector<ChosenRegulariser> chosen;
  for (const RegulariserInfo& info : regularisers()) {
    if (!section.has(info.name)) continue;
    Config own = section.section(info.name);
    chosen.push_back(info.read(own));
    chosen.back().name = info.name;
  }
  return chosen;
}

}  // namespace hone
