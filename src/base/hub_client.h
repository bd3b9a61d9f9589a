// Questions to the hub, and what its refusals mean.
#pragma once

#include <cstdint>
#include <string>

#include "base/http.h"
#include "base/hub_repository.h"

namespace hone {

constexpr int kHubTries = 5;  // of each transfer

// Says what went wrong, and sleeps the longer the more often it was tried.
void wait_before_retry(int attempt, const HttpResponse& response, const std::string& what);

// Follows redirects within the endpoint (a renamed repository); one to another host stays the
// caller's, and so does one that says what the file is.
HttpResponse ask_hub(HttpRequest request, const std::string& what);

// Throws what the answer means, in words. `file`: "" where the whole model is meant.
[[noreturn]] void refuse_answer(const Repository& repository, const std::string& file,
                                const HttpResponse& response);

struct RemoteFile {
  std::string name, url, etag = {};
  int64_t size = -1;  // -1: not stated
};

// Where a file's bytes are, and what they must add up to.
RemoteFile locate_file(const Repository& repository, const std::string& commit,
                       const std::string& name);

// The size that a header states; -1 where it states none. Error(kModel) for what is no size.
int64_t stated_size(const std::string& stated, const std::string& name);

}  // namespace hone
