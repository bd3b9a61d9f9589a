#include "tune/checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace hone {
namespace fs = std::filesystem;
namespace {

// 2: rows of embedding tables may owe steps; 3: what the run was begun with (tune/identity.h).
constexpr int kFormat = 3, kOldestFormat = 2;
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kRegularisers = "regularisers.safetensors";
constexpr const char* kState = "trainer_state.json";
constexpr int64_t kSlack = int64_t{1} << 20;  // headers, state, logs

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

// Reads a file back and compares it with what was to be written, bit for bit.
void require_equal(const std::string& path, const StateDict& tensors) {
  const auto differs = [&](const std::string& why) {
    return Error(ErrorKind::kUsage, Where{path}, "was not written as it should be: " + why);
  };
  const StateDict written = read_safetensors(path);
  if (written.size() != tensors.size()) throw differs("it holds another number of tensors");
  for (const auto& [name, tensor] : tensors) {
    const auto found = written.find(name);
    const at::Tensor plain = tensor.cpu().contiguous();
    const bool is_equal =
        found != written.end() && found->second.nbytes() == plain.nbytes() &&
        (plain.nbytes() == 0 ||
         std::memcmp(found->second.const_data_ptr(), plain.const_data_ptr(), plain.nbytes()) == 0);
    if (!is_equal) throw differs(fmt::format("\"{}\" is another", name));
  }
}

void write_checkpoint(const std::string& folder, const Checkpoint& checkpoint) {
  Json files = Json::object();
  const auto write = [&](const char* name, const StateDict& tensors) {
    const std::string path = folder + "/" + name;
    write_safetensors(path, tensors);
    files[name] = fingerprint(path);
    require_equal(path, tensors);
  };
  write(kWeights, checkpoint.weights);
  if (!checkpoint.optimizer.empty()) write(kOptimizer, checkpoint.optimizer);
  if (!checkpoint.regularisers.empty()) write(kRegularisers, checkpoint.regularisers);
  Json state = {{"format", kFormat}, {"state", checkpoint.state}, {"files", files}};
  state["sha256"] = sha256(to_text(state));
  write_file(folder + "/" + kState, to_text(state, 1) + "\n");
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
  const Json& format = state["format"];
  if (!format.is_number_integer() || format < kOldestFormat || format > kFormat) {
    throw damaged(fmt::format(
        "written by format {}, this program reads {} to {}; it was made by another version of hone",
        format.dump(), kOldestFormat, kFormat));
  }
  const Json expected = state["sha256"];
  state.erase("sha256");
  if (expected != sha256(to_text(state)))
    throw damaged("damaged: its checksum differs from its content");
  return state;
}

// The state, after every file that it lists was compared with its checksum.
Json read_verified_state(const std::string& folder) {
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
  return state;
}

Checkpoint read_checkpoint(const std::string& folder) {
  const Json state = read_verified_state(folder);
  const auto read = [&](const char* name) {
    return state.at("files").contains(name) ? read_safetensors(folder + "/" + name) : StateDict{};
  };
  return {state.at("state"), read(kWeights), read(kOptimizer), read(kRegularisers)};
}

bool is_good(const std::string& folder) try {
  read_verified_state(folder);
  return true;
} catch (const Error&) {
  return false;
}

// The same without reading the files: their sizes alone.
bool looks_good(const std::string& folder) try {
  const Json state = read_state(folder);
  std::error_code failed;
  for (const auto& [name, expected] : state.at("files").items()) {
    const auto size = static_cast<int64_t>(fs::file_size(folder + "/" + name, failed));
    if (failed || expected.at("bytes") != size) return false;
  }
  return true;
} catch (const Error&) {
  return false;
}

}  // namespace

std::string CheckpointFolder::save(const std::string& name, const Checkpoint& checkpoint) const {
  const std::string path = folder_ + "/" + name, fresh = path + ".new",
                    previous = path + ".previous";
  const int64_t bytes = bytes_of(checkpoint.weights) + bytes_of(checkpoint.optimizer) +
                        bytes_of(checkpoint.regularisers) + kSlack;
  NewFolder folder(fresh);
  // Three of them at a time, unless the disk has no room: then the good one must outlive the write.
  if (free_disk_bytes(folder_) < bytes && is_good(path)) fs::remove_all(previous);
  require_disk(folder_, bytes, fmt::format("the checkpoint \"{}\"", name));
  write_checkpoint(fresh, checkpoint);
  folder.keep();
  if (looks_good(path)) {
    fs::remove_all(previous);
    rename_path(path, previous);
  } else {
    fs::remove_all(path);
  }
  rename_path(fresh, path);
  sync_folder(folder_);
  fs::remove_all(path + ".damaged");
  return path;
}

bool CheckpointFolder::has_last() const {
  return fs::exists(folder_ + "/last") || fs::exists(folder_ + "/last.previous");
}

std::optional<Json> CheckpointFolder::last_state() const {
  for (const char* name : {"/last", "/last.previous"}) {
    try {
      return read_state(folder_ + name).at("state");
    } catch (const Error&) {  // `load_last` tells of it
    }
  }
  return std::nullopt;
}

Checkpoint CheckpointFolder::load(const std::string& name,
                                  const std::function<void(const std::string&)>& warn) const {
  const std::string path = folder_ + "/" + name, previous = path + ".previous",
                    damaged = path + ".damaged";
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
    // So that the next save does not take it for the good one. It goes when that one is there.
    fs::remove_all(damaged);
    if (fs::exists(path)) rename_path(path, damaged);
    rename_path(previous, path);
    sync_folder(folder_);
    return checkpoint;
  }
}

std::optional<Checkpoint> CheckpointFolder::load_best_of(
    int64_t step, const std::function<void(const std::string&)>& warn) const {
  std::string why;
  try {
    Checkpoint best = load("best", warn);
    if (best.state.at("step") == step) return best;
    why = fmt::format("the best checkpoint is of step {}", best.state["step"].dump());
  } catch (const Error& error) {
    why = error.what();
  }
  warn(fmt::format("{}; the last weights are kept, not the best, which were those of step {}", why,
                   step));
  return std::nullopt;
}

void CheckpointFolder::refuse_existing() const {
  if (!fs::exists(folder_)) return;
  throw Error(ErrorKind::kUsage, Where{folder_},
              "holds the checkpoints of another run; continue it with --resume, or replace it with "
              "--overwrite");
}

int64_t disk_needed(int64_t trained, int64_t all, int64_t state_bytes, bool keeps_last) {
  constexpr int64_t kFloat = 4;
  return (keeps_last ? 2 * (kFloat * trained + state_bytes) : 0) + kFloat * (2 * trained + all) +
         kSlack;
}

int64_t bytes_below(const std::string& folder) {
  std::error_code ignored;
  int64_t bytes = 0;
  for (fs::recursive_directory_iterator it(folder, ignored), end; it != end;
       it.increment(ignored)) {
    if (it->is_regular_file(ignored)) bytes += static_cast<int64_t>(it->file_size(ignored));
  }
  return bytes;
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
