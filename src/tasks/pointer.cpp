#include "tasks/pointer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "models/kernels/dropout.h"
#include "models/layers/adopt.h"

namespace hone {
namespace {

constexpr double kTheta = 10'000;  // of the rotary positions
constexpr const char* kText = "text";

std::string count_of_pairs(const std::string& name) { return name + "_count"; }

// A column of whole numbers, on the CPU.
at::Tensor numbers_in(const Batch& batch, const std::string& name) {
  return batch.targets.at(name).to(at::kCPU, at::kLong).contiguous();
}

// log(1 + Σ share · exp(x)) over all but the first dimension.
at::Tensor log_of_one_and(const at::Tensor& x, const at::Tensor& shares) {
  const at::Tensor chosen = (x + shares.log()).flatten(1);  // of no share: minus infinity
  return at::cat({chosen, at::zeros({x.size(0), 1}, x.options())}, 1).logsumexp(1);
}

}  // namespace

GlobalPointer::GlobalPointer(int64_t hidden, int64_t size, int64_t types) : size_(size) {
  queries_keys_ = register_module("p_dense", Linear(hidden, 2 * size));
  ends_ = register_module("q_dense", Linear(2 * size, 2 * types));
}

at::Tensor GlobalPointer::forward(const at::Tensor& states, const Rows& rows) {
  const at::Tensor x = queries_keys_(states, rows);
  const at::Tensor turned =
      rows.turned(x.view({-1, 2, size_}), {.theta = kTheta, .columns = size_});
  const at::Tensor queries = turned.select(1, 0) / std::sqrt(static_cast<double>(size_));
  return at::cat({queries, turned.select(1, 1), ends_(x, rows) / 2}, 1);
}

void GlobalPointer::initialise(double range, uint64_t seed) {
  queries_keys_->initialise(range, mix(seed, 0));
  ends_->initialise(range, mix(seed, 1));
}

PointerHead::PointerHead(const ModelConfig& config, int64_t size, const Kinds& kinds)
    : range_(config.initializer_range), dropout_(config.token_head.dropout) {
  for (const auto& [name, types] : kinds)
    pointers_.push_back(
        register_module(name, std::make_shared<GlobalPointer>(config.hidden_size, size, types)));
}

Outputs PointerHead::forward(Backbone& backbone, const Batch& batch) {
  const Rows rows = Rows(batch.streams.front(), is_training()).at_head();
  const at::Tensor states = kernels::dropout(backbone.forward(batch.streams).to(at::kFloat),
                                             rows.dropout(DropoutPlace::kTokenHeadOut, dropout_));
  std::vector<Output> outputs;
  for (const auto& pointer : pointers_)
    outputs.push_back({pointer->forward(states, rows), RowOf::kToken});
  return Outputs(std::move(outputs));
}

void PointerHead::initialise(uint64_t seed) {
  for (size_t i = 0; i < pointers_.size(); ++i) pointers_[i]->initialise(range_, mix(seed, i));
}

at::Tensor pointer_scores(const at::Tensor& tokens, int64_t types) {
  const int64_t size = (tokens.size(1) - 2 * types) / 2;
  const auto part = [&](int64_t begin, int64_t width) { return tokens.narrow(1, begin, width); };
  const at::Tensor starts = part(2 * size, types).t(), ends = part(2 * size + types, types).t();
  return part(0, size).mm(part(size, size).t()).unsqueeze(0) + starts.unsqueeze(2) +
         ends.unsqueeze(1);
}

at::Tensor pointer_loss(const at::Tensor& tokens, const std::vector<TypedPair>& gold, int64_t types,
                        PairOrder order, double smoothing) {
  const at::Tensor scores = pointer_scores(tokens, types);
  at::Tensor is_gold = at::zeros(scores.sizes(), at::kBool);
  auto set = is_gold.accessor<bool, 3>();
  for (const TypedPair& pair : gold) set[pair.type][pair.first][pair.last] = true;
  is_gold = is_gold.to(scores.device());
  const at::Tensor all = at::ones_like(is_gold),
                   counts = (order == PairOrder::kSpans ? all.triu() : all).to(scores.dtype()),
                   yes = (is_gold.to(scores.dtype()) * (1 - smoothing) + smoothing / 2) * counts;
  return (log_of_one_and(-scores, yes) + log_of_one_and(scores, counts - yes)).sum();
}

TokenRange text_in(const Sequence& sequence) {
  const auto begin = std::find(sequence.texts.begin(), sequence.texts.end(), 0),
             end =
                 std::find_if(begin, sequence.texts.end(), [](int32_t text) { return text != 0; });
  return {begin - sequence.texts.begin(), end - sequence.texts.begin()};
}

void add_text_place(Sample& sample) {
  const TokenRange text = text_in(sample.streams.back());
  sample.targets.push_back(
      {kText,
       false,
       2,
       {static_cast<float>(text.begin), static_cast<float>(text.end - text.begin)}});
}

void add_pairs(const std::string& name, const std::vector<TypedPair>& pairs, Sample& sample) {
  std::vector<float> values;
  for (const TypedPair& pair : pairs) {
    for (const int64_t value : {pair.first, pair.last, pair.type})
      values.push_back(static_cast<float>(value));
  }
  sample.targets.push_back({count_of_pairs(name), false, 1, {static_cast<float>(pairs.size())}});
  sample.targets.push_back({name, false, 3, std::move(values)});
}

at::Tensor pair_loss(const at::Tensor& tokens, const Batch& batch, const PairTarget& target) {
  const at::Tensor texts = numbers_in(batch, kText),
                   counts = numbers_in(batch, count_of_pairs(target.name)),
                   pairs = numbers_in(batch, target.name);
  const auto text = texts.accessor<int64_t, 2>(), pair = pairs.accessor<int64_t, 2>();
  const int64_t* count = counts.const_data_ptr<int64_t>();
  const int32_t* ends = batch.streams.back().cu_seqlens.const_data_ptr<int32_t>();
  std::vector<at::Tensor> losses;
  int64_t at = 0;
  for (int64_t s = 0; s < counts.numel(); ++s) {
    std::vector<TypedPair> gold;
    for (const int64_t end = at + count[s]; at < end; ++at)
      gold.push_back({pair[at][0], pair[at][1], pair[at][2]});
    losses.push_back(pointer_loss(tokens.narrow(0, ends[s] + text[s][0], text[s][1]), gold,
                                  target.types, target.order, target.smoothing));
  }
  return at::stack(losses).sum();
}

}  // namespace hone
