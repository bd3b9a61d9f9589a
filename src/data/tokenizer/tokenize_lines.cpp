#include "data/tokenizer/tokenize_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <istream>
#include <iterator>
#include <mutex>
#include <ostream>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/utf8.h"
#include "data/tokenizer/model.h"

namespace hone {
namespace {

// The one text of a line, or the two of a pair.
std::vector<std::string> texts_of(const std::string& line, const TokenizeLinesOptions& options,
                                  const Where& where) {
  if (const size_t bad = invalid_utf8(line); bad != std::string::npos) {
    throw Error(
        ErrorKind::kData, Where{where.file, where.line, static_cast<int64_t>(bad) + 1},
        fmt::format("not valid UTF-8: byte 0x{:02X}", static_cast<unsigned char>(line[bad])));
  }
  if (!options.is_json) return {line};
  const Json value = parse_json(line, where, ErrorKind::kData);
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string())
    return {value[0], value[1]};
  throw Error(ErrorKind::kData, where, "expected a JSON string, or an array of two");
}

Sequence sequence_of(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                     const TokenizeLinesOptions& options) {
  const Encoding first = tokenizer.encode(texts[0]);
  const Encoding second = texts.size() > 1 ? tokenizer.encode(texts[1]) : Encoding{};
  if (options.adds_special_tokens)
    return tokenizer.post_process(first, texts.size() > 1 ? &second : nullptr);
  Sequence out;
  out.ids = first.ids;
  out.offsets = first.offsets;
  out.ids.insert(out.ids.end(), second.ids.begin(), second.ids.end());
  out.offsets.insert(out.offsets.end(), second.offsets.begin(), second.offsets.end());
  return out;
}

}  // namespace

std::string tokenized_json(const Tokenizer& tokenizer, const Sequence& sequence) {
  std::string out = fmt::format(R"({{"ids": [{}], "tokens": [)", fmt::join(sequence.ids, ", "));
  for (size_t i = 0; i < sequence.ids.size(); ++i) {
    if (i > 0) out += ", ";
    append_json(tokenizer.token(sequence.ids[i]), out);
  }
  out += R"(], "offsets": [)";
  for (size_t i = 0; i < sequence.offsets.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}[{}, {}]", i > 0 ? ", " : "",
                   sequence.offsets[i].start, sequence.offsets[i].end);
  }
  return out + "]}";
}

void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& name,
                    const TokenizeLinesOptions& options, std::ostream& out) {
  int64_t number = 0;
  for (std::string block; std::getline(in, block);) {
    if (!in.eof()) block += '\n';
    for (size_t at = 0; at < block.size();) {
      const std::string line(take_line(block, at));
      const Where where{name, ++number, 0};
      out << tokenized_json(tokenizer,
                            sequence_of(tokenizer, texts_of(line, options, where), options))
          << '\n';
    }
  }
  if (in.bad()) throw Error(ErrorKind::kData, Where{name, number + 1, 0}, "cannot be read on.");
}

void encode_lines(const Tokenizer& tokenizer, std::span<const std::string_view> texts, int threads,
                  std::vector<Encoding>& out) {
  constexpr size_t kChunk = 64;
  out.resize(texts.size());
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      Encoding encoding;  // grows once; the copies are of the right size
      for (size_t begin; (begin = next.fetch_add(kChunk)) < texts.size();) {
        for (size_t i = begin; i < std::min(begin + kChunk, texts.size()); ++i) {
          tokenizer.encode(texts[i], encoding);
          out[i] = encoding;
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  others.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

}  // namespace hone
