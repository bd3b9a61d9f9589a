#include "tasks/causal_lm/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "data/chat/conversation.h"
#include "data/chat/encode_chat.h"
#include "tasks/fields.h"

namespace hone::causal_lm {
namespace {

// Tokens under way.
struct Marked {
  std::vector<int32_t> ids;
  std::vector<Span> offsets;
  std::vector<int32_t> answers;   // the number of the answer that a token is of, -1: of none
  std::vector<uint8_t> has_loss;  // 1: the token is learned

  size_t size() const { return ids.size(); }
  void add(int32_t id, Span span, int32_t answer, bool learned) {
    ids.push_back(id);
    offsets.push_back(span);
    answers.push_back(answer);
    has_loss.push_back(learned ? 1 : 0);
  }
  Marked part(size_t begin, size_t end) const {
    Marked out;
    for (size_t i = begin; i < end; ++i) out.add(ids[i], offsets[i], answers[i], has_loss[i] != 0);
    return out;
  }
  // Answers of which a token is learned.
  std::set<int32_t> learned_answers() const {
    std::set<int32_t> learned;
    for (size_t i = 0; i < size(); ++i) {
      if (has_loss[i] != 0) learned.insert(answers[i]);
    }
    return learned;
  }
  bool learns() const { return std::find(has_loss.begin(), has_loss.end(), 1) != has_loss.end(); }
};

Marked operator+(Marked a, const Marked& b) {
  for (size_t i = 0; i < b.size(); ++i)
    a.add(b.ids[i], b.offsets[i], b.answers[i], b.has_loss[i] != 0);
  return a;
}

// The tokens' answers stand in `words`, which is what `decode` tells losses apart by.
Sample sample_from(Marked tokens, bool with_targets) {
  Sample sample;
  Sequence sequence;
  const size_t n = tokens.size();
  if (with_targets) {
    Target next{kNextToken, /*per_token=*/true, 1, {}};
    for (size_t i = 1; i < n; ++i)
      next.values.push_back(tokens.has_loss[i] != 0 ? static_cast<float>(tokens.ids[i])
                                                    : kNoTarget);
    next.values.push_back(kNoTarget);  // nothing follows the last one
    sample.targets.push_back(std::move(next));
  }
  sequence.ids = std::move(tokens.ids);
  sequence.segments.assign(n, 0);
  sequence.texts.assign(n, 0);
  sequence.words = std::move(tokens.answers);
  sequence.offsets = std::move(tokens.offsets);
  sample.streams.push_back(std::move(sequence));
  return sample;
}

// `count` tokens of the end, and before them the first one: models lean on it (attention sinks:
// Xiao et al. 2023, https://arxiv.org/abs/2309.17453).
Marked end_of(const Marked& tokens, size_t count) {
  if (count >= tokens.size()) return tokens;
  if (count < 2) return tokens.part(tokens.size() - count, tokens.size());
  return tokens.part(0, 1) + tokens.part(tokens.size() - count + 1, tokens.size());
}

// Cuts the beginning of what stands before the first answer, then the end of the answer, so that
// each keeps half of the room at least, where it fills it.
Marked cut_to(const Marked& tokens, size_t room) {
  const auto is_answer = [](int32_t answer) { return answer >= 0; };
  const auto first = std::find_if(tokens.answers.begin(), tokens.answers.end(), is_answer);
  const auto before = static_cast<size_t>(first - tokens.answers.begin());
  const size_t answer = tokens.size() - before,
               kept = std::max(room - std::min(room, answer), std::min(before, room / 2));
  return end_of(tokens.part(0, before), kept) +
         tokens.part(before, std::min(tokens.size(), before + room - kept));
}

// What the tokenizer puts before a text: a BOS.
std::vector<int32_t> tokens_before_a_text(const Tokenizer& tokenizer) {
  const Encoding one{{0}, {Span{0, 0}}, {0}};
  const Sequence around = tokenizer.post_process(one);
  const auto text = std::find(around.texts.begin(), around.texts.end(), 0);
  return {around.ids.begin(), around.ids.begin() + (text - around.texts.begin())};
}

// ---- conversations

bool is_assistant(const Json& message) { return message.at("role") == "assistant"; }
bool is_system(const Json& message) {
  return message.at("role") == "system" || message.at("role") == "developer";
}

// The text of a message; "" where it has none.
std::string content_of(const Json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_string() ? content->get<std::string>() : "";
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

bool says_nothing(const Json& message) {
  const auto calls = message.find("tool_calls");
  const bool calls_tools = calls != message.end() && calls->is_array() && !calls->empty();
  return !calls_tools && is_blank(content_of(message));
}

Error message_error(const Record& record, const Options& options, size_t index,
                    const std::string& what) {
  return field_error(record, options.messages,
                     fmt::format("has a message {} that {}", index + 1, what));
}

// Checked, and made plain: contents are texts.
Json messages_of(const Record& record, const Options& options) {
  Json messages = need_field(record, options.messages);
  if (!messages.is_array() || messages.empty())
    throw field_error(record, options.messages,
                      fmt::format("must be a list of messages, as [{{\"role\": \"user\", "
                                  "\"content\": \"…\"}}, …], but is {}",
                                  dump(messages)));
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
      throw message_error(record, options, i,
                          fmt::format("is no object with a \"role\": {}", dump(message)));
  }
  try {
    make_plain(messages);
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, record.where(), error.message());
  }
  return messages;
}

// What has to be there to learn from.
void check_answers(const Record& record, const Options& options) {
  const Json& messages = messages_of(record, options);
  bool has_answer = options.train_on == TrainOn::kAll;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_assistant(messages[i])) continue;
    if (says_nothing(messages[i]))
      throw message_error(record, options, i,
                          "is an empty turn of the assistant: there is nothing to learn from it, "
                          "and a model would learn to say nothing");
    has_answer = true;
  }
  if (!has_answer)
    throw field_error(record, options.messages,
                      "has no turn of the assistant, so there is no answer to learn");
}

