// TensorFlow's checkpoints of variables ("x.ckpt.index" and "x.ckpt.data-00000-of-00001"): an index
// from names to places in the data.
// https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/protobuf/tensor_bundle.proto
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/crc32c.h"
#include "models/leveldb_table.h"
#include "models/private_mapping.h"
#include "models/weights.h"
#include "models/wire.h"

namespace hone {
namespace {

constexpr size_t kMostDimensions = 16;

struct BundleHeader {
  uint64_t shards = 0;
  bool is_big_endian = false;
};

struct BundleEntry {
  uint64_t type = 0, shard = 0, offset = 0, bytes = 0, checksum = 0;
  std::vector<int64_t> shape;
  bool is_sliced = false;
};

BundleHeader read_bundle_header(std::string_view message, const std::string& path) {
  BundleHeader header;
  for (WireReader reader(message, path); !reader.at_end();) {
    const WireField field = reader.field();
    if (field.tag == 1) header.shards = field.number;
    if (field.tag == 2) header.is_big_endian = field.number != 0;
  }
  return header;
}

// A shape holds dimensions (2), which hold their sizes (1).
void read_bundle_shape(std::string_view message, const std::string& path,
                       std::vector<int64_t>& shape) {
  for (WireReader reader(message, path); !reader.at_end();) {
    const WireField field = reader.field();
    if (field.tag != 2) continue;
    int64_t size = 0;
    for (WireReader dimension(field.bytes, path); !dimension.at_end();) {
      const WireField of_dimension = dimension.field();
      if (of_dimension.tag == 1) size = static_cast<int64_t>(of_dimension.number);
    }
    shape.push_back(size);
  }
}

BundleEntry read_bundle_entry(std::string_view message, const std::string& path) {
  BundleEntry entry;
  for (WireReader reader(message, path); !reader.at_end();) {
    const WireField field = reader.field();
    if (field.tag == 1) entry.type = field.number;
    if (field.tag == 2) read_bundle_shape(field.bytes, path, entry.shape);
    if (field.tag == 3) entry.shard = field.number;
    if (field.tag == 4) entry.offset = field.number;
    if (field.tag == 5) entry.bytes = field.number;
    if (field.tag == 6) entry.checksum = field.number;
    if (field.tag == 7) entry.is_sliced = true;
  }
  return entry;
}

at::ScalarType weight_type_of(uint64_t type) {
  switch (type) {
    case 1:
      return at::kFloat;
    case 2:
      return at::kDouble;
    case 3:
      return at::kInt;
    case 9:
      return at::kLong;
    case 14:
      return at::kBFloat16;
    case 19:
      return at::kHalf;
    default:
      return at::ScalarType::Undefined;
  }
}

// What an optimizer remembers, and how many steps it took.
bool is_of_training(const std::string& name) {
  for (const char* part : {"adam_m", "adam_v", "lamb_m", "lamb_v", "global_step"}) {
    if (name.ends_with(part)) return true;
  }
  return false;
}

// "layer_11" is layer.11; other names of a path stay.
std::string transformers_part(std::string part) {
  constexpr std::string_view kLayer = "layer_";
  if (part.starts_with(kLayer)) part[kLayer.size() - 1] = '.';
  return part;
}

// A variable's last name as Transformers has it.
std::string transformers_end(const std::string& end) {
  static const std::map<std::string, std::string> kEnds = {
      {"kernel", "weight"},         {"gamma", "weight"},     {"beta", "bias"},
      {"output_weights", "weight"}, {"output_bias", "bias"},
  };
  if (const auto known = kEnds.find(end); known != kEnds.end()) return known->second;
  return end.ends_with("_embeddings") ? end + ".weight" : end;
}

// "bert/encoder/layer_0/output/dense/kernel": bert.encoder.layer.0.output.dense.weight.
std::string transformers_name(const std::string& name) {
  std::string out;
  size_t begin = 0;
  for (size_t slash; (slash = name.find('/', begin)) != std::string::npos; begin = slash + 1)
    out += transformers_part(name.substr(begin, slash - begin)) + ".";
  if (out.empty() && name.starts_with("output_")) out = "classifier.";  // of run_classifier.py
  return out + transformers_end(name.substr(begin));
}

class BundleReader {
 public:
  explicit BundleReader(const std::string& index) : index_(index) {}

