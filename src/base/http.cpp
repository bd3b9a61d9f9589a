#include "base/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

namespace hone {
namespace {

constexpr size_t kAnswerLimit = size_t{16} << 20, kHeaderLimit = size_t{256} << 10;
constexpr long kAnswerSeconds = 60;

struct Transfer {
  const HttpRequest& request;
  HttpResponse& response;
  std::exception_ptr thrown = {};  // must not fly through libcurl
  size_t header_bytes = 0;
  bool is_too_long = false;
};

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  HttpResponse& response = transfer.response;
  transfer.is_too_long = (transfer.header_bytes += size) > kHeaderLimit;
  if (transfer.is_too_long) return 0;
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
  auto& transfer = *static_cast<Transfer*>(user);
  HttpResponse& response = transfer.response;
  if (transfer.request.sink && response.status / 100 == 2) {
    try {
      transfer.request.sink(response, {data, size});
    } catch (...) {
      transfer.thrown = std::current_exception();
    }
    return transfer.thrown ? 0 : size;
  }
  transfer.is_too_long = response.body.size() + size > kAnswerLimit;
  if (transfer.is_too_long) return 0;
  response.body.append(data, size);
  return size;
}

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

Headers headers_of(const HttpRequest& request) {
  curl_slist* list = nullptr;
  if (!request.token.empty())
    list = curl_slist_append(list, ("Authorization: Bearer " + request.token).c_str());
  return {list, curl_slist_free_all};
}

// A stalled transfer ends after a minute; the caller may resume it.
void set_limits(CURL* curl, const HttpRequest& request) {
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
  if (request.sink) {
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);  // libcurl keeps the token from other hosts
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  } else {
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, kAnswerSeconds);
  }
}

bool is_passing(CURLcode code, long status) {
  switch (code) {
    case CURLE_OK:
      return status == 429 || status >= 500;
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

// One part of a URL, "" where it has none.
std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string out(text);
  curl_free(text);
  return out;
}

std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(const std::string& url) {
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> out(curl_url(), curl_url_cleanup);
  if (curl_url_set(out.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) out.reset();
  return out;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

HttpResponse http_perform(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const Handle curl(curl_easy_init(), curl_easy_cleanup);
  HttpResponse response;
  Transfer transfer{request, response};
  char failure[CURL_ERROR_SIZE] = "";
  const Headers headers = headers_of(request);
  const std::string range = std::to_string(request.from) + "-";
  set_limits(curl.get(), request);
  curl_easy_setopt(curl.get(), CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "hone/" HONE_VERSION);
  curl_easy_setopt(curl.get(), CURLOPT_NOBODY, request.is_head ? 1L : 0L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, failure);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  if (request.from > 0) curl_easy_setopt(curl.get(), CURLOPT_RANGE, range.c_str());
  const CURLcode code = curl_easy_perform(curl.get());
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (code != CURLE_OK) response.failure = *failure ? failure : curl_easy_strerror(code);
  if (transfer.is_too_long) response.failure = "the answer is longer than any should be";
  response.is_passing = is_passing(code, response.status);
  return response;
}

std::string http_resolved(const std::string& base, const std::string& reference) {
  const auto url = parsed(base);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) return "";
  return part_of(url.get(), CURLUPART_URL);
}

bool http_same_origin(const std::string& a, const std::string& b) {
  const auto left = parsed(a), right = parsed(b);
  if (!left || !right) return false;
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    if (part_of(left.get(), part, CURLU_DEFAULT_PORT) !=
        part_of(right.get(), part, CURLU_DEFAULT_PORT))
      return false;
  }
  return true;
}

}  // namespace hone
