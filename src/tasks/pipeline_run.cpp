// What a pipeline answers: encode, run in batches of similar length, decode.
#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "data/plan.h"
#include "tasks/pipeline.h"
#include "tasks/writing.h"

namespace hone {

namespace {

// Sums over the batches of an evaluation, of each task.
class Totals {
 public:
  int64_t tokens = 0;

  void add(const Loss& part, int32_t task) {
    Sums& sums = by_task_[task];
    sums.loss += part.sum.item<double>();
    sums.targets += part.count;
  }

  // The mean over targets; of several tasks the sum of their means, each times its weight.
  double loss(const std::vector<TaskPart>& parts) const {
    double loss = 0;
    for (const auto& [task, sums] : by_task_) {
      const double weight = parts.empty() ? 1 : parts.at(static_cast<size_t>(task)).weight;
      if (sums.targets > 0) loss += weight * (sums.loss / sums.targets);
    }
    return loss;
  }

 private:
  struct Sums {
    double loss = 0, targets = 0;
  };
  std::map<int32_t, Sums> by_task_;
};

// The samples of several records, one record after the other.
class Joined {
 public:
  void add(std::vector<Sample> of_record) {
    for (Sample& sample : of_record) {
      sample.record = static_cast<int64_t>(begins_.size()) - 1;
      samples_.push_back(std::move(sample));
    }
    begins_.push_back(samples_.size());
  }
  const std::vector<Sample>& samples() const { return samples_; }
  // Those of all rows that are one record's.
  std::span<const Row> rows_of(size_t record, const std::vector<Row>& rows) const {
    return std::span(rows).subspan(begins_[record], begins_[record + 1] - begins_[record]);
  }

