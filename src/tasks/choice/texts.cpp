#include "tasks/choice/texts.h"

#include <fmt/format.h>

#include "tasks/fields.h"

namespace hone::choice {
namespace {

int64_t count_of(const std::string& mark, const std::string& text) {
  int64_t count = 0;
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size()))
    ++count;
  return count;
}

std::string text_of(const Record& record, const std::string& field) {
  return field.empty() ? "" : need_text(record, field);
}

Part joined(const std::string& before, const std::string& choice, const std::string& after) {
  const auto start = static_cast<int32_t>(before.size());
  return {before + choice + after, {start, start + static_cast<int32_t>(choice.size())}};
}

Part filled(const std::string& text, const std::string& mark, const std::string& choice) {
  const size_t at = text.find(mark);
  return joined(text.substr(0, at), choice, text.substr(at + mark.size()));
}

Error wrong_blanks(const Record& record, const Options& options, int64_t count) {
  const bool has_both = !options.context.empty() && !options.question.empty();
  const std::string fields =
      has_both ? fmt::format("\"{}\" or \"{}\"", options.context, options.question)
               : fmt::format("\"{}\"", options.context + options.question);
  return {ErrorKind::kData, record.where(),
          fmt::format("the blank \"{}\" must stand once in {}, but is there {} times.",
                      options.blank, fields, count)};
}

Parts with_blank(const Record& record, const std::string& choice, const Options& options) {
  const std::string context = text_of(record, options.context),
                    question = text_of(record, options.question);
  const int64_t in_context = count_of(options.blank, context),
                in_question = count_of(options.blank, question);
  if (in_context + in_question != 1) throw wrong_blanks(record, options, in_context + in_question);
  Parts parts;
  if (!options.context.empty())
    parts.push_back(in_context == 1 ? filled(context, options.blank, choice) : Part{context});
  if (!options.question.empty())
    parts.push_back(in_question == 1 ? filled(question, options.blank, choice) : Part{question});
  return parts;
}

}  // namespace

Parts parts_of(const Record& record, const std::string& choice, const Options& options) {
  if (!options.blank.empty()) return with_blank(record, choice, options);
  const std::string context = text_of(record, options.context),
                    question = text_of(record, options.question);
  if (options.context.empty()) return {Part{question}, joined("", choice, "")};
  return {Part{context}, joined(question.empty() ? "" : question + " ", choice, "")};
}

}  // namespace hone::choice
