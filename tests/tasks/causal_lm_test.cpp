#include "tasks/causal_lm/causal_lm.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/word_tokenizer.h"
#include "tasks/causal_lm/rows.h"
#include "tasks/causal_lm/scorer.h"
#include "tasks/pipeline.h"
#include "tasks/toy.h"

namespace hone::causal_lm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;

constexpr int32_t kEnd = 3;  // [END]; also what pads
constexpr const char* kTemplate =
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
    "[END]{% endgeneration %}{% elif m['role'] == 'system' %}[SYS]{{ m['content'] }}{% else %}"
    "[ASK]{{ m['content'] }}[SAY]{% endif %}{% endfor %}";
constexpr const char* kStrictTemplate =
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[ASK]{{ m['content'] }}{% endfor %}";

// Its last answer looks otherwise than earlier ones.
constexpr const char* kChangingTemplate =
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{% if loop.last %}[SYS]{% endif %}"
    "{{ m['content'] }}[END]{% else %}[ASK]{{ m['content'] }}[SAY]{% endif %}{% endfor %}";

// Five special tokens, then the words w0 to w39. It puts nothing around a text.
void write_tokenizer(const std::string& folder, const char* chat_template) {
  std::vector<std::string> words = {"[UNK]", "[SYS]", "[ASK]", "[END]", "[SAY]"};
  const size_t special = words.size();
  for (int i = 0; i < 40; ++i) words.push_back("w" + std::to_string(i));
  const Json tokenizer = testing_support::word_tokenizer(words, special, "WhitespaceSplit",
                                                         /*cleans_up=*/false);
  write_file(folder + "/tokenizer.json", tokenizer.dump());
  const Json options = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"model_max_length", 48},
                        {"eos_token", "[END]"},
                        {"pad_token", "[END]"},
                        {"unk_token", "[UNK]"},
                        {"chat_template", chat_template}};
  write_file(folder + "/tokenizer_config.json", options.dump());
}

void write_model(const std::string& folder, const char* chat_template = kTemplate) {
  std::filesystem::create_directories(folder);
  write_tokenizer(folder, chat_template);
  const Json config = {{"model_type", "llama"},
                       {"architectures", {"LlamaForCausalLM"}},
                       {"vocab_size", 45},
                       {"hidden_size", 16},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 2},
                       {"num_key_value_heads", 1},
                       {"intermediate_size", 24},
                       {"max_position_embeddings", 48},
                       {"initializer_range", 0.2},
                       {"hidden_act", "silu"},
                       {"rms_norm_eps", 1e-6},
                       {"tie_word_embeddings", true},
                       {"eos_token_id", kEnd}};
  write_file(folder + "/config.json", config.dump());
  const ModelConfig read = ModelConfig::load(folder);
  const auto backbone = make_backbone(read);
  backbone->initialise(1);
  StateDict weights;
  for (const auto& item : backbone->named_parameters())
    weights[read.base_prefix + "." + item.key()] = item.value().detach();
  write_safetensors(folder + "/model.safetensors", weights);
}

// "w0 w1 w2", from `first` on.
std::string words(int count, int first = 0) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "w" : " w") + std::to_string((first + i) % 40);
  return text;
}

Json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

Record conversation(Json messages) {
  return {{{"messages", std::move(messages)}}, std::make_shared<const std::string>("c.jsonl"), 7};
}

Json tool_call() {
  const Json function = {{"name", "f"}, {"arguments", Json::object()}};
  return {{"role", "assistant"},
          {"content", ""},
          {"tool_calls", Json::array({{{"function", function}}})}};
}

Record exchanges(int count, int length = 3) {
  Json messages = Json::array();
  for (int i = 0; i < count; ++i) {
    messages.push_back(message("user", words(length, 2 * i)));
    messages.push_back(message("assistant", words(length, 20 + 2 * i)));
  }
  return conversation(std::move(messages));
}

class CausalLmTask : public ::testing::Test {
 protected:
  CausalLmTask() { write_model(folder_ / "model"); }

  std::unique_ptr<Pipeline> pipeline(const std::string& options = "{}", int64_t longest = 0) {
    Config section = Config::parse(options, "task");
    const std::shared_ptr<Task> task = kInfo.make(section, longest);
    section.refuse_unknown();
    task->begin_from(folder_ / "model", longest > 0);
    tokenizer_ = Tokenizer::load(folder_ / "model");
    if (options.find("form") == std::string::npos)
      task->learn_tokens(exchanges(1), *tokenizer_);
    else
      task->learn_tokens(toy::record("{}"), *tokenizer_);
    return Pipeline::create(folder_ / "model", tokenizer_, task, 1);
  }