 private:
  std::vector<Sample> samples_;
  std::vector<size_t> begins_ = {0};  // [records + 1]
};

// One batch's outputs, and where `totals` is given its loss, added to them.
Outputs outputs_of(const Task& task, Network& network, const Batch& batch, Totals* totals) {
  if (totals == nullptr) return task.predict(network, batch);
  auto [outputs, loss] = task.assess(network, batch);
  totals->add(loss, batch.task);
  return outputs;
}

// A head that says nothing of its rows has one for each sequence: another number of them is no
// answer.
void check_rows(const Output& output, const Batch& batch) {
  const Packed& tokens = batch.streams.back();
  const int64_t rows = output.values.dim() == 0 ? 0 : output.values.size(0),
                wanted = output.row_of == RowOf::kToken ? tokens.tokens() : tokens.sequences();
  if (output.row_of != RowOf::kBatch && rows != wanted)
    throw Error(ErrorKind::kInternal,
                fmt::format("a head gives {} rows for {} sequences of {} tokens: it must say of "
                            "what its rows are (tasks/outputs.h)",
                            rows, tokens.sequences(), tokens.tokens()));
}

// Sample s's part of an output.
at::Tensor part_of(const Output& output, const Packed& tokens, int64_t s) {
  if (output.row_of == RowOf::kBatch) return output.values;
  const int64_t begin = tokens.first_sequence(s), end = tokens.first_sequence(s + 1);
  if (output.row_of == RowOf::kToken) {
    const int32_t* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
    return output.values.slice(0, ends[begin], ends[end]);
  }
  return tokens.cu_samples.defined() ? output.values.slice(0, begin, end) : output.values[s];
}

// Each sample's part of a batch's outputs.
void cut_rows(const Outputs& outputs, const Batch& batch, const std::vector<int64_t>& indices,
              std::vector<Row>& rows) {
  for (size_t i = 0; i < outputs.all().size(); ++i) {
    Output output = outputs.all()[i];
    check_rows(output, batch);
    output.values = output.values.to(at::kCPU, at::kFloat).contiguous();
    for (size_t s = 0; s < indices.size(); ++s) {
      Row& row = rows[indices[s]];
      at::Tensor part = part_of(output, batch.streams.back(), static_cast<int64_t>(s));
      (i == 0 ? row.output : row.more.emplace_back()) = std::move(part);
    }
  }
}

// Batches of at most `max_tokens` tokens, each of samples of one task.
std::vector<std::vector<int64_t>> batches_of(std::span<const Sample> samples, int64_t max_tokens) {
  std::map<int32_t, std::vector<int64_t>> by_task;
  for (size_t i = 0; i < samples.size(); ++i)
    by_task[samples[i].task].push_back(static_cast<int64_t>(i));
  std::vector<std::vector<int64_t>> batches;
  for (const auto& [task, own] : by_task) {
    std::vector<int32_t> lengths;
    for (const int64_t i : own) lengths.push_back(static_cast<int32_t>(samples[i].size()));
    for (std::vector<int64_t>& batch : plan_evaluation(lengths, max_tokens)) {
      for (int64_t& place : batch) place = own[place];
      batches.push_back(std::move(batch));
    }
  }
  return batches;
}

// `row_of`: where given, what the rows of each output are of.
std::vector<Row> forward(const Task& task, Network& network, std::span<const Sample> samples,
                         int64_t max_tokens, Totals* totals, std::vector<RowOf>* row_of = nullptr) {
  if (network.is_training())
    throw Error(ErrorKind::kInternal, "a network that is being trained was asked for answers");
  const c10::AutoGradMode no_grad(false);
  std::vector<Row> rows;
  for (const Sample& sample : samples) rows.push_back({&sample, {}});
  for (const std::vector<int64_t>& indices : batches_of(samples, max_tokens)) {
    std::vector<Sample> chosen;
    for (const int64_t i : indices) chosen.push_back(samples[i]);
    const Batch batch = network.place(collate(chosen, indices, 0));
    const Outputs outputs = outputs_of(task, network, batch, totals);
    cut_rows(outputs, batch, indices, rows);
    if (row_of == nullptr) continue;
    row_of->clear();
    for (const Output& output : outputs.all()) row_of->push_back(output.row_of);
  }
  return rows;
}

// Output `index` of all rows: cut_rows undone.
at::Tensor together(const std::vector<Row>& rows, size_t index, RowOf row_of) {
  std::vector<at::Tensor> parts;
  for (const Row& row : rows) parts.push_back(index == 0 ? row.output : row.more[index - 1]);
  if (row_of == RowOf::kBatch) return parts.front();
  return row_of == RowOf::kToken ? at::cat(parts) : at::stack(parts);
}

// What the rows of samples are as one batch, in their order.
std::pair<Outputs, Batch> joined_batch(const std::vector<Sample>& samples,
                                       const std::vector<Row>& rows,
                                       const std::vector<RowOf>& row_of) {
  std::vector<Output> outputs;
  for (size_t i = 0; i < row_of.size(); ++i)
    outputs.push_back({together(rows, i, row_of[i]), row_of[i]});
  std::vector<int64_t> indices(samples.size());
  std::iota(indices.begin(), indices.end(), 0);
  return {Outputs(std::move(outputs)), collate(samples, indices, 0)};
}

// The loss of all samples as one step, in their order: what they are told from must not depend on
// the batches in which they went through the network.
Loss loss_together(const Task& task, const std::vector<Sample>& samples,
                   const std::vector<Row>& rows, const std::vector<RowOf>& row_of) {
  const auto [outputs, batch] = joined_batch(samples, rows, row_of);
  return task.loss(outputs, batch);
}

// The mean loss of a record's rows by themselves.
double own_loss(const Task& task, std::span<const Row> own, const std::vector<RowOf>& row_of) {
  std::vector<Sample> samples;
  for (const Row& row : own) samples.push_back(*row.sample);
  const Loss loss = loss_together(task, samples, std::vector<Row>(own.begin(), own.end()), row_of);
  return loss.sum.item<double>() / loss.count;
}

// Rows of labelled samples; their losses are added to `totals`.
std::vector<Row> assess_samples(const Task& task, Network& network,
                                const std::vector<Sample>& samples, int64_t max_tokens,
                                Totals& totals) {
  for (const Sample& sample : samples) {
    for (const Sequence& stream : sample.streams) totals.tokens += stream.size();
  }
  if (!task.has_step_loss()) return forward(task, network, samples, max_tokens, &totals);
  std::vector<RowOf> row_of;
  std::vector<Row> rows = forward(task, network, samples, max_tokens, nullptr, &row_of);
  if (!rows.empty()) totals.add(loss_together(task, samples, rows, row_of), 0);
  return rows;
}

bool is_finite(const at::Tensor& output) {
  const float* values = output.const_data_ptr<float>();
  return std::all_of(values, values + output.numel(),
                     [](float value) { return std::isfinite(value); });
}

bool has_numbers(const Row& row) {
  if (row.written) return true;  // what fails there says so
  return is_finite(row.output) && std::all_of(row.more.begin(), row.more.end(), is_finite);
}

// What a task writes; see Task::generation.
std::vector<Row> written_rows(const Pipeline& pipeline, Network& network,
                              std::span<const Sample> samples, const GenerationRun& run) {
  std::vector<Generated> answers =
      write_answers(network, pipeline.task().answer_tokenizer(pipeline.tokenizer()),
                    *pipeline.task().generation(), prompts_of(samples), run);
  std::vector<Row> rows;
  for (size_t i = 0; i < samples.size(); ++i)
    rows.push_back({&samples[i], {}, {}, std::move(answers[i])});
  return rows;
}

struct Answer {
  Json result;
  std::optional<Error> failure;
};

// On all threads. A record that has no samples gets no answer; one that fails does not fail its
// neighbours.
std::vector<Answer> decode_all(const Pipeline& pipeline, const std::vector<const Record*>& records,
                               const Joined& joined, const std::vector<Row>& rows) {
  std::vector<Answer> answers(records.size());
  at::parallel_for(0, static_cast<int64_t>(records.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const std::span<const Row> own = joined.rows_of(static_cast<size_t>(i), rows);
      if (own.empty()) continue;
      try {
        answers[i].result = pipeline.decode(*records[i], own);
      } catch (const Error& error) {
        answers[i].failure = error;
      }
    }
  });
  return answers;
}

// The results of some of the records, of which the first is number `first` of all.
std::vector<Json> predict_part(const Pipeline& pipeline, std::span<const Record> records,
                               int64_t first, const PredictOptions& options) {
  const auto fail = [&](size_t record, const Error& error) {
    if (!options.failed) throw error;  // of several, the first in the data's order
    options.failed(first + static_cast<int64_t>(record), error);
  };
  std::vector<EncodeOutcome> encoded =
      encode_records(records, pipeline.task(), pipeline.tokenizer(), /*with_targets=*/false);
  Joined joined;
  std::vector<const Record*> places;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i].failure) fail(i, *encoded[i].failure);
    if (encoded[i].truncated && options.truncated)
      options.truncated(first + static_cast<int64_t>(i));
    joined.add(std::move(encoded[i].samples));
    places.push_back(&records[i]);
  }
  std::vector<Answer> answers =
      decode_all(pipeline, places, joined,
                 pipeline.run(joined.samples(), options.max_tokens, options.is_stopped));
  std::vector<Json> results;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].failure) fail(i, *answers[i].failure);
    results.push_back(std::move(answers[i].result));
  }
  return results;
}

