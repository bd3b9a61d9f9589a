#include "models/layers/encoder.h"

#include "models/layers/adopt.h"
#include "models/layers/gated_product.h"

namespace hone {
namespace {

std::shared_ptr<AttentionLayer> self_attention(const BlockOptions& o) {
  return SelfAttention(SelfAttentionOptions{.hidden = o.hidden,
                                            .heads = o.heads,
                                            .has_bias = o.attention_has_bias,
                                            .out_has_bias = o.attention_out_has_bias,
                                            .key_has_bias = o.attention_key_has_bias,
                                            .dropout = o.dropout.attention,
                                            .window = o.window,
                                            .rotary = o.rotary,
                                            .norm_eps = o.norm_eps,
                                            .scale = o.attention_scale,
                                            .soft_cap = o.attention_soft_cap,
                                            .bias = o.distance_bias,
                                            .is_causal = o.is_causal,
                                            .names = o.names.products})
      .ptr();
}

CrossAttention attention_to_source(const BlockOptions& o) {
  return CrossAttention(CrossAttentionOptions{.hidden = o.hidden,
                                              .heads = o.heads,
                                              .has_bias = o.attention_has_bias,
                                              .key_has_bias = o.attention_key_has_bias,
                                              .dropout = o.dropout.attention,
                                              .scale = o.attention_scale,
                                              .names = o.names.cross_products});
}

}  // namespace

EncoderBlockImpl::EncoderBlockImpl(const BlockOptions& o)
    : EncoderBlockImpl(o, self_attention(o)) {}

EncoderBlockImpl::EncoderBlockImpl(const BlockOptions& o, std::shared_ptr<AttentionLayer> attention)
    : options_(o) {
  attention_ = adopt(*this, o.names.attention, std::move(attention));
  if (!o.names.cross_attention.empty())
    cross_attention_ = adopt(*this, o.names.cross_attention, attention_to_source(o));
  add_norms();
  add_feed_forward();
}

void EncoderBlockImpl::add_norms() {
  const BlockOptions& o = options_;
  const auto norm = [&](const std::string& name) -> LayerNorm {
    if (name.empty()) return nullptr;
    return adopt(*this, name, LayerNorm(o.hidden, o.norm_eps, o.norm_kind));
  };
  if (o.has_attention_norm) attention_norm_ = norm(o.names.attention_norm);
  after_attention_norm_ = norm(o.names.after_attention_norm);
  if (cross_attention_) cross_norm_ = norm(o.names.cross_norm);
  out_norm_ = norm(o.names.out_norm);
  after_feed_forward_norm_ = norm(o.names.after_feed_forward_norm);
}

void EncoderBlockImpl::add_feed_forward() {
  const BlockOptions& o = options_;
  const auto product = [&](const std::string& name, int64_t in, int64_t out) {
    return adopt(*this, name, Linear(in, out, o.feed_forward_has_bias));
  };
  if (!o.is_gated) {
    up_ = product(o.names.up, o.hidden, o.intermediate);
  } else if (o.names.gate.empty()) {
    gate_and_up_ = JoinedLinear({product(o.names.up, o.hidden, 2 * o.intermediate)});
  } else {
    const Linear gate = product(o.names.gate, o.hidden, o.intermediate);
    gate_and_up_ = JoinedLinear({gate, product(o.names.up, o.hidden, o.intermediate)});
  }
  down_ = product(o.names.down, o.intermediate, o.hidden);
}

void EncoderBlockImpl::to(at::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  if (options_.is_gated) gate_and_up_.rejoin();
}

at::Tensor EncoderBlockImpl::feed_forward(const at::Tensor& x, const Rows& rows) {
  const auto dropout =
      rows.dropout(DropoutPlace::kFeedForwardInner, options_.dropout.feed_forward_inner);
  if (!options_.is_gated)
    return down_(kernels::dropout(up_->activated(x, rows, options_.activation), dropout), rows);
  const at::Tensor both = gate_and_up_.forward(x, rows);
  if (dropout.p == 0) return gated_product(down_, both, rows, options_.activation);
  return down_(kernels::dropout(kernels::gated_activation(both, options_.activation), dropout),
               rows);
}

std::string EncoderBlockImpl::place_of_adapter(BlockPart part) const {
  const bool is_attention = part == BlockPart::kAttention;
  const BlockNames& names = options_.names;
  const std::string last = is_attention ? names.attention + "." + names.products.out : names.down;
  const std::string parent = last.substr(0, last.rfind('.'));
  if (parent != last && (parent == "output" || parent.ends_with(".output"))) return parent;
  return is_attention ? "attention_adapters" : "output_adapters";
}

void EncoderBlockImpl::attach(BlockPart part, const std::string& name,
                              std::shared_ptr<Bottleneck> adapter) {
  adopt(*this, place_of_adapter(part) + ".adapters." + name, adapter);
  (part == BlockPart::kAttention ? attention_adapter_ : feed_forward_adapter_) = std::move(adapter);
}

at::Tensor EncoderBlockImpl::add_and_norm(LayerNorm& norm, const at::Tensor& residual,
                                          const at::Tensor& y,
                                          const kernels::DropoutOptions& dropout, BlockPart part,
                                          const Rows& rows) {
  const auto& adapter = adapter_of(part);
  if (!adapter) return norm->forward_after(residual, y, dropout);
  return norm->forward_after(
      residual, adapter->apply(kernels::dropout(y, dropout), residual, norm, rows), {});
}

at::Tensor EncoderBlockImpl::add(const at::Tensor& residual, const at::Tensor& y, BlockPart part,
                                 const Rows& rows) {
  const auto& adapter = adapter_of(part);
  return residual + (adapter ? adapter->apply(y, residual, nullptr, rows) : y);
}

at::Tensor EncoderBlockImpl::forward_norm_first(const at::Tensor& x, const Rows& rows) {
  const auto given = [](const Rows& of, LayerNorm& norm, const at::Tensor& part, DropoutPlace place,
                        double p) {
    return kernels::dropout(norm ? norm(part) : part, of.dropout(place, p));
  };
  const at::Tensor read = attention_norm_ ? attention_norm_(x) : x;
  const Rows first = rows_before_source(rows);
  at::Tensor mid = add(first.of(x),
                       given(first, after_attention_norm_, attention_->forward(read, first),
                             DropoutPlace::kAttentionOut, options_.dropout.attention_out),
                       BlockPart::kAttention, first);
  if (cross_attention_) mid = read_source(mid, rows);
  return add(mid,
             given(rows, after_feed_forward_norm_, feed_forward(out_norm_(mid), rows),
                   DropoutPlace::kFeedForwardOut, options_.dropout.feed_forward_out),
             BlockPart::kFeedForward, rows);
}

at::Tensor EncoderBlockImpl::read_source(const at::Tensor& x, const Rows& rows) {
  const auto dropout =
      rows.dropout(DropoutPlace::kCrossAttentionOut, options_.dropout.attention_out);
  if (!options_.norm_first)
    return cross_norm_->forward_after(rows.of(x), cross_attention_->forward(x, rows), dropout);
  return rows.of(x) + kernels::dropout(cross_attention_->forward(cross_norm_(x), rows), dropout);
}

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const Rows& rows) {
  if (options_.norm_first) return forward_norm_first(x, rows);
  const Rows first = rows_before_source(rows);
  const auto after_attention =
      first.dropout(DropoutPlace::kAttentionOut, options_.dropout.attention_out);
  const auto after_feed_forward =
      rows.dropout(DropoutPlace::kFeedForwardOut, options_.dropout.feed_forward_out);
  at::Tensor mid = add_and_norm(attention_norm_, first.of(x), attention_->forward(x, first),
                                after_attention, BlockPart::kAttention, first);
  if (cross_attention_) mid = read_source(mid, rows);
  return add_and_norm(out_norm_, mid, feed_forward(mid, rows), after_feed_forward,
                      BlockPart::kFeedForward, rows);
}

}  // namespace hone
