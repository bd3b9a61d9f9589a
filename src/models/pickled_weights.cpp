// pytorch_model.bin: a zip archive of a pickle and one entry per storage (since PyTorch 1.6), or
// pickles followed by the storages (before).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/model_files.h"
#include "models/pickle.h"
#include "models/private_mapping.h"
#include "models/weights.h"
#include "models/zip.h"

namespace hone {
namespace {

using Bytes = std::map<std::string, std::string_view, std::less<>>;  // of storages, by key

constexpr std::string_view kOldMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
                                     10);  // 0x1950a86a20f9469cfc6c

class StateDictBuilder {
 public:
  StateDictBuilder(std::shared_ptr<PrivateMapping> mapping, Bytes storages, const std::string& path)
      : mapping_(std::move(mapping)), storages_(std::move(storages)), path_(path) {}

  StateDict build(const PickleValue& root) {
    if (root.kind != PickleValue::Kind::kDict)
      throw Error(ErrorKind::kModel, Where{path_}, "does not hold a dict of tensors.");
    StateDict out;
    for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
      const PickleValue &key = *root.items[i], &value = *root.items[i + 1];
      if (key.kind != PickleValue::Kind::kText)
        throw Error(ErrorKind::kModel, Where{path_},
                    "has a key that is no text; expected a dict of tensors.");
      if (value.kind != PickleValue::Kind::kTensor) {
        throw defect(std::string(key.text),
                     "is not a tensor. The file should hold a plain state dict; save "
                     "model.state_dict() alone.");
      }
      const std::string name(key.text);
      out.insert_or_assign(name, tensor(name, value));
    }
    return out;
  }

 private:
  Error defect(const std::string& name, const std::string& message) const {
    return Error(ErrorKind::kModel, Where{path_}, fmt::format("tensor \"{}\" {}", name, message));
  }

  at::Tensor tensor(const std::string& name, const PickleValue& value) {
    check_extent(name, value);
    const at::Tensor whole = storage(name, *value.items[0]);
    return whole.as_strided(numbers_of(*value.items[1]), numbers_of(*value.items[2]), value.number);
  }

  // The last element must lie in the storage, and a tensor may not be larger than what holds it.
  void check_extent(const std::string& name, const PickleValue& value) const {
    const std::vector<int64_t> sizes = numbers_of(*value.items[1]),
                               strides = numbers_of(*value.items[2]);
    int64_t elements = 1, last = value.number;
    bool overflows = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      int64_t step = 0;
      overflows |= __builtin_mul_overflow(elements, sizes[i], &elements);
      overflows |= sizes[i] > 0 && __builtin_mul_overflow(sizes[i] - 1, strides[i], &step);
      overflows |= __builtin_add_overflow(last, step, &last);
    }
    const int64_t available = value.items[0]->number;
    if (overflows || elements > available || value.number > available ||
        (elements > 0 && last >= available)) {
      throw defect(name, fmt::format("reaches outside of its storage of {} elements.", available));
    }
  }

  at::Tensor storage(const std::string& name, const PickleValue& wanted) {
    const auto it = storages_.find(wanted.text);
    if (it == storages_.end())
      throw defect(name,
                   fmt::format("needs the storage \"{}\" that is not in the file.", wanted.text));
    const uint64_t element = at::elementSize(wanted.type);
    if (it->second.size() % element != 0 ||
        uint64_t(wanted.number) != it->second.size() / element) {
      throw defect(name, fmt::format("needs {} elements of {} bytes but its storage has {} bytes.",
                                     wanted.number, element, it->second.size()));
    }
    at::Tensor& known = tensors_[{it->first, wanted.type}];
    if (!known.defined()) known = tensor_over(mapping_, it->second, wanted.type, {wanted.number});
    return known;
  }

  std::shared_ptr<PrivateMapping> mapping_;
  Bytes storages_;
  const std::string& path_;
  std::map<std::pair<std::string_view, at::ScalarType>, at::Tensor> tensors_;
};

