#include "run/add_tokens.h"

#include <ATen/Functions.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/console.h"
#include "base/file.h"
#include "base/hub.h"
#include "data/fingerprint.h"
#include "data/tokenizer/new_pieces.h"
#include "models/backbone.h"
#include "models/weights.h"
#include "run/prepare.h"
#include "tasks/manifest.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

void refuse(bool wrong, const std::string& where, const char* why) {
  if (wrong) throw Error(ErrorKind::kUsage, {where}, why);
}

void check_model(const RunConfig& config, const std::string& folder, const std::string& out) {
  refuse(fs::exists(out), out, "is there already; name a new folder");
  refuse(!config.adapter.empty(), config.adapter,
         "is an adapter; its base model's vocabulary is what it was trained with");
  refuse(fs::exists(manifest_path(folder)), folder,
         "is a model that hone trained, and keeps its vocabulary: add tokens to the model that it "
         "began with");
  refuse(ModelConfig::load(folder).encoder_decoder.has_value(), folder,
         "has a source and a target, whose tables of words stand apart: tokens cannot be added");
}

// Each training text, those that a record has joined.
template <typename Take>
void each_text(Prepared& prepared, Take take) {
  const std::vector<std::string> fields = prepared.task->text_fields();
  prepared.data.encode("train", *prepared.tokenizer, [&](EncodedRecord& encoded) {
    take(text_of_fields(encoded.record, fields));
  });
}

// Rows of the vocabulary in a checkpoint: the table of words, and what the output multiplies with
// or adds.
class VocabularyWeights {
 public:
  VocabularyWeights(const ModelConfig& config, const StateDict& weights)
      : rows_(config.vocab_size) {
    const std::shared_ptr<Backbone> backbone = make_backbone(config);
    for (const auto& item : backbone->named_parameters()) {
      if (item.value().is_same(backbone->word_table())) name_ = item.key();
    }
    for (const auto& [name, value] : weights) {
      if (is_table(name)) table_ = value;
    }
  }

  bool found() const { return table_.defined() && table_.size(0) == rows_; }

  bool has(const std::string& name, const at::Tensor& value) const {
    if (value.dim() == 0 || value.size(0) != rows_) return false;
    if (is_table(name)) return true;
    const bool is_copy =
        value.sizes() == table_.sizes() && value.to(table_.scalar_type()).equal(table_);
    return is_copy || is_output(name);
  }

 private:
  bool is_table(const std::string& name) const {
    return name == name_ || name.ends_with("." + name_);
  }
  // As Transformers names heads of pre-training.
  static bool is_output(const std::string& name) {
    const auto ends = {"predictions.bias",    "decoder.weight", "decoder.bias",
                       "lm_head.weight",      "lm_head.bias",   "vocab_projector.weight",
                       "vocab_projector.bias"};
    return std::any_of(ends.begin(), ends.end(),
                       [&](const char* end) { return name.ends_with(end); });
  }

  int64_t rows_;
  std::string name_;  // of the table, in the network
  at::Tensor table_;
};

// The rows `former[i]` of each piece as one, their mean, at `first` and after it.
at::Tensor grown(const at::Tensor& value, const std::vector<std::vector<int32_t>>& former,
                 int64_t first) {
  std::vector<at::Tensor> rows;
  for (const std::vector<int32_t>& ids : former)
    rows.push_back(value.index_select(0, at::tensor(ids, at::kInt)).to(at::kDouble).mean(0));
  const at::Tensor more = at::stack(rows).to(value.scalar_type());
  const int64_t last = first + more.size(0);
  if (last >= value.size(0)) return at::cat({value.slice(0, 0, first), more});
  return at::cat({value.slice(0, 0, first), more, value.slice(0, last)});
}

