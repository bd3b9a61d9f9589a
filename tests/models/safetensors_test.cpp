#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "models/mutations.h"
#include "models/weights.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::MemoryFile;
using testing_support::mutated;
using testing_support::TemporaryFolder;

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &size, 8);
  return out + header + data;
}

std::string error_reading(const std::string& bytes) {
  const MemoryFile file(bytes);
  return error_of([&] { read_safetensors(file.path()); });
}

std::string error_of_header(const std::string& header, size_t data) {
  return error_reading(file_of(header, std::string(data, '\0')));
}

StateDict sample() {
  return {{"a.weight", at::arange(6, at::kFloat).view({2, 3})},
          {"b", at::arange(3, at::kByte)},
          {"c.half", at::arange(5, at::kHalf)},
          {"scalar", at::full({}, 7, at::kLong)}};
}

TEST(Safetensors, RoundTripsEveryTypeAlignedToItsElements) {
  const TemporaryFolder folder;
  StateDict written;
  for (const auto type : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kLong, at::kInt,
                          at::kShort, at::kChar, at::kByte, at::kBool}) {
    written[std::string("odd.") + c10::toString(type)] = at::arange(3).remainder(2).to(type);
    written[std::string("grid.") + c10::toString(type)] =
        at::arange(6).view({2, 3}).remainder(2).to(type);
  }
  written["empty"] = at::zeros({0, 4});
  written["scalar"] = at::full({}, 2.5);
  written["transposed"] = at::arange(6, at::kFloat).view({2, 3}).t();
  write_safetensors(folder / "x.safetensors", written,
                    {{"format", "pt"}, {"made by", "\"a test\"\n"}});
  Json metadata;
  const StateDict read = read_safetensors(folder / "x.safetensors", &metadata);
  EXPECT_EQ(metadata["made by"], "\"a test\"\n");
  ASSERT_EQ(read.size(), written.size());
  for (const auto& [name, tensor] : written) {
    ASSERT_TRUE(read.contains(name)) << name;
    EXPECT_EQ(read.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(read.at(name).equal(tensor)) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(read.at(name).const_data_ptr()) % tensor.element_size(),
              0u)
        << name;
  }
}

TEST(Safetensors, WritingToATensorLeavesTheFileAlone) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", sample());
  const std::string before = read_file(folder / "x.safetensors", ErrorKind::kModel);
  read_safetensors(folder / "x.safetensors").at("a.weight").fill_(9);
  EXPECT_EQ(read_file(folder / "x.safetensors", ErrorKind::kModel), before);
}

TEST(Safetensors, ReadsTensorsThatAreNotAligned) {
  const TemporaryFolder folder;
  std::string data(1, '\x05');
  const float value = 1.5;
  data.append(reinterpret_cast<const char*>(&value), 4);
  write_file(
      folder / "x.safetensors",
      file_of(
          R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
          data));
  EXPECT_EQ(read_safetensors(folder / "x.safetensors").at("f").item<float>(), 1.5f);
}

TEST(Safetensors, NamesTheDefectOfAHeader) {
  struct Case {
    const char* header;
    size_t data;
    const char* says;
  };
  const Case cases[] = {
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": shape [2] needs 8 bytes"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
       "tensor \"w\": shape [2] needs 8 bytes"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
       "tensor \"w\": ends at byte 8 but the file has 4 bytes of data; it is cut off"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 12,
       "has 4 bytes after its last tensor"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
       "tensor \"w\": begins at byte 4, leaving a gap after byte 0"},
      {R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "tensor \"w\": begins at byte 4, inside the tensor before it"},
      {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": \"shape\" has the size -1"},
      {R"({"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": \"shape\" has the size 1.5"},
      {R"({"w":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": \"shape\" has the size 9223372036854775808"},
      {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "tensor \"w\": shape [4294967296, 4294967296] is too large"},
      {R"({"w":{"dtype":"F32","shape":3,"data_offsets":[0,4]}})", 4,
       "tensor \"w\": \"shape\" should be a list"},
      {R"({"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": dtype \"F8_E4M3\" is not supported; known are F32, F16"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4,
       "tensor \"w\": \"data_offsets\" should be two whole numbers"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4,
       "tensor \"w\": \"data_offsets\" should be two whole numbers"},
      {R"({"w":{"dtype":"F32","shape":[1]}})", 4, "tensor \"w\": should have exactly"},
      {R"({"w":5})", 4, "tensor \"w\": should have exactly"},
      {R"({"__metadata__":{"a":1}})", 0, "\"__metadata__\": the value of \"a\" is not a string"},
      {R"({"__metadata__":[]})", 0, "\"__metadata__\" is not a JSON object"},
      {"[]", 0, "the header does not begin with"},
      {" {}", 0, "the header does not begin with"},
      {R"({"w":)", 0, ":1"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "\"w\""},
      {"{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "UTF-8"},
  };
  for (const Case& item : cases) {
    const std::string message = error_of_header(item.header, item.data);
    EXPECT_THAT(message, HasSubstr(item.says)) << item.header;
    EXPECT_NE(message.find(':'), std::string::npos) << item.header;
  }
}

TEST(Safetensors, RefusesImpossibleHeaderSizes) {
  EXPECT_THAT(error_reading(""), HasSubstr("has 0 bytes, too few"));
  EXPECT_THAT(error_reading(std::string(8, '\xff')), HasSubstr("more than the limit of 100000000"));
  EXPECT_THAT(error_reading(std::string("\x40\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("claims a header of 64 bytes but has 2"));
  EXPECT_THAT(error_of([] { read_safetensors("/nowhere/model.safetensors"); }),
              HasSubstr("cannot be opened: No such file"));
  EXPECT_THAT(error_of([] { read_safetensors("/"); }), HasSubstr("is not a file"));
}

TEST(Safetensors, RefusesAFileCutAnywhere) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", sample());
  const std::string whole = read_file(folder / "x.safetensors", ErrorKind::kModel);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(error_reading(whole.substr(0, size)), "no error") << size;
  }
}

TEST(Safetensors, SurvivesThousandsOfMutations) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", sample());
  const std::string whole = read_file(folder / "x.safetensors", ErrorKind::kModel);
  RandomStream random(1);
  int64_t refused = 0, read = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string bytes = mutated(whole, random);
    const MemoryFile file(bytes);
    try {
      size_t total = 0;
      for (const auto& [name, tensor] : read_safetensors(file.path())) {
        total += tensor.nbytes();
        tensor.to(at::kDouble).sum();
      }
      EXPECT_LT(total, bytes.size());
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel);
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace hone