StateDict read_archive(const std::shared_ptr<PrivateMapping>& mapping, const std::string& path) {
  const auto entries = read_stored_zip(mapping->bytes(), path);
  constexpr std::string_view kPickle = "/data.pkl";
  const auto pickle = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.first.ends_with(kPickle);
  });
  if (pickle == entries.end())
    throw Error(ErrorKind::kModel, Where{path}, "has no data.pkl; it is no archive of torch.save.");
  const std::string root = pickle->first.substr(0, pickle->first.size() - kPickle.size());
  if (const auto order = entries.find(root + "/byteorder");
      order != entries.end() && order->second != "little") {
    throw Error(ErrorKind::kModel, Where{path},
                "was written on a big-endian machine; convert it to safetensors there.");
  }
  Bytes storages;
  const std::string data = root + "/data/";
  for (const auto& [name, bytes] : entries) {
    if (name.starts_with(data)) storages.emplace(name.substr(data.size()), bytes);
  }
  Unpickler unpickler(pickle->second, path);
  return StateDictBuilder(mapping, std::move(storages), path).build(unpickler.next());
}

// The keys of the storages in the order of their bytes, each with 8 bytes of its number of elements
// first.
Bytes old_storages(const std::vector<const PickleValue*>& order, std::string_view bytes,
                   const std::string& path) {
  Bytes out;
  for (const PickleValue* storage : order) {
    int64_t elements = -1;
    if (bytes.size() >= 8) std::memcpy(&elements, bytes.data(), 8);
    const uint64_t element = at::elementSize(storage->type);
    if (elements != storage->number || (bytes.size() - 8) / element < uint64_t(elements)) {
      throw Error(ErrorKind::kModel, Where{path},
                  fmt::format("the storage \"{}\" is cut off or damaged.", storage->text));
    }
    out.emplace(storage->text, bytes.substr(8, uint64_t(elements) * element));
    bytes.remove_prefix(8 + uint64_t(elements) * element);
  }
  return out;
}

// All storages that tensors of the dict name, by key.
std::map<std::string_view, const PickleValue*> named_storages(const PickleValue& root) {
  std::map<std::string_view, const PickleValue*> out;
  for (const PickleValue* item : root.items) {
    if (item->kind == PickleValue::Kind::kTensor) out.emplace(item->items[0]->text, item->items[0]);
  }
  return out;
}

StateDict read_old(const std::shared_ptr<PrivateMapping>& mapping, const std::string& path) {
  Unpickler unpickler(mapping->bytes(), path);
  if (unpickler.next().text != kOldMagic)
    throw Error(ErrorKind::kModel, Where{path}, "is not a file of torch.save.");
  unpickler.next();  // version of the format, 1001 in all files there are
  unpickler.next();  // sizes and byte order of the machine
  const PickleValue& root = unpickler.next();
  const PickleValue& keys = unpickler.next();
  const auto storages = named_storages(root);
  std::vector<const PickleValue*> order;
  for (const PickleValue* key : keys.items) {
    const auto it = storages.find(key->text);
    if (it == storages.end())
      throw Error(ErrorKind::kModel, Where{path},
                  fmt::format("no tensor uses the storage \"{}\".", key->text));
    order.push_back(it->second);
  }
  Bytes bytes = old_storages(order, mapping->bytes().substr(unpickler.position()), path);
  return StateDictBuilder(mapping, std::move(bytes), path).build(root);
}

}  // namespace

StateDict read_pickled(const std::string& path) {
  const auto mapping = std::make_shared<PrivateMapping>(path);
  refuse_stand_in(mapping->bytes(), path, ErrorKind::kModel);
  if (mapping->bytes().starts_with("PK")) return read_archive(mapping, path);
  if (mapping->bytes().starts_with("\x80\x02")) return read_old(mapping, path);
  throw Error(ErrorKind::kModel, Where{path},
              "is not a file of torch.save: neither a zip archive nor a pickle.");
}

}  // namespace hone
