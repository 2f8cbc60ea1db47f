#include "quantize/retype.h"

#include <algorithm>
#include <utility>

#include "passes/passes.h"

namespace litesmith {
namespace {

bool IsInteger(TensorType type) {
  return type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
         type == schema::TensorType_INT16;
}

// Integers that stand for real numbers, one scale for all.
bool IsQuantizedActivation(const Tensor& tensor) {
  return IsInteger(tensor.type) && !tensor.is_constant() && tensor.quant.scale.size() == 1 &&
         tensor.quant.zero_point.size() == 1 && tensor.quant.details == nullptr;
}

const char* Suffix(TensorType type) {
  return type == schema::TensorType_FLOAT32 ? "_float"
         : type == schema::TensorType_UINT8 ? "_uint8"
         : type == schema::TensorType_INT16 ? "_int16"
                                            : "_int8";
}

class Retyper {
 public:
  explicit Retyper(const Graph& graph) : out_(graph), subgraph_(out_.main()) {}

  absl::Status Inputs(ElementType type) {
    for (size_t i = 0; i < subgraph_.inputs.size(); ++i) {
      if (!IsReal(subgraph_.inputs[i])) continue;
      LS_RETURN_IF_ERROR(Input(i, ToTensorType(type)));
    }
    return absl::OkStatus();
  }

