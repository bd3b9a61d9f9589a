// What a reader holds at its peak, counted at operator new: at most four times the 64 MiB of the
// longest row, whatever the row is made of.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <new>

#include "reader_testing.h"

namespace {

std::atomic<int64_t> live_bytes{0}, peak_bytes{0};

int64_t cost_of(void* block) {
  constexpr int64_t kBookkeeping = 8;
  return static_cast<int64_t>(malloc_usable_size(block)) + kBookkeeping;
}

}  // namespace

void* operator new(size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  const int64_t now = live_bytes += cost_of(block);
  for (int64_t peak = peak_bytes; now > peak && !peak_bytes.compare_exchange_weak(peak, now);) {
  }
  return block;
}
void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  live_bytes -= cost_of(block);
  std::free(block);
}
void operator delete(void* block, size_t) noexcept { operator delete(block); }
// A sanitizer has its own of these, whose blocks the above would not know.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block, const std::nothrow_t&) noexcept { operator delete(block); }

namespace hone {
namespace {

constexpr size_t kRow = size_t{64} << 20;
constexpr size_t kValues = size_t{1} << 19;

struct Row {
  const char* name;
  const char* file;
  std::function<void(std::ostream&)> write;
  bool is_legal = true;
  std::string keys = {};                                 // of a configuration
  std::function<void(std::ostream&)> write_beside = {};  // the file beside.txt
};

void repeat(std::ostream& out, const std::string& text, size_t count) {
  for (size_t i = 0; i < count; ++i) out << text;
}
std::string letters(size_t count) { return std::string(count, 'x'); }

// Each as long, and of as many values, as a row may be; and some beyond.
std::vector<Row> rows() {
  const size_t per_value = kRow / kValues;
  return {
      {"text", "a.txt", [](auto& out) { repeat(out, letters(1 << 10), kRow >> 10); }},
      {"folder", "label/a.txt", [](auto& out) { repeat(out, letters(1 << 10), (kRow >> 10) - 1); }},
      {"json_text", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": \"";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\"}\n";
       }},
      {"json_text_among_others", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": \"";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\", \"b\": 0, \"c\": 0, \"d\": 0, \"e\": 0, \"f\": 0}\n";
       }},
      {"json_escapes", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": \"";
         repeat(out, "\\n", kRow / 2 - 8);
         out << "\"}\n";
       }},
      {"json_texts", "a.json",
       [=](auto& out) {
         out << "{\"a\": [";
         repeat(out, "\"" + letters(per_value - 4) + "\",", kValues - 5);
         out << "0]}\n";
       }},
      {"json_lists", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": [";
         repeat(out, "[],", kValues - 5);
         out << "0]}\n";
       }},
      {"json_keys", "a.jsonl",
       [=](auto& out) {
         out << "{";
         for (size_t i = 0; i < kValues / 2 - 5; ++i)
           out << "\"" << 100000 + i << letters(2 * per_value - 20) << "\":\"\",";
         out << "\"b\":0}\n";
       }},
      {"csv_quotes", "a.csv",
       [](auto& out) {
         out << "a,b\n\"";
         repeat(out, "\"\"", kRow / 2 - 8);
         out << "\",\n";
       }},
      {"csv_columns", "a.csv",
       [=](auto& out) {
         for (size_t i = 0; i < kValues; ++i) out << (i > 0 ? "," : "") << i;
         out << "\n" << letters(per_value - 1);
         repeat(out, "," + letters(per_value - 1), kValues - 1);
         out << "\n";
       }},
      {"conll_tokens", "a.conll",
       [=](auto& out) {
         for (size_t i = 0; i < kValues / 2; ++i) out << letters(2 * per_value - 4) << " O\n";
       }},
      {"json_with_elements", "a.jsonl",
       [](auto& out) {
         for (const char* part : {"{\"a\": \"", "\", \"b\": [{\"c\": \""}) {
           out << part;
           repeat(out, letters(1 << 10), (kRow >> 11) - 1);
         }
         out << "\"}]}\n";
       },
       true, "each: b"},
      {"json_that_elements_would_repeat", "a.jsonl",
       [](auto& out) {
         out << "{\"b\": [{}, {}], \"a\": \"";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\"}\n";
       },
       false, "each: b"},
      {"json_words", "a.jsonl",
       [=](auto& out) {
         out << "{\"a\": \"";
         repeat(out, letters(per_value - 1) + " ", kValues - 8);
         out << "\"}\n";
       },
       true, "forms: {a: words}"},
      {"json_too_many_words", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": \"";
         repeat(out, "x ", kRow / 2 - 8);
         out << "\"}\n";
       },
       false, "forms: {a: words}"},
      {"json_mentions", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": {\"" << letters(200) << "\": {\"x\": [";
         repeat(out, "[7,7],", kValues / 3 - 8);
         out << "[7,7]]}}}\n";
       },
       true, "forms: {a: by_type}"},
      {"json_with_a_text_beside", "a.jsonl",
       [](auto& out) {
         out << "{\"id\": \"beside\", \"a\": \"";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\"}\n";
       },
       true, "texts: {text: '{id}.txt'}",
       [](auto& out) { repeat(out, letters(1 << 10), kRow >> 11); }},
      {"json_with_too_long_a_text_beside", "a.jsonl",
       [](auto& out) { out << "{\"id\": \"beside\"}\n"; }, false, "texts: {text: '{id}.txt'}",
       [](auto& out) { repeat(out, letters(1 << 10), kRow >> 9); }},
      {"aligned_lines", "a.in", [](auto& out) { repeat(out, letters(1 << 10), kRow >> 11); }, true,
       "beside: {b: $/beside.txt}", [](auto& out) { repeat(out, letters(1 << 10), kRow >> 11); }},
      {"aligned_lines_too_long", "a.in",
       [](auto& out) { repeat(out, letters(1 << 10), kRow >> 10); }, false,
       "beside: {b: $/beside.txt}", [](auto& out) { repeat(out, letters(1 << 10), kRow >> 10); }},
      {"brat_text", "beside.ann", [](auto& out) { out << "T1\tX 60000000 60000003\txxx\n"; }, true,
       "format: brat", [](auto& out) { repeat(out, letters(1 << 10), kRow >> 10); }},
      {"doccano_text", "a.jsonl",
       [](auto& out) {
         out << "{\"label\": [[60000000, 60000003, \"X\"]], \"text\": \"";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\"}\n";
       },
       true, "format: doccano"},
      {"label_studio_text", "a.json",
       [](auto& out) {
         out << R"([{"annotations": [{"result": [{"type": "labels", "value": {"start": 60000000,)"
             << R"("end": 60000003, "text": "xxx", "labels": ["X"]}}]}], "data": {"text": ")";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "\"}}]\n";
       },
       true, "format: label_studio"},
      {"xml_text", "a.xml",
       [](auto& out) {
         out << "<a><b>";
         repeat(out, letters(1 << 10), (kRow >> 10) - 1);
         out << "</b></a>\n";
       },
       true, "format: xml, rows: a.b"},
      {"xml_elements", "a.xml",
       [=](auto& out) {
         out << "<a><b>";
         repeat(out, "<c>" + letters(4 * per_value - 8) + "</c>", kValues / 4 - 2);
         out << "</b></a>\n";
       },
       true, "format: xml, rows: a.b"},
      {"xml_elements_of_many_names", "a.xml",
       [](auto& out) {
         out << "<a><b>";
         for (size_t i = 0; i < kValues / 8 - 2; ++i) out << "<c" << i << " d=''/>";
         out << "</b></a>\n";
       },
       true, "format: xml, rows: a.b"},
      {"xml_too_many_elements", "a.xml",
       [](auto& out) {
         out << "<a><b>";
         repeat(out, "<c/>", kRow / 4 - 8);
         out << "</b></a>\n";
       },
       false, "format: xml, rows: a.b"},
      {"csv_commas", "a.csv",
       [](auto& out) {
         out << "a,b\n";
         repeat(out, ",", kRow - 8);
       },
       false},
      {"json_list_of_lists", "a.jsonl",
       [](auto& out) {
         out << "{\"a\": [";
         repeat(out, "[],", kRow / 3 - 8);
         out << "0]}\n";
       },
       false},
      {"conll_without_blank_lines", "a.conll", [](auto& out) { repeat(out, "a O\n", kRow / 4); },
       false},
      {"conll_columns", "a.conll", [](auto& out) { repeat(out, "O ", kRow / 2 - 8); }, false},
      {"csv_without_closing_quote", "a.csv",
       [](auto& out) {
         out << "a,b\n\"";
         repeat(out, "\"\"", kRow);
       },
       false},
  };
}

