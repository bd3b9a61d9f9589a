#include "models/foreign_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace hone {
namespace {

bool is_of_adapter(const std::string& name) {
  return name.find(".lora_A") != std::string::npos || name.find(".lora_B") != std::string::npos;
}

// What stands before `name` in one of the others; "" where it ends none of them.
std::string before(const std::string& name, const std::vector<std::string>& others) {
  for (const std::string& other : others) {
    if (other.size() > name.size() && other.ends_with("." + name))
      return other.substr(0, other.size() - name.size());
  }
  return "";
}

}  // namespace

std::string wrapper_advice(const std::vector<std::string>& missing, const std::string& prefix,
                           const std::vector<std::string>& unexpected) {
  const auto bare = [&](const std::string& name) {
    return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  };
  if (missing.empty()) return "";
  const std::string first = bare(missing.front()), wrapper = before(first, unexpected);
  const std::set<std::string> there(unexpected.begin(), unexpected.end());
  const bool is_wrapped =
      !wrapper.empty() && std::all_of(missing.begin(), missing.end(), [&](const std::string& name) {
        return there.contains(wrapper + bare(name));
      });
  if (!is_wrapped) return "";
  return fmt::format(" They stand there as \"{0}{1}\" and so on: save them without \"{0}\".",
                     wrapper, first);
}

void refuse_adapter(const std::vector<std::string>& unexpected, const std::string& source) {
  const auto found = std::find_if(unexpected.begin(), unexpected.end(), is_of_adapter);
  if (found == unexpected.end()) return;
  throw Error(ErrorKind::kModel, Where{source},
              fmt::format("holds the weights of a PEFT adapter ({}): merge it into its base model "
                          "(hone merge, or PEFT: model.merge_and_unload().save_pretrained(…)).",
                          *found));
}

}  // namespace hone
