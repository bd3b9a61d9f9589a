// Runs that train adapters beside a frozen model: what is trained, exact resume and splitting, the
// folder that is saved, and folders that are refused.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <tuple>

#include "base/file.h"
#include "models/layers/linear.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_decoder.h"
#include "support/tiny_encoder_decoder.h"
#include "support/tiny_run.h"
#include "tasks/causal_lm_head.h"
#include "tasks/peft_folder.h"
#include "tune/batch_loader.h"
#include "tune/parameters.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

constexpr const char* kLora =
    "{peft_type: LORA, r: 4, lora_alpha: 8, lora_dropout: 0.2, target_modules: [query, value]}";
constexpr const char* kAll = "{peft_type: lora, r: 2, lora_dropout: 0.1}";

bool is_trained(const std::string& name) {
  return name.find(".lora.lora_") != std::string::npos || !name.starts_with("bert.");
}

class PeftRun : public TinyRun {
 public:
  explicit PeftRun(const std::string& peft = kLora, const std::string& task = "classify",
                   int64_t rows = 21)
      : TinyRun(task, {}, rows) {
    peft_yaml = peft;
  }

  // The sum of gradients of 16 samples in micro-batches of so many. B begins at zero, where A has
  // no gradient: it is moved away.
  std::map<std::string, at::Tensor> gradient(int64_t micro) {
    load_pipeline();
    pipeline().network().train();
    for (const auto& [name, value] : pipeline().network().trained_weights()) {
      if (name.ends_with("lora_B.weight"))
        value.detach().copy_(at::sin(at::arange(value.numel())).view(value.sizes()));
    }
    for (int64_t first = 0; first < 16; first += micro) {
      std::vector<int64_t> indices;
      for (int64_t i = first; i < first + micro; ++i) indices.push_back(i);
      const Batch batch = make_micro_batch(store(), indices, 42, 0).batch;
      pipeline().task().forward_loss(pipeline().network(), batch, {}).sum.backward();
    }
    std::map<std::string, at::Tensor> all;
    for (const auto& [name, value] : pipeline().network().weights()) {
      EXPECT_EQ(value.grad().defined(), is_trained(name)) << name;
      if (value.grad().defined()) all[name] = value.grad().clone();
    }
    return all;
  }

  std::string saved() {
    pipeline().save(folder() + "/saved");
    return folder() + "/saved";
  }
};

TEST(Peft, TrainsAdaptersAndTheHeadAlone) {
  PeftRun run;
  TrainOptions options = tiny_options();
  options.learning_rate = 2e-2;
  run.train(options);
  const auto after = run.weights();
  const auto started = run.events_of<Started>().at(0);
  const auto steps = run.events_of<Stepped>();
  EXPECT_LT(steps.back().mean_loss, steps.front().mean_loss);
  run.load_pipeline();
  int64_t trained = 0;
  for (const auto& [name, value] : run.weights()) {
    EXPECT_NE(is_trained(name), at::equal(value, after.at(name))) << name;
    if (is_trained(name)) trained += value.numel();
  }
  EXPECT_EQ(trained, 2 * 2 * (4 * 16 + 16 * 4) + 3 * 16 + 3);
  EXPECT_EQ(started.parameters, trained);
  EXPECT_GT(started.all_parameters, trained);
}

class EveryForm : public testing::TestWithParam<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Peft, EveryForm,
                         testing::Values(std::pair("classify", kLora), std::pair("ner", kLora),
                                         std::pair("classify", kAll), std::pair("ner", kAll)));

TEST_P(EveryForm, GradientDependsOnTheSamplesAlone) {
  PeftRun run(GetParam().second, GetParam().first, 16);
  const auto whole = run.gradient(16);
  double size = 0;
  for (const auto& [name, value] : whole) size = std::max(size, value.abs().max().item<double>());
  for (const int64_t micro : {4, 1}) {
    for (const auto& [name, value] : run.gradient(micro))
      EXPECT_LT((value - whole.at(name)).abs().max().item<double>() / size, 1e-6)
          << name << " in micro-batches of " << micro;
  }
}

