#include "tasks/metrics/text/text_scorer.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/utf8.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/text/bleu_words.h"
#include "tasks/metrics/text/differences.h"
#include "tasks/metrics/text/lead.h"
#include "tasks/metrics/text/ngrams.h"
#include "tasks/metrics/text/oracle.h"
#include "tasks/metrics/text/text_metric.h"
#include "tasks/metrics/words.h"

namespace hone::metrics {
namespace {

constexpr size_t kRowsToTellScript = 1000;  // whose references say what script texts are in
constexpr double kCjkShare = 0.25;          // of their letters, from which it is one in characters
constexpr double kUnseenShare = 0.1;        // of letters that ROUGE may pass over in silence
constexpr size_t kTextsKept = 100;          // worst rows
constexpr size_t kShownSource = 500, kShownText = 2000;  // code points

struct Letters {
  double all = 0, ascii = 0, cjk = 0;

  void add(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      const char32_t c = next_code_point(text, at);
      all += u_isalpha(static_cast<UChar32>(c)) != 0 ? 1 : 0;
      ascii += c < 0x80 && u_isalpha(static_cast<UChar32>(c)) != 0 ? 1 : 0;
      cjk += is_cjk(c) ? 1 : 0;
    }
  }
};

// The beginning of a text; unlike `shortened`, with its lines.
std::string beginning_of(std::string_view text, size_t code_points) {
  size_t end = 0;
  for (size_t i = 0; i < code_points && end < text.size(); ++i) next_code_point(text, end);
  return std::string(text.substr(0, end)) + (end < text.size() ? "…" : "");
}

// One after the other, blanks between them.
std::string joined(const std::vector<std::string_view>& sentences) {
  std::string text;
  for (const std::string_view sentence : sentences) {
    if (!text.empty() && text.back() != ' ' && text.back() != '\n') text += ' ';
    text += sentence;
  }
  return text;
}

std::vector<std::string_view> source_sentences(const TextPair& pair) {
  if (pair.sentences.empty()) return sentences_of(pair.source);
  return {pair.sentences.begin(), pair.sentences.end()};
}

// The first so many sentences of the source.
std::string lead_of(const TextPair& pair, int64_t count) {
  if (pair.sentences.empty()) return std::string(lead(pair.source, count));
  std::vector<std::string_view> sentences = source_sentences(pair);
  sentences.resize(std::min(sentences.size(), static_cast<size_t>(count)));
  return joined(sentences);
}

// Metrics and the sums of what their rows gave.
struct Measured {
  struct Part {
    std::unique_ptr<TextMetric> metric;
    std::vector<double> sums = {};
  };
  std::vector<Part> parts;

  explicit Measured(const TextOptions& options) {
    for (const std::string& name : options.metrics)
      parts.push_back({text_metrics().named(name).make(options)});
  }

  // The numbers of the row, by metric.
  std::vector<std::vector<double>> add(const PreparedPair& pair) {
    std::vector<std::vector<double>> rows;
    for (Part& part : parts) {
      rows.push_back(part.metric->numbers(pair));
      part.sums.resize(rows.back().size());
      for (size_t i = 0; i < part.sums.size(); ++i) part.sums[i] += rows.back()[i];
    }
    return rows;
  }

  std::vector<double> scores() const {
    std::vector<double> all;
    for (const Part& part : parts) {
      for (const double score : part.metric->scores(part.sums)) all.push_back(score);
    }
    return all;
  }
};

}  // namespace

class TextScorer::Parts {
 public:
  explicit Parts(TextOptions options) : options_(std::move(options)) {
    main_ = text_metrics().named(options_.metrics.front()).main;
  }

  const std::string& main() const { return main_; }

  // Rows wait until it is clear what script their references are in.
  void add(TextPair pair) {
    if (measured_) {
      score(pair);
      return;
    }
    waiting_.push_back(std::move(pair));
    if (waiting_.size() == kRowsToTellScript) begin();
  }

  void add_to(Report& report) {
    if (!measured_) begin();
    if (rows_ == 0) return;
    add_metrics(report);
    add_finding(report);
    report.sections.push_back({"text_scoring", "how texts were scored", how_scored()});
    if (of_oracle_)
      report.sections.push_back({"extraction", "the best that copying could do", extraction()});
    if (!worst_.empty())
      report.sections.push_back(
          {"texts", "texts and references", GeneratedTexts{worst_, main_, "text_measure"}});
  }

 private:
  void begin() {
    Letters letters;
    for (const TextPair& pair : waiting_) {
      for (const std::string& reference : pair.references) letters.add(reference);
    }
    choose(letters.cjk > 0 && letters.cjk >= kCjkShare * letters.all);
    measured_.emplace(options_);
    if (options_.lead_sentences > 0) of_lead_.emplace(options_);
    if (options_.oracle_sentences > 0) of_oracle_.emplace(options_);
    for (const TextPair& pair : waiting_) score(pair);
    waiting_ = {};
  }