  // What of a sample is learned, as text: the tokens that are targets.
  std::string learned(const Sample& sample) const {
    std::string text;
    for (const float id : sample.targets.at(0).values) {
      if (id == kNoTarget) continue;
      text += (text.empty() ? "" : " ") + tokenizer_->token(static_cast<int32_t>(id));
    }
    return text;
  }
  std::string shown(const Sample& sample) const {
    std::string text;
    for (const int32_t id : sample.streams[0].ids)
      text += (text.empty() ? "" : " ") + tokenizer_->token(id);
    return text;
  }
  std::vector<Sample> samples(const Pipeline& made, const Record& record, bool* cut = nullptr) {
    return made.task().encode(record, *tokenizer_, /*with_targets=*/true, cut);
  }

  testing_support::TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(CausalLmTask, LearnsTheAnswersAndTheirEndsAlone) {
  const auto made = pipeline();
  const std::vector<Sample> all = samples(*made, exchanges(2, 2));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(shown(all[0]), "[ASK] w0 w1 [SAY] w20 w21 [END] [ASK] w2 w3 [SAY] w22 w23 [END]");
  EXPECT_EQ(learned(all[0]), "w20 w21 [END] w22 w23 [END]");  // the end, though it is what pads
}

TEST_F(CausalLmTask, PredictsEachTokenFromTheOneBeforeIt) {
  const auto made = pipeline();
  const Sample sample = samples(*made, exchanges(1, 2))[0];
  const std::vector<int32_t>& ids = sample.streams[0].ids;
  const std::vector<float>& next = sample.targets[0].values;
  ASSERT_EQ(ids.size(), next.size());
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    if (next[i] != kNoTarget) {
      EXPECT_EQ(static_cast<int32_t>(next[i]), ids[i + 1]);
    }
  }
  EXPECT_EQ(next.back(), kNoTarget);
}

TEST_F(CausalLmTask, LearnsTheLastAnswerOrAllTokensWhereAsked) {
  const auto last = pipeline("{train_on: last_answer}");
  EXPECT_EQ(learned(samples(*last, exchanges(2, 2))[0]), "w22 w23 [END]");
  const auto all = pipeline("{train_on: all}");
  EXPECT_EQ(learned(samples(*all, exchanges(1, 2))[0]), "w0 w1 [SAY] w20 w21 [END]");
}

TEST_F(CausalLmTask, LeavesOutAnswersOfWeightZero) {
  const auto made = pipeline();
  Record row = exchanges(2, 2);
  row.fields["messages"][1]["weight"] = 0;
  EXPECT_EQ(learned(samples(*made, row)[0]), "w22 w23 [END]");
  row.fields["messages"][1]["weight"] = 0.5;
  EXPECT_THAT(error_of([&] { samples(*made, row); }),
              AllOf(HasSubstr("c.jsonl:7"), HasSubstr("message 2"), HasSubstr("0.5")));
}

TEST_F(CausalLmTask, TellsWhatCannotBeLearned) {
  const auto made = pipeline();
  const auto told = [&](Json messages) {
    return error_of([&] { samples(*made, conversation(std::move(messages))); });
  };
  EXPECT_THAT(told({message("user", "w1"), message("assistant", " \n")}),
              AllOf(HasSubstr("c.jsonl:7"), HasSubstr("message 2"), HasSubstr("empty turn")));
  EXPECT_THAT(told({message("user", "w1"), {{"role", "assistant"}, {"content", nullptr}}}),
              HasSubstr("empty turn"));
  EXPECT_THAT(told(Json::array({message("user", "w1")})), HasSubstr("no turn of the assistant"));
  EXPECT_THAT(told(Json::array()), HasSubstr("must be a list of messages"));
  EXPECT_THAT(told({message("user", "w1"), "w2"}),
              AllOf(HasSubstr("message 2"), HasSubstr("\"role\"")));
  EXPECT_THAT(told({message("user", "w1"), {{"content", "w2"}}}), HasSubstr("\"role\""));
}

