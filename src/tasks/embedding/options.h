// What the `task` section of sentence embeddings may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/options.h"

namespace hone::embedding {

constexpr const char* kTaskName = "embedding";

enum class Objective { kMultipleNegatives, kTriplet, kCosine, kCosent, kContrastive };
enum class Pooling { kAuto, kMean, kFirst, kMax };  // kAuto: as the base model's folder says
enum class Unit { kAuto, kYes, kNo };               // whether vectors are scaled to length 1

const std::vector<std::string>& option_names(Objective);  // "multiple_negatives", …
const std::vector<std::string>& option_names(Pooling);    // "auto", "mean", "cls", "max"
const std::vector<std::string>& option_names(Unit);       // "auto", "true", "false"

struct Options {
  std::string anchor = "anchor", positive = "positive";  // fields of the two texts
  std::vector<std::string> negative = {"negative"};  // fields of texts that do not belong to them
  std::string score = "score";  // field of how alike the texts are; "": there is none
  std::string label = "label";  // field of whether they belong together, 1 or 0; "": there is none
  Objective loss = Objective::kMultipleNegatives;
  Pooling pooling = Pooling::kAuto;
  Unit normalize = Unit::kAuto;
  int64_t dense = 0;  // numbers that a layer behind the pooling makes of a vector; 0: there is none
  std::string dense_activation = "tanh";  // of that layer: tanh | identity
  double scale = 20;                      // multiple_negatives, cosent: factor of cosines
  bool symmetric = false;           // multiple_negatives: anchors are told apart by positives too
  bool mask_duplicates = true;      // multiple_negatives: equal texts are no negatives
  double margin = 0.5;              // triplet, contrastive
  std::string distance = "cosine";  // triplet, contrastive: cosine | euclidean
  double max_score = 1;             // what a score is of texts that say the same
  int64_t max_negatives = 8;        // of a row
  int64_t k = 10;                   // texts that a search shows, for scores
  int64_t max_seq_length = 0;       // tokens of each text, with special ones

  static Options read(Config& section, int64_t max_seq_length);

  // Rows hold texts that belong together, and are scored by searching one for the other; else they
  // say how alike two texts are.
  bool ranks() const {
    return loss == Objective::kMultipleNegatives || loss == Objective::kTriplet;
  }
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("anchor", o.anchor);
  visit("positive", o.positive);
  visit("negative", o.negative);
  visit("score", o.score);
  visit("label", o.label);
  visit("loss", o.loss);
  visit("pooling", o.pooling);
  visit("normalize", o.normalize);
  visit("dense", o.dense);
  visit("dense_activation", o.dense_activation, Choices{"tanh", "identity"});
  visit("scale", o.scale);
  visit("symmetric", o.symmetric);
  visit("mask_duplicates", o.mask_duplicates);
  visit("margin", o.margin);
  visit("distance", o.distance, Choices{"cosine", "euclidean"});
  visit("max_score", o.max_score);
  visit("max_negatives", o.max_negatives);
  visit("k", o.k);
  visit("max_seq_length", o.max_seq_length);
}

// Options that were given and do nothing with this loss, as sentences.
std::vector<std::string> without_effect(const Options& options);

}  // namespace hone::embedding
