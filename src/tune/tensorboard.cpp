#include "tune/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/crc32c.h"
#include "base/error.h"

namespace hone {
namespace {

template <typename T>
std::string little_endian(T value) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
  return {bytes.data(), bytes.size()};
}

// Protocol-buffer encoding, as much as an event needs.
// https://protobuf.dev/programming-guides/encoding
class Message {
 public:
  Message& number(int field, uint64_t value) { return key(field, 0).varint(value); }
  Message& real(int field, double value) { return key(field, 1).raw(little_endian(value)); }
  Message& real(int field, float value) { return key(field, 5).raw(little_endian(value)); }
  Message& text(int field, std::string_view value) {
    return key(field, 2).varint(value.size()).raw(value);
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  Message& key(int field, int wire_type) {
    return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
  }
  Message& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Message& varint(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
    return *this;
  }

  std::string bytes_;
};

// Field numbers of tensorboard/compat/proto/event.proto and summary.proto.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;  // Event
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2;  // Summary, Summary.Value
constexpr int kStatus = 1;                             // SessionLog
constexpr uint64_t kStart = 1;

using Scalars = std::vector<std::pair<std::string, double>>;

class EventFile {
 public:
  explicit EventFile(std::string folder) : folder_(std::move(folder)) {}
  ~EventFile() {
    if (file_ != nullptr) std::fclose(file_);
  }
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void operator()(const Event& event) {
    if (const auto* started = std::get_if<Started>(&event)) open(started->step);
    if (const auto* s = std::get_if<Stepped>(&event); s != nullptr && s->is_logged) {
      Scalars scalars = {{"train/loss", s->mean_loss},
                         {"train/learning_rate", s->learning_rate},
                         {"train/gradient_norm", s->gradient_norm},
                         {"train/epoch", s->epoch},
                         {"train/tokens_per_second",
                          s->seconds > 0 ? static_cast<double>(s->tokens) / s->seconds : 0}};
      for (const auto& [name, value] : s->numbers) scalars.emplace_back("train/" + name, value);
      write(s->step, scalars);
    }
    if (const auto* e = std::get_if<Evaluated>(&event)) {
      Scalars scalars = {{"eval/loss", e->loss}};
      for (const Metric& m : e->report.metrics) scalars.emplace_back("eval/" + m.name, m.value);
      write(e->step, scalars);
    }
  }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  void open(int64_t step) {
    std::filesystem::create_directories(folder_);
    if (step == 0) remove_old();
    std::array<char, HOST_NAME_MAX + 1> host{};
    ::gethostname(host.data(), HOST_NAME_MAX);
    // TensorBoard reads a folder's files in the order of their names.
    path_ =
        fmt::format("{}/events.out.tfevents.{:.6f}.{}.{}", folder_, now(), host.data(), ::getpid());
    file_ = std::fopen(path_.c_str(), "wbe");
    if (file_ == nullptr) fail();
    record(Message().real(kWallTime, now()).text(kFileVersion, "brain.Event:2"));
    if (step > 0) record(stamped(step + 1).message(kSessionLog, Message().number(kStatus, kStart)));
  }

  // A run that starts anew in an old folder would otherwise share its curves with the old one.
  void remove_old() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents."))
        std::filesystem::remove(entry.path());
    }
  }

  static Message stamped(int64_t step) {
    return Message().real(kWallTime, now()).number(kStep, static_cast<uint64_t>(step));
  }

  void write(int64_t step, const Scalars& scalars) {
    Message summary;
    for (const auto& [tag, value] : scalars)
      summary.message(kValue,
                      Message().text(kTag, tag).real(kSimpleValue, static_cast<float>(value)));
    record(stamped(step).message(kSummary, summary));
  }

  // TFRecord: length, its checksum, bytes, their checksum.
  void record(const Message& message) {
    const std::string& bytes = message.bytes();
    const std::string length = little_endian(static_cast<uint64_t>(bytes.size()));
    const std::string text =
        length + little_endian(masked_crc32c(length)) + bytes + little_endian(masked_crc32c(bytes));
    if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0)
      fail();
  }
  [[noreturn]] void fail() const {
    throw Error(ErrorKind::kUsage, Where{path_},
                std::string("cannot be written: ") + std::strerror(errno));
  }

  std::string folder_, path_;
  std::FILE* file_ = nullptr;
};

}  // namespace

Listener tensorboard_log(const std::string& folder) {
  return [file = std::make_shared<EventFile>(folder)](const Event& event) { (*file)(event); };
}

}  // namespace hone
