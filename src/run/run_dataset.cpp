#include "run/run_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/progress.h"
#include "run/audit.h"
#include "run/encode_split.h"
#include "tasks/fields.h"
#include "tasks/several/several.h"

namespace hone {
namespace {

// Names the task of a record of its data, as a row of mixed data does.
void name_task(const std::string& name, int32_t number, EncodedRecord& encoded) {
  const Json* said = find_field(encoded.record, several::kTaskField);
  if (said != nullptr && *said != name)
    throw field_error(
        encoded.record, several::kTaskField,
        fmt::format("is {}, but the row stands in the data of task {}. Where the field "
                    "means something else, rename it: fields: {{kind: task}}",
                    dump(*said), name));
  encoded.record.fields[several::kTaskField] = name;
  for (Sample& sample : encoded.samples) sample.task = number;
}

// What is wrong with the data of one of several tasks.
Error about(const std::string& name, const Error& error) {
  return name.empty() ? error
                      : Error(error.kind(), error.where(),
                              fmt::format("task {}: {}", name, error.message()));
}

}  // namespace

RunDataset::RunDataset(const RunConfig& config, Task& task) {
  const auto add = [&](const std::string& name, Task& own, const DataOptions& options) {
    parts_.push_back({name, &own, options, std::make_unique<Dataset>(options, own.text_fields())});
  };
  if (config.task_data.empty()) add("", task, config.data);
  for (size_t i = 0; i < config.task_data.size(); ++i)
    add(task.parts()[i].name, *task.parts()[i].task, config.task_data[i]);
}

void RunDataset::scan(const Tokenizer& tokenizer) {
  for (Part& part : parts_) {
    tell_idle(part.shown("data"), idle_options(part.options));
    try {
      part.dataset->scan(part.task, *part.task, tokenizer);
    } catch (const Error& error) {
      throw about(part.name, error);
    }
    if (has("validation") && !part.dataset->has("validation"))
      log_warn(
          "task {} has no validation data: which model is the best is decided without it, by the "
          "other tasks",
          part.name);
  }
}

void RunDataset::encode(const std::string& split, const Tokenizer& tokenizer,
                        const std::function<void(EncodedRecord&)>& take) {
  int32_t number = 0;
  for (Part& part : parts_) {
    const auto take_named = [&](EncodedRecord& encoded) {
      if (!part.name.empty()) name_task(part.name, number, encoded);
      take(encoded);
    };
    if (part.dataset->has(split)) encode(part, split, tokenizer, take_named);
    ++number;
  }
}

void RunDataset::encode(Part& part, const std::string& split, const Tokenizer& tokenizer,
                        const std::function<void(EncodedRecord&)>& take) {
  EncodingStream stream(*part.dataset, split, part.dataset->open(split), *part.task, tokenizer);
  Progress progress("encoding " + part.shown(split), part.dataset->size(split), "rows");
  int64_t done = 0;
  for (auto records = stream.next(); !records.empty(); records = stream.next()) {
    for (EncodedRecord& record : records) take(record);
    progress.advance_to(done += static_cast<int64_t>(records.size()));
  }
}

void RunDataset::read(const std::string& split, const std::function<bool(Record&)>& take) const {
  for (const Part& part : parts_) {
    if (!part.dataset->has(split)) continue;
    const auto stream = part.dataset->open(split);
    while (std::optional<Record> record = stream->next()) {
      if (!take(*record)) return;
    }
  }
}

bool RunDataset::has(const std::string& split) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.dataset->has(split); });
}

void RunDataset::refuse_changed(const std::string& split) {
  for (Part& part : parts_) {
    if (part.dataset->has(split)) part.dataset->refuse_changed(split);
  }
}

std::vector<std::pair<std::string, const SplitAudit*>> RunDataset::audits() {
  std::vector<std::pair<std::string, const SplitAudit*>> all;
  for (Part& part : parts_) {
    for (const std::string& split : part.options.splits())
      all.emplace_back(part.shown(split), &part.dataset->audits()[split]);
  }
  return all;
}

bool RunDataset::has_forbidden_leaks() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.options.leakage == "error" && !part.dataset->leaks().empty();
  });
}

std::vector<Leak> RunDataset::leaks() const {
  std::vector<Leak> all;
  for (const Part& part : parts_) {
    for (Leak leak : part.dataset->leaks()) {
      leak.split = part.shown(leak.split);
      leak.other = part.shown(leak.other);
      all.push_back(std::move(leak));
    }
  }
  return all;
}

}  // namespace hone
