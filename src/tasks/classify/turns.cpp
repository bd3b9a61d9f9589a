#include "tasks/classify/turns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tasks/fields.h"
#include "tasks/truncate.h"
#include "tasks/windows.h"

namespace hone::classify {

Sequence turn_sequence(const Record& record, const Options& options, const Tokenizer& tokenizer,
                       int64_t longest, bool* truncated) {
  const std::vector<std::string> turns = need_strings(record, options.text);
  if (turns.empty())
    throw field_error(record, options.text, "is an empty list; its last turn has the label");
  const auto before = static_cast<int64_t>(turns.size()) - 1;
  const auto first = turns.begin() + std::max<int64_t>(before - options.history, 0);
  Encoding history = tokenizer.encode(fmt::format("{}", fmt::join(first, turns.end() - 1, " / "))),
           turn = tokenizer.encode(turns.back());
  const int64_t room =
      std::max<int64_t>(longest - tokenizer.special_tokens_added(/*is_pair=*/true), 0);
  bool was_cut = truncate_longest_first(turn, nullptr, room);
  const auto pieces = static_cast<int64_t>(history.ids.size()),
             left = room - static_cast<int64_t>(turn.ids.size());
  if (pieces > left) {
    history = part_of(history, {pieces - left, pieces});
    was_cut = true;
  }
  if (truncated != nullptr) *truncated = was_cut;
  return tokenizer.post_process(history, &turn);
}

}  // namespace hone::classify
