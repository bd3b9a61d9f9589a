#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/crc32c.h"
#include "base/file.h"
#include "models/backbone.h"
#include "models/mutations.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone::tensorflow {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::mutated;
using testing_support::TemporaryFolder;

// Written by tests/golden/make_tensorflow.py.
const std::string kGolden = "tests/golden/bert_model.ckpt";
const std::string kData = ".data-00000-of-00001";

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string fixed(uint64_t value, size_t bytes) {
  return std::string(reinterpret_cast<const char*>(&value), bytes);
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
  return out + char(value);
}

std::string field(uint64_t tag, uint64_t value) { return varint(tag << 3) + varint(value); }
std::string field(uint64_t tag, const std::string& bytes) {
  return varint(tag << 3 | 2) + varint(bytes.size()) + bytes;
}

std::string entry(const std::string& key, const std::string& value) {
  return varint(0) + varint(key.size()) + varint(value.size()) + key + value;
}

std::string block(const std::string& entries, char compression = 0) {
  const std::string body = entries + fixed(0, 4) + fixed(1, 4) + compression;
  return body + fixed(masked_crc32c(body), 4);
}

// A table of one block with these entries.
std::string table(const std::string& entries, char compression = 0) {
  const auto place = [](size_t offset, const std::string& of) {
    return varint(offset) + varint(of.size() - 5);
  };
  const std::string data = block(entries, compression), index = block(entry("~", place(0, data)));
  std::string footer = place(0, data) + place(data.size(), index);
  footer.resize(40);
  return data + index + footer + fixed(0xdb4775248b80fb57, 8);
}

const std::string kHeader = entry("", field(1, 1));
const std::string kFour = fixed(0x3f800000, 4) + fixed(0, 4) + fixed(0, 4) + fixed(0, 4);

std::string variable(uint64_t type, const std::string& shape, uint64_t offset, uint64_t bytes,
                     const std::string& more = "") {
  return field(1, type) + field(2, shape) + field(4, offset) + field(5, bytes) +
         varint(6 << 3 | 5) + fixed(masked_crc32c(kFour), 4) + more;
}

std::string dimension(uint64_t size) { return field(2, field(1, size)); }

const std::string kGood = variable(1, dimension(4), 0, 16);

class Checkpoint {
 public:
  explicit Checkpoint(const std::string& index, const std::string& data = kFour) {
    write(path(), index);
    write(folder_ / ("model.ckpt" + kData), data);
  }
  std::string path() const { return folder_ / "model.ckpt.index"; }

 private:
  TemporaryFolder folder_;
};

std::string error_reading(const std::string& entries) {
  const Checkpoint checkpoint(table(entries));
  return error_of([&] { read_tensorflow(checkpoint.path()); });
}

// The n-th name of the alphabet holds n, n + 1/1024, …
at::Tensor counted(int64_t n, at::IntArrayRef shape) {
  return (at::arange(c10::multiply_integers(shape), at::kFloat) / 1024 + n).view(shape);
}

TEST(TensorFlow, ReadsWhatItsSaverWrote) {
  const StateDict weights = read_tensorflow(kGolden + ".index");
  EXPECT_EQ(weights.size(), 46U);
  EXPECT_TRUE(weights.at("bert.embeddings.LayerNorm.bias").equal(counted(0, {8})));
  EXPECT_TRUE(weights.at("bert.embeddings.LayerNorm.weight").equal(counted(1, {8})));
  EXPECT_TRUE(weights.at("bert.embeddings.word_embeddings.weight").equal(counted(4, {20, 8})));
  EXPECT_TRUE(
      weights.at("bert.encoder.layer.0.intermediate.dense.weight").equal(counted(16, {8, 12}).t()));
  EXPECT_TRUE(weights.at("cls.seq_relationship.weight").equal(counted(45, {2, 8})));
}

TEST(TensorFlow, AFolderOfBertsReleaseHasAllOfABert) {
  const TemporaryFolder folder;
  for (const std::string& end : {std::string(".index"), kData})
    write(folder / ("bert_model.ckpt" + end), read_file(kGolden + end, ErrorKind::kModel));
  write(folder / "bert_config.json", R"({"vocab_size": 20, "hidden_size": 8,
      "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
      "max_position_embeddings": 16, "type_vocab_size": 2})");
  const ModelConfig config = ModelConfig::load(folder.path());
  EXPECT_EQ(config.model_type, "bert");
  EXPECT_EQ(config.raw["model_type"], "bert");
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  for (const auto& item : make_backbone(config)->named_parameters())
    parameters.emplace_back(item.key(), item.value());
  const LoadReport report =
      load_into(parameters, load_state_dict(folder.path()), config.base_prefix, "here");
  EXPECT_TRUE(report.missing.empty());
  for (const std::string& name : report.unexpected) EXPECT_THAT(name, HasSubstr("cls."));
}

