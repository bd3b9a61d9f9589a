#include "run/reports.h"

namespace hone {

void write_reports(const std::string& folder, const Report& report, const RunSummary& summary) {
  write_file(folder + "/report.txt", report_text(report, summary));
  write_file(folder + "/report.html", report_html(report, summary));
  write_file(folder + "/report.json",
             to_text(report_json(report, summary), 2) + "\n");  // last: it marks a finished run
}

Json with_inputs(const Record& record, const Json& result,
                 const std::vector<std::string>& text_fields) {
  Json line = Json::object();
  std::vector<std::string> inputs = text_fields;
  inputs.insert(inputs.begin(), "id");
  for (const std::string& name : inputs) {
    if (!record.fields.contains(name)) continue;
    const auto edits = record.edits.find(name);
    line[name] = edits == record.edits.end() ? record.fields[name] : Json(edits->second.as_read());
  }
  line.update(result);
  return line;
}

void PredictionFile::add(const Record& record, const Json& result) {
  Json line = with_inputs(record, result, task_.text_fields());
  line["file"] = record.where().file;
  line["line"] = record.line;
  if (record.column > 0) line["column"] = record.column;
  file_.write(to_text(line) + "\n");
}

}  // namespace hone
