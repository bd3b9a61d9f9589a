#include "models/kernels/gpu/launcher.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <mutex>

#include "models/kernels/gpu/compiler.h"
#include "models/kernels/gpu/driver.h"

namespace hone::kernels::gpu {
namespace {

void succeed(const Driver& driver, int error, const std::string& what) {
  if (error == 0) return;
  const char* text = nullptr;
  driver.describe(error, &text);
  TORCH_CHECK(false, "[gpu] ", what, ": ", text ? text : "error ",
              text ? "" : std::to_string(error));
}

int attribute_of(const Driver& driver, int attribute, int device) {
  int value = 0;
  succeed(driver, driver.attribute(&value, attribute, device), "a property of the card");
  return value;
}

class Card : public Launcher {
 public:
  Card(const Driver& driver, at::Device device) : driver_(driver), device_(device) {
    const c10::DeviceGuard guard(device);
    int number = 0;
    succeed(driver, driver.get(&number, device.index()), device.str());
    succeed(driver, driver.retain(&context_, number), "the card's context");
    architecture_ = fmt::format("sm_{}{}", attribute_of(driver, kMajorCapability, number),
                                attribute_of(driver, kMinorCapability, number));
    make_current();
    load("sums.cu");  // a small file: whether there is a compiler shows now
    processors_ = attribute_of(driver, kProcessors, number);
  }

  void launch(const Kernel& kernel, Extent blocks, Extent threads,
              void** arguments) const override {
    const c10::DeviceGuard guard(device_);
    make_current();
    void* stream = c10::impl::VirtualGuardImpl(at::kCUDA).getStream(device_).native_handle();
    succeed(driver_,
            driver_.launch(function_of(kernel), blocks[0], blocks[1], blocks[2], threads[0],
                           threads[1], threads[2], 0, stream, arguments, nullptr),
            kernel.name);
  }

  int processors() const override { return processors_; }

 private:
  // A thread of which libtorch has asked nothing yet has no context.
  void make_current() const {
    Driver::Handle current = nullptr;
    driver_.current(&current);
    if (current != context_) succeed(driver_, driver_.make_current(context_), "the card's context");
  }

  Driver::Handle load(const std::string& file) const {
    Driver::Handle& module = modules_[file];
    if (module == nullptr)
      succeed(driver_, driver_.load(&module, compiled_kernels(file, architecture_).data()), file);
    return module;
  }

  Driver::Handle function_of(const Kernel& kernel) const {
    const std::lock_guard lock(mutex_);
    Driver::Handle& function = functions_[kernel.name];
    if (function == nullptr)
      succeed(driver_, driver_.find(&function, load(kernel.file), kernel.name.c_str()),
              kernel.name);
    return function;
  }

  const Driver& driver_;
  at::Device device_;
  Driver::Handle context_ = nullptr;
  std::string architecture_;
  int processors_ = 0;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Driver::Handle> modules_, functions_;
};

// A card, or why it has no kernels.
struct Found {
  std::unique_ptr<const Launcher> card;
  std::string reason;
};

Found open_card(at::Device device) {
  if (driver() == nullptr) return {nullptr, "NVIDIA's driver (libcuda.so.1) is not there"};
  try {
    return {std::make_unique<Card>(*driver(), device), ""};
  } catch (const CannotCompile& error) {
    return {nullptr, error.what()};
  } catch (const c10::Error& error) {
    return {nullptr, error.what_without_backtrace()};
  }
}

const Found& card_of(at::Device device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, Found> cards;
  const std::lock_guard lock(mutex);
  const auto [place, is_new] = cards.try_emplace(device.index());
  if (is_new) place->second = open_card(device);
  return place->second;
}

}  // namespace

const Launcher* launcher_of(const at::Tensor& x) {
  return x.is_cuda() ? card_of(x.device()).card.get() : nullptr;
}

std::string missing_kernels(at::Device device) {
  return device.is_cuda() ? card_of(device).reason : "";
}

}  // namespace hone::kernels::gpu
