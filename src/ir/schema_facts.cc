#include "ir/schema_facts.h"

#include <fmt/format.h>

#include <cstring>

#include "base/bytes.h"
#include "ir/schema.h"
#include "reflection/schema_bfbs_generated.h"

namespace litesmith {
namespace {

// Longer vectors are cut when printed.
constexpr uint32_t kMaxShown = 16;

std::string ShortName(const flatbuffers::String* name) {
  const std::string s = name->str();
  const size_t dot = s.rfind('.');
  return dot == std::string::npos ? s : s.substr(dot + 1);
}

FieldFacts Describe(const reflection::Field& field) {
  const reflection::Type* type = field.type();
  FieldFacts facts{field.name()->str(), type->base_type(), type->element(), -1, -1};
  const reflection::BaseType held = facts.type == reflection::Vector ? facts.element : facts.type;
  if (held == reflection::Obj) {
    facts.table = type->index();
  } else if (held == reflection::Union || IsSchemaScalar(held)) {
    facts.enumeration = type->index();
  }
  return facts;
}

SchemaFacts Build() {
  // The generated array has no alignment of its own.
  std::vector<uint64_t> copy((schema::ModelBinarySchema::size() + 7) / 8);
  std::memcpy(copy.data(), schema::ModelBinarySchema::data(), schema::ModelBinarySchema::size());
  const reflection::Schema* s = reflection::GetSchema(copy.data());
  SchemaFacts out;
  for (const reflection::Enum* e : *s->enums()) {
    EnumFacts facts{ShortName(e->name()), {}};
    for (const reflection::EnumVal* v : *e->values()) {
      const bool member = e->is_union() && v->union_type() != nullptr;
      facts.members[v->value()] = {v->name()->str(), member ? v->union_type()->index() : -1};
    }
    out.enums.push_back(std::move(facts));
  }
  for (const reflection::Object* o : *s->objects()) {
    TableFacts facts{ShortName(o->name()), std::vector<FieldFacts>(o->fields()->size())};
    for (const reflection::Field* f : *o->fields()) facts.fields[f->id()] = Describe(*f);
    out.tables.push_back(std::move(facts));
  }
  return out;
}

template <typename Facts>
int FindByName(const std::vector<Facts>& all, const std::string& name) {
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

const uint8_t* Follow(const uint8_t* p) { return p + LoadLE<uint32_t>(p); }

std::string PrintScalar(const uint8_t* p, reflection::BaseType type, int enumeration) {
  if (type == reflection::Float) return fmt::format("{}", LoadLE<float>(p));
  if (type == reflection::Double) return fmt::format("{}", LoadLE<double>(p));
  const int64_t value = LoadSchemaInteger(type, p);
  if (type == reflection::Bool) return value != 0 ? "true" : "false";
  if (enumeration >= 0) {
    const auto& members = SchemaFacts::Get().enums[static_cast<size_t>(enumeration)].members;
    const auto found = members.find(value);
    if (found != members.end()) return found->second.name;
  }
  return fmt::format("{}", value);
}

std::string PrintVector(const uint8_t* vector, const FieldFacts& field) {
  const uint32_t count = LoadLE<uint32_t>(vector);
  const size_t size = SchemaScalarSize(field.element);
  std::string out = "[";
  for (uint32_t i = 0; i < count && i < kMaxShown; ++i) {
    const uint8_t* p = vector + 4 + size * i;
    if (i > 0) out += ", ";
    if (field.table >= 0) {
      out += "{" + PrintSchemaTable(Follow(p), field.table) + "}";
    } else if (IsSchemaScalar(field.element)) {
      out += PrintScalar(p, field.element, field.enumeration);
    }
  }
  if (count > kMaxShown) out += fmt::format(", … {} more", count - kMaxShown);
  return out + "]";
}

}  // namespace

const SchemaFacts& SchemaFacts::Get() {
  static const SchemaFacts facts = Build();
  return facts;
}

int SchemaFacts::FindTable(const std::string& name) const { return FindByName(tables, name); }
int SchemaFacts::FindEnum(const std::string& name) const { return FindByName(enums, name); }

bool IsSchemaScalar(reflection::BaseType type) {
  return type >= reflection::UType && type <= reflection::Double;
}

size_t SchemaScalarSize(reflection::BaseType type) {
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

int64_t LoadSchemaInteger(reflection::BaseType type, const uint8_t* p) {
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

std::string PrintSchemaTable(const uint8_t* table, int table_index) {
  const TableFacts& facts = SchemaFacts::Get().tables[static_cast<size_t>(table_index)];
  const uint8_t* vtable = table - LoadLE<int32_t>(table);
  const size_t entries = LoadLE<uint16_t>(vtable) / 2;
  std::string out;
  for (size_t i = 0; i + 2 < entries && i < facts.fields.size(); ++i) {
    const uint16_t offset = LoadLE<uint16_t>(vtable + 4 + 2 * i);
    const FieldFacts& field = facts.fields[i];
    if (offset == 0 || field.type == reflection::Union) continue;
    if (!out.empty()) out += ", ";
    out += field.name + ": ";
    const uint8_t* p = table + offset;
    if (field.type == reflection::String) {
      const uint8_t* s = Follow(p);
      out += "'" + Printable({reinterpret_cast<const char*>(s + 4), LoadLE<uint32_t>(s)}) + "'";
    } else if (field.type == reflection::Obj) {
      out += "{" + PrintSchemaTable(Follow(p), field.table) + "}";
    } else if (field.type == reflection::Vector) {
      out += PrintVector(Follow(p), field);
    } else {
      out += PrintScalar(p, field.type, field.enumeration);
    }
  }
  return out;
}

}  // namespace litesmith
