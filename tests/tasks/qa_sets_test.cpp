// Published question answering sets whose answers do not all stand where they say.
#include <gtest/gtest.h>

#include "data/reader.h"
#include "data/shared_files.h"
#include "tasks/fields.h"
#include "tasks/qa/gold.h"

namespace hone::qa {
namespace {

struct Offsets {
  int64_t right = 0, at_another_place = 0, nowhere = 0;  // answers
  int64_t wrong_rows = 0, not_learned_rows = 0;

  bool operator==(const Offsets&) const = default;
};

void PrintTo(const Offsets& o, std::ostream* out) {
  *out << o.right << " right, " << o.at_another_place << " elsewhere, " << o.nowhere
       << " nowhere; rows: " << o.wrong_rows << " wrong, " << o.not_learned_rows << " not learned";
}

Offsets offsets_in(const std::string& path) {
  SourceOptions options;
  options.path = path;
  Offsets found;
  const auto reader = open_reader(options);
  while (const std::optional<Record> record = reader->next()) {
    const std::string& context = need_text_as_read(*record, "context");
    const std::vector<Answer> answers = answers_of(*record, Options());
    for (const Answer& answer : answers) {
      const Located located = locate(answer, context);
      ++(located.repair.empty() ? found.right
         : located.bytes        ? found.at_another_place
                                : found.nowhere);
    }
    const Located first = locate_first(answers, context);
    found.wrong_rows += !first.repair.empty();
    found.not_learned_rows += !first.bytes.has_value();
  }
  return found;
}

// 205 of the 10,659 offsets are wrong, as whoever compares the texts by hand finds: 12 answers
// stand once elsewhere, 193 nowhere, and each of their questions has another answer that is
// learned.
TEST(QaSets, TellTheWrongOffsetsOfCmrc2018) {
  const std::string folder = shared_path("data/qa/cmrc2018/");
  HONE_NEEDS_SHARED(folder);
  EXPECT_EQ(offsets_in(folder + "cmrc2018_dev.json"), (Offsets{9457, 7, 193, 176, 0}));
  EXPECT_EQ(offsets_in(folder + "cmrc2018_trial.json"), (Offsets{997, 5, 0, 5, 0}));
}

}  // namespace
}  // namespace hone::qa
