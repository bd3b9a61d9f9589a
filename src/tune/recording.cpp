#include "tune/recording.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <utility>

#ifdef HONE_RECORDS_CUDA  // by CMake, where libtorch and headers for it are found
#include <ATen/cuda/CUDAGraph.h>
#endif

namespace hone {

#ifdef HONE_RECORDS_CUDA
namespace {

using Pool = c10::MempoolId_t;

class CudaRecording : public Recording {
 public:
  explicit CudaRecording(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

  // Other threads go on meanwhile: the loader's asks for pinned memory.
  void record(const std::function<void()>& work) override {
    graph_.capture_begin(*pool_, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_failed();
      throw;
    }
    graph_.capture_end();
    *pool_ = graph_.pool();
  }
  void replay() override { graph_.replay(); }

 private:
  // What went wrong is told by the one who threw.
  void end_failed() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
    }
  }

  at::cuda::CUDAGraph graph_;
  std::shared_ptr<Pool> pool_;  // of the first recording; {0, 0} before it
};

}  // namespace

std::string missing_recordings(at::Device device) {
  return device.is_cuda() ? "" : device.str() + " has no launches to record";
}

MakeRecording recordings_on(at::Device) {
  const auto pool = std::make_shared<Pool>(0, 0);
  return [pool] { return std::make_unique<CudaRecording>(pool); };
}

#else

std::string missing_recordings(at::Device) {
  return "hone was built without CUDA's headers, which its graphs take";
}

MakeRecording recordings_on(at::Device) { return nullptr; }

#endif

namespace {

void wait_for(at::Device device) {
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

// What was asked for before is done.
c10::Stream fresh_stream(at::Device device) {
  wait_for(device);
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

}  // namespace

OwnStream::OwnStream(at::Device device) : device_(device), guard_(fresh_stream(device)) {}

OwnStream::~OwnStream() {
  try {
    wait_for(device_);
  } catch (const c10::Error&) {  // of a device that has failed, which has been told
  }
}

}  // namespace hone
