#include "data/chat/jinja/number_text.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/utf8.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

// Without white space at the ends and underscores between digits; nothing where one stands
// elsewhere.
std::optional<std::string> digits_in(const std::string& text) {
  const std::string stripped = strip(Text(text), true, true, is_python_space).bytes;
  std::string digits;
  for (size_t i = 0; i < stripped.size(); ++i) {
    const auto is_digit = [&](size_t at) {
      return at < stripped.size() && std::isalnum(static_cast<unsigned char>(stripped[at])) != 0;
    };
    if (stripped[i] != '_') {
      digits += stripped[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return {};
    }
  }
  return digits;
}

std::optional<int64_t> whole_by_base(std::string digits, int64_t base) {
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) digits.erase(0, 1);
  static constexpr std::pair<const char*, int64_t> kPrefixes[] = {
      {"0x", 16}, {"0X", 16}, {"0o", 8}, {"0O", 8}, {"0b", 2}, {"0B", 2}};
  for (const auto& [prefix, of] : kPrefixes) {
    if (base == of && digits.starts_with(prefix)) digits.erase(0, 2);
  }
  if (base < 2 || base > 36 || digits.empty() || digits.starts_with('-')) return {};
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (error == std::errc::result_out_of_range)
    throw Fault("a whole number beyond 64 bits", ErrorKind::kModel);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return is_negative ? -value : value;
}

std::optional<int64_t> cut_to_whole(double number) {
  if (std::isnan(number) || std::isinf(number)) return {};
  if (std::abs(number) >= 9.2e18) throw Fault("a whole number beyond 64 bits", ErrorKind::kModel);
  return static_cast<int64_t>(number);
}

// Correctly rounded to `precision` decimal digits, as Python does it: by way of the digits.
double round_digits(double number, int64_t precision) {
  if (!std::isfinite(number) || precision > 300) return number;
  if (precision >= 0)
    return std::strtod(fmt::format("{:.{}f}", number, precision).c_str(), nullptr);
  if (precision < -300) return 0.0 * number;
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(number / unit) * unit;
}

}  // namespace

std::optional<int64_t> whole_in(const std::string& text, int64_t base) {
  if (const std::optional<std::string> digits = digits_in(text)) {
    if (const std::optional<int64_t> whole = whole_by_base(*digits, base)) return whole;
  }
  const std::optional<double> number = number_in(text);
  return number ? cut_to_whole(*number) : std::nullopt;
}

std::optional<int64_t> whole_of(const Value& value) {
  refuse_undefined(value);
  if (value.is_whole()) return value.whole();
  return value.is_float() ? cut_to_whole(value.number()) : std::nullopt;
}

std::optional<double> number_in(const std::string& text) {
  const std::optional<std::string> digits = digits_in(text);
  if (!digits) return {};
  const std::string low = lower(Text(*digits)).bytes;
  const bool has_sign = low.starts_with('-') || low.starts_with('+');
  const std::string bare = low.substr(has_sign ? 1 : 0);
  const bool is_word = bare == "inf" || bare == "infinity" || bare == "nan";
  const bool is_number =
      !bare.empty() && bare.find_first_not_of("0123456789.e+-") == std::string::npos;
  if (!is_word && !is_number) return {};
  char* end = nullptr;
  const double number = std::strtod(low.c_str(), &end);
  if (end != low.c_str() + low.size()) return {};
  return number;
}

Value rounded(const Value& number, int64_t precision, const std::string& method) {
  if (method != "common" && method != "ceil" && method != "floor")
    throw Fault("round goes by common, ceil or floor");
  precision = std::clamp<int64_t>(precision, -400, 400);
  if (method == "common") {
    if (number.is_float()) return Value::number(round_digits(number.number(), precision));
    if (precision >= 0) return number;
    return Value::integer(static_cast<int64_t>(round_digits(number.number(), precision)));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = number.number() * unit;
  return Value::number((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

int64_t count_words(const std::string& text) {
  int64_t count = 0;
  bool was_word = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(next_code_point(text, at));
    const bool is_word = u_isalnum(c) != 0 || c == '_';
    count += is_word && !was_word ? 1 : 0;
    was_word = is_word;
  }
  return count;
}

}  // namespace hone::jinja
