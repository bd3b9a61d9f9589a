#include "tasks/mlm/options.h"

namespace hone::mlm {

Options Options::read(Config& section, int64_t max_seq_length) {
  constexpr int64_t kMostOffered = 100;
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  if (!(o.mlm_probability > 0 && o.mlm_probability < 1))
    throw section.error("mlm_probability",
                        fmt::format("\"mlm_probability\" is {}; it must lie between 0 and 1, as "
                                    "0.15 does",
                                    o.mlm_probability));
  if (o.top_k < 1 || o.top_k > kMostOffered)
    throw section.error(
        "top_k", fmt::format("\"top_k\" is {}; it must be from 1 to {}", o.top_k, kMostOffered));
  return o;
}

}  // namespace hone::mlm
