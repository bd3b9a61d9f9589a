// For the parity tests: one forward and backward pass of a backbone, from files to files.
//
//   model_probe MODEL_FOLDER INPUT.safetensors OUTPUT.safetensors [bf16]
//
// Input: ids, positions, segments [N] int64, cu_seqlens [S + 1] int32, upstream [N, H] fp32
// (gradient of the hidden states), and pooled_upstream [S, H] where the pooler is wanted. Output:
// hidden, pooled, "state.<layer>" of every layer and "grad.<parameter>" of every parameter, as a
// checkpoint has it. An encoder-decoder's source is source.ids, source.positions, source.segments,
// source.cu_seqlens, or source.states [M, H] fp32 in place of the first three (Whisper). Or, of a
// model that predicts the next token, targets [N] int64 (-100: none) in the place of gradients.
// Output: logits, loss (summed) and "grad.<weight>". With learning_rates [T] fp32, so many steps of
// AdamW (decay 0.1) on that one batch: loss [T], each before its step, and "weight.<weight>" after
// the last one.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "models/backbone.h"
#include "models/weights.h"
#include "tasks/causal_lm_head.h"
#include "tasks/pretrained.h"
#include "tune/parameters.h"

namespace {

using namespace hone;

using Weights = std::vector<std::pair<std::string, at::Tensor>>;

// `config` becomes what the checkpoint says of its output.
StateDict weights_in(ModelConfig& config, const std::string& folder) {
  StateDict weights = load_state_dict(folder);
  settle_copies(config, weights, folder);
  return weights;
}

void load_all(const Weights& weights, const ModelConfig& config, const StateDict& from,
              const std::string& folder) {
  LoadReport report = load_into(weights, from, config.base_prefix, folder);
  std::erase_if(report.missing, [&](const std::string& name) {
    return config.is_computed(name) || (config.causal_lm && name == config.causal_lm->bias);
  });
  if (!report.missing.empty())
    throw Error(ErrorKind::kModel, Where{folder},
                fmt::format("missing weights: {}", fmt::join(report.missing, ", ")));
  if (!report.unexpected.empty())
    fmt::print(stderr, "unexpected weights: {}\n", fmt::join(report.unexpected, ", "));
}

std::shared_ptr<Backbone> load(const std::string& folder, bool with_pooler) {
  ModelConfig config = ModelConfig::load(folder);
  config.sentence_head.uses_pooler &= with_pooler;
  const StateDict weights = weights_in(config, folder);
  auto model = make_backbone(config);
  Weights parameters;
  for (const auto& item : model->named_parameters())
    parameters.emplace_back(item.key(), config.stored(item.key(), item.value()));
  load_all(parameters, config, weights, folder);
  model->eval();
  return model;
}

Packed packed(const StateDict& input, const std::string& prefix = "") {
  Packed tokens;
  tokens.cu_seqlens = input.at(prefix + "cu_seqlens");
  if (input.contains(prefix + "states")) {
    tokens.features = input.at(prefix + "states");
    tokens.feature_ends = tokens.cu_seqlens;
    tokens.ids = at::zeros({tokens.features.size(0)}, at::kLong);
    return tokens;
  }
  tokens.ids = input.at(prefix + "ids");
  tokens.positions = input.at(prefix + "positions");
  tokens.segments = input.at(prefix + "segments");
  tokens.max_len = tokens.cu_seqlens.diff().max().item<int64_t>();
  return tokens;
}

// Source and target where there is a source.
std::vector<Packed> streams_of(const StateDict& input) {
  if (!input.contains("source.cu_seqlens")) return {packed(input)};
  return {packed(input, "source."), packed(input)};
}

StateDict run(Backbone& model, const StateDict& input) {
  const std::vector<Packed> streams = streams_of(input);
  const Packed& tokens = streams.back();
  std::vector<at::Tensor> states;
  const at::Tensor hidden = model.forward(streams, {.states = &states});
  at::Tensor loss = (hidden.to(at::kFloat) * input.at("upstream")).sum();
  StateDict output{{"hidden", hidden.detach().to(at::kFloat)}};
  for (size_t i = 0; i < states.size(); ++i)
    output[fmt::format("state.{}", i)] = states[i].detach().to(at::kFloat);
  if (input.contains("pooled_upstream")) {
    const Rows first = Rows(tokens, /*is_training=*/false).choose(tokens.first_rows());
    const at::Tensor pooled = model.pool(first.of(hidden), first);
    loss = loss + (pooled.to(at::kFloat) * input.at("pooled_upstream")).sum();
    output["pooled"] = pooled.detach().to(at::kFloat);
  }
  loss.backward();
  for (const auto& item : model.named_parameters())
    if (item.value().grad().defined())
      output["grad." + item.key()] = model.config().stored(item.key(), item.value().grad());
  return output;
}

// A model that predicts next tokens, and its batch.
class NextTokens {
 public:
  NextTokens(const std::string& folder, const StateDict& input, Precision precision)
      : NextTokens(folder, ModelConfig::load(folder), input, precision) {}