// Where the messages of the system end, which every window keeps.
size_t first_turn(const Json& messages) {
  size_t first = 0;
  while (first < messages.size() && is_system(messages[first])) ++first;
  return first;
}

// Messages [0, first), then [begin, end).
Json with_beginning(const Json& messages, size_t first, size_t begin, size_t end) {
  Json out = Json::array();
  for (size_t i = 0; i < end; ++i) {
    if (i < first || i >= begin) out.push_back(messages[i]);
  }
  return out;
}

bool is_of_tool(const Json& message) {
  return message.at("role") == "tool" || message.at("role") == "function";
}

// The messages before `end` that an answer there sees, and the one there. What a tool says comes
// with the message that calls it.
Json window_of(const Json& messages, size_t end, int64_t turns, bool with_answer) {
  const size_t first = first_turn(messages), seen = static_cast<size_t>(turns);
  size_t begin = turns == 0 || end < first + seen ? first : end - seen;
  while (begin > first && is_of_tool(messages[begin])) --begin;
  return with_beginning(messages, first, begin, end + (with_answer ? 1 : 0));
}

// Where a conversation may begin behind the messages of its system: where it does, and at each
// further message of the user that has an answer behind it, or of a prompt at each.
std::vector<size_t> beginnings_of(const Json& messages, bool is_prompt) {
  const size_t first = first_turn(messages);
  size_t end = messages.size();
  while (!is_prompt && end > 0 && !is_assistant(messages[end - 1])) --end;
  std::vector<size_t> beginnings = {first};
  for (size_t next = first + 1; next < end; ++next) {
    if (messages[next].at("role") == "user") beginnings.push_back(next);
  }
  return beginnings;
}

int64_t answers_in(const Json& messages) {
  return std::count_if(messages.begin(), messages.end(), is_assistant);
}

// OpenAI's "weight": 0 of a turn that is not to be learned.
std::vector<bool> weights_of(const Json& messages, const Record& record, const Options& options) {
  std::vector<bool> weights;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_assistant(messages[i])) continue;
    const auto weight = messages[i].find("weight");
    const bool is_there = weight != messages[i].end() && !weight->is_null();
    if (is_there && *weight != 0 && *weight != 1)
      throw message_error(
          record, options, i,
          fmt::format("has the weight {}; it may be 0, not to be learned, or 1", dump(*weight)));
    weights.push_back(!is_there || *weight == 1);
  }
  return weights;
}

