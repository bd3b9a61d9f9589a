// Scores classification results as scikit-learn does, with intervals, calibration and the most
// confident mistakes.
#pragma once

#include <memory>

#include "tasks/classify/options.h"
#include "tasks/labels.h"
#include "tasks/task.h"

namespace hone::classify {

// In reports of several labels; the latter two where the threshold is not chosen yet.
constexpr const char* kMicroF1 = "micro_f1";
constexpr const char* kBestMicroF1 = "best_micro_f1";
constexpr const char* kBestThreshold = "best_threshold";

// In reports of one label, where the temperature is not chosen yet.
constexpr const char *kNll = "nll", *kBestNll = "best_nll", *kBestEce = "best_ece",
                     *kBestTemperature = "best_temperature";

// `labels` may be unfixed and `type` kAuto (a file of predictions is scored without a model): the
// classes are then those of gold and results, and the type that of the first gold record.
std::unique_ptr<Scorer> make_scorer(const Options& options, Type type, const Labels& labels);

}  // namespace hone::classify
