#include "tflite/writer.h"

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "ir/verify.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr size_t kAlignment = 16;
constexpr std::byte kZeros[kAlignment] = {};
// What offset and size hold until they are known; 0 would be left out of the table.
constexpr uint64_t kPlaceholder = 1;

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// All constants of the graph, each content once. Number 0 is the empty buffer that stands for "no
// data".
class BufferTable {
 public:
  explicit BufferTable(const Graph& graph) {
    contents_.emplace_back();
    for (const Subgraph& subgraph : graph.subgraphs) {
      for (const Tensor& tensor : subgraph.tensors) Add(tensor.data);
    }
    for (const Metadata& metadata : graph.metadata) Add(metadata.data);
    for (const Blob& blob : graph.legacy_metadata) Add(blob);
  }

  uint32_t Find(const Blob& blob) const {
    return blob.empty() && blob.owner == nullptr ? 0 : numbers_.at(AsText(blob.bytes));
  }
  const std::vector<std::span<const std::byte>>& contents() const { return contents_; }
  uint64_t total() const { return total_; }

 private:
  void Add(const Blob& blob) {
    if (blob.empty() && blob.owner == nullptr) return;
    const auto number = static_cast<uint32_t>(contents_.size());
    if (!numbers_.emplace(AsText(blob.bytes), number).second) return;
    contents_.push_back(blob.bytes);
    total_ += blob.bytes.size();
  }

  std::vector<std::span<const std::byte>> contents_;
  std::map<std::string_view, uint32_t> numbers_;
  uint64_t total_ = 0;
};

using CodeKey = std::tuple<schema::BuiltinOperator, std::string, int32_t>;

class Writer {
 public:
  Writer(const Graph& graph, uint64_t max_inside)
      : graph_(graph), buffers_(graph), outside_(buffers_.total() > max_inside) {}

  TfliteFile Write();

 private:
  template <typename T>
  Offset<flatbuffers::Vector<T>> VectorOrNone(const std::vector<T>& v) {
    return v.empty() ? 0 : fbb_.CreateVector(v);
  }
  Offset<flatbuffers::String> StringOrNone(const std::string& s) {
    return s.empty() ? 0 : fbb_.CreateSharedString(s);
  }
  // Shapes and operand lists repeat a lot: each content is stored once.
  Offset<flatbuffers::Vector<int32_t>> SharedVector(const std::vector<int32_t>& v) {
    auto [it, fresh] = vectors_.try_emplace(v);
    if (fresh) it->second = fbb_.CreateVector(v);
    return it->second;
  }

  Offset<schema::Buffer> WriteBuffer(size_t index);
  uint32_t CodeIndex(const Node& node);
  std::vector<Offset<schema::OperatorCode>> WriteCodes();
  Offset<schema::QuantizationParameters> WriteQuant(const QuantParams& quant);
  Offset<schema::Tensor> WriteTensor(const Tensor& tensor);
  Offset<schema::Operator> WriteNode(const Node& node);
  Offset<schema::SubGraph> WriteSubgraph(const Subgraph& subgraph);
  Offset<schema::SignatureDef> WriteSignature(const Signature& signature);
  void WriteModel();
  void AppendOutside(std::span<const std::byte> bytes, TfliteFile* file, uint64_t* offset);
  void PatchOffsets(TfliteFile* file);

  const Graph& graph_;
  FlatBufferBuilder fbb_;
  BufferTable buffers_;
  bool outside_;
  std::map<std::vector<int32_t>, Offset<flatbuffers::Vector<int32_t>>> vectors_;
  std::map<CodeKey, uint32_t> code_numbers_;
  std::vector<const Node*> codes_;  // the first node that uses each
};