class Conversation {
 public:
  Conversation(const Record& record, const Reading& reading) : record_(record), r_(reading) {
    if (r_.chat_template == nullptr)
      throw Error(ErrorKind::kInternal, "a conversation was read without a chat template");
  }

  // `last_only`: of its answers the last one alone is learned.
  Marked learned(const Json& messages, bool last_only) const {
    RenderOptions options;
    options.answers = last_only ? ToldAnswers::kLast : ToldAnswers::kAll;
    const Rendered rendered = render(messages, options);
    std::vector<bool> weights = weights_of(messages, record_, r_.options);
    if (last_only) weights.assign(1, weights.back());
    const bool has_weights = std::find(weights.begin(), weights.end(), false) != weights.end();
    if (has_weights && weights.size() != rendered.answers.size())
      throw field_error(record_, r_.options.messages,
                        fmt::format("has weights for {} turns of the assistant, of which the chat "
                                    "template makes {}: it cannot be told which ones are meant",
                                    weights.size(), rendered.answers.size()));
    return marked(rendered, weights);
  }

  // Earlier answers are cut from what surrounds them where training does so, as far as the template
  // tells them.
  Marked prompt(const Json& messages) const {
    const bool learns_last = r_.options.turns > 0 || r_.options.train_on == TrainOn::kLastAnswer;
    RenderOptions options;
    options.add_generation_prompt = true;
    options.answers = learns_last ? ToldAnswers::kNone : ToldAnswers::kWhereExact;
    Marked tokens = marked(render(messages, options), {});
    std::fill(tokens.answers.begin(), tokens.answers.end(), -1);
    return tokens;
  }

  // Its tokens without the cuts around answers, which may make a few more.
  size_t size_of(const Json& messages, bool is_prompt) const {
    RenderOptions options;
    options.add_generation_prompt = is_prompt;
    options.answers = ToldAnswers::kNone;
    return encode_chat(r_.tokenizer, render(messages, options)).ids.size();
  }

 private:
  // The template's complaint is of this row.
  Rendered render(const Json& messages, RenderOptions options) const {
    try {
      if (const Json* tools = find_field(record_, r_.options.tools))
        options.tools = tools_of(*tools, r_.options.tools);
      return r_.chat_template->render(messages, options);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kData) throw;
      throw Error(ErrorKind::kData, record_.where(), error.message());
    }
  }

  Marked marked(const Rendered& rendered, const std::vector<bool>& weights) const {
    const EncodedChat chat = encode_chat(r_.tokenizer, rendered);
    const bool learns_all = r_.options.train_on == TrainOn::kAll;
    Marked tokens;
    size_t answer = 0;
    for (size_t i = 0; i < chat.ids.size(); ++i) {
      const Span span = chat.offsets[i];
      if (chat.is_answer[i] == 0) {
        tokens.add(chat.ids[i], span, -1, learns_all);
        continue;
      }
      while (answer + 1 < rendered.answers.size() && span.start >= rendered.answers[answer].end)
        ++answer;
      const bool has_weight = answer >= weights.size() || weights[answer];
      tokens.add(chat.ids[i], span, static_cast<int32_t>(answer), learns_all || has_weight);
    }
    return tokens;
  }

  const Record& record_;
  const Reading& r_;
};

// As much of a conversation as is read, and its tokens.
struct Fitted {
  Json messages;
  Marked tokens;
};
using ReadTokens = std::function<Marked(const Json& messages)>;

