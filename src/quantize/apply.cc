// The plan carried out: every tensor exists in the versions that its readers need, QUANTIZE and
// DEQUANTIZE in between.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "ops/op.h"
#include "passes/passes.h"
#include "quantize/forms.h"
#include "quantize/lowering.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

// Sets what the recipe wants in a node's options, in whichever option table has the field.
template <typename T>
void SetOptionFields(RecipeKind kind, NodeMode mode, bool asymmetric, Node* node) {
  if (node->options.type() != schema::BuiltinOptionsUnionTraits<T>::enum_value) return;
  T table = node->GetOptions<T>();
  if constexpr (requires { table.quantized_bias_type; }) {
    if (kind == RecipeKind::kInt16x8 && mode == NodeMode::kInteger)
      table.quantized_bias_type = schema::TensorType_INT64;
  }
  if constexpr (requires { table.pot_scale_int16; }) {
    if (kind == RecipeKind::kInt16x8 && mode == NodeMode::kInteger) table.pot_scale_int16 = false;
  }
  if constexpr (requires { table.asymmetric_quantize_inputs; }) {
    if (mode == NodeMode::kDynamic) table.asymmetric_quantize_inputs = asymmetric;
  }
  node->options = Options(std::move(table));
}

// `asymmetric`: how a dynamic node quantizes its inputs, where it has the choice.
void SetOptions(RecipeKind kind, NodeMode mode, bool asymmetric, Node* node) {
  if (mode != NodeMode::kInteger && mode != NodeMode::kDynamic) return;
  if (node->options.type() == schema::BuiltinOptions_NONE) {
    // A node may lack its table where all is default; the fields need one.
    if (node->op == schema::BuiltinOperator_ADD) node->options = Options(schema::AddOptionsT{});
    if (node->op == schema::BuiltinOperator_SUB) node->options = Options(schema::SubOptionsT{});
    if (node->op == schema::BuiltinOperator_FULLY_CONNECTED) {
      node->options = Options(schema::FullyConnectedOptionsT{});
    }
  }
  SetOptionFields<schema::Conv2DOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::FullyConnectedOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::TransposeConvOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::AddOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::SubOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::BatchMatMulOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::UnidirectionalSequenceLSTMOptionsT>(kind, mode, asymmetric, node);
  SetOptionFields<schema::BidirectionalSequenceLSTMOptionsT>(kind, mode, asymmetric, node);
}

class Applier {
 public:
  Applier(const Graph& graph, const Plan& plan)
      : original_(graph.main()),
        plan_(plan),
        kind_(plan.recipe.kind),
        out_(graph),
        subgraph_(out_.main()),
        versions_(original_.tensors.size()) {}

  absl::StatusOr<AppliedPlan> Run() {
    subgraph_.nodes.clear();
    SetInputs();
    for (size_t n = 0; n < original_.nodes.size(); ++n) LS_RETURN_IF_ERROR(EmitNode(n));
    LS_RETURN_IF_ERROR(SetOutputs());
    // Node numbers have changed; what counted them is void.
    std::erase_if(out_.metadata, [](const Metadata& m) {
      return m.name == "model_control_dependencies" || m.name == "reduced_precision_support";
    });
    if (kind_ == RecipeKind::kFloat16) out_.SetMetadata("reduced_precision_support", "fp16accfp32");
    return AppliedPlan{std::move(out_), std::move(versions_)};
  }

 private:
  const Tensor& original(int32_t t) const { return original_.tensors[static_cast<size_t>(t)]; }
  const TensorPlan& planned(int32_t t) const { return plan_.tensors[static_cast<size_t>(t)]; }
  std::vector<TensorVersion>& versions(int32_t t) { return versions_[static_cast<size_t>(t)]; }
  Form PlannedForm(int32_t t) const { return {planned(t).type, planned(t).quant}; }

  // The integer form that nodes read of a tensor, whatever its producer makes.
  Form IntegerForm(int32_t t) const {
    // In a 16x8 model, what a dynamic node makes may be int8.
    const bool narrow = planned(t).type == schema::TensorType_INT8;
    return {narrow ? schema::TensorType_INT8 : ActivationType(kind_), planned(t).quant};
  }

  // The form of a graph input or output that is to have this type.
  Form BorderForm(int32_t t, ElementType type) const {
    if (!IsActivation(original_, t) || type == ElementType::kFloat32 || planned(t).quant.empty())
      return {};
    Form form{ToTensorType(type), planned(t).quant};
    if (type == ElementType::kUint8) form.quant.zero_point[0] += 128;
    return form;
  }

