// What Python's operators do with values, and how values are told as texts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/chat/jinja/runtime.h"
#include "data/chat/jinja/value.h"

namespace hone::jinja {

bool is_true(const Value& value);
bool equals(Runtime& runtime, const Value& a, const Value& b);
int compare(Runtime& runtime, const Value& a, const Value& b);  // <0, 0, >0; else a Fault
bool contains(Runtime& runtime, const Value& container, const Value& item);  // item in container
int64_t length(const Value& value);                                          // len()
bool has_length(const Value& value);

// The items that a loop sees; an iterator is used up. Dicts give their keys, texts their
// characters.
std::vector<Value> items_of(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);

Value add(Runtime& runtime, const Value& a, const Value& b);
Value subtract(const Value& a, const Value& b);
Value multiply(Runtime& runtime, const Value& a, const Value& b);
Value divide(const Value& a, const Value& b);
Value floor_divide(const Value& a, const Value& b);
Value modulo(Runtime& runtime, const Value& a, const Value& b);  // of numbers, or "…" % values
Value power(const Value& a, const Value& b);
Value negate(const Value& value);
Value identity(const Value& value);  // unary +

// The value of a key, or nothing.
const Value* find_key(Runtime& runtime, const Dictionary& dict, const Value& key);
const Value* find_key(const Dictionary& dict, std::string_view key);

// value[key]; nothing where Python raises TypeError or LookupError.
std::optional<Value> item(Runtime& runtime, const Value& value, const Value& key);
// value[start:stop:step]; null pointers where nothing stands.
Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step);

Text to_text(Runtime& runtime, const Value& value);  // str()
Text repr(Runtime& runtime, const Value& value);     // repr()
std::string repr_of(double value);                   // 1.0, 1e-05, inf

// Every `old` in the text replaced, or the first `most` of them; -1: all.
Value replaced(Runtime& runtime, const Text& text, const Text& old, const Text& by, int64_t most);

// A Fault for anything that is no text; `what` says who asks.
const Text& need_text(const Value& value, const std::string& what);
void refuse_undefined(const Value& value);

// Sorted by keys as Python's sorted() does: stable, with its errors for what has no order.
std::vector<Value> sorted(Runtime& runtime, std::vector<Value> items,
                          const std::function<Value(const Value&)>& key, bool is_reverse);

}  // namespace hone::jinja
