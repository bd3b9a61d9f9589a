// Readers of labelled data: a source on disk becomes a stream of records, one at a time, whatever
// its size.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/record.h"

namespace hone {

struct SourceOptions {
  std::string path;  // a file, a pattern ("data/*.jsonl"), a folder of texts; "-": standard input
  std::vector<SourceOptions> parts;  // several, read one after the other; `path` lists their paths
  std::string format = "auto";       // auto (by name and first bytes), or one that reader.cpp
                                     // lists: jsonl, csv, …; docs/formats.md describes each
  std::string compression = "auto";  // auto | none | gzip | zstd
  std::string encoding = "utf-8";    // utf-8 | gb18030 | iso-8859-1 | … any name ICU knows
  bool has_header = true;  // csv, tsv: first row names the columns; else columns are "0", "1", …
  std::optional<bool>
      has_quotes;         // csv, tsv: RFC 4180 quoting; unless given, csv has it and tsv has not
  std::string separator;  // csv: ","; tsv: tab; conll: any white space unless given
  int64_t max_columns =
      0;  // csv, tsv: the last of so many columns takes the rest of the row; 0: no limit
  std::vector<std::string> columns;  // names for columns (csv/tsv without header; conll: default
                                     // tokens … tags = first and last; json: rows that are lists)
  std::vector<std::string>
      comment;  // conll: lines that begin so are passed over, unless they look like a token's
  std::string tag_scheme =
      "auto";  // conll: auto | IOB1 | IOB2 | BMES | BIOES | BILOU | none; read tags become IOB2
  std::map<std::string, std::string> fields;  // new name -> name in the file ("text: sentence")
  std::map<std::string, std::string> beside;  // aligned: field -> file whose line i belongs to
                                              // line i of `path`
  std::string rows;  // json, xml: where the rows stand ("train", "sentences.sentence")
  std::string each;  // a row for each element of this list of a row ("aspects.aspect")
  std::map<std::string, std::string> texts;  // field -> file that holds it ("data/{id}.txt")
  std::map<std::string, std::string> forms;  // field -> form of its values (value_forms.h)
  std::map<std::string, std::vector<std::string>> names;  // field -> what its numbers stand for
  std::string on_bad_row = "error";                       // error | skip

  // Reads these keys from a configuration section (data.train and so on). Naming `columns` of a csv
  // or tsv says that there is no header row, unless has_header: true is given too (then the names
  // replace the header's).
  static SourceOptions read(Config& section);
  // The same of a split, whose value is a section or a list of sections.
  static SourceOptions read_split(Config& data, const std::string& split);
};

bool comes_once(const std::string& path);  // standard input, a pipe: it cannot be read again

// Why a row was not used.
struct BadRow {
  Where where;
  std::string reason;
};

constexpr size_t kKeptBadRows = 1000;  // kept in full by a reader; all are counted

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // The next record, or nothing at the end. A bad row throws (Error kData with line and column), or
  // is kept in `bad_rows` (the first 1,000 in full, all counted) and passed over with on_bad_row:
  // skip.
  virtual std::optional<Record> next() = 0;
  virtual int64_t bad_count() const = 0;
  virtual const std::vector<BadRow>& bad_rows() const = 0;
  // Rows that were used after a repair (conll with tag_scheme: auto: tags that break the scheme,
  // read as conlleval reads them).
  virtual const std::vector<BadRow>& repaired_rows() const = 0;  // the first 1,000
  // What the rows read so far say about the options (values that look quoted, say), for people.
  virtual std::vector<std::string> advice() const = 0;
  // Bytes of the (compressed) file consumed and its size, for progress.
  virtual std::pair<int64_t, int64_t> position() const = 0;
};

std::unique_ptr<RecordReader> open_reader(const SourceOptions& options);

}  // namespace hone
