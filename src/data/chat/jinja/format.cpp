// "%s" % values and "{}".format(values).
#include "data/chat/jinja/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

// One conversion of a printf-style format: %(name)-05.2f
struct Conversion {
  std::string name;
  bool has_name = false, is_left = false, has_zeros = false, has_plus = false;
  int64_t width = 0, precision = -1;
  char type = 0;
};

class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const Text& format, const Arguments& values)
      : runtime_(runtime), format_(format), values_(values), out_(runtime) {}

  Value run() {
    const std::string& bytes = format_.bytes;
    while (at_ < bytes.size()) {
      const size_t percent = std::min(bytes.find('%', at_), bytes.size());
      out_.append(format_.part(at_, percent));
      at_ = percent;
      if (at_ < bytes.size()) write(read());
    }
    if (values_.named.empty() && next_ < values_.positional.size() && !has_names_)
      throw Fault("more values than the format has places for");
    return out_.value();
  }

 private:
  Runtime& runtime_;
  const Text& format_;
  const Arguments& values_;
  Writer out_;
  size_t at_ = 0, next_ = 0;
  bool has_names_ = false;

  char peek() const { return at_ < format_.size() ? format_.bytes[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  int64_t number() {
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9' && value < 100'000)
      value = value * 10 + (format_.bytes[at_++] - '0');
    return value;
  }

  Conversion read() {
    Conversion conversion;
    ++at_;  // the percent sign
    if (take('(')) {
      const size_t close = format_.bytes.find(')', at_);
      if (close == std::string::npos) throw Fault("a format's %( has no )");
      conversion.name = format_.bytes.substr(at_, close - at_);
      conversion.has_name = has_names_ = true;
      at_ = close + 1;
    }
    for (bool is_flag = true; is_flag;) {
      is_flag = true;
      if (take('-')) {
        conversion.is_left = true;
      } else if (take('0')) {
        conversion.has_zeros = true;
      } else if (take('+')) {
        conversion.has_plus = true;
      } else {
        is_flag = false;
      }
    }
    conversion.width = number();
    if (take('.')) conversion.precision = number();
    if (at_ >= format_.size()) throw Fault("a format ends within %…");
    conversion.type = format_.bytes[at_++];
    return conversion;
  }

  const Value& value_of(const Conversion& conversion) {
    if (conversion.has_name) {
      for (const auto& [name, value] : values_.named) {
        if (name == conversion.name) return value;
      }
      const bool is_dict = values_.positional.size() == 1 && values_.positional[0].is_dict();
      const Value* found =
          is_dict ? find_key(*values_.positional[0].dictionary(), conversion.name) : nullptr;
      if (found == nullptr)
        throw Fault(fmt::format("the format has no value for %({})", conversion.name));
      return *found;
    }
    if (next_ >= values_.positional.size()) throw Fault("fewer values than the format asks for");
    return values_.positional[next_++];
  }

  void write(const Conversion& conversion) {
    if (conversion.type == '%') {
      out_.append("%");
      return;
    }
    pad(converted(conversion, value_of(conversion)), conversion);
  }

  Text converted(const Conversion& conversion, const Value& value) {
    switch (conversion.type) {
      case 's':
        return cut(to_text(runtime_, value), conversion.precision);
      case 'r':
        return cut(repr(runtime_, value), conversion.precision);
      case 'd':
      case 'i':
      case 'u':
        return signed_text(fmt::format("{}", whole(value)), conversion);
      case 'x':
        return signed_text(fmt::format("{:x}", whole(value)), conversion);
      case 'f':
      case 'F':
        return signed_text(fmt::format("{:.{}f}", real(value), digits(conversion)), conversion);
      case 'e':
        return signed_text(fmt::format("{:.{}e}", real(value), digits(conversion)), conversion);
      default:
        throw Fault(fmt::format("the format %{} is not available here", conversion.type),
                    ErrorKind::kModel);
    }
  }

  static int digits(const Conversion& conversion) {
    return conversion.precision < 0
               ? 6
               : static_cast<int>(std::min<int64_t>(conversion.precision, 100));
  }
  static double real(const Value& value) {
    refuse_undefined(value);
    if (!value.is_number())
      throw Fault(fmt::format("a format needs a number; found a {}", value.type()));
    return value.number();
  }
  static int64_t whole(const Value& value) {
    const double number = real(value);
    if (value.is_whole()) return value.whole();
    if (!(std::abs(number) < 9e18)) throw Fault("a format's number is too large");
    return static_cast<int64_t>(number);
  }

  static Text signed_text(std::string digits, const Conversion& conversion) {
    if (conversion.has_plus && !digits.starts_with('-')) digits.insert(0, "+");
    const auto width = static_cast<size_t>(conversion.width);
    const bool has_sign = digits.starts_with('-') || digits.starts_with('+');
    if (conversion.has_zeros && !conversion.is_left && digits.size() < width)
      digits.insert(has_sign ? 1 : 0, width - digits.size(), '0');
    return Text(digits);
  }

  static Text cut(const Text& text, int64_t most) {
    const std::vector<size_t> starts = character_starts(text.bytes);
    if (most < 0 || static_cast<size_t>(most) + 1 >= starts.size()) return text;
    return text.part(0, starts[static_cast<size_t>(most)]);
  }

  void pad(const Text& text, const Conversion& conversion) {
    const auto count = static_cast<int64_t>(character_starts(text.bytes).size()) - 1;
    const std::string blanks(static_cast<size_t>(std::max<int64_t>(conversion.width - count, 0)),
                             ' ');
    if (!conversion.is_left) out_.append(blanks);
    out_.append(text);
    if (conversion.is_left) out_.append(blanks);
  }
};

