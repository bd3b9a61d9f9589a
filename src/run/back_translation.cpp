#include "run/back_translation.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/file.h"
#include "base/hub.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/random.h"
#include "data/fingerprint.h"
#include "tasks/encode.h"
#include "tasks/fields.h"
#include "tasks/manifest.h"
#include "tasks/seq2seq/seq2seq.h"
#include "tasks/writing.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTextsAtOnce = 512;            // what a run that is killed loses
constexpr uint64_t kSeeds = uint64_t{1} << 24;  // see add_seed

bool is_blank_text(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

// Names and checksums of a folder's files.
std::string sums_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string sums;
  for (const fs::path& file : files)
    sums += file.filename().string() + " " + sha256_file(file.string()) + "\n";
  return sums;
}

// Of a model's folder. What other folders lie in it (checkpoints, .git) is not the model's.
Json files_in(const fs::path& folder) {
  const fs::path targets = folder / seq2seq::kTargetFolder;
  return sha256(sums_in(folder) + (fs::is_directory(targets) ? sums_in(targets) : ""));
}

seq2seq::Options task_options(const TranslationOptions::Model& model) {
  Config section = Config::parse("", "augment.translation", model.task);
  return seq2seq::Options::read(section, 0);
}

Json model_identity(const TranslationOptions::Model& model) {
  Json identity = {{"files", files_in(resolve_model(model.path))}, {"task", model.task}};
  const std::string tokenizer = task_options(model).target_tokenizer;
  if (fs::is_directory(tokenizer)) identity["target_tokenizer"] = files_in(tokenizer);
  return identity;
}

// As its section says, else its generation_config.json.
bool draws_answers(const TranslationOptions::Model& model) {
  GenerationSettings settings = task_options(model).generation;
  settings.begin_from(resolve_model(model.path));
  return settings.tokens.samples();
}

// A model that hone trained to translate, or any pre-trained one.
std::unique_ptr<Pipeline> load_translator(const TranslationOptions::Model& model,
                                          const LoadOptions& machine) {
  LoadOptions options = machine;
  options.task = model.task;
  const std::string folder = resolve_model(model.path);
  if (!fs::exists(manifest_path(folder)))
    return begin_model(folder, seq2seq::kInfo, options, [](Task& task, const Tokenizer& tokenizer) {
      task.learn_tokens({}, tokenizer);
    });
  auto pipeline = load_model(folder, options);
  if (pipeline->info().name != std::string_view(seq2seq::kTaskName))
    throw Error(ErrorKind::kModel, {folder},
                fmt::format("the model was trained for the task {}: it does not translate. "
                            "\"augment.translation\" takes models of the task {}, or pre-trained "
                            "encoder-decoders",
                            pipeline->info().name, seq2seq::kTaskName));
  return pipeline;
}

struct WantedText {
  std::string text;
  int64_t copy = 0;
};

// Both models, while texts are translated.
class BackTranslator {
 public:
  BackTranslator(const TranslationOptions& options, const TranslationRun& run, int64_t total)
      : run_(run),
        there_(load_translator(options.there, run.machine)),
        back_(load_translator(options.back, run.machine)),
        progress_("translating there and back", 2 * total, "texts") {}

  // False where it was stopped; `file` then has none of these.
  bool translate(std::vector<WantedText> wanted, TranslationFile& file) {
    std::vector<WantedText> texts = wanted;
    for (Pipeline* model : {there_.get(), back_.get()}) {
      if (!translate_by(*model, texts)) return false;
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      const bool is_lost = texts[i].text.empty();
      lost_ += is_lost;
      file.add(wanted[i].text, wanted[i].copy,
               is_lost ? std::nullopt : std::optional(texts[i].text));
    }
    file.flush();
    return true;
  }
  int64_t lost() const { return lost_; }

 private:
  struct Asked {
    size_t place;
    Record record;
    Sample sample;
  };

  // Each text becomes its translation, "" where there is none that is whole.
  bool translate_by(Pipeline& model, std::vector<WantedText>& texts) {
    std::vector<Asked> asked = encode(model, texts);
    std::vector<Prompt> prompts;
    for (const Asked& one : asked) prompts.push_back(prompts_of({&one.sample, 1}).front());
    GenerationRun run{.is_stopped = [this] { return run_.is_stopped && *run_.is_stopped; }};
    run.on_end = [&](size_t, const Generated&) { progress_.advance_to(++done_); };
    const std::vector<Generated> answers =
        write_answers(model.network(), model.tokenizer(), *model.task().generation(), prompts, run);
    if (run.is_stopped()) return false;
    for (size_t i = 0; i < asked.size(); ++i)
      texts[asked[i].place].text = text_in(model, asked[i], answers[i]);
    return true;
  }

