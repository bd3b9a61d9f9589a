// Several adapters on one base model, which memory holds once: a row's field says which answers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "run/answer.h"
#include "tasks/pipeline.h"

namespace hone {

constexpr const char* kAdapterField = "adapter";

struct NamedAdapter {
  std::string name, folder;
  // "NAME=FOLDER". Error(kUsage) for anything else.
  static NamedAdapter read(const std::string& word);
};

class AdapterModels {
 public:
  // `first`: loaded, on its device, in its precision; it answers rows without the field. The others
  // are folders or hub names of adapters of its base model. Error(kUsage) where `first` is no
  // adapter or not on the CPU, where a name comes twice, and where the others clean texts
  // otherwise; Error(kModel) for an adapter of another base model.
  AdapterModels(const Pipeline& first, const std::vector<NamedAdapter>& others);

  // Error(kData) at the record's place for a name that none has.
  const Pipeline& of(const Record& record) const;
  const Pipeline& named(const std::string& name) const;  // "": the first
  std::vector<std::string> text_fields() const;          // of all
  std::vector<std::string> names() const;

 private:
  void add(const NamedAdapter& adapter);

  const Pipeline& first_;
  std::map<std::string, std::unique_ptr<Pipeline>> others_;
};

// The names in the rows of a file, in their order; "" of rows without the field. Error(kData) at a
// row with a name that none has.
std::vector<std::string> adapters_named(const AdapterModels& models, const Reading& reading);

// As answer_rows of one model; rows that some hundred are read at once are answered adapter by
// adapter, and given in their order.
Answered answer_rows(const AdapterModels& models, const Reading& reading,
                     const PredictOptions& options,
                     const std::function<void(std::span<const Json> lines)>& take);

}  // namespace hone
