#include "tune/run_progress.h"

namespace hone {

void RunProgress::wait_on_plateau(bool is_best, double factor, int64_t patience) {
  waited = is_best ? 0 : waited + 1;
  if (waited <= patience) return;
  rate_factor *= factor;
  waited = 0;
}

Json RunProgress::state() const {
  return {{"step", step},
          {"evaluated_step", evaluated_step},
          {"stopped_early", stopped_early},
          {"seconds", seconds},
          {"tokens", tokens},
          {"best", best.state()},
          {"rate_factor", rate_factor},
          {"waited", waited},
          {"statistics", statistics.state()}};
}

void RunProgress::load_state(const Json& state) {
  step = state.at("step").get<int64_t>();
  evaluated_step = state.at("evaluated_step").get<int64_t>();
  seconds = state.at("seconds").get<double>();
  tokens = state.at("tokens").get<int64_t>();
  best.load_state(state.at("best"));
  rate_factor = state.value("rate_factor", rate_factor);  // a checkpoint of before has none
  waited = state.value("waited", waited);
  stopped_early = state.at("stopped_early").get<bool>() && best.is_exhausted();
  statistics.load_state(state.at("statistics"));
}

}  // namespace hone