TEST_F(CausalLmTask, TakesATurnThatCallsToolsForAnAnswer) {
  const auto made = pipeline();
  EXPECT_EQ(learned(samples(*made, conversation({message("user", "w1"), tool_call()}))[0]),
            "[END]");
}

TEST_F(CausalLmTask, ReadsToolsThatAreJsonInAText) {
  write_model(
      folder_ / "model",
      (std::string("{% if tools %}[SYS]{{ tools[0]['name'] }}{% endif %}") + kTemplate).c_str());
  const auto made = pipeline();
  Record row = exchanges(1, 1);
  row.fields["tools"] = R"([{"name": "w9"}])";
  EXPECT_EQ(shown(samples(*made, row)[0]), "[SYS] w9 [ASK] w0 [SAY] w20 [END]");
  for (const char* none : {"", "null", "[]"}) {
    row.fields["tools"] = none;
    EXPECT_EQ(shown(samples(*made, row)[0]), "[ASK] w0 [SAY] w20 [END]") << none;
  }
  for (const char* bad : {"w9", R"({"name": "w9"})"}) {
    row.fields["tools"] = bad;
    EXPECT_THAT(error_of([&] { samples(*made, row); }),
                AllOf(HasSubstr("c.jsonl:7"), HasSubstr("\"tools\" is")));
  }
}

TEST_F(CausalLmTask, AsksByATemplateThatChangesEarlierTurns) {
  write_model(folder_ / "model", kChangingTemplate);
  const auto made = pipeline();
  EXPECT_EQ(shown(made->task().encode(exchanges(2, 2), *tokenizer_, /*with_targets=*/false)[0]),
            "[ASK] w0 w1 [SAY] w20 w21 [END] [ASK] w2 w3 [SAY]");
  EXPECT_THAT(error_of([&] { samples(*made, exchanges(2, 2)); }),
              HasSubstr("train_on: last_answer"));
}

TEST_F(CausalLmTask, LearnsTheLastAnswerByATemplateThatChangesEarlierTurns) {
  write_model(folder_ / "model", kChangingTemplate);
  tokenizer_ = Tokenizer::load(folder_ / "model");
  Config section = Config::parse("{train_on: last_answer}", "task");
  const std::shared_ptr<Task> task = kInfo.make(section, 0);
  task->begin_from(folder_ / "model", /*has_length=*/false);
  task->learn_tokens(exchanges(2), *tokenizer_);  // the first row has earlier turns
  EXPECT_EQ(learned(task->encode(exchanges(2, 2), *tokenizer_, /*with_targets=*/true)[0]),
            "[SYS] w22 w23 [END]");
}

TEST_F(CausalLmTask, TakesOnlyTheLastTokenOfAnAnswerForItsEnd) {
  const auto ends = [&](const char* answer) {
    const std::string shown = fmt::format(
        "{{% for m in messages %}}{{% if m['role'] == 'assistant' %}}{}{{% else %}}"
        "[ASK]{{{{ m['content'] }}}}{{% endif %}}{{% endfor %}}",
        answer);
    write_model(folder_ / "model", shown.c_str());
    return pipeline()->task().generation()->tokens.eos_token_id;
  };
  EXPECT_THAT(ends("[SAY]{{ m['content'] }}[SYS] "), ElementsAre(kEnd, 1));
  EXPECT_THAT(ends("[SAY]{{ m['content'] }}"), ElementsAre(kEnd));  // a header is no end
}

TEST_F(CausalLmTask, LearnsTheEndOfATurnFromTheFirstSoundRow) {
  write_model(folder_ / "model",
              "{% for m in messages %}{% if m['role'] == 'assistant' %}[SAY]{{ m['content'] }}[SYS]"
              "{% else %}[ASK]{{ m['content'] }}{% endif %}{% endfor %}");
  tokenizer_ = Tokenizer::load(folder_ / "model");
  Config section = Config::parse("{}", "task");
  const std::shared_ptr<Task> task = kInfo.make(section, 0);
  task->begin_from(folder_ / "model", /*has_length=*/false);
  Record bad = exchanges(1);
  bad.fields["tools"] = "w9";
  EXPECT_THROW(task->learn_tokens(bad, *tokenizer_), Error);
  task->learn_tokens(exchanges(1), *tokenizer_);
  EXPECT_THAT(task->generation()->tokens.eos_token_id, ElementsAre(kEnd, 1));
}

