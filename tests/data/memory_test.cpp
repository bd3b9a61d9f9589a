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

namespace hone {
namespace {

constexpr size_t kRow = size_t{64} << 20;
constexpr size_t kValues = size_t{1} << 19;

struct Row {
  const char* name;
  const char* file;
  std::function<void(std::ostream&)> write;
  bool is_legal = true;
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

class Memory : public testing::TestWithParam<Row> {};

TEST_P(Memory, OfAReaderIsAtMostFourOfItsLongestRows) {
  TemporaryFolder folder;
  SourceOptions options;
  options.path = folder / GetParam().file;
  options.tag_scheme = "IOB2";
  std::filesystem::create_directories(folder / "label");
  if (options.path.ends_with("label/a.txt")) options.format = "folder";
  {
    std::ofstream file(options.path, std::ios::binary);
    GetParam().write(file);
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