  // Makes the tensor itself have this form.
  void SetBase(int32_t t, const Form& form) {
    Tensor& tensor = subgraph_.tensors[static_cast<size_t>(t)];
    tensor.type = form.type;
    tensor.quant = form.quant;
    versions(t) = {{form, t}};
  }

  void SetInputs() {
    for (int32_t t : original_.inputs) {
      if (IsActivation(original_, t)) SetBase(t, BorderForm(t, plan_.input_type));
    }
  }

  static const char* Suffix(TensorType type) {
    switch (type) {
      case schema::TensorType_INT8:
        return "_int8";
      case schema::TensorType_UINT8:
        return "_uint8";
      case schema::TensorType_INT16:
        return "_int16";
      case schema::TensorType_INT32:
        return "_int32";
      default:
        return "_float";
    }
  }

  int32_t AddVersion(int32_t t, const Form& form, std::string name) {
    Tensor tensor;
    tensor.name = std::move(name);
    tensor.source = original(t).label() == tensor.name ? "" : original(t).label();
    tensor.type = form.type;
    if (!form.is_float()) tensor.quant = form.quant;
    tensor.shape = original(t).shape;
    tensor.shape_signature = original(t).shape_signature;
    tensor.has_rank = original(t).has_rank;
    const int32_t index = subgraph_.AddTensor(std::move(tensor));
    versions(t).push_back({form, index});
    return index;
  }

  // A node of tensor t's own, before or after the one that it belongs to.
  void Emit(int32_t t, schema::BuiltinOperator op, std::vector<int32_t> inputs, int32_t to,
            Options options = {}) {
    Node node;
    node.op = op;
    node.options = std::move(options);
    node.inputs = std::move(inputs);
    node.outputs = {to};
    node.name = original(t).label();
    subgraph_.nodes.push_back(std::move(node));
  }

  void EmitConversion(int32_t t, const TensorVersion& from, const Form& form, int32_t to) {
    if (form.is_float()) {
      Emit(t, schema::BuiltinOperator_DEQUANTIZE, {from.index}, to,
           Options(schema::DequantizeOptionsT{}));
    } else if (form.type == schema::TensorType_INT32 && from.form.quant.scale == form.quant.scale) {
      EmitCast(t, from.index, to);
    } else {
      Emit(t, schema::BuiltinOperator_QUANTIZE, {from.index}, to,
           Options(schema::QuantizeOptionsT{}));
    }
  }

  // The integers as they are, in the type of tensor `to`.
  void EmitCast(int32_t t, int32_t from, int32_t to) {
    schema::CastOptionsT options;
    options.in_data_type = subgraph_.tensors[static_cast<size_t>(from)].type;
    options.out_data_type = subgraph_.tensors[static_cast<size_t>(to)].type;
    Emit(t, schema::BuiltinOperator_CAST, {from}, to, Options(std::move(options)));
  }

  // Which of a tensor's forms another is made from. LiteRT's QUANTIZE and DEQUANTIZE have not all
  // pairs of types: int32 takes and gives int16 (and gives int8).
  TensorVersion Source(int32_t t, const Form& form) {
    const TensorVersion base = versions(t).front();
    const bool direct = base.form.type != schema::TensorType_INT32 || form == IntegerForm(t);
    if (form.type != schema::TensorType_INT32) {
      return direct ? base : TensorVersion{IntegerForm(t), Get(t, IntegerForm(t))};
    }
    Form half = IntegerForm(t);
    if (half.type == schema::TensorType_INT8) {
      half = {schema::TensorType_INT16, QuantParams::PerTensor(half.quant.scale[0], 0)};
    }
    return {half, Get(t, half)};
  }

  // The index of tensor t in this form, which is made when it is not there.
  int32_t Get(int32_t t, const Form& form) {
    for (const TensorVersion& version : versions(t)) {
      if (version.form == form) return version.index;
    }
    if (original(t).is_constant()) return GetConstant(t, form);
    if (versions(t).empty()) versions(t).push_back({Form{}, t});
    const TensorVersion source = Source(t, form);
    const int32_t index = AddVersion(t, form, original(t).name + Suffix(form.type));
    EmitConversion(t, source, form, index);
    return index;
  }

  int32_t AddDequantized(int32_t t, const TensorVersion& from) {
    const int32_t index =
        AddVersion(t, Form{}, original(t).name + Suffix(schema::TensorType_FLOAT32));
    EmitConversion(t, from, Form{}, index);
    return index;
  }

