#include "base/hub.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hub_cache.h"
#include "base/hub_download.h"
#include "base/json.h"
#include "base/log.h"
#include "base/model_files.h"
#include "base/shard_index.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// Fetches a model: its configuration, its tokenizer and its weights.
class Fetch {
 public:
  explicit Fetch(Repository repository) : repository_(std::move(repository)) {}

  std::string run() {
    ask();
    snapshot_ = repository_.folder() + "/snapshots/" + commit_;
    fs::create_directories(snapshot_);
    for (const char* name : other_files()) fetch_if_there(name);
    for (const char* name : tokenizer_files()) fetch_if_there(name);
    fetch_weights();
    if (!is_commit(repository_.revision)) {
      const std::string reference = repository_.folder() + "/refs/" + repository_.revision;
      fs::create_directories(fs::path(reference).parent_path());
      write_file(reference, commit_);
    }
    return snapshot_;
  }

 private:
  // What the revision stands at, and the names of its files.
  void ask() {
    const std::string url =
        hub_endpoint() + "/api/models/" + repository_.id + "/revision/" + repository_.revision;
    const HttpResponse response = ask_hub({.url = url}, repository_.id);
    if (!response.is_success() || response.status != 200) refuse_answer(repository_, "", response);
    read_answer(parse_json(response.body, {url}, ErrorKind::kModel), url);
    if (!names_.contains("config.json")) {
      throw Error(ErrorKind::kModel,
                  fmt::format("model \"{}\" has no config.json{}", repository_.name(),
                              foreign({names_.begin(), names_.end()},
                                      "; it is not a Transformers model.")));
    }
  }

  void read_answer(const Json& answer, const std::string& url) {
    const auto defect = [&](const char* what) {
      return Error(ErrorKind::kModel, {url}, fmt::format("{}; is HF_ENDPOINT a hub?", what));
    };
    if (!answer.is_object()) throw defect("the answer is no JSON object");
    const Json commit = answer.value("sha", Json()), files = answer.value("siblings", Json());
    if (!commit.is_string() || !is_commit(commit.get_ref<const std::string&>()))
      throw defect("the answer has no commit in \"sha\"");
    if (!files.is_array()) throw defect("the answer has no list of files in \"siblings\"");
    commit_ = commit;
    for (const Json& file : files) {
      const Json name = file.is_object() ? file.value("rfilename", Json()) : Json();
      if (!name.is_string()) throw defect("a file in \"siblings\" has no name in \"rfilename\"");
      names_.insert(name.get<std::string>());
    }
  }

  void fetch(const std::string& name) {
    if (!names_.contains(name))
      throw Error(ErrorKind::kModel,
                  fmt::format("model \"{}\" has no file \"{}\", which its index names.",
                              repository_.name(), name));
    link_file(fetch_blob(repository_, locate_file(repository_, commit_, name)), snapshot_, name);
  }

  void fetch_if_there(const std::string& name) {
    if (names_.contains(name)) fetch(name);
  }

  void fetch_weights() {
    for (const std::string name : weight_files()) {
      if (!names_.contains(name)) continue;
      fetch(name);
      if (name.ends_with("index.json")) {
        for (const auto& [shard, tensors] : read_shard_index(snapshot_ + "/" + name)) fetch(shard);
      }
      return;
    }
    throw Error(
        ErrorKind::kModel,
        fmt::format("model \"{}\" has none of model.safetensors and pytorch_model.bin{}",
                    repository_.name(),
                    foreign({names_.begin(), names_.end()}, "; other formats cannot be read.")));
  }

  Repository repository_;
  std::string commit_, snapshot_;
  std::set<std::string> names_;
};

[[noreturn]] void refuse_name(const std::string& name) {
  std::vector<std::string> near;
  std::error_code error;
  const fs::path parent = fs::path(name).parent_path();
  for (const auto& entry : fs::directory_iterator(parent.empty() ? "." : parent, error))
    near.push_back((parent / entry.path().filename()).string());
  throw Error(ErrorKind::kModel,
              fmt::format("\"{}\" is no folder here{} and no hub name (\"org/name\"){}.", name,
                          looked_from(name), did_you_mean(name, near)));
}

// The snapshot if its contents are what their names say; else the same commit fetched again.
std::string verified(const Repository& repository, const std::string& snapshot, bool is_offline) {
  const std::string damaged = damaged_file(snapshot);
  if (damaged.empty()) return snapshot;
  if (is_offline) {
    throw Error(ErrorKind::kModel, {damaged},
                "is damaged: its contents do not have the checksum that its blob is named by, and "
                "HF_HUB_OFFLINE forbids fetching it again.");
  }
  log_warn("{}: is damaged in the cache; fetching it again", damaged);
  return Fetch({repository.id, fs::path(snapshot).filename().string()}).run();
}

std::string find_model(const std::string& name, bool asks_first) {
  const std::optional<Repository> repository = parse_repository(name);
  if (!repository) refuse_name(name);
  const std::string cached = cached_snapshot(*repository);
  const bool is_offline = is_hub_offline();
  if (!cached.empty() && (is_offline || !asks_first))
    return verified(*repository, cached, is_offline);
  if (is_offline) {
    throw Error(ErrorKind::kModel, fmt::format("\"{}\" is no folder here{}, and the cache {} does "
                                               "not hold it; HF_HUB_OFFLINE forbids fetching it.",
                                               name, looked_from(name), hub_cache()));
  }
  return Fetch(*repository).run();
}

}  // namespace

std::string resolve_model(const std::string& name_or_path) {
  if (fs::is_directory(name_or_path)) return name_or_path;
  if (fs::exists(name_or_path))
    throw Error(ErrorKind::kModel, {name_or_path},
                "is a file" + foreign({name_or_path}, "; name the folder that holds the model."));
  return find_model(name_or_path, false);
}

std::string pull_model(const std::string& name) { return find_model(name, true); }

}  // namespace hone
