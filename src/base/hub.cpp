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

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
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
  }
  const std::string folder = repository.folder() + "/snapshots/" + commit;
  return is_complete(folder) ? folder : "";
}

// ---- HTTP ----

struct Response {
  long status = 0;
  std::map<std::string, std::string> headers;  // lower-case names; of the last response
  std::string body;
  CURLcode code = CURLE_OK;
  std::string failure;  // the reason where `code` is not CURLE_OK
};

struct Request {
  std::string url;
  bool is_head = false;
  bool has_token = true;  // never sent to another host than the endpoint
  int64_t from = 0;       // first byte wanted
  std::function<bool(const Response&, std::string_view)> sink =
      {};  // takes the body of a success instead of Response::body; false aborts
};

struct Transfer {
  const Request& request;
  Response& response;
};

size_t on_header(char* data, size_t, size_t size, void* user) {
  Response& response = *static_cast<Response*>(user);
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    response.headers.clear();
    const size_t space = line.find(' ');
    response.status =
        space == std::string_view::npos ? 0 : std::strtol(line.data() + space, nullptr, 10);
  }
  if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    line.remove_prefix(colon + 1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    response.headers[name] = line;
  }
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& [request, response] = *static_cast<Transfer*>(user);
  const bool is_success = response.status / 100 == 2;
  if (request.sink && is_success) return request.sink(response, {data, size}) ? size : 0;
  if (response.body.size() < (64U << 20)) response.body.append(data, size);
  return size;
}

Response perform(const Request& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  Response response;
  Transfer transfer{request, response};
  char failure[CURL_ERROR_SIZE] = "";
  curl_slist* headers = nullptr;
  if (const std::string secret = request.has_token ? token() : ""; !secret.empty()) {
    headers = curl_slist_append(headers, ("Authorization: Bearer " + secret).c_str());
  }
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> owner(headers,
                                                                          curl_slist_free_all);
  const std::string range = std::to_string(request.from) + "-";
  curl_easy_setopt(curl.get(), CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "hone/" HONE_VERSION);
  curl_easy_setopt(curl.get(), CURLOPT_NOBODY, request.is_head ? 1L : 0L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT,
                   1L);  // a stalled transfer ends after a minute and is resumed
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, failure);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &response);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  if (request.sink) {
    curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION,
                     1L);  // libcurl keeps the token from other hosts
    curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, 5L);
  }
  if (request.from > 0) curl_easy_setopt(curl.get(), CURLOPT_RANGE, range.c_str());
  response.code = curl_easy_perform(curl.get());
  if (response.code != CURLE_OK)
    response.failure = *failure ? failure : curl_easy_strerror(response.code);
  return response;
}

// Dropped connections, time-outs and a busy server are worth another try.
bool is_passing(const Response& response) {
  switch (response.code) {
    case CURLE_OK:
      return response.status == 429 || response.status >= 500;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

constexpr int kTries = 5;

void wait_before_retry(int attempt, const Response& response, const std::string& what) {
  const auto pause = std::chrono::milliseconds(250 << attempt);
  const std::string reason =
      response.code == CURLE_OK ? fmt::format("status {}", response.status) : response.failure;
  log_warn("{}: {}; trying again in {:.2g} s", what, reason,
           std::chrono::duration<double>(pause).count());
  std::this_thread::sleep_for(pause);
}

// Follows redirects within the endpoint (a renamed repository); one to another host stays the
// caller's.
Response perform_here(Request request, const std::string& what) {
  for (int attempt = 0, hops = 0;; ++attempt) {
    Response response = perform(request);
    const auto location = response.headers.find("location");
    if (response.status / 100 == 3 && location != response.headers.end() &&
        location->second.starts_with('/') && ++hops <= 5) {
      request.url = endpoint() + location->second;
      continue;
    }
    if (!is_passing(response) || attempt + 1 >= kTries) return response;
    wait_before_retry(attempt, response, what);
  }
}

std::string describe(const Repository& repository) {
  return repository.revision == "main" ? repository.id : repository.id + "@" + repository.revision;
}

[[noreturn]] void refuse(const Repository& repository, const std::string& file,
                         const Response& response) {
  const std::string what =
      "model \"" + describe(repository) + "\"" + (file.empty() ? "" : ", " + file);
  const auto header = response.headers.find("x-error-code");
  const std::string code = header == response.headers.end() ? "" : header->second;
  if (response.code != CURLE_OK) {
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
    const std::string missing = code == "RevisionNotFound"
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

struct RemoteFile {
  std::string name, url, etag = {};
  int64_t size = -1;  // -1: not stated
  bool has_token = true;
};

// Where a file's bytes are, and what they must add up to.
RemoteFile locate(const Repository& repository, const std::string& commit,
                  const std::string& name) {
  RemoteFile file{.name = name,
                  .url = endpoint() + "/" + repository.id + "/resolve/" + commit + "/" + name};
  const Response response = perform_here({.url = file.url, .is_head = true}, name);
  if (response.code != CURLE_OK || response.status >= 400) refuse(repository, name, response);
  const auto header = [&](const char* key) {
    const auto found = response.headers.find(key);
    return found == response.headers.end() ? std::string() : found->second;
  };
  std::string etag = header("x-linked-etag").empty() ? header("etag") : header("x-linked-etag");
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  if (!is_hex(etag, 64) && !is_hex(etag, 40)) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} gives \"{}\" as its checksum, which is neither a SHA-256 nor a "
                            "git blob id; the file cannot be verified.",
                            name, endpoint(), etag));
  }
  file.etag = etag;
  const bool is_redirect = response.status / 100 == 3;
  const std::string size = header("x-linked-size").empty() && !is_redirect
                               ? header("content-length")
                               : header("x-linked-size");
  if (!size.empty()) file.size = std::strtoll(size.c_str(), nullptr, 10);
  if (is_redirect) {
    file.url = header("location");
    file.has_token = file.url.starts_with(endpoint() + "/");
  }
  return file;
}

