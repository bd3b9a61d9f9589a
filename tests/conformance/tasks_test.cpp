// Every task passes the same trial. Each test says on how many cases it was held.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <set>

#include "base/file.h"
#include "conformance/cases.h"
#include "conformance/gradients.h"
#include "support/temporary_folder.h"

namespace hone::conformance {
namespace {

using testing_support::TemporaryFolder;

// Runs `trial` on every case; fails where a registered task was left out.
template <typename Trial>
void hold(Trial trial) {
  at::set_num_threads(1);  // the models are tiny
  int64_t held = 0;
  std::set<std::string> seen;
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const TemporaryFolder folder;
    try {
      trial(c, folder);
    } catch (const std::exception& error) {  // the others have their trial all the same
      ADD_FAILURE() << error.what();
    }
    seen.insert(c.info->name);
    ++held;
  }
  EXPECT_EQ(seen.size(), tasks().size());
  std::cout << "[  CASES   ] " << held << " of " << seen.size() << " tasks\n";
}

// Adam as in the paper (Kingma and Ba 2015): tasks are tried without the training room.
class PlainAdam {
 public:
  explicit PlainAdam(const Network& network) {
    for (const auto& [name, weight] : network.trained_weights())
      slots_.push_back({weight, at::zeros_like(weight), at::zeros_like(weight)});
  }

  void step(double rate, double gradient_scale) {
    const c10::AutoGradMode no_grad(false);
    ++steps_;
    for (Slot& slot : slots_) {
      const at::Tensor gradient = slot.weight.grad() * gradient_scale;
      slot.mean.mul_(0.9).add_(gradient, 0.1);
      slot.square.mul_(0.999).addcmul_(gradient, gradient, 0.001);
      const double fade = 1 - std::pow(0.9, steps_), square_fade = 1 - std::pow(0.999, steps_);
      slot.weight.sub_(slot.mean / fade / ((slot.square / square_fade).sqrt() + 1e-8), rate);
      slot.weight.mutable_grad().reset();
    }
  }

 private:
  struct Slot {
    at::Tensor weight, mean, square;
  };
  std::vector<Slot> slots_;
  int steps_ = 0;
};

// The longest sequence that a sample takes through the network.
int64_t longest_sequence(const Sample& sample) {
  int64_t longest = 0;
  for (const Sequence& stream : sample.streams) {
    int64_t begin = 0;
    for (const int32_t end : stream.ends) {
      longest = std::max(longest, end - begin);
      begin = end;
    }
    longest = std::max(longest, stream.size() - begin);
  }
  return longest;
}

TEST(Conformance, EncodesItsExample) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    ASSERT_GE(c.records.size(), 20u);
    for (const Record& record : c.records) {
      const std::vector<Sample> samples =
          pipeline->task().encode(record, pipeline->tokenizer(), true);
      ASSERT_FALSE(samples.empty());
      for (const Sample& sample : samples) {
        EXPECT_GT(sample.size(), 0);
        EXPECT_LE(longest_sequence(sample), kLongest) << record.where().str();
        EXPECT_FALSE(sample.targets.empty());
      }
    }
  });
}

Record texts_alone(Record record, const Task& task) {
  Json texts = Json::object();
  for (const std::string& field : task.text_fields()) texts[field] = record.fields.at(field);
  record.fields = std::move(texts);
  return record;
}

TEST(Conformance, PredictsTheSameWithAndWithoutGold) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    std::vector<std::string> gold = pipeline->task().gold_fields();
    std::vector<Record> labelled = c.records, plain;
    labelled.resize(20);
    // A row may be its own gold (texts that belong together, words that are masked): then its texts
    // alone have targets.
    std::erase_if(gold, [&](const std::string& f) {
      return std::none_of(labelled.begin(), labelled.end(),
                          [&](const Record& r) { return r.fields.contains(f); });
    });
    for (const Record& record : labelled) {
      plain.push_back(record);
      for (const std::string& field : gold) plain.back().fields.erase(field);
      const auto with_targets = [&](const Record& row) {
        return pipeline->task().encode(row, pipeline->tokenizer(), true);
      };
      if (gold.empty()) {
        EXPECT_FALSE(with_targets(texts_alone(record, pipeline->task())).front().targets.empty());
      } else {
        EXPECT_ANY_THROW(with_targets(plain.back())) << "a target without gold";
      }
    }
    EXPECT_EQ(pipeline->predict(plain), pipeline->predict(labelled));
  });
}

