#include "models/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/utf8.h"

namespace hone {
namespace {

enum Opcode : unsigned char {
  kProto = 0x80,
  kStop = '.',
  kMarkOp = '(',
  kNone = 'N',
  kTrue = 0x88,
  kFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kBinString = 'T',
  kShortBinString = 'U',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

struct StorageName {
  const char* name;
  at::ScalarType type;
};
constexpr StorageName kStorages[] = {
    {"torch.FloatStorage", at::kFloat},       {"torch.HalfStorage", at::kHalf},
    {"torch.BFloat16Storage", at::kBFloat16}, {"torch.DoubleStorage", at::kDouble},
    {"torch.LongStorage", at::kLong},         {"torch.IntStorage", at::kInt},
    {"torch.ShortStorage", at::kShort},       {"torch.CharStorage", at::kChar},
    {"torch.ByteStorage", at::kByte},         {"torch.BoolStorage", at::kBool},
};
constexpr std::string_view kOrderedDict = "collections.OrderedDict",
                           kRebuildTensor = "torch._utils._rebuild_tensor",
                           kRebuildTensor2 = "torch._utils._rebuild_tensor_v2",
                           kRebuildParameter = "torch._utils._rebuild_parameter";

// A value takes eighty times the memory of the byte that may ask for it: a tensor needs about
// twenty, and no model has so many tensors.
constexpr size_t kValueLimit = 1'000'000;
constexpr size_t kDimensionLimit = 16;
constexpr size_t kTextLimit = 4096;  // bytes; names of weights are shorter

std::optional<at::ScalarType> storage_type(std::string_view global) {
  for (const StorageName& known : kStorages) {
    if (global == known.name) return known.type;
  }
  return std::nullopt;
}

// The same name as it stands above, or "" for any other.
std::string_view known_global(std::string_view global) {
  for (const std::string_view known :
       {kOrderedDict, kRebuildTensor, kRebuildTensor2, kRebuildParameter}) {
    if (global == known) return known;
  }
  for (const StorageName& known : kStorages) {
    if (global == known.name) return known.name;
  }
  return "";
}

}  // namespace

std::vector<int64_t> numbers_of(const PickleValue& tuple) {
  std::vector<int64_t> out;
  for (const PickleValue* item : tuple.items) out.push_back(item->number);
  return out;
}

Error Unpickler::defect(const std::string& message) const {
  return Error(ErrorKind::kModel, Where{path_},
               fmt::format("pickle, byte {}: {}", position_, message));
}

std::string_view Unpickler::take(size_t size) {
  if (bytes_.size() - position_ < size)
    throw defect("ends too early; the file is cut off or damaged.");
  position_ += size;
  return bytes_.substr(position_ - size, size);
}

std::string_view Unpickler::take_line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == std::string_view::npos)
    throw defect("ends too early; the file is cut off or damaged.");
  const std::string_view line = take(end + 1 - position_);
  return line.substr(0, line.size() - 1);
}

template <typename T>
T Unpickler::take_number() {
  T value;
  std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
  return value;
}

PickleValue& Unpickler::make(Kind kind) {
  if (arena_.size() >= kValueLimit)
    throw defect(
        fmt::format("makes more than {} values; no state dict needs as many.", kValueLimit));
  arena_.emplace_back().kind = kind;
  return arena_.back();
}

PickleValue& Unpickler::push(Kind kind) {
  stack_.push_back(&make(kind));
  return *stack_.back();
}

PickleValue& Unpickler::pop() {
  if (stack_.empty() || stack_.back()->kind == Kind::kMark)
    throw defect("takes a value from an empty stack; the file is damaged.");
  PickleValue& value = *stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& Unpickler::pop(Kind kind, const char* wanted) {
  PickleValue& value = pop();
  if (value.kind != kind) throw defect(fmt::format("expected {}.", wanted));
  return value;
}

std::vector<PickleValue*> Unpickler::pop_to_mark() {
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), [](const PickleValue* value) {
    return value->kind == Kind::kMark;
  });
  if (mark == stack_.rend()) throw defect("a mark is missing; the file is damaged.");
  const auto first = mark.base();
  std::vector<PickleValue*> items(first, stack_.end());
  stack_.erase(first - 1, stack_.end());
  return items;
}

const PickleValue& Unpickler::next() {
  stack_.clear();
  memo_.clear();
  for (;;) {
    const auto opcode = static_cast<unsigned char>(take(1)[0]);
    if (opcode == kStop) break;
    const bool known = push_constant(opcode) || push_collection(opcode) ||
                       fill_collection(opcode) || use_memo(opcode) || call(opcode);
    if (!known)
      throw defect(fmt::format(
          "opcode 0x{:02x} is refused: a plain state dict of tensors does not need it.", opcode));
  }
  PickleValue& value = pop();
  if (!stack_.empty()) throw defect("leaves values behind; the file is damaged.");
  return value;
}