  StateDict read() {
    const PrivateMapping index(index_);
    const auto entries = read_table(index.bytes(), index_);
    if (entries.empty() || !entries[0].first.empty())
      throw Error(ErrorKind::kModel, Where{index_}, "has no header of a TensorFlow checkpoint.");
    header_ = read_bundle_header(entries[0].second, index_);
    if (header_.is_big_endian)
      throw Error(ErrorKind::kModel, Where{index_}, "was written on a big-endian machine.");
    StateDict out;
    for (size_t i = 1; i < entries.size(); ++i) add(entries[i].first, entries[i].second, out);
    return out;
  }

 private:
  Error defect(const std::string& name, const std::string& message) const {
    return Error(ErrorKind::kModel, Where{index_},
                 fmt::format("variable \"{}\" {}", name.substr(0, 200), message));
  }

  void add(const std::string& name, std::string_view message, StateDict& out) {
    if (is_of_training(name)) return;
    const BundleEntry entry = read_bundle_entry(message, index_);
    if (name.find(".ATTRIBUTES/") != std::string::npos || name.starts_with("_CHECKPOINTABLE"))
      throw defect(name,
                   "is of a checkpoint of objects (TensorFlow 2), whose names are not a model's: "
                   "save the model with Transformers 4 as safetensors.");
    at::Tensor tensor = tensor_of(name, entry);
    if (name.ends_with("kernel") && tensor.dim() == 2) tensor = tensor.t();  // [in, out] there
    if (!out.emplace(transformers_name(name), tensor).second)
      throw defect(name, "is there twice, under two names.");
  }

  at::Tensor tensor_of(const std::string& name, const BundleEntry& entry) {
    const at::ScalarType type = weight_type_of(entry.type);
    if (type == at::ScalarType::Undefined)
      throw defect(name, fmt::format("has type {}, which no weight has.", entry.type));
    if (entry.is_sliced) throw defect(name, "is saved in slices; save it whole.");
    check_size(name, entry, at::elementSize(type));
    const auto& mapping = shard(entry.shard, name);
    const std::string_view all = mapping->bytes();
    if (entry.offset > all.size() || entry.bytes > all.size() - entry.offset)
      throw defect(name, "reaches beyond the end of its data; is the file cut off?");
    const std::string_view bytes = all.substr(entry.offset, entry.bytes);
    if (masked_crc32c(bytes) != entry.checksum)
      throw defect(name, "has another checksum than it was written with; its data is damaged.");
    return tensor_over(mapping, bytes, type, entry.shape);
  }

  void check_size(const std::string& name, const BundleEntry& entry, size_t element) const {
    auto bytes = static_cast<int64_t>(element);
    bool is_wrong = entry.shape.size() > kMostDimensions;
    for (const int64_t size : entry.shape)
      is_wrong = is_wrong || size < 0 || __builtin_mul_overflow(bytes, size, &bytes);
    if (is_wrong || uint64_t(bytes) != entry.bytes)
      throw defect(name, fmt::format("has {} bytes, but its shape wants others.", entry.bytes));
  }

  const std::shared_ptr<PrivateMapping>& shard(uint64_t number, const std::string& name) {
    if (number >= header_.shards)
      throw defect(name, fmt::format("is in part {} of {}.", number + 1, header_.shards));
    auto& mapping = shards_[number];
    if (!mapping)
      mapping = std::make_shared<PrivateMapping>(
          fmt::format("{}.data-{:05}-of-{:05}", index_.substr(0, index_.size() - 6), number,
                      header_.shards));  // instead of ".index"
    return mapping;
  }

  std::string index_;
  BundleHeader header_;
  std::map<uint64_t, std::shared_ptr<PrivateMapping>> shards_;
};

}  // namespace

StateDict read_tensorflow(const std::string& index) { return BundleReader(index).read(); }

}  // namespace hone
