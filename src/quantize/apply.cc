// The plan carried out: every tensor exists in the versions that its readers need, QUANTIZE and
// DEQUANTIZE in between.

#include <algorithm>
#include <utility>

#include "ops/op.h"
#include "passes/passes.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

// In which form a tensor is wanted: float, or integers with these parameters.
struct Form {
  TensorType type = schema::TensorType_FLOAT32;
  QuantParams quant;

  bool is_float() const { return type == schema::TensorType_FLOAT32; }
  bool operator==(const Form& other) const {
    return type == other.type && (is_float() || (quant.scale == other.quant.scale &&
                                                 quant.zero_point == other.quant.zero_point));
  }
};

// Sets what the recipe wants in a node's options, in whichever option table has the field.
template <typename T>
void SetOptionFields(RecipeKind kind, NodeMode mode, Node* node) {
  if (node->options.type() != schema::BuiltinOptionsUnionTraits<T>::enum_value) return;
  T table = node->GetOptions<T>();
  if constexpr (requires { table.quantized_bias_type; }) {
    if (kind == RecipeKind::kInt16x8) table.quantized_bias_type = schema::TensorType_INT64;
  }
  if constexpr (requires { table.pot_scale_int16; }) {
    if (kind == RecipeKind::kInt16x8) table.pot_scale_int16 = false;
  }
  if constexpr (requires { table.asymmetric_quantize_inputs; }) {
    if (mode == NodeMode::kDynamic) table.asymmetric_quantize_inputs = true;
  }
  node->options = Options(std::move(table));
}

