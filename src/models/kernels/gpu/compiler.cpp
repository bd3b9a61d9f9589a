#include "models/kernels/gpu/compiler.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "models/kernels/gpu/symbols.h"

namespace hone::kernels::gpu {
namespace {

namespace fs = std::filesystem;

// https://docs.nvidia.com/cuda/nvrtc/. All return 0 for success.
struct Compiler {
  using Program = void*;
  int (*version)(int* major, int* minor);
  int (*create)(Program* program, const char* source, const char* name, int headers,
                const char* const* texts, const char* const* names);
  int (*compile)(Program program, int options, const char* const* texts);
  int (*log_size)(Program program, size_t* bytes);
  int (*log)(Program program, char* text);
  int (*binary_size)(Program program, size_t* bytes);
  int (*binary)(Program program, char* bytes);
  int (*destroy)(Program* program);
};

bool find_all(void* library, Compiler& compiler) {
  return find_symbol(library, "nvrtcVersion", compiler.version) &&
         find_symbol(library, "nvrtcCreateProgram", compiler.create) &&
         find_symbol(library, "nvrtcCompileProgram", compiler.compile) &&
         find_symbol(library, "nvrtcGetProgramLogSize", compiler.log_size) &&
         find_symbol(library, "nvrtcGetProgramLog", compiler.log) &&
         find_symbol(library, "nvrtcGetCUBINSize", compiler.binary_size) &&
         find_symbol(library, "nvrtcGetCUBIN", compiler.binary) &&
         find_symbol(library, "nvrtcDestroyProgram", compiler.destroy);
}

// The folder of libtorch.
std::string torch_folder() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<void*>(&at::globalContext), &info) == 0 || !info.dli_fname) return "";
  return fs::path(info.dli_fname).parent_path().string();
}

// libtorch's own door to NVRTC knows where its copy lies; a system may have another.
std::vector<std::string> libraries() {
  return {torch_folder() + "/libcaffe2_nvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12",
          "libnvrtc.so"};
}

const Compiler& compiler() {
  static const Compiler opened = [] {
    Compiler found = {};
    std::string tried;
    for (const std::string& name : libraries()) {
      void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library != nullptr && find_all(library, found)) return found;  // never closed
      tried += (tried.empty() ? "" : ", ") + name;
    }
    throw CannotCompile("NVRTC, which compiles them, is in none of " + tried);
  }();
  return opened;
}

// A program of one file, which includes the headers by their names.
class Program {
 public:
  Program(const Compiler& nvrtc, const std::string& file) : nvrtc_(nvrtc) {
    const char* text = nullptr;
    std::vector<const char*> texts, names;
    for (const Source& source : kernel_sources()) {
      if (source.name == file) text = source.text;
      texts.push_back(source.text), names.push_back(source.name);
    }
    if (text == nullptr ||
        nvrtc.create(&program_, text, file.c_str(), static_cast<int>(texts.size()), texts.data(),
                     names.data()) != 0)
      throw CannotCompile("NVRTC does not begin with " + file);
  }
  ~Program() { nvrtc_.destroy(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  bool compile(const std::string& architecture) {
    const std::string target = "--gpu-architecture=" + architecture;
    const char* const options[] = {target.c_str(), "--std=c++17"};
    return nvrtc_.compile(program_, static_cast<int>(std::size(options)), options) == 0;
  }
  std::string log() const { return text_of(nvrtc_.log_size, nvrtc_.log); }
  std::string binary() const { return text_of(nvrtc_.binary_size, nvrtc_.binary); }

 private:
  std::string text_of(int (*size_of)(Compiler::Program, size_t*),
                      int (*read)(Compiler::Program, char*)) const {
    size_t bytes = 0;
    size_of(program_, &bytes);
    std::string text(bytes, '\0');
    read(program_, text.data());
    return text;
  }

  const Compiler& nvrtc_;
  Compiler::Program program_ = nullptr;
};

std::string cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  const std::string cache = variable("XDG_CACHE_HOME");
  return (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/hone/kernels";
}

// Of all that the result depends on.
std::string cache_file(const std::string& file, const std::string& architecture) {
  int major = 0, minor = 0;
  compiler().version(&major, &minor);
  std::string key = fmt::format("{} {} {}.{}", file, architecture, major, minor);
  for (const Source& source : kernel_sources()) key += source.text;
  return fmt::format("{}/{}.cubin", cache_folder(), sha256(key));
}

// Of a kept file the checksum, then the kernels: anybody may have cut it.
std::string kept(const std::string& path) {
  constexpr size_t kSum = 64;
  if (!fs::exists(path)) return "";
  const std::string bytes = read_file(path, ErrorKind::kUsage);
  if (bytes.size() <= kSum || sha256(std::string_view(bytes).substr(kSum)) != bytes.substr(0, kSum))
    return "";
  return bytes.substr(kSum);
}

void keep(const std::string& path, const std::string& kernels) {
  fs::create_directories(fs::path(path).parent_path());
  write_file(path, sha256(kernels) + kernels);
}

}  // namespace

std::string compiled_kernels(const std::string& file, const std::string& architecture) {
  const std::string path = cache_file(file, architecture);
  try {
    if (std::string found = kept(path); !found.empty()) return found;
  } catch (const std::exception& error) {
    log_warn("{}: these GPU kernels are compiled again: {}", path, error.what());
  }
  Program program(compiler(), file);
  if (!program.compile(architecture))
    throw CannotCompile("NVRTC says of " + file + ": " + program.log());
  const std::string kernels = program.binary();
  try {
    keep(path, kernels);
  } catch (const std::exception& error) {
    log_warn("{}: the GPU kernels are not kept for the next run: {}", path, error.what());
  }
  return kernels;
}

}  // namespace hone::kernels::gpu
