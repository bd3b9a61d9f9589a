#include "run/written_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/progress.h"
#include "models/layers/packed_weights.h"
#include "tasks/encode.h"
#include "tasks/writing.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

class RowWriter {
 public:
  RowWriter(Pipeline& pipeline, const Reading& reading, const WriteOptions& options,
            const std::function<void(const Json& line)>& take)
      : pipeline_(pipeline),
        text_fields_(pipeline.task().text_fields()),
        options_(options),
        take_(take),
        packed_(pipeline.network()),
        rows_(reading, text_fields_) {}

  Written run() {
    while (!written_.is_interrupted) {
      chunk_ = rows_.next();
      if (chunk_.empty()) break;
      answer_chunk();
    }
    return written_;
  }

 private:
  // A row with a sample and its answer, once that has ended.
  struct Asked {
    size_t row = 0;
    Sample sample;
    std::optional<Generated> answer = {};
  };

  void answer_chunk();
  std::vector<Asked> encode();
  void end(Asked& asked, const Generated& answer);
  Json result_of(Asked& asked, InputRow& row);
  // Lines of the rows that wait for no answer before them.
  void give_lines(std::vector<Asked>& all);

  Pipeline& pipeline_;
  std::vector<std::string> text_fields_;
  WriteOptions options_;
  std::function<void(const Json& line)> take_;
  PackedWeights packed_;  // for all chunks
  InputRows rows_;
  std::vector<InputRow> chunk_;
  size_t given_row_ = 0, given_ask_ = 0;  // the first of the chunk that have not been given
  Written written_;
  int64_t tokens_ = 0;
  Clock::time_point start_ = Clock::now();
  Progress progress_{"writing", 0, "rows"};
};

// The good rows of the chunk; what cannot be encoded becomes a bad one.
std::vector<RowWriter::Asked> RowWriter::encode() {
  std::vector<Record> records;
  std::vector<size_t> places;
  for (size_t i = 0; i < chunk_.size(); ++i) {
    if (chunk_[i].error) continue;
    records.push_back(chunk_[i].record);
    places.push_back(i);
  }
  std::vector<Asked> all;
  std::vector<EncodeOutcome> encoded =
      encode_records(records, pipeline_.task(), pipeline_.tokenizer(), /*with_targets=*/false);
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i].truncated) written_.answered.add_truncated(records[i]);
    if (encoded[i].failure)
      chunk_[places[i]].error = encoded[i].failure;
    else
      all.push_back({places[i], std::move(encoded[i].samples.front())});
  }
  return all;
}

void RowWriter::answer_chunk() {
  std::vector<Asked> all = encode();
  std::vector<Prompt> prompts;
  for (const Asked& asked : all) prompts.push_back(prompts_of({&asked.sample, 1}).front());
  given_row_ = given_ask_ = 0;
  GenerationRun run{.max_tokens = options_.max_tokens, .is_stopped = options_.is_stopped};
  run.on_end = [&](size_t ask, const Generated& answer) {
    end(all[ask], answer);
    give_lines(all);
  };
  write_answers(pipeline_.network(), pipeline_.task().answer_tokenizer(pipeline_.tokenizer()),
                *pipeline_.task().generation(), prompts, run);
  give_lines(all);
  written_.is_interrupted = written_.is_interrupted || given_ask_ < all.size();
}

void RowWriter::end(Asked& asked, const Generated& answer) {
  asked.answer = answer;
  tokens_ += static_cast<int64_t>(answer.ids.size());
  if (answer.reason == FinishReason::kInterrupted && !answer.failure) {
    written_.is_interrupted = true;
    ++written_.in_part;
  }
}

Json RowWriter::result_of(Asked& asked, InputRow& row) {
  try {
    const Row written{&asked.sample, {}, {}, std::move(asked.answer)};
    return pipeline_.decode(row.record, {&written, 1});
  } catch (const Error& error) {
    row.error = error;
    return nullptr;
  }
}

void RowWriter::give_lines(std::vector<Asked>& all) {
  for (; given_row_ < chunk_.size(); ++given_row_) {
    InputRow& row = chunk_[given_row_];
    const bool is_asked = given_ask_ < all.size() && all[given_ask_].row == given_row_;
    if (is_asked && !all[given_ask_].answer) break;
    const Json result = is_asked ? result_of(all[given_ask_++], row) : Json();
    take_(line_of(row, result, text_fields_, written_.answered));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  progress_.advance_to(written_.answered.rows,
                       fmt::format("{:.0f} tokens/s", static_cast<double>(tokens_) / seconds));
}

}  // namespace

Written write_rows(Pipeline& pipeline, const Reading& reading, const WriteOptions& options,
                   const std::function<void(const Json& line)>& take) {
  return RowWriter(pipeline, reading, options, take).run();
}

}  // namespace hone