bool Unpickler::push_constant(unsigned char opcode) {
  switch (opcode) {
    case kProto:
      if (const int version = take_number<uint8_t>(); version != 2)
        throw defect(fmt::format("protocol {} is not supported; torch.save writes 2.", version));
      return true;
    case kNone:
      push(Kind::kNone);
      return true;
    case kTrue:
      push_number(1);
      return true;
    case kFalse:
      push_number(0);
      return true;
    case kBinInt:
      push_number(take_number<int32_t>());
      return true;
    case kBinInt1:
      push_number(take_number<uint8_t>());
      return true;
    case kBinInt2:
      push_number(take_number<uint16_t>());
      return true;
    case kLong1:
      push_long();
      return true;
    case kBinFloat:
      take(8), push_number(0);
      return true;
    case kBinUnicode:
      push_text(take_number<uint32_t>());
      return true;
    case kBinString:
      push_text(take_number<uint32_t>());
      return true;
    case kShortBinString:
      push_text(take_number<uint8_t>());
      return true;
    default:
      return false;
  }
}

// Little-endian two's complement of any width; wider than 64 bits only the bytes are kept.
void Unpickler::push_long() {
  const std::string_view bytes = take(take_number<uint8_t>());
  PickleValue& value = push(Kind::kNumber);
  if (bytes.size() > 8) {
    value.text = bytes;
    return;
  }
  uint64_t bits = !bytes.empty() && (bytes.back() & 0x80) ? ~uint64_t{0} : 0;
  std::memcpy(&bits, bytes.data(), bytes.size());
  value.number = int64_t(bits);
}

void Unpickler::push_text(size_t size) {
  const std::string_view text = take(size);
  if (size > kTextLimit)
    throw defect(
        fmt::format("a text has {} bytes; names of weights have at most {}.", size, kTextLimit));
  if (invalid_utf8(text) != std::string_view::npos) throw defect("a text is not valid UTF-8.");
  push(Kind::kText).text = text;
}

bool Unpickler::push_collection(unsigned char opcode) {
  switch (opcode) {
    case kMarkOp:
      push(Kind::kMark);
      return true;
    case kEmptyTuple:
      push(Kind::kTuple);
      return true;
    case kEmptyList:
      push(Kind::kList);
      return true;
    case kEmptyDict:
      push(Kind::kDict);
      return true;
    case kTuple1:
      push_tuple(1);
      return true;
    case kTuple2:
      push_tuple(2);
      return true;
    case kTuple3:
      push_tuple(3);
      return true;
    case kTuple: {
      auto items = pop_to_mark();
      push(Kind::kTuple).items = std::move(items);
      return true;
    }
    default:
      return false;
  }
}

void Unpickler::push_tuple(size_t size) {
  std::vector<PickleValue*> items(size);
  for (size_t i = size; i-- > 0;) items[i] = &pop();
  push(Kind::kTuple).items = std::move(items);
}

bool Unpickler::fill_collection(unsigned char opcode) {
  switch (opcode) {
    case kSetItem: {
      PickleValue& value = pop();
      PickleValue& key = pop();
      set_items({&key, &value});
      return true;
    }
    case kSetItems:
      set_items(pop_to_mark());
      return true;
    case kAppend:
    case kAppends: {
      const auto items = opcode == kAppends ? pop_to_mark() : std::vector<PickleValue*>{&pop()};
      PickleValue& list = pop(Kind::kList, "a list to append to");
      list.items.insert(list.items.end(), items.begin(), items.end());
      stack_.push_back(&list);
      return true;
    }
    default:
      return false;
  }
}

void Unpickler::set_items(const std::vector<PickleValue*>& items) {
  PickleValue& dict = pop(Kind::kDict, "a dict to fill");
  if (items.size() % 2 != 0) throw defect("a dict gets a key without value; the file is damaged.");
  dict.items.insert(dict.items.end(), items.begin(), items.end());
  stack_.push_back(&dict);
}

bool Unpickler::use_memo(unsigned char opcode) {
  const auto put = [&](uint32_t slot) {
    if (stack_.empty()) throw defect("remembers a value of an empty stack; the file is damaged.");
    memo_[slot] = stack_.back();
  };
  const auto get = [&](uint32_t slot) {
    const auto it = memo_.find(slot);
    if (it == memo_.end() || it->second->kind == Kind::kMark)
      throw defect(
          fmt::format("recalls value {} that was never remembered; the file is damaged.", slot));
    stack_.push_back(it->second);
  };
  switch (opcode) {
    case kBinPut:
      put(take_number<uint8_t>());
      return true;
    case kLongBinPut:
      put(take_number<uint32_t>());
      return true;
    case kBinGet:
      get(take_number<uint8_t>());
      return true;
    case kLongBinGet:
      get(take_number<uint32_t>());
      return true;
    default:
      return false;
  }
}

