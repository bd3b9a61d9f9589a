#include "data/fingerprint.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/random.h"
#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kBins = std::tuple_size_v<Sketch>;
constexpr size_t kBandBytes = 8, kBands = kBins / kBandBytes;
constexpr size_t kShingle = 4;  // characters
constexpr int kLongestBucket =
    32;  // texts of one boilerplate share bands; comparing them all would be quadratic

bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string one_spaced(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (!is_white(c)) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string folded(std::string_view text) {
  std::string out(text);
  if (std::none_of(text.begin(), text.end(),
                   [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
  }
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = icu::Normalizer2::getNFKCCasefoldInstance(status);
  if (U_FAILURE(status)) throw Error(ErrorKind::kInternal, "ICU has no normalisation data");
  out.clear();
  icu::StringByteSink<std::string> sink(&out);
  normalizer->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())),
                            sink, nullptr, status);
  return out;
}

uint64_t folded_product(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t kOdd1 = 0x9E3779B97F4A7C15ULL, kOdd2 = 0xD6E8FEB86659FD93ULL,
                   kOdd3 = 0xA0761D6478BD642FULL;

// Where an empty bin looks for a filled one: an order of all bins for each.
const std::array<std::array<uint8_t, kBins>, kBins>& detours() {
  static const auto table = [] {
    std::array<std::array<uint8_t, kBins>, kBins> out{};
    for (size_t bin = 0; bin < kBins; ++bin) {
      const std::vector<int64_t> order = permutation(kBins, bin);
      std::transform(order.begin(), order.end(), out.at(bin).begin(),
                     [](int64_t to) { return static_cast<uint8_t>(to); });
    }
    return out;
  }();
  return table;
}

uint64_t band_key(const Sketch& sketch, size_t band) {
  uint64_t bytes;
  std::memcpy(&bytes, sketch.data() + band * kBandBytes, sizeof bytes);
  return folded_product(bytes ^ kOdd1, (band + 1) * kOdd2);
}

}  // namespace

std::string normalised_text(std::string_view text) { return one_spaced(folded(text)); }

std::string text_of_fields(const Record& record, const std::vector<std::string>& text_fields) {
  std::string out;
  for (const std::string& name : text_fields) {
    if (!out.empty()) out.push_back('\x1F');
    const auto it = record.fields.find(name);
    if (it == record.fields.end()) continue;
    if (it->is_string()) out += it->get_ref<const std::string&>();
    if (it->is_object() || it->is_number()) out += to_text(*it);  // a part of a text, by its place
    if (!it->is_array()) continue;
    for (const Json& item : *it) {
      if (item.is_string()) out.append(item.get_ref<const std::string&>()).push_back(' ');
      if (item.is_object() || item.is_number()) out.append(to_text(item)).push_back(' ');
    }
  }
  return out;
}

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = kOdd3 ^ bytes.size();
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    hash = folded_product(hash ^ word, kOdd1);
  }
  uint64_t rest = 0;
  if (at < bytes.size()) std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
  return mix(folded_product(hash ^ rest, kOdd2), bytes.size());
}

Sketch sketch_of(std::string_view normalised) {
  std::array<uint64_t, kBins> least;
  least.fill(~uint64_t{0});
  const std::u32string points = from_utf8(normalised);
  const size_t shingles = points.size() < kShingle ? 1 : points.size() - kShingle + 1;
  for (size_t i = 0; i < shingles; ++i) {
    std::array<uint64_t, kShingle> c{};
    for (size_t k = 0; k < kShingle && i + k < points.size(); ++k) c.at(k) = points[i + k];
    const uint64_t hash =
        folded_product((c[0] | c[1] << 32) ^ kOdd1, (c[2] | c[3] << 32) ^ kOdd2) * kOdd3;
    uint64_t& slot = least.at(hash >> 57);
    slot = std::min(slot, hash & ~(uint64_t{0x7F} << 57));
  }
  Sketch sketch{};
  for (size_t bin = 0; bin < kBins; ++bin) {
    uint64_t value = least.at(bin);
    for (size_t i = 0; value == ~uint64_t{0}; ++i) value = least.at(detours().at(bin).at(i));
    sketch.at(bin) = static_cast<uint8_t>(folded_product(value, kOdd1));
  }
  return sketch;
}

double similarity(const Sketch& a, const Sketch& b) {
  size_t differ = 0;
  for (size_t i = 0; i < kBins;
       i +=
       8) {  // eight bytes at a time: a byte of `difference` is not zero where the bytes differ
    uint64_t x, y;
    std::memcpy(&x, a.data() + i, sizeof x);
    std::memcpy(&y, b.data() + i, sizeof y);
    const uint64_t difference = x ^ y, low = 0x7F7F7F7F7F7F7F7FULL;
    const uint64_t marks =
        (((difference & low) + low) | difference) & ~low;  // the top bit of each such byte
    differ += static_cast<size_t>((marks >> 7) * 0x0101010101010101ULL >> 56);
  }
  // Bytes that differ in truth agree once in 256 by chance.
  const double share = 1 - static_cast<double>(differ) / kBins;
  return std::max(0.0, (share - 1.0 / 256) / (1 - 1.0 / 256));
}

void NearIndex::add(const Sketch& sketch, int64_t tag) {
  sketches_.push_back(sketch);
  tags_.push_back(tag);
  while ((used_ + kBands) * 2 > slots_.size()) grow();
  for (size_t band = 0; band < kBands; ++band)
    insert(band_key(sketch, band), static_cast<int32_t>(sketches_.size()) - 1);
}

void NearIndex::insert(uint64_t key, int32_t sketch) {
  const uint32_t check = static_cast<uint32_t>(key >> 32);
  int bucket = 0;
  size_t at = key & (slots_.size() - 1);
  for (; slots_[at].sketch >= 0; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].check == check && ++bucket == kLongestBucket) return;
  }
  slots_[at] = {check, sketch};
  ++used_;
}

void NearIndex::grow() {
  slots_.assign(std::max<size_t>(1024, slots_.size() * 2), Slot{});
  used_ = 0;
  for (size_t i = 0; i + 1 < sketches_.size(); ++i) {
    for (size_t band = 0; band < kBands; ++band)
      insert(band_key(sketches_[i], band), static_cast<int32_t>(i));
  }
}

void NearIndex::each(const Sketch& sketch, const std::function<bool(int64_t)>& found) const {
  if (slots_.empty()) return;
  for (size_t band = 0; band < kBands; ++band) {
    const uint64_t key = band_key(sketch, band);
    const uint32_t check = static_cast<uint32_t>(key >> 32);
    for (size_t at = key & (slots_.size() - 1); slots_[at].sketch >= 0;
         at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].check != check) continue;
      const size_t candidate = static_cast<size_t>(slots_[at].sketch);
      if (similarity(sketches_[candidate], sketch) >= threshold_ && !found(tags_[candidate]))
        return;
    }
  }
}

}  // namespace hone