struct Form {
  const char *task, *peft, *precision;
  bool recompute;
};
class EveryAdaptedRun : public testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(Peft, EveryAdaptedRun,
                         testing::Values(Form{"classify", kLora, "fp32", false},
                                         Form{"ner", kLora, "bf16", false},
                                         Form{"classify", kAll, "bf16", true}));

TEST_P(EveryAdaptedRun, ResumedEqualsTheUninterruptedBitForBit) {
  const Form& form = GetParam();
  TrainOptions options = tiny_options();
  options.precision = form.precision;
  options.recompute = form.recompute;
  options.eval_strategy = "steps";
  options.eval_steps = 2;
  PeftRun whole(form.peft, form.task), parts(form.peft, form.task);
  whole.train(options);
  parts.also = [&](const Event& event) {
    const auto* s = std::get_if<Stepped>(&event);
    if (s != nullptr && s->step == 5) parts.stop = true;
  };
  EXPECT_TRUE(parts.train(options).interrupted);
  for (const auto& [name, value] :
       read_safetensors(parts.output() + "/checkpoints/last/model.safetensors"))
    EXPECT_TRUE(is_trained(name)) << name;  // the rest is the base model's
  parts.stop = false;
  parts.train(options, /*resume=*/true);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
}

TEST(Peft, RecomputingGivesTheSameBits) {
  PeftRun plain, recomputed;
  TrainOptions options = tiny_options();
  plain.train(options);
  options.recompute = true;
  recomputed.train(options);
  EXPECT_EQ(first_difference(plain.weights(), recomputed.weights()), "");
}

TEST(Peft, ARunGoesOnWithItsOwnAdaptersOnly) {
  PeftRun run;
  TrainOptions options = tiny_options();
  options.save_strategy = "steps";
  options.save_steps = 1;
  run.train(options);
  const auto resumed_with = [&](const std::string& peft) {
    run.peft_yaml = peft;
    return error_of([&] { run.train(options, /*resume=*/true); });
  };
  EXPECT_THAT(resumed_with("{peft_type: LORA, r: 4, lora_alpha: 16, lora_dropout: 0.2, "
                           "target_modules: [query, value]}"),
              AllOf(HasSubstr("section peft"), HasSubstr("lora_alpha: 8.0 -> 16.0")));
  EXPECT_THAT(resumed_with(""), HasSubstr("section peft"));
  EXPECT_EQ(resumed_with(kLora), "no error");
}

TEST(Peft, AResumedRunMustTrainAsManyParameters) {
  PeftRun run;
  TrainOptions options = tiny_options();
  options.save_strategy = "steps";
  options.save_steps = 1;
  run.train(options);
  const std::string path = run.output() + "/checkpoints/last/trainer_state.json";
  Json state = read_json(path, ErrorKind::kModel);
  const int64_t trained = state["state"]["trained"];
  EXPECT_EQ(trained, run.events_of<Started>().at(0).parameters);
  state["state"]["trained"] = trained + 1;
  state.erase("sha256");
  state["sha256"] = sha256(to_text(state));
  write_file(path, to_text(state));
  EXPECT_THAT(error_of([&] { run.train(options, /*resume=*/true); }),
              HasSubstr(fmt::format("it trained {} parameters, now it would train {}", trained + 1,
                                    trained)));
}

TEST(Peft, BackwardEndsAtTheLowestAdapter) {
  PeftRun run("{peft_type: lora, r: 2, target_modules: [query], layers_to_transform: [1]}");
  run.load_pipeline();
  Network& network = run.pipeline().network();
  network.train();
  const Batch batch = make_micro_batch(run.store(), {0, 1, 2}, 42, 0).batch;
  std::vector<at::Tensor> states;
  network.backbone().forward(batch.streams, {.states = &states});
  ASSERT_EQ(states.size(), 2U);
  EXPECT_FALSE(states[0].requires_grad());  // no graph below, and nothing kept for one
  EXPECT_TRUE(states[1].requires_grad());
}

