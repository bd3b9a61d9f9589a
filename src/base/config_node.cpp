// Keys that nobody asked for, and the configuration with all values in force.
#include "base/config_node.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/other_names.h"

namespace hone {
namespace {

std::string join(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

void Config::Node::collect(const std::string& prefix, Places& places) const {
  for (const std::string& key : known()) places[key].push_back(prefix + key);
  for (const Asked& entry : asked) {
    for (const std::shared_ptr<Node>& node : entry.nodes)
      node->collect(prefix + entry.key + ".", places);
  }
}

void Config::Node::refuse_unknown(const Places& places) const {
  for (const Member& member : members) {
    const auto it = std::find_if(asked.begin(), asked.end(),
                                 [&](const Asked& entry) { return entry.key == member.key; });
    const bool is_left_out = member.value->kind == Kind::kNull &&
                             std::count(looked_for.begin(), looked_for.end(), member.key) > 0;
    if (is_left_out) continue;  // `test: null` is the same as no test
    if (it == asked.end()) throw unknown(member, places);
    for (const std::shared_ptr<Node>& node : it->nodes) node->refuse_unknown(places);
  }
}

Error Config::Node::unknown(const Member& member, const Places& places) const {
  std::string message = fmt::format("unknown key \"{}\"", member.key);
  if (!name.empty()) message += fmt::format(" in \"{}\"", name);
  std::string advice = other_name(member.key, places);
  if (advice.empty()) advice = did_you_mean(member.key, known());
  if (advice.empty() && !known().empty()) advice = "; known here: " + join(known());
  return Error(ErrorKind::kUsage, member.key_where, message + advice);
}

// A key of this section or of another one that is called so elsewhere.
std::string Config::Node::other_name(const std::string& key, const Places& places) const {
  const std::vector<std::string> here = known();
  const std::vector<std::string> meant = keys_called(key);
  for (const std::string& candidate : meant) {
    if (candidate != key && std::find(here.begin(), here.end(), candidate) != here.end())
      return fmt::format("; did you mean \"{}\"?", candidate);
  }
  std::vector<std::string> dotted;
  if (const auto it = places.find(key); it != places.end()) dotted = it->second;
  for (const std::string& candidate : meant) {
    const auto it = places.find(candidate);
    if (dotted.empty() && it != places.end()) dotted = it->second;
  }
  if (dotted.empty()) return "";
  constexpr size_t kMost = 3;
  return fmt::format(
      "; did you mean \"{}\"?",
      fmt::join(dotted.begin(), dotted.begin() + std::min(kMost, dotted.size()), "\" or \""));
}

std::vector<std::string> Config::Node::known() const {
  std::vector<std::string> names = looked_for;
  for (const Asked& entry : asked) names.push_back(entry.key);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> Config::Node::present() const {
  std::vector<std::string> keys;
  for (const Member& member : members) keys.push_back(member.key);
  return keys;
}

Json Config::Node::resolved() const {
  Json out = Json::object();
  for (const Asked& entry : asked) {
    if (!entry.is_section && !entry.is_list) {
      out[entry.key] = entry.value;
      continue;
    }
    Json parts = Json::array();
    for (const std::shared_ptr<Node>& node : entry.nodes) parts.push_back(node->resolved());
    if (entry.is_list && !parts.empty()) out[entry.key] = std::move(parts);
    // A section that the file lacks and of which nothing was asked stays absent: its absence may
    // mean something.
    if (entry.is_section && (find(entry.key) != nullptr || !parts[0].empty()))
      out[entry.key] = std::move(parts[0]);
  }
  return out;
}

}  // namespace hone
