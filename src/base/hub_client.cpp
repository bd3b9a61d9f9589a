#include "base/hub_client.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hub_cache.h"
#include "base/log.h"

namespace hone {
namespace {

std::string etag_of(const HttpResponse& response, const std::string& name) {
  const std::string linked = response.header("x-linked-etag");
  std::string etag = linked.empty() ? response.header("etag") : linked;
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  if (!is_checksum(etag)) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} gives \"{}\" as its checksum, which is neither a SHA-256 nor a "
                            "git blob id; the file cannot be verified.",
                            name, hub_endpoint(), etag.substr(0, 80)));
  }
  return etag;
}

}  // namespace

void wait_before_retry(int attempt, const HttpResponse& response, const std::string& what) {
  const auto pause = std::chrono::milliseconds(250 << attempt);
  const std::string reason =
      response.failure.empty() ? fmt::format("status {}", response.status) : response.failure;
  log_warn("{}: {}; trying again in {:.2g} s", what, reason,
           std::chrono::duration<double>(pause).count());
  std::this_thread::sleep_for(pause);
}

HttpResponse ask_hub(HttpRequest request, const std::string& what) {
  request.token = hub_token();
  for (int attempt = 0, hops = 0;; ++attempt) {
    HttpResponse response = http_perform(request);
    const std::string target = response.status / 100 == 3 && response.failure.empty()
                                   ? http_resolved(request.url, response.header("location"))
                                   : "";
    if (http_same_origin(target, hub_endpoint()) && response.header("x-linked-etag").empty() &&
        ++hops <= 5) {
      request.url = target;
      continue;
    }
    if (!response.is_passing || attempt + 1 >= kHubTries) return response;
    wait_before_retry(attempt, response, what);
  }
}

void refuse_answer(const Repository& repository, const std::string& file,
                   const HttpResponse& response) {
  const std::string what =
      "model \"" + repository.name() + "\"" + (file.empty() ? "" : ", " + file);
  if (!response.failure.empty()) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: there is no such folder here{}, and {} could not be reached ({}). "
                            "Give a model folder, or set HF_HUB_OFFLINE=1 to use "
                            "the cache alone.",
                            what, looked_from(repository.id), hub_endpoint(), response.failure));
  }
  if (response.status == 401 || response.status == 403) {
    throw Error(
        ErrorKind::kModel,
        fmt::format(
            "{}: {} answered {}. There is no model of that name, or it is private or gated: {}.",
            what, hub_endpoint(), response.status,
            hub_token().empty() ? "then set HF_TOKEN to a token that may read it"
                                : "the token in use may not read it"));
  }
  if (response.status == 404) {
    const std::string missing = response.header("x-error-code") == "RevisionNotFound"
                                    ? "has no revision \"" + repository.revision + "\""
                                    : "has none of that name";
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} {}. Is the name spelt as there, with its owner (\"org/name\")?",
                            what, hub_endpoint(), missing));
  }
  throw Error(ErrorKind::kModel, fmt::format("{}: {} answered {}. Try again later.", what,
                                             hub_endpoint(), response.status));
}

int64_t stated_size(const std::string& stated, const std::string& name) {
  int64_t size = -1;
  const auto [end, error] = std::from_chars(stated.data(), stated.data() + stated.size(), size);
  if (stated.empty()) return -1;
  if (error != std::errc() || end != stated.data() + stated.size() || size < 0)
    throw Error(ErrorKind::kModel, fmt::format("{}: {} gives \"{}\" as its size.", name,
                                               hub_endpoint(), stated.substr(0, 60)));
  return size;
}

RemoteFile locate_file(const Repository& repository, const std::string& commit,
                       const std::string& name) {
  RemoteFile file{.name = name,
                  .url = hub_endpoint() + "/" + repository.id + "/resolve/" + commit + "/" + name};
  const HttpResponse response = ask_hub({.url = file.url, .is_head = true}, name);
  if (!response.failure.empty() || response.status >= 400)
    refuse_answer(repository, name, response);
  file.etag = etag_of(response, name);
  const bool is_redirect = response.status / 100 == 3;
  const std::string linked = response.header("x-linked-size");
  file.size = stated_size(
      linked.empty() && !is_redirect ? response.header("content-length") : linked, name);
  if (is_redirect) {
    const std::string location = response.header("location");
    file.url = http_resolved(file.url, location);
    if (file.url.empty())
      throw Error(ErrorKind::kModel, fmt::format("{}: {} redirects to \"{}\", which is no URL.",
                                                 name, hub_endpoint(), location.substr(0, 200)));
  }
  return file;
}

}  // namespace hone