  // What was left open.
  void choose(bool is_cjk_text) {
    if (options_.metric_script == Script::kAuto)
      options_.metric_script = is_cjk_text ? Script::kCharacters : Script::kWords;
    const bool in_characters = options_.metric_script == Script::kCharacters;
    if (options_.bleu_tokenize == BleuTokenizer::kAuto)
      options_.bleu_tokenize = in_characters ? BleuTokenizer::kZh : BleuTokenizer::k13a;
    if (options_.rouge_words == RougeWords::kAuto)
      options_.rouge_words = in_characters ? RougeWords::kUnicode : RougeWords::kAscii;
  }

  PreparedText prepare(std::string_view text) {
    PreparedText prepared{text};
    prepared.points = options_.metric_lowercase ? lower_points(text) : from_utf8(text);
    const std::u32string words = with_blanks(prepared.points, options_.bleu_tokenize);
    prepared.words = words_.of(split_at_blanks(words));
    return prepared;
  }

  void score(const TextPair& pair) {
    PreparedPair prepared{prepare(pair.predicted), {}};
    for (const std::string& reference : pair.references) {
      prepared.references.push_back(prepare(reference));
      letters_.add(reference);
    }
    const std::vector<std::vector<double>> row = measured_->add(prepared);
    for (size_t i = 0; i < row.size(); ++i) {
      if (measured_->parts[i].metric->adds_up())
        numbers_.insert(numbers_.end(), row[i].begin(), row[i].end());
    }
    ++rows_;
    fewest_ = std::min(fewest_, pair.references.size());
    most_ = std::max(most_, pair.references.size());
    note(pair, prepared, measured_->parts.front().metric->row_score(row.front()));
    if (of_lead_) {
      const std::string first = lead_of(pair, options_.lead_sentences);
      prepared.predicted = prepare(first);
      of_lead_->add(prepared);
    }
    if (of_oracle_) {
      const std::string best = best_sentences(source_sentences(pair), prepared);
      prepared.predicted = prepare(best);
      of_oracle_->add(prepared);
    }
  }

  // Of the source, in its order.
  std::string best_sentences(const std::vector<std::string_view>& sentences,
                             const PreparedPair& pair) {
    std::vector<std::vector<int32_t>> words, references;
    for (const std::string_view sentence : sentences) words.push_back(prepare(sentence).words);
    for (const PreparedText& reference : pair.references) references.push_back(reference.words);
    std::vector<std::string_view> best;
    for (const size_t place : oracle(words, references, options_.oracle_sentences))
      best.push_back(sentences[place]);
    return joined(best);
  }

  // Keeps the worst rows, equally bad ones in the order they came.
  void note(const TextPair& pair, const PreparedPair& prepared, double row_score) {
    const bool is_full = worst_.size() == kTextsKept;
    if (is_full && row_score >= worst_.back().score) return;
    if (std::find(pair.references.begin(), pair.references.end(), pair.predicted) !=
        pair.references.end())
      return;
    const auto place = std::upper_bound(
        worst_.begin(), worst_.end(), row_score,
        [](double score, const GeneratedText& other) { return score < other.score; });
    worst_.insert(place, shown(pair, prepared, row_score));
    if (worst_.size() > kTextsKept) worst_.pop_back();
  }

  static GeneratedText shown(const TextPair& pair, const PreparedPair& prepared, double row_score) {
    const size_t nearest = nearest_reference(prepared);
    Differences differences =
        metrics::differences(beginning_of(pair.predicted, kShownText),
                             beginning_of(pair.references[nearest], kShownText));
    return {.where = pair.where,
            .source = beginning_of(pair.source, kShownSource),
            .predicted = std::move(differences.a),
            .reference = std::move(differences.b),
            .predicted_length = static_cast<int64_t>(count_code_points(pair.predicted)),
            .reference_length = static_cast<int64_t>(count_code_points(pair.references[nearest])),
            .references = static_cast<int64_t>(pair.references.size()),
            .score = row_score};
  }

  // The reference that shares most words with the text, for its length.
  static size_t nearest_reference(const PreparedPair& pair) {
    if (pair.references.size() == 1) return 0;
    const Ngrams text(pair.predicted.words, 1);
    size_t nearest = 0;
    double best = -1;
    for (size_t i = 0; i < pair.references.size(); ++i) {
      const Ngrams reference(pair.references[i].words, 1);
      const double f =
          2 * static_cast<double>(shared_ngrams(text, reference, 1)) /
          static_cast<double>(std::max<int64_t>(text.tokens() + reference.tokens(), 1));
      if (f > best) nearest = i, best = f;
    }
    return nearest;
  }

