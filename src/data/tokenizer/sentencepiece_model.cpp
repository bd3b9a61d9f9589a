#include "data/tokenizer/sentencepiece_model.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "base/utf8.h"

namespace hone {
namespace {

// A field of a message in protobuf's wire format: its number, and its value as its wire type has
// it.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of a varint; the bits of a fixed one
  std::string_view bytes;  // of what has a length
  size_t place = 0;        // in the file, for messages
};

class WireReader {
 public:
  // `start`: where in the file `bytes` begins.
  WireReader(std::string_view bytes, size_t start, const Where& where)
      : bytes_(bytes), start_(start), where_(where) {}

  std::optional<Field> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    Field field;
    field.place = start_ + at_;
    const uint64_t tag = varint();
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.value = fixed(4);
        break;
      default:
        fail(field.place, "no SentencePiece model: a field of a type that it never has");
    }
    if (field.number == 0) fail(field.place, "no SentencePiece model: a field without a number");
    return field;
  }

  [[noreturn]] void fail(size_t place, const std::string& message) const {
    throw Error(ErrorKind::kModel, where_, fmt::format("byte {}: {}", place, message));
  }

 private:
  std::string_view bytes_;
  size_t start_, at_ = 0;
  const Where& where_;

  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail(start_ + at_, fmt::format("cut short: {} more bytes are announced, {} are there", size,
                                     bytes_.size() - at_));
    }
    const std::string_view out = bytes_.substr(at_, size);
    at_ += size;
    return out;
  }

  uint64_t fixed(size_t size) {
    uint64_t out = 0;
    std::memcpy(&out, take(size).data(), size);
    return out;
  }

  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      out |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return out;
    }
    fail(start_ + at_, "no SentencePiece model: a number without an end");
  }
};

float to_float(uint64_t bits) {
  const auto low = static_cast<uint32_t>(bits);
  float out;
  std::memcpy(&out, &low, 4);
  return out;
}

SentencePieceModel::Piece read_piece(const Field& message, size_t id, const Where& where) {
  SentencePieceModel::Piece out;
  const size_t start = message.place;
  WireReader reader(message.bytes, start, where);
  while (const auto field = reader.next()) {
    if (field->number == 1) out.text = field->bytes;
    if (field->number == 2) out.score = to_float(field->value);
    if (field->number == 3 && field->value >= 1 && field->value <= 6)
      out.type = static_cast<SentencePieceModel::Type>(field->value);
  }
  if (out.text.empty()) reader.fail(start, fmt::format("piece {} has no text", id));
  if (invalid_utf8(out.text) != std::string::npos)
    reader.fail(start, fmt::format("piece {} is not valid UTF-8", id));
  return out;
}

void read_trainer(const Field& message, const Where& where, SentencePieceModel& out) {
  WireReader reader(message.bytes, message.place, where);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 3:
        if (field->value < 1 || field->value > 4)
          reader.fail(field->place, fmt::format("model_type {} is none of 1 (unigram), 2 (bpe), 3 "
                                                "(word), 4 (char)",
                                                field->value));
        out.kind = static_cast<SentencePieceModel::Kind>(field->value);
        break;
      case 22:
        out.splits_by_whitespace = field->value != 0;
        break;
      case 35:
        out.byte_fallback = field->value != 0;
        break;
      case 40:
        out.unk_id = static_cast<int32_t>(field->value);
        break;
      case 45:
        out.unk_piece = field->bytes;
        break;
      default:
        break;
    }
  }
}

void read_normalizer(const Field& message, const Where& where, SentencePieceModel& out) {
  WireReader reader(message.bytes, message.place, where);
  while (const auto field = reader.next()) {
    if (field->number == 2) out.charsmap = field->bytes;
    if (field->number == 3) out.adds_prefix = field->value != 0;
    if (field->number == 4) out.removes_extra_whitespace = field->value != 0;
  }
}

}  // namespace

bool is_sentencepiece(std::string_view bytes) {
  return bytes.starts_with('\x0A');  // field 1, a message: the first piece
}

SentencePieceModel parse_sentencepiece(std::string_view bytes, const Where& where) {
  SentencePieceModel out;
  bool has_trainer = false, has_normalizer = false;
  WireReader reader(bytes, 0, where);
  while (const auto field = reader.next()) {
    if (field->number == 1) {
      out.pieces.push_back(read_piece(*field, out.pieces.size(), where));
    } else if (field->number == 2) {
      read_trainer(*field, where, out);
      has_trainer = true;
    } else if (field->number == 3) {
      read_normalizer(*field, where, out);
      has_normalizer = true;
    }
  }
  if (out.pieces.empty() || !has_trainer || !has_normalizer) {
    reader.fail(bytes.size(), fmt::format("the file ends before {}; is it cut short?",
                                          out.pieces.empty() ? "its first piece"
                                          : has_trainer      ? "its normalizer_spec"
                                                             : "its trainer_spec"));
  }
  if (out.unk_id < 0 || out.unk_id >= static_cast<int64_t>(out.pieces.size())) {
    reader.fail(bytes.size(), fmt::format("the unknown piece is {}, but the pieces are 0 to {}",
                                          out.unk_id, out.pieces.size() - 1));
  }
  return out;
}

}  // namespace hone