  // The weights t as float, but stored as planned.
  int32_t GetDequantized(int32_t t) {
    for (const TensorVersion& version : versions(t)) {
      if (version.form.is_float()) return version.index;
    }
    const Form stored = PlannedForm(t);
    return AddDequantized(t, {stored, Get(t, stored)});
  }

  int32_t GetConstant(int32_t t, const Form& form) {
    const auto values = original(t).data.As<float>();
    if (form.is_float()) {
      if (planned(t).type != schema::TensorType_FLOAT16) {
        versions(t).push_back({form, t});
        return t;
      }
      const Form half{schema::TensorType_FLOAT16, {}};
      const int32_t from = AddVersion(t, half, original(t).name);
      subgraph_.tensors[static_cast<size_t>(from)].data = ToFloat16(values);
      return AddDequantized(t, {half, from});
    }
    const bool main = form == PlannedForm(t);
    const int32_t index =
        AddVersion(t, form, main ? original(t).name : original(t).name + Suffix(form.type));
    Tensor& tensor = subgraph_.tensors[static_cast<size_t>(index)];
    if (form.type == schema::TensorType_INT32 || form.type == schema::TensorType_INT64) {
      tensor.data = QuantizeBias(values, form.type, form.quant);
    } else if (is_weight_[static_cast<size_t>(t)] &&
               (form.type == schema::TensorType_INT8 || form.type == schema::TensorType_INT4)) {
      tensor.data = QuantizeWeights(kind_, values, original(t).shape, form.quant, form.type);
    } else {
      tensor.data = QuantizeActivation(values, form.type, form.quant);
    }
    return index;
  }

  // What node n reads as operand i.
  int32_t Operand(size_t n, size_t i) {
    const int32_t t = original_.nodes[n].inputs[i];
    const std::optional<OperandForm> wanted = WantedOperand(original_, plan_, n, i);
    if (!wanted.has_value()) return t;
    if (wanted->is_weight) is_weight_[static_cast<size_t>(t)] = true;
    if (wanted->is_weight && wanted->form.is_float()) return GetDequantized(t);
    return Get(t, wanted->form);
  }

