#include "tune/machine.h"

#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

namespace hone {
namespace {

// Cores that a container may use: "<quota> <period>" in microseconds, or "max <period>". https://docs.kernel.org/admin-guide/cgroup-v2.html
int64_t container_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return INT64_MAX;
  return std::max<int64_t>(1, std::llround(std::ceil(quota / period)));
}

}  // namespace

int64_t available_cores() { return std::min<int64_t>(std::max(1U, std::thread::hardware_concurrency()), container_cores()); }

bool has_bf16_arithmetic() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto found = capabilities.find(name);
    return found != capabilities.end() && found->second.isBool() && found->second.toBool();
  };
  return has("avx512_bf16") || has("amx_bf16");
}

Precision resolve_precision(const std::string& name) {
  if (name == "auto") return has_bf16_arithmetic() ? Precision::kBf16 : Precision::kFp32;
  return name == "bf16" ? Precision::kBf16 : Precision::kFp32;
}

const char* precision_name(Precision precision) { return precision == Precision::kBf16 ? "bf16" : "fp32"; }

int64_t use_threads(int64_t threads) {
  const int64_t chosen = threads > 0 ? threads : available_cores();
  at::set_num_threads(static_cast<int>(chosen));
  return chosen;
}

}  // namespace hone