// The first place behind the beginning at which it fits, else the last one. Each try renders and
// encodes all that is left, so the place is looked for by halves: the fewer messages, the fewer
// tokens.
size_t first_fitting(size_t places, const std::function<bool(size_t)>& fits) {
  size_t low = 1, high = places - 1;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (fits(middle))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Without as few of its oldest exchanges as the room asks for; the last one stays.
Fitted without_oldest(const Json& messages, bool is_prompt, size_t room,
                      const Conversation& conversation, const ReadTokens& read) {
  const std::vector<size_t> beginnings = beginnings_of(messages, is_prompt);
  const auto from = [&](size_t place) {
    return with_beginning(messages, beginnings.front(), beginnings[place], messages.size());
  };
  Fitted fitted{messages, read(messages)};
  if (fitted.tokens.size() <= room || beginnings.size() == 1) return fitted;
  size_t place = first_fitting(beginnings.size(), [&](size_t tried) {
    return conversation.size_of(from(tried), is_prompt) <= room;
  });
  fitted.messages = from(place);
  fitted.tokens = read(fitted.messages);
  while (fitted.tokens.size() > room && place + 1 < beginnings.size()) {  // by its cuts
    fitted.messages = from(++place);
    fitted.tokens = read(fitted.messages);
  }
  return fitted;
}

std::string lost_answers(int64_t lost, int64_t all, int64_t room) {
  return fmt::format("{} of its {} answers {} not fit into {} tokens, and {} not learned", lost,
                     all, lost == 1 ? "does" : "do", room, lost == 1 ? "is" : "are");
}

// Of a sample whose first answer is number 0, as numbers in the whole conversation.
void count_answers_from(int64_t first, Sample& sample) {
  for (int32_t& answer : sample.streams.front().words) {
    if (answer >= 0) answer += static_cast<int32_t>(first);
  }
}

// One window of a conversation, or all of it. `before`: answers that stand before the first one
// that may be learned.
Sample learned_window(const Json& messages, bool last_only, int64_t before, const Record& record,
                      const Reading& reading, bool& was_cut) {
  const Conversation conversation(record, reading);
  const auto room = static_cast<size_t>(reading.room);
  auto [kept, tokens] =
      without_oldest(messages, /*is_prompt=*/false, room, conversation,
                     [&](const Json& read) { return conversation.learned(read, last_only); });
  was_cut = was_cut || kept.size() < messages.size() || tokens.size() > room;
  const size_t told = tokens.learned_answers().size();
  if (tokens.size() > room) tokens = cut_to(tokens, room);
  const int64_t answers = answers_in(messages),
                dropped = last_only ? 0 : answers - answers_in(kept),
                lost = dropped + static_cast<int64_t>(told - tokens.learned_answers().size());
  const bool learns = tokens.learns();
  Sample sample = sample_from(std::move(tokens), /*with_targets=*/true);
  count_answers_from(before + dropped, sample);
  if (lost > 0) sample.repair = lost_answers(lost, answers, reading.room);
  if (!learns)
    sample.repair = fmt::format(
        "nothing of it is learned: no answer with a weight is left in {} "
        "tokens",
        reading.room);
  return sample;
}

// Each answer with the turns before it, as a sample of its own; or the conversation as one.
std::vector<Sample> conversation_samples(const Record& record, const Reading& reading,
                                         bool& was_cut) {
  const Options& options = reading.options;
  check_answers(record, options);
  const Json& messages = messages_of(record, options);
  const bool last_only = options.train_on == TrainOn::kLastAnswer;
  const int64_t answers = answers_in(messages);
  if (options.turns == 0)
    return {
        learned_window(messages, last_only, last_only ? answers - 1 : 0, record, reading, was_cut)};
  const std::vector<bool> weights = weights_of(messages, record, options);
  std::vector<Sample> samples;
  int64_t answer = -1;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_assistant(messages[i])) continue;
    ++answer;
    if (!weights[static_cast<size_t>(answer)] || (last_only && answer + 1 < answers)) continue;
    samples.push_back(learned_window(window_of(messages, i, options.turns, /*with_answer=*/true),
                                     /*last_only=*/true, answer, record, reading, was_cut));
    samples.back().window = static_cast<int32_t>(samples.size()) - 1;
  }
  if (samples.empty())
    throw field_error(record, options.messages,
                      "has no turn of the assistant with a weight, so there is no answer to learn");
  return samples;
}

// The messages before the answer that is asked for.
Json asked(const Record& record, const Options& options) {
  const Json& messages = messages_of(record, options);
  const size_t end = messages.size() - (is_assistant(messages.back()) ? 1 : 0);
  if (end == 0)
    throw field_error(record, options.messages,
                      "has nothing before the assistant's turn, so there is nothing to answer");
  return window_of(messages, end, options.turns, /*with_answer=*/false);
}

