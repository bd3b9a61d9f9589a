// The classes of a task: names in a fixed order, learned from data or given. A label of the data
// may be a string, a number or a boolean; results give it back as it was.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace hone {

// A label as text: the string itself, 3, 0.5, true. Empty where the value cannot be a label (null,
// an object, a list).
std::optional<std::string> label_text(const Json& value);

// Without white space of any script at its ends: a label is a name, and no name begins with a
// blank.
std::string trimmed_label(std::string_view label);

// The whole of `text` as a finite number; nothing for other texts.
std::optional<double> decimal(std::string_view text);

class Labels {
 public:
  Labels() = default;
  // Given names, in their order. Data may write a label as its name, or as its number counted from
  // `ids_from` where no name is a number.
  Labels(const std::vector<std::string>& names, int64_t ids_from);

  bool is_fixed() const { return is_fixed_; }
  bool accepts_ids() const { return accepts_ids_; }  // numbers stand for names
  void add(const Json& value);                       // REQUIRES: !is_fixed(), and label_text(value)
  void fix();  // the order: by number where all are whole numbers, else by bytes

  std::optional<int32_t> find(const Json& value) const;
  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::string& name(int64_t index) const { return names_[index]; }
  const std::vector<std::string>& names() const { return names_; }
  const Json& value(int64_t index) const { return values_[index]; }

  // The first few pairs of names, in quotes, that are one after normalising: in case, in the form
  // of accents and widths, in blanks within, or as numbers ("1" and "1.0").
  std::vector<std::string> look_alikes() const;

  Json json() const;
  static Labels from_json(const Json& json);

  std::string list(size_t most = 20) const;  // "a", "b", … for messages

 private:
  std::vector<std::string> names_;
  std::vector<Json> values_;
  std::unordered_map<std::string, int32_t> index_;
  bool is_fixed_ = false, accepts_ids_ = false;
  int64_t ids_from_ = 0;
};

// Labels as they turn up while scoring: the known ones in their order, others after them.
class LabelIndex {
 public:
  explicit LabelIndex(Labels known) : known_(std::move(known)), names_(known_.names()) {
    index_names();
  }

  const Labels& known() const { return known_; }
  int32_t index(const Json& value);  // REQUIRES: label_text(value)
  const std::string& name(int32_t index) const { return names_[index]; }
  size_t size() const { return names_.size(); }
  std::vector<int32_t> order()
      const;  // indices: known labels in their order, then the others in theirs (see Labels::fix)

 private:
  void index_names();

  Labels known_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, int32_t> index_;
};

// One name a line, without blanks around it; empty lines at the end do not count. Error(kData) for
// an empty file, an empty line or a name that stands twice.
std::vector<std::string> read_labels(const std::string& path);

// id2label and label2id as Transformers writes them.
void write_label_maps(const std::vector<std::string>& names, Json& config);

}  // namespace hone
