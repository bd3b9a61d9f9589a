#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "models/mutations.h"
#include "models/weights.h"
#include "support/errors.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::MemoryFile;
using testing_support::mutated;

// Written by tests/golden/make_pickled.py.
const char* const kGolden[] = {"tests/golden/pickled_zip.bin", "tests/golden/pickled_old.bin"};

std::string text(const std::string& value) {
  const uint32_t size = uint32_t(value.size());
  return "X" + std::string(reinterpret_cast<const char*>(&size), 4) + value;
}

// A zip archive of one stored entry, "archive/data.pkl".
std::string archive_of(const std::string& pickle) {
  const std::string name = "archive/data.pkl";
  const auto number = [](uint64_t value, int bytes) {
    return std::string(reinterpret_cast<const char*>(&value), size_t(bytes));
  };
  const std::string sizes = number(0, 4) + number(pickle.size(), 4) + number(pickle.size(), 4) +
                            number(name.size(), 2) + number(0, 2);
  const std::string local = "PK\x03\x04" + number(20, 2) + number(0, 2) + number(0, 2) +
                            number(0, 4) + sizes + name + pickle;
  const std::string central = "PK\x01\x02" + number(20, 2) + number(20, 2) + number(0, 2) +
                              number(0, 2) + number(0, 4) + sizes + number(0, 2) + number(0, 2) +
                              number(0, 2) + number(0, 4) + number(0, 4) + name;
  return local + central + "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) +
         number(central.size(), 4) + number(local.size(), 4) + number(0, 2);
}

std::string error_unpickling(const std::string& bytes) {
  const MemoryFile file(bytes);
  return error_of([&] { read_pickled(file.path()); });
}

std::string error_of_pickle(const std::string& opcodes) {
  return error_unpickling(archive_of("\x80\x02" + opcodes));
}

TEST(Pickled, ReadsBothFormatsOfTorchSave) {
  for (const char* path : kGolden) {
    const StateDict weights = read_pickled(path);
    EXPECT_EQ(weights.size(), 9u) << path;
    const at::Tensor grid = at::arange(12, at::kFloat).view({3, 4});
    EXPECT_TRUE(weights.at("grid").equal(grid)) << path;
    EXPECT_TRUE(weights.at("column").equal(grid.select(1, 1))) << path;
    EXPECT_TRUE(weights.at("transposed").equal(grid.t())) << path;
    EXPECT_TRUE(weights.at("parameter").equal(at::tensor({0.5f, -0.5f}))) << path;
    EXPECT_TRUE(weights.at("half").equal(at::tensor({1.5f, 2.5f}).to(at::kHalf))) << path;
    EXPECT_TRUE(weights.at("bfloat").equal(at::tensor({1.5f, -3.0f}).to(at::kBFloat16))) << path;
    EXPECT_EQ(weights.at("count").item<int64_t>(), 7) << path;
    EXPECT_EQ(weights.at("flags").scalar_type(), at::kBool) << path;
    EXPECT_EQ(weights.at("empty").sizes(), (std::vector<int64_t>{0, 2})) << path;
  }
}

TEST(Pickled, RefusesGlobalsThatMakeNoTensor) {
  for (const char* global :
       {"os.system", "posix.system", "builtins.eval", "__builtin__.exec", "torch.load",
        "torch._utils._rebuild_qtensor", "numpy.core.multiarray._reconstruct"}) {
    const std::string name = global;
    const size_t dot = name.rfind('.');
    const std::string message =
        error_of_pickle("c" + name.substr(0, dot) + "\n" + name.substr(dot + 1) + "\n" +
                        text("touch /tmp/hone-was-here") + "\x85R.");
    EXPECT_THAT(message, HasSubstr("the global \"" + name + "\" is refused")) << global;
  }
  EXPECT_FALSE(std::filesystem::exists("/tmp/hone-was-here"));
}

TEST(Pickled, RefusesOpcodesOutsideOfPlainStateDicts) {
  // INST, OBJ, NEWOBJ, EXT1, STACK_GLOBAL, PERSID, DUP, POP, STRING, FRAME
  for (const char opcode : std::string("io\x81\x82\x93P20S\x95")) {
    EXPECT_THAT(error_of_pickle(std::string("}") + opcode + "."),
                HasSubstr("is refused: a plain state dict of tensors does not need it"))
        << int(opcode);
  }
  EXPECT_THAT(error_unpickling(archive_of("\x80\x05}.")), HasSubstr("protocol 5 is not supported"));
}