Marked conversation_prompt(const Record& record, const Reading& reading, bool& was_cut) {
  const Conversation conversation(record, reading);
  const Json messages = asked(record, reading.options);
  const auto room = static_cast<size_t>(reading.room);
  Fitted fitted = without_oldest(messages, /*is_prompt=*/true, room, conversation,
                                 [&](const Json& read) { return conversation.prompt(read); });
  was_cut = fitted.messages.size() < messages.size();
  return std::move(fitted.tokens);
}

// ---- prompts and completions

// What a text spells stays text: no special token is found in it.
Encoding plain_pieces(const std::string& text, const Tokenizer& tokenizer) {
  const TextBorders borders{{Span{0, static_cast<int32_t>(text.size())}}, {}};
  return tokenizer.encode(text, borders).encoding;
}

void add_pieces(const Encoding& pieces, int32_t answer, bool learned, int32_t begin,
                Marked& tokens) {
  for (size_t i = 0; i < pieces.ids.size(); ++i) {
    const Span span = pieces.offsets[i];
    tokens.add(pieces.ids[i], {begin + span.start, begin + span.end}, answer, learned);
  }
}

std::vector<std::string> completions_of(const Record& record, const Options& options) {
  const Json& value = need_field(record, options.completion);
  const std::vector<std::string> texts = value.is_array()
                                             ? need_strings(record, options.completion)
                                             : std::vector{need_text(record, options.completion)};
  if (texts.empty() || is_blank(texts.front()))
    throw field_error(record, options.completion, "is empty: there is nothing to learn");
  return texts;
}

Marked prompt_tokens(const Record& record, const Reading& reading) {
  Marked tokens;
  for (const int32_t id : tokens_before_a_text(reading.tokenizer)) tokens.add(id, {}, -1, false);
  const bool learns = reading.options.train_on == TrainOn::kAll;
  const std::string& prompt = need_text_as_read(record, reading.options.prompt);
  add_pieces(plain_pieces(prompt, reading.tokenizer), -1, learns, 0, tokens);
  return tokens;
}

// The border is never inside a token: prompt and completion are encoded apart, as a prompt is that
// is to be completed.
Sample completion_sample(const Record& record, const Reading& reading, bool& was_cut) {
  const std::string completion = completions_of(record, reading.options).front();
  Marked tokens = prompt_tokens(record, reading);
  const auto begin = static_cast<int32_t>(need_text_as_read(record, reading.options.prompt).size());
  add_pieces(plain_pieces(completion, reading.tokenizer), 0, true, begin, tokens);
  if (reading.end >= 0) tokens.add(static_cast<int32_t>(reading.end), {}, 0, true);
  was_cut = tokens.size() > static_cast<size_t>(reading.room);
  if (was_cut) tokens = cut_to(tokens, static_cast<size_t>(reading.room));
  return sample_from(std::move(tokens), /*with_targets=*/true);
}

// ---- texts

// Special tokens that a text spells are found, as corpora write them between documents; those that
// it begins and ends with by itself are not doubled.
Marked text_tokens(const Record& record, const Reading& reading, bool with_end) {
  const Encoding pieces = reading.tokenizer.encode(need_text(record, reading.options.text));
  const std::vector<int32_t>& ids = pieces.ids;
  const std::vector<int32_t> before = tokens_before_a_text(reading.tokenizer);
  const bool has_begin =
      ids.size() >= before.size() && std::equal(before.begin(), before.end(), ids.begin());
  Marked tokens;
  for (size_t i = 0; i < before.size() && !has_begin; ++i) tokens.add(before[i], {}, -1, false);
  add_pieces(pieces, 0, true, 0, tokens);
  const bool has_end = !ids.empty() && ids.back() == reading.end;
  if (with_end && reading.end >= 0 && !has_end)
    tokens.add(static_cast<int32_t>(reading.end), {}, 0, true);
  return tokens;
}