// Runs of before there were any go on.
TEST_F(CausalLmTask, SaysNothingOfVirtualTokensThatThereAreNot) {
  EXPECT_THAT(pipeline()->task().state().dump(), Not(HasSubstr("positions_taken")));
}

TEST_F(CausalLmTask, LeavesTheOrderOfRolesToTheTemplate) {
  const auto made = pipeline();
  const Record odd =
      conversation({message("assistant", "w5"), message("user", "w1"), message("user", "w2"),
                    message("assistant", "w6"), message("user", "w3")});
  EXPECT_EQ(learned(samples(*made, odd)[0]), "[END] w6 [END]");  // nothing stands before w5
  write_model(folder_ / "model", kStrictTemplate);
  const auto strict = pipeline("{train_on: all}");
  EXPECT_THAT(error_of([&] { samples(*strict, odd); }),
              AllOf(HasSubstr("c.jsonl:7"), HasSubstr("roles must alternate")));
}

TEST_F(CausalLmTask, LosesTheOldestExchangesFirstAndSaysSo) {
  const auto made = pipeline("{}", 20);
  Record row = exchanges(3, 3);  // 9 tokens each
  row.fields["messages"].insert(row.fields["messages"].begin(), message("system", "w39"));
  bool cut = false;
  const Sample sample = samples(*made, row, &cut)[0];
  EXPECT_TRUE(cut);
  EXPECT_EQ(learned(sample), "w22 w23 w24 [END] w24 w25 w26 [END]");
  EXPECT_THAT(shown(sample), HasSubstr("[SYS] w39 [ASK] w2"));
  EXPECT_THAT(sample.repair, HasSubstr("1 of its 3 answers does not fit into 20 tokens"));
  EXPECT_EQ(*std::max_element(sample.streams[0].words.begin(), sample.streams[0].words.end()), 2);
}

// Each exchange has 7 tokens.
TEST_F(CausalLmTask, LosesNoMoreExchangesThanItMust) {
  for (const int room : {7, 12, 23, 30, 47}) {
    const auto made = pipeline("{}", room);
    const Sample sample = samples(*made, exchanges(9, 2))[0];
    EXPECT_EQ(sample.size(), room / 7 * 7);
    EXPECT_TRUE(learned(sample).ends_with("w36 w37 [END]"));
  }
}

TEST_F(CausalLmTask, NamesAnswersThatAreCutOffAtTheEnd) {
  const auto made = pipeline("{}", 12);
  const Sample sample =
      samples(*made, conversation({message("user", "w1"), tool_call(), message("tool", words(20)),
                                   message("assistant", "w33")}))[0];
  EXPECT_EQ(learned(sample), "[END]");  // of the call
  EXPECT_THAT(sample.repair, HasSubstr("1 of its 2 answers does not fit into 12 tokens"));
  Json unlearned = message("assistant", "w33");
  unlearned["weight"] = 0;
  const Record row =
      conversation({message("user", "w1"), tool_call(), message("tool", words(20)), unlearned});
  EXPECT_EQ(samples(*made, row)[0].repair, "");
}

TEST_F(CausalLmTask, CutsALongPromptAtItsBeginningAndKeepsTheAnswer) {
  const auto made = pipeline("{}", 12);
  bool cut = false;
  const Sample sample = samples(
      *made, conversation({message("user", words(30)), message("assistant", "w33 w34")}), &cut)[0];
  EXPECT_TRUE(cut);
  EXPECT_EQ(sample.size(), 12);
  EXPECT_EQ(learned(sample), "w33 w34 [END]");
  EXPECT_TRUE(shown(sample).starts_with("[ASK] w23 w24"));  // the first token stays
}

TEST_F(CausalLmTask, CutsALongAnswerAtItsEndAndKeepsHalfOfTheRoomForThePrompt) {
  const auto made = pipeline("{}", 12);
  bool cut = false;
  const Sample sample =
      samples(*made, conversation({message("user", words(30)), message("assistant", words(30, 5))}),
              &cut)[0];
  EXPECT_TRUE(cut);
  EXPECT_EQ(shown(sample), "[ASK] w26 w27 w28 w29 [SAY] w5 w6 w7 w8 w9 w10");
  EXPECT_EQ(learned(sample), "w5 w6 w7 w8 w9 w10");
}

