#include "tasks/batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace hone {
namespace {

const Sequence& stream_of(const Sample& sample, size_t stream) {
  if (stream >= sample.streams.size())
    throw Error(ErrorKind::kInternal, "the samples of a batch differ in their number of streams");
  return sample.streams[stream];
}

// A key per token: of the sample's place in its split, the stream and the token's position, and of
// nothing else.
void fill_keys(int64_t index, size_t stream, int64_t length, int64_t* keys) {
  const uint64_t first = uint64_t{stream} << 32;
  for (int64_t i = 0; i < length; ++i)
    keys[i] =
        static_cast<int64_t>(mix(static_cast<uint64_t>(index), first + static_cast<uint64_t>(i)));
}

Packed empty_packed(int64_t tokens, int64_t sequences) {
  Packed packed;
  for (at::Tensor* column : {&packed.ids, &packed.positions, &packed.segments, &packed.keys})
    *column = at::empty({tokens}, at::kLong);
  packed.cu_seqlens = at::empty({sequences + 1}, at::kInt);
  return packed;
}

// Of all samples that have features the width; 0 where none has. Rows are whole.
int32_t feature_width(const std::vector<Sample>& samples, size_t stream) {
  int32_t width = 0;
  for (const Sample& sample : samples) {
    const Features& features = stream_of(sample, stream).features;
    if (features.values.empty()) continue;
    if (!stream_of(sample, stream).ends.empty())
      throw Error(ErrorKind::kInternal, "a sample of several sequences has no features");
    if (width == 0) width = features.width;
    if (features.width == width && width > 0 && features.values.size() % width == 0) continue;
    throw Error(ErrorKind::kInternal,
                fmt::format("a sample of record {} has {} features of width {}, in a batch where "
                            "their width is {}",
                            sample.record, features.values.size(), features.width, width));
  }
  return width;
}

// Rows of all samples end to end, and where each sample's end.
void pack_features(const std::vector<Sample>& samples, size_t stream, Packed& packed) {
  const int32_t width = feature_width(samples, stream);
  if (width == 0) return;
  std::vector<float> values;
  std::vector<int32_t> ends = {0};
  for (const Sample& sample : samples) {
    const Features& features = stream_of(sample, stream).features;
    values.insert(values.end(), features.values.begin(), features.values.end());
    ends.push_back(static_cast<int32_t>(values.size()) / width);
  }
  packed.features = at::tensor(values, at::kFloat).view({-1, width});
  packed.feature_ends = at::tensor(ends, at::kInt);
}

// Where each sample's sequences end; undefined where none has several.
at::Tensor pack_samples(const std::vector<Sample>& samples, size_t stream) {
  std::vector<int32_t> ends = {0};
  bool has_several = false;
  for (const Sample& sample : samples) {
    const Sequence& sequence = stream_of(sample, stream);
    has_several = has_several || !sequence.ends.empty();
    ends.push_back(ends.back() + static_cast<int32_t>(sequence.sequences()));
  }
  return has_several ? at::tensor(ends, at::kInt) : at::Tensor();
}

Packed pack(const std::vector<Sample>& samples, const std::vector<int64_t>& indices, size_t stream,
            uint64_t seed) {
  int64_t tokens = 0, sequences = 0;
  for (const Sample& sample : samples) {
    tokens += stream_of(sample, stream).size();
    sequences += stream_of(sample, stream).sequences();
  }
  Packed packed = empty_packed(tokens, sequences);
  packed.seed = seed;
  int64_t* ids = packed.ids.data_ptr<int64_t>();
  int64_t* positions = packed.positions.data_ptr<int64_t>();
  int64_t* segments = packed.segments.data_ptr<int64_t>();
  int64_t* keys = packed.keys.data_ptr<int64_t>();
  int32_t* ends = packed.cu_seqlens.data_ptr<int32_t>();
  int64_t at = 0;
  *ends++ = 0;
  for (size_t s = 0; s < samples.size(); ++s) {
    const Sequence& sequence = stream_of(samples[s], stream);
    const int64_t length = sequence.size();
    std::copy(sequence.ids.begin(), sequence.ids.end(), ids + at);
    std::copy(sequence.segments.begin(), sequence.segments.end(), segments + at);
    fill_keys(indices[s], stream, length, keys + at);
    for (int64_t q = 0, begin = 0; q < sequence.sequences(); ++q) {
      const int64_t end = sequence.ends.empty() ? length : sequence.ends[q];
      for (int64_t i = begin; i < end; ++i) positions[at + i] = i - begin;
      packed.max_len = std::max(packed.max_len, end - begin);
      *ends++ = static_cast<int32_t>(at + end);
      begin = end;
    }
    at += length;
  }
  packed.cu_samples = pack_samples(samples, stream);
  pack_features(samples, stream, packed);
  return packed;
}

// Column `index` of all samples, end to end: [rows] or [rows, width].
at::Tensor pack_target(const std::vector<Sample>& samples, size_t index) {
  const Target& first = samples.front().targets[index];
  int64_t size = 0;
  for (const Sample& sample : samples) {
    if (index >= sample.targets.size() || sample.targets[index].name != first.name ||
        sample.targets[index].width != first.width) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("the samples of a batch do not agree on target \"{}\"", first.name));
    }
    size += static_cast<int64_t>(sample.targets[index].values.size());
  }
  at::Tensor column = at::empty({size}, at::kFloat);
  float* out = column.data_ptr<float>();
  for (const Sample& sample : samples)
    out = std::copy(sample.targets[index].values.begin(), sample.targets[index].values.end(), out);
  return first.width == 1 ? column : column.view({-1, first.width});
}

