#include "run/translation_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "data/fingerprint.h"

namespace hone {
namespace {

constexpr const char *kIdentity = "hone_translations", *kText = "text", *kCopy = "copy",
                     *kTranslation = "translation";

uint64_t key_of(const std::string& text, int64_t copy) {
  return mix(hash_bytes(text), static_cast<uint64_t>(copy));
}

// A line that a process which died left half written is none.
std::optional<Json> parsed(const std::string& line) {
  try {
    Json value = parse_json(line, {}, ErrorKind::kData);
    return value.is_object() ? std::optional(std::move(value)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

[[noreturn]] void refuse_file(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kUsage, {path}, why);
}

bool is_entry(const Json& line) {
  const auto text = line.find(kText), copy = line.find(kCopy);
  return text != line.end() && text->is_string() && copy != line.end() &&
         copy->is_number_integer() && line.contains(kTranslation);
}

// The first line of a file of translations; nothing where there is no file, or an empty one.
std::optional<Json> identity_in(const std::string& path) {
  std::error_code not_there;
  if (std::filesystem::file_size(path, not_there) == 0 || not_there) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  std::string line;
  std::getline(in, line);
  const std::optional<Json> first = parsed(line);
  if (first && first->contains(kIdentity)) return first->at(kIdentity);
  refuse_file(path,
              "was there before, and holds no translations of hone; this run would write there. "
              "Move it, or name another \"augment.translation.cache\".");
}

}  // namespace

TranslationFile::TranslationFile(std::string path, const Json& identity) : path_(std::move(path)) {
  const std::optional<Json> before = identity_in(path_);
  const bool goes_on = before && *before == identity;
  if (before && !goes_on)
    log_info("{}: its translations are of other models or options; they are made anew", path_);
  file_.reset(std::fopen(path_.c_str(), goes_on ? "r+b" : "w+b"));
  if (!file_) refuse_file(path_, fmt::format("cannot be written: {}", std::strerror(errno)));
  if (goes_on)
    take_lines();
  else
    begin(identity);
}

void TranslationFile::begin(const Json& identity) {
  append({{kIdentity, identity}});
  flush();
}

void TranslationFile::take_lines() {
  std::ifstream in(path_, std::ios::binary);
  std::string line;
  for (bool is_first = true; std::getline(in, line) && !in.eof(); is_first = false) {
    const std::optional<Json> value = parsed(line);
    if (!value || (!is_first && !is_entry(*value))) break;
    if (!is_first) places_[key_of(value->at(kText), value->at(kCopy))] = end_;
    end_ += static_cast<int64_t>(line.size()) + 1;
  }
  std::filesystem::resize_file(path_, static_cast<uintmax_t>(end_));
}

bool TranslationFile::has(const std::string& text, int64_t copy) const {
  return places_.contains(key_of(text, copy));
}

std::optional<std::string> TranslationFile::find(const std::string& text, int64_t copy) const {
  const auto found = places_.find(key_of(text, copy));
  if (found == places_.end()) return std::nullopt;
  std::fseek(file_.get(), static_cast<long>(found->second), SEEK_SET);
  std::string line;
  for (int byte = std::fgetc(file_.get()); byte != EOF && byte != '\n';
       byte = std::fgetc(file_.get()))
    line += static_cast<char>(byte);
  const std::optional<Json> value = parsed(line);
  const bool is_it = value && is_entry(*value) && value->at(kText) == text;
  if (!is_it || !value->at(kTranslation).is_string()) return std::nullopt;
  return value->at(kTranslation).get<std::string>();
}

void TranslationFile::add(const std::string& text, int64_t copy,
                          const std::optional<std::string>& translation) {
  places_[key_of(text, copy)] = end_;
  append({{kText, text}, {kCopy, copy}, {kTranslation, translation ? Json(*translation) : Json()}});
}

void TranslationFile::append(const Json& line) {
  const std::string bytes = to_text(line) + "\n";
  std::fseek(file_.get(), static_cast<long>(end_), SEEK_SET);
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    refuse_file(path_, fmt::format("cannot be written: {}", std::strerror(errno)));
  end_ += static_cast<int64_t>(bytes.size());
}

void TranslationFile::flush() {
  if (std::fflush(file_.get()) != 0)
    refuse_file(path_, fmt::format("cannot be written: {}", std::strerror(errno)));
}

}  // namespace hone
