// SQuAD's JSON (Rajpurkar et al. 2016, 2018; also CMRC 2018, DRCD, XQuAD):
//
//   {"version": …, "data": [{"title": …, "paragraphs": [{"context": …, "qas": [{"question": …,
//   …}]}]}]}
//
// A record is a question: the fields of its object, the paragraph's "context" and the article's
// "title" where that stands before its paragraphs, with the place of the question. What memory
// holds is one paragraph.
#include <fmt/format.h>

#include <optional>

#include "data/json_stream.h"
#include "data/row_reader.h"

namespace hone {
namespace {

constexpr size_t kMostShownNames = 20;  // of an article's members

// Where the elements of the list at member `name` of an object begin: offsets in `text`, which is
// known to be valid JSON.
std::vector<size_t> element_offsets(std::string_view text, const std::string& name) {
  std::vector<size_t> offsets;
  const auto value_end = [&](size_t at) {
    JsonValueEnd end;
    end.find(text.substr(at));
    return at + end.size();
  };
  size_t at = skip_json_space(text, 1);
  for (std::string key; text[at] != '}'; at = skip_json_space(text, at)) {
    const size_t end = value_end(at);
    key = Json::parse(text.substr(at, end - at)).get<std::string>();
    at = skip_json_space(text, skip_json_space(text, end) + 1);  // behind the colon
    const size_t value = at;
    at = skip_json_space(text, value_end(at));
    if (text[at] == ',') ++at;
    if (key != name || text[value] != '[') continue;
    for (size_t i = skip_json_space(text, value + 1); text[i] != ']';) {
      offsets.push_back(i);
      i = skip_json_space(text, value_end(i));
      if (text[i] == ',') i = skip_json_space(text, i + 1);
    }
  }
  return offsets;
}

class SquadReader : public RowReader {
 public:
  SquadReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), json_(this->text()) {}

 protected:
  bool read_row(Record& record) override {
    while (next_ == places_.size()) {
      if (!next_paragraph()) return false;
    }
    const Where where = places_[next_];
    record.line = where.line;
    record.column = where.column;
    Json question = std::move(questions_[next_++]);
    if (!question.is_object()) fail(where, "a question must be an object", question);
    record.fields = std::move(question);
    record.fields["context"] = context_;
    if (!title_.is_null() && !record.fields.contains("title")) record.fields["title"] = title_;
    return true;
  }

  std::vector<std::string> reader_advice() const override {
    if (late_titles_ == 0) return {};
    return {
        fmt::format("{}: {} articles have their \"title\" behind their \"paragraphs\", whose "
                    "rows are without it; put it before them",
                    *file(), late_titles_)};
  }

 private:
  [[noreturn]] static void fail(const Where& where, const std::string& what, const Json& found) {
    throw Error(ErrorKind::kData, where, fmt::format("{}; found {}", what, found.type_name()));
  }

  // The questions of the next paragraph; false at the end of the file. Error(kData) where it is no
  // paragraph, which is passed over then.
  bool next_paragraph() {
    while (!paragraphs_ || !json_.next_in(*paragraphs_)) {
      paragraphs_.reset();
      if (!next_article_member()) return false;
    }
    const Where start = text().here();
    const size_t size = json_.value_size();
    const Consume after{text(), size};
    read_paragraph(text().window().substr(0, size), start);
    return true;
  }

  void read_paragraph(std::string_view whole, const Where& start) {
    questions_ = Json::array();
    places_.clear();
    next_ = 0;
    text().check_text(whole, start);
    Json paragraph = parse_json(whole, start, ErrorKind::kData, kMostValues);
    if (!paragraph.is_object()) fail(start, "a paragraph must be an object", paragraph);
    const auto context = paragraph.find("context"), questions = paragraph.find("qas");
    if (context == paragraph.end() || questions == paragraph.end() || !questions->is_array())
      throw Error(ErrorKind::kData, start,
                  fmt::format("a paragraph of SQuAD's format has a \"context\" and a list of its "
                              "questions, \"qas\"; this one has {}",
                              names_of(paragraph)));
    context_ = std::move(*context);
    questions_ = std::move(*questions);
    for (const size_t offset : element_offsets(whole, "qas"))
      places_.push_back(advance(start, whole, offset));
  }

