#include "data/byte_stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unicode/ucnv.h>
#include <unicode/ucnv_err.h>
#include <unicode/ucsdet.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kChunk = size_t{256} << 10;

class FileStream : public ByteStream {
 public:
  explicit FileStream(std::string path) : path_(std::move(path)) {
    fd_ = path_ == "-" ? ::dup(STDIN_FILENO) : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status{};
    if (fd_ < 0 || ::fstat(fd_, &status) != 0 || S_ISDIR(status.st_mode)) {
      const int reason = errno;
      if (fd_ >= 0) ::close(fd_);
      if (fd_ >= 0 && S_ISDIR(status.st_mode))
        throw Error(ErrorKind::kData, Where{path_}, "is a folder; name a file in it");
      if (reason == ENOENT)
        read_file(path_, ErrorKind::kData);  // throws, with the nearest name in the folder
      fail(reason);
    }
    if (S_ISREG(status.st_mode)) size_ = status.st_size;
  }
  ~FileStream() override { ::close(fd_); }

  size_t read(char* out, size_t size) override {
    for (;;) {
      const ssize_t got = ::read(fd_, out, size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(errno);
      consumed_ += got;
      return static_cast<size_t>(got);
    }
  }
  std::pair<int64_t, int64_t> position() const override { return {consumed_, size_}; }

 private:
  [[noreturn]] void fail(int reason) const {
    throw StreamError(ErrorKind::kData, Where{path_},
                      fmt::format("cannot be read: {}", std::strerror(reason)));
  }

  std::string path_;
  int fd_ = -1;
  int64_t consumed_ = 0, size_ = 0;
};

// A stream whose first bytes were looked at: they come again.
class PeekedStream : public ByteStream {
 public:
  explicit PeekedStream(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)) {}

  std::string_view peek(size_t size) {
    while (head_.size() < size) {
      char buffer[64];
      const size_t got = inner_->read(buffer, std::min(size - head_.size(), sizeof buffer));
      if (got == 0) break;
      head_.append(buffer, got);
    }
    return head_;
  }

  size_t read(char* out, size_t size) override {
    if (given_ == head_.size()) return inner_->read(out, size);
    const size_t count = std::min(size, head_.size() - given_);
    std::memcpy(out, head_.data() + given_, count);
    given_ += count;
    return count;
  }
  std::pair<int64_t, int64_t> position() const override { return inner_->position(); }

 private:
  std::unique_ptr<ByteStream> inner_;
  std::string head_;
  size_t given_ = 0;
};

// What decompressors and decoders share: a buffer of input from the stream below.
class FilterStream : public ByteStream {
 public:
  FilterStream(std::unique_ptr<ByteStream> inner, std::string path)
      : path_(std::move(path)), inner_(std::move(inner)), buffer_(kChunk) {}
  std::pair<int64_t, int64_t> position() const override { return inner_->position(); }

 protected:
  bool refill() {  // false at the end of the input
    start_ = 0;
    end_ = inner_->read(buffer_.data(), buffer_.size());
    return end_ > 0;
  }
  std::string_view input() const { return {buffer_.data() + start_, end_ - start_}; }
  void consume(size_t size) { start_ += size; }
  [[noreturn]] void fail(const std::string& message) const {
    throw StreamError(ErrorKind::kData, Where{path_}, message);
  }

  std::string path_;

 private:
  std::unique_ptr<ByteStream> inner_;
  std::vector<char> buffer_;
  size_t start_ = 0, end_ = 0;
};

class GzipStream : public FilterStream {
 public:
  GzipStream(std::unique_ptr<ByteStream> inner, std::string path)
      : FilterStream(std::move(inner), std::move(path)) {
    if (inflateInit2(&state_, 15 + 16) != Z_OK) fail("zlib cannot start");
  }
  ~GzipStream() override { inflateEnd(&state_); }

  size_t read(char* out, size_t size) override {
    state_.next_out = reinterpret_cast<Bytef*>(out);
    state_.avail_out = static_cast<uInt>(std::min<size_t>(size, kChunk));
    const uInt wanted = state_.avail_out;
    while (state_.avail_out == wanted) {
      if (input().empty() && !refill()) {
        if (is_between_members_) return 0;
        fail("the gzip data end too early; the file is cut off");
      }
      if (is_between_members_ && !begin_member()) continue;
      inflate_some();
    }
    return wanted - state_.avail_out;
  }

 private:
  // A gzip file is one member or several on end, and may be filled up with zeros.
  bool begin_member() {
    if (input()[0] == '\0') {
      consume(1);
      return false;
    }
    inflateReset(&state_);
    is_between_members_ = false;
    return true;
  }

  void inflate_some() {
    const std::string_view bytes = input();
    state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    state_.avail_in = static_cast<uInt>(bytes.size());
    const int result = inflate(&state_, Z_NO_FLUSH);
    consume(bytes.size() - state_.avail_in);
    if (result == Z_STREAM_END) {
      is_between_members_ = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail(fmt::format("the gzip data are damaged: {}",
                       state_.msg != nullptr ? state_.msg : "no valid stream"));
    }
  }

  z_stream state_{};
  bool is_between_members_ = false;
};

class ZstdStream : public FilterStream {
 public:
  ZstdStream(std::unique_ptr<ByteStream> inner, std::string path)
      : FilterStream(std::move(inner), std::move(path)),
        context_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

