// Ways to write a word otherwise while a text keeps its meaning: what `hone attack` tries. Each is
// one file and one line in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/table.h"
#include "data/sample.h"

namespace hone {

class Perturbation {
 public:
  virtual ~Perturbation() = default;
  // What may stand in the place of text[word], each once and none the word itself, the likeliest
  // first; nothing where it has nothing to offer. REQUIRES: `word` is not empty. `random` is this
  // word's own.
  virtual std::vector<std::string> others(std::string_view text, Span word,
                                          RandomStream& random) const = 0;
};

// What some of them read.
struct PerturbationFiles {
  std::string lexicon = {};  // of synonyms; see lexicon.h
  std::string masked = {};   // a masked language model: a folder or hub name
};

struct PerturbationInfo {
  const char* name;
  const char* help;                       // one line
  std::string PerturbationFiles::* file;  // what it reads; null: nothing
  std::unique_ptr<Perturbation> (*make)(const PerturbationFiles& files);
};
Table<PerturbationInfo>& perturbations();  // registry.cpp: one line each

struct NamedPerturbation {
  std::string name;
  std::unique_ptr<Perturbation> perturbation;
};
// Error(kUsage) for a file that none of these names reads.
void refuse_idle_file(const std::vector<std::string>& names, const PerturbationFiles& files);

// Those of these names, in their order. With no name: all that need no file, and those whose file
// is given. Error(kUsage) for an unknown name, one that stands twice, and a file that is missing or
// that none of them reads.
std::vector<NamedPerturbation> make_perturbations(const std::vector<std::string>& names,
                                                  const PerturbationFiles& files);

inline std::string_view bytes_of(std::string_view text, Span span) {
  return text.substr(static_cast<size_t>(span.start), static_cast<size_t>(span.end - span.start));
}

}  // namespace hone