  StateDict pass() {
    const at::Tensor states = states_of_batch(), loss = loss_of(states);
    loss.backward();
    StateDict output{{"logits", head_->logits(network_.backbone(), states).detach()},
                     {"loss", loss.detach().reshape({1})}};
    for (const auto& [name, weight] : network_.weights())
      if (weight.grad().defined()) output["grad." + name] = config_.stored(name, weight.grad());
    return output;
  }

  StateDict steps(const at::Tensor& rates) {
    TrainOptions options;
    options.weight_decay = 0.1;
    const std::unique_ptr<Optimizer> optimizer =
        optimizers().named(options.optim).make(trainable_parameters(network_, options), options);
    std::vector<at::Tensor> losses;
    for (int64_t i = 0; i < rates.size(0); ++i) {
      const at::Tensor loss = loss_of(states_of_batch());
      loss.backward();
      optimizer->step(rates[i].item<float>(), /*gradient_scale=*/1);
      clear_gradients(optimizer->parameters());
      losses.push_back(loss.detach());
    }
    optimizer->flush();
    StateDict output{{"loss", at::stack(losses)}};
    for (const auto& [name, weight] : network_.stored_weights()) output["weight." + name] = weight;
    return output;
  }

 private:
  NextTokens(const std::string& folder, ModelConfig config, const StateDict& input,
             Precision precision)
      : weights_(weights_in(config, folder)),
        config_(std::move(config)),
        head_(std::make_shared<CausalLmHead>(config_, config_.encoder_decoder ? 2 : 1)),
        network_(make_backbone(config_), head_),
        targets_(input.at("targets")) {
    load_all(network_.stored_weights(), config_, weights_, folder);
    network_.eval();
    network_.set_precision(precision);
    batch_.streams = streams_of(input);
  }

  at::Tensor states_of_batch() { return head_->states(network_.backbone(), batch_, {}); }
  at::Tensor loss_of(const at::Tensor& states) {
    return head_->loss(network_.backbone(), states, targets_);
  }

  StateDict weights_;
  ModelConfig config_;
  std::shared_ptr<CausalLmHead> head_;
  Network network_;
  at::Tensor targets_;
  Batch batch_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::fputs("usage: model_probe MODEL_FOLDER INPUT.safetensors OUTPUT.safetensors [bf16]\n",
               stderr);
    return 2;
  }
  const StateDict input = read_safetensors(argv[2]);
  const bool is_bf16 = argc > 4 && std::string(argv[4]) == "bf16";
  const Precision precision = is_bf16 ? Precision::kBf16 : Precision::kFp32;
  if (input.contains("targets")) {
    NextTokens model(argv[1], input, precision);
    const auto rates = input.find("learning_rates");
    write_safetensors(argv[3], rates == input.end() ? model.pass() : model.steps(rates->second));
    return 0;
  }
  const auto model = load(argv[1], input.contains("pooled_upstream"));
  if (is_bf16) model->set_precision(precision);
  write_safetensors(argv[3], run(*model, input));
  return 0;
} catch (const hone::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.kind());
}
