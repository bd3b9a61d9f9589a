#include "run/environment.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <cmath>
#include <fstream>

#include "tune/gpu.h"
#include "tune/machine.h"

namespace hone {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

Json environment_json(at::Device device) {
  utsname system = {};
  uname(&system);
  struct sysinfo memory = {};
  sysinfo(&memory);
  const double gigabytes = static_cast<double>(memory.totalram) * memory.mem_unit / 1e9;
  Json environment = {
      {"hone", HONE_VERSION},
      {"libtorch", TORCH_VERSION},
      {"system", std::string(system.sysname) + " " + system.release + " " + system.machine},
      {"cpu", cpu_name()},
      {"cores", available_cores()},
      {"memory_gb", std::round(gigabytes * 10) / 10},
      {"bf16", has_bf16_arithmetic()},
      {"device", device.str()}};
  for (const Gpu& gpu : gpus()) environment["gpus"].push_back(gpu.str());
  return environment;
}

int64_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace hone