SourceOptions options_of(const Row& row, const TemporaryFolder& folder) {
  std::string yaml = row.keys;
  if (const size_t at = yaml.find("$/"); at != yaml.npos) yaml.replace(at, 1, folder.path());
  yaml = "{path: " + folder / row.file + (yaml.empty() ? "" : ", ") + yaml + "}";
  Config section = Config::parse(yaml, "c");
  return SourceOptions::read(section);
}

class Memory : public testing::TestWithParam<Row> {};

TEST_P(Memory, OfAReaderIsAtMostFourOfItsLongestRows) {
  TemporaryFolder folder;
  SourceOptions options = options_of(GetParam(), folder);
  options.tag_scheme = "IOB2";
  std::filesystem::create_directories(folder / "label");
  if (options.path.ends_with("label/a.txt")) options.format = "folder";
  {
    std::ofstream file(options.path, std::ios::binary);
    GetParam().write(file);
  }
  if (GetParam().write_beside) {
    std::ofstream file(folder / "beside.txt", std::ios::binary);
    GetParam().write_beside(file);
  }
  const int64_t before = live_bytes;
  peak_bytes = before;
  int64_t rows = 0;
  try {
    const auto reader = open_reader(options);
    while (reader->next()) ++rows;
    EXPECT_TRUE(GetParam().is_legal);
    EXPECT_EQ(rows, 1);
  } catch (const Error& error) {
    EXPECT_FALSE(GetParam().is_legal) << error.what();
  }
  const double peak = static_cast<double>(peak_bytes - before) / kRow;
  RecordProperty("peak_in_rows", std::to_string(peak));
  EXPECT_LE(peak, 4);
}

INSTANTIATE_TEST_SUITE_P(Rows, Memory, testing::ValuesIn(rows()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hone