TEST(Peft, KeysOfPeftsThatAskForWhatIsSoAreTaken) {
  const auto refusal = [](const std::string& keys, const std::string& task = "classify") {
    PeftRun run("{peft_type: LORA, r: 4, " + keys + "}", task);
    return error_of([&] { run.load_pipeline(); });
  };
  const std::string usual = "bias: none, inference_mode: false, fan_in_fan_out: true, task_type: ";
  EXPECT_EQ(refusal(usual + "SEQ_CLS"), "no error");
  EXPECT_EQ(refusal(usual + "TOKEN_CLS", "ner"), "no error");
  EXPECT_THAT(refusal("task_type: TOKEN_CLS"),
              AllOf(HasSubstr("peft:1:"), HasSubstr("SEQ_CLS to PEFT"), HasSubstr("task_type")));
  EXPECT_THAT(refusal("bias: all"), AllOf(HasSubstr("peft:1:"), HasSubstr("bitfit")));
  EXPECT_THAT(refusal("inference_mode: true"), HasSubstr("nothing would be trained"));
}

TEST(Peft, FactorsAreThoseOfKeysValuesAndFeedForwardWhereNobodyNamesLayers) {
  PeftRun run("{peft_type: ia3}");
  run.load_pipeline();
  const Adapted& adapted = *run.pipeline().adapted();
  const std::string layer = "bert.encoder.layer.";
  EXPECT_THAT(adapted.targets,
              UnorderedElementsAre(layer + "0.attention.self.key", layer + "0.attention.self.value",
                                   layer + "0.output.dense", layer + "1.attention.self.key",
                                   layer + "1.attention.self.value", layer + "1.output.dense"));
  EXPECT_EQ(adapted.options["feedforward_modules"],
            Json({layer + "0.output.dense", layer + "1.output.dense"}));
  run.peft_yaml = "{peft_type: ia3, target_modules: [key, output.dense]}";  // as PEFT takes it
  run.load_pipeline();
  EXPECT_TRUE(run.pipeline().adapted()->options["feedforward_modules"].empty());
}

TEST(Peft, ATextWithoutTokensIsNoBeginning) {
  for (const char* peft :
       {"{peft_type: prefix_tuning, num_virtual_tokens: 3, prefix_init_text: ' '}",
        "{peft_type: prompt_tuning, num_virtual_tokens: 3, prompt_tuning_init: TEXT, "
        "prompt_tuning_init_text: ' '}"}) {
    PeftRun run(peft);
    EXPECT_THAT(error_of([&] { run.load_pipeline(); }),
                AllOf(HasSubstr("peft:1:"), HasSubstr("init_text"), HasSubstr("no token")))
        << peft;
  }
}

TEST(Peft, OtherNamesThanThereAreAreToldAtTheirPlace) {
  const auto refusal = [](const std::string& peft) {
    PeftRun run(peft);
    return error_of([&] { run.load_pipeline(); });
  };
  EXPECT_THAT(refusal("{peft_type: lora, target_modules: [qeury]}"),
              AllOf(HasSubstr("peft:1:"), HasSubstr("attention.self.query")));
  EXPECT_THAT(refusal("{peft_type: lora, modules_to_save: [poolr]}"), HasSubstr("no module"));
  EXPECT_THAT(refusal("{peft_type: lora, rank: 4}"), HasSubstr("\"rank\""));
  EXPECT_THAT(refusal("{peft_type: lora, target_modules: [classifier]}"),
              HasSubstr("modules_to_save"));
  EXPECT_THAT(refusal("{peft_type: lora, r: 17}"), HasSubstr("rank 17 of bert.encoder.layer.0"));
}

TEST(Peft, ATiedTableOfWordsIsNoTarget) {
  const testing_support::TemporaryFolder folder;
  testing_support::write_tiny_decoder(folder / "model");
  const ModelConfig config = ModelConfig::load(folder / "model");
  const auto refusal = [&](const std::string& peft) {
    Network network(make_backbone(config), std::make_shared<CausalLmHead>(config, 1));
    Config section = Config::parse(peft, "peft");
    const PeftOptions options = PeftOptions::read(section);
    return error_of([&] { adapt(network, options, {}); });
  };
  EXPECT_THAT(refusal("{peft_type: lora, target_modules: [embed_tokens]}"),
              AllOf(HasSubstr("peft:1:"), HasSubstr("no linear layer")));
  EXPECT_THAT(refusal("{peft_type: lora, target_modules: [q_proj, lm_head]}"),
              AllOf(HasSubstr("\"lm_head\""), HasSubstr("mlp.up_proj")));
  EXPECT_THAT(refusal("{peft_type: lora, modules_to_save: [embed_tokens]}"),
              HasSubstr("tie_word_embeddings"));
}