// The only answer with a weight is cut off with its exchange.
TEST_F(CausalLmTask, NamesARowOfWhichNothingIsLearned) {
  const auto made = pipeline("{}", 12);
  Record row = exchanges(2, 4);
  row.fields["messages"][3]["weight"] = 0;
  const Sample sample = samples(*made, row)[0];
  EXPECT_EQ(learned(sample), "");
  EXPECT_THAT(sample.repair, HasSubstr("nothing of it is learned"));
  made->network().train();
  const Loss loss = made->task().forward_loss(made->network(), collate({sample}, {0}, 0), {});
  loss.sum.backward();
  EXPECT_EQ(loss.count, 0);
  EXPECT_EQ(loss.sum.item<float>(), 0);
  made->network().eval();
}

TEST_F(CausalLmTask, GivesEachAnswerAWindowOfTurns) {
  const auto made = pipeline("{turns: 1}");
  const std::vector<Sample> all = samples(*made, exchanges(3, 1));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(shown(all[2]), "[ASK] w4 [SAY] w24 [END]");
  EXPECT_EQ(learned(all[2]), "w24 [END]");
  EXPECT_EQ(all[2].streams[0].words[3], 2);  // its number in the conversation
  const auto wide = pipeline("{turns: 3, train_on: last_answer}");
  const std::vector<Sample> last = samples(*wide, exchanges(3, 1));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(shown(last[0]), "[ASK] w2 [SAY] w22 [END] [ASK] w4 [SAY] w24 [END]");
}

TEST_F(CausalLmTask, ShowsWhatAToolSaysTogetherWithItsCall) {
  const auto made = pipeline("{turns: 1}");
  const std::vector<Sample> all =
      samples(*made, conversation({message("user", "w1"), tool_call(), message("tool", "w2"),
                                   message("assistant", "w3")}));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(shown(all[1]), "[END] [ASK] w2 [SAY] w3 [END]");
}

TEST_F(CausalLmTask, AsksForTheLastTurnAndNeverShowsIt) {
  const auto made = pipeline();
  Record row = exchanges(2, 2);
  const auto asked = [&] {
    return shown(made->task().encode(row, *tokenizer_, /*with_targets=*/false)[0]);
  };
  const std::string prompt = asked();
  EXPECT_EQ(prompt, "[ASK] w0 w1 [SAY] w20 w21 [END] [ASK] w2 w3 [SAY]");
  row.fields["messages"].erase(3);
  EXPECT_EQ(asked(), prompt);
  row.fields["messages"] = Json::array({message("assistant", "w1")});
  EXPECT_THAT(error_of(asked), HasSubstr("nothing before the assistant's turn"));
}

TEST_F(CausalLmTask, FitsAPromptBesideItsAnswerIntoThePositions) {
  const auto made = pipeline("{max_new_tokens: 8}");  // of 48 positions
  bool cut = false;
  const Record row = conversation(
      {message("user", words(3)), message("assistant", "w7"), message("user", words(60))});
  const Sample prompt = made->task().encode(row, *tokenizer_, false, &cut)[0];
  EXPECT_TRUE(cut);
  EXPECT_EQ(prompt.size(), 40);
  PredictOptions options;
  std::vector<int64_t> told;
  options.truncated = [&](int64_t record) { told.push_back(record); };
  const Json answer = made->predict({exchanges(1), row}, options)[1];
  EXPECT_THAT(told, ElementsAre(1));
  EXPECT_LE(answer[kAnswerTokens].get<int64_t>(), 8);
  EXPECT_THAT(answer[kFinishReason].get<std::string>(), ::testing::AnyOf("end", "length"));
  EXPECT_TRUE(answer[kAnswer].is_string());
}

TEST_F(CausalLmTask, LeavesThePositionsOfVirtualTokensFree) {
  Config peft_section = Config::parse("{peft_type: PROMPT_TUNING, num_virtual_tokens: 9}", "peft");
  PeftOptions peft = PeftOptions::read(peft_section);
  peft.base = folder_ / "model";
  Config section = Config::parse("{max_new_tokens: 8}", "task");
  const std::shared_ptr<Task> task = kInfo.make(section, 0);
  task->begin_from(folder_ / "model", /*has_length=*/false);
  tokenizer_ = Tokenizer::load(folder_ / "model");
  task->learn_tokens(exchanges(1), *tokenizer_);
  const auto made = Pipeline::create(folder_ / "model", tokenizer_, task, 1, {}, peft);
  const Record row = conversation(Json::array({message("user", words(60))}));
  EXPECT_EQ(made->task().encode(row, *tokenizer_, false)[0].size(), 48 - 9 - 8);
  EXPECT_TRUE(made->predict({row})[0].contains(kAnswer));
  made->save(folder_ / "saved");
  EXPECT_EQ(Pipeline::load(folder_ / "saved")->task().encode(row, *tokenizer_, false)[0].size(),
            48 - 9 - 8);
}

