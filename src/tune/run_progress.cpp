#include "tune/run_progress.h"

namespace hone {

Json RunProgress::state() const {
  return {{"step", step},
          {"evaluated_step", evaluated_step},
          {"stopped_early", stopped_early},
          {"seconds", seconds},
          {"tokens", tokens},
          {"best", best.state()},
          {"statistics", statistics.state()}};
}

void RunProgress::load_state(const Json& state) {
  step = state.at("step").get<int64_t>();
  evaluated_step = state.at("evaluated_step").get<int64_t>();
  seconds = state.at("seconds").get<double>();
  tokens = state.at("tokens").get<int64_t>();
  best.load_state(state.at("best"));
  stopped_early = state.at("stopped_early").get<bool>() && best.is_exhausted();
  statistics.load_state(state.at("statistics"));
}

}  // namespace hone
