#include "tune/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace hone {
namespace fs = std::filesystem;
namespace {

constexpr int kFormat = 2;  // 2: rows of embedding tables may owe steps
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "trainer_state.json";
constexpr int64_t kSlack = int64_t{1} << 20;  // headers, state, logs

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);  // some file systems refuse this for folders; the rename itself has happened
  ::close(fd);
}

void rename_folder(const std::string& from, const std::string& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed)
    throw Error(ErrorKind::kUsage, Where{to},
                fmt::format("cannot be renamed from \"{}\": {}", from, failed.message()));
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::kUsage, Where{folder}, "the folder cannot be made: " + failed.message());
}

int64_t bytes_of(const StateDict& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

// Size and checksum of a file, as the state keeps them.
Json fingerprint(const std::string& path) {
  return {{"bytes", static_cast<int64_t>(fs::file_size(path))}, {"sha256", sha256_file(path)}};
}

// A folder that is removed again unless it was kept.
class NewFolder {
 public:
  explicit NewFolder(std::string path) : path_(std::move(path)) {
    fs::remove_all(path_);
    make_folder(path_);
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

void write_checkpoint(const std::string& folder, const Checkpoint& checkpoint) {
  Json files = Json::object();
  const auto write = [&](const char* name, const StateDict& tensors) {
    const std::string path = folder + "/" + name;
    write_safetensors(path, tensors);
    files[name] = fingerprint(path);
  };
  write(kWeights, checkpoint.weights);
  if (!checkpoint.optimizer.empty()) write(kOptimizer, checkpoint.optimizer);
  Json state = {{"format", kFormat}, {"state", checkpoint.state}, {"files", files}};
  state["sha256"] = sha256(state.dump());
  write_file(folder + "/" + kState, state.dump(1) + "\n");
  sync_folder(folder);
}

// trainer_state.json, whose own checksum covers everything else in it.
Json read_state(const std::string& folder) {
  const std::string path = folder + "/" + kState;
  const auto damaged = [&](const std::string& why) {
    return Error(ErrorKind::kModel, Where{path}, why);
  };
  Json state = read_json(path, ErrorKind::kModel);
  if (!state.is_object() || !state.contains("format") || !state.contains("sha256"))
    throw damaged("damaged: it lacks its format or checksum");
  if (state["format"] != kFormat) {
    throw damaged(fmt::format(
        "written by format {}, this program reads {}; it was made by another version of hone",
        state["format"].dump(), kFormat));
  }
  const Json expected = state["sha256"];
  state.erase("sha256");
  if (expected != sha256(state.dump()))
    throw damaged("damaged: its checksum differs from its content");
  return state;
}

Checkpoint read_checkpoint(const std::string& folder) {
  const Json state = read_state(folder);
  for (const auto& [name, expected] : state.at("files").items()) {
    const std::string path = folder + "/" + name;
    if (!fs::exists(path))
      throw Error(ErrorKind::kModel, Where{path}, "missing from its checkpoint");
    const Json found = fingerprint(path);
    if (found == expected) continue;
    throw Error(ErrorKind::kModel, Where{path},
                fmt::format("damaged: {} bytes where {} were saved, or another checksum",
                            found["bytes"].dump(), expected["bytes"].dump()));
  }
  Checkpoint checkpoint{state.at("state"), read_safetensors(folder + "/" + kWeights), {}};
  if (state.at("files").contains(kOptimizer))
    checkpoint.optimizer = read_safetensors(folder + "/" + kOptimizer);
  return checkpoint;
}

bool is_complete(const std::string& folder) try {
  read_state(folder);
  return true;
} catch (const Error&) {
  return false;
}

}  // namespace

std::string CheckpointFolder::save(const std::string& name, const Checkpoint& checkpoint) const {
  const std::string path = folder_ + "/" + name, fresh = path + ".new",
                    previous = path + ".previous";
  const bool replaces_complete = is_complete(path);
  if (replaces_complete) fs::remove_all(previous);  // room for the new one, which `path` outlives
  NewFolder folder(fresh);
  require_disk(folder_, bytes_of(checkpoint.weights) + bytes_of(checkpoint.optimizer) + kSlack,
               fmt::format("the checkpoint \"{}\"", name));
  write_checkpoint(fresh, checkpoint);
  folder.keep();
  if (replaces_complete) {
    rename_folder(path, previous);
  } else {
    fs::remove_all(path);
  }
  rename_folder(fresh, path);
  sync_folder(folder_);
  return path;
}

Checkpoint CheckpointFolder::load(const std::string& name,
                                  const std::function<void(const std::string&)>& warn) const {
  const std::string path = folder_ + "/" + name, previous = path + ".previous";
  if (!fs::exists(path) && !fs::exists(previous)) {
    throw Error(ErrorKind::kUsage, Where{path},
                "there is no complete checkpoint here to continue from; start the run again, with "
                "--overwrite");
  }
  try {
    return read_checkpoint(path);
  } catch (const Error& error) {
    if (!fs::exists(previous)) throw;
    Checkpoint checkpoint = read_checkpoint(previous);
    warn(fmt::format("{}; going on from the checkpoint before it", error.what()));
    fs::remove_all(path);  // so that the next save does not take it for the good one
    rename_folder(previous, path);
    return checkpoint;
  }
}

int64_t disk_needed(int64_t parameters, bool keeps_last) {
  constexpr int64_t kFloat = 4;
  return parameters * kFloat * ((keeps_last ? 2 * 3 : 0) + 2 * 1 + 1) + kSlack;
}

void require_disk(const std::string& folder, int64_t bytes, const std::string& what) {
  const int64_t available = free_disk_bytes(folder);
  if (available >= bytes) return;
  throw Error(
      ErrorKind::kUsage, Where{folder},
      fmt::format("no room for {}: {:.1f} MB needed, {:.1f} MB free. Free some space or choose "
                  "another \"output.dir\"",
                  what, static_cast<double>(bytes) / 1e6, static_cast<double>(available) / 1e6));
}

}  // namespace hone
