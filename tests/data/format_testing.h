// What tests of one format share: files in a folder, read by the keys of a configuration.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reader_testing.h"

namespace hone {

class FormatTest : public testing::Test {
 protected:
  // Rows as compact JSON. `keys` are YAML beside the path, whose "$" is the folder.
  std::vector<std::string> rows(const std::string& name, const std::string& keys) {
    std::string yaml = "{path: $/" + name + (keys.empty() ? "" : ", ") + keys + "}";
    for (size_t at = 0; (at = yaml.find("$/", at)) != yaml.npos;)
      yaml.replace(at, 1, folder_.path());
    Config section = Config::parse(yaml, "c");
    const SourceOptions options = SourceOptions::read(section);
    section.refuse_unknown();
    const auto reader = open_reader(options);
    std::vector<std::string> out;
    places_.clear();
    for (const Record& record : read_all(*reader)) {
      out.push_back(record.fields.dump());
      places_.push_back(place_of(record.where()));
    }
    bad_ = told(reader->bad_rows());
    repaired_ = told(reader->repaired_rows());
    advice_ = reader->advice();
    return out;
  }
  std::string error(const std::string& name, const std::string& keys) {
    return error_of([&] { rows(name, keys); });
  }
  void write(const std::string& name, const std::string& bytes) { folder_.write(name, bytes); }

  TemporaryFolder folder_;
  std::vector<std::string> places_, bad_, repaired_, advice_;  // "a.xml:2:3"

 private:
  std::string place_of(const Where& where) const {
    return where.str().substr(folder_.path().size() + 1);
  }
  std::vector<std::string> told(const std::vector<BadRow>& rows) const {
    std::vector<std::string> out;
    for (const BadRow& row : rows) out.push_back(place_of(row.where) + ": " + row.reason);
    return out;
  }
};

}  // namespace hone
