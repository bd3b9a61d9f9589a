#include "tasks/ner/options.h"

#include <fmt/format.h>

namespace hone::ner {
namespace {

void check_balance(const Options& options, const Config& section) {
  const ClassBalance& balance = options.balance;
  balance.check(section);
  if (!options.crf || balance.is_none()) return;
  const char* key = balance.class_weights != ClassWeights::kNone ? "class_weights"
                    : balance.logit_adjustment != 0              ? "logit_adjustment"
                                                                 : "focal_gamma";
  throw section.error(key,
                      fmt::format("\"{}\" is for tags that are learned each by itself; with "
                                  "\"crf\" they are learned as a chain. Leave out one of the two",
                                  key));
}

}  // namespace

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  check_stride(o, section);
  check_balance(o, section);
  return o;
}

void check_stride(const Options& options, Config& section) {
  if (options.stride < -1)
    throw section.error("stride", fmt::format("\"stride\" is {}; it must be a number of tokens, 0 "
                                              "or more (-1: a quarter of max_seq_length)",
                                              options.stride));
  if (options.max_seq_length > 0 && options.stride >= options.max_seq_length - 2) {
    throw section.error(
        "stride", fmt::format("\"stride\" is {}, but a window holds {} tokens: it must be smaller",
                              options.stride, options.max_seq_length));
  }
}

}  // namespace hone::ner
