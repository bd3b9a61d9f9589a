// What a configuration is made of; config.cpp reads it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace hone {

// One value of the configuration, with what was asked of it so far.
// Invariant: `asked` holds each key once; a section that is absent from the file exists only there.
struct Config::Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  struct Member {
    std::string key;
    Where key_where;
    std::shared_ptr<Node> value;
  };
  struct Asked {
    std::string key;
    Json value;                                // of a plain key, with the value in force
    std::vector<std::shared_ptr<Node>> nodes;  // of a section (one) or of sections (any number)
    bool is_section = false, is_list = false;
  };

  Kind kind = Kind::kNull;
  std::string scalar;
  bool is_quoted = false;  // a quoted scalar is a text, whatever it looks like
  std::vector<std::shared_ptr<Node>> items;
  std::vector<Member> members;
  Where where;
  std::string name;  // of the section, for messages; "" at the root
  std::vector<Asked> asked;
  std::vector<std::string> looked_for;  // by `has`: known names, for suggestions only
  std::vector<std::string> beside;      // of a section that the file lacks: the keys there are

  std::shared_ptr<Node> find(const std::string& key) const {
    const auto it = std::find_if(members.begin(), members.end(),
                                 [&](const Member& member) { return member.key == key; });
    return it == members.end() || it->value->kind == Kind::kNull ? nullptr : it->value;
  }

  Asked& ask(const std::string& key) {
    const auto it = std::find_if(asked.begin(), asked.end(),
                                 [&](const Asked& entry) { return entry.key == key; });
    if (it != asked.end()) return *it;
    return asked.emplace_back(Asked{key, Json(), {}, false, false});
  }

  void record(const std::string& key, Json value) { ask(key).value = std::move(value); }

  // The dotted names under which each key is known, in this node and below.
  using Places = std::map<std::string, std::vector<std::string>>;
  void collect(const std::string& prefix, Places& places) const;
  // Throws for the first key, in the order of the file, that nobody asked for.
  void refuse_unknown(const Places& places) const;

  std::vector<std::string> known() const;    // the keys that were asked for or looked for
  std::vector<std::string> present() const;  // those of the file
  Json resolved() const;                     // all that was asked for, with the values in force

  // Built of YAML or JSON, bounded in depth and in number. `file` without lines where `has_places`
  // is false: an override is one short text.
  static std::shared_ptr<Node> of_yaml(std::string_view text, const std::string& file,
                                       bool has_places);
  static std::shared_ptr<Node> of_json(const Json& value, const Where& where);
  // The same values, of which nothing was asked.
  std::shared_ptr<Node> copy() const;
  void put(Member member);  // in the place of one of its key
  void replace(const std::string& part, const std::string& other);
  // Puts the value of "section.key=value" in its place.
  void override_with(const std::string& argument);

 private:
  Error unknown(const Member& member, const Places& places) const;
  std::string other_name(const std::string& key, const Places& places) const;
};

}  // namespace hone
