// Files of the hub into its cache.
#pragma once

#include <string>

#include "base/hub_client.h"

namespace hone {

// The path of the file's verified blob, fetched where the cache lacks it. A download that was
// broken off goes on where it ended; any number of processes may fetch the same file.
std::string fetch_blob(const Repository& repository, const RemoteFile& file);

// Makes the blob a file of the snapshot. Made under another name and renamed: at every moment, to
// every process, the file is there or not.
void link_file(const std::string& blob, const std::string& snapshot, const std::string& name);

}  // namespace hone