// The results of some labelled records; their losses are added to `totals`.
std::vector<Json> assess(const Pipeline& pipeline, Network& network,
                         std::vector<EncodedRecord>& records, int64_t max_tokens, Totals& totals) {
  Joined joined;
  std::vector<const Record*> places;
  for (EncodedRecord& encoded : records) {
    joined.add(std::move(encoded.samples));
    places.push_back(&encoded.record);
  }
  const std::vector<Row> rows =
      assess_samples(pipeline.task(), network, joined.samples(), max_tokens, totals);
  std::vector<Json> results;
  for (Answer& answer : decode_all(pipeline, places, joined, rows)) {
    if (answer.failure) throw *answer.failure;
    results.push_back(std::move(answer.result));
  }
  return results;
}

// Draws the rows of an evaluation that get an answer, among those that come first.
class AnswerDraw {
 public:
  explicit AnswerDraw(const AnswerSample& sample) : left_(sample.rows), random_(sample.seed) {}

  // Of `count` further rows, in the order of the data.
  std::vector<size_t> draw(size_t count) {
    std::vector<size_t> rows(count);
    std::iota(rows.begin(), rows.end(), size_t{0});
    const size_t drawn = std::min(count, static_cast<size_t>(left_));
    for (size_t i = 0; i < drawn; ++i) std::swap(rows[i], rows[i + random_.below(count - i)]);
    rows.resize(drawn);
    std::sort(rows.begin(), rows.end());
    left_ -= static_cast<int64_t>(drawn);
    return rows;
  }

