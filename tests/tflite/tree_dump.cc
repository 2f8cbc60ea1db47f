#include "tests/tflite/tree_dump.h"

#include <flatbuffers/reflection_generated.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "ir/schema.h"
#include "reflection/schema_bfbs_generated.h"

namespace litesmith::testing {
namespace {

const reflection::Schema& Reflection() {
  static const std::vector<uint64_t> copy = [] {
    std::vector<uint64_t> out((schema::ModelBinarySchema::size() + 7) / 8);
    std::memcpy(out.data(), schema::ModelBinarySchema::data(), schema::ModelBinarySchema::size());
    return out;
  }();
  return *reflection::GetSchema(copy.data());
}

std::string Fingerprint(const uint8_t* data, size_t size) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 1099511628211u;
  return fmt::format("{} bytes {:016x}", size, hash);
}

class Dump {
 public:
  explicit Dump(std::span<const std::byte> file)
      : file_(reinterpret_cast<const uint8_t*>(file.data())),
        model_(schema::GetModel(file.data())) {}

  std::string Run() {
    Table(reinterpret_cast<const flatbuffers::Table*>(model_), *Reflection().root_table(), "");
    return std::move(out_);
  }

 private:
  using Field = reflection::Field;

  void Line(const std::string& path, const std::string& value) {
    out_ += path + " = " + value + "\n";
  }

  std::string Buffer(int64_t index) const {
    const schema::Buffer& b = *model_->buffers()->Get(static_cast<uint32_t>(index));
    if (b.data() != nullptr) return Fingerprint(b.data()->data(), b.data()->size());
    return b.offset() > 1 ? Fingerprint(file_ + b.offset(), b.size()) : std::string();
  }

  // Values that are numbers of something else; false: an ordinary field.
  bool Reference(const flatbuffers::Table* t, const std::string& table, const std::string& field,
                 const std::string& path) {
    if (table == "Model" && (field == "buffers" || field == "operator_codes")) return true;
    if ((table == "Tensor" || table == "Metadata") && field == "buffer") {
      const uint32_t index = table == "Tensor"
                                 ? reinterpret_cast<const schema::Tensor*>(t)->buffer()
                                 : reinterpret_cast<const schema::Metadata*>(t)->buffer();
      if (!Buffer(index).empty()) Line(path, Buffer(index));
      return true;
    }
    if (table == "Model" && field == "metadata_buffer") {
      for (int32_t i : *model_->metadata_buffer()) Line(path, Buffer(i));
      return true;
    }
    if (table == "Operator" && field == "large_custom_options_offset") {
      const auto* op = reinterpret_cast<const schema::Operator*>(t);
      Line(path,
           Fingerprint(file_ + op->large_custom_options_offset(), op->large_custom_options_size()));
      return true;
    }
    return table == "Operator" && (field == "large_custom_options_size" || field == "opcode_index");
  }

  void Code(const schema::Operator& op, const std::string& path) {
    const schema::OperatorCode& c = *model_->operator_codes()->Get(op.opcode_index());
    Line(path + ".code",
         fmt::format("{} '{}' v{}", std::max<int>(c.builtin_code(), c.deprecated_builtin_code()),
                     c.custom_code() ? c.custom_code()->str() : "", c.version()));
  }

  void Table(const flatbuffers::Table* t, const reflection::Object& object,
             const std::string& path) {
    std::string name = object.name()->str();
    name = name.substr(name.rfind('.') + 1);
    std::vector<const Field*> fields(object.fields()->size());
    for (const Field* f : *object.fields()) fields[f->id()] = f;
    if (name == "Operator") Code(*reinterpret_cast<const schema::Operator*>(t), path);
    for (const Field* f : fields) {
      const std::string field = f->name()->str();
      const std::string where = path.empty() ? field : path + "." + field;
      if (!t->CheckField(f->offset())) continue;
      if (Reference(t, name, field, where)) continue;
      Value(t, *f, where);
    }
  }

