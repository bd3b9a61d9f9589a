#include "tune/arriving_numbers.h"

#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <cstring>

#include "models/kernels/gpu/device/parameters.h"

namespace hone {

void ArrivingNumbers::send(const at::Tensor& numbers) {
  const bool is_elsewhere = numbers.is_cuda();
  Sent sent{at::empty(numbers.sizes(),
                      at::TensorOptions(numbers.scalar_type()).pinned_memory(is_elsewhere)),
            std::nullopt};
  sent.numbers.copy_(numbers, /*non_blocking=*/true);
  if (is_elsewhere) {
    sent.there.emplace(at::kCUDA);
    sent.there->record(c10::impl::VirtualGuardImpl(at::kCUDA).getStream(numbers.device()));
  }
  sent_.push_back(std::move(sent));
}

std::optional<ArrivingNumbers::Step> ArrivingNumbers::receive(bool waits) {
  Sent& oldest = sent_.front();
  if (oldest.there && !oldest.there->query()) {
    if (!waits) return std::nullopt;
    oldest.there->synchronize();
  }
  kernels::gpu::device::StepNumbers numbers = {};
  std::memcpy(&numbers, oldest.numbers.const_data_ptr(), sizeof numbers);
  sent_.pop_front();
  return Step{numbers.loss, std::sqrt(numbers.squares), numbers.is_failed != 0};
}

}  // namespace hone
