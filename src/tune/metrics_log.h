// metrics.jsonl: one line per logged step and per evaluation. A resumed run first drops the lines
// past the step it goes on from, so the file is that of a run without interruption (times apart).
//
//   {"event": "step", "step": 10, "epoch": 0.5, "loss": 1.2, "gradient_norm": 0.9, "learning_rate":
//   5e-05, "loss_z": 0.1, "norm_z": 0.2,
//    "seconds": 0.1, "tokens": 900, "samples": 32}                         loss: mean since the
//    line before; further numbers "<regulariser>.<number>" are such means too
//   {"event": "evaluation", "step": 20, "epoch": 1.0, "loss": 1.1, "metrics": {"accuracy": 0.7},
//   "is_best": true, "seconds": 0.4}
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tasks/report.h"
#include "tune/events.h"

namespace hone {

// A full disk is an Error that names the file.
Listener metrics_log(const std::string& path);

// The learning curves in a metrics.jsonl, for the report: "loss", "learning rate", "validation
// loss", "validation <metric>", and a regulariser's own numbers by their names.
std::map<std::string, std::vector<RunSummary::Point>> read_curves(const std::string& path);

}  // namespace hone
