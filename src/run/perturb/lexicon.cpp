#include "run/perturb/lexicon.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "base/file.h"
#include "base/lines.h"
#include "base/utf8.h"

namespace hone {
namespace {

std::string folded(std::string_view word) {
  std::u32string letters = from_utf8(word);
  for (char32_t& c : letters) c = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
  return to_utf8(letters);
}

std::vector<std::string> split_at_blanks(std::string_view line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    const size_t begin = line.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    at = std::min(line.find_first_of(" \t", begin), line.size());
    words.emplace_back(line.substr(begin, at - begin));
  }
  return words;
}

// Cilin's: "Aa01A01=".
bool is_code(std::string_view word) {
  constexpr std::string_view kForm = "Aa00A00";
  if (word.size() != kForm.size() + 1 || std::string_view("=#@").find(word.back()) > 2)
    return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    const char first = kForm[i], last = first == 'A' ? 'Z' : first == 'a' ? 'z' : '9';
    if (word[i] < first || word[i] > last) return false;
  }
  return true;
}

}  // namespace

Lexicon::Lexicon(const std::string& path) {
  const std::string text = read_file(path, ErrorKind::kUsage);
  int64_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view here = take_line(text, at);
    ++line;
    if (invalid_utf8(here) != std::string_view::npos)
      throw Error(ErrorKind::kData, {path, line}, "is no UTF-8, which a lexicon must be.");
    std::vector<std::string> words = split_at_blanks(here);
    if (words.empty()) continue;
    const bool is_group = is_code(words.front());
    if (!is_group && words.size() != 2)
      throw Error(ErrorKind::kData, {path, line},
                  "is neither a pair of words (\"large big\") nor a group of Cilin (\"Aa01A01= 人 "
                  "士\").");
    if (is_group && words.front().back() != '=') continue;
    if (is_group) words.erase(words.begin());
    for (const std::string& word : words) {
      for (const std::string& other : words) add(word, other);
    }
  }
  if (synonyms_.empty()) throw Error(ErrorKind::kData, {path}, "holds no synonyms.");
}

void Lexicon::add(const std::string& word, const std::string& other) {
  std::string key = folded(word);
  if (folded(other) == key) return;
  std::vector<std::string>& known = synonyms_[std::move(key)];
  if (std::find(known.begin(), known.end(), other) == known.end()) known.push_back(other);
}

const std::vector<std::string>& Lexicon::synonyms(std::string_view word) const {
  static const std::vector<std::string> kNone;
  const auto found = synonyms_.find(folded(word));
  return found == synonyms_.end() ? kNone : found->second;
}

}  // namespace hone
