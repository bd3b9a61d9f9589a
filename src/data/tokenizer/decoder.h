// Tokens back to text: "decoder" of tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/json_node.h"

namespace hone {

using Decoder = std::function<std::string(const std::vector<std::string>& tokens)>;

// WordPiece, ByteLevel, BPEDecoder, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence; for
// null the tokens are joined by blanks. Any other is an Error(kModel) that says so.
Decoder make_decoder(const JsonNode& node);

}  // namespace hone