TEST(Pickled, NamesWhatIsNoStateDict) {
  EXPECT_THAT(error_of_pickle("]."), HasSubstr("does not hold a dict of tensors"));
  EXPECT_THAT(error_of_pickle("}K\x01K\x02s."), HasSubstr("has a key that is no text"));
  EXPECT_THAT(
      error_of_pickle("}" + text("epoch") + "K\x02s."),
      HasSubstr("tensor \"epoch\" is not a tensor. The file should hold a plain state dict"));
  EXPECT_THAT(error_unpickling("hello"), HasSubstr("is not a file of torch.save"));
  EXPECT_THAT(error_unpickling(""), HasSubstr("is not a file of torch.save"));
  EXPECT_THAT(error_unpickling("PK\x03\x04 but nothing else"),
              HasSubstr("its directory is missing"));
}

std::string tensor_pickle(const std::string& elements, const std::string& offset,
                          const std::string& size, const std::string& stride) {
  const std::string storage =
      "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + elements + "tQ";
  return "}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size +
         stride + "\x89}tRs.";
}

TEST(Pickled, ChecksThatTensorsLieInTheirStorage) {
  const std::string negative = "J\xff\xff\xff\xff",
                    huge = std::string("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
  EXPECT_THAT(
      error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), "K\x05\x85", "K\x01\x85")),
      HasSubstr("tensor \"w\" reaches outside of its storage of 4 elements"));
  EXPECT_THAT(error_of_pickle(tensor_pickle("K\x04", "K\x02", "K\x03\x85", "K\x01\x85")),
              HasSubstr("reaches outside"));
  EXPECT_THAT(
      error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), "K\x02\x85", "K\x04\x85")),
      HasSubstr("reaches outside"));
  EXPECT_THAT(error_of_pickle(tensor_pickle("K\x04", huge, "K\x02\x85", "K\x01\x85")),
              HasSubstr("reaches outside"));
  EXPECT_THAT(
      error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), huge + "\x85", huge + "\x85")),
      HasSubstr("reaches outside"));
  EXPECT_THAT(error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), huge + "\x85",
                                            std::string("K\0\x85", 3))),
              HasSubstr("reaches outside"));
  EXPECT_THAT(error_of_pickle(
                  tensor_pickle("K\x04", std::string("K\0", 2), negative + "\x85", "K\x01\x85")),
              HasSubstr("expected a whole number from 0"));
  EXPECT_THAT(error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), "K\x02\x85", ")")),
              HasSubstr("not as many strides as sizes"));
  EXPECT_THAT(
      error_of_pickle(tensor_pickle("K\x04", std::string("K\0", 2), "K\x04\x85", "K\x01\x85")),
      HasSubstr("needs the storage \"0\" that is not in the file"));
}

TEST(Pickled, StandsListsThatHoldThemselves) {
  EXPECT_THAT(error_of_pickle("]q\x01h\x01"
                              "a."),
              HasSubstr("does not hold a dict of tensors"));
  std::string deep = "}" + text("x") + "]q\x01";
  for (int i = 0; i < 200000; ++i) deep += "]a";  // the list in the list …
  EXPECT_NE(error_of_pickle(deep), "no error");
  std::string nested = text("x");
  for (int i = 0; i < 200000; ++i) nested += "\x85";
  EXPECT_THAT(error_of_pickle(nested + "."), HasSubstr("does not hold a dict of tensors"));
}

TEST(Pickled, TakesNoMoreMemoryThanAStateDictNeeds) {
  EXPECT_THAT(error_of_pickle("}" + text(std::string(5000, 'k')) + "K\x01s."),
              HasSubstr("a text has 5000 bytes; names of weights have at most 4096"));
  EXPECT_THAT(error_of_pickle(std::string(1'100'000, ']') + "."),
              HasSubstr("makes more than 1000000 values"));
}

TEST(Pickled, RefusesAFileCutAnywhere) {
  for (const char* path : kGolden) {
    const std::string whole = read_file(path, ErrorKind::kModel);
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_NE(error_unpickling(whole.substr(0, size)), "no error") << path << " " << size;
  }
}

TEST(Pickled, SurvivesThousandsOfMutations) {
  for (const char* path : kGolden) {
    const std::string whole = read_file(path, ErrorKind::kModel);
    RandomStream random(2);
    int64_t refused = 0, read = 0;
    for (int i = 0; i < 4000; ++i) {
      const MemoryFile file(mutated(whole, random));
      try {
        for (const auto& [name, tensor] : read_pickled(file.path())) tensor.to(at::kDouble).sum();
        ++read;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kModel);
        ++refused;
      }
    }
    EXPECT_GT(refused, 1000) << path;
    EXPECT_GT(read, 100) << path;
  }
}

}  // namespace
}  // namespace hone
