// Errors that a user can act on: where it is, what is wrong, what was found, what to do.
//
// One exception type carries a kind; `cli` maps the kind to an exit code, in one switch. Anything
// else that escapes is our own fault and may end the program loudly.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hone {

// The values are the exit codes of the command line.
enum class ErrorKind { kInternal = 1, kUsage = 2, kData = 3, kModel = 4 };

// A place in a file. Lines and columns count from 1; 0 means "not known". Columns count bytes.
struct Where {
  std::string file;
  int64_t line = 0;
  int64_t column = 0;

  std::string str() const;  // "train.jsonl:17:3", "train.jsonl:17", "train.jsonl" or ""
};

// Length of the line end at text[at]: LF, CRLF, a lone CR (old Macs), or CR CR LF (what Python's
// csv writes on Windows without newline=''); 0 where there is none.
size_t line_end_length(std::string_view text, size_t at);

// The place of text[offset], where `start` is the place of text[0].
Where advance(Where start, std::string_view text, size_t offset);

class Error : public std::runtime_error {
 public:
  // The message shown is "<where>: <message>", or the message alone where `where` is empty.
  Error(ErrorKind kind, Where where, const std::string& message);
  Error(ErrorKind kind, const std::string& message) : Error(kind, Where{}, message) {}

  ErrorKind kind() const { return kind_; }
  const Where& where() const { return where_; }
  const std::string& message() const { return message_; }  // without the place

 private:
  ErrorKind kind_;
  Where where_;
  std::string message_;
};

// The candidate with the smallest edit distance to `name`, or "" where none is near enough to be
// meant.
std::string nearest(std::string_view name, std::span<const std::string> candidates);

// "; did you mean \"warmup_ratio\"?" or "" where nothing is near.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

}  // namespace hone
