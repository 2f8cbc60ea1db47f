#include "tflite/unknown_fields.h"

#include <algorithm>

#include "base/bytes.h"
#include "ir/schema_facts.h"

namespace litesmith {
namespace {

constexpr char kNewer[] =
    "which this version of litesmith does not know; the file was made for a newer one: update "
    "litesmith or write the model with an older converter";

class Walk {
 public:
  explicit Walk(uint64_t budget) : left_(budget) {}

  absl::Status Table(const uint8_t* table, int index) {
    const TableFacts& facts = schema_.tables[static_cast<size_t>(index)];
    const uint8_t* vtable = table - LoadLE<int32_t>(table);
    // Without a single field a vtable has two entries; the verifier lets fewer pass.
    const size_t vtable_bytes = LoadLE<uint16_t>(vtable);
    if (vtable_bytes < 4) return Invalid("a table {} without a size", facts.name);
    const size_t entries = vtable_bytes / 2;
    LS_RETURN_IF_ERROR(Take(64 + 16 * facts.fields.size()));
    Reach(vtable + vtable_bytes);
    Reach(table + LoadLE<uint16_t>(vtable + 2));
    for (size_t i = 0; i + 2 < entries; ++i) {
      const uint16_t offset = LoadLE<uint16_t>(vtable + 4 + 2 * i);
      if (offset == 0) continue;
      if (i >= facts.fields.size()) {
        return Unsupported("field {} of table {}, {}", i, facts.name, kNewer);
      }
      const FieldFacts& field = facts.fields[i];
      // The verifier made sure that the number before a union's offset is its type.
      const uint16_t type_offset = field.type == reflection::Union
                                       ? LoadLE<uint16_t>(vtable + 4 + 2 * (i - 1))
                                       : uint16_t{0};
      const int64_t union_type = type_offset != 0 ? LoadLE<uint8_t>(table + type_offset) : 0;
      if (absl::Status s = Field(table + offset, field, union_type, index); !s.ok()) {
        return Annotate(s, field.name);
      }
    }
    return CheckUnionsHaveValues(table, vtable, entries - 2, facts);
  }

  // Behind all that was visited.
  const uint8_t* end() const { return end_; }

 private:
  void Reach(const uint8_t* end) { end_ = std::max(end_, end); }

  absl::Status Take(uint64_t bytes) {
    if (bytes > left_) {
      return Invalid(
          "the file shares its parts so often that it would unpack to more than memory allows");
    }
    left_ -= bytes;
    return absl::OkStatus();
  }

  // A union whose type names a table that is not there.
  absl::Status CheckUnionsHaveValues(const uint8_t* table, const uint8_t* vtable, size_t entries,
                                     const TableFacts& facts) {
    for (size_t i = 0; i < facts.fields.size() && i < entries; ++i) {
      if (facts.fields[i].type != reflection::UType) continue;
      const uint16_t offset = LoadLE<uint16_t>(vtable + 4 + 2 * i);
      if (offset == 0 || LoadLE<uint8_t>(table + offset) == 0) continue;
      const bool value = i + 1 < entries && LoadLE<uint16_t>(vtable + 4 + 2 * (i + 1)) != 0;
      if (!value) return Invalid("{} says what follows, but nothing does", facts.fields[i].name);
    }
    return absl::OkStatus();
  }

  absl::Status EnumValue(int64_t value, int enumeration) {
    const EnumFacts& facts = schema_.enums[static_cast<size_t>(enumeration)];
    if (facts.members.count(value) == 0) {
      return Unsupported("value {} of {}, {}", value, facts.name, kNewer);
    }
    return absl::OkStatus();
  }

  static const uint8_t* Follow(const uint8_t* p) { return p + LoadLE<uint32_t>(p); }

  absl::Status Field(const uint8_t* p, const FieldFacts& field, int64_t union_type, int table) {
    switch (field.type) {
      case reflection::Obj:
        return Table(Follow(p), field.table);
      case reflection::String:
        return Text(Follow(p));
      case reflection::Vector:
        if (table == buffer_) {
          Reach(Follow(p) + 4 + LoadLE<uint32_t>(Follow(p)));
          return absl::OkStatus();
        }
        return Vector(Follow(p), field);
      case reflection::Union: {
        LS_RETURN_IF_ERROR(EnumValue(union_type, field.enumeration));
        const int member =
            schema_.enums[static_cast<size_t>(field.enumeration)].members.at(union_type).table;
        if (member < 0) return Invalid("a table without a type");
        return Table(Follow(p), member);
      }
      default:
        if (field.enumeration < 0) return absl::OkStatus();
        return EnumValue(LoadSchemaInteger(field.type, p), field.enumeration);
    }
  }

  absl::Status Text(const uint8_t* text) {
    const uint32_t size = LoadLE<uint32_t>(text);
    Reach(text + 4 + size + 1);
    return Take(size);
  }

  absl::Status Vector(const uint8_t* vector, const FieldFacts& field) {
    const uint32_t count = LoadLE<uint32_t>(vector);
    const uint8_t* elements = vector + 4;
    const size_t size = SchemaScalarSize(field.element);
    LS_RETURN_IF_ERROR(Take(uint64_t{count} * size));
    Reach(elements + uint64_t{count} * size);
    // The verifier looks at the alignment of the count alone.
    if (reinterpret_cast<uintptr_t>(elements) % size != 0) {
      return Invalid("its elements do not start at a multiple of their size");
    }
    if (field.element == reflection::String) {
      for (uint32_t i = 0; i < count; ++i) {
        LS_RETURN_IF_ERROR(Text(Follow(elements + 4 * size_t{i})));
      }
      return absl::OkStatus();
    }
    if (field.table < 0 && field.enumeration < 0) return absl::OkStatus();
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t* p = elements + size * i;
      absl::Status s = field.table >= 0
                           ? Table(Follow(p), field.table)
                           : EnumValue(LoadSchemaInteger(field.element, p), field.enumeration);
      if (!s.ok()) return Annotate(s, fmt::format("[{}]", i));
    }
    return absl::OkStatus();
  }

  const SchemaFacts& schema_ = SchemaFacts::Get();
  const int buffer_ = schema_.FindTable("Buffer");
  uint64_t left_;
  const uint8_t* end_ = nullptr;
};

}  // namespace

absl::StatusOr<const uint8_t*> CheckNothingUnknown(const schema::Model* model,
                                                   uint64_t max_unpacked_bytes) {
  Walk walk(max_unpacked_bytes);
  LS_RETURN_IF_ERROR(
      walk.Table(reinterpret_cast<const uint8_t*>(model), SchemaFacts::Get().FindTable("Model")));
  return walk.end();
}

}  // namespace litesmith