Offset<schema::Buffer> Writer::WriteBuffer(size_t index) {
  const std::span<const std::byte> content = buffers_.contents()[index];
  if (index == 0) return schema::CreateBuffer(fbb_);
  if (outside_ && !content.empty()) {
    return schema::CreateBuffer(fbb_, 0, kPlaceholder, kPlaceholder);
  }
  fbb_.ForceVectorAlignment(content.size(), 1, kAlignment);
  const auto data =
      fbb_.CreateVector(reinterpret_cast<const uint8_t*>(content.data()), content.size());
  return schema::CreateBuffer(fbb_, data);
}

uint32_t Writer::CodeIndex(const Node& node) {
  const auto number = static_cast<uint32_t>(codes_.size());
  const auto [it, fresh] =
      code_numbers_.try_emplace(CodeKey(node.op, node.custom_code, node.version), number);
  if (fresh) codes_.push_back(&node);
  return it->second;
}

std::vector<Offset<schema::OperatorCode>> Writer::WriteCodes() {
  std::vector<Offset<schema::OperatorCode>> out;
  for (const Node* node : codes_) {
    // Readers from before schema 3a know the one-byte field only.
    const auto old_code = static_cast<int8_t>(
        std::min<int>(node->op, schema::BuiltinOperator_PLACEHOLDER_FOR_GREATER_OP_CODES));
    const auto custom = StringOrNone(node->custom_code);
    out.push_back(schema::CreateOperatorCode(fbb_, old_code, custom, node->version, node->op));
  }
  return out;
}

Offset<schema::QuantizationParameters> Writer::WriteQuant(const QuantParams& q) {
  if (q.scale.empty() && q.zero_point.empty() && q.min.empty() && q.max.empty() &&
      q.details == nullptr && q.axis == 0) {
    return 0;
  }
  const auto min = VectorOrNone(q.min);
  const auto max = VectorOrNone(q.max);
  const auto scale = VectorOrNone(q.scale);
  const auto zero_point = VectorOrNone(q.zero_point);
  const auto details_type = q.details ? q.details->type : schema::QuantizationDetails_NONE;
  const auto details = q.details ? q.details->Pack(fbb_) : Offset<void>();
  return schema::CreateQuantizationParameters(fbb_, min, max, scale, zero_point, details_type,
                                              details, q.axis);
}

Offset<schema::Tensor> Writer::WriteTensor(const Tensor& tensor) {
  const auto shape = SharedVector(tensor.shape);
  const auto signature = tensor.shape_signature.empty() ? Offset<flatbuffers::Vector<int32_t>>()
                                                        : SharedVector(tensor.shape_signature);
  const auto name = fbb_.CreateSharedString(tensor.name);
  const auto quant = WriteQuant(tensor.quant);
  const auto sparsity = tensor.sparsity
                            ? schema::CreateSparsityParameters(fbb_, tensor.sparsity.get())
                            : Offset<schema::SparsityParameters>();
  std::vector<Offset<schema::VariantSubType>> variants;
  for (const auto& v : tensor.variant_tensors) {
    variants.push_back(schema::CreateVariantSubType(fbb_, v.get()));
  }
  const auto variant_vector = VectorOrNone(variants);
  return schema::CreateTensor(fbb_, shape, tensor.type, buffers_.Find(tensor.data), name, quant,
                              tensor.is_variable, sparsity, signature, tensor.has_rank,
                              variant_vector, tensor.external_buffer);
}

Offset<schema::Operator> Writer::WriteNode(const Node& node) {
  const auto inputs = SharedVector(node.inputs);
  const auto outputs = SharedVector(node.outputs);
  const auto options = node.options.get() ? node.options.get()->Pack(fbb_) : Offset<void>();
  const auto options2 = node.options2 ? node.options2->Pack(fbb_) : Offset<void>();
  const auto options2_type = node.options2 ? node.options2->type : schema::BuiltinOptions2_NONE;
  const auto custom = VectorOrNone(node.custom_options);
  const auto mutating = node.mutating_variable_inputs.empty()
                            ? Offset<flatbuffers::Vector<uint8_t>>()
                            : fbb_.CreateVector(node.mutating_variable_inputs);
  const auto intermediates = VectorOrNone(node.intermediates);
  const uint64_t large = node.large_custom_options.empty() ? 0 : kPlaceholder;
  return schema::CreateOperator(fbb_, CodeIndex(node), inputs, outputs, node.options.type(),
                                options, custom, node.custom_options_format, mutating,
                                intermediates, large, large, options2_type, options2,
                                node.debug_metadata_index);
}

