#ifndef LITESMITH_OPS_OP_H_
#define LITESMITH_OPS_OP_H_

// The record of an operator: everything the project knows about it, in one place. Each file of this folder
// defines the records of one operator or one family; ops.def lists them. A missing part is legal (null or
// empty) and shows in the support matrix.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/threads.h"
#include "ir/graph.h"
#include "litesmith/kernels.h"

namespace litesmith {

// ---- What an operator sees of its tensors ------------------------------------------------------------

// A tensor as shape inference and kernel preparation see it. `data` is non-null exactly when the value is
// known then (a constant, or folded). Points into the graph or the executor; valid during the call, and
// constants' `data` and `quant` as long as the executor.
struct TensorView {
  TensorType type = schema::TensorType_FLOAT32;
  Shape shape;
  const QuantParams* quant = nullptr;  // never null in a call
  const void* data = nullptr;
  std::string_view name;
  bool present = false;  // false: an optional input that the node leaves out
  bool is_variable = false;
  bool stored_sparse = false;  // in the file; `data` is dense all the same

  template <typename T>
  const T* As() const {
    return static_cast<const T*>(data);
  }
  int rank() const { return static_cast<int>(shape.size()); }
  int64_t elements() const { return NumElements(shape); }
  // Per-tensor parameters; 1 and 0 where the tensor has none.
  float scale() const { return quant->scale.empty() ? 1.0f : quant->scale[0]; }
  int32_t zero_point() const {
    return quant->zero_point.empty() ? 0 : static_cast<int32_t>(quant->zero_point[0]);
  }
};

// ---- Shape inference ---------------------------------------------------------------------------------

struct ShapeArgs {
  const Node& node;
  std::span<const TensorView> inputs;   // as many as the node has; absent ones have present == false
  std::span<const TensorView> outputs;  // types and names; their shapes are what the file says

  const TensorView& in(size_t i) const { return inputs[i]; }
  bool has(size_t i) const { return i < inputs.size() && inputs[i].present; }
};

// Writes one shape per output, or fails: UNAVAILABLE through NeedsValue() when the shape depends on a value
// that is not known yet (the executor then asks again at run time), INVALID_ARGUMENT for a model that is wrong.
// Must check all it reads: arity, ranks, option values. Types are checked in prepare.
using InferShapes = absl::Status (*)(const ShapeArgs& args, std::vector<Shape>* outputs);

absl::Status NeedsValue(size_t input);
bool IsNeedsValue(const absl::Status& status);

// ---- Kernels -----------------------------------------------------------------------------------------

struct PrepareArgs {
  const Node& node;
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;  // with the inferred shapes
  KernelMode mode = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;
  int num_threads = 1;  // so that a kernel can size per-thread scratch
  std::span<const TensorView> intermediates = {};  // types and quantization only

  const TensorView& in(size_t i) const { return inputs[i]; }
  const TensorView& out(size_t i) const { return outputs[i]; }
  bool has(size_t i) const { return i < inputs.size() && inputs[i].present; }
};

struct RunArgs {
  std::span<const void* const> inputs;  // null where absent; a variable's memory may be written
  std::span<void* const> outputs;
  std::byte* scratch = nullptr;  // Kernel::scratch_bytes, aligned to 64
  ThreadPool* threads = nullptr;

