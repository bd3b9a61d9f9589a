#include "data/chat/jinja/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonLayout& layout)
      : runtime_(runtime), layout_(layout), out_(runtime) {}

  void write(const Value& value, int level) {
    const Runtime::Depth depth(runtime_);
    runtime_.step();
    if (value.is_none()) return out_.append("null");
    if (value.is_boolean()) return out_.append(value.as_boolean() ? "true" : "false");
    if (value.is_integer()) return out_.append(std::to_string(value.whole()));
    if (value.is_float()) return out_.append(number(value.number()));
    if (value.is_text()) return write_text(value.text());
    if (value.is_sequence()) return write_items(value.items(), level);
    if (value.is_dict()) return write_entries(value.entries(), level);
    refuse_undefined(value);
    throw Fault(fmt::format("tojson cannot write a {}{}", value.type(),
                            value.is_iterator() ? "; put |list before it" : ""));
  }

  Value value() { return out_.value(); }

 private:
  Runtime& runtime_;
  const JsonLayout& layout_;
  Writer out_;

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return repr_of(value);
  }

  void new_line(int level) {
    if (!layout_.indent) return;
    out_.append("\n");
    for (int i = 0; i < level; ++i) out_.append(*layout_.indent);
  }

  void write_items(const std::vector<Value>& items, int level) {
    if (items.empty()) return out_.append("[]");
    out_.append("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(layout_.between_items);
      new_line(level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    out_.append("]");
  }

  void write_entries(const std::vector<std::pair<Value, Value>>& entries, int level) {
    if (entries.empty()) return out_.append("{}");
    std::vector<std::pair<Value, Value>> ordered = entries;
    if (layout_.sort_keys) {
      std::stable_sort(ordered.begin(), ordered.end(), [&](const auto& a, const auto& b) {
        return compare(runtime_, a.first, b.first) < 0;
      });
    }
    out_.append("{");
    for (size_t i = 0; i < ordered.size(); ++i) {
      if (i > 0) out_.append(layout_.between_items);
      new_line(level + 1);
      write_text(key(ordered[i].first));
      out_.append(layout_.behind_keys);
      write(ordered[i].second, level + 1);
    }
    new_line(level);
    out_.append("}");
  }

  static Text key(const Value& key) {
    if (key.is_text()) return key.text();
    if (key.is_none()) return Text("null");
    if (key.is_boolean()) return Text(key.as_boolean() ? "true" : "false");
    if (key.is_integer()) return Text(std::to_string(key.whole()));
    if (key.is_float()) return Text(number(key.number()));
    throw Fault(fmt::format("tojson needs texts as keys; found a {}", key.type()));
  }

  void write_text(const Text& text) {
    out_.append("\"");
    size_t plain = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      const std::string escape = escaped(next_code_point(text.bytes, at));
      if (escape.empty()) continue;
      out_.append(text.part(plain, begin));
      out_.append(escape, text.marks[begin]);
      plain = at;
    }
    out_.append(text.part(plain, text.size()));
    out_.append("\"");
  }

  // "" where the character stands as it is.
  std::string escaped(char32_t c) const {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      default:
        break;
    }
    const auto code = static_cast<uint32_t>(c);
    if (code >= 0x10000 && layout_.ensure_ascii)
      return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                         0xDC00 + ((code - 0x10000) & 0x3FF));
    if (code < 0x20 || (code > 0x7E && layout_.ensure_ascii)) return fmt::format("\\u{:04x}", code);
    return "";
  }
};

}  // namespace

Value json_text(Runtime& runtime, const Value& value, const JsonLayout& layout) {
  JsonWriter writer(runtime, layout);
  writer.write(value, 0);
  return writer.value();
}

}  // namespace hone::jinja
