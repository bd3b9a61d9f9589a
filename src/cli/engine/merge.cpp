#include "run/merge.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"

namespace hone {

int run_merge(const CLI::App& arguments) {
  const std::string out = text_of(arguments, "OUT");
  const MergeProof proof = merge_adapter(text_of(arguments, "ADAPTER"), out);
  if (flag_of(arguments, "--json")) {
    std::cout << to_text(proof.json()) << '\n';
  } else {
    std::cout << fmt::format("largest difference of {} over {} rows: {:.3g} (they reach {:.3g})\n",
                             proof.of, proof.rows, proof.largest_difference, proof.largest_value)
              << "model   " << out << '\n';
  }
  return 0;
}

}  // namespace hone