// The partial file of a download. Locked, so that two processes do not write it at once.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path)
      : path_(path), descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0)
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("cannot be written: {}.", std::strerror(errno)));
    flock(descriptor_, LOCK_EX);
  }
  ~PartialFile() { close(descriptor_); }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t size() const { return lseek(descriptor_, 0, SEEK_END); }
  void clear() {
    if (ftruncate(descriptor_, 0) != 0)
      throw Error(ErrorKind::kModel, {path_},
                  fmt::format("cannot be emptied: {}.", std::strerror(errno)));
  }
  void append(std::string_view bytes) {
    lseek(descriptor_, 0, SEEK_END);
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0)
        throw Error(ErrorKind::kModel, {path_},
                    fmt::format("cannot be written: {}. Is the disk full?", std::strerror(errno)));
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  void commit(const std::string& target) {
    fsync(descriptor_);
    fs::rename(path_, target);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_;
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

// Fetches what the partial file lacks, resuming after each break.
void fetch_rest(const Repository& repository, const RemoteFile& file, PartialFile& partial) {
  Progress progress(file.name, file.size > 0 ? file.size / 1'000'000 : 0, "MB");
  for (int attempt = 0;; ++attempt) {
    int64_t have = partial.size();
    if (file.size >= 0 && have > file.size) partial.clear(), have = 0;
    if (file.size >= 0 && have == file.size) return;
    std::exception_ptr failure;  // must not fly through libcurl
    bool is_first = true;
    Request request{.url = file.url, .has_token = file.has_token, .from = have};
    request.sink = [&](const Response& response, std::string_view bytes) {
      try {
        if (std::exchange(is_first, false) && response.status != 206)
          partial.clear(), have = 0;  // the server starts over
        partial.append(bytes);
        progress.advance_to((have += static_cast<int64_t>(bytes.size())) / 1'000'000);
      } catch (...) {
        failure = std::current_exception();
      }
      return failure == nullptr;
    };
    const Response response = perform(request);
    if (failure) std::rethrow_exception(failure);
    const bool is_whole = response.code == CURLE_OK && response.status / 100 == 2;
    if (is_whole && (file.size < 0 || partial.size() == file.size)) return;
    if (attempt + 1 >= kTries || !(is_whole || is_passing(response)))
      refuse(repository, file.name, response);
    wait_before_retry(attempt, response, file.name);
  }
}

// The verified blob of a file.
std::string fetch_blob(const Repository& repository, const RemoteFile& file) {
  const std::string folder = repository.folder() + "/blobs", blob = folder + "/" + file.etag;
  fs::create_directories(folder);
  for (bool is_retry : {false, true}) {
    if (fs::exists(blob)) return blob;
    PartialFile partial(blob + ".incomplete");
    if (fs::exists(blob)) return blob;  // another process was faster
    check_space(file, partial.size(), folder);
    fetch_rest(repository, file, partial);
    const std::string found =
        is_hex(file.etag, 64) ? sha256_file(partial.path()) : git_blob_id(partial.path());
    if (found == file.etag) {
      partial.commit(blob);
      return blob;
    }
    fs::remove(partial.path());
    const std::string message = fmt::format("{}: checksum {} expected, {} found after {} bytes",
                                            file.name, file.etag, found, file.size);
    if (is_retry)
      throw Error(ErrorKind::kModel,
                  message + "; fetched twice. The connection or the hub's copy is damaged.");
    log_warn("{}; fetching it again", message);
  }
  return blob;
}

void link_file(const std::string& blob, const std::string& snapshot, const std::string& name) {
  const fs::path path = fs::path(snapshot) / name;
  const fs::path target = fs::path("../../blobs") / fs::path(blob).filename();
  std::error_code error;
  fs::remove(path, error);
  fs::create_symlink(target, path, error);
  if (error) fs::copy_file(blob, path);  // a file system without links
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
    const Response response = perform_here({.url = url}, repository_.id);
    if (response.code != CURLE_OK || response.status != 200) refuse(repository_, "", response);
    const Json info = parse_json(response.body, {url}, ErrorKind::kModel);
    commit_ = info.value("sha", "");
    if (!is_hex(commit_, 40))
      throw Error(ErrorKind::kModel, {url},
                  "the answer has no commit in \"sha\"; is HF_ENDPOINT a hub?");
    for (const Json& file : info.value("siblings", Json::array()))
      names_.insert(file.value("rfilename", ""));
    if (!names_.contains("config.json")) {
      throw Error(ErrorKind::kModel,
                  fmt::format("model \"{}\" has no config.json; it is not a Transformers model.",
                              describe(repository_)));
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
    throw Error(ErrorKind::kModel, fmt::format("model \"{}\" has none of model.safetensors and "
                                               "pytorch_model.bin; other formats cannot be read.",
                                               describe(repository_)));
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

std::string find_model(const std::string& name, bool asks_first) {
  const std::optional<Repository> repository = parse_repository(name);
  if (!repository) refuse_name(name);
  const std::string cached = cached_snapshot(*repository);
  const bool is_offline = environment_flag("HF_HUB_OFFLINE");
  if (!cached.empty() && (is_offline || !asks_first)) return cached;
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
  return find_model(name_or_path, false);
}

std::string pull_model(const std::string& name) { return find_model(name, true); }

}  // namespace hone
