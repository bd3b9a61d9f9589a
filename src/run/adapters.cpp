#include "run/adapters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/folder_name.h"
#include "base/hub.h"
#include "base/progress.h"
#include "run/input_rows.h"

namespace hone {
namespace {

// Rows of one chunk that one model answers.
struct OwnRows {
  std::vector<Record> records;
  std::vector<size_t> places;
};

class AdapterPredictor {
 public:
  AdapterPredictor(const AdapterModels& models, const Reading& reading,
                   const PredictOptions& options)
      : models_(models), options_(options), rows_(reading, models.text_fields()) {}

  Answered run(const std::function<void(std::span<const Json>)>& take) {
    Progress progress("predicting", 0, "rows");
    for (auto chunk = rows_.next(); !chunk.empty(); chunk = rows_.next()) {
      const std::vector<Json> answers = answer(chunk);
      std::vector<Json> lines;
      for (size_t i = 0; i < chunk.size(); ++i)
        lines.push_back(line_of(chunk[i], answers[i], models_.text_fields(), counts_));
      take(lines);
      progress.advance_to(counts_.rows);
    }
    return counts_;
  }

 private:
  std::map<const Pipeline*, OwnRows> by_model(std::vector<InputRow>& chunk) const {
    std::map<const Pipeline*, OwnRows> groups;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (chunk[i].error) continue;
      try {
        OwnRows& own = groups[&models_.of(chunk[i].record)];
        own.records.push_back(chunk[i].record);
        own.places.push_back(i);
      } catch (const Error& error) {
        chunk[i].error = error;
      }
    }
    return groups;
  }

  std::vector<Json> answer(std::vector<InputRow>& chunk) {
    std::vector<Json> answers(chunk.size());
    for (const auto& [model, own] : by_model(chunk)) {
      options_.failed = [&, &own = own](int64_t record, const Error& error) {
        chunk[own.places[static_cast<size_t>(record)]].error = error;
      };
      options_.truncated = [&, &own = own](int64_t record) {
        counts_.add_truncated(own.records[static_cast<size_t>(record)]);
      };
      std::vector<Json> results = model->predict(own.records, options_);
      for (size_t i = 0; i < own.places.size(); ++i)
        answers[own.places[i]] = with_adapter(own.records[i], std::move(results[i]));
    }
    return answers;
  }

  static Json with_adapter(const Record& record, Json result) {
    if (result.is_object() && record.fields.contains(kAdapterField))
      result[kAdapterField] = record.fields[kAdapterField];
    return result;
  }

  const AdapterModels& models_;
  PredictOptions options_;
  InputRows rows_;
  Answered counts_;
};

}  // namespace

NamedAdapter NamedAdapter::read(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos || equals + 1 == word.size())
    throw Error(ErrorKind::kUsage,
                fmt::format("--adapter {}: must be a name and a folder, NAME=FOLDER", word));
  NamedAdapter adapter{word.substr(0, equals), word.substr(equals + 1)};
  if (!is_folder_name(adapter.name))
    throw Error(ErrorKind::kUsage, fmt::format("--adapter {}: \"{}\" is no name; {}", word,
                                               adapter.name, kFolderNameRule));
  return adapter;
}

AdapterModels::AdapterModels(const Pipeline& first, const std::vector<NamedAdapter>& others)
    : first_(first) {
  if (!first.adapted())
    throw Error(ErrorKind::kUsage,
                "--adapter names further adapters beside the model's own, but the model is no "
                "adapter's folder");
  if (!first.device().is_cpu())
    throw Error(ErrorKind::kUsage,
                "several adapters on one base model are for the CPU: --device cpu");
  for (const NamedAdapter& adapter : others) add(adapter);
}

void AdapterModels::add(const NamedAdapter& adapter) {
  if (others_.contains(adapter.name))
    throw Error(ErrorKind::kUsage, fmt::format("--adapter names \"{}\" twice", adapter.name));
  const std::string folder = resolve_model(adapter.folder);
  std::unique_ptr<Pipeline> model = Pipeline::load(folder, {}, "", {.beside = &first_});
  if (!model->adapted()) throw Error(ErrorKind::kUsage, {folder}, "is no adapter's folder");
  if (model->clean().json() != first_.clean().json())
    throw Error(
        ErrorKind::kUsage, {folder},
        "its texts were cleaned otherwise (data.clean) than those of the first adapter: one "
        "reading cannot serve both");
  model->network().set_precision(first_.precision());
  others_.emplace(adapter.name, std::move(model));
}

const Pipeline& AdapterModels::of(const Record& record) const {
  const auto field = record.fields.find(kAdapterField);
  if (field == record.fields.end() || field->is_null()) return first_;
  const auto found = field->is_string() ? others_.find(field->get<std::string>()) : others_.end();
  if (found != others_.end()) return *found->second;
  throw Error(
      ErrorKind::kData, record.where(),
      fmt::format("\"adapter\" is {}; there {} {}{}", field->dump(),
                  others_.size() == 1 ? "is" : "are", fmt::join(names(), ", "),
                  field->is_string() ? did_you_mean(field->get<std::string>(), names()) : ""));
}

const Pipeline& AdapterModels::named(const std::string& name) const {
  return name.empty() ? first_ : *others_.at(name);
}

std::vector<std::string> AdapterModels::names() const {
  std::vector<std::string> names;
  for (const auto& [name, model] : others_) names.push_back(name);
  return names;
}

std::vector<std::string> AdapterModels::text_fields() const {
  std::vector<std::string> fields = first_.task().text_fields();
  for (const auto& [name, model] : others_) {
    for (const std::string& field : model->task().text_fields()) {
      if (std::find(fields.begin(), fields.end(), field) == fields.end()) fields.push_back(field);
    }
  }
  return fields;
}

std::vector<std::string> adapters_named(const AdapterModels& models, const Reading& reading) {
  const std::unique_ptr<RecordReader> reader = open_reader(reading.source);
  std::set<std::string> named;
  while (const std::optional<Record> record = reader->next()) {
    const bool is_first = &models.of(*record) == &models.named("");
    named.insert(is_first ? "" : record->fields.at(kAdapterField).get<std::string>());
  }
  return {named.begin(), named.end()};
}

Answered answer_rows(const AdapterModels& models, const Reading& reading,
                     const PredictOptions& options,
                     const std::function<void(std::span<const Json> lines)>& take) {
  return AdapterPredictor(models, reading, options).run(take);
}

}  // namespace hone
