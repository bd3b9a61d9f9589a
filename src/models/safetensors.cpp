// The safetensors format: 8 bytes of header length, a JSON header of names, types, shapes and byte
// ranges, then the bytes. https://github.com/huggingface/safetensors#format. The checks are those
// of the reference reader, and then some.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/file.h"
#include "base/model_files.h"
#include "models/private_mapping.h"
#include "models/weights.h"

namespace hone {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr uint64_t kHeaderLimit = 100'000'000;  // of the reference reader
constexpr size_t kDimensionLimit = 16;

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr TypeName kTypes[] = {{"F32", at::kFloat},  {"F16", at::kHalf}, {"BF16", at::kBFloat16},
                               {"F64", at::kDouble}, {"I64", at::kLong}, {"I32", at::kInt},
                               {"I16", at::kShort},  {"I8", at::kChar},  {"U8", at::kByte},
                               {"BOOL", at::kBool}};

struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<int64_t> shape;
  uint64_t begin, end;  // bytes after the header
};

// Reads the header of one file; every complaint names it.
class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

  std::vector<Entry> read(Json* metadata) {
    const Json header = parse_json(header_text(), Where{path_, 1}, ErrorKind::kModel);
    if (!header.is_object()) throw defect("the header is not a JSON object.");
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") {
        check_metadata(value);
        if (metadata) *metadata = value;
      } else {
        entries.push_back(entry(name, value));
      }
    }
    check_coverage(entries);
    return entries;
  }

  size_t data_offset() const { return 8 + header_size_; }

 private:
  Error defect(const std::string& message) const {
    return Error(ErrorKind::kModel, Where{path_}, message);
  }
  Error defect(const std::string& name, const std::string& message) const {
    return defect(fmt::format("tensor \"{}\": {}", name, message));
  }

  std::string_view header_text() {
    refuse_stand_in(bytes_, path_, ErrorKind::kModel);
    if (bytes_.size() < 8)
      throw defect(
          fmt::format("has {} bytes, too few for a safetensors file; was the download cut off?",
                      bytes_.size()));
    std::memcpy(&header_size_, bytes_.data(), 8);
    if (header_size_ > kHeaderLimit) {
      throw defect(fmt::format(
          "claims a header of {} bytes, more than the limit of {}; this is no safetensors file.",
          header_size_, kHeaderLimit));
    }
    if (header_size_ > bytes_.size() - 8) {
      throw defect(
          fmt::format("claims a header of {} bytes but has {} after its first 8; the file is cut "
                      "off or is no safetensors file.",
                      header_size_, bytes_.size() - 8));
    }
    const std::string_view text = bytes_.substr(8, header_size_);
    if (text.empty() || text[0] != '{')
      throw defect("the header does not begin with \"{\"; this is no safetensors file.");
    return text;
  }

  void check_metadata(const Json& value) const {
    if (!value.is_object()) throw defect("\"__metadata__\" is not a JSON object.");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        throw defect(fmt::format("\"__metadata__\": the value of \"{}\" is not a string.", key));
    }
  }

  Entry entry(const std::string& name, const Json& value) const {
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets")) {
      throw defect(name, "should have exactly \"dtype\", \"shape\" and \"data_offsets\".");
    }
    Entry out{.name = name,
              .type = type(name, value["dtype"]),
              .shape = shape(name, value["shape"]),
              .begin = 0,
              .end = 0};
    const Json& offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      throw defect(name, "\"data_offsets\" should be two whole numbers.");
    }
    out.begin = offsets[0].get<uint64_t>();
    out.end = offsets[1].get<uint64_t>();
    check_size(out);
    return out;
  }

  at::ScalarType type(const std::string& name, const Json& value) const {
    for (const TypeName& known : kTypes) {
      if (value == known.name) return known.type;
    }
    std::vector<std::string> names;
    for (const TypeName& known : kTypes) names.emplace_back(known.name);
    throw defect(name, fmt::format("dtype {} is not supported; known are {}.", value.dump(),
                                   fmt::join(names, ", ")));
  }

  std::vector<int64_t> shape(const std::string& name, const Json& value) const {
    if (!value.is_array() || value.size() > kDimensionLimit)
      throw defect(
          name, fmt::format("\"shape\" should be a list of at most {} numbers.", kDimensionLimit));
    std::vector<int64_t> out;
    for (const Json& size : value) {
      if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t(INT64_MAX)) {
        throw defect(name, fmt::format("\"shape\" has the size {}; sizes are whole numbers from 0.",
                                       size.dump()));
      }
      out.push_back(size.get<int64_t>());
    }
    return out;
  }

  void check_size(const Entry& entry) const {
    uint64_t bytes = at::elementSize(entry.type);
    for (const int64_t size : entry.shape) {
      if (__builtin_mul_overflow(bytes, uint64_t(size), &bytes))
        throw defect(entry.name, fmt::format("shape {} is too large.", entry.shape));
    }
    if (entry.begin > entry.end || entry.end - entry.begin != bytes) {
      throw defect(
          entry.name,
          fmt::format("shape {} needs {} bytes but \"data_offsets\" [{}, {}] do not give as many.",
                      entry.shape, bytes, entry.begin, entry.end));
    }
  }

  // The ranges must cover the bytes after the header exactly: no overlap, no gap, nothing missing
  // or left at the end.
  void check_coverage(const std::vector<Entry>& entries) const {
    std::vector<const Entry*> sorted;
    for (const Entry& entry : entries) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) {
      return std::tie(a->begin, a->end) < std::tie(b->begin, b->end);
    });
    uint64_t covered = 0;
    const uint64_t available = bytes_.size() - data_offset();
    for (const Entry* entry : sorted) {
      if (entry->begin < covered)
        throw defect(
            entry->name,
            fmt::format("begins at byte {}, inside the tensor before it, which ends at {}.",
                        entry->begin, covered));
      if (entry->begin > covered)
        throw defect(entry->name, fmt::format("begins at byte {}, leaving a gap after byte {}.",
                                              entry->begin, covered));
      if (entry->end > available) {
        throw defect(entry->name, fmt::format("ends at byte {} but the file has {} bytes of data; "
                                              "it is cut off. Copy or fetch it again.",
                                              entry->end, available));
      }
      covered = entry->end;
    }
    if (covered != available)
      throw defect(fmt::format("has {} bytes after its last tensor.", available - covered));
  }

  const std::string& path_;
  std::string_view bytes_;
  uint64_t header_size_ = 0;
};

