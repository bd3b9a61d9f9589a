#include "tune/identity.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/random.h"
#include "data/fingerprint.h"

namespace hone {
namespace {

constexpr size_t kMostBlocks = 2048;
constexpr size_t kShownWords = 12;
constexpr size_t kDigits = 16;  // of a hash

template <typename T>
uint64_t hash_values(const std::vector<T>& values) {
  return hash_bytes({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

uint64_t hash_sample(const Sample& sample) {
  auto hash = static_cast<uint64_t>(sample.window);
  for (const Sequence& stream : sample.streams) {
    hash = mix(mix(hash, hash_values(stream.ids)), hash_values(stream.segments));
    if (stream.features.width > 0) hash = mix(hash, hash_values(stream.features.values));
    if (!stream.ends.empty()) hash = mix(hash, hash_values(stream.ends));
  }
  for (const Target& target : sample.targets)
    hash = mix(mix(hash, hash_bytes(target.name)), hash_values(target.values));
  return hash;
}

std::string in_words(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.is_null() ? "none" : value.dump();
  std::vector<std::string> words;
  for (size_t i = 0; i < std::min(value.size(), kShownWords); ++i)
    words.push_back(in_words(value[i]));
  const size_t more = value.size() - words.size();
  return fmt::format("{}{}", fmt::join(words, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

// "options.text" is the task's key "text", "labels.values" are the labels.
std::string shown_name(std::string name) {
  if (name.starts_with("options.")) name.erase(0, name.find('.') + 1);
  if (name.ends_with(".values")) name.erase(name.rfind('.'));
  return name;
}

void add_differences(const std::string& name, const Json& before, const Json& now,
                     std::vector<std::string>& out) {
  if (before == now) return;
  if (!before.is_object() || !now.is_object()) {
    out.push_back(fmt::format("{}: {} -> {}", shown_name(name), in_words(before), in_words(now)));
    return;
  }
  Json keys = before;
  keys.update(now);
  for (const auto& [key, ignored] : keys.items())
    add_differences(name.empty() ? key : name + "." + key, before.value(key, Json()),
                    now.value(key, Json()), out);
}

}  // namespace

// A block's hash is a sum, so that two blocks are joined by adding; a row's place counts in it.
void RowFingerprint::add(const Where& where, const std::vector<Sample>& samples) {
  auto hash = static_cast<uint64_t>(rows_);
  for (const Sample& sample : samples) hash = mix(hash, hash_sample(sample));
  if (rows_ % block_ == 0 && hashes_.size() == kMostBlocks) join_blocks();
  if (rows_ % block_ == 0) {
    hashes_.push_back(0);
    starts_.push_back(where);
  }
  hashes_.back() += hash;
  ++rows_;
}

void RowFingerprint::join_blocks() {
  for (size_t i = 0; i < kMostBlocks / 2; ++i) {
    hashes_[i] = hashes_[2 * i] + hashes_[2 * i + 1];
    starts_[i] = starts_[2 * i];
  }
  hashes_.resize(kMostBlocks / 2);
  starts_.resize(kMostBlocks / 2);
  block_ *= 2;
}

Json RowFingerprint::json() const {
  std::string hashes;
  for (const uint64_t hash : hashes_) hashes += fmt::format("{:0{}x}", hash, kDigits);
  return {{"rows", rows_}, {"block", block_}, {"hashes", hashes}};
}

std::string RowFingerprint::difference(const Json& saved) const {
  const Json now = json();
  if (saved == now) return "";
  if (saved.at("rows") != now["rows"])
    return fmt::format("row count {} -> {}", saved.at("rows").dump(), rows_);
  const auto before = saved.at("hashes").get<std::string>(),
             after = now["hashes"].get<std::string>();
  const auto at = std::mismatch(after.begin(), after.end(), before.begin(), before.end()).first;
  const size_t block =
      std::min<size_t>(static_cast<size_t>(at - after.begin()) / kDigits, hashes_.size() - 1);
  const auto first = static_cast<int64_t>(block) * block_ + 1;
  if (block_ == 1) return fmt::format("row {} is another ({})", first, starts_[block].str());
  return fmt::format("rows {} to {} are others (from {} on)", first,
                     std::min(first + block_ - 1, rows_), starts_[block].str());
}

std::vector<std::string> task_differences(const Json& before, const Json& now) {
  std::vector<std::string> out;
  add_differences("", before, now, out);
  return out;
}

}  // namespace hone
