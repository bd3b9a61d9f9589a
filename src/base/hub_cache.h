// The cache has the layout of huggingface_hub, so that both programs share it
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
//
//   <cache>/models--org--name/refs/main            the commit that the revision "main" stood at
//   <cache>/models--org--name/blobs/<etag>         contents; the etag is a SHA-256 or a git blob id
//   <cache>/models--org--name/snapshots/<commit>/  links into blobs under the files' names
//
// Invariant: a blob under its final name is whole and verified; a file in a snapshot links to such
// a blob.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/hub_repository.h"

namespace hone {

// What is fetched of a model and read of a snapshot. Without these a folder is no model; the
// tokenizer's files are taken where the repository has them.
std::span<const char* const> tokenizer_files();
std::span<const char* const> other_files();
// In the order of preference; a name that ends in index.json lists its shards.
std::span<const char* const> weight_files();

// The snapshot in the cache, or "" where there is none that is complete.
std::string cached_snapshot(const Repository& repository);

// The files that are read of a model's folder: its configuration, its tokenizer and its weights.
std::vector<std::string> model_files(const std::string& folder);

// The first file whose contents are not what its blob is named by, or "". A copy that links to no
// blob, and a blob that another program named otherwise, cannot be checked.
std::string damaged_file(const std::string& snapshot);

bool is_commit(const std::string& revision);  // 40 hexadecimal digits

// A blob's name is the checksum of its contents: their SHA-256 (large files) or git blob id.
bool is_checksum(const std::string& name);
// The checksum of a file, of the kind that `name` is.
std::string checksum_like(const std::string& name, const std::string& path);
bool is_whole_blob(const std::string& blob);  // there, and what its name says

}  // namespace hone