TEST(TensorFlow, ReadsAVariableOfEachType) {
  for (const auto& [type, expected] :
       std::vector<std::pair<uint64_t, at::ScalarType>>{{1, at::kFloat}, {3, at::kInt}}) {
    const Checkpoint checkpoint(
        table(kHeader + entry("a/output_weights", variable(type, dimension(4), 0, 16))));
    EXPECT_EQ(read_tensorflow(checkpoint.path()).at("a.weight").scalar_type(), expected);
  }
  const Checkpoint halves(table(kHeader + entry("a", variable(19, dimension(8), 0, 16))));
  EXPECT_EQ(read_tensorflow(halves.path()).at("a").scalar_type(), at::kHalf);
}

TEST(TensorFlow, NamesTheDefect) {
  EXPECT_EQ(error_reading(kHeader + entry("a", kGood)), "no error");
  EXPECT_THAT(error_reading(entry("a", kGood)), HasSubstr("no header"));
  EXPECT_THAT(error_reading(""), HasSubstr("no header"));
  EXPECT_THAT(error_reading(entry("", field(1, 1) + field(2, 1)) + entry("a", kGood)),
              HasSubstr("big-endian"));
  const std::pair<std::string, const char*> of_a[] = {
      {variable(7, dimension(4), 0, 16), "variable \"a\" has type 7, which no weight has"},
      {variable(1, dimension(5), 0, 16), "has 16 bytes, but its shape wants others"},
      {variable(1, dimension(1ULL << 62) + dimension(16), 0, 16), "its shape wants others"},
      {variable(1, dimension(~0ULL), 0, 16), "its shape wants others"},
      {variable(1, dimension(4), 1, 16), "reaches beyond the end of its data"},
      {variable(1, dimension(4), ~0ULL, 16), "reaches beyond the end of its data"},
      {variable(1, dimension(2), 0, 8), "has another checksum"},
      {variable(1, dimension(4), 0, 16, field(3, 1)), "is in part 2 of 1"},
      {variable(1, dimension(4), 0, 16, field(7, "")), "is saved in slices"},
      {field(1, "x").substr(0, 2), "something ends too early"},
      {"\x0b", "a field is of no known kind"},
      {std::string(11, '\xff'), "more than 64 bits"},
  };
  for (const auto& [message, words] : of_a)
    EXPECT_THAT(error_reading(kHeader + entry("a", message)), HasSubstr(words));
  EXPECT_THAT(error_reading(kHeader + entry("a/kernel", kGood) + entry("a/weight", kGood)),
              HasSubstr("\"a/weight\" is there twice"));
  EXPECT_THAT(error_reading(kHeader + entry("net/w/.ATTRIBUTES/VARIABLE_VALUE", kGood)),
              HasSubstr("checkpoint of objects"));
  EXPECT_THAT(error_reading(kHeader + entry(std::string(2000, 'a'), kGood)),
              HasSubstr("longer than any weight's"));
  const Checkpoint compressed(table(kHeader + entry("a", kGood), 1));
  EXPECT_THAT(error_of([&] { read_tensorflow(compressed.path()); }), HasSubstr("is compressed"));
}

TEST(TensorFlow, RefusesFilesThatAreCutOff) {
  const std::string index = read_file(kGolden + ".index", ErrorKind::kModel),
                    data = read_file(kGolden + kData, ErrorKind::kModel);
  for (size_t size = 0; size < index.size(); ++size) {
    const Checkpoint checkpoint(index.substr(0, size), data);
    EXPECT_NE(error_of([&] { read_tensorflow(checkpoint.path()); }), "no error") << size;
  }
  const Checkpoint checkpoint(index, data.substr(0, data.size() / 2));
  EXPECT_THAT(error_of([&] { read_tensorflow(checkpoint.path()); }), HasSubstr("cut off?"));
}

// Damage of which the checksums tell, and damage under right ones.
TEST(TensorFlow, DamageIsAnErrorAndNeverACrash) {
  const std::string index = read_file(kGolden + ".index", ErrorKind::kModel),
                    data = read_file(kGolden + kData, ErrorKind::kModel);
  const std::string entries =
      kHeader + entry("bert/a/kernel", kGood) + entry("bert/b/gamma", kGood);
  RandomStream random(5);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool is_whole = i % 2 == 0;
    const Checkpoint checkpoint(is_whole ? mutated(index, random) : table(mutated(entries, random)),
                                is_whole ? data : kFour);
    refused += error_of([&] { read_tensorflow(checkpoint.path()); }) != "no error" ? 1 : 0;
  }
  EXPECT_GT(refused, 800);
}

}  // namespace
}  // namespace hone::tensorflow
