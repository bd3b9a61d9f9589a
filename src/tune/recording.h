// Launches that a device keeps as a graph, through libtorch (at::cuda::CUDAGraph), where hone is
// built with the headers of CUDA.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/StreamGuard.h>

#include <functional>
#include <memory>
#include <string>

namespace hone {

class Recording {
 public:
  virtual ~Recording() = default;
  // Calls `work` once; what it launches on the current stream is kept and not done. Tensors that
  // are made in it have memory that is written anew by each replay.
  virtual void record(const std::function<void()>& work) = 0;
  virtual void replay() = 0;  // REQUIRES: record() has returned
};
using MakeRecording = std::function<std::unique_ptr<Recording>()>;

// Why there are none on `device`, as a sentence's end; "" where there are.
std::string missing_recordings(at::Device device);
// Recordings of one stream, of which one is replayed at a time: they share their memory.
// REQUIRES: missing_recordings(device) is "".
MakeRecording recordings_on(at::Device device);

// While it lives, this thread works on `device`, on a stream of its own: the usual one cannot be
// recorded.
class OwnStream {
 public:
  explicit OwnStream(at::Device device);
  ~OwnStream();  // when the device has done what it was asked for
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

 private:
  at::Device device_;
  c10::StreamGuard guard_;
};

}  // namespace hone
