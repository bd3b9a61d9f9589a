// Which format a file has: by its name, else by its first bytes.
#pragma once

#include <string>
#include <string_view>

#include "data/text_stream.h"

namespace hone {

// "jsonl", "csv" … of a name with a known ending (.jsonl .ndjson .json .csv .tsv .conll .txt …,
// with .gz, .zst on top); else "".
std::string format_of_name(const std::string& path);

bool is_span_tag(std::string_view text);  // "O", "B-PER" …: the last column of CoNLL

// The format of the text that begins here, "" where nothing fits. Reads ahead, consumes nothing.
std::string format_of_text(TextStream& text);

}  // namespace hone
