// What a report shows beside its metrics. A task makes sections of plain values; text, JSON and the
// page walk them and know no task.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "data/record.h"

namespace hone {

// Rows of numbers with averages below. The page folds long ones, and shows the worst and the
// largest rows then.
struct ScoreTable {
  struct Column {
    std::string key;      // in report.json
    std::string heading;  // in text; "": the column stands in report.json alone
    std::string title;    // on the page
    bool is_count = false;
  };
  struct Row {
    std::string label;
    std::vector<double> values;  // by column; the last ones may be missing
    bool is_total = false;       // text shows the main value and the counts alone

    double value(size_t column) const {  // NaN where it has none
      return column < values.size() ? values[column] : std::numeric_limits<double>::quiet_NaN();
    }
  };
  std::string one, many;  // what a row is: "class", "classes"
  std::vector<Column> columns;
  std::vector<Row> rows, averages = {};
  std::string averages_key = {};  // in report.json
  size_t main = 0;                // the column that ranks rows, from 0 to 1; greater is better
  size_t size = 0;                // the column that says how much a row stands for
};

// How often row i met column j, both of the same labels. Stands on the page and in report.json.
struct Matrix {
  std::vector<std::string> labels;
  std::vector<std::vector<int64_t>> counts;  // [row][column]
  std::string row = {}, column = {};         // "gold", "predicted"
  std::string many = {};                     // what the labels are: "classes"
};

// A count for each of rows x columns, which need not be of one kind: ranks by matrix and layer.
// Stands on the page and in report.json.
struct Grid {
  std::string note = {};  // how to read it
  std::vector<std::string> rows = {}, columns = {};
  std::vector<std::vector<int64_t>> counts = {};  // [row][column]; negative: there is none
};

// What y is where x lies in (low, high], both from 0 to 1; ideally y is x. Stands on the page and
// in report.json.
struct Curve {
  struct Bin {
    double x = 0, y = 0;  // means over what fell in
    int64_t count = 0;
    double low = 0, high = 0;
  };
  std::string x, y, counted = {};  // "confidence", "accuracy", "predictions"
  std::string note = {};           // how to read it
  std::vector<Bin> bins = {};
};

// Records worth a look, the first ones first: mistakes.
struct Example {
  Where where;
  std::string text, gold, predicted;
  double confidence = 0;  // what Examples::measure says; 0: not known
};
struct Examples {
  std::vector<Example> items;
  std::string measure;                      // "confidence", "error"
  std::string measure_key;                  // of the measure in report.json
  std::string legend = "gold → predicted";  // what the two answers of an item are
};

// Generated texts beside what they are compared with, the worst first.
struct TextPart {
  std::string text;
  bool is_shared = true;  // it stands in the other text, too
};
struct GeneratedText {
  Where where;
  std::string source;                                  // what was asked; "": not known
  std::vector<TextPart> predicted, reference;          // long ones end in "…"
  int64_t predicted_length = 0, reference_length = 0;  // characters of the whole texts
  int64_t references = 1;                              // the nearest of so many is shown
  double score = 0;                                    // what GeneratedTexts::measure says
};
struct GeneratedTexts {
  std::vector<GeneratedText> items;
  std::string measure;      // "rougeL"
  std::string measure_key;  // of the measure in report.json
};

// Plain rows and columns: test sets beside each other, stages of a run.
struct PlainTable {
  struct Column {
    std::string key;      // in report.json
    std::string heading;  // in text and on the page
  };
  std::string note = {};  // how to read it
  std::vector<Column> columns = {};
  std::vector<std::vector<Json>> rows = {};  // by column: a text, a whole number, a number; null
};

// Lines over one axis: a loss by the learning rate. Stands on the page and in report.json.
struct LineChart {
  struct Line {
    std::string name;
    std::vector<std::pair<double, double>> points = {};  // (x, y), x ascending
  };
  std::string note = {};  // how to read it
  std::string x = {};     // what the axis is
  std::vector<Line> lines = {};
  double y_low = 0, y_high = 0;  // what is shown, where low < high; points beyond are cut off
};

// Lines over several upright axes beside each other, each with a scale of its own: what was tried
// and what it gave. Stands on the page and in report.json.
struct ParallelLines {
  struct Axis {
    std::string name = {};
    bool is_log = false;
    std::vector<std::string> words = {};  // where values are no numbers: a value is a place here
  };
  struct Line {
    std::string name = {};
    std::vector<double> values = {};  // by axis; above 0 where the axis is_log
    double weight = 1;                // how strong it is drawn, from 0 to 1
    bool is_best = false;
  };
  std::string note = {};  // how to read it
  std::vector<Axis> axes = {};
  std::vector<Line> lines = {};
};

struct Section {
  std::string key;    // in report.json
  std::string title;  // begins in small letters
  std::variant<ScoreTable, Matrix, Grid, Curve, Examples, GeneratedTexts, PlainTable, LineChart,
               ParallelLines>
      content;
};

// Lines of text; "" for what has none. `rest` says where the examples that are not shown stand.
std::string section_text(const Section& section, const std::string& rest);

// Its keys and values in report.json, as docs/file-formats.md says.
std::vector<std::pair<std::string, Json>> section_json(const Section& section);

std::string whole(const std::vector<TextPart>& parts);

Json finite(double value);  // JSON has no NaN: null

// A cell of a PlainTable for people: 0.8312, 1043, –.
std::string shown_cell(const Json& cell);

}  // namespace hone