void write_weights(const std::string& from, const std::string& to,
                   const std::vector<std::vector<int32_t>>& former, int64_t first) {
  const ModelConfig config = ModelConfig::load(from);
  StateDict weights = load_state_dict(from);
  const VocabularyWeights vocabulary(config, weights);
  refuse(!vocabulary.found(), from,
         "has no table of words with as many rows as \"vocab_size\" says");
  std::vector<std::string> names;
  for (const auto& [name, value] : weights) {
    if (vocabulary.has(name, value)) names.push_back(name);
  }
  for (const std::string& name : names) weights[name] = grown(weights[name], former, first);
  write_safetensors(to + "/model.safetensors", weights);
  Json raw = read_json(from + "/config.json", ErrorKind::kModel);
  raw["vocab_size"] =
      std::max<int64_t>(config.vocab_size, first + static_cast<int64_t>(former.size()));
  write_file(to + "/config.json", to_text(raw, 2) + "\n");
}

// What else the folder says of the model: settings, and the modules of sentence-transformers.
void copy_others(const std::string& from, const std::string& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const bool is_settings = entry.is_regular_file() && name.ends_with(".json") &&
                             !name.ends_with(".index.json") && name != "added_tokens.json";
    const bool is_module = entry.is_directory() && std::isdigit(name.front()) != 0;
    if ((is_settings || is_module) && !fs::exists(to + "/" + name))
      fs::copy(entry.path(), to + "/" + name, fs::copy_options::recursive);
  }
}

// A folder under another name until it is whole.
class NewFolder {
 public:
  explicit NewFolder(std::string path) : path_(std::move(path)) {
    fs::remove_all(temporary());
    fs::create_directories(temporary());
  }
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(temporary(), ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  std::string temporary() const { return path_ + ".new"; }
  void commit() const { rename_path(temporary(), path_); }

 private:
  std::string path_;
};

}  // namespace

AddedTokens add_tokens(const RunConfig& config, const std::string& out, int64_t least) {
  const std::string from = resolve_model(config.model);
  check_model(config, from, out);
  Prepared prepared = prepare(config);
  const Tokenizer& before = *prepared.tokenizer;
  const NewFolder folder(out);
  before.save(folder.temporary());
  const PieceForm form = piece_form(folder.temporary());
  MissingPieces missing(before, form);
  each_text(prepared, [&](const std::string& text) { missing.count(text); });
  AddedTokens added;
  added.pieces = missing.frequent(least);
  added.unknown_before = added.unknown_after = missing.unknown();
  if (added.pieces.empty()) return added;
  std::vector<std::string> pieces;
  std::vector<std::vector<int32_t>> former;
  for (const auto& [piece, count] : added.pieces) {
    pieces.push_back(piece);
    former.push_back(former_pieces(before, form, piece));
  }
  append_pieces(folder.temporary(), pieces, before.vocab_size());
  write_weights(from, folder.temporary(), former, before.vocab_size());
  copy_others(from, folder.temporary());
  const std::shared_ptr<const Tokenizer> after = Tokenizer::load(folder.temporary());
  MissingPieces left(*after, form);
  each_text(prepared, [&](const std::string& text) { left.count(text); });
  added.unknown_after = left.unknown();
  folder.commit();
  added.folder = out;
  return added;
}

Json AddedTokens::json() const {
  Json json = {{"folder", folder.empty() ? Json() : Json(folder)},
               {"pieces", Json::object()},
               {"unknown_before", unknown_before},
               {"unknown_after", unknown_after}};
  for (const auto& [piece, count] : pieces) json["pieces"][piece] = count;
  return json;
}

std::string AddedTokens::text() const {
  constexpr size_t kShown = 20;
  if (folder.empty())
    return fmt::format("tokens  none added: no character lacks that often ({} unknown tokens)\n",
                       unknown_before);
  std::string list;
  for (size_t i = 0; i < std::min(kShown, pieces.size()); ++i)
    list += fmt::format("{}{} {}", i == 0 ? "" : ", ", console::printable(pieces[i].first),
                        pieces[i].second);
  return fmt::format(
      "tokens  {} added to {}: {}{}\n"
      "        unknown tokens of the training texts: {} before, {} now. To train with them: "
      "model.path={}\n",
      pieces.size(), folder, list, pieces.size() > kShown ? ", …" : "", unknown_before,
      unknown_after, folder);
}

}  // namespace hone