  size_t read(char* out, size_t size) override {
    ZSTD_outBuffer output{out, size, 0};
    while (output.pos == 0) {
      if (input().empty() && !is_full_ && !refill()) {
        if (is_frame_done_) return 0;
        fail("the zstd data end too early; the file is cut off");
      }
      ZSTD_inBuffer in{input().data(), input().size(), 0};
      const size_t result = ZSTD_decompressStream(context_.get(), &output, &in);
      if (ZSTD_isError(result) != 0)
        fail(fmt::format("the zstd data are damaged: {}", ZSTD_getErrorName(result)));
      consume(in.pos);
      is_frame_done_ = result == 0;
      is_full_ = output.pos == output.size && result != 0;  // more may wait inside the decoder
    }
    return output.pos;
  }

 private:
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  bool is_frame_done_ = true, is_full_ = false;
};

// Any encoding that ICU knows becomes UTF-8; what it cannot decode becomes kUndecodable.
class DecodingStream : public FilterStream {
 public:
  DecodingStream(std::unique_ptr<ByteStream> inner, const std::string& path,
                 const std::string& encoding)
      : FilterStream(std::move(inner), path), units_(kChunk) {
    UErrorCode status = U_ZERO_ERROR;
    converter_ = ucnv_open(encoding.c_str(), &status);
    if (U_FAILURE(status))
      throw Error(ErrorKind::kUsage, Where{path}, fmt::format("unknown encoding \"{}\"", encoding));
    ucnv_setToUCallBack(converter_, UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &status);
  }
  ~DecodingStream() override { ucnv_close(converter_); }

  size_t read(char* out, size_t size) override {
    while (given_ == decoded_.size()) {
      if (is_done_) return 0;
      decode_some();
    }
    const size_t count = std::min(size, decoded_.size() - given_);
    std::memcpy(out, decoded_.data() + given_, count);
    given_ += count;
    return count;
  }

 private:
  void decode_some() {
    decoded_.clear();
    given_ = 0;
    const bool is_end = input().empty() && !refill();
    const std::string_view bytes = input();
    const char* source = bytes.data();
    char16_t* target = units_.data();
    UErrorCode status = U_ZERO_ERROR;
    ucnv_toUnicode(converter_, &target, units_.data() + units_.size(), &source,
                   bytes.data() + bytes.size(), nullptr, is_end ? 1 : 0, &status);
    consume(static_cast<size_t>(source - bytes.data()));
    append_units({units_.data(), static_cast<size_t>(target - units_.data())});
    if (status == U_ILLEGAL_CHAR_FOUND || status == U_INVALID_CHAR_FOUND ||
        status == U_TRUNCATED_CHAR_FOUND) {
      decoded_.push_back(kUndecodable);
    } else if (U_FAILURE(status) && status != U_BUFFER_OVERFLOW_ERROR) {
      fail(fmt::format("cannot be decoded: {}", u_errorName(status)));
    }
    is_done_ = is_end && U_SUCCESS(status);
  }

  void append_units(std::u16string_view units) {
    for (const char16_t unit : units) {
      if (unit >= 0xD800 && unit < 0xDC00) {
        lead_ = unit;  // the other half may come with the next piece
      } else if (unit >= 0xDC00 && unit < 0xE000 && lead_ != 0) {
        append_utf8(decoded_, 0x10000 + ((lead_ - 0xD800U) << 10) + (unit - 0xDC00U));
        lead_ = 0;
      } else {
        append_utf8(decoded_, unit);
      }
    }
  }

  UConverter* converter_ = nullptr;
  std::vector<char16_t> units_;
  char16_t lead_ = 0;
  std::string decoded_;
  size_t given_ = 0;
  bool is_done_ = false;
};

std::unique_ptr<ByteStream> decompressed(std::unique_ptr<ByteStream> bytes,
                                         const SourceOptions& options) {
  auto peeked = std::make_unique<PeekedStream>(std::move(bytes));
  std::string kind = options.compression;
  if (kind == "auto") {
    const std::string_view head = peeked->peek(4);
    kind = head.starts_with("\x1F\x8B") ? "gzip" : head == "\x28\xB5\x2F\xFD" ? "zstd" : "none";
  }
  if (kind == "gzip") return std::make_unique<GzipStream>(std::move(peeked), options.path);
  if (kind == "zstd") return std::make_unique<ZstdStream>(std::move(peeked), options.path);
  return peeked;
}

}  // namespace

bool is_utf8_name(const std::string& name) { return ucnv_compareNames(name.c_str(), "utf-8") == 0; }

bool is_known_encoding(const std::string& name) {
  UErrorCode status = U_ZERO_ERROR;
  UConverter* converter = name.empty() ? nullptr : ucnv_open(name.c_str(), &status);
  if (converter == nullptr) return false;
  ucnv_close(converter);
  return U_SUCCESS(status);
}

std::string likely_encoding(std::string_view bytes) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&status),
                                                                            ucsdet_close);
  ucsdet_setText(detector.get(), bytes.data(),
                 static_cast<int32_t>(std::min<size_t>(bytes.size(), size_t{1} << 16)), &status);
  const UCharsetMatch* match = ucsdet_detect(detector.get(), &status);
  if (U_FAILURE(status) || match == nullptr) return "";
  const char* name = ucsdet_getName(match, &status);
  return U_FAILURE(status) || name == nullptr ? "" : name;
}

std::unique_ptr<ByteStream> open_bytes(const SourceOptions& options) {
  std::unique_ptr<ByteStream> bytes =
      decompressed(std::make_unique<FileStream>(options.path), options);
  if (is_utf8_name(options.encoding)) return bytes;
  return std::make_unique<DecodingStream>(std::move(bytes), options.path, options.encoding);
}

}  // namespace hone