TEST(Conformance, HasAFiniteLoss) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    const Encoded all = encode(*pipeline, c.records, 16);
    const Loss loss = whole_loss(*pipeline, all, 0);
    EXPECT_GT(loss.count, 0);
    EXPECT_GT(loss.sum.item<double>(), 0);
    EXPECT_TRUE(std::isfinite(loss.sum.item<double>()));
    EXPECT_EQ(loss.sum.dim(), 0);
  });
}

TEST(Conformance, SaysBeforeThePassHowManyTargetsABatchHas) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    if (pipeline->task().has_step_loss()) return;
    pipeline->network().train();
    for (const Batch& batch : batches_of(pipeline->task(), encode(*pipeline, c.records, 40), 7)) {
      const Loss loss = pipeline->task().forward_loss(pipeline->network(), batch);
      EXPECT_EQ(pipeline->task().targets_in(batch), loss.count);
    }
  });
}

// Of the weights that are trained.
Gradients trained_gradients(Pipeline& pipeline, const Encoded& all, size_t at_once) {
  const Gradients found = gradients(pipeline, all, at_once);
  Gradients trained;
  for (const auto& [name, weight] : pipeline.network().trained_weights())
    trained[name] = found.at(name);
  return trained;
}

TEST(Conformance, ReachesEveryTrainableWeight) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    for (const auto& [name, gradient] :
         trained_gradients(*pipeline, encode(*pipeline, c.records, 20), 20)) {
      ASSERT_TRUE(gradient.defined()) << name;
      EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << name;
      // A softmax does not see what is added to all its inputs: the gradient of a key's bias is
      // zero but for rounding.
      const bool is_key_bias = name.ends_with("key.bias") || name.ends_with("k_proj.bias");
      EXPECT_TRUE(is_key_bias || gradient.abs().max().item<double>() > 0) << name;
    }
  });
}

// 1 where nothing is left to learn. A correlation nears 1 without reaching it; where less is better
// the least value differs, and the loss tells.
double known_by_heart(const Evaluation& evaluation) {
  const Metric* main = evaluation.report.main();
  if (main != nullptr && !main->greater_is_better) return evaluation.loss < 0.02 ? 1 : 0;
  return evaluation.report.score > 0.9999 ? 1 : evaluation.report.score;
}

TEST(Conformance, LearnsTwentyRecordsByHeart) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    const std::vector<Record> twenty(c.records.begin(), c.records.begin() + 20);
    const Encoded all = encode(*pipeline, twenty, 1000);
    PlainAdam optimizer(pipeline->network());
    pipeline->network().eval();  // by heart: without dropout
    double score = 0;
    for (int step = 1; step <= 400 && score < 1; ++step) {
      const Loss loss = whole_loss(*pipeline, all, 0);
      loss.sum.backward();
      optimizer.step(3e-3, 1 / loss.count);
      if (step % 20 == 0) score = known_by_heart(pipeline->evaluate(twenty));
    }
    EXPECT_EQ(score, 1);
  });
}

TEST(Conformance, SurvivesSaveAndLoad) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder / "before");
    pipeline->save(folder / "after");
    const auto again = Pipeline::load(folder / "after");
    EXPECT_EQ(again->task().state(), pipeline->task().state());
    EXPECT_STREQ(again->info().name, c.info->name);
    EXPECT_EQ(again->predict(c.records), pipeline->predict(c.records));
    again->save(folder / "third");
    EXPECT_EQ(read_file(folder / "third/hone.json", ErrorKind::kModel),
              read_file(folder / "after/hone.json", ErrorKind::kModel));
  });
}

void compare_alone_and_together(Pipeline& pipeline, const Encoded& all) {
  const Outputs together =
      pipeline.task().predict(pipeline.network(), collate(all.samples, all.indices, 0));
  std::vector<std::vector<at::Tensor>> alone(together.all().size());
  for (size_t i = 0; i < all.samples.size(); ++i) {
    const Outputs one =
        pipeline.task().predict(pipeline.network(), collate({all.samples[i]}, {all.indices[i]}, 0));
    for (size_t o = 0; o < alone.size(); ++o) alone[o].push_back(one[o]);
  }
  for (size_t o = 0; o < alone.size(); ++o) {
    const auto& [values, row_of] = together.all()[o];
    if (row_of == RowOf::kBatch) continue;  // of no sample
    EXPECT_LT((at::cat(alone[o]) - values).abs().max().item<double>(),
              1e-5 * values.abs().max().item<double>())
        << "output " << o;
  }
}

