#include <algorithm>
#include <cstring>

#include "ir/verify.h"
#include "tflite/external.h"
#include "tflite/notes.h"
#include "tflite/source_names.h"
#include "tflite/tflite.h"
#include "tflite/unknown_fields.h"

namespace litesmith {
namespace {

constexpr uint32_t kSchemaVersion = 3;
constexpr size_t kAlignment = 16;

template <typename T>
std::vector<T> ToVector(const flatbuffers::Vector<T>* v) {
  return v == nullptr ? std::vector<T>() : std::vector<T>(v->begin(), v->end());
}

std::string ToString(const flatbuffers::String* s) {
  return s == nullptr ? std::string() : s->str();
}

// A vector of tables, or nothing.
template <typename T>
size_t Count(const flatbuffers::Vector<flatbuffers::Offset<T>>* v) {
  return v == nullptr ? 0 : v->size();
}

template <typename Object, typename Table>
std::shared_ptr<const Object> Unpack(const Table* table) {
  return std::shared_ptr<const Object>(table->UnPack());
}

bool IsAligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % kAlignment == 0; }

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
         const Context& context)
      : bytes_(bytes), owner_(std::move(owner)), context_(context) {
    copy_budget_ = std::min<uint64_t>(context.memory_budget, bytes.size() + (uint64_t{1} << 20));
  }

  absl::StatusOr<Graph> Read();

 private:
  absl::Status Check();
  absl::Status TakeCopy(uint64_t bytes);
  absl::StatusOr<std::span<const std::byte>> Outside(uint64_t offset, uint64_t size) const;
  absl::StatusOr<Blob> ToBlob(std::span<const std::byte> bytes);
  absl::StatusOr<Blob> ReadBuffer(uint32_t index);
  absl::Status ReadQuant(const schema::QuantizationParameters* in, QuantParams* out);
  absl::Status ReadTensor(const schema::Tensor& in, Tensor* out);
  absl::Status ReadNode(const schema::Operator& in, Node* out);
  absl::Status ReadSubgraph(const schema::SubGraph& in, Subgraph* out);
  absl::Status ReadMetadata(Graph* graph);
  void ReadSignatures(Graph* graph);
  void ReadExternal(Graph* graph);

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  const Context& context_;
  const schema::Model* model_ = nullptr;
  uint64_t end_ = 0;          // of the flatbuffer
  uint64_t copy_budget_ = 0;  // of bytes that cannot stay where they are
  std::vector<Blob> buffers_;
  std::vector<bool> buffer_read_;
};

absl::Status Reader::Check() {
  // The verifier takes no more than 2 GB; larger files keep their buffers behind the flatbuffer,
  // and those offsets are checked by Outside.
  const size_t prefix = std::min<size_t>(bytes_.size(), FLATBUFFERS_MAX_BUFFER_SIZE - 1);
  flatbuffers::Verifier::Options options;
  options.max_depth = 32;  // the schema nests far less
  // No table is smaller than this, unless tables share their place.
  options.max_tables = static_cast<flatbuffers::uoffset_t>(prefix / 4 + 16);
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes_.data()), prefix, options);
  if (!schema::VerifyModelBuffer(verifier)) {
    return Invalid(
        "the file is damaged: an offset or a size in it leads outside; was its download "
        "or copy cut short?");
  }
  model_ = schema::GetModel(bytes_.data());
  if (model_->version() != kSchemaVersion) {
    return Unsupported(
        "the file has schema version {}, only version {} is known; convert the model "
        "again with a current converter",
        model_->version(), kSchemaVersion);
  }
  const uint64_t unpacked =
      std::min<uint64_t>(context_.memory_budget, 32 * uint64_t{prefix} + (uint64_t{1} << 20));
  LS_ASSIGN_OR_RETURN(const uint8_t* end, CheckNothingUnknown(model_, unpacked));
  end_ = static_cast<uint64_t>(end - reinterpret_cast<const uint8_t*>(bytes_.data()));
  return absl::OkStatus();
}

