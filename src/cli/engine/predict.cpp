#include <iostream>

#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "data/files.h"
#include "data/format.h"
#include "data/row_reader.h"

namespace hone {
namespace {

constexpr size_t kChunk = 1024;  // records predicted at a time; results are written after each

// Unlike labelled data, what is to be predicted is lines of text unless its name or first character
// says otherwise: a text with commas in it is no CSV.
std::unique_ptr<RecordReader> open_inputs(const SourceOptions& source) {
  const std::vector<SourceFile> files = files_of(source);
  const bool is_told = files.front().options->format != "auto";
  if (is_told || files.size() > 1 || !format_of_name(files.front().path).empty())
    return open_reader(source);
  auto text = std::make_unique<TextStream>(source);
  size_t first;
  while ((first = text->window().find_first_not_of(" \t\r\n")) == std::string_view::npos &&
         text->more()) {
  }
  const char c = first == std::string_view::npos ? '\0' : text->window()[first];
  if (c == '{') return read_jsonl(source, std::move(text));
  return read_text(source, std::move(text));
}

// A plain line stands for the task's first text.
void name_plain_text(Record& record, const std::vector<std::string>& text_fields) {
  if (record.fields.size() != 1 || !record.fields.contains("text")) return;
  for (const std::string& name : text_fields) {
    if (record.fields.contains(name)) return;
  }
  record.fields = {{text_fields.front(), record.fields["text"]}};
}

std::vector<Record> read_chunk(RecordReader& reader, const std::vector<std::string>& text_fields) {
  std::vector<Record> chunk;
  while (chunk.size() < kChunk) {
    std::optional<Record> record = reader.next();
    if (!record) break;
    name_plain_text(*record, text_fields);
    chunk.push_back(std::move(*record));
  }
  return chunk;
}

}  // namespace

int run_predict(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const SourceOptions source =
      source_from(text_of(arguments, "FILE"), list_of(arguments, "KEY=VALUE"));
  const auto reader = open_inputs(source);
  const std::vector<std::string> text_fields = pipeline->task().text_fields();
  Progress progress("predicting", 0, "rows");
  int64_t done = 0;
  for (auto chunk = read_chunk(*reader, text_fields); !chunk.empty();
       chunk = read_chunk(*reader, text_fields)) {
    const std::vector<Json> results = pipeline->predict(chunk, predict_options(arguments));
    for (size_t i = 0; i < chunk.size(); ++i)
      std::cout << with_inputs(chunk[i], results[i], pipeline->task()).dump() << '\n';
    std::cout.flush();
    progress.advance_to(done += static_cast<int64_t>(chunk.size()));
  }
  return 0;
}

}  // namespace hone
