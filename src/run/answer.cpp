#include "run/answer.h"

#include <algorithm>

#include "base/progress.h"
#include "data/clean.h"
#include "data/files.h"
#include "data/format.h"
#include "data/row_reader.h"
#include "run/reports.h"

namespace hone {
namespace {

constexpr size_t kRowsAtOnce = 1024;  // records predicted at a time; results are written after each

// Unlike labelled data, what is to be predicted is lines of text unless its name or first character
// says otherwise: a text with commas in it is no CSV.
std::unique_ptr<RecordReader> open_inputs(const SourceOptions& source) {
  const std::vector<SourceFile> files = files_of(source);
  const bool is_told = files.front().options->format != "auto";
  if (is_told || files.size() > 1 || !format_of_name(files.front().path).empty())
    return open_reader(source);
  SourceOptions file = source;
  file.path = files.front().path;  // a pattern may fit one file
  auto text = std::make_unique<TextStream>(file);
  size_t first;
  while ((first = text->window().find_first_not_of(" \t\r\n")) == std::string_view::npos &&
         text->more()) {
  }
  const char c = first == std::string_view::npos ? '\0' : text->window()[first];
  if (c == '{') return read_jsonl(file, std::move(text));
  return read_text(file, std::move(text));
}

// A plain line stands for the task's first text.
void name_plain_text(Record& record, const std::vector<std::string>& text_fields) {
  if (record.fields.size() != 1 || !record.fields.contains("text")) return;
  for (const std::string& name : text_fields) {
    if (record.fields.contains(name)) return;
  }
  record.fields = {{text_fields.front(), record.fields["text"]}};
}

// A row of the input: a record, or what is wrong with it; and its answer.
struct Input {
  Record record;
  std::optional<Error> error;
  Json answer;
};

// Answers rows in their order, a bad one by its error.
class Predictor {
 public:
  Predictor(const Pipeline& pipeline, const Reading& reading, const PredictOptions& options)
      : pipeline_(pipeline),
        text_fields_(pipeline.task().text_fields()),
        options_(options),
        reader_(open_inputs(each_row(reading.source))),
        cleaner_(reading.clean.keeping_all(), text_fields_, audit_) {}

  Answered run(const std::function<void(std::span<const Json>)>& take) {
    Progress progress("predicting", 0, "rows");
    for (auto chunk = read_chunk(); !chunk.empty(); chunk = read_chunk()) {
      answer(chunk);
      std::vector<Json> lines;
      for (const Input& input : chunk) lines.push_back(line_of(input));
      take(lines);
      progress.advance_to(counts_.rows);
    }
    if (end_of_file_) throw *end_of_file_;
    return counts_;
  }

 private:
  // A reader that passes over bad rows would lose their places.
  static SourceOptions each_row(SourceOptions source) {
    source.on_bad_row = "error";
    return source;
  }

  std::vector<Input> read_chunk() {
    std::vector<Input> chunk;
    while (chunk.size() < kRowsAtOnce && !end_of_file_) {
      Input input;
      try {
        std::optional<Record> record = reader_->next();
        if (!record) break;
        input.record = std::move(*record);
        name_plain_text(input.record, text_fields_);
        cleaner_.accept(input.record);
      } catch (const StreamError& error) {  // no row can be found behind this place
        end_of_file_ = error;
        break;
      } catch (const Error& error) {
        input.error = error;
      }
      chunk.push_back(std::move(input));
    }
    return chunk;
  }

  void answer(std::vector<Input>& chunk) {
    std::vector<Record> records;
    std::vector<Input*> inputs;
    for (Input& input : chunk) {
      if (input.error) continue;
      records.push_back(input.record);
      inputs.push_back(&input);
    }
    options_.failed = [&](int64_t record, const Error& error) {
      inputs[static_cast<size_t>(record)]->error = error;
    };
    std::vector<Json> results = pipeline_.predict(records, options_);
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i]->answer = std::move(results[i]);
  }

  Json line_of(const Input& input) {
    ++counts_.rows;
    if (input.error) {
      if (counts_.bad_rows++ == 0) counts_.first_error = input.error;
      counts_.worst = std::max(counts_.worst, input.error->kind());
    }
    const Json answer = input.error ? Json{{"error", input.error->what()}} : input.answer;
    return with_inputs(input.record, answer, pipeline_.task());
  }

  const Pipeline& pipeline_;
  std::vector<std::string> text_fields_;
  PredictOptions options_;
  std::unique_ptr<RecordReader> reader_;
  SplitAudit audit_;
  Cleaner cleaner_;
  std::optional<Error> end_of_file_;
  Answered counts_;
};

}  // namespace

Answered answer_rows(const Pipeline& pipeline, const Reading& reading,
                     const PredictOptions& options,
                     const std::function<void(std::span<const Json> lines)>& take) {
  return Predictor(pipeline, reading, options).run(take);
}

}  // namespace hone
