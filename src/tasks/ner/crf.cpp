#include "tasks/ner/crf.h"

#include <ATen/ATen.h>

#include "tasks/ner/bio.h"

namespace hone::ner {
namespace {

bool may_follow(const std::string& before, const std::string& tag) {
  return !tag.starts_with('I') || (before != "O" && type_of(before) == type_of(tag));
}

at::Tensor forbidden_for(const std::vector<std::string>& tags) {
  const auto count = static_cast<int64_t>(tags.size());
  const at::Tensor forbidden = at::zeros({count + 2, count}, at::kBool);
  auto table = forbidden.accessor<bool, 2>();
  for (int64_t to = 0; to < count; ++to) {
    for (int64_t from = 0; from < count; ++from)
      table[from][to] = !may_follow(tags[from], tags[to]);
    table[count][to] = !may_follow("O", tags[to]);
  }
  return forbidden;
}

}  // namespace

Transitions::Transitions(const std::vector<std::string>& tags) {
  const auto count = static_cast<int64_t>(tags.size());
  transitions_ = register_parameter("transitions", at::zeros({count, count}));
  start_ = register_parameter("start_transitions", at::zeros({count}));
  end_ = register_parameter("end_transitions", at::zeros({count}));
  forbidden_ = register_buffer("forbidden", forbidden_for(tags));
}

at::Tensor Transitions::table() const {
  return at::cat({transitions_, start_.unsqueeze(0), end_.unsqueeze(0)})
      .masked_fill(forbidden_, kernels::kForbidden);
}

CrfHead::CrfHead(const ModelConfig& config, const std::vector<std::string>& tags)
    : TokenHead(config, config.token_head, static_cast<int64_t>(tags.size())),
      transitions_(register_module(kCrfModule, std::make_shared<Transitions>(tags))) {}

Outputs CrfHead::forward(Backbone& backbone, const Batch& batch) {
  return {{TokenHead::forward(backbone, batch)[0], RowOf::kToken},
          {transitions_->table(), RowOf::kBatch}};
}

std::vector<std::string> CrfHead::pretrained() const {
  std::vector<std::string> names = TokenHead::pretrained();
  std::erase_if(names, [](const std::string& name) {
    return name.starts_with(std::string(kCrfModule) + ".");
  });
  return names;
}

Chains chains_of(const Batch& batch, const at::Tensor& targets) {
  const at::Tensor here = targets.to(at::kCPU),
                   ends = batch.targets.at(kChainEnds).to(at::kCPU).contiguous();
  Chains result;
  const at::Tensor rows = here.ne(kNoTarget).nonzero().squeeze(1);
  result.tags = here.index_select(0, rows).to(at::kLong);
  result.rows = rows.to(targets.device());
  const int32_t* bounds = batch.streams[0].cu_seqlens.const_data_ptr<int32_t>();
  const int64_t* row = rows.const_data_ptr<int64_t>();
  const float* end = ends.const_data_ptr<float>();
  int64_t at = 0;
  for (int64_t s = 0; s < batch.streams[0].sequences(); ++s) {
    kernels::CrfChain chain{at, at, end[2 * s] == 1, end[2 * s + 1] == 1};
    while (chain.end < rows.size(0) && row[chain.end] < bounds[s + 1]) ++chain.end;
    result.chains.push_back(chain);
    at = chain.end;
  }
  return result;
}

}  // namespace hone::ner
