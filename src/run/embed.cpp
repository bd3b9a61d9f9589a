#include "run/embed.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/hub.h"
#include "base/log.h"
#include "base/progress.h"
#include "run/npy.h"
#include "tasks/embedding/embedding.h"
#include "tasks/fields.h"
#include "tasks/manifest.h"
#include "tune/machine.h"

namespace hone {
namespace {

using embedding::Embedding;

const Embedding& task_of(const Pipeline& pipeline) {
  return dynamic_cast<const Embedding&>(pipeline.task());
}

// A pre-trained model with the task of its folder's own modules.
std::unique_ptr<Pipeline> begin_embedder(const std::string& folder, LoadOptions options) {
  // Vectors are kept and compared: what is faster at the moment must not change them.
  if (options.precision == "auto") options.precision = "fp32";
  auto pipeline = begin_model(folder, embedding::kInfo, options);
  if (task_of(*pipeline).options().pooling == embedding::Pooling::kAuto)
    log_info(
        "{}: no modules.json says how its vectors are made: they are means over the tokens, of "
        "length 1",
        folder);
  return pipeline;
}

// Samples of the rows that have a text; the others get an error.
std::vector<Sample> encode_texts(const Pipeline& pipeline, const std::string& prompt,
                                 std::vector<InputRow>& rows, std::vector<int64_t>& places) {
  std::vector<Sample> samples(rows.size());
  at::parallel_for(0, static_cast<int64_t>(rows.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (rows[i].error) continue;
      try {
        samples[i] = task_of(pipeline).encode_text(
            prompt + need_text(rows[i].record, kEmbeddedText.front()), pipeline.tokenizer());
      } catch (const Error& error) {
        rows[i].error = error;
      }
    }
  });
  std::vector<Sample> good;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].error) continue;
    places.push_back(static_cast<int64_t>(i));
    good.push_back(std::move(samples[i]));
  }
  return good;
}

at::Tensor vectors_of(const Pipeline& pipeline, std::vector<InputRow>& rows,
                      const EmbedOptions& options) {
  const int64_t width = embedding_width(pipeline);
  std::vector<int64_t> places;
  const std::vector<Sample> samples = encode_texts(pipeline, options.prompt, rows, places);
  const std::vector<Row> outputs = pipeline.run(samples, options.max_tokens);
  at::Tensor vectors = at::zeros({static_cast<int64_t>(rows.size()), width}, at::kFloat);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const float* from = outputs[i].output.const_data_ptr<float>();
    if (!std::all_of(from, from + width, [](float x) { return std::isfinite(x); }))
      throw Error(ErrorKind::kModel, rows[places[i]].record.where(),
                  "the model's vector of this text has what is no number: its weights have "
                  "diverged, or are damaged");
    std::copy(from, from + width, vectors.data_ptr<float>() + places[i] * width);
  }
  return vectors;
}

Json list_of_numbers(const float* values, int64_t count) {
  Json list = Json::array();
  for (int64_t i = 0; i < count; ++i) list.push_back(number(values[i]));
  return list;
}

}  // namespace

std::unique_ptr<Pipeline> load_embedder(const std::string& model, const LoadOptions& options) {
  const std::string folder = resolve_model(model);
  if (!std::filesystem::exists(manifest_path(folder))) return begin_embedder(folder, options);
  auto pipeline = load_model(folder, options);
  if (dynamic_cast<const Embedding*>(&pipeline->task()) == nullptr)
    throw Error(ErrorKind::kModel, {folder},
                fmt::format("the model was trained for the task {}: it gives no vectors of texts. "
                            "Take one of the task {}, or a pre-trained model.",
                            pipeline->info().name, embedding::kTaskName));
  return pipeline;
}

int64_t embedding_width(const Pipeline& pipeline) {
  return task_of(pipeline).width(pipeline.config());
}

void embed_rows(const Pipeline& pipeline, const Reading& reading, const EmbedOptions& options,
                const TakeVectors& take) {
  InputRows input(reading, kEmbeddedText);
  Progress progress("embedding", 0, "rows");
  int64_t done = 0;
  for (auto rows = input.next(); !rows.empty(); rows = input.next()) {
    const at::Tensor vectors = vectors_of(pipeline, rows, options);
    take(rows, vectors);
    progress.advance_to(done += static_cast<int64_t>(rows.size()));
  }
}

int64_t embed_to_npy(const Pipeline& pipeline, const Reading& reading, const EmbedOptions& options,
                     const std::string& path) {
  NpyWriter file(path, embedding_width(pipeline));
  int64_t count = 0;
  embed_rows(pipeline, reading, options,
             [&](std::span<const InputRow> rows, const at::Tensor& vectors) {
               for (const InputRow& row : rows) {
                 if (row.error) throw *row.error;
               }
               file.add({vectors.const_data_ptr<float>(), static_cast<size_t>(vectors.numel())});
               count += static_cast<int64_t>(rows.size());
             });
  file.commit();
  return count;
}

Answered embed_to_lines(const Pipeline& pipeline, const Reading& reading,
                        const EmbedOptions& options,
                        const std::function<void(const Json& line)>& take) {
  const int64_t width = embedding_width(pipeline);
  Answered counts;
  embed_rows(
      pipeline, reading, options, [&](std::span<const InputRow> rows, const at::Tensor& vectors) {
        const float* vector = vectors.const_data_ptr<float>();
        for (const InputRow& row : rows) {
          take(
              line_of(row, {{"embedding", list_of_numbers(vector, width)}}, kEmbeddedText, counts));
          vector += width;
        }
      });
  return counts;
}

}  // namespace hone