TEST(Peft, APrefixIsForNetworksOfOneStream) {
  const ModelConfig config = testing_support::tiny_encoder_decoder("bart");
  Network network(make_backbone(config), std::make_shared<CausalLmHead>(config, 1));
  Config section = Config::parse("{peft_type: prefix_tuning}", "peft");
  const PeftOptions options = PeftOptions::read(section);
  EXPECT_THAT(error_of([&] { adapt(network, options, {}); }),
              AllOf(HasSubstr("peft:1:"), HasSubstr("bart has two")));
}

TEST(Peft, ModulesToSaveAreTrainedAndSavedInFull) {
  PeftRun run("{peft_type: lora, r: 2, modules_to_save: [LayerNorm, word_embeddings]}");
  run.train(tiny_options());
  const StateDict saved = read_safetensors(run.saved() + "/adapter_model.safetensors");
  EXPECT_TRUE(saved.contains("base_model.model.bert.embeddings.word_embeddings.weight"));
  EXPECT_TRUE(saved.contains("base_model.model.bert.encoder.layer.1.output.LayerNorm.bias"));
  EXPECT_FALSE(saved.contains("base_model.model.bert.embeddings.position_embeddings.weight"));
  const auto loaded = Pipeline::load(run.folder() + "/saved");
  for (const auto& [name, value] : loaded->network().weights())
    EXPECT_TRUE(at::equal(value, run.weights().at(name))) << name;
}

// ---- the folder

class PeftFolder : public testing::Test {
 protected:
  PeftFolder() {
    run_.train(tiny_options());
    folder_ = run_.saved();
  }

  std::string refusal() const {
    return error_of([&] { Pipeline::load(folder_); });
  }
  // Without the checksums that would find the change first.
  void unseal() const {
    Json manifest = read_json(folder_ + "/hone.json", ErrorKind::kModel);
    manifest["files"] = Json::object();
    manifest.erase("sha256");
    write_file(folder_ + "/hone.json", to_text(manifest));
  }
  void set(const std::string& key, const Json& value) const {
    Json config = read_json(path(), ErrorKind::kModel);
    config[key] = value;
    write_file(path(), to_text(config));
    unseal();
  }
  std::string path() const { return folder_ + "/adapter_config.json"; }
  std::string weights() const { return folder_ + "/adapter_model.safetensors"; }
  void change(const std::function<void(StateDict&)>& how) const {
    StateDict state;
    for (const auto& [name, value] : read_safetensors(weights())) state[name] = value.clone();
    how(state);
    write_safetensors(weights(), state);
    unseal();
  }

  PeftRun run_;
  std::string folder_;
};

constexpr const char* kQueryA =
    "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight";

TEST_F(PeftFolder, HoldsTheAdapterAndTheHeadAndAnswersAsTheTrainedModel) {
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/model.safetensors"));
  const StateDict state = read_safetensors(weights());
  EXPECT_EQ(state.size(), 2U * 2 * 2 + 2);
  EXPECT_EQ(state.at(kQueryA).size(0), 4);
  EXPECT_TRUE(state.contains("base_model.model.classifier.bias"));
  const auto loaded = Pipeline::load(folder_);
  const auto records = testing_support::tiny_texts(9, "new.jsonl", 77);
  const auto expected = run_.pipeline().predict(records), answers = loaded->predict(records);
  EXPECT_EQ(answers, expected);
  loaded->save(run_.folder() + "/again");
  EXPECT_EQ(read_file(run_.folder() + "/again/adapter_config.json", ErrorKind::kModel),
            read_file(path(), ErrorKind::kModel));
}

