#include "tflite/unknown_fields.h"

#include <flatbuffers/reflection_generated.h>

#include <map>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "reflection/schema_bfbs_generated.h"

namespace litesmith {
namespace {

constexpr char kNewer[] =
    "which this version of litesmith does not know; the file was made for a newer one: update "
    "litesmith or write the model with an older converter";

struct EnumFacts {
  std::string name;
  std::map<int64_t, int> members;  // value -> table of the union member, -1: none
};

struct FieldFacts {
  std::string name;
  reflection::BaseType type = reflection::None;
  reflection::BaseType element = reflection::None;
  int table = -1;        // of a table or vector of tables
  int enumeration = -1;  // of an enum value, a vector of them, or a union
};

struct TableFacts {
  std::string name;
  std::vector<FieldFacts> fields;  // by number
};

bool IsScalar(reflection::BaseType type) {
  return type >= reflection::UType && type <= reflection::Double;
}

std::string ShortName(const flatbuffers::String* name) {
  const std::string s = name->str();
  const size_t dot = s.rfind('.');
  return dot == std::string::npos ? s : s.substr(dot + 1);
}

// The schema, indexed by field number.
class SchemaFacts {
 public:
  SchemaFacts() {
    // The generated array has no alignment of its own.
    const std::vector<uint64_t> copy = [] {
      std::vector<uint64_t> out((schema::ModelBinarySchema::size() + 7) / 8);
      std::memcpy(out.data(), schema::ModelBinarySchema::data(), schema::ModelBinarySchema::size());
      return out;
    }();
    const reflection::Schema* s = reflection::GetSchema(copy.data());
    for (const reflection::Enum* e : *s->enums()) {
      EnumFacts facts{ShortName(e->name()), {}};
      for (const reflection::EnumVal* v : *e->values()) {
        const bool member = e->is_union() && v->union_type() != nullptr;
        facts.members[v->value()] = member ? v->union_type()->index() : -1;
      }
      enums.push_back(std::move(facts));
    }
    for (const reflection::Object* o : *s->objects()) {
      TableFacts facts{ShortName(o->name()), std::vector<FieldFacts>(o->fields()->size())};
      for (const reflection::Field* f : *o->fields()) facts.fields[f->id()] = Describe(*f);
      if (facts.name == "Model") model = static_cast<int>(tables.size());
      if (facts.name == "Buffer") buffer = static_cast<int>(tables.size());
      tables.push_back(std::move(facts));
    }
  }

  std::vector<TableFacts> tables;
  std::vector<EnumFacts> enums;
  int model = -1;
  int buffer = -1;

 private:
  static FieldFacts Describe(const reflection::Field& field) {
    const reflection::Type* type = field.type();
    FieldFacts facts{field.name()->str(), type->base_type(), type->element(), -1, -1};
    const bool vector = facts.type == reflection::Vector;
    const reflection::BaseType held = vector ? facts.element : facts.type;
    if (held == reflection::Obj) {
      facts.table = type->index();
    } else if (held == reflection::Union || IsScalar(held)) {
      facts.enumeration = type->index();  // -1 for plain numbers
    }
    return facts;
  }
};

const SchemaFacts& Facts() {
  static const SchemaFacts facts;
  return facts;
}

size_t ScalarSize(reflection::BaseType type) {
  switch (type) {
    case reflection::UType:
    case reflection::Bool:
    case reflection::Byte:
    case reflection::UByte:
      return 1;
    case reflection::Short:
    case reflection::UShort:
      return 2;
    case reflection::Long:
    case reflection::ULong:
    case reflection::Double:
      return 8;
    default:
      return 4;
  }
}

int64_t LoadInteger(reflection::BaseType type, const uint8_t* p) {
  switch (type) {
    case reflection::UType:
    case reflection::UByte:
    case reflection::Bool:
      return LoadLE<uint8_t>(p);
    case reflection::Byte:
      return LoadLE<int8_t>(p);
    case reflection::Short:
      return LoadLE<int16_t>(p);
    case reflection::UShort:
      return LoadLE<uint16_t>(p);
    case reflection::Int:
      return LoadLE<int32_t>(p);
    case reflection::UInt:
      return LoadLE<uint32_t>(p);
    default:
      return LoadLE<int64_t>(p);
  }
}

class Walk {
 public:
  explicit Walk(uint64_t budget) : left_(budget) {}

  absl::Status Table(const uint8_t* table, int index) {
    const TableFacts& facts = Facts().tables[static_cast<size_t>(index)];
    const uint8_t* vtable = table - LoadLE<int32_t>(table);
    // Without a single field a vtable has two entries; a broken one may claim fewer.
    const size_t entries = std::max<size_t>(LoadLE<uint16_t>(vtable) / 2, 2);
    LS_RETURN_IF_ERROR(Take(64 + 16 * facts.fields.size()));
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

 private:
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
    const EnumFacts& facts = Facts().enums[static_cast<size_t>(enumeration)];
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
        return Take(LoadLE<uint32_t>(Follow(p)));
      case reflection::Vector:
        if (table == Facts().buffer) return absl::OkStatus();
        return Vector(Follow(p), field);
      case reflection::Union: {
        LS_RETURN_IF_ERROR(EnumValue(union_type, field.enumeration));
        const int member =
            Facts().enums[static_cast<size_t>(field.enumeration)].members.at(union_type);
        if (member < 0) return Invalid("a table without a type");
        return Table(Follow(p), member);
      }
      default:
        if (field.enumeration < 0) return absl::OkStatus();
        return EnumValue(LoadInteger(field.type, p), field.enumeration);
    }
  }

  absl::Status Vector(const uint8_t* vector, const FieldFacts& field) {
    const uint32_t count = LoadLE<uint32_t>(vector);
    const uint8_t* elements = vector + 4;
    const size_t size = ScalarSize(field.element);
    LS_RETURN_IF_ERROR(Take(uint64_t{count} * size));
    if (field.element == reflection::String) {
      for (uint32_t i = 0; i < count; ++i) {
        LS_RETURN_IF_ERROR(Take(LoadLE<uint32_t>(Follow(elements + 4 * size_t{i}))));
      }
      return absl::OkStatus();
    }
    if (field.table < 0 && field.enumeration < 0) return absl::OkStatus();
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t* p = elements + size * i;
      absl::Status s = field.table >= 0
                           ? Table(Follow(p), field.table)
                           : EnumValue(LoadInteger(field.element, p), field.enumeration);
      if (!s.ok()) return Annotate(s, fmt::format("[{}]", i));
    }
    return absl::OkStatus();
  }

  uint64_t left_;
};

}  // namespace

absl::Status CheckNothingUnknown(const schema::Model* model, uint64_t max_unpacked_bytes) {
  Walk walk(max_unpacked_bytes);
  return walk.Table(reinterpret_cast<const uint8_t*>(model), Facts().model);
}

}  // namespace litesmith