// Samples [from, to) of a stream.
Packed samples_of(const Packed& all, int64_t from, int64_t to) {
  const int64_t begin = all.first_sequence(from), end = all.first_sequence(to);
  const int32_t* ends = all.cu_seqlens.const_data_ptr<int32_t>();
  const int64_t first = ends[begin], last = ends[end];
  Packed part = all;
  for (at::Tensor* column : {&part.ids, &part.positions, &part.segments, &part.keys, &part.shift}) {
    if (column->defined()) *column = column->slice(0, first, last);
  }
  if (all.features.defined()) {
    const int32_t* rows = all.feature_ends.const_data_ptr<int32_t>();
    part.features = all.features.slice(0, rows[begin], rows[end]);
    part.feature_ends = all.feature_ends.slice(0, begin, end + 1).sub(rows[begin]);
  }
  part.cu_seqlens = all.cu_seqlens.slice(0, begin, end + 1).sub(first);
  if (all.cu_samples.defined()) part.cu_samples = all.cu_samples.slice(0, from, to + 1).sub(begin);
  part.placed_ends = at::Tensor();
  part.max_len = 0;
  for (int64_t s = begin; s < end; ++s)
    part.max_len = std::max<int64_t>(part.max_len, ends[s + 1] - ends[s]);
  return part;
}

}  // namespace

at::Tensor partners_in(int64_t samples) {
  at::Tensor partners = at::empty({samples}, at::kLong);
  int64_t* of = partners.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < samples; ++i) of[i] = (i ^ 1) < samples ? i ^ 1 : i;
  return partners;
}

double count_targets(const Batch& batch, const std::string& target) {
  const auto here = batch.counted.find(target);
  const at::Tensor& column = here != batch.counted.end() ? here->second : batch.targets.at(target);
  return static_cast<double>(column.ne(kNoTarget).sum().item<int64_t>());
}

Batch staged(Batch batch, bool is_pinned) {
  std::vector<at::Tensor*> columns;
  for (Packed& stream : batch.streams) {
    for (at::Tensor* column : {&stream.ids, &stream.positions, &stream.segments, &stream.keys,
                               &stream.cu_seqlens, &stream.features, &stream.placed_seed})
      columns.push_back(column);
  }
  for (auto& [name, target] : batch.targets) columns.push_back(&target);
  const auto room = [](const at::Tensor& x) {
    constexpr int64_t kAlignment = 16;  // of what kernels read at once
    return (static_cast<int64_t>(x.nbytes()) + kAlignment - 1) / kAlignment * kAlignment;
  };
  int64_t bytes = 0;
  for (const at::Tensor* column : columns) bytes += column->defined() ? room(*column) : 0;
  batch.staged = at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(is_pinned));
  int64_t at = 0;
  for (at::Tensor* column : columns) {
    if (!column->defined()) continue;
    at::Tensor place = batch.staged.slice(0, at, at + static_cast<int64_t>(column->nbytes()))
                           .view(column->scalar_type())
                           .view(column->sizes());
    place.copy_(*column);
    at += room(*column);
    *column = place;
  }
  return batch;
}

std::vector<Batch> parts_of(const Batch& batch) {
  std::vector<Batch> parts;
  int64_t begin = 0;
  for (const int64_t samples : batch.parts) {
    Batch& part = parts.emplace_back();
    for (const Packed& stream : batch.streams)
      part.streams.push_back(samples_of(stream, begin, begin + samples));
    part.seed = batch.seed;
    part.task = batch.task;
    part.records.assign(batch.records.begin() + begin, batch.records.begin() + begin + samples);
    begin += samples;
  }
  return parts;
}

Batch collate(const std::vector<Sample>& samples, const std::vector<int64_t>& indices,
              uint64_t seed) {
  if (samples.empty() || samples.size() != indices.size())
    throw Error(ErrorKind::kInternal, "a batch needs samples, and one index for each");
  Batch batch;
  batch.seed = seed;
  for (size_t stream = 0; stream < samples.front().streams.size(); ++stream)
    batch.streams.push_back(pack(samples, indices, stream, seed));
  for (size_t i = 0; i < samples.front().targets.size(); ++i)
    batch.targets[samples.front().targets[i].name] = pack_target(samples, i);
  batch.task = samples.front().task;
  for (const Sample& sample : samples) {
    if (sample.task != batch.task)
      throw Error(ErrorKind::kInternal, "the samples of a batch are of several tasks");
    batch.records.push_back(sample.record);
  }
  return batch;
}

}  // namespace hone