  absl::Status EmitNode(size_t n) {
    if (plan_.nodes[n].lowering == Lowering::kInt32) return EmitOnInt32(n);
    if (plan_.nodes[n].lowering == Lowering::kTable) return EmitTable(n);
    Node node = original_.nodes[n];
    const NodeMode mode = plan_.nodes[n].mode;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] >= 0) node.inputs[i] = Operand(n, i);
    }
    for (int32_t t : node.outputs) {
      if (!IsActivation(original_, t) || original(t).is_variable) continue;
      const Form form = ResultForm(original_, plan_, n, t);
      if (!form.is_float() && form.quant.empty()) {
        return Internal("the plan has no scale for '{}'", Printable(original(t).label()));
      }
      SetBase(t, form);
    }
    if (mode == NodeMode::kInteger) SetStates(node);
    // The converter's files have asymmetric inputs, the LiteRT quantizer's, whose int4 is,
    // symmetric ones.
    const bool int4 = std::any_of(node.inputs.begin(), node.inputs.end(), [&](int32_t t) {
      return t >= 0 && subgraph_.tensors[static_cast<size_t>(t)].type == schema::TensorType_INT4;
    });
    SetOptions(kind_, mode, !int4, &node);
    subgraph_.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  Form Int32Form(float scale) const {
    return {schema::TensorType_INT32, QuantParams::PerTensor(scale, 0)};
  }

  int32_t AddInt(const std::string& name, int32_t value) {
    Tensor tensor;
    tensor.name = name;
    tensor.type = schema::TensorType_INT32;
    tensor.data = Blob::Of(std::vector<int32_t>{value});
    return subgraph_.AddTensor(std::move(tensor));
  }

  // ARG_MAX, ARG_MIN, CUMSUM, ONE_HOT, REVERSE_SEQUENCE and SCATTER_ND on the integers, comparisons
  // and divisions on a finer common scale, CAST by way of int32.
  absl::Status EmitOnInt32(size_t n) {
    Node node = original_.nodes[n];
    if (node.op == schema::BuiltinOperator_CAST) {
      return IsFloat(original_, node.inputs[0]) ? EmitToInteger(node) : EmitFromInteger(node);
    }
    // 12 bits below the coarser operand's; the integers stay below 2^27.
    constexpr float kFiner = 4096.0f;
    float scale = 0.0f;
    size_t operands = 0;
    for (int32_t t : node.inputs) {
      if (!IsFloat(original_, t)) continue;
      scale = std::max(scale, planned(t).quant.scale[0]);
      ++operands;
    }
    if (operands > 1) scale /= kFiner;
    for (int32_t& t : node.inputs) {
      if (IsFloat(original_, t)) t = Get(t, Int32Form(scale));
    }
    if (node.op == schema::BuiltinOperator_FLOOR_DIV ||
        node.op == schema::BuiltinOperator_FLOOR_MOD) {
      LS_RETURN_IF_ERROR(CheckDivisor(node.inputs[1]));
    }
    // A quotient of integers in one unit is a real number of scale 1.
    if (node.op == schema::BuiltinOperator_FLOOR_DIV) scale = 1.0f;
    for (int32_t t : node.outputs) {
      if (IsActivation(original_, t)) SetBase(t, Int32Form(scale));
    }
    subgraph_.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status CheckDivisor(int32_t t) const {
    const Tensor& divisor = subgraph_.tensors[static_cast<size_t>(t)];
    for (int32_t v : divisor.data.As<int32_t>()) {
      if (v != 0) continue;
      return Unsupported(
          "the divisor '{}' is too small beside what it divides to be quantized; keep "
          "the layer in float with --keep-float",
          Printable(divisor.label()));
    }
    return absl::OkStatus();
  }

  // Real to integer, towards zero. In units of a power of two not below the tensor's own, so that
  // a value that was an integer before it was quantized is one again.
  absl::Status EmitToInteger(const Node& node) {
    const int32_t x = node.inputs[0], y = node.outputs[0];
    const int exponent =
        std::max(-30, static_cast<int>(std::ceil(std::log2(planned(x).quant.scale[0]))));
    if (exponent > 15) {
      return Unsupported("'{}' has a range that no int32 holds", Printable(original(x).label()));
    }
    const float unit = std::ldexp(1.0f, exponent);
    const int32_t from =
        GetFrom(x, {schema::TensorType_INT16, QuantParams::PerTensor(unit, 0)}, Int32Form(unit));
    const std::string name = original(y).name;
    const int32_t factor = AddInt(name + "/unit", 1 << std::abs(exponent));
    int32_t to = y;
    if (original(y).type == schema::TensorType_INT64) {
      Tensor tensor = original(y);
      tensor.name += "_int32";
      tensor.type = schema::TensorType_INT32;
      to = subgraph_.AddTensor(std::move(tensor));
    }
    if (exponent <= 0) {
      Emit(y, schema::BuiltinOperator_DIV, {from, factor}, to, Options(schema::DivOptionsT{}));
    } else {
      Emit(y, schema::BuiltinOperator_MUL, {from, factor}, to, Options(schema::MulOptionsT{}));
    }
    if (to != y) EmitCast(y, to, y);
    return absl::OkStatus();
  }

  // Form `to` of tensor t made from its form `from`.
  int32_t GetFrom(int32_t t, const Form& from, const Form& to) {
    for (const TensorVersion& version : versions(t)) {
      if (version.form == to) return version.index;
    }
    const TensorVersion source{from, Get(t, from)};
    const int32_t index = AddVersion(t, to, original(t).name + Suffix(to.type));
    EmitConversion(t, source, to, index);
    return index;
  }

  // Integers and booleans are real numbers of scale 1.
  absl::Status EmitFromInteger(const Node& node) {
    const int32_t x = node.inputs[0], y = node.outputs[0];
    int32_t integers = x;
    if (original(x).type != schema::TensorType_INT32 || original(x).is_constant()) {
      Tensor tensor = original(x);
      tensor.name += "_int32";
      tensor.type = schema::TensorType_INT32;
      tensor.data = {};
      integers = subgraph_.AddTensor(std::move(tensor));
      EmitCast(y, x, integers);
    }
    subgraph_.tensors[static_cast<size_t>(integers)].quant = QuantParams::PerTensor(1.0f, 0);
    versions(y) = {{Int32Form(1.0f), integers}};
    return absl::OkStatus();
  }

  // y = table[x - least x].
  absl::Status EmitTable(size_t n) {
    const Node& node = original_.nodes[n];
    const int32_t x = node.inputs[0], y = node.outputs[0];
    const Form in = IntegerForm(x), out = IntegerForm(y);
    LS_ASSIGN_OR_RETURN(Blob values,
                        FunctionTable(original_, node, in.type, in.quant, out.type, out.quant));
    const std::string name = original(y).name;
    Tensor table;
    table.name = name + "/table";
    table.source = original(y).label();
    table.type = out.type;
    table.quant = out.quant;
    const int32_t least = in.type == schema::TensorType_INT16 ? -32768 : -128;
    table.shape = {-2 * least};
    table.data = std::move(values);
    const int32_t table_index = subgraph_.AddTensor(std::move(table));
    int32_t steps[2];
    for (int32_t& step : steps) {
      Tensor tensor = original(x);
      tensor.name = name + (&step == steps ? "/integers" : "/index");
      tensor.source = original(y).label();
      tensor.type = schema::TensorType_INT32;
      step = subgraph_.AddTensor(std::move(tensor));
    }
    EmitCast(y, Get(x, in), steps[0]);
    Emit(y, schema::BuiltinOperator_ADD, {steps[0], AddInt(name + "/least", -least)}, steps[1],
         Options(schema::AddOptionsT{}));
    SetBase(y, out);
    Emit(y, schema::BuiltinOperator_GATHER, {table_index, steps[1]}, y,
         Options(schema::GatherOptionsT{}));
    return absl::OkStatus();
  }

  // Variables and intermediate tensors that an integer node keeps as integers.
  void SetStates(const Node& node) {
    const auto set = [this](int32_t t) {
      if (t < 0 || planned(t).quant.empty() || planned(t).type == schema::TensorType_FLOAT32)
        return;
      Tensor& tensor = subgraph_.tensors[static_cast<size_t>(t)];
      tensor.type = planned(t).type;
      tensor.quant = planned(t).quant;
    };
    for (int32_t t : node.intermediates) set(t);
    for (int32_t t : node.inputs) {
      if (t >= 0 && subgraph_.tensors[static_cast<size_t>(t)].is_variable) set(t);
    }
  }

  absl::Status SetOutputs() {
    std::vector<int32_t> renamed(original_.tensors.size(), -1);
    for (int32_t& t : subgraph_.outputs) {
      if (!IsActivation(original_, t)) continue;
      const int32_t from = t;
      int32_t& to = renamed[static_cast<size_t>(from)];
      if (to < 0) {
        to = Get(from, BorderForm(from, plan_.output_type));
        if (to != from) SwapNames(from, to);
      }
      t = to;
    }
    for (Signature& signature : out_.signatures) {
      if (signature.subgraph != 0) continue;
      for (SignatureEntry& entry : signature.outputs) {
        const int32_t to = entry.tensor >= 0 ? renamed[static_cast<size_t>(entry.tensor)] : -1;
        if (to >= 0) entry.tensor = to;
      }
    }
    return absl::OkStatus();
  }

  // The output has the name that users know; an input keeps its own.
  void SwapNames(int32_t from, int32_t to) {
    const auto& inputs = original_.inputs;
    if (std::find(inputs.begin(), inputs.end(), from) != inputs.end()) return;
    Tensor& a = subgraph_.tensors[static_cast<size_t>(from)];
    Tensor& b = subgraph_.tensors[static_cast<size_t>(to)];
    b.name = a.name;
    b.source = a.source;
    a.name += Suffix(a.type);
    if (a.source.empty()) a.source = b.name;
  }

  const Subgraph& original_;
  const Plan& plan_;
  RecipeKind kind_;
  Graph out_;
  Subgraph& subgraph_;
  std::vector<std::vector<TensorVersion>>
      versions_;  // per original tensor; the first is what its producer makes
  std::vector<bool> is_weight_ = std::vector<bool>(original_.tensors.size(), false);
};

}  // namespace

absl::StatusOr<AppliedPlan> ApplyPlanTraced(const Graph& graph, const Plan& plan) {
  if (plan.tensors.size() != graph.main().tensors.size() ||
      plan.nodes.size() != graph.main().nodes.size()) {
    return Invalid("the plan was made for another graph");
  }
  return Applier(graph, plan).Run();
}

absl::StatusOr<Graph> ApplyPlan(const Graph& graph, const Plan& plan) {
  LS_ASSIGN_OR_RETURN(AppliedPlan applied, ApplyPlanTraced(graph, plan));
  LS_RETURN_IF_ERROR(RemoveDeadCode(&applied.graph).status());
  return std::move(applied.graph);
}

}  // namespace litesmith
