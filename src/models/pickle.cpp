#include "models/weights.h"

namespace hone {

StateDict read_pickled(const std::string& path) {
  throw Error(ErrorKind::kModel, Where{path}, "pickled weights are not read yet; convert them to model.safetensors.");
}

}  // namespace hone