TEST_F(CausalLmTask, CutsTextsIntoWindowsThatLearnEachTokenOnce) {
  const auto made = pipeline("{form: text}", 8);
  const Record row = toy::record(fmt::format(R"({{"text": "{}"}})", words(30)).c_str());
  bool cut = true;
  const std::vector<Sample> all = samples(*made, row, &cut);
  EXPECT_FALSE(cut);
  std::string together;
  for (const Sample& sample : all) {
    EXPECT_LE(sample.size(), 8);
    together += (together.empty() ? "" : " ") + learned(sample);
  }
  EXPECT_EQ(together, words(29, 1) + " [END]");  // nothing tells the first one
  const auto overlapping = pipeline("{form: text, stride: 4}", 8);
  const std::vector<Sample> more = samples(*overlapping, row);
  EXPECT_GT(more.size(), all.size());
  EXPECT_EQ(shown(more[1]), words(8, 4));
  EXPECT_EQ(learned(more[1]), words(4, 8));
}

TEST_F(CausalLmTask, LearnsACompletionWithItsEnd) {
  const auto made = pipeline("{form: completion}");
  const Record row = toy::record(R"({"prompt": "w1 w2", "completion": ["w3 w4", "w5"]})");
  const Sample sample = samples(*made, row)[0];
  EXPECT_EQ(shown(sample), "w1 w2 w3 w4 [END]");
  EXPECT_EQ(learned(sample), "w3 w4 [END]");
  EXPECT_THAT(gold_answers(row, Options{.form = Form::kCompletion}), ElementsAre("w3 w4", "w5"));
  EXPECT_THAT(
      error_of([&] { samples(*made, toy::record(R"({"prompt": "w1", "completion": " "})")); }),
      HasSubstr("\"completion\" is empty"));
}

TEST_F(CausalLmTask, TakesWhatAPromptAndACompletionSpellForText) {
  const auto made = pipeline("{form: completion}");
  const Record row = toy::record(R"({"prompt": "[ASK] w1", "completion": "w2 [END] w3"})");
  const Sample sample = samples(*made, row)[0];
  const std::vector<int32_t>& ids = sample.streams[0].ids;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), kEnd), 1);  // the one that ends it
  EXPECT_EQ(ids.back(), kEnd);
  EXPECT_THAT(shown(sample), ::testing::Not(HasSubstr("[ASK]")));
  EXPECT_THAT(shown(sample), AllOf(HasSubstr("w1 w2"), HasSubstr("w3 [END]")));
}

// [SYS] is put before each text.
TEST_F(CausalLmTask, DoublesNeitherTheBeginningNorTheEndThatATextSpells) {
  const std::string file = folder_ / "model/tokenizer.json";
  Json tokenizer = Json::parse(read_file(file, ErrorKind::kModel));
  const Json begin = {{"SpecialToken", {{"id", "[SYS]"}, {"type_id", 0}}}},
             text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({begin, text})},
      {"pair", Json::array({begin, text, second})},
      {"special_tokens", {{"[SYS]", {{"id", "[SYS]"}, {"ids", {1}}, {"tokens", {"[SYS]"}}}}}}};
  write_file(file, tokenizer.dump());
  const auto made = pipeline("{form: text}");
  for (const char* row : {R"({"text": "w1 [ASK] w2"})", R"({"text": "[SYS] w1 [ASK] w2 [END]"})"})
    EXPECT_EQ(shown(samples(*made, toy::record(row))[0]), "[SYS] w1 [ASK] w2 [END]") << row;
}

Batch batch_of(const std::vector<Sample>& samples) {
  std::vector<int64_t> indices(samples.size());
  std::iota(indices.begin(), indices.end(), 0);
  return collate(samples, indices, 0);
}