 private:
  int64_t left_;
  RandomStream random_;
};

// Rows of an evaluation that were to be written to: those that are no prompts, and those whose
// prompts were too long.
struct Unanswered {
  std::vector<Error> failed;
  std::vector<Where> truncated;

  void tell(size_t drawn) const {
    if (!failed.empty())
      log_warn("{} of {} rows that were to be answered have no answer; the first: {}",
               failed.size(), drawn, failed.front().what());
    if (!truncated.empty())
      log_warn(
          "of {} rows that were to be answered {} were too long for the model and lost tokens "
          "of their prompts; the first: {}",
          drawn, truncated.size(), truncated.front().str());
  }
};

// Adds the answers of rows `drawn` to their results.
void add_answers(const Pipeline& pipeline, const std::vector<EncodedRecord>& records,
                 const std::vector<size_t>& drawn, PredictOptions options,
                 std::vector<Json>& results) {
  if (drawn.empty()) return;
  std::vector<Record> chosen;
  for (const size_t row : drawn) chosen.push_back(records[row].record);
  Unanswered without;
  options.failed = [&](int64_t, const Error& error) {
    if (error.kind() != ErrorKind::kData) throw error;
    without.failed.push_back(error);
  };
  options.truncated = [&](int64_t row) {
    without.truncated.push_back(chosen[static_cast<size_t>(row)].where());
  };
  const std::vector<Json> answers = predict_part(pipeline, chosen, /*first=*/0, options);
  without.tell(drawn.size());
  for (size_t i = 0; i < drawn.size(); ++i) {
    if (!answers[i].is_null()) results[drawn[i]].update(answers[i]);
  }
}

// The records given, encoded with targets, part by part.
EncodedSource encoded_parts(const std::vector<Record>& records, const Pipeline& pipeline) {
  return [&records, &pipeline, begin = size_t{0}]() mutable {
    const size_t count = std::min(kRecordsAtOnce, records.size() - begin);
    const std::span<const Record> part = std::span(records).subspan(begin, count);
    begin += count;
    std::vector<EncodedRecord> out;
    for (EncodeOutcome& encoded :
         encode_records(part, pipeline.task(), pipeline.tokenizer(), true)) {
      if (encoded.failure) throw *encoded.failure;
      out.push_back({part[out.size()], std::move(encoded.samples)});
    }
    return out;
  };
}

}  // namespace

EncodeOutcome Pipeline::encode(const Record& record) const {
  return encode_record(record, *task_, *tokenizer_, /*with_targets=*/false);
}

std::vector<Row> Pipeline::run(std::span<const Sample> samples, int64_t max_tokens,
                               const std::function<bool()>& is_stopped) const {
  if (task_->generation() != nullptr)
    return written_rows(*this, *network_, samples,
                        {.max_tokens = max_tokens, .is_stopped = is_stopped});
  return forward(*task_, *network_, samples, max_tokens, nullptr);
}

