#ifndef LITESMITH_IR_GRAPH_H_
#define LITESMITH_IR_GRAPH_H_

// The one form of a network that all rooms share: TFLite's model, as values. A Graph is a plain value type:
// copying is cheap for constants (their bytes are shared and immutable) and options (copy on write).
// Not synchronised; a const Graph may be read from several threads.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "ir/schema.h"

namespace litesmith {

using Shape = std::vector<int32_t>;

// Number of elements; a scalar (empty shape) has one. REQUIRES: no negative dimension, product fits.
int64_t NumElements(const Shape& shape);

// Bytes of a dense tensor of this type and shape (4- and 2-bit types packed, rounded up); an error where the
// shape has a negative dimension or the product overflows. 0 for strings, resources and variants.
absl::StatusOr<size_t> TensorBytes(TensorType type, const Shape& shape);

// Immutable bytes and whoever keeps them alive (a mapped file, a vector). Empty: no constant. Kernels load
// elements straight from it, so bytes start at an address aligned to 16; Blob::Copy provides that.
struct Blob {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;

  bool empty() const { return bytes.empty(); }
  static Blob Copy(std::span<const std::byte> bytes);
  static Blob Own(std::vector<std::byte> bytes);
  // The elements of `values`, copied.
  template <typename T>
  static Blob Of(const std::vector<T>& values) {
    return Copy(std::as_bytes(std::span(values)));
  }
  template <typename T>
  std::span<const T> As() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

// real = scale * (q - zero_point). Per tensor: one scale; per channel: one per index of dimension `axis`.
struct QuantParams {
  std::vector<float> scale;
  std::vector<int64_t> zero_point;
  int32_t axis = 0;
  std::vector<float> min, max;  // calibration ranges some files carry; not used in computing
  // Anything but plain scale and zero point (custom, blockwise), kept as read.
  std::shared_ptr<const schema::QuantizationDetailsUnion> details;

  bool empty() const { return scale.empty(); }
  bool per_channel() const { return scale.size() > 1; }
  static QuantParams PerTensor(float scale, int64_t zero_point) { return {{scale}, {zero_point}, 0, {}, {}, {}}; }
};

struct Tensor {
  std::string name;
  TensorType type = schema::TensorType_FLOAT32;
  Shape shape;
  Shape shape_signature;  // with -1 for unknown dimensions; empty: the same as shape
  bool has_rank = true;   // as stored in the file
  Blob data;              // constant content, else empty
  QuantParams quant;
  bool is_variable = false;
  std::shared_ptr<const schema::SparsityParametersT> sparsity;
  std::vector<std::shared_ptr<const schema::VariantSubTypeT>> variant_tensors;
  uint32_t external_buffer = 0;  // id of an entry of Graph::external_buffers; 0: none
  std::string source;            // name in the source model, when it differs from `name`

  bool is_constant() const { return !data.empty(); }
  // The provenance name users know it by.
  const std::string& label() const { return source.empty() ? name : source; }
};

// An operator's option table; the type says which operator it belongs to.
class Options {
 public:
  Options() = default;
  // From a generated object, e.g. Options(schema::Conv2DOptionsT{...}).
  template <typename T>
    requires(schema::BuiltinOptionsUnionTraits<T>::enum_value != schema::BuiltinOptions_NONE)
  explicit Options(T table) {
    auto u = std::make_shared<schema::BuiltinOptionsUnion>();
    u->Set(std::move(table));
    union_ = std::move(u);
  }
  explicit Options(std::shared_ptr<const schema::BuiltinOptionsUnion> u) : union_(std::move(u)) {}

  schema::BuiltinOptions type() const { return union_ ? union_->type : schema::BuiltinOptions_NONE; }
  const schema::BuiltinOptionsUnion* get() const { return union_.get(); }

  // The table, or the table of defaults when the node has none or another type's (as TFLite reads it).
  template <typename T>
  const T& As() const {
    static const T defaults{};
    if (type() != schema::BuiltinOptionsUnionTraits<T>::enum_value) return defaults;
    return *static_cast<const T*>(union_->value);
  }

 private:
  std::shared_ptr<const schema::BuiltinOptionsUnion> union_;
};

struct Node {
  schema::BuiltinOperator op = schema::BuiltinOperator_ADD;
  std::string custom_code;  // when op is CUSTOM
  int32_t version = 1;
  std::vector<int32_t> inputs;  // tensor indices; -1: an optional input that is absent
  std::vector<int32_t> outputs;
  std::vector<int32_t> intermediates;
  Options options;
  std::shared_ptr<const schema::BuiltinOptions2Union> options2;
  std::vector<uint8_t> custom_options;
  schema::CustomOptionsFormat custom_options_format = schema::CustomOptionsFormat_FLEXBUFFERS;
  std::vector<bool> mutating_variable_inputs;
  std::vector<std::byte> large_custom_options;  // kept outside the table in files over 2 GB
  int32_t debug_metadata_index = -1;
  std::string name;  // the source layer; empty when not known

  // Input i, or -1 where it is absent.
  int32_t input(size_t i) const { return i < inputs.size() ? inputs[i] : -1; }
  int32_t output(size_t i) const { return i < outputs.size() ? outputs[i] : -1; }
  template <typename T>
  const T& GetOptions() const {
    return options.As<T>();
  }
};

struct Subgraph {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<Node> nodes;  // in an order in which they can run
  int32_t debug_metadata_index = -1;

  // Appends and returns the new tensor's index.
  int32_t AddTensor(Tensor tensor);
};

struct SignatureEntry {
  std::string name;  // the name users of the signature know
  int32_t tensor = 0;
};

struct Signature {
  std::string key;  // "serving_default"
  std::vector<SignatureEntry> inputs, outputs;
  int32_t subgraph = 0;
  std::string deprecated_tag;  // kept as read
};

struct Metadata {
  std::string name;
  Blob data;
};

struct Graph {
  uint32_t version = 3;
  std::string description;
  std::vector<Subgraph> subgraphs;  // the first is the main one
  std::vector<Signature> signatures;
  std::vector<Metadata> metadata;
  std::vector<Blob> legacy_metadata;  // the buffers of the old `metadata_buffer` list, kept as read
  // Constants in other files: kept as read, their bytes are not loaded.
  std::vector<std::string> external_groups;
  std::vector<std::shared_ptr<const schema::ExternalBufferT>> external_buffers;

  Subgraph& main() { return subgraphs.front(); }
  const Subgraph& main() const { return subgraphs.front(); }

  const Metadata* FindMetadata(std::string_view name) const;
  void SetMetadata(std::string_view name, std::string_view content);
  void SetMetadata(std::string_view name, Blob content);
};

// The name users give input (or output) `position` of the main subgraph: the signature's, else the tensor's.
std::string InputName(const Graph& graph, size_t position);
std::string OutputName(const Graph& graph, size_t position);

// "CONV_2D", or the custom code.
std::string OperatorName(const Node& node);

// "CONV_2D 'conv1' (node 3)": how messages name a node.
std::string NodeLabel(const Subgraph& subgraph, size_t index);

// The subgraphs that a node runs (IF, WHILE, CALL_ONCE, composites …), as its options name them, unchecked.
std::vector<int32_t> CalledSubgraphs(const Node& node);

// Which node of the subgraph makes each tensor (-1: none), and which nodes read it (in order, once each).
struct Uses {
  std::vector<int32_t> producer;
  std::vector<std::vector<int32_t>> consumers;
};
Uses FindUses(const Subgraph& subgraph);

}  // namespace litesmith

#endif  // LITESMITH_IR_GRAPH_H_
