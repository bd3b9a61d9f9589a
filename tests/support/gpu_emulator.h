// Runs kernels for a GPU on the processor: the threads of a block take turns, each up to its next
// barrier or exchange. The kernels themselves are those that a card runs, compiled as plain C++.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/kernels/gpu/device/parameters.h"
#include "models/kernels/gpu/launcher.h"

namespace hone::emulated {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

enum class State { kReady, kAtBlockBarrier, kAtWarpExchange, kDone };

constexpr size_t kStackBytes = 64 << 10;

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  Index index;
  State state = State::kReady;
  int exchanges = 0;
  uint32_t sent[2] = {};  // the last two, so that a thread may be one exchange ahead
};

// The block that runs now.
struct Block {
  std::vector<Thread> threads;
  Thread* now = nullptr;
  ucontext_t scheduler;
  std::function<void()> body;
  Index index, block_size, grid_size;

  void wait(State at) {
    now->state = at;
    swapcontext(&now->context, &scheduler);
  }
  int64_t place() const { return now - threads.data(); }

  void run() {
    for (Thread& thread : threads) start(thread);
    while (advance()) {
    }
  }

 private:
  static void enter();
  void start(Thread& thread) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = &scheduler;
    thread.state = State::kReady;
    makecontext(&thread.context, &Block::enter, 0);
  }

  // Lets every ready thread go on; false when all are done.
  bool advance() {
    bool moved = false, all_done = true;
    for (Thread& thread : threads) {
      if (thread.state == State::kReady) {
        now = &thread;
        swapcontext(&scheduler, &thread.context);
        moved = true;
      }
      all_done = all_done && thread.state == State::kDone;
    }
    if (all_done) return false;
    if (!release(0, threads.size(), State::kAtBlockBarrier) && !moved) {
      bool released = false;
      for (size_t warp = 0; warp < threads.size(); warp += 32)
        released =
            release(warp, std::min(warp + 32, threads.size()), State::kAtWarpExchange) || released;
      if (!released) std::abort();  // some wait for each other
    }
    return true;
  }

  // Where all threads of [begin, end) that go on stand at the same place, they may pass it.
  bool release(size_t begin, size_t end, State at) {
    bool any = false;
    for (size_t i = begin; i < end; ++i) {
      if (threads[i].state == State::kDone) continue;
      if (threads[i].state != at) return false;
      any = true;
    }
    for (size_t i = begin; i < end && any; ++i)
      if (threads[i].state == at) threads[i].state = State::kReady;
    return any;
  }
};

inline Block& block() {
  static Block running;
  return running;
}

inline void Block::enter() {
  block().body();
  block().now->state = State::kDone;
}

// ---- what kernels ask of CUDA ----

struct float2 {
  float x, y;
};
struct float4 {
  float x, y, z, w;
};
struct uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline float uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline unsigned umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

inline float exchange_xor(float x, int offset) {
  Block& here = block();
  const int slot = here.now->exchanges++ % 2;
  here.now->sent[slot] = std::bit_cast<uint32_t>(x);
  const int64_t place = here.place();
  here.wait(State::kAtWarpExchange);
  return std::bit_cast<float>(here.threads[static_cast<size_t>(place ^ offset)].sent[slot]);
}

// ---- launching ----

using Call = std::function<void(void**)>;

template <class... Arguments>
Call call_of(void (*kernel)(Arguments...)) {
  return [kernel](void** arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      kernel(*static_cast<Arguments*>(arguments[I])...);
    }(std::index_sequence_for<Arguments...>());
  };
}

class Emulator : public kernels::gpu::Launcher {
 public:
  explicit Emulator(std::map<std::string, Call> kernels) : kernels_(std::move(kernels)) {}

  void launch(const kernels::gpu::Kernel& kernel, kernels::gpu::Extent blocks,
              kernels::gpu::Extent threads, void** arguments) const override {
    Block& here = block();
    here.threads.resize(size_t{threads[0]} * threads[1] * threads[2]);
    here.block_size = {threads[0], threads[1], threads[2]};
    here.grid_size = {blocks[0], blocks[1], blocks[2]};
    here.body = [call = kernels_.at(kernel.name), arguments] { call(arguments); };
    for (unsigned i = 0; i < here.threads.size(); ++i)
      here.threads[i].index = {i % threads[0], i / threads[0] % threads[1],
                               i / threads[0] / threads[1]};
    for (here.index.z = 0; here.index.z < blocks[2]; ++here.index.z)
      for (here.index.y = 0; here.index.y < blocks[1]; ++here.index.y)
        for (here.index.x = 0; here.index.x < blocks[0]; ++here.index.x) here.run();
  }
  int processors() const override { return 2; }

 private:
  std::map<std::string, Call> kernels_;
};

}  // namespace hone::emulated