TEST_F(CausalLmTask, HasALossThatIsTheLogitsOwn) {
  const auto made = pipeline();
  std::vector<Sample> all;
  for (int i = 1; i < 5; ++i) all.push_back(samples(*made, exchanges(i, 2))[0]);
  const Batch batch = batch_of(all);
  const Loss loss = made->task().forward_loss(made->network(), batch, {});
  const at::Tensor logits = made->network().forward(batch)[0];
  const double expected = at::cross_entropy_loss(logits, batch.targets.at(kNextToken).to(at::kLong),
                                                 {}, at::Reduction::Sum)
                              .item<double>();
  EXPECT_NEAR(loss.sum.item<double>(), expected, 1e-5 * expected);
  EXPECT_EQ(loss.count, 3 * (1 + 2 + 3 + 4));
  const auto [output, assessed] = made->task().assess(made->network(), batch);
  EXPECT_NEAR(assessed.sum.item<double>(), expected, 1e-5 * expected);
}

// No token of a sample sees another sample: packed or alone, the loss is one.
TEST_F(CausalLmTask, PacksWithoutContamination) {
  const auto made = pipeline();
  double apart = 0;
  std::vector<Sample> all;
  for (int i = 1; i < 5; ++i) {
    all.push_back(samples(*made, exchanges(i, 2))[0]);
    apart +=
        made->task().forward_loss(made->network(), batch_of({all.back()}), {}).sum.item<double>();
  }
  const double packed =
      made->task().forward_loss(made->network(), batch_of(all), {}).sum.item<double>();
  EXPECT_NEAR(packed, apart, 1e-5 * apart);
}

TEST_F(CausalLmTask, SaysLossesByAnswerAndPlace) {
  const auto made = pipeline();
  const Json result = made->evaluate({exchanges(2, 2)}).results[0];
  EXPECT_EQ(result[kTokens], 6);
  EXPECT_EQ(result[kBytes], 2 * 7 - 2);  // "w20 w21", without blanks, which are no token's
  ASSERT_EQ(result[kByAnswer].size(), 2u);
  EXPECT_EQ(result[kByAnswer][1][1], 3);
  const double both = result[kByAnswer][0][0].get<double>() + result[kByAnswer][1][0].get<double>();
  EXPECT_NEAR(both, 6 * result[kLoss].get<double>(), 1e-6 * both);
  EXPECT_EQ(result[kByPosition].size(), 1u);
  EXPECT_EQ(position_band(63), 0u);
  EXPECT_EQ(position_band(64), 1u);
  EXPECT_EQ(position_band(256), 2u);
}

TEST_F(CausalLmTask, AnswersTheRowsOfAnEvaluationThatAreDrawn) {
  const auto made = pipeline("{metrics: [rouge], generate_rows: 3, max_new_tokens: 4}");
  std::vector<Record> rows;
  for (int i = 0; i < 9; ++i)
    rows.push_back(conversation({message("user", words(2, i)), message("assistant", words(2, i))}));
  const auto answered = [&] {
    std::vector<size_t> places;
    const Evaluation evaluation = made->evaluate(rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(evaluation.results[i].contains(kLoss));
      if (evaluation.results[i].contains(kAnswer)) places.push_back(i);
    }
    return places;
  };
  const std::vector<size_t> first = answered();
  EXPECT_EQ(first.size(), 3u);
  EXPECT_EQ(answered(), first);
  const Report report = made->evaluate(rows).report;
  EXPECT_NE(report.metric, "perplexity");
  EXPECT_TRUE(std::isfinite(report.score));
  EXPECT_TRUE(std::isfinite(report.value("perplexity")));
}

TEST_F(CausalLmTask, EvaluatesARowThatHasNothingToAnswer) {
  const auto made = pipeline("{metrics: [rouge], generate_rows: 9, max_new_tokens: 4}");
  const Evaluation evaluation =
      made->evaluate({exchanges(1), conversation(Json::array({message("assistant", "w1 w2")}))});
  EXPECT_TRUE(evaluation.results[0].contains(kAnswer));
  EXPECT_FALSE(evaluation.results[1].contains(kAnswer));
  EXPECT_TRUE(evaluation.results[1].contains(kLoss));
  EXPECT_TRUE(std::isfinite(evaluation.report.score));
}

TEST_F(CausalLmTask, IsInterruptedWhileItWritesInAnEvaluation) {
  const auto made =
      pipeline("{metrics: [rouge], generate_rows: 9, min_new_tokens: 30, max_new_tokens: 30}");
  PredictOptions options;
  int asked = 0;
  options.is_stopped = [&] { return ++asked > 2; };
  EXPECT_TRUE(made->evaluate({exchanges(1), exchanges(2)}, options).is_interrupted);
  EXPECT_LE(asked, 5);  // not once for each of thirty tokens
}

