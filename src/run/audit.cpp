#include "run/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "base/random.h"
#include "data/fingerprint.h"

namespace hone {
namespace {

constexpr size_t kNamedRows = 100;     // rows that an audit names
constexpr double kManyUnknown = 0.01;  // share of unknown tokens from which on it is told

void name_row(const BadRow& row, std::vector<BadRow>& rows) {
  if (rows.size() < kNamedRows) rows.push_back(row);
}

uint64_t fingerprint_of(const std::vector<Sample>& samples) {
  uint64_t hash = samples.size();
  for (const Sample& sample : samples) {
    for (const Target& target : sample.targets) {
      if (target.is_input) continue;
      const auto* bytes = reinterpret_cast<const char*>(target.values.data());
      hash = mix(hash, hash_bytes({bytes, target.values.size() * sizeof(float)}));
    }
  }
  return hash;
}

// "the first: a.jsonl:3: why; hone check lists them"
std::string named(const std::vector<BadRow>& rows, int64_t all, const std::string& lister) {
  return fmt::format(
      "the first: {}: {}; {} lists {}", rows.front().where.str(), rows.front().reason, lister,
      all > static_cast<int64_t>(kNamedRows) ? fmt::format("the first {}", kNamedRows) : "them");
}

void tell_dropped(const std::string& split, const SplitAudit& audit, const std::string& lister) {
  if (audit.dropped == 0) return;
  std::string reasons;
  for (const auto& [reason, count] : audit.reasons)
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, reason);
  log_warn("{}: {} of {} rows are left out ({}), {}", split, audit.dropped, audit.rows, reasons,
           named(audit.examples, audit.dropped, lister));
}

void tell_repaired(const std::string& split, const SplitAudit& audit, const std::string& lister) {
  if (audit.repaired == 0) return;
  log_warn("{}: used after a repair: {} of {} rows, {}", split, audit.repaired, audit.rows,
           named(audit.repairs, audit.repaired, lister));
}

void tell_unknown(const std::string& split, const SplitAudit& audit) {
  if (audit.unknown_share() < kManyUnknown) return;
  log_warn(
      "{}: {} of {} tokens ({:.1f} %) are unknown to the model's vocabulary: it cannot tell them "
      "apart. A model whose vocabulary has these words or characters may do better",
      split, audit.unknown_tokens, audit.text_tokens, 100 * audit.unknown_share());
}

void tell_conflicts(const std::string& split, const Conflicts& conflicts) {
  if (conflicts.texts == 0) return;
  const auto& [first, other] = conflicts.examples.front();
  log_warn(
      "{}: equal texts with different labels: {} in {} rows, e.g. {} and {}; a model can be right "
      "in one of them only",
      split, conflicts.texts, conflicts.rows, first.str(), other.str());
}

}  // namespace

void EncodingAudit::add(const Record& record, const std::vector<Sample>& samples, bool truncated) {
  audit_.truncated += truncated;
  const std::string repair = samples.empty() ? "" : samples.front().repair;
  audit_.repaired += record.is_repaired || !repair.empty();
  if (!repair.empty())
    name_row({record.where(), repair}, audit_.repairs);
  else if (record.is_repaired && !has_reader_)
    name_row({record.where(), "repaired as it was read, which is told of train"}, audit_.repairs);
  for (const std::string& label : task_.labels_of(record)) ++audit_.labels[label];
  for (const Sample& sample : samples) {
    const auto length = static_cast<size_t>(sample.size());
    if (audit_.lengths.size() <= length) audit_.lengths.resize(length + 1);
    ++audit_.lengths[length];
    count_tokens(sample);
  }
  conflicts_.add(record, text_fingerprint(text_of_fields(record, text_fields_)),
                 fingerprint_of(samples));
}

void EncodingAudit::count_tokens(const Sample& sample) {
  for (const Sequence& stream : sample.streams) {
    for (size_t i = 0; i < stream.ids.size(); ++i) {
      if (stream.texts[i] < 0) continue;
      ++audit_.text_tokens;
      audit_.unknown_tokens += stream.ids[i] == unknown_;
    }
  }
}

// Reader, first pass and encoding named the rows, each in the order of the data.
void EncodingAudit::finish() {
  audit_.conflicts = conflicts_.find();
  for (std::vector<BadRow>* rows : {&audit_.examples, &audit_.repairs}) {
    std::stable_sort(rows->begin(), rows->end(), [](const BadRow& a, const BadRow& b) {
      return std::tie(a.where.file, a.where.line) < std::tie(b.where.file, b.where.line);
    });
  }
}

void count_bad_row(const BadRow& row, SplitAudit& audit) {
  ++audit.dropped;
  ++audit.reasons["bad row"];
  name_row(row, audit.examples);
}

void count_reader(const RecordReader& reader, SplitAudit& audit) {
  audit.rows += reader.bad_count();
  for (const BadRow& row : reader.bad_rows()) count_bad_row(row, audit);
  if (const int64_t more = reader.bad_count() - static_cast<int64_t>(reader.bad_rows().size());
      more > 0) {
    audit.dropped += more;
    audit.reasons["bad row"] += more;
  }
  for (const BadRow& row : reader.repaired_rows()) name_row(row, audit.repairs);
}

std::string why_none(const SplitAudit& audit) {
  std::string text = fmt::format(", of {}: ", audit.rows);
  for (const auto& [reason, count] : audit.reasons)
    text += fmt::format("{}{} {}", text.ends_with(": ") ? "" : ", ", count, reason);
  if (audit.examples.empty()) return text;
  return fmt::format("{}; the first is {}: {}.", text, audit.examples.front().where.str(),
                     audit.examples.front().reason);
}

void tell_idle(const std::string& section, const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) log_warn("{}: {}", section, sentence);
}

void tell_audit(const std::string& split, const SplitAudit& audit, const std::string& lister) {
  tell_dropped(split, audit, lister);
  tell_repaired(split, audit, lister);
  tell_unknown(split, audit);
  tell_conflicts(split, audit.conflicts);
}

}  // namespace hone