absl::Status Reader::TakeCopy(uint64_t bytes) {
  if (bytes > copy_budget_) {
    return Invalid("the file's buffers overlap or need more memory than allowed");
  }
  copy_budget_ -= bytes;
  return absl::OkStatus();
}

// Bytes behind the flatbuffer.
absl::StatusOr<std::span<const std::byte>> Reader::Outside(uint64_t offset, uint64_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) {
    return Invalid(
        "{} bytes at offset {} lie beyond the end of the file ({} bytes); was its download "
        "or copy cut short?",
        size, offset, bytes_.size());
  }
  if (offset < end_) {
    return Invalid(
        "{} bytes at offset {} overlap the model itself, which takes the first {} bytes of the "
        "file; the file is damaged",
        size, offset, end_);
  }
  return bytes_.subspan(static_cast<size_t>(offset), static_cast<size_t>(size));
}

absl::StatusOr<Blob> Reader::ToBlob(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Blob{};
  if (IsAligned(bytes.data())) return Blob{owner_, bytes};
  LS_RETURN_IF_ERROR(TakeCopy(bytes.size()));
  return Blob::Copy(bytes);
}

absl::StatusOr<Blob> Reader::ReadBuffer(uint32_t index) {
  if (index >= buffers_.size()) {
    return Invalid("it uses buffer {}, but there are only {}", index, buffers_.size());
  }
  if (buffer_read_[index]) return buffers_[index];
  const schema::Buffer& buffer = *model_->buffers()->Get(index);
  std::span<const std::byte> content;
  if (buffer.data() != nullptr) {
    if (buffer.data()->size() == 0) return Blob::Own({});  // a constant of no elements
    content = std::as_bytes(std::span(buffer.data()->data(), buffer.data()->size()));
  } else if (buffer.offset() > 1) {  // 1 is the placeholder of writers that know the offset later
    LS_ASSIGN_OR_RETURN_IN(content, Outside(buffer.offset(), buffer.size()),
                           fmt::format("buffer {}", index));
  }
  LS_ASSIGN_OR_RETURN(buffers_[index], ToBlob(content));
  buffer_read_[index] = true;
  return buffers_[index];
}

