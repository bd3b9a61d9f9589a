// Texts as vectors: `hone embed`, and what `hone search` searches.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "run/answer.h"
#include "run/load.h"
#include "tasks/pipeline.h"

namespace hone {

// A model that gives vectors, made ready as load_model does: one that hone trained for the task
// `embedding`, or any pre-trained model. What pools the latter is said by the files of
// sentence-transformers in its folder; where it has none, it is the mean, and that is told. There
// "auto" is fp32.
std::unique_ptr<Pipeline> load_embedder(const std::string& model, const LoadOptions& options = {});

// The field of the rows that holds the text.
inline const std::vector<std::string> kEmbeddedText = {"text"};

struct EmbedOptions {
  int64_t max_tokens = PredictOptions().max_tokens;
  std::string prompt = {};  // put before each text, as the model was trained with: "query: "
};

// Rows of texts, some at a time, with their vectors [rows, width] fp32. A row without a text has
// an error, and zeros. Error(kModel) at the row where a vector is no number.
using TakeVectors = std::function<void(std::span<const InputRow> rows, const at::Tensor& vectors)>;
void embed_rows(const Pipeline& pipeline, const Reading& reading, const EmbedOptions& options,
                const TakeVectors& take);

int64_t embedding_width(const Pipeline& pipeline);

// Into a file that numpy reads, row for row. The first bad row is thrown: a matrix has no place for
// it. Gives the number of rows.
int64_t embed_to_npy(const Pipeline& pipeline, const Reading& reading, const EmbedOptions& options,
                     const std::string& path);
// A JSON line for each row: its id, its text, its "embedding" (or an "error").
Answered embed_to_lines(const Pipeline& pipeline, const Reading& reading,
                        const EmbedOptions& options,
                        const std::function<void(const Json& line)>& take);

}  // namespace hone
