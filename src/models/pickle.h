// A restricted unpickler for PyTorch state dicts: it computes plain values and descriptions of
// tensors, and calls nothing.
//
// Known are the opcodes of protocol 2 that a state dict needs and the globals listed in pickle.cpp;
// any other is an Error that names it. A pickle is a program for a stack machine:
// https://github.com/python/cpython/blob/3.11/Lib/pickletools.py
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hone {

// Small, and without copies: a byte of the file may make a value, or name one again.
struct PickleValue {
  enum class Kind {
    kMark,
    kNone,
    kNumber,
    kText,
    kGlobal,
    kTuple,
    kList,
    kDict,
    kStorage,
    kTensor
  };
  Kind kind = Kind::kNone;
  at::ScalarType type = at::kFloat;  // kStorage
  // kNumber (floats are not needed by tensors and count as 0); kStorage: elements; kTensor: its
  // first element in the storage.
  int64_t number = 0;
  // kText; "module.name" of kGlobal; raw bytes of a number wider than 64 bits; kStorage: its key.
  std::string_view text;
  // kTuple, kList; kDict: key, value, key, value, …; kTensor: storage, sizes, strides (both tuples
  // of as many numbers).
  std::vector<PickleValue*> items;
};

std::vector<int64_t> numbers_of(const PickleValue& tuple);  // of a tuple of numbers

class Unpickler {
 public:
  Unpickler(std::string_view bytes, std::string path) : bytes_(bytes), path_(std::move(path)) {}

  // Runs the pickle at the current position up to its STOP. The value lives as long as the
  // unpickler and the bytes.
  const PickleValue& next();
  size_t position() const { return position_; }  // after what was read

 private:
  using Kind = PickleValue::Kind;

  Error defect(const std::string& message) const;
  std::string_view take(size_t size);
  std::string_view take_line();
  template <typename T>
  T take_number();

  PickleValue& make(Kind kind);
  PickleValue& push(Kind kind);
  void push_number(int64_t number) { push(Kind::kNumber).number = number; }
  void push_text(size_t size);
  PickleValue& pop();
  PickleValue& pop(Kind kind, const char* wanted);
  std::vector<PickleValue*> pop_to_mark();

  bool push_constant(unsigned char opcode);
  bool push_collection(unsigned char opcode);
  bool fill_collection(unsigned char opcode);
  bool use_memo(unsigned char opcode);
  bool call(unsigned char opcode);
  void push_long();
  void push_global();
  void push_storage();
  void push_tuple(size_t size);
  void set_items(const std::vector<PickleValue*>& items);
  void build();
  void reduce();
  PickleValue& rebuild_tensor(const PickleValue& arguments);
  PickleValue& ordered_dict(const PickleValue& arguments);
  int64_t number_of(const PickleValue& value) const;
  void require_numbers(const PickleValue& value) const;

  std::string_view bytes_;
  std::string path_;
  size_t position_ = 0;
  std::deque<PickleValue> arena_;  // owns all values: cycles and depth cost nothing
  std::vector<PickleValue*> stack_;
  std::map<uint32_t, PickleValue*> memo_;
};

}  // namespace hone