// What "{0.name[key]!r}" names.
class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, const Text& format, const Arguments& values)
      : runtime_(runtime), format_(format), values_(values), out_(runtime) {}

  Value run() {
    const std::string& bytes = format_.bytes;
    for (size_t at = 0; at < bytes.size();) {
      const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      out_.append(format_.part(at, brace));
      at = brace;
      if (at == bytes.size()) break;
      const bool is_twice = bytes.substr(at + 1, 1) == bytes.substr(at, 1);
      if (is_twice) {
        out_.append(format_.part(at, at + 1));
        at += 2;
        continue;
      }
      if (bytes[at] == '}') throw Fault("a format has a } without its {");
      const size_t close = bytes.find('}', at);
      if (close == std::string::npos) throw Fault("a format has a { without its }");
      write(bytes.substr(at + 1, close - at - 1));
      at = close + 1;
    }
    return out_.value();
  }

 private:
  Runtime& runtime_;
  const Text& format_;
  const Arguments& values_;
  Writer out_;
  size_t next_ = 0;

  void write(const std::string& field) {
    const size_t mark = field.find('!');
    const std::string name = field.substr(0, mark);
    const std::string how = mark == std::string::npos ? "" : field.substr(mark);
    if (name.find_first_of(".[:{") != std::string::npos ||
        (how != "" && how != "!r" && how != "!s"))
      throw Fault(fmt::format("the format {{{}}} is not available here", field), ErrorKind::kModel);
    const Value& value = value_of(name);
    out_.append(how == "!r" ? repr(runtime_, value) : to_text(runtime_, value));
  }

  const Value& value_of(const std::string& name) {
    const bool is_place = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_place) {
      const size_t place = name.empty() ? next_++ : std::stoul(name.substr(0, 9));
      if (place < values_.positional.size()) return values_.positional[place];
    }
    for (const auto& [known, value] : values_.named) {
      if (known == name) return value;
    }
    throw Fault(fmt::format("the format has no value for {{{}}}", name));
  }
};

}  // namespace

Value percent_format(Runtime& runtime, const Text& format, const Arguments& values) {
  return PercentFormat(runtime, format, values).run();
}

Value brace_format(Runtime& runtime, const Text& format, const Arguments& values) {
  return BraceFormat(runtime, format, values).run();
}

}  // namespace hone::jinja