  // Scores of a resampled set, of the metrics that have them.
  std::vector<double> resampled(std::span<const int32_t> weights) const {
    const size_t width = numbers_.size() / static_cast<size_t>(rows_);
    std::vector<double> sums(width);
    for (size_t row = 0; row < weights.size(); ++row) {
      if (weights[row] == 0) continue;
      const double weight = weights[row];
      const double* numbers = numbers_.data() + row * width;
      for (size_t i = 0; i < width; ++i) sums[i] += weight * numbers[i];
    }
    std::vector<double> scores;
    size_t begin = 0;
    for (const Measured::Part& part : measured_->parts) {
      if (!part.metric->adds_up()) continue;
      const std::span<const double> own = std::span(sums).subspan(begin, part.sums.size());
      for (const double score : part.metric->scores(own)) scores.push_back(score);
      begin += part.sums.size();
    }
    return scores;
  }

  void add_metrics(Report& report) const {
    const std::vector<Interval> intervals =
        bootstrap(rows_, [&](std::span<const int32_t> weights) { return resampled(weights); });
    const std::vector<double> scores = measured_->scores(),
                              baselines = of_lead_ ? of_lead_->scores() : std::vector<double>{};
    size_t at = 0, interval = 0;
    for (const Measured::Part& part : measured_->parts) {
      for (const MetricName& name : part.metric->names()) {
        std::vector<Interval> range;
        if (part.metric->adds_up()) range.push_back(intervals[interval++]);
        report.add({name}, {scores[at]}, range,
                   baselines.empty() ? std::vector<double>{} : std::vector{baselines[at]});
        ++at;
      }
    }
    if (of_lead_)
      report.baseline += fmt::format(
          "{}of texts: the first {} of the source", report.baseline.empty() ? "" : "; ",
          options_.lead_sentences == 1 ? "sentence"
                                       : fmt::format("{} sentences", options_.lead_sentences));
  }

  bool has_rouge() const {
    return std::find(options_.metrics.begin(), options_.metrics.end(), "rouge") !=
           options_.metrics.end();
  }

  void add_finding(Report& report) const {
    const double unseen = letters_.all - letters_.ascii;
    if (!has_rouge() || options_.rouge_words != RougeWords::kAscii ||
        unseen <= kUnseenShare * letters_.all)
      return;
    report.found.push_back(
        {fmt::format("ROUGE passes over {:.0f} % of the references' letters: rouge-score's words "
                     "are of a to z and 0 to 9. rouge_words: unicode counts all",
                     100 * unseen / letters_.all),
         {},
         {}});
  }

  PlainTable extraction() const {
    PlainTable table{
        .note = fmt::format("The sentences of each source, at most {}, that share most with its "
                            "references (which no model knows), one after the other.",
                            options_.oracle_sentences),
        .columns = {{"metric", "metric"}, {"score", "score"}}};
    const std::vector<double> scores = of_oracle_->scores();
    size_t at = 0;
    for (const Measured::Part& part : of_oracle_->parts) {
      for (const MetricName& name : part.metric->names())
        table.rows.push_back({name.name, finite(scores[at++])});
    }
    return table;
  }

  PlainTable how_scored() const {
    const std::string references =
        fewest_ == most_ ? fmt::format("nrefs:{}", most_) : std::string("nrefs:var");
    PlainTable table{.note = "bleu and chrf: signatures of sacrebleu 2.6.0, whose scores these are",
                     .columns = {{"metric", "metric"}, {"signature", "signature"}}};
    for (size_t i = 0; i < measured_->parts.size(); ++i) {
      const std::string signature = measured_->parts[i].metric->signature();
      if (!signature.empty())
        table.rows.push_back({options_.metrics[i], references + "|" + signature});
    }
    return table;
  }

  TextOptions options_;
  std::string main_;
  std::vector<TextPair> waiting_;
  std::optional<Measured> measured_, of_lead_, of_oracle_;
  WordNumbers words_;
  Letters letters_;              // of the references
  std::vector<double> numbers_;  // of all rows, of the metrics that add up
  int64_t rows_ = 0;
  size_t fewest_ = std::numeric_limits<size_t>::max(), most_ = 0;
  std::vector<GeneratedText> worst_;
};

TextScorer::TextScorer(const TextOptions& options) : parts_(std::make_unique<Parts>(options)) {}
TextScorer::~TextScorer() = default;

void TextScorer::add(TextPair pair) { parts_->add(std::move(pair)); }
const std::string& TextScorer::main() const { return parts_->main(); }
void TextScorer::add_to(Report& report) { parts_->add_to(report); }

}  // namespace hone::metrics
