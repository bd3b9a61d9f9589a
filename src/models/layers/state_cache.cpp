#include "models/layers/state_cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>
#include <vector>

namespace hone {
namespace {

// All that states follow from: ids, segments and positions of a sequence.
std::string text_of(const Packed& tokens, int64_t begin, int64_t end) {
  std::string text;
  for (const at::Tensor* column : {&tokens.ids, &tokens.segments, &tokens.positions})
    text.append(reinterpret_cast<const char*>(column->const_data_ptr<int64_t>() + begin),
                static_cast<size_t>(end - begin) * sizeof(int64_t));
  return text;
}

// Some of the sequences, as a batch of their own.
Packed part_with(const Packed& tokens, const std::vector<int64_t>& sequences) {
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  std::vector<int64_t> rows;
  std::vector<int32_t> own_ends = {0};
  Packed part;
  for (const int64_t s : sequences) {
    const int64_t length = ends[s + 1] - ends[s];
    rows.resize(rows.size() + static_cast<size_t>(length));
    std::iota(rows.end() - length, rows.end(), int64_t{ends[s]});
    own_ends.push_back(own_ends.back() + static_cast<int32_t>(length));
    part.max_len = std::max(part.max_len, length);
  }
  const at::Tensor chosen = at::tensor(rows, at::kLong);
  part.ids = tokens.ids.index_select(0, chosen);
  part.positions = tokens.positions.index_select(0, chosen);
  part.segments = tokens.segments.index_select(0, chosen);
  part.cu_seqlens = at::tensor(own_ends, at::kInt);
  return part;
}

std::string_view bytes_of(const at::Tensor& rows) {
  return {static_cast<const char*>(rows.const_data_ptr()), rows.nbytes()};
}

}  // namespace

StateCache::StateCache(const std::string& folder, int64_t most_bytes)
    : file_(folder, "states"), most_(static_cast<size_t>(most_bytes)) {}

at::Tensor StateCache::of(const Packed& tokens,
                          const std::function<at::Tensor(const Packed&)>& compute) {
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  std::vector<std::string> texts;
  std::vector<int64_t> left;
  at::Tensor states =
      form_.defined() ? at::empty({tokens.tokens(), form_.size(1)}, form_.options()) : form_;
  for (int64_t s = 0; s < tokens.sequences(); ++s) {
    texts.push_back(text_of(tokens, ends[s], ends[s + 1]));
    if (!states.defined() || !read(texts.back(), states.slice(0, ends[s], ends[s + 1])))
      left.push_back(s);
  }
  if (left.empty()) return states;
  const bool is_all = static_cast<int64_t>(left.size()) == tokens.sequences();
  const at::Tensor computed = compute(is_all ? tokens : part_with(tokens, left)).contiguous();
  computed_ += static_cast<int64_t>(left.size());
  if (!form_.defined()) form_ = computed.slice(0, 0, 0);
  int64_t row = 0;
  for (const int64_t s : left) {
    const at::Tensor own = computed.slice(0, row, row + ends[s + 1] - ends[s]);
    row += own.size(0);
    keep(texts[static_cast<size_t>(s)], own);
    if (!is_all) states.slice(0, ends[s], ends[s + 1]).copy_(own);
  }
  file_.flush();
  return is_all ? computed : states;
}

bool StateCache::read(const std::string& text, const at::Tensor& rows) {
  const auto found = places_.find(std::hash<std::string>()(text));
  if (found == places_.end() || found->second.text_bytes != text.size()) return false;
  const Place& place = found->second;
  const std::string bytes = file_.read(place.position, place.text_bytes + place.state_bytes);
  if (!bytes.starts_with(text)) return false;  // another text of this hash
  std::memcpy(rows.mutable_data_ptr(), bytes.data() + text.size(), place.state_bytes);
  return true;
}

void StateCache::keep(const std::string& text, const at::Tensor& rows) {
  const std::string_view states = bytes_of(rows);
  const size_t needed = text.size() + states.size();
  if (size_ + needed > most_) return;
  const auto [place, is_new] =
      places_.try_emplace(std::hash<std::string>()(text), Place{size_, text.size(), states.size()});
  if (!is_new) return;
  file_.append(text);
  file_.append(states);
  size_ += needed;
}

}  // namespace hone
