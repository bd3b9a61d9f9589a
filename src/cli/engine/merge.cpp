#include "run/merge.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "run/combine.h"
#include "tasks/peft_folder.h"

namespace hone {

namespace {

double number_in(const std::string& text, const std::string& of) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(number))
    return number;
  throw Error(ErrorKind::kUsage, fmt::format("{}: \"{}\" is no number", of, text));
}

AdapterShare share_of(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos)
    throw Error(ErrorKind::kUsage,
                fmt::format("\"{}\" has no weight: write {}=0.5, or another number", text, text));
  return {text.substr(0, equals), number_in(text.substr(equals + 1), text)};
}

int combine(const CLI::App& arguments) {
  std::vector<AdapterShare> shares = {
      {text_of(arguments, "ADAPTER"), number_in(text_of(arguments, "--weight"), "--weight")}};
  for (const std::string& other : list_of(arguments, "OTHER=WEIGHT"))
    shares.push_back(share_of(other));
  const Combination combination = {
      .name = text_of(arguments, "--combination"),
      .density = number_in(text_of(arguments, "--density"), "--density"),
      .seed = static_cast<uint64_t>(number_of(arguments, "--seed"))};
  const std::string out = text_of(arguments, "OUT");
  combine_adapters(shares, combination, out);
  if (!flag_of(arguments, "--json")) std::cout << "model   " << out << '\n';
  return 0;
}

}  // namespace

int run_merge(const CLI::App& arguments) {
  if (!list_of(arguments, "OTHER=WEIGHT").empty()) return combine(arguments);
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
