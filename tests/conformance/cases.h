// What every task is tried on: its example, a tiny random model whose vocabulary can spell it, and
// the same for options of note.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tasks/pipeline.h"

namespace hone::conformance {

struct Case {
  std::string name;
  const TaskInfo* info = nullptr;
  std::string config;           // YAML with a task section
  std::vector<Record> records;  // labelled; the first twenty are learned by heart
};

// Options of note that no example shows, with records for them.
struct Variant {
  std::string name;
  std::string options;  // YAML of the task section
  std::vector<Record> records;
};
using MakeVariants = std::function<std::vector<Variant>(const std::vector<Record>& example)>;

// At namespace scope of tests/conformance/<task>_cases.cpp.
bool add_variants(const std::string& task, MakeVariants make);

// The records, each with its fields edited.
std::vector<Record> edited(std::vector<Record> records,
                           const std::function<void(Json& fields, size_t index)>& edit);

// Each line of the registry, from examples/<task>/ (train.jsonl, and the task section of
// config.yaml), and its variants. Error where a registered task has no example.
std::vector<Case> all_cases();

constexpr int64_t kLongest = 32;  // tokens of a sequence: long texts are cut or windowed

// The task of a case, which has learned its labels, for the model of a folder.
std::shared_ptr<Task> make_task(const Case& c, const std::string& folder,
                                const Tokenizer& tokenizer);

struct Form {
  // Of the registry; "": BERT, of a task that writes Llama, or Marian where it reads a source.
  std::string family = "";
  std::string peft = "";  // YAML of the section; "": none
};

// A fresh pipeline on a tiny random model written to `folder`; a word of the texts is a token or is
// spelled in letters.
std::unique_ptr<Pipeline> make_pipeline(const Case& c, const std::string& folder,
                                        const Form& form = {});

}  // namespace hone::conformance
