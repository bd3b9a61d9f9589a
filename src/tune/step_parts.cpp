#include "tune/step_parts.h"

namespace hone {

StepParts::StepParts(Pipeline& pipeline, const TrainOptions& options,
                     const std::vector<ChosenRegulariser>& chosen)
    : frozen(freeze(pipeline.network(), options)),
      optimizer(optimizers()
                    .named(options.optim)
                    .make(trainable_parameters(pipeline.network(), options), options)),
      regularisers(chosen, {pipeline, *optimizer}),
      pass(regularisers.pass(pipeline.task(), pipeline.network(),
                             {.label_smoothing = options.label_smoothing_factor})) {}

}  // namespace hone