void SetOptions(RecipeKind kind, NodeMode mode, Node* node) {
  if (mode != NodeMode::kInteger && mode != NodeMode::kDynamic) return;
  if (node->options.type() == schema::BuiltinOptions_NONE) {
    // A node may lack its table where all is default; the fields need one.
    if (node->op == schema::BuiltinOperator_ADD) node->options = Options(schema::AddOptionsT{});
    if (node->op == schema::BuiltinOperator_SUB) node->options = Options(schema::SubOptionsT{});
    if (node->op == schema::BuiltinOperator_FULLY_CONNECTED) {
      node->options = Options(schema::FullyConnectedOptionsT{});
    }
  }
  SetOptionFields<schema::Conv2DOptionsT>(kind, mode, node);
  SetOptionFields<schema::FullyConnectedOptionsT>(kind, mode, node);
  SetOptionFields<schema::TransposeConvOptionsT>(kind, mode, node);
  SetOptionFields<schema::AddOptionsT>(kind, mode, node);
  SetOptionFields<schema::SubOptionsT>(kind, mode, node);
  SetOptionFields<schema::BatchMatMulOptionsT>(kind, mode, node);
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

  absl::StatusOr<Graph> Run() {
    subgraph_.nodes.clear();
    SetInputs();
    for (size_t n = 0; n < original_.nodes.size(); ++n) LS_RETURN_IF_ERROR(EmitNode(n));
    LS_RETURN_IF_ERROR(SetOutputs());
    // Node numbers have changed; what counted them is void.
    std::erase_if(out_.metadata, [](const Metadata& m) {
      return m.name == "model_control_dependencies" || m.name == "reduced_precision_support";
    });
    if (kind_ == RecipeKind::kFloat16) out_.SetMetadata("reduced_precision_support", "fp16accfp32");
    LS_RETURN_IF_ERROR(RemoveDeadCode(&out_).status());
    return std::move(out_);
  }

 private:
  // A form in which tensor t exists.
  struct Version {
    Form form;
    int32_t index = -1;
  };

  const Tensor& original(int32_t t) const { return original_.tensors[static_cast<size_t>(t)]; }
  const TensorPlan& planned(int32_t t) const { return plan_.tensors[static_cast<size_t>(t)]; }
  std::vector<Version>& versions(int32_t t) { return versions_[static_cast<size_t>(t)]; }
  Form PlannedForm(int32_t t) const { return {planned(t).type, planned(t).quant}; }

  // The integer form that nodes read of a tensor, whatever its producer makes.
  Form IntegerForm(int32_t t) const { return {ActivationType(kind_), planned(t).quant}; }

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

  void EmitConversion(int32_t t, int32_t from, int32_t to, bool dequantize) {
    Node node;
    node.op = dequantize ? schema::BuiltinOperator_DEQUANTIZE : schema::BuiltinOperator_QUANTIZE;
    node.options =
        dequantize ? Options(schema::DequantizeOptionsT{}) : Options(schema::QuantizeOptionsT{});
    node.inputs = {from};
    node.outputs = {to};
    node.name = original(t).label();
    subgraph_.nodes.push_back(std::move(node));
  }

  // The index of tensor t in this form, which is made when it is not there.
  int32_t Get(int32_t t, const Form& form) {
    for (const Version& version : versions(t)) {
      if (version.form == form) return version.index;
    }
    if (original(t).is_constant()) return GetConstant(t, form);
    if (versions(t).empty()) versions(t).push_back({Form{}, t});
    const Version base = versions(t).front();
    const int32_t index = AddVersion(t, form, original(t).name + Suffix(form.type));
    EmitConversion(t, base.index, index, form.is_float());
    return index;
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
      const int32_t index = AddVersion(t, form, original(t).name + Suffix(form.type));
      EmitConversion(t, from, index, true);
      return index;
    }
    const bool main = form == PlannedForm(t);
    const int32_t index =
        AddVersion(t, form, main ? original(t).name : original(t).name + Suffix(form.type));
    Tensor& tensor = subgraph_.tensors[static_cast<size_t>(index)];
    if (form.type == schema::TensorType_INT32 || form.type == schema::TensorType_INT64) {
      tensor.data = QuantizeBias(values, form.type, form.quant);
    } else if (is_weight_[static_cast<size_t>(t)]) {
      tensor.data = QuantizeWeights(kind_, values, original(t).shape, form.quant);
    } else {
      tensor.data = QuantizeActivation(values, form.type, form.quant);
    }
    return index;
  }

  // What node n reads as operand i.
  int32_t Operand(size_t n, size_t i) {
    const Node& node = original_.nodes[n];
    const int32_t t = node.inputs[i];
    if (!IsFloat(original_, t) || original(t).is_variable) return t;
    const OpRecord* op = FindOp(node);
    if (op != nullptr && op->shape_only) return t;
    const NodeMode mode = plan_.nodes[n].mode;
    if (mode == NodeMode::kFloat || mode == NodeMode::kFloat16 || op == nullptr)
      return Get(t, Form{});
    const InputRule rule = op->quant.input(i);
    if (mode == NodeMode::kDynamic) {
      const bool weights = rule.role != Role::kIndex && IsFloatConstant(original_, t) &&
                           planned(t).type == schema::TensorType_INT8;
      if (weights) is_weight_[static_cast<size_t>(t)] = true;
      return Get(t, weights ? PlannedForm(t) : Form{});
    }
    switch (rule.role) {
      case Role::kIndex:
        return Get(t, Form{});
      case Role::kWeight:
        is_weight_[static_cast<size_t>(t)] = true;
        return Get(t, PlannedForm(t));
      case Role::kBias:
        return Get(t, PlannedForm(t));
      case Role::kActivation:
        break;
    }
    // Operands that share the result's scale are requantized to it where theirs is another.
    const int32_t shared = node.output(0);
    const bool shares = SharesScale(op->quant) && IsActivation(original_, shared);
    return Get(t, IntegerForm(shares ? shared : t));
  }

  absl::Status EmitNode(size_t n) {
    Node node = original_.nodes[n];
    const NodeMode mode = plan_.nodes[n].mode;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] >= 0) node.inputs[i] = Operand(n, i);
    }
    const OpRecord* op = FindOp(node);
    for (int32_t t : node.outputs) {
      if (!IsActivation(original_, t) || original(t).is_variable) continue;
      const bool integer = mode == NodeMode::kInteger && op->quant.output != OutputRule::kIndex;
      if (integer && planned(t).quant.empty()) {
        return Internal("the plan has no scale for '{}'", Printable(original(t).label()));
      }
      SetBase(t, integer ? IntegerForm(t) : Form{});
    }
    SetOptions(kind_, mode, &node);
    subgraph_.nodes.push_back(std::move(node));
    return absl::OkStatus();
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
  std::vector<std::vector<Version>>
      versions_;  // per original tensor; the first is what its producer makes
  std::vector<bool> is_weight_ = std::vector<bool>(original_.tensors.size(), false);
};

}  // namespace

absl::StatusOr<Graph> ApplyPlan(const Graph& graph, const Plan& plan) {
  if (plan.tensors.size() != graph.main().tensors.size() ||
      plan.nodes.size() != graph.main().nodes.size()) {
    return Invalid("the plan was made for another graph");
  }
  return Applier(graph, plan).Run();
}

}  // namespace litesmith
