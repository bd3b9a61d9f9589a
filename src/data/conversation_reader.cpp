// Alpaca's and ShareGPT's files: JSON lists of rows, or an object a line. A row's conversation
// becomes "messages" (data/chat/conversation.h); its other fields stay.
#include <fmt/format.h>

#include "data/chat/conversation.h"
#include "data/json_rows.h"
#include "data/row_reader.h"

namespace hone {
namespace {

class ConversationReader : public RowReader {
 public:
  ConversationReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)),
        rows_(this->text(), options.rows),
        is_alpaca_(options.format == "alpaca") {}

 protected:
  bool read_row(Record& record) override {
    if (!rows_.next(record)) return false;
    need_object(record.fields, record.where());
    try {
      Json messages = is_alpaca_ ? messages_of_alpaca(record.fields) : of_sharegpt(record.fields);
      make_plain(messages);
      for (const char* name :
           {"instruction", "input", "output", "history", "system", "conversations"})
        record.fields.erase(name);
      record.fields["messages"] = std::move(messages);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, record.where(), error.message());
    }
    return true;
  }

 private:
  static Json of_sharegpt(Json& row) {
    const auto turns = row.find("conversations");
    if (turns == row.end())
      throw Error(ErrorKind::kData, "a row of ShareGPT's format has a list \"conversations\"");
    Json messages = messages_of_sharegpt(*turns);
    const auto system = row.find("system");
    if (system != row.end() && system->is_string() && *system != "")
      messages.insert(messages.begin(), Json{{"role", "system"}, {"content", *system}});
    if (const auto tools = row.find("tools"); tools != row.end())
      *tools = tools_of(*tools, "tools");
    return messages;
  }

  JsonRows rows_;
  bool is_alpaca_;
};

}  // namespace

std::unique_ptr<RecordReader> read_conversations(const SourceOptions& options,
                                                 std::unique_ptr<TextStream> text) {
  return std::make_unique<ConversationReader>(options, std::move(text));
}

}  // namespace hone
