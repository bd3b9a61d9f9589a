#include "run/search.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/embed.h"
#include "run/reports.h"
#include "tasks/fields.h"

namespace hone {
namespace {

// What is searched, and what is shown of its rows: id and text where they are known.
struct Searched {
  std::unique_ptr<Corpus> corpus;
  std::vector<Json> shown;  // by row; empty where the texts are not known
};

Json shown_of(const InputRow& row) {
  return with_inputs(row.record, Json::object(), kEmbeddedText);
}

// A corpus has a vector for each row: a bad one is the end.
const InputRow& need_row(const InputRow& row) {
  if (row.error) throw *row.error;
  return row;
}

Searched embed_corpus(const Pipeline& pipeline, const Reading& reading,
                      const EmbedOptions& options) {
  Searched searched;
  std::vector<at::Tensor> parts = {at::empty({0, embedding_width(pipeline)}, at::kFloat)};
  embed_rows(pipeline, reading, options,
             [&](std::span<const InputRow> rows, const at::Tensor& vectors) {
               for (const InputRow& row : rows) searched.shown.push_back(shown_of(need_row(row)));
               parts.push_back(vectors);
             });
  searched.corpus = std::make_unique<Corpus>(at::cat(parts));
  return searched;
}

// Vectors of a file, with the texts that --texts names.
Searched open_corpus(const Pipeline& pipeline, const std::string& npy, const std::string& texts,
                     Reading reading) {
  Searched searched{std::make_unique<Corpus>(npy), {}};
  if (searched.corpus->width() != embedding_width(pipeline))
    throw Error(ErrorKind::kData, {npy},
                fmt::format("its vectors have {} numbers, the model's have {}: another model made "
                            "them.",
                            searched.corpus->width(), embedding_width(pipeline)));
  if (texts.empty()) return searched;
  reading.source.path = texts;
  InputRows input(reading, kEmbeddedText);
  for (auto rows = input.next(); !rows.empty(); rows = input.next()) {
    for (const InputRow& row : rows) searched.shown.push_back(shown_of(need_row(row)));
  }
  if (static_cast<int64_t>(searched.shown.size()) != searched.corpus->rows())
    throw Error(ErrorKind::kData, {texts},
                fmt::format("has {} rows, but {} has {}: they do not belong together.",
                            searched.shown.size(), npy, searched.corpus->rows()));
  return searched;
}

Json hits_json(const std::vector<Hit>& hits, const std::vector<Json>& shown) {
  Json list = Json::array();
  for (const Hit& hit : hits) {
    Json one = {{"row", hit.row}, {"score", number(hit.score)}};
    if (!shown.empty()) one.update(shown[static_cast<size_t>(hit.row)]);
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

int run_search(const CLI::App& arguments) {
  const std::string path = text_of(arguments, "CORPUS"), texts = text_of(arguments, "--texts");
  const bool is_npy = path.ends_with(".npy");
  if (!is_npy && !texts.empty())
    throw Error(ErrorKind::kUsage, "--texts names the texts of a .npy file; CORPUS has its own.");
  if (is_npy && !text_of(arguments, "--prompt").empty())
    throw Error(ErrorKind::kUsage,
                "--prompt is put before texts; a .npy file has vectors, which hone embed --prompt "
                "makes.");
  const auto pipeline = load_embedder(text_of(arguments, "MODEL"), load_options(arguments));
  const Reading reading = reading_of(path, arguments, *pipeline);
  tell_idle("data", idle_options(reading.source, "text"));
  const int64_t max_tokens = max_tokens_of(arguments, *pipeline), k = number_of(arguments, "-k");
  const Searched searched =
      is_npy ? open_corpus(*pipeline, path, texts, reading)
             : embed_corpus(*pipeline, reading, {max_tokens, text_of(arguments, "--prompt")});
  Reading queries{{}, reading.clean};
  queries.source.path = text_of(arguments, "QUERIES");
  Answered counts;
  embed_rows(*pipeline, queries, {max_tokens, text_of(arguments, "--query-prompt")},
             [&](std::span<const InputRow> rows, const at::Tensor& vectors) {
               const auto hits = searched.corpus->search(vectors, k);
               for (size_t i = 0; i < rows.size(); ++i) {
                 const Json found = {{"hits", hits_json(hits[i], searched.shown)}};
                 std::cout << to_text(line_of(rows[i], found, kEmbeddedText, counts)) << '\n';
               }
               std::cout.flush();
             });
  return tell_answered(counts, queries);
}

}  // namespace hone
