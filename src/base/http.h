// One HTTP transfer by libcurl. Nothing that a server sends makes it use more memory or time than
// is written here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace hone {

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // lower-case names; of the last response
  std::string body;
  std::string failure;      // why the transfer broke off; empty where it came to its end
  bool is_passing = false;  // a dropped connection, a time-out, a busy server: worth another try

  bool is_success() const { return failure.empty() && status / 100 == 2; }
  std::string header(const std::string& name) const;  // "" where there is none
};

struct HttpRequest {
  std::string url;
  bool is_head = false;
  std::string token = {};  // never sent to another host than the one of `url`
  int64_t from = 0;        // first byte wanted
  // Takes the body of a success piece by piece instead of HttpResponse::body; then redirects are
  // followed. What it throws ends the transfer and reaches the caller. Without it an answer of more
  // than 16 MiB, or one that takes more than a minute, is a failure.
  std::function<void(const HttpResponse&, std::string_view)> sink = {};
};

HttpResponse http_perform(const HttpRequest& request);

// `reference` (a Location) as seen from the absolute `base`; "" where the two make no URL.
std::string http_resolved(const std::string& base, const std::string& reference);
bool http_same_origin(const std::string& a, const std::string& b);  // scheme, host and port

}  // namespace hone
