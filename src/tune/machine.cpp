#include "tune/machine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "models/kernels/processor.h"
#include "tune/gpu.h"

namespace hone {
namespace {

// More threads than cores gain nothing; some more are let through, for trials.
constexpr int64_t kThreadsOfACore = 4, kAnyThreads = 64;

// Cores that a container may use: "<quota> <period>" in microseconds, or "max <period>".
// https://docs.kernel.org/admin-guide/cgroup-v2.html
int64_t container_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return INT64_MAX;
  return std::max<int64_t>(1, std::llround(std::ceil(quota / period)));
}

double seconds_of_product(const at::Tensor& a, const at::Tensor& b) {
  const auto start = std::chrono::steady_clock::now();
  at::mm(a, b);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Processors that name the same instructions differ: on some, bf16 products take half the time of
// fp32, on others (where AMX exists and is switched off) twice. So it is measured, in turns, some
// milliseconds in all.
bool is_bf16_faster() {
  if (!has_bf16_arithmetic()) return false;
  constexpr double kGain = 1.1;  // less is not worth the digits
  const at::Tensor a = at::ones({256, 768}), b = at::ones({768, 768}), a16 = a.to(at::kBFloat16),
                   b16 = b.to(at::kBFloat16);
  double fp32 = std::numeric_limits<double>::infinity(), bf16 = fp32;
  for (int turn = 0; turn < 6; ++turn) {
    fp32 = std::min(fp32, seconds_of_product(a, b));
    bf16 = std::min(bf16, seconds_of_product(a16, b16));
  }
  return bf16 * kGain < fp32;
}

// The number in "cuda:2"; 0 of "cuda"; nothing where the name is of no GPU.
std::optional<int> gpu_number(const std::string& name) {
  if (name == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int number = -1;
  const auto [end, error] =
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  const bool is_number =
      error == std::errc() && end == name.data() + name.size() && number >= 0 && number < 128;
  return is_number ? std::optional(number) : std::nullopt;
}

}  // namespace

int64_t available_cores() {
  // OpenMP's count minds taskset, which std::thread::hardware_concurrency does not, and knows the
  // cores of all its threads where it has bound this one to a single core.
  return std::clamp<int64_t>(omp_get_num_procs(), 1, container_cores());
}

bool has_bf16_arithmetic() { return processor_has("avx512_bf16") || processor_has("amx_bf16"); }

bool is_device_name(const std::string& name) {
  return name == "auto" || name == "cpu" || gpu_number(name);
}

at::Device resolve_device(const std::string& name) {
  const auto gpus = at::hasCUDA() ? static_cast<int>(at::getNumGPUs()) : 0;
  if (name == "cpu" || (name == "auto" && gpus == 0)) return at::kCPU;
  const std::optional<int> number = name == "auto" ? 0 : gpu_number(name);
  if (!number)
    throw Error(ErrorKind::kUsage,
                fmt::format("device \"{}\" is none of auto, cpu, cuda, cuda:N", name));
  if (*number < gpus) return {at::kCUDA, static_cast<c10::DeviceIndex>(*number)};
  const std::string found =
      gpus == 0
          ? "libtorch finds no GPU (a libtorch for the CPU alone never does)"
          : fmt::format("libtorch finds {} GPU{}, numbered from 0", gpus, gpus == 1 ? "" : "s");
  throw Error(ErrorKind::kUsage, fmt::format("device \"{}\" is not there: {}", name, found));
}

Precision precision_on(const Gpu& gpu, const std::string& name) {
  if (gpu.has_bf16()) return Precision::kBf16;
  if (name == "auto") return Precision::kFp32;
  throw Error(ErrorKind::kUsage,
              fmt::format("precision \"bf16\" is not for {}, which is older than Ampere: take fp32",
                          gpu.name));
}

Precision resolve_precision(const std::string& name, at::Device device) {
  if (name == "int8" && !device.is_cpu())
    throw Error(ErrorKind::kUsage,
                "precision \"int8\" is for the CPU: say so (device cpu), or use bf16");
  if (name != "fp32" && !device.is_cpu()) {
    const std::optional<Gpu> gpu = gpu_of(device);
    return gpu ? precision_on(*gpu, name) : Precision::kBf16;
  }
  if (name == "auto") {
    static const bool prefers_bf16 = is_bf16_faster();
    return prefers_bf16 ? Precision::kBf16 : Precision::kFp32;
  }
  return name == "int8" ? Precision::kInt8 : name == "bf16" ? Precision::kBf16 : Precision::kFp32;
}

bool computes_in(Precision precision, at::Device device) {
  if (precision == Precision::kInt8) return device.is_cpu();
  return precision == Precision::kFp32 || !device.is_cpu() || has_bf16_arithmetic();
}

void use_tf32(bool tf32, at::Device device) {
  if (tf32 && !device.is_cuda())
    throw Error(ErrorKind::kUsage, "tf32 is for a GPU: the CPU multiplies fp32 as it is");
  at::globalContext().setAllowTF32CuBLAS(tf32);
}

int64_t use_threads(int64_t threads) {
  if (const int64_t most = std::max(kThreadsOfACore * available_cores(), kAnyThreads);
      threads > most)
    throw Error(ErrorKind::kUsage,
                fmt::format("threads is {}, but this machine has {} cores; more than {} threads "
                            "would only wait for each other. 0 means one a core",
                            threads, available_cores(), most));
  const int64_t chosen = threads > 0 ? threads : available_cores();
  at::set_num_threads(static_cast<int>(chosen));
  return chosen;
}

}  // namespace hone
