// Sentence embeddings with other losses and rows than those of their example.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

const bool kEmbeddingCases = add_variants("embedding", [](const std::vector<Record>& example) {
  const auto pairs = [](Json& fields, size_t) { fields.erase("negative"); };
  const auto some_negatives = [](Json& fields, size_t i) {
    if (i % 2 == 0) fields.erase("negative");
  };
  // Each anchor has one of four positives, and the other three for negatives: all that a search
  // finds.
  const auto triplets = [&](Json& fields, size_t i) {
    fields["negative"] = Json::array();
    for (size_t j = 0; j < 4; ++j) {
      const Json& text = example[j].fields.at("positive");
      (j == i % 4 ? fields["positive"] : fields["negative"].emplace_back()) = text;
    }
  };
  const auto scores = [](Json& fields, size_t i) {
    fields.erase("negative");
    fields["score"] = static_cast<double>(i * 7 % 20) / 4;  // the first 20 differ
  };
  const auto labels = [](Json& fields, size_t i) {
    if (i % 2 == 0) fields["positive"] = fields["negative"];
    fields.erase("negative");
    fields["label"] = i % 2;
  };
  return std::vector<Variant>{
      {"pairs", "{symmetric: true, pooling: max}", edited(example, pairs)},
      {"triplets", "{loss: triplet, pooling: cls}", edited(example, triplets)},
      {"some negatives", "{normalize: false}", edited(example, some_negatives)},
      {"scores", "{loss: cosine, max_score: 5}", edited(example, scores)},
      {"ordered scores", "{loss: cosent, max_score: 5}", edited(example, scores)},
      {"labels", "{loss: contrastive, distance: euclidean, margin: 1}", edited(example, labels)},
  };
});

}  // namespace
}  // namespace hone::conformance
