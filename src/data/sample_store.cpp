#include "data/sample_store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "data/byte_store.h"

namespace hone {
namespace {

// Whole numbers of seven bits a byte, the sign in the lowest bit: most values of a sample take one
// byte or two.
class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  void put(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }
  void put_signed(int64_t value) {
    put(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
  }
  void put_bytes(const void* data, size_t size) {
    out_.append(static_cast<const char*>(data), size);
  }

 private:
  std::string& out_;
};

class Decoder {
 public:
  explicit Decoder(const char* at) : at_(at) {}

  uint64_t get() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const unsigned char byte = static_cast<unsigned char>(*at_++);
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
  }
  int64_t get_signed() {
    const uint64_t value = get();
    return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  void get_bytes(void* data, size_t size) {
    if (size > 0) std::memcpy(data, at_, size);
    at_ += size;
  }

 private:
  const char* at_;
};

// Differences to the entry before: segments, words and offsets hardly change from token to token.
void put_steps(Encoder& out, const std::vector<int32_t>& values) {
  out.put(values.size());
  int64_t before = 0;
  for (const int32_t value : values) {
    out.put_signed(value - before);
    before = value;
  }
}

void get_steps(Decoder& in, std::vector<int32_t>& values) {
  values.resize(in.get());
  int64_t before = 0;
  for (int32_t& value : values) value = static_cast<int32_t>(before += in.get_signed());
}

// Runs of equal values: a segment column has one run or two.
void put_runs(Encoder& out, const std::vector<int32_t>& values) {
  out.put(values.size());
  for (size_t i = 0; i < values.size();) {
    size_t end = i;
    while (end < values.size() && values[end] == values[i]) ++end;
    out.put(end - i);
    out.put_signed(values[i]);
    i = end;
  }
}

void get_runs(Decoder& in, std::vector<int32_t>& values) {
  const size_t size = in.get();
  values.reserve(size);
  while (values.size() < size) {
    const size_t run = in.get();
    values.insert(values.end(), run, static_cast<int32_t>(in.get_signed()));
  }
}

// Exactly this value, the sign of a zero included, comes back from the whole number.
bool is_whole(float value) {
  constexpr float kLargest = 1 << 24;
  if (!(value >= -kLargest && value <= kLargest)) return false;
  return std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(value))) ==
         std::bit_cast<uint32_t>(value);
}

// As whole numbers where all of them are.
void put_floats(Encoder& out, const std::vector<float>& values) {
  const bool whole = std::all_of(values.begin(), values.end(), is_whole);
  out.put(values.size() << 1 | (whole ? 1U : 0U));
  if (whole) {
    for (const float value : values) out.put_signed(static_cast<int64_t>(value));
  } else {
    out.put_bytes(values.data(), values.size() * sizeof(float));
  }
}

void get_floats(Decoder& in, std::vector<float>& values) {
  const uint64_t head = in.get();
  values.resize(head >> 1);
  if ((head & 1) != 0) {
    for (float& value : values) value = static_cast<float>(in.get_signed());
  } else {
    in.get_bytes(values.data(), values.size() * sizeof(float));
  }
}

void put_sequence(Encoder& out, const Sequence& sequence) {
  out.put(sequence.ids.size());
  for (const int32_t id : sequence.ids) out.put_signed(id);
  put_runs(out, sequence.segments);
  put_runs(out, sequence.texts);
  put_steps(out, sequence.words);
  out.put(sequence.offsets.size());
  int64_t before = 0;
  for (const Span& span : sequence.offsets) {
    out.put_signed(span.start - before);
    out.put_signed(int64_t{span.end} - span.start);
    before = span.end;
  }
  out.put_signed(sequence.features.width);
  put_floats(out, sequence.features.values);
  put_steps(out, sequence.ends);
}

void get_sequence(Decoder& in, Sequence& sequence) {
  sequence.ids.resize(in.get());
  for (int32_t& id : sequence.ids) id = static_cast<int32_t>(in.get_signed());
  get_runs(in, sequence.segments);
  get_runs(in, sequence.texts);
  get_steps(in, sequence.words);
  sequence.offsets.resize(in.get());
  int64_t before = 0;
  for (Span& span : sequence.offsets) {
    span.start = static_cast<int32_t>(before + in.get_signed());
    span.end = static_cast<int32_t>(span.start + in.get_signed());
    before = span.end;
  }
  sequence.features.width = static_cast<int32_t>(in.get_signed());
  get_floats(in, sequence.features.values);
  get_steps(in, sequence.ends);
}

void put_target(Encoder& out, const Target& target, size_t name) {
  out.put(name);
  out.put(target.per_token ? 1 : 0);
  out.put_signed(target.width);
  put_floats(out, target.values);
}

void get_target(Decoder& in, Target& target, const std::vector<std::string>& names) {
  target.name = names[in.get()];
  target.per_token = in.get() != 0;
  target.width = static_cast<int32_t>(in.get_signed());
  get_floats(in, target.values);
}

}  // namespace

struct SampleStore::State {
  ByteStore encoded;
  std::vector<int32_t> lengths, tasks, strata;
  std::vector<std::string> names;  // of targets
  std::string scratch;

  State(std::string spill_dir, int64_t memory_limit)
      : encoded(std::move(spill_dir), memory_limit) {}

  size_t name_index(const std::string& name) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) return static_cast<size_t>(it - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }

  // Of the sample that comes next. Most runs have one task: numbers are kept once another comes.
  void add_number(int32_t number, std::vector<int32_t>& numbers) const {
    if (number != 0) numbers.resize(lengths.size());
    if (!numbers.empty() || number != 0) numbers.push_back(number);
  }

  void encode(const Sample& sample) {
    scratch.clear();
    Encoder out(scratch);
    out.put(sample.streams.size());
    for (const Sequence& stream : sample.streams) put_sequence(out, stream);
    out.put(sample.targets.size());
    for (const Target& target : sample.targets) put_target(out, target, name_index(target.name));
    out.put_signed(sample.record);
    out.put_signed(sample.window);
    out.put_signed(sample.task);
  }
};

SampleStore::SampleStore(std::string spill_dir, int64_t memory_limit)
    : state_(std::make_unique<State>(std::move(spill_dir), memory_limit)) {}
SampleStore::~SampleStore() = default;
SampleStore::SampleStore(SampleStore&&) noexcept = default;

void SampleStore::add(const Sample& sample) {
  state_->encode(sample);
  state_->encoded.add(state_->scratch);
  state_->add_number(sample.task, state_->tasks);
  state_->add_number(sample.stratum, state_->strata);
  state_->lengths.push_back(static_cast<int32_t>(sample.size()));
}

void SampleStore::seal() { state_->encoded.seal(); }

int64_t SampleStore::size() const { return state_->encoded.size(); }

Sample SampleStore::get(int64_t index) const {
  std::string read;
  Decoder in(state_->encoded.get(index, read).data());
  Sample sample;
  sample.streams.resize(in.get());
  for (Sequence& stream : sample.streams) get_sequence(in, stream);
  sample.targets.resize(in.get());
  for (Target& target : sample.targets) get_target(in, target, state_->names);
  sample.record = in.get_signed();
  sample.window = static_cast<int32_t>(in.get_signed());
  sample.task = static_cast<int32_t>(in.get_signed());
  return sample;
}

const std::vector<int32_t>& SampleStore::lengths() const { return state_->lengths; }

const std::vector<int32_t>& SampleStore::tasks() const { return state_->tasks; }

const std::vector<int32_t>& SampleStore::strata() const { return state_->strata; }

}  // namespace hone