absl::Status Reader::ReadQuant(const schema::QuantizationParameters* in, QuantParams* out) {
  if (in == nullptr) return absl::OkStatus();
  out->scale = ToVector(in->scale());
  out->zero_point = ToVector(in->zero_point());
  out->axis = in->quantized_dimension();
  out->min = ToVector(in->min());
  out->max = ToVector(in->max());
  if (in->details_type() != schema::QuantizationDetails_NONE) {
    auto details = std::make_shared<schema::QuantizationDetailsUnion>();
    details->value =
        schema::QuantizationDetailsUnion::UnPack(in->details(), in->details_type(), nullptr);
    details->type = in->details_type();
    out->details = std::move(details);
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadTensor(const schema::Tensor& in, Tensor* out) {
  out->name = ToString(in.name());
  out->type = in.type();
  out->shape = ToVector(in.shape());
  out->shape_signature = ToVector(in.shape_signature());
  out->has_rank = in.has_rank();
  out->is_variable = in.is_variable();
  out->external_buffer = in.external_buffer();
  LS_RETURN_IF_ERROR(ReadQuant(in.quantization(), &out->quant));
  if (in.sparsity() != nullptr) out->sparsity = Unpack<schema::SparsityParametersT>(in.sparsity());
  for (size_t i = 0; i < Count(in.variant_tensors()); ++i) {
    const auto* variant = in.variant_tensors()->Get(static_cast<uint32_t>(i));
    out->variant_tensors.push_back(Unpack<schema::VariantSubTypeT>(variant));
  }
  // Buffer 0 means "none" whatever it holds, as TFLite reads it.
  if (in.buffer() == 0) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(out->data, ReadBuffer(in.buffer()));
  return absl::OkStatus();
}

absl::Status Reader::ReadNode(const schema::Operator& in, Node* out) {
  if (in.opcode_index() >= Count(model_->operator_codes())) {
    return Invalid("it uses operator code {}, but there are only {}", in.opcode_index(),
                   Count(model_->operator_codes()));
  }
  const schema::OperatorCode& code = *model_->operator_codes()->Get(in.opcode_index());
  // Codes above 127 stand in the newer field alone, old files know only the older one.
  out->op = std::max(code.builtin_code(),
                     static_cast<schema::BuiltinOperator>(code.deprecated_builtin_code()));
  out->custom_code = ToString(code.custom_code());
  out->version = code.version();
  out->inputs = ToVector(in.inputs());
  out->outputs = ToVector(in.outputs());
  out->intermediates = ToVector(in.intermediates());
  if (in.builtin_options_type() != schema::BuiltinOptions_NONE) {
    auto options = std::make_shared<schema::BuiltinOptionsUnion>();
    options->value = schema::BuiltinOptionsUnion::UnPack(in.builtin_options(),
                                                         in.builtin_options_type(), nullptr);
    options->type = in.builtin_options_type();
    out->options = Options(std::move(options));
  }
  if (in.builtin_options_2_type() != schema::BuiltinOptions2_NONE) {
    auto options = std::make_shared<schema::BuiltinOptions2Union>();
    options->value = schema::BuiltinOptions2Union::UnPack(in.builtin_options_2(),
                                                          in.builtin_options_2_type(), nullptr);
    options->type = in.builtin_options_2_type();
    out->options2 = std::move(options);
  }
  out->custom_options = ToVector(in.custom_options());
  out->custom_options_format = in.custom_options_format();
  if (in.mutating_variable_inputs() != nullptr) {
    for (uint8_t m : *in.mutating_variable_inputs())
      out->mutating_variable_inputs.push_back(m != 0);
  }
  if (in.large_custom_options_offset() > 1) {
    LS_ASSIGN_OR_RETURN(const auto content,
                        Outside(in.large_custom_options_offset(), in.large_custom_options_size()));
    LS_RETURN_IF_ERROR(TakeCopy(content.size()));
    out->large_custom_options.assign(content.begin(), content.end());
  }
  out->debug_metadata_index = in.debug_metadata_index();
  return absl::OkStatus();
}

absl::Status Reader::ReadSubgraph(const schema::SubGraph& in, Subgraph* out) {
  out->name = ToString(in.name());
  out->inputs = ToVector(in.inputs());
  out->outputs = ToVector(in.outputs());
  out->debug_metadata_index = in.debug_metadata_index();
  out->tensors.resize(Count(in.tensors()));
  for (size_t t = 0; t < out->tensors.size(); ++t) {
    const auto& tensor = *in.tensors()->Get(static_cast<uint32_t>(t));
    if (absl::Status s = ReadTensor(tensor, &out->tensors[t]); !s.ok()) {
      return Annotate(s, fmt::format("tensor {} '{}'", t, Printable(out->tensors[t].name)));
    }
  }
  out->nodes.resize(Count(in.operators()));
  for (size_t n = 0; n < out->nodes.size(); ++n) {
    const auto& node = *in.operators()->Get(static_cast<uint32_t>(n));
    if (absl::Status s = ReadNode(node, &out->nodes[n]); !s.ok()) {
      return Annotate(s, fmt::format("operator {}", n));
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadMetadata(Graph* graph) {
  for (size_t i = 0; i < Count(model_->metadata()); ++i) {
    const schema::Metadata& in = *model_->metadata()->Get(static_cast<uint32_t>(i));
    Metadata out{ToString(in.name()), {}};
    LS_ASSIGN_OR_RETURN_IN(out.data, ReadBuffer(in.buffer()),
                           fmt::format("metadata '{}'", Printable(out.name)));
    graph->metadata.push_back(std::move(out));
  }
  for (int32_t index : ToVector(model_->metadata_buffer())) {
    LS_ASSIGN_OR_RETURN_IN(Blob data, ReadBuffer(static_cast<uint32_t>(index)), "metadata_buffer");
    graph->legacy_metadata.push_back(std::move(data));
  }
  return absl::OkStatus();
}

void Reader::ReadSignatures(Graph* graph) {
  const auto read_entries =
      [](const flatbuffers::Vector<flatbuffers::Offset<schema::TensorMap>>* in,
         std::vector<SignatureEntry>* out) {
        for (size_t i = 0; i < Count(in); ++i) {
          const schema::TensorMap& entry = *in->Get(static_cast<uint32_t>(i));
          out->push_back({ToString(entry.name()), static_cast<int32_t>(entry.tensor_index())});
        }
      };
  for (size_t i = 0; i < Count(model_->signature_defs()); ++i) {
    const schema::SignatureDef& in = *model_->signature_defs()->Get(static_cast<uint32_t>(i));
    Signature out;
    out.key = ToString(in.signature_key());
    out.deprecated_tag = ToString(in.deprecated_tag());
    out.subgraph = static_cast<int32_t>(in.subgraph_index());
    read_entries(in.inputs(), &out.inputs);
    read_entries(in.outputs(), &out.outputs);
    graph->signatures.push_back(std::move(out));
  }
}

void Reader::ReadExternal(Graph* graph) {
  for (size_t i = 0; i < Count(model_->external_buffer_groups()); ++i) {
    const auto* group = model_->external_buffer_groups()->Get(static_cast<uint32_t>(i));
    graph->external_groups.push_back(ToString(group->name()));
  }
  for (size_t i = 0; i < Count(model_->external_buffers()); ++i) {
    const auto* buffer = model_->external_buffers()->Get(static_cast<uint32_t>(i));
    graph->external_buffers.push_back(Unpack<schema::ExternalBufferT>(buffer));
  }
}

absl::StatusOr<Graph> Reader::Read() {
  LS_RETURN_IF_ERROR(Check());
  Graph graph;
  graph.version = model_->version();
  graph.description = ToString(model_->description());
  buffers_.resize(Count(model_->buffers()));
  buffer_read_.resize(buffers_.size());
  graph.subgraphs.resize(Count(model_->subgraphs()));
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    LS_RETURN_IF_ERROR(context_.Check());
    const auto& subgraph = *model_->subgraphs()->Get(static_cast<uint32_t>(s));
    absl::Status status = ReadSubgraph(subgraph, &graph.subgraphs[s]);
    if (!status.ok()) return s == 0 ? status : Annotate(status, fmt::format("subgraph {}", s));
  }
  LS_RETURN_IF_ERROR(ReadMetadata(&graph));
  ReadSignatures(&graph);
  ReadExternal(&graph);
  LS_RETURN_IF_ERROR(Verify(graph));
  ApplySourceNames(ReadNotes(graph), &graph);
  return graph;
}

}  // namespace

bool LooksLikeTflite(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 && std::memcmp(bytes.data() + 4, schema::ModelIdentifier(), 4) == 0;
}

absl::StatusOr<Graph> ParseTflite(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const Context& context) {
  if (bytes.empty()) return Invalid("the file is empty; was its download or copy cut short?");
  if (!LooksLikeTflite(bytes)) {
    return Invalid(
        "not a .tflite file: the letters TFL3 are missing at its start; give a .tflite file, "
        "or convert the model first");
  }
  if (!IsAligned(bytes.data())) {
    if (bytes.size() > context.memory_budget)
      return Invalid("the file is larger than memory allows");
    Blob copy = Blob::Copy(bytes);
    bytes = copy.bytes;
    owner = std::move(copy.owner);
  }
  return Reader(bytes, std::move(owner), context).Read();
}

absl::StatusOr<Graph> ReadTflite(const std::string& path, const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(Graph graph, ParseTflite(file->bytes(), file, context), path);
  LS_RETURN_IF_ERROR_IN(LoadExternalBuffers(path, context, &graph), path);
  return graph;
}

}  // namespace litesmith
