#include "data/json_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace hone {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

size_t skip_json_space(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

bool JsonValueEnd::pass(char c) {
  if (c == '"') {
    is_in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    if (depth_ == 0) return true;
    if (--depth_ == 0) {
      ++at_;
      return true;
    }
  } else if (depth_ == 0 && (c == ',' || c == ':' || kSpace.find(c) != kSpace.npos)) {
    return true;
  }
  return false;
}

bool JsonValueEnd::find(std::string_view text) {
  for (; at_ < text.size(); ++at_) {
    const char c = text[at_];
    if (!is_in_string_) {
      if (!pass(c)) continue;
      at_ = std::max<size_t>(at_, 1);
      return true;
    }
    if (c == '\\') ++at_;
    if (c == '"') is_in_string_ = false;
  }
  return false;
}

char JsonStream::next() {
  size_t at = 0;
  while ((at = skip_json_space(text_.window(), at)) == text_.window().size() && text_.more()) {
  }
  text_.consume(at);  // at once: a line end may not be cut in two
  return text_.window().empty() ? '\0' : text_.window()[0];
}

JsonStream::Level JsonStream::enter() {
  const char close = text_.window()[0] == '[' ? ']' : '}';
  text_.consume(1);
  return {close};
}

bool JsonStream::next_in(Level& level) {
  const char* name = level.close == ']' ? "array" : "object";
  char c = next();
  if (c != level.close && !text_.window().empty() && level.is_begun) {
    if (c != ',') fail(fmt::format("found '{}' where ',' or '{}' was expected", c, level.close));
    text_.consume(1);
    c = next();
    if (c == level.close) fail(fmt::format("a ',' before the '{}'", level.close));
  }
  level.is_begun = true;
  if (text_.window().empty())
    fail(fmt::format("the {} is not closed; the file seems to be cut off", name));
  if (c != level.close) return true;
  text_.consume(1);
  return false;
}

// Whatever is wrong with a key, where its value ends is no longer known: the document ends.
Json JsonStream::parse_key(size_t size) {
  try {
    return parse_json(text_.window().substr(0, size), here(), ErrorKind::kData);
  } catch (const Error& error) {
    throw StreamError(ErrorKind::kData, error.where(), error.message());
  }
}

std::string JsonStream::key() {
  const size_t size = value_size();
  const Json key = parse_key(size);
  if (!key.is_string()) fail(fmt::format("a key must be a text, but is {}", to_text(key)));
  text_.consume(size);
  if (next() != ':') fail("a key without a ':'");
  text_.consume(1);
  return key.get<std::string>();
}

void JsonStream::skip_value() { skip_value(2); }

void JsonStream::skip_value(int levels) {
  const char first = next();
  if (levels > 0 && (first == '[' || first == '{')) {
    for (Level level = enter(); next_in(level);) {
      if (level.close == '}') key();
      skip_value(levels - 1);
    }
    return;
  }
  const size_t size = value_size();
  if (size == 0) fail("a value is missing; the file seems to be cut off");
  text_.consume(size);
}

size_t JsonStream::value_size() {
  JsonValueEnd end;
  while (!end.find(text_.window())) {
    if (!text_.more()) return text_.window().size();
  }
  return end.size();
}

void JsonStream::fail(const std::string& message) {
  throw StreamError(ErrorKind::kData, here(), "not valid JSON: " + message);
}

}  // namespace hone
