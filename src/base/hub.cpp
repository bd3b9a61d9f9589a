// The cache has the layout of huggingface_hub, so that both programs share it
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
//
//   <cache>/models--org--name/refs/main            the commit that the revision "main" stood at
//   <cache>/models--org--name/blobs/<etag>         contents; the etag is a SHA-256 or a git blob id
//   <cache>/models--org--name/snapshots/<commit>/  links into blobs under the files' names
//
// Invariant: a blob under its final name is whole and verified; a file in a snapshot links to such
// a blob.
#include "base/hub.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/http.h"
#include "base/json.h"
#include "base/log.h"
#include "base/model_files.h"
#include "base/progress.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// Without these a folder is no model; the tokenizer's files are taken where the repository has
// them.
constexpr const char* kTokenizerFiles[] = {"tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "added_tokens.json",
                                           "vocab.txt",
                                           "vocab.json",
                                           "merges.txt",
                                           "spiece.model",
                                           "tokenizer.model",
                                           "sentencepiece.bpe.model"};
constexpr const char* kOtherFiles[] = {"config.json", "generation_config.json", "hone.json"};
// In the order of preference; a name that ends in index.json lists its shards.
constexpr const char* kWeightFiles[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};

std::string environment(const char* name, const std::string& fallback = "") {
  const char* value = std::getenv(name);
  return value && *value ? value : fallback;
}