void Pipeline::fit_head(const std::vector<Sample>& samples) {
  std::vector<RowOf> row_of;
  const std::vector<Row> rows =
      forward(*task_, *network_, samples, PredictOptions().max_tokens, nullptr, &row_of);
  const auto [outputs, batch] = joined_batch(samples, rows, row_of);
  task_->final_fit(*network_, outputs, batch);
}

// Where products overflow, scores are no numbers: that is no answer, and no evaluation.
Json Pipeline::decode(const Record& record, std::span<const Row> rows) const {
  if (!std::all_of(rows.begin(), rows.end(), has_numbers))
    throw Error(ErrorKind::kModel, record.where(),
                "the model's scores of this row are no numbers: its weights have diverged, or are "
                "damaged");
  for (const Row& row : rows) {
    if (row.written && row.written->failure)
      throw Error(row.written->failure->kind(), record.where(), row.written->failure->message());
  }
  return task_->decode(record, rows, *tokenizer_);
}

std::vector<Json> Pipeline::predict(const std::vector<Record>& records,
                                    const PredictOptions& options) const {
  std::vector<Json> results;
  for (size_t begin = 0; begin < records.size(); begin += kRecordsAtOnce) {
    const size_t count = std::min(kRecordsAtOnce, records.size() - begin);
    std::vector<Json> part = predict_part(*this, std::span(records).subspan(begin, count),
                                          static_cast<int64_t>(begin), options);
    std::move(part.begin(), part.end(), std::back_inserter(results));
    if (options.progress) options.progress(static_cast<int64_t>(begin + count));
  }
  return results;
}

std::vector<Judged> Pipeline::judge(std::span<const Record> records, int64_t max_tokens) const {
  std::vector<EncodeOutcome> encoded =
      encode_records(records, *task_, *tokenizer_, /*with_targets=*/true);
  Joined joined;
  std::vector<Judged> judged(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    judged[i].failure = encoded[i].failure;
    joined.add(std::move(encoded[i].samples));
  }
  std::vector<RowOf> row_of;
  const std::vector<Row> rows =
      forward(*task_, *network_, joined.samples(), max_tokens, nullptr, &row_of);
  for (size_t i = 0; i < records.size(); ++i) {
    const std::span<const Row> own = joined.rows_of(i, rows);
    if (judged[i].failure || own.empty()) continue;
    judged[i].result = decode(records[i], own);
    judged[i].loss = own_loss(*task_, own, row_of);
  }
  return judged;
}

Evaluation Pipeline::evaluate(const EncodedSource& next, const PredictOptions& options,
                              const ResultSink& sink) const {
  const std::unique_ptr<Scorer> scorer = task_->make_scorer();
  AnswerDraw draw(task_->answer_sample());
  Totals totals;
  Evaluation evaluation;
  int64_t done = 0;
  for (std::vector<EncodedRecord> part = next(); !part.empty(); part = next()) {
    std::vector<Json> results = assess(*this, *network_, part, options.max_tokens, totals);
    add_answers(*this, part, draw.draw(part.size()), options, results);
    if (options.is_stopped && options.is_stopped()) {
      evaluation.is_interrupted = true;
      return evaluation;
    }
    for (size_t i = 0; i < part.size(); ++i) {
      scorer->add(part[i].record, results[i]);
      if (sink) sink(part[i].record, results[i]);
    }
    done += static_cast<int64_t>(part.size());
    if (options.progress) options.progress(done);
  }
  evaluation.report = scorer->report();
  evaluation.loss = totals.loss(task_->parts());
  evaluation.tokens = totals.tokens;
  return evaluation;
}

Evaluation Pipeline::evaluate(const std::vector<Record>& records,
                              const PredictOptions& options) const {
  std::vector<Json> results;
  Evaluation evaluation =
      evaluate(encoded_parts(records, *this), options,
               [&](const Record&, const Json& result) { results.push_back(result); });
  evaluation.results = std::move(results);
  return evaluation;
}

}  // namespace hone