  // Texts that the model reads whole; the others become "".
  std::vector<Asked> encode(const Pipeline& model, std::vector<WantedText>& texts) {
    std::vector<Record> records;
    for (const WantedText& one : texts)
      records.push_back(
          {{{model.task().text_fields().front(), one.text},
            {"seed",
             mix(static_cast<uint64_t>(run_.seed), static_cast<uint64_t>(one.copy)) % kSeeds}},
           nullptr});
    const std::vector<EncodeOutcome> encoded =
        encode_records(records, model.task(), model.tokenizer(), /*with_targets=*/false);
    std::vector<Asked> asked;
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool is_whole = !encoded[i].failure && !encoded[i].truncated;
      if (is_whole)
        asked.push_back({i, records[i], encoded[i].samples.front()});
      else
        progress_.advance_to(++done_);
      if (!is_whole) texts[i].text.clear();
    }
    return asked;
  }

  static std::string text_in(const Pipeline& model, const Asked& asked, const Generated& answer) {
    if (answer.failure && answer.failure->kind() != ErrorKind::kData) throw *answer.failure;
    const bool is_whole =
        answer.reason == FinishReason::kEnd || answer.reason == FinishReason::kStop;
    if (answer.failure || !is_whole) return "";
    const Row row{&asked.sample, {}, {}, answer};
    const Json result = model.decode(asked.record, {&row, 1});
    const std::string text = result.at(model.task().gold_fields().front());
    return is_blank_text(text) ? "" : text;
  }

  const TranslationRun& run_;
  std::unique_ptr<Pipeline> there_, back_;
  Progress progress_;
  int64_t done_ = 0, lost_ = 0;
};

// Gives `take` each text of the training data that the file lacks, once for each copy; false from
// `take` ends it.
void for_each_missing(const RunDataset& data, const std::vector<std::string>& text_fields,
                      int64_t copies, const TranslationFile& file,
                      const std::function<bool(WantedText)>& take) {
  std::unordered_set<uint64_t> seen;
  bool goes_on = true;
  data.read("train", [&](Record& record) {
    for_each_text(record, text_fields, [&](const std::string& text) {
      for (int64_t copy = 0; copy < copies && goes_on; ++copy) {
        if (is_blank_text(text) || file.has(text, copy)) continue;
        const uint64_t key = mix(hash_bytes(text), static_cast<uint64_t>(copy));
        if (seen.insert(key).second) goes_on = take({text, copy});
      }
    });
    return goes_on;
  });
}

}  // namespace

void for_each_text(Record& record, const std::vector<std::string>& text_fields,
                   const std::function<void(std::string& text)>& take) {
  for (const std::string& field : text_fields) {
    const auto found = record.fields.find(field);
    if (found == record.fields.end() || found->is_null()) continue;
    const bool is_list = found->is_array();
    Json texts = is_list ? *found : Json::array({*found});
    for (Json& text : texts) {
      if (!text.is_string())
        throw field_error(record, field,
                          "is no text, nor a list of texts, so it cannot be translated "
                          "(augment.translation)");
      take(text.get_ref<std::string&>());
    }
    *found = is_list ? texts : texts.front();
  }
}

bool draws_translations(const TranslationOptions& options) {
  return draws_answers(options.there) || draws_answers(options.back);
}

TranslationFile open_translations(const TranslationOptions& options, int64_t seed,
                                  const std::string& path) {
  return {options.cache.empty() ? path : options.cache,
          {{"there", model_identity(options.there)},
           {"back", model_identity(options.back)},
           {"seed", draws_translations(options) ? seed : 0}}};
}

bool translate_training(const TranslationOptions& options, const TranslationRun& run,
                        const RunDataset& data, const std::vector<std::string>& text_fields,
                        TranslationFile& file) {
  int64_t missing = 0;
  for_each_missing(data, text_fields, run.copies, file, [&](const WantedText&) {
    ++missing;
    return true;
  });
  if (missing == 0) return true;
  log_info("translating {} texts there and back; {} keeps them", missing, file.path());
  BackTranslator translator(options, run, missing);
  std::vector<WantedText> texts;
  bool goes_on = true;
  const auto translate = [&] {
    goes_on = texts.empty() || translator.translate(std::exchange(texts, {}), file);
    return goes_on;
  };
  for_each_missing(data, text_fields, run.copies, file, [&](WantedText text) {
    texts.push_back(std::move(text));
    return texts.size() < kTextsAtOnce || translate();
  });
  if (goes_on) translate();
  if (translator.lost() > 0)
    log_info("{} texts have no whole translation, and stay as they are", translator.lost());
  return goes_on;
}

}  // namespace hone