Offset<schema::SubGraph> Writer::WriteSubgraph(const Subgraph& subgraph) {
  std::vector<Offset<schema::Tensor>> tensors;
  for (const Tensor& tensor : subgraph.tensors) tensors.push_back(WriteTensor(tensor));
  std::vector<Offset<schema::Operator>> nodes;
  for (const Node& node : subgraph.nodes) nodes.push_back(WriteNode(node));
  const auto tensor_vector = fbb_.CreateVector(tensors);
  const auto inputs = SharedVector(subgraph.inputs);
  const auto outputs = SharedVector(subgraph.outputs);
  const auto node_vector = fbb_.CreateVector(nodes);
  const auto name = StringOrNone(subgraph.name);
  return schema::CreateSubGraph(fbb_, tensor_vector, inputs, outputs, node_vector, name,
                                subgraph.debug_metadata_index);
}

Offset<schema::SignatureDef> Writer::WriteSignature(const Signature& signature) {
  const auto write = [&](const std::vector<SignatureEntry>& entries) {
    std::vector<Offset<schema::TensorMap>> out;
    for (const SignatureEntry& entry : entries) {
      const auto name = fbb_.CreateSharedString(entry.name);
      out.push_back(schema::CreateTensorMap(fbb_, name, static_cast<uint32_t>(entry.tensor)));
    }
    return fbb_.CreateVector(out);
  };
  const auto inputs = write(signature.inputs);
  const auto outputs = write(signature.outputs);
  const auto key = fbb_.CreateSharedString(signature.key);
  const auto tag = StringOrNone(signature.deprecated_tag);
  return schema::CreateSignatureDef(fbb_, inputs, outputs, key, tag,
                                    static_cast<uint32_t>(signature.subgraph));
}

void Writer::WriteModel() {
  std::vector<Offset<schema::Buffer>> buffers;
  for (size_t i = 0; i < buffers_.contents().size(); ++i) buffers.push_back(WriteBuffer(i));
  std::vector<Offset<schema::SubGraph>> subgraphs;
  for (const Subgraph& subgraph : graph_.subgraphs) subgraphs.push_back(WriteSubgraph(subgraph));
  const auto codes = fbb_.CreateVector(WriteCodes());
  std::vector<Offset<schema::Metadata>> metadata;
  for (const Metadata& m : graph_.metadata) {
    const auto name = fbb_.CreateSharedString(m.name);
    metadata.push_back(schema::CreateMetadata(fbb_, name, buffers_.Find(m.data)));
  }
  std::vector<int32_t> legacy;
  for (const Blob& b : graph_.legacy_metadata)
    legacy.push_back(static_cast<int32_t>(buffers_.Find(b)));
  std::vector<Offset<schema::SignatureDef>> signatures;
  for (const Signature& s : graph_.signatures) signatures.push_back(WriteSignature(s));
  std::vector<Offset<schema::ExternalBufferGroup>> groups;
  for (const std::string& name : graph_.external_groups) {
    groups.push_back(schema::CreateExternalBufferGroup(fbb_, fbb_.CreateSharedString(name)));
  }
  std::vector<Offset<schema::ExternalBuffer>> external;
  for (const auto& b : graph_.external_buffers) {
    external.push_back(schema::CreateExternalBuffer(fbb_, b.get()));
  }
  const auto subgraph_vector = fbb_.CreateVector(subgraphs);
  const auto description = StringOrNone(graph_.description);
  const auto buffer_vector = fbb_.CreateVector(buffers);
  const auto legacy_vector = VectorOrNone(legacy);
  const auto metadata_vector = VectorOrNone(metadata);
  const auto signature_vector = VectorOrNone(signatures);
  const auto group_vector = VectorOrNone(groups);
  const auto external_vector = VectorOrNone(external);
  schema::FinishModelBuffer(
      fbb_, schema::CreateModel(fbb_, graph_.version, codes, subgraph_vector, description,
                                buffer_vector, legacy_vector, metadata_vector, signature_vector,
                                group_vector, external_vector));
}

