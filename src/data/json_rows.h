// The rows of a JSON document: the elements of an array, or of objects on end, or of an array that
// stands deeper in one object ("train", "data.train").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/json_stream.h"
#include "data/record.h"

namespace hone {

class JsonRows {
 public:
  // `rows` is the path of the array, by keys with dots between them; "" where the document is the
  // array, or the objects.
  JsonRows(TextStream& text, const std::string& rows);

  // The next row, parsed, with its place; false behind the last one. Error(kData) where it is no
  // JSON, which is passed over then; StreamError where the frame around the rows is broken.
  bool next(Record& record);

 private:
  bool find_row();
  void find_array();                        // walks in as far as rows_ says
  void enter_key(const std::string& name);  // the value of that key begins here then
  void walk_out();                          // to the end of the document

  TextStream& text_;
  JsonStream json_;
  std::vector<std::string> path_;
  std::vector<JsonStream::Level> around_;  // the objects on the way to the array
  std::optional<JsonStream::Level> array_;
  bool is_begun_ = false, is_done_ = false;
};

// Error(kData) at `where` unless the row is an object.
void need_object(const Json& row, const Where& where);

}  // namespace hone
