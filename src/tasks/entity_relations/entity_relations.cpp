#include "tasks/entity_relations/entity_relations.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tasks/entity_relations/scorer.h"
#include "tasks/fields.h"
#include "tasks/labels.h"
#include "tasks/ner/text.h"
#include "tasks/nested_ner/views.h"

namespace hone::entity_relations {
namespace {

// The targets, and what names of weights begin with.
constexpr const char* kHeads = "relation_heads";
constexpr const char* kTails = "relation_tails";
constexpr const char* kRelations = "relations";  // in config.json and hone.json

// The samples as windows beside each other.
nested_ner::Views views_of(const std::vector<Sample>& samples) {
  std::vector<Row> rows;
  for (const Sample& sample : samples) rows.push_back({&sample, {}});
  return nested_ner::Views(rows);
}

}  // namespace

// A relation of the gold record: bytes of its entities, in its direction.
struct EntityRelations::Claimed {
  Span head, tail;
  int64_t label;
};

EntityRelations::EntityRelations(Options options)
    : options_(std::move(options)), entities_(options_.entities) {}

EntityRelations::EntityRelations(Options options, nested_ner::NestedNer entities,
                                 std::set<std::string> labels)
    : options_(std::move(options)),
      entities_(std::move(entities)),
      labels_(std::move(labels)),
      names_(labels_.begin(), labels_.end()) {}

const TaskInfo& EntityRelations::info() const { return kInfo; }

std::vector<std::string> EntityRelations::gold_fields() const {
  return {options_.entities.spans.entities, options_.relations};
}

std::vector<std::string> EntityRelations::labels_of(const Record& gold) const {
  const relation::Options as_relation = options_.as_relation();
  need_field(gold, as_relation.entities);
  std::vector<std::string> labels;
  for (const relation::Claim& claim : relation::claims_of(
           gold.fields, relation::document_of(gold, as_relation), gold, as_relation))
    labels.push_back(claim.label);
  return labels;
}

void EntityRelations::learn(const Record& gold) {
  const std::vector<std::string> labels = labels_of(gold);
  entities_.learn(gold);  // a bad row teaches nothing
  labels_.insert(labels.begin(), labels.end());
}

void EntityRelations::finish_learning() {
  entities_.finish_learning();
  if (labels_.empty())
    throw Error(ErrorKind::kData,
                fmt::format("the training data has no relation at all. Is \"{}\" the right field? "
                            "Entities alone are the task \"nested_ner\"",
                            options_.relations));
  names_.assign(labels_.begin(), labels_.end());
}

std::vector<EntityRelations::Claimed> EntityRelations::claims_of(const Record& record) const {
  const relation::Options as_relation = options_.as_relation();
  const relation::Document document = relation::document_of(record, as_relation);
  std::vector<Claimed> claims;
  for (const relation::Claim& claim :
       relation::claims_of(record.fields, document, record, as_relation)) {
    const auto label = std::find(names_.begin(), names_.end(), claim.label);
    if (label == names_.end() && options_.entities.spans.unknown_labels == "count") continue;
    if (label == names_.end())
      throw ner::unknown_type(claim.label, names_, options_.relations, record, "relation",
                              "relations");
    const Span first = document.entities[claim.first].bytes,
               second = document.entities[claim.second].bytes;
    const bool is_forward = claim.direction != relation::Direction::kBackward;
    claims.push_back(
        {is_forward ? first : second, is_forward ? second : first, label - names_.begin()});
  }
  return claims;
}

std::vector<Sample> EntityRelations::encode(const Record& record, const Tokenizer& tokenizer,
                                            bool with_targets, bool* truncated) const {
  std::vector<Sample> samples = entities_.encode(record, tokenizer, with_targets, truncated);
  if (with_targets) add_targets(claims_of(record), samples);
  return samples;
}

void EntityRelations::add_targets(const std::vector<Claimed>& claims,
                                  std::vector<Sample>& samples) const {
  std::vector<bool> is_held(claims.size());
  const nested_ner::Views views = views_of(samples);
  for (size_t window = 0; window < samples.size(); ++window) {
    std::vector<TypedPair> heads, tails;
    for (size_t i = 0; i < claims.size(); ++i) {
      const auto& [head_bytes, tail_bytes, label] = claims[i];
      const TokenRange head = views.tokens(window, head_bytes),
                       tail = views.tokens(window, tail_bytes);
      if (head.is_empty() || tail.is_empty()) continue;
      heads.push_back({head.begin, tail.begin, label});
      tails.push_back({head.end - 1, tail.end - 1, label});
      is_held[i] = true;
    }
    add_pairs(kHeads, heads, samples[window]);
    add_pairs(kTails, tails, samples[window]);
  }
  const auto lost = std::count(is_held.begin(), is_held.end(), false);
  if (lost == 0) return;
  std::string& repair = samples.front().repair;
  repair += fmt::format(
      "{}no window holds both entities of {} of its relations, which are not "
      "learned",
      repair.empty() ? "" : "; ", lost);
}

std::shared_ptr<Head> EntityRelations::make_head(const ModelConfig& config) const {
  return std::make_shared<PointerHead>(
      config, options_.entities.head_size,
      PointerHead::Kinds{entities_.kind(), {kHeads, relation_types()}, {kTails, relation_types()}});
}

Loss EntityRelations::loss(const Outputs& outputs, const Batch& batch,
                           const LossOptions& options) const {
  const Loss entities =
      entities_.loss({{outputs[0], RowOf::kToken}}, batch, options);  // counts samples · types
  const double samples = targets_in(batch);
  const auto ends_loss = [&](size_t output, const char* name) {
    return pair_loss(outputs[output], batch,
                     {name, relation_types(), PairOrder::kAny, options.label_smoothing});
  };
  const at::Tensor heads = ends_loss(1, kHeads), tails = ends_loss(2, kTails);
  return {options_.entity_weight * samples / entities.count * entities.sum +
              options_.relation_weight / (2.0 * static_cast<double>(relation_types())) *
                  (heads + tails),
          samples};
}

double EntityRelations::targets_in(const Batch& batch) const {
  return static_cast<double>(batch.records.size());
}

namespace {

// The entities of a result, by bytes of the text.
std::vector<Span> bytes_of(const Json& entities, const std::string& text) {
  const Characters characters(text);
  std::vector<Span> bytes;
  for (const Json& entity : entities)
    bytes.push_back(characters.bytes(entity.at("start"), entity.at("end")));
  return bytes;
}

struct Related {
  size_t head, tail;
  int64_t type;
  double score;
};

// Relations of entities, each pair from the window where it has most context.
class Relations {
 public:
  Relations(std::span<const Row> rows, int64_t types, double threshold)
      : rows_(rows),
        views_(rows),
        types_(types),
        least_(std::log(threshold / (1 - threshold))),
        heads_(rows.size()),
        tails_(rows.size()) {}