bool environment_flag(const char* name) {
  std::string value = environment(name);
  std::transform(value.begin(), value.end(), value.begin(), ::toupper);
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string hugging_face_home() {
  const std::string home = environment("XDG_CACHE_HOME", environment("HOME", ".") + "/.cache");
  return environment("HF_HOME", home + "/huggingface");
}

std::string cache_folder() { return environment("HF_HUB_CACHE", hugging_face_home() + "/hub"); }

std::string endpoint() {
  std::string url = environment("HF_ENDPOINT", "https://huggingface.co");
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string token() {
  std::string value = environment("HF_TOKEN");
  const std::string path = environment("HF_TOKEN_PATH", hugging_face_home() + "/token");
  if (value.empty() && fs::exists(path)) value = read_file(path, ErrorKind::kUsage);
  std::erase_if(value, [](unsigned char c) { return std::isspace(c); });
  return value;
}

// "org/name@revision"
struct Repository {
  std::string id, revision = "main";

  std::string folder() const {
    std::string name = id;
    if (const size_t slash = name.find('/'); slash != std::string::npos)
      name.replace(slash, 1, "--");
    return cache_folder() + "/models--" + name;
  }
};

bool is_hex(std::string_view text, size_t length) {
  return text.size() == length &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<Repository> parse_repository(const std::string& name) {
  Repository repository;
  const size_t at = name.find('@');
  repository.id = name.substr(0, at);
  if (at != std::string::npos) repository.revision = name.substr(at + 1);
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  const bool is_plain = repository.id.find_first_not_of(kAllowed) == std::string::npos &&
                        repository.id.find("..") == std::string::npos &&
                        repository.revision.find_first_not_of(kAllowed) == std::string::npos &&
                        repository.revision.find("..") == std::string::npos;
  if (!is_plain || repository.id.empty() || repository.revision.empty() ||
      repository.id.front() == '.' || repository.id.front() == '/' || repository.id.back() == '/' ||
      repository.revision.front() == '/' ||
      std::count(repository.id.begin(), repository.id.end(), '/') > 1) {
    return std::nullopt;
  }
  return repository;
}

// ---- checksums: a blob's name is its contents' SHA-256 (large files) or git blob id ----

bool is_checksum(const std::string& name) { return is_hex(name, 64) || is_hex(name, 40); }

std::string git_blob_id(const std::string& path) {
  const MappedFile file(path, ErrorKind::kModel);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const std::string header = fmt::format("blob {}", file.bytes().size());
  EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr);
  EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1);  // with the terminating zero
  EVP_DigestUpdate(context.get(), file.bytes().data(), file.bytes().size());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string checksum_like(const std::string& name, const std::string& path) {
  return is_hex(name, 64) ? sha256_file(path) : git_blob_id(path);
}

bool is_whole(const fs::path& blob) {
  const std::string name = blob.filename().string();
  return fs::exists(blob) && checksum_like(name, blob.string()) == name;
}

// ---- what is on disk ----

std::vector<std::string> shards_of(const std::string& index_path) {
  const Json index = read_json(index_path, ErrorKind::kModel);
  std::set<std::string> names;
  if (!index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw Error(ErrorKind::kModel, {index_path},
                "has no \"weight_map\"; it should name the shard of each weight.");
  }
  for (const auto& [weight, shard] : index["weight_map"].items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
      throw Error(ErrorKind::kModel, {index_path},
                  fmt::format("the shard of \"{}\" is {}, which is not a plain file name.", weight,
                              shard.dump()));
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

bool has_any(const std::string& folder, std::span<const char* const> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return fs::exists(folder + "/" + name); });
}

bool has_weights(const std::string& folder) {
  for (const std::string name : kWeightFiles) {
    const std::string path = folder + "/" + name;
    if (!fs::exists(path)) continue;
    if (!name.ends_with("index.json")) return true;
    const std::vector<std::string> shards = shards_of(path);
    if (std::all_of(shards.begin(), shards.end(),
                    [&](const std::string& shard) { return fs::exists(folder + "/" + shard); }))
      return true;
  }
  return false;
}

bool is_complete(const std::string& folder) {
  return fs::exists(folder + "/config.json") && has_weights(folder) &&
         has_any(folder, kTokenizerFiles);
}

// The snapshot in the cache, or "" where there is none that is complete.
std::string cached_snapshot(const Repository& repository) {
  std::string commit = repository.revision;
  const std::string reference = repository.folder() + "/refs/" + repository.revision;
  if (fs::is_regular_file(reference)) {
    commit = read_file(reference, ErrorKind::kModel);
    std::erase_if(commit, [](unsigned char c) { return std::isspace(c); });
    if (!is_hex(commit, 40)) return "";
  }
  const std::string folder = repository.folder() + "/snapshots/" + commit;
  return is_complete(folder) ? folder : "";
}

// The files that are read of a snapshot.
std::vector<std::string> files_of(const std::string& snapshot) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& name) {
    if (fs::exists(snapshot + "/" + name)) files.push_back(snapshot + "/" + name);
  };
  for (const char* name : kOtherFiles) add(name);
  for (const char* name : kTokenizerFiles) add(name);
  const auto weights =
      std::find_if(std::begin(kWeightFiles), std::end(kWeightFiles),
                   [&](const char* name) { return fs::exists(snapshot + "/" + name); });
  add(*weights);
  if (files.back().ends_with("index.json")) {
    for (const std::string& shard : shards_of(files.back())) add(shard);
  }
  return files;
}

// The first file whose contents are not what its blob is named by, or "". A copy that links to no
// blob, and a blob that another program named otherwise, cannot be checked.
std::string damaged_file(const std::string& snapshot) {
  for (const std::string& file : files_of(snapshot)) {
    std::error_code error;
    const fs::path blob = fs::read_symlink(file, error);
    if (!error && is_checksum(blob.filename().string()) && !is_whole(fs::path(snapshot) / blob))
      return file;
  }
  return "";
}

// ---- asking the hub ----

constexpr int kTries = 5;

void wait_before_retry(int attempt, const HttpResponse& response, const std::string& what) {
  const auto pause = std::chrono::milliseconds(250 << attempt);
  const std::string reason =
      response.failure.empty() ? fmt::format("status {}", response.status) : response.failure;
  log_warn("{}: {}; trying again in {:.2g} s", what, reason,
           std::chrono::duration<double>(pause).count());
  std::this_thread::sleep_for(pause);
}

