#include "run/embed.h"

#include <fmt/format.h>

#include <iostream>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "data/idle_options.h"
#include "run/audit.h"

namespace hone {
namespace {

// What gets the lines: a file, or standard output.
Answered write_lines(const Pipeline& pipeline, const Reading& reading, const EmbedOptions& options,
                     const std::string& path) {
  if (path.empty())
    return embed_to_lines(pipeline, reading, options,
                          [](const Json& line) { std::cout << to_text(line) << '\n'; });
  AtomicFile file(path);
  const Answered answered = embed_to_lines(
      pipeline, reading, options, [&](const Json& line) { file.write(to_text(line) + "\n"); });
  file.commit();
  return answered;
}

}  // namespace

int run_embed(const CLI::App& arguments) {
  const std::string out = text_of(arguments, "--out");
  if (!out.empty() && !out.ends_with(".npy") && !out.ends_with(".jsonl"))
    throw Error(ErrorKind::kUsage,
                fmt::format("--out {}: the name says what is written: .npy, or .jsonl.", out));
  const auto pipeline = load_embedder(text_of(arguments, "MODEL"), load_options(arguments));
  const Reading reading = reading_of(text_of(arguments, "FILE"), arguments, *pipeline);
  tell_idle("data", idle_options(reading.source, "text"));
  const EmbedOptions options{max_tokens_of(arguments, *pipeline), text_of(arguments, "--prompt")};
  if (!out.ends_with(".npy"))
    return tell_answered(write_lines(*pipeline, reading, options, out), reading);
  const int64_t rows = embed_to_npy(*pipeline, reading, options, out);
  std::cout << fmt::format("{}: {} rows of {} numbers\n", out, rows, embedding_width(*pipeline));
  return 0;
}

}  // namespace hone
