// Folders of the `adapters` library: what tests/golden/bottlenecks.py saved with it gives its
// logits here.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "tasks/peft_folder.h"
#include "tasks/pretrained.h"
#include "tasks/task.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

// Tests run in the repository's root.
const std::string kGolden = std::filesystem::absolute("tests/golden/bottlenecks").string();

// A copy whose base model is found.
std::string copied(const std::string& form, const TemporaryFolder& folder) {
  const std::string to = folder / form;
  std::filesystem::copy(kGolden + "/" + form, to, std::filesystem::copy_options::recursive);
  Json config = read_json(to + "/adapter_config.json", ErrorKind::kModel);
  config["model_name"] = kGolden + "/base";
  write_file(to + "/adapter_config.json", to_text(config));
  return to;
}

std::shared_ptr<Task> three_labels() {
  Config section = Config::parse("{labels: [a, b, c]}", "task");
  return task_named("classify").make(section, 0);
}

at::Tensor logits_of(Network& network, const std::vector<int64_t>& ids) {
  const auto length = static_cast<int64_t>(ids.size());
  Batch batch;
  Packed& tokens = batch.streams.emplace_back();
  tokens.ids = at::tensor(ids);
  tokens.positions = at::arange(length, at::kLong);
  tokens.segments = at::zeros_like(tokens.ids);
  tokens.keys = tokens.positions;
  tokens.cu_seqlens = at::tensor({int64_t{0}, length}, at::kInt);
  tokens.max_len = length;
  const c10::AutoGradMode no_grad(false);
  return network.forward(batch)[0].flatten();
}

class LibraryForm : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Bottlenecks, LibraryForm,
                         ::testing::Values("double_seq_bn", "seq_bn", "par_bn"));

TEST_P(LibraryForm, GivesTheLibrarysLogits) {
  const TemporaryFolder folder;
  const AdapterFolder adapter = read_adapter_folder(copied(GetParam(), folder));
  const auto task = three_labels();
  const auto network = make_network(ModelConfig::load(kGolden + "/base"), *task);
  const Adapted adapted = load_adapter(*network, adapter);
  network->eval();
  EXPECT_EQ(adapted.method, GetParam());
  const Json golden = read_json(kGolden + "/logits.json", ErrorKind::kModel);
  for (size_t i = 0; i < golden["texts"].size(); ++i) {
    const at::Tensor logits = logits_of(*network, golden["texts"][i]),
                     expected = at::tensor(golden[GetParam()][i].get<std::vector<double>>());
    EXPECT_LT((logits - expected).abs().max().item<double>(), 2e-5) << "text " << i;
  }
}

TEST(LibraryFolder, RefusesWhatItDoesNotCompute) {
  const TemporaryFolder folder;
  const std::string path = copied("seq_bn", folder);
  const Json config = read_json(path + "/adapter_config.json", ErrorKind::kModel);
  const auto refusal = [&](const std::string& key, const Json& value) {
    Json changed = config;
    changed["config"][key] = value;
    write_file(path + "/adapter_config.json", to_text(changed));
    return error_of([&] { read_adapter_folder(path); });
  };
  EXPECT_THAT(refusal("ln_before", true), HasSubstr("\"ln_before\" is true"));
  EXPECT_THAT(refusal("inv_adapter", "nice"), HasSubstr("\"inv_adapter\""));
  EXPECT_THAT(refusal("scaling", "learned"), AllOf(HasSubstr("\"scaling\""), HasSubstr("number")));
  EXPECT_THAT(refusal("reduction_factor", Json{{"default", 16}}), HasSubstr("reduction_factor"));
  EXPECT_THAT(refusal("mh_adapter", true), HasSubstr("Pfeiffer's"));
  EXPECT_THAT(refusal("architecture", "lora"), HasSubstr("only bottleneck"));
  EXPECT_THAT(refusal("non_linearity", "softsign"), HasSubstr("softsign"));
  write_file(path + "/adapter_config.json", to_text(config));
  std::filesystem::remove(path + "/model_head.safetensors");
  EXPECT_THAT(error_of([&] { read_adapter_folder(path); }),
              HasSubstr("neither model_head.safetensors nor pytorch_model_head.bin"));
}

}  // namespace
}  // namespace hone
