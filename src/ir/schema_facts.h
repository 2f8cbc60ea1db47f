#ifndef LITESMITH_IR_SCHEMA_FACTS_H_
#define LITESMITH_IR_SCHEMA_FACTS_H_

// The TFLite schema as data (from the binary schema that flatc makes), for what is done to every
// table alike: finding fields that are newer than the schema, printing option tables.

#include <flatbuffers/reflection_generated.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace litesmith {

struct EnumFacts {
  struct Member {
    std::string name;
    int table = -1;  // of a union's member; -1: none
  };
  std::string name;
  std::map<int64_t, Member> members;
};

struct FieldFacts {
  std::string name;
  reflection::BaseType type = reflection::None;
  reflection::BaseType element = reflection::None;  // of a vector
  int table = -1;                                   // of a table or a vector of tables
  int enumeration = -1;  // of an enum value, a vector of them, or a union; -1: plain numbers
};

struct TableFacts {
  std::string name;
  std::vector<FieldFacts> fields;  // by number
};

struct SchemaFacts {
  std::vector<TableFacts> tables;
  std::vector<EnumFacts> enums;

  // Number of the table "Model"; -1 where there is none.
  int FindTable(const std::string& name) const;
  int FindEnum(const std::string& name) const;

  // Built on first use; the same object afterwards.
  static const SchemaFacts& Get();
};

// Bytes that one element takes in a vector; 4 for offsets.
size_t SchemaScalarSize(reflection::BaseType type);
bool IsSchemaScalar(reflection::BaseType type);

// An integer, enum or bool field at this address. REQUIRES: no floating-point type.
int64_t LoadSchemaInteger(reflection::BaseType type, const uint8_t* p);

// The fields that a trusted table holds, "padding: VALID, stride_w: 2": those that differ from
// their defaults.
std::string PrintSchemaTable(const uint8_t* table, int table_index);

}  // namespace litesmith

#endif  // LITESMITH_IR_SCHEMA_FACTS_H_