  static std::string names_of(const Json& object) {
    std::vector<std::string> names;
    for (const auto& item : object.items()) names.push_back(item.key());
    return names.empty() ? "nothing" : fmt::format("\"{}\"", fmt::join(names, "\", \""));
  }

  // Goes on within articles until a list of paragraphs is entered; false at the end of the file.
  bool next_article_member() {
    for (;;) {
      if (!article_ && !next_article()) return false;
      if (!json_.next_in(*article_)) {
        end_article();
        continue;
      }
      const std::string key = json_.key();
      if (key == "paragraphs") {
        enter_paragraphs();
        return true;
      }
      Json value = take_json();
      if (key == "title" && has_paragraphs_ && !value.is_null()) ++late_titles_;
      if (key == "title") title_ = std::move(value);
      if (members_.size() < kMostShownNames) members_[key] = nullptr;
    }
  }

  void enter_paragraphs() {
    has_paragraphs_ = true;
    const char first = json_.next();
    const Where start = text().here();
    if (first != '[') fail(start, "the \"paragraphs\" of an article must be a list", take_json());
    paragraphs_ = json_.enter();
  }

  void end_article() {
    article_.reset();
    if (has_paragraphs_) return;
    throw Error(ErrorKind::kData, article_place_,
                fmt::format("an article of SQuAD's format has a list \"paragraphs\"; this one has "
                            "{}",
                            names_of(members_)));
  }

  bool next_article() {
    while (!articles_ || !json_.next_in(*articles_)) {
      if (articles_) has_ended_data_ = true;
      articles_.reset();
      if (!next_member()) return false;
    }
    const char first = json_.next();
    const Where start = text().here();
    if (first != '{') fail(start, "an article must be an object", take_json());
    title_ = nullptr;
    members_ = Json::object();
    has_paragraphs_ = false;
    article_place_ = start;
    article_ = json_.enter();
    return true;
  }

  // Goes on in the outermost object until "data" is entered; false at the end of the file.
  bool next_member() {
    if (is_done_) return false;
    if (!top_ && json_.next() != '{')
      json_.fail("SQuAD's format is an object with a list \"data\"");
    if (!top_) top_ = json_.enter();
    while (json_.next_in(*top_)) {
      const std::string key = json_.key();
      if (key == "data" && json_.next() == '[') {
        articles_ = json_.enter();
        return true;
      }
      take_value();
    }
    is_done_ = true;
    json_.next();
    if (!text().window().empty()) json_.fail("text after the end of the object");
    if (!has_ended_data_)
      throw StreamError(ErrorKind::kData, text().here(),
                        "SQuAD's format has a list \"data\", and this file has none");
    return false;
  }

  Json take_json() {
    json_.next();
    const Where start = text().here();
    return parse_json(take_value(), start, ErrorKind::kData, kMostValues);
  }

  // The value that begins here, consumed, also where it is no text.
  std::string take_value() {
    json_.next();
    const Where start = text().here();
    const size_t size = json_.value_size();
    const Consume after{text(), size};
    text().check_text(text().window().substr(0, size), start);
    return std::string(text().window().substr(0, size));
  }

  JsonStream json_;
  std::optional<JsonStream::Level> top_, articles_, article_, paragraphs_;
  bool has_ended_data_ = false, is_done_ = false;
  bool has_paragraphs_ = false;  // the article, so far
  Json members_;                 // its others, by name
  Where article_place_;
  int64_t late_titles_ = 0;
  Json title_, context_, questions_ = Json::array();
  std::vector<Where> places_;  // of the questions
  size_t next_ = 0;            // of them
};

}  // namespace

std::unique_ptr<RecordReader> read_squad(const SourceOptions& options,
                                         std::unique_ptr<TextStream> text) {
  return std::make_unique<SquadReader>(options, std::move(text));
}

}  // namespace hone
