#include "data/sample_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

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

// An unlinked file: the system takes it away when the program ends, however it ends. It has no
// name, so that any folder of the disk serves and none is made. Read, not mapped: pages of a
// mapping would count as memory of the program.
class SpillFile {
 public:
  explicit SpillFile(const std::string& folder) : folder_(existing_folder(folder)) {
    fd_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ >= 0) return;  // else a file system that makes no file without a name
    std::string name = folder_ + "/hone-samples-XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0)
      throw Error(ErrorKind::kUsage, Where{folder_},
                  fmt::format("cannot write samples here: {}", std::strerror(errno)));
    ::unlink(name.c_str());
  }
  ~SpillFile() { ::close(fd_); }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  void append(std::string_view bytes) {
    buffer_.append(bytes);
    if (buffer_.size() >= kBuffer) flush();
  }

  void flush() {
    size_t written = 0;
    while (written < buffer_.size()) {
      const ssize_t got = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        throw Error(ErrorKind::kUsage, Where{folder_},
                    fmt::format("cannot write samples here: {} after {} bytes; {} are free. Free "
                                "some space or choose another folder",
                                std::strerror(errno), size_ + written, free_disk_bytes(folder_)));
      }
      written += static_cast<size_t>(got);
    }
    size_ += written;
    buffer_.clear();
  }

  // Of what was flushed. Thread-safe.
  std::string read(size_t position, size_t size) const {
    std::string bytes(size, '\0');
    for (size_t done = 0; done < size;) {
      const ssize_t got =
          ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(position + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error(ErrorKind::kUsage, Where{folder_},
                    fmt::format("cannot read the samples again: {}",
                                got == 0 ? "their file ends early" : std::strerror(errno)));
      done += static_cast<size_t>(got);
    }
    return bytes;
  }

 private:
  static constexpr size_t kBuffer = size_t{1} << 20;

  std::string folder_, buffer_;
  int fd_ = -1;
  size_t size_ = 0;
};

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

}  // namespace

// Invariant: bytes [0, in_memory) of the encoded samples lie in blocks of kBlock, no sample across
// two; the rest in the file.
struct SampleStore::State {
  static constexpr size_t kBlock = size_t{1} << 20;

  std::string spill_dir;
  size_t memory_limit = 0, in_memory = 0;
  std::vector<std::string> blocks;
  std::unique_ptr<SpillFile> spill;
  size_t spilled = 0;
  std::vector<uint64_t> places;  // block << 32 | position in it; or kSpilled | position in the file
  std::vector<int32_t> lengths;
  std::vector<std::string> names;  // of targets
  std::string scratch;
  bool is_sealed = false;

  static constexpr uint64_t kSpilled = uint64_t{1} << 63;

  size_t name_index(const std::string& name) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) return static_cast<size_t>(it - names.begin());
    names.push_back(name);
    return names.size() - 1;
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
  }

  void keep_in_memory() {
    if (blocks.empty() || blocks.back().size() + scratch.size() > kBlock) {
      blocks.emplace_back();
      blocks.back().reserve(std::max(kBlock, scratch.size()));
    }
    places.push_back(uint64_t{blocks.size() - 1} << 32 | blocks.back().size());
    blocks.back().append(scratch);
    in_memory += scratch.size();
  }

  void keep_on_disk() {
    if (!spill)
      spill = std::make_unique<SpillFile>(spill_dir.empty() ? temporary_folder() : spill_dir);
    places.push_back(kSpilled | spilled);
    spill->append(scratch);
    spilled += scratch.size();
  }

  // The encoded sample; `read` holds it where it comes from the file. Once one was spilled, all
  // after it were: it ends where the next begins.
  const char* at(size_t index, std::string& read) const {
    const uint64_t place = places[index];
    if ((place & kSpilled) == 0) return blocks[place >> 32].data() + (place & 0xFFFFFFFF);
    const uint64_t end = index + 1 < places.size() ? places[index + 1] & ~kSpilled : spilled;
    read = spill->read(place & ~kSpilled, end - (place & ~kSpilled));
    return read.data();
  }
};

SampleStore::SampleStore(std::string spill_dir, int64_t memory_limit)
    : state_(std::make_unique<State>()) {
  state_->spill_dir = std::move(spill_dir);
  state_->memory_limit = static_cast<size_t>(std::max<int64_t>(memory_limit, 0));
}
SampleStore::~SampleStore() = default;
SampleStore::SampleStore(SampleStore&&) noexcept = default;

void SampleStore::add(const Sample& sample) {
  if (state_->is_sealed) throw Error(ErrorKind::kInternal, "a sample was added to a sealed store");
  state_->encode(sample);
  if (!state_->spill && state_->in_memory + state_->scratch.size() <= state_->memory_limit) {
    state_->keep_in_memory();
  } else {
    state_->keep_on_disk();
  }
  state_->lengths.push_back(static_cast<int32_t>(sample.size()));
}

void SampleStore::seal() {
  if (state_->is_sealed) return;
  if (state_->spill) state_->spill->flush();
  state_->is_sealed = true;
}

int64_t SampleStore::size() const { return static_cast<int64_t>(state_->places.size()); }

Sample SampleStore::get(int64_t index) const {
  if (!state_->is_sealed)
    throw Error(ErrorKind::kInternal, "a sample was read from a store that is not sealed yet");
  if (index < 0 || index >= size())
    throw Error(ErrorKind::kInternal, fmt::format("sample {} of {} was asked for", index, size()));
  std::string read;
  Decoder in(state_->at(static_cast<size_t>(index), read));
  Sample sample;
  sample.streams.resize(in.get());
  for (Sequence& stream : sample.streams) get_sequence(in, stream);
  sample.targets.resize(in.get());
  for (Target& target : sample.targets) get_target(in, target, state_->names);
  sample.record = in.get_signed();
  sample.window = static_cast<int32_t>(in.get_signed());
  return sample;
}

const std::vector<int32_t>& SampleStore::lengths() const { return state_->lengths; }

}  // namespace hone
