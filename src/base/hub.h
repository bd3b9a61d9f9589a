// A model by folder or by hub name ("bert-base-cased", "org/name", "org/name@revision"): the local
// Hugging Face cache first, else fetched with libcurl. HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
// HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean there.
#pragma once

#include <string>

namespace hone {

// The folder that holds the model: `name_or_path` itself where it is one, else a snapshot in the
// cache, fetched where needed. Downloads resume (Range), are checked against the hub's SHA-256 (LFS
// files) or git blob id, and are renamed into place; what the cache holds is checked again each
// time, and fetched anew where it is damaged. Any number of processes may share a cache.
// Error(kModel) says what was looked for and where.
std::string resolve_model(const std::string& name_or_path);

// The same, but the hub is asked for the newest state of the revision even where the cache holds
// one. Files whose contents the cache holds already are not fetched again.
std::string pull_model(const std::string& name);

}  // namespace hone