  // `entities` are in the order of the text: what lies beyond the reach of all windows ends a
  // search.
  std::vector<Related> between(const std::vector<Span>& entities) {
    std::vector<Related> found;
    for (size_t i = 0; i < entities.size(); ++i) {
      for (size_t j = i + 1; j < entities.size() && is_in_reach(entities[i], entities[j]); ++j) {
        add(entities, i, j, found);
        add(entities, j, i, found);
      }
    }
    std::sort(found.begin(), found.end(), [](const Related& a, const Related& b) {
      return std::tie(a.head, a.tail, a.type) < std::tie(b.head, b.tail, b.type);
    });
    keep_surest(found, static_cast<int64_t>(entities.size()));
    return found;
  }

 private:
  // Whether a window holds all between the beginnings of two entities.
  bool is_in_reach(Span first, Span second) const {
    return views_.answering({first.start, std::max(first.end, second.start)}) != rows_.size();
  }

  void add(const std::vector<Span>& entities, size_t head, size_t tail,
           std::vector<Related>& found) {
    const Span a = entities[head], b = entities[tail];
    const size_t window = views_.answering({std::min(a.start, b.start), std::max(a.end, b.end)});
    if (window == rows_.size()) return;
    const TokenRange from = views_.tokens(window, a), to = views_.tokens(window, b);
    const auto [heads, tails] = scores_of(window);
    for (int64_t type = 0; type < types_; ++type) {
      const double score = std::min(at(heads, type, from.begin, to.begin),
                                    at(tails, type, from.end - 1, to.end - 1));
      if (score >= least_) found.push_back({head, tail, type, score});
    }
  }

  // Of a window's pairs [types, n, n], made when they are first asked for.
  std::pair<const at::Tensor&, const at::Tensor&> scores_of(size_t window) {
    const TokenRange text = views_.text(window);
    const auto scores = [&](const at::Tensor& tokens) {
      return pointer_scores(tokens.narrow(0, text.begin, text.end - text.begin), types_)
          .contiguous();
    };
    if (!heads_[window].defined()) {
      heads_[window] = scores(rows_[window].more.at(0));
      tails_[window] = scores(rows_[window].more.at(1));
    }
    return {heads_[window], tails_[window]};
  }
  static double at(const at::Tensor& scores, int64_t type, int64_t from, int64_t to) {
    return scores.const_data_ptr<float>()[(type * scores.size(1) + from) * scores.size(2) + to];
  }

  std::span<const Row> rows_;
  nested_ner::Views views_;
  int64_t types_;
  double least_;
  std::vector<at::Tensor> heads_, tails_;  // by window
};

}  // namespace

Json EntityRelations::decode(const Record& record, std::span<const Row> rows,
                             const Tokenizer& tokenizer) const {
  Json result = entities_.decode(record, rows, tokenizer);
  Json& entities = result[options_.entities.spans.entities];
  for (size_t i = 0; i < entities.size(); ++i) entities[i]["id"] = i;
  Json relations = Json::array();
  for (const auto& [head, tail, type, score] :
       Relations(rows, relation_types(), options_.entities.threshold)
           .between(bytes_of(entities, ner::text_of(record, options_.entities.spans))))
    relations.push_back({{"head", head},
                         {"tail", tail},
                         {"label", names_[type]},
                         {"score", probability(1 / (1 + std::exp(-score)))}});
  result[options_.relations] = std::move(relations);
  return result;
}

std::unique_ptr<Scorer> EntityRelations::make_scorer() const {
  return entity_relations::make_scorer(options_);
}

bool EntityRelations::can_continue(const ModelConfig& checkpoint) const {
  return Task::can_continue(checkpoint) && checkpoint.raw.value(kRelations, Json()) == Json(names_);
}

Json EntityRelations::state() const {
  Json state = entities_.state();
  state["options"] = options_json(options_);
  state[kRelations] = labels_;
  return state;
}

void EntityRelations::write_model_config(const ModelConfig& model, Json& config) const {
  entities_.write_model_config(model, config);
  config["architectures"] = Json::array({model.architecture_stem + "ForEntitiesAndRelations"});
  config[kRelations] = names_;
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<EntityRelations>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  const auto options = options_from<Options>(state.at("options"));
  return std::make_unique<EntityRelations>(
      options,
      nested_ner::NestedNer(options.entities, state.at("types").get<std::set<std::string>>()),
      state.at(kRelations).get<std::set<std::string>>());
}

}  // namespace

const TaskInfo kInfo{kTaskName, "joint entities and relations, scored end to end", make, restore};

}  // namespace hone::entity_relations
