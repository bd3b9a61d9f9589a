#include "base/yaml_scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hone {
namespace {

bool equals_ignoring_case(const std::string& a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y;
         });
}

// A text that YAML would read back as the same text without quotes.
bool is_plain(const std::string& text) {
  const auto is_safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  };
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_safe)) return false;
  if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9') || text[0] == '.')
    return text.starts_with("./") || text.starts_with("../");
  return !bool_of(text) && !is_null_word(text);
}

bool is_mapping_list(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_object(); });
}

void write_yaml(const Json& object, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = yaml_scalar(key);
    if (value.is_object() && !value.empty()) {
      out += indent + name + ":\n";
      write_yaml(value, indent + "  ", out);
    } else if (is_mapping_list(value)) {
      out += indent + name + ":\n";
      for (const Json& item : value) {
        std::string block;
        write_yaml(item, indent + "    ", block);
        if (block.empty()) block = indent + "    {}\n";
        block[indent.size() + 2] = '-';
        out += block;
      }
    } else {
      out += indent + name + ": " + yaml_scalar(value) + "\n";
    }
  }
}

}  // namespace

bool is_null_word(const std::string& text) {
  return text.empty() || text == "~" || equals_ignoring_case(text, "null");
}

std::optional<bool> bool_of(const std::string& text) {
  for (const char* word : {"true", "yes", "on"}) {
    if (equals_ignoring_case(text, word)) return true;
  }
  for (const char* word : {"false", "no", "off"}) {
    if (equals_ignoring_case(text, word)) return false;
  }
  return std::nullopt;
}

std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  if (text.empty() || !(text[0] == '-' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9')))
    return std::nullopt;  // "inf", "nan"
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<int64_t> whole_of(std::string_view text) {
  int64_t value = 0;
  const std::string_view digits =
      text.starts_with('+') && !text.starts_with("+-") ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size()) return value;
  const std::optional<double> number = number_of(text);  // "1e5" and "3.0" are whole too
  constexpr double kExact = 9007199254740992.0;          // 2^53
  if (number && *number == std::floor(*number) && std::abs(*number) <= kExact)
    return static_cast<int64_t>(*number);
  return std::nullopt;
}

std::string yaml_scalar(const Json& value) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (is_plain(text)) return text;
    const std::string raw = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    // Raw line separators of Unicode (and a byte order mark) have a meaning in YAML: write those
    // texts in ASCII.
    const bool is_odd = raw.find("\xC2\x85") != raw.npos || raw.find("\xE2\x80\xA8") != raw.npos ||
                        raw.find("\xE2\x80\xA9") != raw.npos ||
                        raw.find("\xEF\xBB\xBF") != raw.npos || raw.find('\x7F') != raw.npos;
    return is_odd ? value.dump(-1, ' ', true, Json::error_handler_t::replace) : raw;
  }
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (value.is_array()) {
    std::string out = "[";
    for (const Json& item : value) out += (out.size() > 1 ? ", " : "") + yaml_scalar(item);
    return out + "]";
  }
  return value.is_object() ? "{}" : value.dump();
}

std::string yaml_of(const Json& object) {
  std::string out;
  write_yaml(object, "", out);
  return out;
}

}  // namespace hone
