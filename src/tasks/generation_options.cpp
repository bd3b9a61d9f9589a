#include "tasks/generation_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <type_traits>

#include "base/file.h"
#include "base/log.h"
#include "tasks/options.h"

namespace hone {
namespace {

constexpr const char *kFile = "generation_config.json", *kBadWords = "bad_words_ids";

// Options of Transformers that change an answer and are not done here, with the values at which
// they change nothing; null is one everywhere.
const Json& neutral_elsewhere() {
  static const Json values = {{"typical_p", 1.0},
                              {"top_h", Json()},
                              {"epsilon_cutoff", 0.0},
                              {"eta_cutoff", 0.0},
                              {"num_beam_groups", 1},
                              {"diversity_penalty", 0.0},
                              {"penalty_alpha", Json()},
                              {"encoder_repetition_penalty", 1.0},
                              {"encoder_no_repeat_ngram_size", 0},
                              {kBadWords, Json()},
                              {"force_words_ids", Json()},
                              {"constraints", Json()},
                              {"sequence_bias", Json()},
                              {"exponential_decay_length_penalty", Json()},
                              {"guidance_scale", 1.0},
                              {"watermarking_config", Json()},
                              {"min_length", 0},
                              {"max_time", Json()},
                              {"renormalize_logits", false},
                              {"remove_invalid_values", false},
                              {"forced_decoder_ids", Json()},
                              {"num_return_sequences", 1}};
  return values;
}

// "bad_words_ids" of one token each: tokens that are never chosen (Marian's does so with the one
// that pads).
bool are_single_tokens(const Json& words) {
  return words.is_array() && std::all_of(words.begin(), words.end(), [](const Json& word) {
           return word.is_array() && word.size() == 1 && word.front().is_number_integer();
         });
}

void take_single_words(const Json& config, std::vector<int64_t>& suppressed) {
  const Json words = config.value(kBadWords, Json());
  if (!are_single_tokens(words)) return;
  for (const Json& word : words) {
    const auto token = word.front().get<int64_t>();
    if (std::find(suppressed.begin(), suppressed.end(), token) == suppressed.end())
      suppressed.push_back(token);
  }
}

void tell_not_done(const Json& config, const std::string& path) {
  for (const auto& [key, neutral] : neutral_elsewhere().items()) {
    const auto found = config.find(key);
    if (key == kBadWords && found != config.end() && are_single_tokens(*found)) continue;
    if (found != config.end() && !found->is_null() && *found != neutral)
      log_warn("{}: \"{}\": {} is not done here, answers are written without it", path, key,
               found->dump());
  }
}

Error bad_value(const std::string& path, const std::string& key, const Json& value,
                const std::string& message) {
  return {ErrorKind::kModel, {path}, fmt::format("\"{}\" is {}; {}", key, value.dump(), message)};
}

void take(const Json& value, bool& field) { value.get_to(field); }
void take(const Json& value, double& field) { value.get_to(field); }
void take(const Json& value, int64_t& field) {
  if (!value.is_number_integer()) throw Error(ErrorKind::kModel, "expected a whole number");
  value.get_to(field);
}
template <typename Item>
void take(const Json& value, std::vector<Item>& field) {
  field.clear();
  for (const Json& item : value.is_array() ? value : Json::array({value}))
    field.push_back(item.get<Item>());
}
// A bool, or "never".
void take(const Json& value, EarlyStopping& field) {
  const std::string name = value.is_boolean() ? value.dump() : value.get<std::string>();
  field = option_named<EarlyStopping>(name, option_names(field));
}

Json written(EarlyStopping value) {
  if (value == EarlyStopping::kNever) return "never";
  return value == EarlyStopping::kTrue;
}
template <typename Field>
Json written(const Field& value) {
  return value;
}

// The values that a file of Transformers has, but for those that are `given` already.
void take_values(const Json& config, const std::string& path, GenerationSettings& settings) {
  for_each_generation_option(settings, [&](const std::string& key, auto& field) {
    const bool is_given =
        std::find(settings.given.begin(), settings.given.end(), key) != settings.given.end();
    const auto found = config.find(key);
    if (is_given || found == config.end() || found->is_null()) return;
    try {
      take(*found, field);
    } catch (const Error& error) {
      throw bad_value(path, key, *found, error.message());
    } catch (const nlohmann::json::exception&) {
      throw bad_value(path, key, *found, "a value of another type was expected");
    }
  });
}

void check_values(const Json& config, const std::string& path, const GenerationOptions& options) {
  const auto fault = fault_of(options);
  if (fault && config.contains(fault->option))
    throw Error(ErrorKind::kModel, {path}, fmt::format("\"{}\" {}", fault->option, fault->message));
}

}  // namespace

void GenerationSettings::finish_reading(const Config& section) {
  for_each_generation_option(*this, [&](const char* key, const auto&) {
    if (section.has(key)) given.emplace_back(key);
  });
  if (const auto fault = fault_of(tokens))
    throw section.error(fault->option, fmt::format("\"{}\" {}", fault->option, fault->message));
}

void GenerationSettings::begin_from(const std::string& model_folder) {
  const std::filesystem::path folder(model_folder);
  const std::string path = (folder / kFile).string();
  const Json model = read_json((folder / "config.json").string(), ErrorKind::kModel);
  const Json ends = {{"eos_token_id", model.value("eos_token_id", Json())}};
  take_values(ends, (folder / "config.json").string(), *this);
  if (!std::filesystem::exists(path)) return;
  of_model = read_json(path, ErrorKind::kModel);
  if (!of_model.is_object()) throw Error(ErrorKind::kModel, {path}, "must be a JSON object.");
  tell_not_done(of_model, path);
  take_values(of_model, path, *this);
  take_single_words(of_model, tokens.suppress_tokens);
  const bool is_asked = std::find(given.begin(), given.end(), "do_sample") != given.end();
  if (tokens.num_beams > 1 && tokens.samples() && !is_asked) {
    log_info("{}: \"do_sample\" is true, but a beam search is asked for: nothing is sampled", path);
    tokens.do_sample = false;
  }
  check_values(of_model, path, tokens);
}

void GenerationSettings::write(const std::string& folder) const {
  static const GenerationSettings usual{};
  Json config = of_model;
  Json usual_values = Json::object();
  for_each_generation_option(
      usual, [&](const char* key, const auto& field) { usual_values[key] = written(field); });
  for_each_generation_option(*this, [&](const char* key, const auto& field) {
    if (config.contains(key) || written(field) != usual_values[key]) config[key] = written(field);
  });
  for (const char* key : {"seed", "presence_penalty"}) config.erase(key);  // no keys of that file
  if (config.value("forced_bos_token_id", Json()) == -1) config["forced_bos_token_id"] = nullptr;
  for (const char* key : {"eos_token_id", "forced_eos_token_id", "suppress_tokens",
                          "begin_suppress_tokens", "stop_strings"}) {
    if (config.contains(key) && config[key].empty()) config[key] = nullptr;
  }
  write_file((std::filesystem::path(folder) / kFile).string(), to_text(config, 2) + "\n");
}

}  // namespace hone