// Follows redirects within the endpoint (a renamed repository); one to another host stays the
// caller's, and so does one that says what the file is.
HttpResponse ask_hub(HttpRequest request, const std::string& what) {
  request.token = token();
  for (int attempt = 0, hops = 0;; ++attempt) {
    HttpResponse response = http_perform(request);
    const std::string target = response.status / 100 == 3 && response.failure.empty()
                                   ? http_resolved(request.url, response.header("location"))
                                   : "";
    if (http_same_origin(target, endpoint()) && response.header("x-linked-etag").empty() &&
        ++hops <= 5) {
      request.url = target;
      continue;
    }
    if (!response.is_passing || attempt + 1 >= kTries) return response;
    wait_before_retry(attempt, response, what);
  }
}

std::string describe(const Repository& repository) {
  return repository.revision == "main" ? repository.id : repository.id + "@" + repository.revision;
}

[[noreturn]] void refuse(const Repository& repository, const std::string& file,
                         const HttpResponse& response) {
  const std::string what =
      "model \"" + describe(repository) + "\"" + (file.empty() ? "" : ", " + file);
  if (!response.failure.empty()) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: there is no such folder here, and {} could not be reached ({}). "
                            "Give a model folder, or set HF_HUB_OFFLINE=1 to use "
                            "the cache alone.",
                            what, endpoint(), response.failure));
  }
  if (response.status == 401 || response.status == 403) {
    throw Error(
        ErrorKind::kModel,
        fmt::format(
            "{}: {} answered {}. There is no model of that name, or it is private or gated: {}.",
            what, endpoint(), response.status,
            token().empty() ? "then set HF_TOKEN to a token that may read it"
                            : "the token in use may not read it"));
  }
  if (response.status == 404) {
    const std::string missing = response.header("x-error-code") == "RevisionNotFound"
                                    ? "has no revision \"" + repository.revision + "\""
                                    : "has none of that name";
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} {}. Is the name spelt as there, with its owner (\"org/name\")?",
                            what, endpoint(), missing));
  }
  throw Error(ErrorKind::kModel, fmt::format("{}: {} answered {}. Try again later.", what,
                                             endpoint(), response.status));
}

// ---- fetching one file ----

struct RemoteFile {
  std::string name, url, etag = {};
  int64_t size = -1;  // -1: not stated
};

int64_t size_of(const std::string& stated, const std::string& name) {
  int64_t size = -1;
  const auto [end, error] = std::from_chars(stated.data(), stated.data() + stated.size(), size);
  if (stated.empty()) return -1;
  if (error != std::errc() || end != stated.data() + stated.size() || size < 0)
    throw Error(ErrorKind::kModel, fmt::format("{}: {} gives \"{}\" as its size.", name, endpoint(),
                                               stated.substr(0, 60)));
  return size;
}

std::string etag_of(const HttpResponse& response, const std::string& name) {
  const std::string linked = response.header("x-linked-etag");
  std::string etag = linked.empty() ? response.header("etag") : linked;
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  if (!is_checksum(etag)) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} gives \"{}\" as its checksum, which is neither a SHA-256 nor a "
                            "git blob id; the file cannot be verified.",
                            name, endpoint(), etag.substr(0, 80)));
  }
  return etag;
}

// Where a file's bytes are, and what they must add up to.
RemoteFile locate(const Repository& repository, const std::string& commit,
                  const std::string& name) {
  RemoteFile file{.name = name,
                  .url = endpoint() + "/" + repository.id + "/resolve/" + commit + "/" + name};
  const HttpResponse response = ask_hub({.url = file.url, .is_head = true}, name);
  if (!response.failure.empty() || response.status >= 400) refuse(repository, name, response);
  file.etag = etag_of(response, name);
  const bool is_redirect = response.status / 100 == 3;
  const std::string linked = response.header("x-linked-size");
  file.size =
      size_of(linked.empty() && !is_redirect ? response.header("content-length") : linked, name);
  if (is_redirect) {
    const std::string location = response.header("location");
    file.url = http_resolved(file.url, location);
    if (file.url.empty())
      throw Error(ErrorKind::kModel, fmt::format("{}: {} redirects to \"{}\", which is no URL.",
                                                 name, endpoint(), location.substr(0, 200)));
  }
  return file;
}