const char* name_of(at::ScalarType type, const std::string& tensor) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.name;
  }
  throw Error(ErrorKind::kInternal,
              fmt::format("tensor \"{}\": {} cannot be written as safetensors.", tensor,
                          c10::toString(type)));
}

// Where each tensor's bytes go: wide types first, so that every tensor is aligned to its elements
// without gaps.
std::vector<const StateDict::value_type*> storage_order(const StateDict& tensors) {
  std::vector<const StateDict::value_type*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return a->second.element_size() > b->second.element_size();
  });
  return order;
}

std::string header_of(const StateDict& tensors,
                      const std::vector<const StateDict::value_type*>& order,
                      const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> ranges;
  uint64_t offset = 0;
  for (const auto* item : order) {
    ranges[item->first] = {offset, offset + item->second.nbytes()};
    offset += item->second.nbytes();
  }
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const auto& [name, tensor] : tensors) {
    const auto [begin, end] = ranges[name];
    header[name] = {{"dtype", name_of(tensor.scalar_type(), name)},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

StateDict read_safetensors(const std::string& path, Json* metadata) {
  const auto mapping = std::make_shared<PrivateMapping>(path);
  HeaderReader reader(path, mapping->bytes());
  StateDict out;
  for (const Entry& entry : reader.read(metadata)) {
    const auto bytes =
        mapping->bytes().substr(reader.data_offset() + entry.begin, entry.end - entry.begin);
    out.emplace(entry.name, tensor_over(mapping, bytes, entry.type, entry.shape));
  }
  return out;
}

void write_safetensors(const std::string& path, const StateDict& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto order = storage_order(tensors);
  const std::string header = header_of(tensors, order, metadata);
  const uint64_t size = header.size();
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&size), 8});
  file.write(header);
  for (const auto* item : order) {
    const at::Tensor plain = item->second.detach().cpu().contiguous();
    if (plain.nbytes() > 0)
      file.write({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
  }
  file.commit();
}

}  // namespace hone