// Adds the bytes behind what is there, at a multiple of 16.
void Writer::AppendOutside(std::span<const std::byte> bytes, TfliteFile* file, uint64_t* offset) {
  const auto padding = static_cast<size_t>((kAlignment - file->size % kAlignment) % kAlignment);
  if (padding > 0) file->parts.push_back(std::span(kZeros, padding));
  *offset = file->size + padding;
  file->parts.push_back(bytes);
  file->size = *offset + bytes.size();
}

// Replaces a placeholder in the finished flatbuffer.
void Patch(const void* table, flatbuffers::voffset_t field, uint64_t value) {
  const auto* t = static_cast<const flatbuffers::Table*>(table);
  const_cast<flatbuffers::Table*>(t)->SetField<uint64_t>(field, value, 0);
}

void Writer::PatchOffsets(TfliteFile* file) {
  const schema::Model* model = schema::GetModel(file->flatbuffer.data());
  uint64_t offset = 0;
  for (size_t i = 1; outside_ && i < buffers_.contents().size(); ++i) {
    const std::span<const std::byte> content = buffers_.contents()[i];
    if (content.empty()) continue;
    AppendOutside(content, file, &offset);
    const schema::Buffer* buffer = model->buffers()->Get(static_cast<uint32_t>(i));
    Patch(buffer, schema::Buffer::VT_OFFSET, offset);
    Patch(buffer, schema::Buffer::VT_SIZE, content.size());
  }
  for (size_t s = 0; s < graph_.subgraphs.size(); ++s) {
    const schema::SubGraph* subgraph = model->subgraphs()->Get(static_cast<uint32_t>(s));
    for (size_t n = 0; n < graph_.subgraphs[s].nodes.size(); ++n) {
      const Node& node = graph_.subgraphs[s].nodes[n];
      if (node.large_custom_options.empty()) continue;
      AppendOutside(node.large_custom_options, file, &offset);
      const schema::Operator* written = subgraph->operators()->Get(static_cast<uint32_t>(n));
      Patch(written, schema::Operator::VT_LARGE_CUSTOM_OPTIONS_OFFSET, offset);
      Patch(written, schema::Operator::VT_LARGE_CUSTOM_OPTIONS_SIZE,
            node.large_custom_options.size());
    }
  }
}

TfliteFile Writer::Write() {
  WriteModel();
  TfliteFile file;
  file.flatbuffer = fbb_.Release();
  file.size = file.flatbuffer.size();
  file.parts.push_back(std::as_bytes(std::span(file.flatbuffer.data(), file.flatbuffer.size())));
  PatchOffsets(&file);
  return file;
}

}  // namespace

absl::StatusOr<TfliteFile> LayOutTflite(const Graph& graph, uint64_t max_constants_inside) {
  if (absl::Status s = Verify(graph); !s.ok()) {
    return Internal("refusing to write a faulty model: {}", Message(s));
  }
  return Writer(graph, max_constants_inside).Write();
}

absl::StatusOr<std::vector<std::byte>> SerializeTflite(const Graph& graph) {
  LS_ASSIGN_OR_RETURN(const TfliteFile file, LayOutTflite(graph));
  std::vector<std::byte> out;
  out.reserve(static_cast<size_t>(file.size));
  for (const auto& part : file.parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

absl::Status WriteTflite(const std::string& path, const Graph& graph) {
  LS_ASSIGN_OR_RETURN_IN(const TfliteFile file, LayOutTflite(graph), path);
  return WriteFileAtomically(path, file.parts);
}

}  // namespace litesmith
