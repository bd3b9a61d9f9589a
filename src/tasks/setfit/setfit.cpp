#include "tasks/setfit/setfit.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "models/layers/linear.h"
#include "models/layers/rows.h"
#include "tasks/embedding/head.h"
#include "tasks/embedding/sentence_folder.h"
#include "tasks/setfit/logistic.h"

namespace hone::setfit {
namespace {

using embedding::Pooling;

constexpr const char* kTaskName = "setfit";
constexpr const char* kTarget = "labels";  // as Classify calls it

// Logits of a layer that gives no gradient to the encoder, and the vectors of length 1 below it.
class SetFitHead : public Head {
 public:
  SetFitHead(Pooling pooling, const ModelConfig& config, int64_t classes)
      : pooling_(pooling), range_(config.initializer_range) {
    classifier_ = register_module("classifier", Linear(config.hidden_size, classes));
  }

  Outputs forward(Backbone& backbone, const Batch& batch) override {
    const Packed& tokens = batch.streams.front();
    const at::Tensor vectors = embedding::unit(embedding::pooled(backbone, tokens, pooling_));
    const Rows rows = Rows(tokens, is_training()).choose(tokens.first_rows()).at_head();
    return {Output{classifier_(vectors.detach(), rows)}, Output{vectors}};
  }

  void initialise(uint64_t seed) override { classifier_->initialise(range_, mix(seed, 0)); }

  void set(const LogisticWeights& solved) {
    const c10::AutoGradMode no_grad(false);
    for (auto& item : classifier_->named_parameters())
      item.value().copy_(item.key() == "weight" ? solved.weight : solved.bias);
  }

 private:
  Pooling pooling_;
  double range_;
  Linear classifier_{nullptr};
};

// The mean of x where `which` is true; 0 where it nowhere is.
at::Tensor mean_where(const at::Tensor& x, const at::Tensor& which) {
  return (x * which).sum() / which.sum().clamp_min(1);
}

// vectors [S, H] of length 1, classes [S].
at::Tensor pair_loss(const at::Tensor& vectors, const at::Tensor& classes) {
  const at::Tensor
      is_known = classes.ge(0),
      is_pair = is_known.unsqueeze(0).logical_and(is_known.unsqueeze(1)).triu(/*diagonal=*/1),
      is_same = classes.unsqueeze(0).eq(classes.unsqueeze(1));
  const at::Tensor error = (vectors.matmul(vectors.t()) - is_same.to(at::kFloat)).square();
  return (mean_where(error, is_pair.logical_and(is_same)) +
          mean_where(error, is_pair.logical_and(is_same.logical_not()))) /
         2;
}

}  // namespace

SetFit::SetFit(Options own, classify::Options options)
    : Classify(options), own_(own), max_seq_length_(options.max_seq_length) {}

SetFit::SetFit(Options own, classify::Options options, Labels labels)
    : Classify(options, classify::Type::kSingle, std::move(labels)),
      own_(own),
      max_seq_length_(options.max_seq_length) {}

const TaskInfo& SetFit::info() const { return kInfo; }

Pooling SetFit::pooling() const {
  return own_.pooling == Pooling::kAuto ? Pooling::kMean : own_.pooling;
}

void SetFit::begin_from(const std::string& model_folder, bool) {
  const embedding::SentenceFolder found = embedding::read_sentence_folder(model_folder);
  if (found.dense)
    throw Error(
        ErrorKind::kModel, {model_folder},
        "has a layer behind its pooling (2_Dense), which setfit does not have; take another "
        "model, or the task embedding");
  if (own_.pooling == Pooling::kAuto && found.pooling) own_.pooling = *found.pooling;
}

void SetFit::check_step(int64_t samples) const {
  if (samples == 1)
    throw Error(ErrorKind::kUsage,
                "train.per_device_train_batch_size is 1, but setfit learns from the pairs that the "
                "texts of a step make. Take 16 or more.");
}

std::shared_ptr<Head> SetFit::make_head(const ModelConfig& config) const {
  embedding::refuse_blind_pooling(pooling(), config);
  return std::make_shared<SetFitHead>(pooling(), config, labels().size());
}

Loss SetFit::loss(const Outputs& outputs, const Batch& batch, const LossOptions& options) const {
  const Loss of_head = Classify::loss(outputs[0], batch, options);
  const at::Tensor classes = batch.targets.at(kTarget).to(outputs[1].device());
  return {pair_loss(outputs[1], classes) + of_head.sum / std::max(of_head.count, 1.0), 1};
}

void SetFit::final_fit(Network& network, const Outputs& outputs, const Batch& batch) const {
  const at::Tensor classes = batch.targets.at(kTarget).to(at::kLong);
  dynamic_cast<SetFitHead&>(network.head())
      .set(solve_logistic(outputs[1], classes, labels().size(), own_.c));
}

Json SetFit::state() const {
  Json state = Classify::state();
  state["options"]["pooling"] = option_names(own_.pooling)[static_cast<size_t>(own_.pooling)];
  state["options"]["c"] = own_.c;
  return state;
}

void SetFit::write_model_config(const ModelConfig& model, Json& config) const {
  Classify::write_model_config(model, config);
  config["architectures"] = Json::array({model.architecture_stem + "Model"});
}

void SetFit::write_files(const ModelConfig& model, const std::string& folder) const {
  embedding::write_sentence_folder({pooling(), true, max_seq_length_}, model.hidden_size, folder);
}

namespace {

template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("pooling", o.pooling);
  visit("c", o.c);
}

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  Options own;
  for_each_option(own, OptionReader(section));
  if (!(own.c > 0)) throw section.error("c", fmt::format("\"c\" is {}; it must be above 0", own.c));
  classify::Options options = classify::Options::read(section, max_seq_length);
  if (options.type == classify::Type::kMulti || options.type == classify::Type::kRegression)
    throw section.error("type", "setfit gives each text one label of several");
  for (const char* key : {"class_weights", "logit_adjustment", "focal_gamma"}) {
    if (section.has(key))
      throw section.error(key, "is of a loss of classes, and setfit trains on pairs of texts");
  }
  options.type = classify::Type::kSingle;
  return std::make_unique<SetFit>(own, std::move(options));
}

std::unique_ptr<Task> restore(const Json& state) {
  Options own;
  own.pooling = option_named<Pooling>(state.at("options").at("pooling").get<std::string>(),
                                      option_names(Pooling::kAuto));
  own.c = state.at("options").at("c").get<double>();
  return std::make_unique<SetFit>(own, options_from<classify::Options>(state.at("options")),
                                  Labels::from_json(state.at("labels")));
}

}  // namespace

const TaskInfo kInfo{kTaskName, "classification from few labelled texts, by pairs of them", make,
                     restore};

}  // namespace hone::setfit
