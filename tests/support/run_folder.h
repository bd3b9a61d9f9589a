// Data, a tiny model and configurations of whole runs in a folder of their own.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "run/run_config.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace hone::testing_support {

class RunInFolder {
 public:
  RunInFolder() {
    write_tiny_bert(folder_ / "bert");
    write("train", 42, 1);
    write("dev", 17, 2);
    write("test", 15, 3);
  }

  std::string operator/(const std::string& name) const { return folder_ / name; }

  void write(const std::string& name, int64_t rows, uint64_t seed) const {
    std::string lines;
    for (const Record& record : tiny_texts(rows, name, seed)) lines += record.fields.dump() + "\n";
    write_file(folder_ / (name + ".jsonl"), lines);
  }

  // Sections of a configuration with `more` after them.
  std::string text(const std::string& more = "") const {
    return "model: {path: " + folder_ / "bert" + "}\ntask: {name: classify}\n" + sections() +
           "output: {dir: " + folder_ / "run" + "}\n" + more;
  }

  std::string sections() const {
    return "data: {train: {path: " + folder_ / "train.jsonl" +
           "}, validation: {path: " + folder_ / "dev.jsonl" +
           "}, test: {path: " + folder_ / "test.jsonl" +
           "}}\ntrain: {num_train_epochs: 2, per_device_train_batch_size: 8, learning_rate: 2e-3, "
           "precision: fp32, device: cpu, threads: 1}\n";
  }

  RunConfig config(const std::string& more = "",
                   const std::vector<std::string>& overrides = {}) const {
    write_file(folder_ / "config.yaml", text(more));
    return RunConfig::load(folder_ / "config.yaml", overrides);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace hone::testing_support
