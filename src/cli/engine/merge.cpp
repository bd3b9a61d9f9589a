#include "run/merge.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "tasks/peft_folder.h"

namespace hone {

int run_merge(const CLI::App& arguments) {
  const std::string model = text_of(arguments, "ADAPTER"), out = text_of(arguments, "OUT"),
                    part = text_of(arguments, "--task");
  if (!part.empty() && !is_adapter_folder(model)) {
    save_part(model, out, part);
    if (!flag_of(arguments, "--json")) std::cout << "model   " << out << '\n';
    return 0;
  }
  const MergeProof proof = merge_adapter(model, out, part);
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