  template <typename T>
  const T* in(size_t i) const {
    return i < inputs.size() ? static_cast<const T*>(inputs[i]) : nullptr;
  }
  template <typename T>
  T* out(size_t i) const {
    return static_cast<T*>(outputs[i]);
  }
};

// One node, made ready for its shapes: everything that does not depend on the values (multipliers, tables,
// packed weights) is done. `run` keeps no state of its own and allocates nothing: clones of an executor call the same
// kernel from several threads, each with its own memory. It fails only where values can be wrong (an index beyond
// the table).
struct Kernel {
  std::function<absl::Status(const RunArgs&)> run;
  size_t scratch_bytes = 0;
  // "<input>-<output>-<weights>-<op>", e.g. "qs8-qs8-qc8w-conv_2d"; in reports and profiles.
  std::string name;
  // Output 0 may share memory with this input (same byte size); -1: no.
  int in_place_input = -1;
};

// Fails with UNIMPLEMENTED for a combination of types without a kernel, INVALID_ARGUMENT for a model that
// is wrong. Messages need not name the node: the caller does.
using Prepare = absl::StatusOr<Kernel> (*)(const PrepareArgs& args);

// ---- Quantization rule ---------------------------------------------------------------------------------

enum class Role : uint8_t {
  kActivation,  // quantized per tensor with a calibrated range
  kWeight,      // constant: int8 symmetric, per channel along `axis` (-1: per tensor)
  kBias,        // int32 (int8 recipe) or int64 (16x8), scale = input 0's scale * weight's scale
  kIndex,       // shapes, axes, indices: never quantized
};

struct InputRule {
  Role role = Role::kActivation;
  int axis = -1;
};

enum class OutputRule : uint8_t {
  kRange,        // its own calibrated range
  kSameAsInput,  // scale and zero point of input `same_as` (data movement, pooling, max)
  kFixed,        // int8_fixed / int16_fixed
  kIndex,        // integers or booleans that are no quantized values
};

struct FixedQuant {
  float scale = 0.0f;
  int32_t zero_point = 0;
};

// What each recipe does to the operator, as data. Read by the quantizer, QAT, the verifier and the
// documentation.
struct QuantRule {
  bool int8 = false;      // a static int8 kernel exists in TFLite
  bool int16x8 = false;   // a 16x8 kernel exists in TFLite
  bool dynamic = false;   // hybrid: float activations, int8 weights
  std::vector<InputRule> inputs;  // the last one repeats; empty: all activations
  OutputRule output = OutputRule::kRange;
  int same_as = 0;
  // The inputs must share the output's scale (CONCATENATION, MAXIMUM …): the range is the union.
  bool inputs_like_output = false;
  FixedQuant int8_fixed, int16_fixed;

  InputRule input(size_t i) const {
    if (inputs.empty()) return {};
    return inputs[i < inputs.size() ? i : inputs.size() - 1];
  }
  bool exists() const { return int8 || int16x8 || dynamic; }
};

// ---- Version -----------------------------------------------------------------------------------------------

// The types that a version rule looks at.
struct VersionArgs {
  const Node& node;
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;

  TensorType in(size_t i) const {
    return i < inputs.size() && inputs[i].present ? inputs[i].type : schema::TensorType_FLOAT32;
  }
  TensorType out(size_t i) const { return i < outputs.size() ? outputs[i].type : schema::TensorType_FLOAT32; }
};

// The operator version to write, as TFLite's converter chooses it (never below what the types need).
using VersionRule = int (*)(const VersionArgs& args);

// ---- Gradient ------------------------------------------------------------------------------------------------

// Float32 throughout. in_grads[i] is null where no gradient is wanted (constants, integers). A gradient
// function writes (first[i] true) or adds to (false) in_grads[i]; where a node reads one tensor twice, both
// entries are that tensor's, and neither is `first`.
struct GradArgs {
  const Node& node;
  std::span<const TensorView> inputs;   // `data` set for all
  std::span<const TensorView> outputs;  // `data` set: the forward results
  std::span<const float* const> out_grads;
  std::span<float* const> in_grads;
  std::span<const bool> first;
  std::vector<std::byte>* scratch = nullptr;  // kept from call to call for this node; grow as needed
  ThreadPool* threads = nullptr;
};
using Gradient = absl::Status (*)(const GradArgs& args);

// ---- The record ----------------------------------------------------------------------------------------------

struct ForeignNames {
  const char* keras = "";  // layer or activation
  const char* tf = "";     // TensorFlow op
  const char* onnx = "";
};

struct OpRecord {
  schema::BuiltinOperator op = schema::BuiltinOperator_CUSTOM;
  const char* custom_code = "";  // when op is CUSTOM
  ForeignNames names;
  InferShapes infer_shapes = nullptr;
  Prepare prepare = nullptr;
  VersionRule version = nullptr;
  QuantRule quant;
  Gradient gradient = nullptr;
  // The result depends on more than the inputs (variables, random numbers): never folded or dropped.
  bool stateful = false;
  // The result depends on the inputs' shapes alone (SHAPE, RANK): known as soon as they are.
  bool shape_only = false;
  // Control flow and resources: the executor runs it itself (runtime/control_flow.h); it has no infer_shapes and no
  // prepare.
  bool run_by_executor = false;
};

// The record of a node's operator, null when litesmith knows none.
const OpRecord* FindOp(const Node& node);
const OpRecord* FindOp(schema::BuiltinOperator op);

// All records, in the order of ops.def.
std::span<const OpRecord* const> AllOps();

}  // namespace litesmith

#endif  // LITESMITH_OPS_OP_H_
