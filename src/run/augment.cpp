#include "run/augment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "data/word_units.h"
#include "run/back_translation.h"

namespace hone {
namespace {

constexpr const char *kDelete = "delete", *kSwap = "swap", *kInsert = "insert",
                     *kSynonyms = "synonyms";

bool is_eda(const std::string& way) { return way == kDelete || way == kSwap || way == kInsert; }

// Names of the perturbations that the ways take words from; one that is inserted may be a synonym.
std::vector<std::string> perturbations_of(const AugmentOptions& options) {
  const auto stands_in = [](const std::vector<std::string>& all, const char* name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  std::vector<std::string> names;
  std::copy_if(options.by.begin(), options.by.end(), std::back_inserter(names),
               [](const std::string& way) { return !is_eda(way); });
  if (stands_in(options.by, kInsert) && !options.files.lexicon.empty() &&
      !stands_in(names, kSynonyms))
    names.emplace_back(kSynonyms);
  return names;
}

void check_ways(const AugmentOptions& options, Config& section) {
  std::vector<std::string> known = perturbations().names();
  known.insert(known.begin(), {kDelete, kSwap, kInsert});
  if (options.by.empty() && !options.translation)
    throw section.error(
        "by", fmt::format("\"by\" must name how words are changed: {}", fmt::join(known, ", ")));
  for (const std::string& way : options.by) {
    if (std::find(known.begin(), known.end(), way) == known.end())
      throw section.error("by", fmt::format("\"{}\" is no way to change words{}; known are {}", way,
                                            did_you_mean(way, known), fmt::join(known, ", ")));
  }
}

std::string behind(const std::string& word, const std::string& other) {
  const bool has_blank = !is_written_without_blanks(word) && !is_written_without_blanks(other);
  return word + (has_blank ? " " : "") + other;
}

std::string word_in(const RecordWords& words, size_t place) {
  const RecordWord& word = words.all()[place];
  return std::string(bytes_of(words.text_of(word), word.bytes));
}

}  // namespace

AugmentOptions AugmentOptions::read(Config& section) {
  AugmentOptions o;
  o.copies = section.get("copies", o.copies);
  o.words = section.get("words", o.words);
  if (section.has("translation")) {
    Config translation = section.section("translation");
    o.translation = TranslationOptions::read(translation);
  }
  o.by = section.get(
      "by", o.translation ? std::vector<std::string>() : std::vector<std::string>{kSwap, kDelete});
  o.files.lexicon = section.get("lexicon", "");
  o.files.masked = section.get("masked", "");
  o.seed = section.get("seed", o.seed);
  check_ways(o, section);
  if (o.copies < 1 || o.copies > 100)
    throw section.error("copies",
                        fmt::format("\"copies\" is {}; it must be from 1 to 100", o.copies));
  if (!(o.words > 0 && o.words <= 1))
    throw section.error("words",
                        fmt::format("\"words\" is {}; it must be above 0 and at most 1", o.words));
  return o;
}

Augmenter::Augmenter(const AugmentOptions& options, const Task& task,
                     const TranslationFile* translations)
    : options_(options),
      translations_(translations),
      text_fields_(task.text_fields()),
      gold_fields_(task.gold_fields()) {
  if (options.translation && task.labels_places())
    throw Error(ErrorKind::kUsage,
                fmt::format("augment.translation: the labels of the task {} name places in its "
                            "texts, which a translation does not keep; \"by\" changes words "
                            "beside them",
                            task.info().name));
  const std::vector<std::string> names = perturbations_of(options);
  if (names.empty())
    refuse_idle_file(names, options.files);
  else
    perturbations_ = make_perturbations(names, options.files);
}

// The word at `place` and the next one of its text change places.
bool Augmenter::swap(const RecordWords& words, size_t place, OtherWords& others) const {
  const size_t next = place + 1;
  if (next >= words.all().size() || others.contains(next)) return false;
  const RecordWord &here = words.all()[place], &there = words.all()[next];
  if (here.token >= 0 || here.field != there.field) return false;
  if (word_in(words, place) == word_in(words, next)) return false;
  others[place] = word_in(words, next);
  others[next] = word_in(words, place);
  return true;
}

// "" where this way has nothing to offer.
std::string Augmenter::other_of(const RecordWords& words, size_t place, const std::string& way,
                                RandomStream& random) const {
  const RecordWord& word = words.all()[place];
  const std::string wanted = way == kInsert ? kSynonyms : way;
  for (const NamedPerturbation& one : perturbations_) {
    if (one.name != wanted) continue;
    const std::vector<std::string> all =
        one.perturbation->others(words.text_of(word), word.bytes, random);
    if (!all.empty()) return all[random.below(all.size())];
  }
  return way == kInsert ? word_in(words, place) : "";
}

void Augmenter::change(const RecordWords& words, size_t place, RandomStream& random,
                       OtherWords& others) const {
  const std::string& way = options_.by[random.below(options_.by.size())];
  const RecordWord& word = words.all()[place];
  if (others.contains(place) || (is_eda(way) && word.token >= 0)) return;
  if (way == kSwap) {
    swap(words, place, others);
    return;
  }
  if (way == kDelete) {
    if (others.size() + 1 < words.all().size()) others[place] = "";  // a text keeps a word
    return;
  }
  std::string other = other_of(words, place, way, random);
  if (way == kInsert) other = behind(word_in(words, place), other);
  const bool is_other = !other.empty() && other != word_in(words, place);
  if (is_other && RecordWords::fits(word, other)) others[place] = std::move(other);
}

// Each text becomes its translation; whether any is another then.
bool Augmenter::translate(Record& record, int64_t copy) const {
  bool is_other = false;
  for_each_text(record, text_fields_, [&](std::string& text) {
    const std::optional<std::string> other = translations_->find(text, copy);
    is_other = is_other || (other && *other != text);
    text = other.value_or(text);
  });
  record.edits.clear();  // nothing names places in these texts
  return is_other;
}

std::optional<Record> Augmenter::changed(const Record& record, int64_t row, int64_t copy) const {
  Record base = record;
  if (translations_ != nullptr && !translate(base, copy)) return std::nullopt;
  if (options_.by.empty()) return base;
  std::optional<Record> other = with_other_words(base, row, copy);
  // A translation is another text already; where it is still to be made, it stands for one.
  return !other && options_.translation ? base : other;
}

std::optional<Record> Augmenter::with_other_words(const Record& record, int64_t row,
                                                  int64_t copy) const {
  const RecordWords words(record, text_fields_, gold_fields_);
  const auto count = static_cast<int64_t>(words.all().size());
  const uint64_t key = mix(mix(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(row)),
                           static_cast<uint64_t>(copy));
  RandomStream random(key);
  const std::vector<int64_t> order = permutation(count, mix(key, 1));
  const auto most = std::max<int64_t>(std::llround(options_.words * static_cast<double>(count)), 1);
  OtherWords others;
  for (int64_t i = 0; i < count && (i < most || others.empty()); ++i)
    change(words, static_cast<size_t>(order[static_cast<size_t>(i)]), random, others);
  Record changed = words.with(others);
  if (changed.fields == record.fields) return std::nullopt;
  return changed;
}

}  // namespace hone