// The partial file of a download. Locked, so that two processes do not write it at once.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path) : path_(path) {
    do {
      if (descriptor_ >= 0) close(descriptor_);
      descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (descriptor_ < 0) fail("written", "");
      flock(descriptor_, LOCK_EX);
    } while (!is_still_here());
  }
  ~PartialFile() { close(descriptor_); }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t size() const { return lseek(descriptor_, 0, SEEK_END); }
  void clear() {
    if (ftruncate(descriptor_, 0) != 0) fail("emptied", "");
  }
  void append(std::string_view bytes) {
    lseek(descriptor_, 0, SEEK_END);
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail("written", " Is the disk full?");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  void commit(const std::string& target) {
    if (fsync(descriptor_) != 0) fail("written", " Is the disk full?");
    if (rename(path_.c_str(), target.c_str()) != 0) fail("renamed", "");
  }
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(const char* what, const char* hint) const {
    throw Error(ErrorKind::kModel, {path_},
                fmt::format("cannot be {}: {}.{}", what, std::strerror(errno), hint));
  }
  // False where another process renamed or removed the file while this one waited for the lock.
  bool is_still_here() const {
    struct stat mine{}, named{};
    return fstat(descriptor_, &mine) == 0 && stat(path_.c_str(), &named) == 0 &&
           mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
  }

  std::string path_;
  int descriptor_ = -1;
};

void check_space(const RemoteFile& file, int64_t have, const std::string& folder) {
  const int64_t needed = std::max<int64_t>(0, file.size - have), free = free_disk_bytes(folder);
  if (needed > free) {
    throw Error(
        ErrorKind::kModel, {folder},
        fmt::format("{} needs {:.0f} MB but {:.0f} MB are free; set HF_HOME to a larger disk.",
                    file.name, needed / 1e6, free / 1e6));
  }
}

// Takes one answer's bytes into the partial file, and no more of them than were announced.
class Download {
 public:
  Download(const RemoteFile& file, PartialFile& partial, Progress& progress)
      : file_(file), partial_(partial), progress_(progress) {}

  void take(const HttpResponse& response, std::string_view bytes) {
    if (std::exchange(is_first_, false)) begin(response);
    if (have_ + static_cast<int64_t>(bytes.size()) > announced_) {
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} sends more than the {} bytes that it announced.", file_.name,
                              endpoint(), announced_));
    }
    partial_.append(bytes);
    have_ += static_cast<int64_t>(bytes.size());
    progress_.advance_to(have_ / 1'000'000);
  }

 private:
  void begin(const HttpResponse& response) {
    if (response.status != 206) partial_.clear();  // the server starts over
    have_ = partial_.size();
    announced_ = file_.size;
    if (announced_ >= 0) return;
    const int64_t rest = size_of(response.header("content-length"), file_.name);
    if (rest < 0)
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} does not say how long it is.", file_.name, endpoint()));
    announced_ = have_ + rest;
  }

  const RemoteFile& file_;
  PartialFile& partial_;
  Progress& progress_;
  bool is_first_ = true;
  int64_t have_ = 0, announced_ = 0;
};

// Fetches what the partial file lacks, resuming after each break.
void fetch_rest(const Repository& repository, const RemoteFile& file, PartialFile& partial) {
  Progress progress(file.name, file.size > 0 ? file.size / 1'000'000 : 0, "MB");
  for (int attempt = 0;; ++attempt) {
    if (file.size >= 0 && partial.size() > file.size) partial.clear();
    if (file.size >= 0 && partial.size() == file.size) return;
    Download download(file, partial, progress);
    HttpRequest request{.url = file.url, .from = partial.size()};
    if (http_same_origin(file.url, endpoint())) request.token = token();
    request.sink = [&](const HttpResponse& response, std::string_view bytes) {
      download.take(response, bytes);
    };
    const HttpResponse response = http_perform(request);
    const bool is_whole = response.is_success();
    if (is_whole && (file.size < 0 || partial.size() == file.size)) return;
    if (attempt + 1 >= kTries && is_whole)
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} sends {} bytes, not the {} that it announced.", file.name,
                              endpoint(), partial.size(), file.size));
    if (attempt + 1 >= kTries || !(is_whole || response.is_passing))
      refuse(repository, file.name, response);
    wait_before_retry(attempt, response, file.name);
  }
}

