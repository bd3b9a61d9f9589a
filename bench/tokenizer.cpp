// The tokenizer driven line by line from stdin, for bench/tokenizer.py and
// tests/parity/test_tokenizer.py, which compare it with its peer:
//
//   load PATH [true|false]   a folder or file; do_lower_case where it has only a vocabulary    ->
//   {"vocab_size": n, "seconds": s} texts FILE               JSON strings, or arrays of two for
//   pairs, one a line              -> {"texts": n} encode [plain]           -> for each text
//   {"ids", "tokens", "offsets"}; plain: without special tokens words                    -> for
//   each text [[words], [segments]] decode [skip]            -> for each text its ids decoded, as a
//   JSON string parts                    -> {"different": n}: texts that the fast path and the
//   separate parts encode differently time THREADS             -> {"seconds": s, "cpu_seconds": s,
//   "tokens": n}: ids, offsets and words of all texts save FOLDER              -> {"saved": FOLDER}
//   target                   from now on what encodes targets, of a tokenizer that has it -> {}
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/tokenize_lines.h"

namespace hone {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Driver {
 public:
  void run(const std::string& line) {
    std::istringstream words(line);
    std::string command, argument, option;
    words >> command >> argument >> option;
    if (command == "load") return load(argument, option);
    if (command == "texts") return read_texts(argument);
    if (command == "encode") return encode(argument == "plain");
    if (command == "words") return print_words();
    if (command == "decode") return decode(argument == "skip");
    if (command == "parts") return compare_parts();
    if (command == "time") return time(std::stoi(argument));
    if (command == "save") return save(argument);
    if (command == "target") return take_target();
    throw Error(ErrorKind::kUsage, "unknown command " + command);
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::vector<std::string>> texts_;
  std::vector<std::string_view> firsts_;
  std::vector<Encoding> encodings_;

  void load(const std::string& path, const std::string& lower) {
    const double start = now();
    tokenizer_ =
        Tokenizer::load(path, {lower.empty() ? std::nullopt : std::optional(lower == "true")});
    std::cout << Json{{"vocab_size", tokenizer_->vocab_size()}, {"seconds", now() - start}}.dump()
              << std::endl;
  }

  void take_target() {
    const Tokenizer* target = tokenizer_->of_targets();
    if (target == nullptr) throw Error(ErrorKind::kUsage, "it has no tokenizer of targets");
    tokenizer_ = std::shared_ptr<const Tokenizer>(tokenizer_, target);
    std::cout << Json::object().dump() << std::endl;
  }

  void read_texts(const std::string& file) {
    texts_.clear();
    firsts_.clear();
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      const Json value = parse_json(line, Where{file}, ErrorKind::kData);
      texts_.push_back(value.is_string() ? std::vector<std::string>{value.get<std::string>()}
                                         : value.get<std::vector<std::string>>());
    }
    for (const auto& texts : texts_) firsts_.emplace_back(texts[0]);
    std::cout << Json{{"texts", texts_.size()}}.dump() << std::endl;
  }

  Sequence sequence(const std::vector<std::string>& texts) const {
    const Encoding first = tokenizer_->encode(texts[0]);
    if (texts.size() == 1) return tokenizer_->post_process(first);
    const Encoding second = tokenizer_->encode(texts[1]);
    return tokenizer_->post_process(first, &second);
  }

  void encode(bool is_plain) const {
    for (const auto& texts : texts_) {
      if (is_plain) {
        const Encoding encoding = tokenizer_->encode(texts[0]);
        Sequence plain;
        plain.ids = encoding.ids;
        plain.offsets = encoding.offsets;
        std::cout << tokenized_json(*tokenizer_, plain) << '\n';
      } else {
        std::cout << tokenized_json(*tokenizer_, sequence(texts)) << '\n';
      }
    }
    std::cout << std::flush;
  }

  void print_words() const {
    for (const auto& texts : texts_) {
      const Sequence all = sequence(texts);
      std::cout << Json::array({all.words, all.segments}).dump() << '\n';
    }
    std::cout << std::flush;
  }

  void decode(bool skips_special) const {
    for (const auto& texts : texts_)
      std::cout << Json(tokenizer_->decode(sequence(texts).ids, skips_special)).dump() << '\n';
    std::cout << std::flush;
  }

  void compare_parts() const {
    const auto& tokenizer = dynamic_cast<const HfTokenizer&>(*tokenizer_);
    int64_t different = 0;
    Encoding fast, slow;
    for (const std::string_view text : firsts_) {
      tokenizer.encode(text, fast);
      tokenizer.encode_by_parts(text, slow);
      different += fast.ids != slow.ids || fast.offsets != slow.offsets || fast.words != slow.words;
    }
    std::cout << Json{{"different", different}}.dump() << std::endl;
  }

  void time(int threads) {
    encodings_.clear();
    encodings_.shrink_to_fit();
    const double start = now();
    const std::clock_t cpu_start = std::clock();
    encode_lines(*tokenizer_, firsts_, threads, encodings_);
    const double cpu_seconds = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC,
                 seconds = now() - start;
    int64_t tokens = 0;
    for (const Encoding& encoding : encodings_) tokens += static_cast<int64_t>(encoding.ids.size());
    std::cout << Json{{"seconds", seconds}, {"cpu_seconds", cpu_seconds}, {"tokens", tokens}}.dump()
              << std::endl;
  }

  void save(const std::string& folder) const {
    tokenizer_->save(folder);
    std::cout << Json{{"saved", folder}}.dump() << std::endl;
  }
};

}  // namespace
}  // namespace hone

int main() {
  std::ios::sync_with_stdio(false);
  hone::Driver driver;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      driver.run(line);
    } catch (const std::exception& error) {
      std::cout << hone::Json{{"error", error.what()}}.dump() << std::endl;
    }
  }
}