// Windows share `stride` tokens, which have their loss in the first of the two: each token but the
// first of the text is learned once.
std::vector<Sample> text_samples(const Record& record, const Reading& reading) {
  const Marked all = text_tokens(record, reading, /*with_end=*/true);
  if (all.size() == 0) throw field_error(record, reading.options.text, "has no token");
  const auto room = static_cast<size_t>(reading.room),
             shared = std::min(static_cast<size_t>(reading.options.stride), room - 1);
  std::vector<Sample> samples;
  for (size_t begin = 0, end = 0; end < all.size(); begin = end - shared) {
    const size_t learned_from = end;
    end = std::min(all.size(), begin + room);
    Marked window = all.part(begin, end);
    std::fill_n(window.has_loss.begin(), learned_from - begin, 0);
    samples.push_back(sample_from(std::move(window), /*with_targets=*/true));
    samples.back().window = static_cast<int32_t>(samples.size()) - 1;
  }
  return samples;
}

}  // namespace

std::vector<Sample> learned_samples(const Record& record, const Reading& reading, bool* truncated) {
  bool was_cut = false;
  std::vector<Sample> samples;
  if (reading.options.form == Form::kText)
    samples = text_samples(record, reading);
  else if (reading.options.form == Form::kCompletion)
    samples.push_back(completion_sample(record, reading, was_cut));
  else
    samples = conversation_samples(record, reading, was_cut);
  if (truncated != nullptr) *truncated = was_cut;
  return samples;
}

Sample prompt_sample(const Record& record, const Reading& reading, bool* truncated) {
  bool was_cut = false;
  Marked tokens;
  if (reading.options.form == Form::kText)
    tokens = text_tokens(record, reading, /*with_end=*/false);
  else if (reading.options.form == Form::kCompletion)
    tokens = prompt_tokens(record, reading);
  else
    tokens = conversation_prompt(record, reading, was_cut);
  if (tokens.size() == 0)
    throw Error(ErrorKind::kData, record.where(),
                "the prompt has no token: there is nothing to "
                "go on from.");
  const auto room = static_cast<size_t>(reading.room);
  was_cut = was_cut || tokens.size() > room;
  if (truncated != nullptr) *truncated = was_cut;
  return sample_from(end_of(tokens, room), /*with_targets=*/false);
}

int64_t end_of_turn(const Record& record, const Reading& reading) {
  const Json messages = messages_of(record, reading.options);
  if (answers_in(messages) == 0) return -1;
  const Marked tokens = Conversation(record, reading).learned(messages, /*last_only=*/true);
  for (size_t i = tokens.size(); i > 0; --i) {
    if (tokens.answers[i - 1] < 0) continue;
    const int32_t id = tokens.ids[i - 1];
    if (is_special(id, reading.tokenizer)) return id;
    if (!is_blank(reading.tokenizer.decode({id}, /*skip_special=*/false))) break;
  }
  return -1;
}

bool is_special(int32_t id, const Tokenizer& tokenizer) {
  return tokenizer.decode({id}, /*skip_special=*/true).empty() &&
         !tokenizer.decode({id}, /*skip_special=*/false).empty();
}

void check_row(const Record& record, const Options& options) {
  if (options.form == Form::kText) {
    need_text(record, options.text);
  } else if (options.form == Form::kCompletion) {
    need_text(record, options.prompt);
    completions_of(record, options);
  } else {
    check_answers(record, options);
    weights_of(messages_of(record, options), record, options);
  }
}

std::vector<std::string> gold_answers(const Record& record, const Options& options) {
  if (options.form == Form::kText) return {};
  if (options.form == Form::kCompletion)
    return find_field(record, options.completion) == nullptr ? std::vector<std::string>{}
                                                             : completions_of(record, options);
  const Json messages = messages_of(record, options);
  const Json& last = messages.back();
  return is_assistant(last) ? std::vector{content_of(last)} : std::vector<std::string>{};
}

std::string question_of(const Record& record, const Options& options) {
  if (options.form == Form::kText) return need_text(record, options.text);
  if (options.form == Form::kCompletion) return need_text(record, options.prompt);
  const Json& messages = messages_of(record, options);
  for (size_t i = messages.size(); i > 0; --i) {
    if (!is_assistant(messages[i - 1])) return content_of(messages[i - 1]);
  }
  return "";
}

}  // namespace hone::causal_lm