// The verified blob of a file.
std::string fetch_blob(const Repository& repository, const RemoteFile& file) {
  const std::string folder = repository.folder() + "/blobs", blob = folder + "/" + file.etag;
  fs::create_directories(folder);
  for (bool is_retry : {false, true}) {
    if (is_whole(blob)) return blob;
    PartialFile partial(blob + ".incomplete");
    if (is_whole(blob)) {  // another process was faster
      fs::remove(partial.path());
      return blob;
    }
    check_space(file, partial.size(), folder);
    fetch_rest(repository, file, partial);
    const std::string found = checksum_like(file.etag, partial.path());
    if (found == file.etag) {
      partial.commit(blob);
      return blob;
    }
    fs::remove(partial.path());
    const std::string message = fmt::format("{}: checksum {} expected, {} found after {} bytes",
                                            file.name, file.etag, found, partial.size());
    if (is_retry)
      throw Error(ErrorKind::kModel,
                  message + "; fetched twice. The connection or the hub's copy is damaged.");
    log_warn("{}; fetching it again", message);
  }
  return blob;
}

// Made under another name and renamed: at every moment, to every process, the file is there or not.
void link_file(const std::string& blob, const std::string& snapshot, const std::string& name) {
  const fs::path path = fs::path(snapshot) / name;
  const fs::path target = fs::path("../../blobs") / fs::path(blob).filename();
  std::error_code error;
  if (fs::read_symlink(path, error) == target) return;
  const fs::path temporary = fmt::format("{}.tmp-{}", path.string(), getpid());
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (error)  // a file system without links
    fs::copy_file(blob, temporary, fs::copy_options::overwrite_existing);
  fs::rename(temporary, path);
}

// ---- fetching a model ----

class Fetch {
 public:
  explicit Fetch(Repository repository) : repository_(std::move(repository)) {}

  std::string run() {
    ask();
    snapshot_ = repository_.folder() + "/snapshots/" + commit_;
    fs::create_directories(snapshot_);
    for (const char* name : kOtherFiles) fetch_if_there(name);
    for (const char* name : kTokenizerFiles) fetch_if_there(name);
    fetch_weights();
    if (!is_hex(repository_.revision, 40)) {
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
        endpoint() + "/api/models/" + repository_.id + "/revision/" + repository_.revision;
    const HttpResponse response = ask_hub({.url = url}, repository_.id);
    if (!response.is_success() || response.status != 200) refuse(repository_, "", response);
    read_answer(parse_json(response.body, {url}, ErrorKind::kModel), url);
    if (!names_.contains("config.json")) {
      throw Error(ErrorKind::kModel,
                  fmt::format("model \"{}\" has no config.json{}", describe(repository_),
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
    if (!commit.is_string() || !is_hex(commit.get_ref<const std::string&>(), 40))
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
                              describe(repository_), name));
    link_file(fetch_blob(repository_, locate(repository_, commit_, name)), snapshot_, name);
  }

  void fetch_if_there(const std::string& name) {
    if (names_.contains(name)) fetch(name);
  }

  void fetch_weights() {
    for (const std::string name : kWeightFiles) {
      if (!names_.contains(name)) continue;
      fetch(name);
      if (name.ends_with("index.json")) {
        for (const std::string& shard : shards_of(snapshot_ + "/" + name)) fetch(shard);
      }
      return;
    }
    throw Error(
        ErrorKind::kModel,
        fmt::format("model \"{}\" has none of model.safetensors and pytorch_model.bin{}",
                    describe(repository_),
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
              fmt::format("\"{}\" is no folder here and no hub name (\"org/name\"){}.", name,
                          did_you_mean(name, near)));
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
  const bool is_offline = environment_flag("HF_HUB_OFFLINE");
  if (!cached.empty() && (is_offline || !asks_first))
    return verified(*repository, cached, is_offline);
  if (is_offline) {
    throw Error(ErrorKind::kModel, fmt::format("\"{}\" is no folder here, and the cache {} does "
                                               "not hold it; HF_HUB_OFFLINE forbids fetching it.",
                                               name, cache_folder()));
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
