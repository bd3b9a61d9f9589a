#include "tune/recording.h"

#include <c10/util/Exception.h>

#if __has_include(<ATen/accelerator/Graph.h>)
#define HONE_HAS_RECORDINGS
#include <ATen/accelerator/Graph.h>
#endif

namespace hone {

#ifdef HONE_HAS_RECORDINGS
namespace {

using Pool = c10::MempoolId_t;

class DeviceRecording : public Recording {
 public:
  explicit DeviceRecording(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

  // Other threads go on meanwhile: the loader's asks for pinned memory.
  void record(const std::function<void()>& work) override {
    graph_.capture_begin(*pool_, at::GraphCaptureMode::ThreadLocal);
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

  at::accelerator::Graph graph_;
  std::shared_ptr<Pool> pool_;  // of the first recording; {0, 0} before it
};

}  // namespace

std::string missing_recordings(at::Device device) {
  return at::has_graph_impl(device.type()) ? ""
                                           : "this libtorch records no launches on " + device.str();
}

MakeRecording recordings_on(at::Device) {
  const auto pool = std::make_shared<Pool>(0, 0);
  return [pool] { return std::make_unique<DeviceRecording>(pool); };
}

#else

std::string missing_recordings(at::Device) {
  return "hone was built with a libtorch that is older than its graphs (at::accelerator::Graph)";
}

MakeRecording recordings_on(at::Device) { return nullptr; }

#endif

OwnStream::OwnStream(at::Device device)
    : device_(device), guard_(device.type()), before_(guard_.getStream(device)) {
  wait();
  guard_.exchangeStream(guard_.getStreamFromGlobalPool(device));
}

OwnStream::~OwnStream() {
  try {
    wait();
  } catch (const c10::Error&) {  // of a device that has failed, which has been told
  }
  guard_.exchangeStream(before_);
}

void OwnStream::wait() const { guard_.synchronizeDevice(device_.index()); }

}  // namespace hone
