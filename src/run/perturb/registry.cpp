// The perturbations: one line each.
#include <algorithm>

#include "run/perturb/perturbation.h"

namespace hone {

PerturbationInfo typos();  // each in the file of its name
PerturbationInfo homoglyphs();
PerturbationInfo letter_case();
PerturbationInfo punctuation();
PerturbationInfo blanks();
PerturbationInfo synonyms();
PerturbationInfo masked_words();

Table<PerturbationInfo>& perturbations() {
  static Table<PerturbationInfo> all("perturbation", {
                                                         typos(),
                                                         homoglyphs(),
                                                         letter_case(),
                                                         punctuation(),
                                                         blanks(),
                                                         synonyms(),
                                                         masked_words(),
                                                     });
  return all;
}

namespace {

std::vector<std::string> usual_names(const PerturbationFiles& files) {
  std::vector<std::string> names;
  for (const PerturbationInfo& info : perturbations()) {
    if (info.file == nullptr || !(files.*info.file).empty()) names.emplace_back(info.name);
  }
  return names;
}

}  // namespace

void refuse_idle_file(const std::vector<std::string>& names, const PerturbationFiles& files) {
  for (const PerturbationInfo& info : perturbations()) {
    const bool is_named = std::find(names.begin(), names.end(), info.name) != names.end();
    if (info.file != nullptr && !is_named && !(files.*info.file).empty())
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} is for the perturbation {}, which is not asked "
                              "for",
                              files.*info.file, info.name));
  }
}

std::vector<NamedPerturbation> make_perturbations(const std::vector<std::string>& asked,
                                                  const PerturbationFiles& files) {
  const std::vector<std::string> names = asked.empty() ? usual_names(files) : asked;
  refuse_idle_file(names, files);
  std::vector<NamedPerturbation> made;
  for (const std::string& name : names) {
    const PerturbationInfo& info = perturbations().named(name);
    if (info.file != nullptr && (files.*info.file).empty())
      throw Error(ErrorKind::kUsage,
                  fmt::format("the perturbation {} has no file: {}", name, info.help));
    if (std::any_of(made.begin(), made.end(),
                    [&](const NamedPerturbation& one) { return one.name == name; }))
      throw Error(ErrorKind::kUsage, fmt::format("the perturbation {} stands twice", name));
    made.push_back({name, info.make(files)});
  }
  return made;
}

}  // namespace hone
