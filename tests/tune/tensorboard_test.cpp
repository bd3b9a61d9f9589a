#include "tune/tensorboard.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/crc32c.h"
#include "base/file.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

TEST(TensorBoard, WritesFramedRecordsThatAddUp) {
  const testing_support::TemporaryFolder folder;
  {
    const Listener log = tensorboard_log(folder / "tensorboard");
    log(Started{});
    Stepped step{1, 2, 0.5, 1.0, 1.0, 1e-5, 0.1, 100, 8};
    step.is_logged = true;
    log(step);
  }
  const auto file = std::filesystem::directory_iterator(folder / "tensorboard")->path();
  const std::string bytes = read_file(file, ErrorKind::kData);
  const auto number = [&](size_t at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    return value;
  };
  size_t at = 0;
  int records = 0;
  while (at < bytes.size()) {
    const size_t length = number(at, 8);
    EXPECT_EQ(number(at + 8, 4), masked_crc32c(std::string_view(bytes).substr(at, 8)));
    EXPECT_EQ(number(at + 12 + length, 4),
              masked_crc32c(std::string_view(bytes).substr(at + 12, length)));
    at += 16 + length;
    ++records;
  }
  EXPECT_EQ(at, bytes.size());
  EXPECT_EQ(records, 2);  // version, scalars
}

}  // namespace
}  // namespace hone