TEST(Conformance, GivesTheSameAloneAndInABatch) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    pipeline->network().eval();
    const c10::AutoGradMode no_grad(false);
    for (const Encoded& own : by_task(encode(*pipeline, c.records, 40)))
      compare_alone_and_together(*pipeline, own);
  });
}

TEST(Conformance, EvaluatesToTheSameLossAtAnyBatchSize) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    const double whole =
        pipeline->evaluate(c.records, {.max_tokens = 100'000, .progress = {}}).loss;
    for (const int64_t tokens : {1, 64, 500})
      EXPECT_NEAR(pipeline->evaluate(c.records, {.max_tokens = tokens, .progress = {}}).loss, whole,
                  1e-6 * whole)
          << tokens;
  });
}

std::string layer_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

// Losses of how alike vectors are hardly see what all of them share.
bool compares_vectors(const Case& c) {
  return c.info->name == std::string("embedding") || c.info->name == std::string("setfit");
}

// What a tensor's difference is measured against: its own norm; where vectors are compared, that of
// its layer's weight and bias together, since of a bias (the plain sum over all rows) little is
// left, but its rounding is that of the terms.
std::map<std::string, double> scales_of(const Gradients& gradients, bool by_layer) {
  std::map<std::string, double> layers, scales;
  for (const auto& [name, gradient] : gradients) {
    double& layer = layers[by_layer ? layer_of(name) : name];
    layer = std::hypot(layer, gradient.norm().item<double>());
  }
  for (const auto& [name, gradient] : gradients)
    scales[name] = layers.at(by_layer ? layer_of(name) : name);
  return scales;
}

// How far two gradients are apart, tensor by tensor. What a softmax does not see at all (the bias
// of a key, of a span's ends) has no gradient but rounding: it is measured against the norm of the
// whole. The farthest, and its name.
std::pair<double, std::string> distance(const Gradients& a, const Gradients& b, bool by_layer) {
  constexpr double kOnlyRounding = 1e-6;  // of the norm of the whole
  double total = 0;
  for (const auto& [name, gradient] : a) total = std::hypot(total, gradient.norm().item<double>());
  const std::map<std::string, double> scales = scales_of(a, by_layer);
  std::pair<double, std::string> worst;
  for (const auto& [name, gradient] : a) {
    const double norm = scales.at(name), scale = norm > kOnlyRounding * total ? norm : total;
    worst = std::max(worst, {(gradient - b.at(name)).norm().item<double>() / scale, name});
  }
  return worst;
}

TEST(Conformance, HasTheSameGradientHoweverABatchIsSplit) {
  double worst = 0;
  hold([&](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    pipeline->network().train();
    const Encoded all = encode(*pipeline, c.records, 16);
    ASSERT_EQ(all.samples.size(), 16u);
    const Gradients whole = trained_gradients(*pipeline, all, 16);
    for (const size_t at_once : {4, 1}) {
      const auto [error, name] =
          distance(whole, trained_gradients(*pipeline, all, at_once), compares_vectors(c));
      EXPECT_LT(error, 1e-6) << name << " in batches of " << at_once;
      worst = std::max(worst, error);
    }
  });
  std::cout << "[  WORST   ] relative difference of a gradient " << worst << "\n";
}

TEST(Conformance, DropsOutWhileTraining) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    const Encoded all = encode(*pipeline, c.records, 4);
    const auto loss = [&](bool training, uint64_t seed) {
      pipeline->network().train(training);
      return whole_loss(*pipeline, all, seed).sum.item<double>();
    };
    EXPECT_NE(loss(true, 1), loss(true, 2));
    EXPECT_EQ(loss(true, 1), loss(true, 1));
    EXPECT_EQ(loss(false, 1), loss(false, 2));
  });
}

TEST(Conformance, ReportsWhatCanBeRecomputedFromSavedPredictions) {
  hold([](const Case& c, const TemporaryFolder& folder) {
    const auto pipeline = make_pipeline(c, folder.path());
    const Evaluation evaluation = pipeline->evaluate(c.records);
    const auto scorer = c.info->restore(pipeline->task().state())->make_scorer();
    for (size_t i = 0; i < c.records.size(); ++i)
      scorer->add(c.records[i], Json::parse(evaluation.results[i].dump()));
    EXPECT_EQ(scorer->report().json(), evaluation.report.json());
    EXPECT_EQ(evaluation.report.n, static_cast<int64_t>(c.records.size()));
  });
}

}  // namespace
}  // namespace hone::conformance
