// All data of a run: one data set, or one for each of several tasks that have data of their own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "run/dataset.h"
#include "run/run_config.h"
#include "tasks/encode.h"

namespace hone {

class RunDataset {
 public:
  // `task` of the configuration; it must outlive this.
  RunDataset(const RunConfig& config, Task& task);

  // Learns from the training data, see Dataset::scan. Warns of tasks without a part in the choice
  // of the best model.
  void scan(const Tokenizer& tokenizer);
  // The records of a split with their samples, task after task, to `take`. A record of several
  // tasks names its own. Error(kData) as Dataset has it, and for a row that names another task than
  // the one whose data it is of.
  void encode(const std::string& split, const Tokenizer& tokenizer,
              const std::function<void(EncodedRecord&)>& take);

  // The same records as they are, until `take` gives false.
  void read(const std::string& split, const std::function<bool(Record&)>& take) const;

  bool has(const std::string& split) const;
  void refuse_changed(const std::string& split);  // as Dataset::refuse_changed
  // What is known of each split, in the order in which they are shown; of several tasks by names
  // such as "topic.train".
  std::vector<std::pair<std::string, const SplitAudit*>> audits();
  std::vector<Leak> leaks() const;
  bool has_forbidden_leaks() const;  // data.leakage: error

 private:
  struct Part {
    std::string name;  // of the task; "" where the data are the whole run's
    Task* task;
    DataOptions options;
    std::unique_ptr<Dataset> dataset;

    std::string shown(const std::string& split) const {
      return name.empty() ? split : name + "." + split;
    }
  };
  void encode(Part& part, const std::string& split, const Tokenizer& tokenizer,
              const std::function<void(EncodedRecord&)>& take);

  std::vector<Part> parts_;
};

}  // namespace hone