TEST_F(PeftFolder, MergesIntoAPlainModelThatAnswersTheSame) {
  const auto loaded = Pipeline::load(folder_);
  const auto records = testing_support::tiny_texts(9, "new.jsonl", 77);
  std::vector<Sample> samples;
  for (const Record& record : records) {
    for (const Sample& sample : loaded->encode(record).samples) samples.push_back(sample);
  }
  const auto before = loaded->run(samples);
  loaded->merge_adapters();
  loaded->save(run_.folder() + "/merged");
  const auto merged = Pipeline::load(run_.folder() + "/merged");
  EXPECT_FALSE(merged->adapted().has_value());
  const auto after = merged->run(samples);
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_LT((before[i].output - after[i].output).abs().max().item<double>(), 1e-5);
}

TEST_F(PeftFolder, OfAnotherBaseModelIsRefused) {
  testing_support::write_tiny_bert(run_.folder() + "/model", {}, 2);
  EXPECT_THAT(refusal(), HasSubstr("another base model"));
  std::filesystem::remove_all(run_.folder() + "/model");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("is not there"), HasSubstr("base_model_name_or_path")));
}

TEST_F(PeftFolder, AnAdapterOfAnAdapterIsRefused) {
  set("base_model_name_or_path", folder_);
  EXPECT_THAT(refusal(), HasSubstr("is an adapter itself"));
}

TEST_F(PeftFolder, OptionsThatAreNotSupportedAreRefused) {
  for (const auto& [key, value, words] : std::vector<std::tuple<std::string, Json, std::string>>{
           {"peft_type", "VERA", "no method"},
           {"bias", "all", "\"bias\""},
           {"init_lora_weights", "pissa", "changed with it"},
           {"init_lora_weights", "lora_ga", "changed with it"},
           {"layer_replication", {{0, 1}}, "layer_replication"},
           {"r", "many", "whole number"},
           {"r", 99, "rank 99 of bert.encoder.layer.0"},
           {"lora_alpha", 0, "more than 0"},
           {"target_modules", "((", "no pattern"},
           {"base_model_name_or_path", nullptr, "does not say"}}) {
    const std::string before = read_file(path(), ErrorKind::kModel);
    set(key, value);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("adapter_config.json"), HasSubstr(words))) << key;
    write_file(path(), before);
  }
}

TEST_F(PeftFolder, WhatSaysHowAnAdapterBeganAloneIsSetAside) {
  set("init_lora_weights", "eva");
  set("eva_config", {{"rho", 2.0}, {"tau", 0.99}});
  set("corda_config", {{"corda_method", "ipm"}});
  set("lora_ga_config", {{"direction", "ArB2r"}});
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(PeftFolder, DamagedWeightsAreRefused) {
  change([](StateDict& state) { state[kQueryA].view({-1})[3] = NAN; });
  EXPECT_THAT(refusal(), AllOf(HasSubstr("query.lora_A"), HasSubstr("nan")));
  change([](StateDict& state) { state[kQueryA] = at::zeros({3, 16}); });
  EXPECT_THAT(refusal(), HasSubstr("shape"));
  change([](StateDict& state) { state.erase(kQueryA); });
  EXPECT_THAT(refusal(), AllOf(HasSubstr("1 weight is missing"), HasSubstr("query.lora_A")));
  change([](StateDict& state) {
    state[kQueryA] = at::zeros({4, 16});
    state["base_model.model.bert.x.lora_A.weight"] = at::zeros({1});
  });
  EXPECT_THAT(refusal(), HasSubstr("does not ask for"));
  change([](StateDict& state) {
    state.erase("base_model.model.bert.x.lora_A.weight");
    state.erase("base_model.model.classifier.weight");
  });
  EXPECT_THAT(refusal(), HasSubstr("classifier.weight"));
  std::filesystem::remove(weights());
  unseal();
  EXPECT_THAT(refusal(), HasSubstr("neither adapter_model.safetensors nor adapter_model.bin"));
  write_file(folder_ + "/adapter_model.bin", "cos\nsystem\n(S'true'\ntR.");
  EXPECT_THAT(refusal(), HasSubstr("adapter_model.bin"));
}

TEST_F(PeftFolder, IsNoModelToBeginARunFrom) {
  std::filesystem::rename(run_.folder() + "/model", run_.folder() + "/base");
  std::filesystem::rename(folder_, run_.folder() + "/model");
  EXPECT_THAT(error_of([&] { run_.load_pipeline(); }), HasSubstr("hone merge"));
}

}  // namespace
}  // namespace hone