  static std::string Scalar(const uint8_t* p, reflection::BaseType type) {
    switch (type) {
      case reflection::UType:
      case reflection::Bool:
      case reflection::UByte:
        return fmt::format("{}", *p);
      case reflection::Byte:
        return fmt::format("{}", static_cast<int>(static_cast<int8_t>(*p)));
      case reflection::Short:
        return fmt::format("{}", flatbuffers::ReadScalar<int16_t>(p));
      case reflection::UShort:
        return fmt::format("{}", flatbuffers::ReadScalar<uint16_t>(p));
      case reflection::Int:
        return fmt::format("{}", flatbuffers::ReadScalar<int32_t>(p));
      case reflection::UInt:
        return fmt::format("{}", flatbuffers::ReadScalar<uint32_t>(p));
      case reflection::Long:
        return fmt::format("{}", flatbuffers::ReadScalar<int64_t>(p));
      case reflection::ULong:
        return fmt::format("{}", flatbuffers::ReadScalar<uint64_t>(p));
      case reflection::Float:
        return fmt::format("{}", flatbuffers::ReadScalar<float>(p));
      default:
        return fmt::format("{}", flatbuffers::ReadScalar<double>(p));
    }
  }

  void Value(const flatbuffers::Table* t, const Field& f, const std::string& path) {
    const auto type = f.type()->base_type();
    switch (type) {
      case reflection::String:
        if (t->GetPointer<const flatbuffers::String*>(f.offset())->size() > 0) {
          Line(path, t->GetPointer<const flatbuffers::String*>(f.offset())->str());
        }
        return;
      case reflection::Obj:
        return Table(t->GetPointer<const flatbuffers::Table*>(f.offset()),
                     *Reflection().objects()->Get(static_cast<uint32_t>(f.type()->index())), path);
      case reflection::Union: {
        const auto& e = *Reflection().enums()->Get(static_cast<uint32_t>(f.type()->index()));
        const auto member = t->GetField<uint8_t>(static_cast<uint16_t>(f.offset() - 2), 0);
        const auto* v = e.values()->LookupByKey(member);
        return Table(t->GetPointer<const flatbuffers::Table*>(f.offset()),
                     *Reflection().objects()->Get(static_cast<uint32_t>(v->union_type()->index())),
                     path);
      }
      case reflection::Vector:
        return Vector(t->GetPointer<const flatbuffers::Vector<uint8_t>*>(f.offset()), f, path);
      default: {
        const std::string value = Scalar(t->GetAddressOf(f.offset()), type);
        const bool real = type == reflection::Float || type == reflection::Double;
        const std::string otherwise =
            real ? fmt::format("{}", f.default_real()) : fmt::format("{}", f.default_integer());
        if (value != otherwise) Line(path, value);
      }
    }
  }

  void Vector(const flatbuffers::Vector<uint8_t>* v, const Field& f, const std::string& path) {
    const auto type = f.type()->element();
    const uint8_t* p = v->data();
    if (type == reflection::Obj) {
      const auto& object = *Reflection().objects()->Get(static_cast<uint32_t>(f.type()->index()));
      for (uint32_t i = 0; i < v->size(); ++i, p += 4) {
        Line(fmt::format("{}[{}]", path, i), "");
        Table(reinterpret_cast<const flatbuffers::Table*>(p + flatbuffers::ReadScalar<uint32_t>(p)),
              object, fmt::format("{}[{}]", path, i));
      }
      return;
    }
    const std::map<reflection::BaseType, size_t> sizes = {
        {reflection::Short, 2}, {reflection::UShort, 2}, {reflection::Int, 4},
        {reflection::UInt, 4},  {reflection::Float, 4},  {reflection::Long, 8},
        {reflection::ULong, 8}, {reflection::Double, 8}};
    const size_t size = sizes.count(type) ? sizes.at(type) : 1;
    std::string values;
    for (uint32_t i = 0; i < v->size(); ++i, p += size) values += Scalar(p, type) + " ";
    if (!values.empty()) Line(path, values);
  }

  const uint8_t* file_;
  const schema::Model* model_;
  std::string out_;
};

}  // namespace

std::string DumpTree(std::span<const std::byte> file) { return Dump(file).Run(); }

}  // namespace litesmith::testing
