#include "run/npy.h"

#include <fmt/format.h>

#include <cstring>
#include <regex>

namespace hone {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeader = 128;  // bytes, as numpy aligns it; room for any number of rows

// Version 1.0, the length of the dictionary, the dictionary with blanks up to the data.
std::string header_of(int64_t rows, int64_t width) {
  std::string text(kMagic);
  text += {'\x01', '\x00', static_cast<char>(kHeader - 10), '\x00'};
  text +=
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, width);
  text.resize(kHeader - 1, ' ');
  return text + "\n";
}

// Dictionary, and where the data begin; nothing where the bytes are no such file.
std::optional<std::pair<std::string, size_t>> dictionary_in(std::string_view bytes) {
  if (bytes.size() < 12 || !bytes.starts_with(kMagic)) return std::nullopt;
  const auto byte = [&](size_t at) { return size_t{static_cast<unsigned char>(bytes[at])}; };
  const bool is_short = byte(6) == 1;
  const size_t begin = is_short ? 10 : 12;
  size_t size = byte(8) | byte(9) << 8;
  if (!is_short) size |= byte(10) << 16 | byte(11) << 24;
  if (size > bytes.size() - begin) return std::nullopt;
  return std::pair(std::string(bytes.substr(begin, size)), begin + size);
}

Error no_matrix(const std::string& path, const std::string& what) {
  return Error(ErrorKind::kData, {path},
               fmt::format("{}; a file of embeddings has rows of float32, as \"hone embed\" and "
                           "numpy.save write them.",
                           what));
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, int64_t width) : file_(path), width_(width) {
  file_.write(header_of(0, width));
}

void NpyWriter::add(std::span<const float> rows) {
  file_.write({reinterpret_cast<const char*>(rows.data()), rows.size_bytes()});
  rows_ += static_cast<int64_t>(rows.size()) / width_;
}

void NpyWriter::commit() {
  file_.rewrite_beginning(header_of(rows_, width_));
  file_.commit();
}

NpyMatrix::NpyMatrix(const std::string& path) : file_(path, ErrorKind::kData) {
  const auto found = dictionary_in(file_.bytes());
  if (!found) throw no_matrix(path, "is no .npy file");
  const auto& [text, begin] = *found;
  static const std::regex shape(R"('shape': *\( *(\d{1,15}) *, *(\d{1,9}) *,? *\))");
  std::smatch sizes;
  if (text.find("'descr': '<f4'") == std::string::npos ||
      text.find("'fortran_order': False") == std::string::npos ||
      !std::regex_search(text, sizes, shape))
    throw no_matrix(path, "holds " + text.substr(0, text.find_last_not_of(" \n") + 1));
  rows_ = std::stoll(sizes[1]);
  width_ = std::stoll(sizes[2]);
  const size_t there = file_.bytes().size() - begin;
  const auto needed = static_cast<__int128>(rows_) * width_ * 4;
  if (needed != there || width_ == 0)
    throw no_matrix(path, fmt::format("names {} rows of {} numbers, but holds {} bytes of them",
                                      rows_, width_, there));
  if (begin % alignof(float) != 0) throw no_matrix(path, "begins its numbers at an odd place");
  values_ = reinterpret_cast<const float*>(file_.bytes().data() + begin);
}

}  // namespace hone
