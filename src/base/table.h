// What a configuration chooses by name: tasks, families, optimizers, … The lines that come with
// hone stand in one registry.cpp each; a program that brings its own adds them before it uses them:
//
//   Table<OptimizerInfo>& optimizers();                       // registry.cpp: one line each
//   const bool added = optimizers().add({.name = "mine", …});  // of another program, or a test
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hone {

// Entry has a member `name`. Entries keep their addresses. Adding is for one thread, before others
// look.
template <typename Entry>
class Table {
 public:
  // `kind` is what messages call an entry: "task".
  Table(const char* kind, std::initializer_list<Entry> entries) : kind_(kind) {
    for (const Entry& entry : entries) add(entry);
  }

  // True, so that a line at namespace scope can add. Error(kInternal) where the name is taken.
  bool add(Entry entry) {
    if (find(entry.name) != nullptr)
      throw Error(ErrorKind::kInternal,
                  fmt::format("there are two {}s named \"{}\"", kind_, entry.name));
    entries_.push_back(std::move(entry));
    return true;
  }

  const Entry* find(std::string_view name) const {  // null where there is none
    for (const Entry& entry : entries_) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  }

  // Error(kUsage) with the nearest name, and all of them.
  const Entry& named(std::string_view name) const {
    if (const Entry* entry = find(name)) return *entry;
    throw Error(ErrorKind::kUsage,
                fmt::format("unknown {} \"{}\"{}; known: {}.", kind_, name,
                            did_you_mean(name, names()), fmt::join(names(), ", ")));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.emplace_back(entry.name);
    return names;
  }

  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  const char* kind_;
  std::deque<Entry> entries_;
};

}  // namespace hone