TEST_F(CausalLmTask, ScoresResultsAsItsReportSays) {
  const auto scorer = make_scorer(Options{.group_by = "source"}, 0);
  const auto add = [&](const char* source, Json result) {
    Record gold = exchanges(1);
    gold.fields["source"] = source;
    scorer->add(gold, result);
  };
  add("a", {{kTokens, 3},
            {kLoss, 2.0},
            {kBytes, 12},
            {kByAnswer, {{6.0, 3}}},
            {kByPosition, {{6.0, 3}}}});
  add("b", {{kTokens, 1},
            {kLoss, 0.0},
            {kBytes, 4},
            {kByAnswer, {{0.0, 1}}},
            {kByPosition, {{0.0, 1}}}});
  add("b", {{kAnswer, "w1"}, {kAnswerTokens, 1}, {kFinishReason, "length"}});
  const Report report = scorer->report();
  EXPECT_DOUBLE_EQ(report.score, std::exp(6.0 / 4));
  EXPECT_DOUBLE_EQ(report.value("loss"), 6.0 / 4);
  EXPECT_DOUBLE_EQ(report.value("byte_perplexity"), std::exp(6.0 / 16));
  EXPECT_FALSE(report.main()->greater_is_better);
  EXPECT_EQ(report.n, 3);
  std::vector<std::string> keys;
  for (const Section& section : report.sections) keys.push_back(section.key);
  EXPECT_THAT(keys, ElementsAre("answers", "loss_by_group"));
}

TEST_F(CausalLmTask, NamesTheRowOfAMalformedResult) {
  const auto scorer = make_scorer(Options{}, 0);
  EXPECT_THAT(error_of([&] { scorer->add(exchanges(1), {{kTokens, -1}}); }),
              AllOf(HasSubstr("c.jsonl:7"), HasSubstr("\"tokens\" is -1")));
  EXPECT_THAT(error_of([&] { scorer->add(exchanges(1), {{kAnswer, 5}}); }),
              HasSubstr("\"answer\" is 5"));
  EXPECT_THAT(error_of([&] { scorer->add(exchanges(1), Json::object()); }),
              HasSubstr("\"tokens\""));
}

TEST_F(CausalLmTask, RefusesAnotherChatTemplateThanItWasTrainedWith) {
  pipeline()->save(folder_ / "saved");
  const std::string saved = folder_ / "saved/chat_template.jinja";
  ASSERT_TRUE(std::filesystem::exists(saved));
  const auto task = kInfo.restore(Pipeline::load(folder_ / "saved")->task().state());
  write_file(saved, std::string(kTemplate) + "!");
  EXPECT_THAT(error_of([&] { task->reopen(folder_ / "saved"); }),
              AllOf(HasSubstr("chat_template.jinja"), HasSubstr("trained with")));
}

TEST_F(CausalLmTask, KeepsTheTokensThatEndAnAnswer) {
  pipeline()->save(folder_ / "saved");
  const Json kept =
      Json::parse(read_file(folder_ / "saved/generation_config.json", ErrorKind::kModel));
  EXPECT_THAT(kept["eos_token_id"].dump(), HasSubstr("3"));
  const Json config = Json::parse(read_file(folder_ / "saved/config.json", ErrorKind::kModel));
  EXPECT_EQ(config["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(config["tie_word_embeddings"], true);
}

TEST_F(CausalLmTask, TellsWhatIsWrongWithItsOptions) {
  EXPECT_THAT(error_of([&] { pipeline("{turns: -1}"); }), HasSubstr("0 or more"));
  EXPECT_THAT(error_of([&] { pipeline("{stride: 0}"); }), HasSubstr("1 or more"));
  EXPECT_THAT(error_of([&] { pipeline("{turns: 2, train_on: all}"); }), HasSubstr("\"turns\""));
  EXPECT_THAT(error_of([&] { pipeline("{form: text, metrics: [rouge]}"); }),
              HasSubstr("gold ones"));
  EXPECT_THAT(error_of([&] { pipeline("{form: text, text: answer}"); }),
              HasSubstr("results use the name"));
  EXPECT_THAT(error_of([&] { pipeline("{metrics: [rouge], generate_rows: 0}"); }),
              HasSubstr("1 or more"));
}

}  // namespace
}  // namespace hone::causal_lm
