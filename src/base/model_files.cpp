#include "base/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/utf8.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

struct Format {
  const char* ending;  // of a file's name
  const char* what;
  const char* advice;
};

// In the order in which they are looked for.
constexpr Format kFormats[] = {
    {"adapter_config.json", "a PEFT adapter, not a whole model",
     "merge it into its base model first (hone merge ADAPTER OUT)"},
    {"0_Transformer/config.json", "an old sentence-transformers model",
     "its Transformer is in 0_Transformer: fetch it and name that folder"},
    {".gguf", "a GGUF file (llama.cpp)", "give the model's safetensors"},
    {"tf_model.h5", "TensorFlow weights",
     "convert them (Transformers 4: from_pretrained(…, from_tf=True).save_pretrained(…))"},
    {".ckpt.index", "a TensorFlow checkpoint", "put its bert_config.json beside it"},
    {".pdparams", "the weights of a Paddle model",
     "ERNIE's are on the hub in Transformers' form (nghuyong/ernie-3.0-base-zh and others); others "
     "are converted by convert.py of https://github.com/nghuyong/ERNIE-Pytorch"},
    {"flax_model.msgpack", "Flax weights",
     "convert them (Transformers 4: from_pretrained(…, from_flax=True).save_pretrained(…))"},
    {".onnx", "an ONNX model", "give the model that it was exported from"},
    {"/config.json", "the configuration of a model in a folder of its own", "name that folder"},
    {".pth", "weights of another program", "save them as model.safetensors"},
    {".pt", "weights of another program", "save them as model.safetensors"},
};

bool begins_with_ignoring_case(std::string_view text, std::string_view beginning) {
  return text.size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

// How answers of hubs and object stores begin that refuse what was asked for.
constexpr std::string_view kRefusals[] = {"Entry not found",
                                          "Repository not found",
                                          "Repository Not Found",
                                          "Revision Not Found",
                                          "Invalid username or password",
                                          "Access to model",
                                          "Access denied",
                                          "Unauthorized",
                                          "Forbidden",
                                          "Not Found",
                                          "404: Not Found",
                                          "404 Not Found",
                                          "{\"error\"",
                                          "{\"message\"",
                                          "{\"detail\"",
                                          "<?xml",
                                          "<Error>"};

bool is_refusal(std::string_view bytes) {
  return std::any_of(std::begin(kRefusals), std::end(kRefusals),
                     [&](std::string_view refusal) { return bytes.starts_with(refusal); });
}

// The beginning of an answer on one line.
std::string beginning(std::string_view bytes) {
  constexpr size_t kMost = 80;
  std::string text(bytes.substr(0, std::min(bytes.find_first_of("\r\n"), kMost)));
  while (!text.empty() && invalid_utf8(text) != std::string::npos) text.pop_back();
  return text;
}

}  // namespace

std::string foreign(const std::vector<std::string>& names, const std::string& otherwise) {
  for (const Format& format : kFormats) {
    for (const std::string& name : names) {
      if (name.ends_with(format.ending))
        return fmt::format(", but {} is there: {}; {}.", name, format.what, format.advice);
    }
  }
  return otherwise;
}

std::string foreign_in(const std::string& folder, const std::string& otherwise) {
  constexpr size_t kMost = 1000;
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::recursive_directory_iterator it(folder, ignored), end; it != end && names.size() < kMost;
       it.increment(ignored)) {
    if (it.depth() > 0) it.disable_recursion_pending();
    names.push_back(it->path().lexically_relative(folder).string());
  }
  std::sort(names.begin(), names.end());
  return foreign(names, otherwise);
}

void refuse_stand_in(std::string_view bytes, const std::string& path, ErrorKind kind) {
  bytes = bytes.substr(0, 1024);
  if (bytes.starts_with("version https://git-lfs.github.com/spec/")) {
    throw Error(kind, Where{path},
                "is a Git LFS pointer, not the file itself; run \"git lfs pull\" in its folder.");
  }
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  if (begins_with_ignoring_case(bytes, "<!doctype html") ||
      begins_with_ignoring_case(bytes, "<html")) {
    throw Error(kind, Where{path},
                "is a web page, not the file itself; was a page's address fetched instead of the "
                "file's (\"resolve\", not \"blob\")?");
  }
  if (is_refusal(bytes))
    throw Error(kind, Where{path},
                fmt::format("is what a server said instead of the file ({}); fetch it again.",
                            beginning(bytes)));
}

}  // namespace hone