  absl::Status Outputs(ElementType type) {
    for (size_t i = 0; i < subgraph_.outputs.size(); ++i) {
      if (!IsReal(subgraph_.outputs[i])) continue;
      LS_RETURN_IF_ERROR(Output(i, ToTensorType(type)));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Graph> Finish() {
    // Node numbers have changed; what counted them is void.
    std::erase_if(out_.metadata, [](const Metadata& m) {
      return m.name == "model_control_dependencies" || m.name == "reduced_precision_support";
    });
    LS_RETURN_IF_ERROR(RemoveDeadCode(&out_).status());
    return std::move(out_);
  }

 private:
  Tensor& tensor(int32_t t) { return subgraph_.tensors[static_cast<size_t>(t)]; }
  bool IsReal(int32_t t) {
    return !tensor(t).is_constant() &&
           (tensor(t).type == schema::TensorType_FLOAT32 || IsQuantizedActivation(tensor(t)));
  }

  std::vector<size_t> Readers(int32_t t) const {
    std::vector<size_t> out;
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      const auto& inputs = subgraph_.nodes[n].inputs;
      if (std::find(inputs.begin(), inputs.end(), t) != inputs.end()) out.push_back(n);
    }
    return out;
  }
  bool IsBorder(int32_t t) const {
    auto has = [t](const std::vector<int32_t>& list) {
      return std::find(list.begin(), list.end(), t) != list.end();
    };
    return has(subgraph_.inputs) || has(subgraph_.outputs);
  }

  void Erase(size_t n) { subgraph_.nodes.erase(subgraph_.nodes.begin() + static_cast<int64_t>(n)); }

  // The tensor that stands for a border tensor from now on, under its name.
  void Replace(std::vector<int32_t>* list, bool outputs, int32_t from, int32_t to) {
    std::replace(list->begin(), list->end(), from, to);
    for (Signature& signature : out_.signatures) {
      if (signature.subgraph != 0) continue;
      for (SignatureEntry& entry : outputs ? signature.outputs : signature.inputs) {
        if (entry.tensor == from) entry.tensor = to;
      }
    }
    Tensor &inner = tensor(from), &border = tensor(to);
    const std::string name = inner.name, source = inner.source;
    inner.name = name + Suffix(inner.type);
    inner.source = inner.source.empty() ? name : inner.source;
    border.name = name;
    border.source = source;
  }

  // A tensor of `like`'s shape for the border.
  int32_t AddBorder(int32_t like, TensorType type) {
    Tensor border = tensor(like);
    border.type = type;
    if (type == schema::TensorType_FLOAT32) {
      border.quant = {};
    } else {
      border.quant =
          QuantParams::PerTensor(tensor(like).quant.scale[0], tensor(like).quant.zero_point[0]);
      const int64_t shift = (type == schema::TensorType_UINT8 ? 128 : 0) -
                            (tensor(like).type == schema::TensorType_UINT8 ? 128 : 0);
      border.quant.zero_point[0] += shift;
    }
    return subgraph_.AddTensor(std::move(border));
  }

  Node Conversion(int32_t from, int32_t to) {
    Node node;
    const bool real = tensor(to).type == schema::TensorType_FLOAT32;
    node.op = real ? schema::BuiltinOperator_DEQUANTIZE : schema::BuiltinOperator_QUANTIZE;
    node.options =
        real ? Options(schema::DequantizeOptionsT{}) : Options(schema::QuantizeOptionsT{});
    node.inputs = {from};
    node.outputs = {to};
    return node;
  }

  // Int16 goes with int16 only, and the 8-bit types with each other.
  absl::Status CheckPair(TensorType integer, TensorType wanted, const char* which, int32_t t) {
    const bool wide = integer == schema::TensorType_INT16;
    if (wanted == schema::TensorType_FLOAT32 || wide == (wanted == schema::TensorType_INT16)) {
      return absl::OkStatus();
    }
    return Invalid("{} '{}' is computed in {} and cannot be {}; it can be float32 or {}", which,
                   Printable(tensor(t).label()), TypeName(integer), TypeName(wanted),
                   wide ? "int16" : "int8 or uint8");
  }

  absl::Status Input(size_t i, TensorType wanted) {
    int32_t t = subgraph_.inputs[i];
    if (tensor(t).type == wanted) return absl::OkStatus();
    // A conversion at the border disappears where it is all that reads the input.
    const std::vector<size_t> readers = Readers(t);
    const bool converted = readers.size() == 1 &&
                           subgraph_.nodes[readers[0]].op == schema::BuiltinOperator_QUANTIZE &&
                           IsQuantizedActivation(tensor(subgraph_.nodes[readers[0]].outputs[0])) &&
                           std::count(subgraph_.outputs.begin(), subgraph_.outputs.end(), t) == 0 &&
                           !IsBorder(subgraph_.nodes[readers[0]].outputs[0]);
    if (converted) {
      const int32_t inner = subgraph_.nodes[readers[0]].outputs[0];
      LS_RETURN_IF_ERROR(CheckPair(tensor(inner).type, wanted, "input", t));
      Erase(readers[0]);
      Replace(&subgraph_.inputs, false, t, inner);
      t = inner;
    } else if (tensor(t).type == schema::TensorType_FLOAT32) {
      return Unsupported("input '{}' cannot be {}: operators read it as float32",
                         Printable(tensor(t).label()), TypeName(wanted));
    }
    if (tensor(t).type == wanted) return absl::OkStatus();
    LS_RETURN_IF_ERROR(CheckPair(tensor(t).type, wanted, "input", t));
    const int32_t border = AddBorder(t, wanted);
    Replace(&subgraph_.inputs, false, t, border);
    subgraph_.nodes.insert(subgraph_.nodes.begin(), Conversion(border, t));
    return absl::OkStatus();
  }

  absl::Status Output(size_t i, TensorType wanted) {
    int32_t t = subgraph_.outputs[i];
    if (tensor(t).type == wanted) return absl::OkStatus();
    const auto producer =
        std::find_if(subgraph_.nodes.begin(), subgraph_.nodes.end(), [t](const Node& node) {
          return std::find(node.outputs.begin(), node.outputs.end(), t) != node.outputs.end();
        });
    const bool converted = producer != subgraph_.nodes.end() && Readers(t).empty() &&
                           (producer->op == schema::BuiltinOperator_DEQUANTIZE ||
                            producer->op == schema::BuiltinOperator_QUANTIZE) &&
                           IsQuantizedActivation(tensor(producer->inputs[0])) &&
                           !IsBorder(producer->inputs[0]);
    if (converted) {
      const int32_t inner = producer->inputs[0];
      LS_RETURN_IF_ERROR(CheckPair(tensor(inner).type, wanted, "output", t));
      Erase(static_cast<size_t>(producer - subgraph_.nodes.begin()));
      Replace(&subgraph_.outputs, true, t, inner);
      t = inner;
    } else if (tensor(t).type == schema::TensorType_FLOAT32) {
      return Unsupported("output '{}' cannot be {}: an operator makes it as float32",
                         Printable(tensor(t).label()), TypeName(wanted));
    }
    if (tensor(t).type == wanted) return absl::OkStatus();
    LS_RETURN_IF_ERROR(CheckPair(tensor(t).type, wanted, "output", t));
    const auto& inputs = subgraph_.inputs;
    if (std::find(inputs.begin(), inputs.end(), t) != inputs.end()) {
      return Unsupported("output '{}' is an input too; give both the same type",
                         Printable(tensor(t).label()));
    }
    const int32_t border = AddBorder(t, wanted);
    Replace(&subgraph_.outputs, true, t, border);
    subgraph_.nodes.push_back(Conversion(t, border));
    return absl::OkStatus();
  }

  Graph out_;
  Subgraph& subgraph_;
};

}  // namespace

std::optional<RecipeKind> QuantizedAs(const Graph& graph) {
  const Subgraph& subgraph = graph.main();
  for (const Node& node : subgraph.nodes) {
    for (int32_t t : node.outputs) {
      if (t < 0) continue;
      const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
      if (!IsQuantizedActivation(tensor)) continue;
      return tensor.type == schema::TensorType_INT16 ? RecipeKind::kInt16x8 : RecipeKind::kInt8;
    }
  }
  return std::nullopt;
}

absl::StatusOr<Graph> Retype(const Graph& graph, std::optional<ElementType> input_type,
                             std::optional<ElementType> output_type) {
  Retyper retyper(graph);
  if (input_type) LS_RETURN_IF_ERROR(retyper.Inputs(*input_type));
  if (output_type) LS_RETURN_IF_ERROR(retyper.Outputs(*output_type));
  return retyper.Finish();
}

}  // namespace litesmith
