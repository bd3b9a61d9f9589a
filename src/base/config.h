// A run's configuration: YAML with places, so that every complaint names file:line:column, and
// typed reading that remembers which keys were asked for, so that unknown keys are errors with the
// nearest right key.
//
//   Config root = Config::load("run.yaml", {"train.seed=1"});
//   Config train = root.section("train");
//   options.seed = train.get("seed", int64_t{42});
//   ...
//   root.refuse_unknown();      // after everything was read
//   write_file("config.yaml", root.resolved());   // every key with the value in force, defaults
//   included
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace hone {

class Config {
 public:
  // `overrides` are "dotted.key=value" from the command line; the value is YAML. They come after
  // the file.
  static Config load(const std::string& path, const std::vector<std::string>& overrides);
  static Config parse(const std::string& text, const std::string& name,
                      const std::vector<std::string>& overrides = {});
  static Config from_json(const Json& value,
                          const std::string& name);  // e.g. a task's saved options

  bool has(const std::string& key) const;
  bool is_list(const std::string& key) const;
  std::vector<std::string> keys()
      const;  // those the file has, in its order: for sections whose keys are the user's own names

  // The value of `key`, or the default where it is absent. A wrong type is an Error (kUsage) at the
  // value's place. "1e-5" is a number. An integer option refuses 1.5; a number option takes 1.
  std::string get(const std::string& key, const std::string& fallback);
  std::string get(const std::string& key, const char* fallback) {
    return get(key, std::string(fallback));
  }
  int64_t get(const std::string& key, int64_t fallback);
  double get(const std::string& key, double fallback);
  bool get(const std::string& key, bool fallback);
  std::vector<std::string> get(const std::string& key, const std::vector<std::string>& fallback);
  std::vector<int64_t> get(const std::string& key, const std::vector<int64_t>& fallback);
  std::string require(const std::string& key);  // a string that has no default

  // One of a closed list; anything else is an error that lists them and offers the nearest.
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& allowed);

  Config section(const std::string& key);  // empty where absent; an error where it is not a mapping
  std::vector<Config> sections(
      const std::string& key);  // a sequence of mappings, or one mapping taken as a sequence of one

  // For a key that is missing: which of those present is likely meant to be it ("; is \"pth\" meant
  // to be \"path\"?"), or "".
  std::string misnamed(const std::string& key) const;

  Where where(
      const std::string& key) const;  // of the key's value; of this section where the key is absent
  Error error(const std::string& key, const std::string& message) const;  // kUsage at where(key)

  // Throws for the first key of this tree that nobody asked for. Call once, on the root, when all
  // is read.
  void refuse_unknown() const;

  // A configuration of its own, of which nothing was asked yet: this section's keys over those of
  // `base`. The keys of a section named in `merged` are put together in the same way, every other
  // value takes the place of base's. Keys of `without` are left out.
  Config over(const Config& base, const std::vector<std::string>& merged,
              const std::vector<std::string>& without) const;
  void override_with(const std::string& argument);                  // "dotted.key=value"
  void replace(const std::string& part, const std::string& other);  // in every text
  // Values as they stand, whatever they are, to be put elsewhere: the items of a list, or the one
  // value as a list of one. Takes the key for known.
  std::vector<Config> items(const std::string& key) const;
  static Config of(const Json& value, const Where& where);   // such a value, of JSON
  void put(const std::string& dotted, const Config& value);  // "train.seed"; a copy of it
  Json plain() const;   // what it holds; scalars that look like numbers are numbers
  Where where() const;  // where it stands
  // Takes a key for asked, with this value in force, whatever it holds.
  void note(const std::string& key, Json value);

  std::string resolved()
      const;  // YAML of all keys asked for, with the values in force, in the order asked
  Json resolved_json() const;

 private:
  struct Node;
  explicit Config(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  std::shared_ptr<Node> node_;
};

}  // namespace hone