bool Unpickler::call(unsigned char opcode) {
  switch (opcode) {
    case kGlobal:
      push_global();
      return true;
    case kBinPersId:
      push_storage();
      return true;
    case kReduce:
      reduce();
      return true;
    case kBuild:
      build();
      return true;
    default:
      return false;
  }
}

void Unpickler::push_global() {
  const std::string module(take_line());
  const std::string name = module + "." + std::string(take_line());
  const std::string_view known = known_global(name);
  if (known.empty()) {
    throw defect(
        fmt::format("the global \"{}\" is refused: only tensors are read from pickled weights. If "
                    "you trust the file, convert it to safetensors.",
                    name.substr(0, 200)));
  }
  push(Kind::kGlobal).text = known;
}

// ("storage", class, key, location, elements), and in old files None for a view.
void Unpickler::push_storage() {
  const PickleValue& id = pop(Kind::kTuple, "the id of a storage");
  const auto& items = id.items;
  const bool sized = items.size() == 5 || (items.size() == 6 && items[5]->kind == Kind::kNone);
  if (!sized || items[0]->text != "storage" || items[1]->kind != Kind::kGlobal ||
      items[2]->kind != Kind::kText)
    throw defect("the id of a storage is not of a known form.");
  const auto type = storage_type(items[1]->text);
  if (!type) throw defect(fmt::format("\"{}\" is no storage.", items[1]->text));
  PickleValue& storage = push(Kind::kStorage);
  storage.text = items[2]->text;
  storage.type = *type;
  storage.number = number_of(*items[4]);
}

// Attributes of an OrderedDict ("_metadata": versions of modules) say nothing about weights.
void Unpickler::build() {
  pop(Kind::kDict, "a dict of attributes");
  PickleValue& object = pop(Kind::kDict, "a dict that has attributes");
  stack_.push_back(&object);
}

void Unpickler::reduce() {
  const PickleValue& arguments = pop(Kind::kTuple, "a tuple of arguments");
  const PickleValue& callee = pop(Kind::kGlobal, "a global to call");
  if (callee.text == kOrderedDict) {
    stack_.push_back(&ordered_dict(arguments));
  } else if (callee.text == kRebuildTensor || callee.text == kRebuildTensor2) {
    stack_.push_back(&rebuild_tensor(arguments));
  } else if (callee.text == kRebuildParameter) {
    if (arguments.items.empty() || arguments.items[0]->kind != Kind::kTensor)
      throw defect("a parameter without tensor.");
    stack_.push_back(arguments.items[0]);
  } else {
    throw defect(fmt::format("\"{}\" is not to be called.", callee.text));
  }
}

// OrderedDict(), or OrderedDict([[key, value], …]) as Python 2 wrote it.
PickleValue& Unpickler::ordered_dict(const PickleValue& arguments) {
  PickleValue& dict = make(Kind::kDict);
  if (arguments.items.empty()) return dict;
  std::vector<PickleValue*> pairs;  // taken out of their list: a file that passes one list again
                                    // and again must not multiply it
  pairs.swap(arguments.items[0]->items);
  for (const PickleValue* pair : pairs) {
    if (arguments.items[0]->kind != Kind::kList || pair->items.size() != 2 ||
        pair->kind == Kind::kDict)
      throw defect("an OrderedDict is not made of pairs.");
    dict.items.insert(dict.items.end(), pair->items.begin(), pair->items.end());
  }
  return dict;
}

// (storage, offset, size, stride, …)
PickleValue& Unpickler::rebuild_tensor(const PickleValue& arguments) {
  const auto& items = arguments.items;
  if (items.size() < 4 || items[0]->kind != Kind::kStorage)
    throw defect("a tensor is not made of storage, offset, size and stride.");
  PickleValue& tensor = make(Kind::kTensor);
  tensor.number = number_of(*items[1]);
  require_numbers(*items[2]);
  require_numbers(*items[3]);
  if (items[2]->items.size() != items[3]->items.size())
    throw defect("a tensor has not as many strides as sizes.");
  tensor.items = {items[0], items[2], items[3]};
  return tensor;
}

int64_t Unpickler::number_of(const PickleValue& value) const {
  if (value.kind != Kind::kNumber || !value.text.empty() || value.number < 0)
    throw defect("expected a whole number from 0.");
  return value.number;
}

void Unpickler::require_numbers(const PickleValue& value) const {
  if (value.kind != Kind::kTuple || value.items.size() > kDimensionLimit)
    throw defect(fmt::format("expected a tuple of at most {} numbers.", kDimensionLimit));
  for (const PickleValue* item : value.items) number_of(*item);
}

}  // namespace hone
