// How well a model holds when words are written otherwise: rows that it answers rightly are
// rewritten word by word, until an answer is wrong or too much of the text would be another (the
// greedy search of Jin et al. 2020, "Is BERT really robust?", https://arxiv.org/abs/1907.11932).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "run/perturb/perturbation.h"
#include "run/perturb/record_words.h"
#include "run/tested.h"
#include "tasks/pipeline.h"

namespace hone {

struct AttackOptions {
  int64_t rows = 200;       // of the data, drawn by the seed; 0: all
  double most_words = 0.2;  // share of a row's words that may be replaced, rounded up
  int64_t candidates = 8;   // of each perturbation for a word, at most
  // Which words come first: those without which the loss rises most, or as they are drawn.
  bool by_importance = true;
  uint64_t seed = 42;
  int64_t max_tokens = 2048;                   // in one forward pass
  std::function<bool()> is_stopped = nullptr;  // asked before each row
};

struct WordChange {
  std::string from, to, by;  // `by`: the perturbation
};

struct AttackedRow {
  Record record;  // as it was read
  bool is_right = false, is_broken = false;
  int64_t words = 0, queries = 0;   // words that may be replaced; rewritten texts that were judged
  std::vector<WordChange> changes;  // in the order in which they were made
  std::string text, attacked;       // of the fields that have such words, joined
  Json before, after;               // the gold fields of both answers

  Json json() const;  // as attacked.jsonl has it
};

// One record, attacked. What is right says is_right (run/right.h). Error(kUsage) for a task whose
// answers are neither right nor wrong, one that writes its answers, several tasks, and losses over
// a whole step.
class Attacker {
 public:
  Attacker(const Pipeline& pipeline, const std::vector<NamedPerturbation>& perturbations,
           const AttackOptions& options);

  // `row`: its number in the data, for what is drawn.
  AttackedRow attack(const Record& record, int64_t row) const;

 private:
  struct Search;
  struct Candidate;
  bool is_right(const Record& gold, const Json& result) const;
  std::vector<size_t> order_of(Search& search) const;
  std::vector<Candidate> candidates_for(const Search& search, size_t word) const;
  bool replace(Search& search, size_t word) const;  // whether the answer is wrong now
  void rewrite(Search& search) const;
  std::vector<Judged> ask(const std::vector<Record>& records, Search& search) const;

  const Pipeline& pipeline_;
  const std::vector<NamedPerturbation>& perturbations_;
  AttackOptions options_;
  std::vector<std::string> text_fields_, gold_fields_;
};

// Attacks rows of labelled data; the report has accuracy before and under the attack. With
// `report_folder`, "" for none, attacked.jsonl is written there. Where it is stopped, the report is
// on the rows that were done, and says so.
Tested attack_on(const Pipeline& pipeline, const Reading& reading,
                 const std::vector<NamedPerturbation>& perturbations, const AttackOptions& options,
                 const std::string& report_folder);

// What the rows give; attack_on's report without findings of the data.
Report attack_report(const std::vector<AttackedRow>& rows, const std::string& task);

}  // namespace hone
