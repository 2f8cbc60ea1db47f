#include "import/saved_model/variables.h"

#include <string_view>
#include <vector>

#include "import/saved_model/names.h"

namespace litesmith::saved_model {
namespace {

using Keys = std::map<std::string, std::string, std::less<>>;
using NodeList = google::protobuf::RepeatedPtrField<proto::Node>;
using NodeMap = std::map<std::string_view, const proto::Node*>;

NodeMap ByName(const NodeList& nodes) {
  NodeMap out;
  for (const proto::Node& node : nodes) out.emplace(node.name(), &node);
  return out;
}

// The tensor name that `input` was restored under, through Identity nodes; empty where it was not.
std::string RestoredKey(const NodeMap& nodes, std::string_view input) {
  for (int hops = 0; hops < 16; ++hops) {
    const InputName name = ParseInput(input);
    const auto found = nodes.find(name.node);
    if (found == nodes.end()) return "";
    const proto::Node& node = *found->second;
    if (node.op() == "Identity" && node.input_size() > 0) {
      input = node.input(0);
      continue;
    }
    if (node.op() != "RestoreV2" || node.input_size() < 2) return "";
    const auto names = nodes.find(ParseInput(node.input(1)).node);
    if (names == nodes.end()) return "";
    const auto value = names->second->attr().find("value");
    if (value == names->second->attr().end()) return "";
    const auto& keys = value->second.tensor().string_val();
    return name.index < keys.size() ? keys[name.index] : "";
  }
  return "";
}

// What a list of nodes assigns: the variable's name in that list, and the key.
Keys Assignments(const NodeList& nodes) {
  const NodeMap by_name = ByName(nodes);
  Keys out;
  for (const proto::Node& node : nodes) {
    if (node.op() != "AssignVariableOp" || node.input_size() < 2) continue;
    std::string key = RestoredKey(by_name, node.input(1));
    if (!key.empty()) out.emplace(ParseInput(node.input(0)).node, std::move(key));
  }
  return out;
}

void FromRestoreFunction(const proto::MetaGraph& model, Keys* out) {
  const NodeList& main = model.graph_def().node();
  out->merge(Assignments(main));
  for (const proto::Node& node : main) {
    if (node.name() != ParseInput(model.saver_def().restore_op_name()).node) continue;
    const auto f = node.attr().find("f");
    if (f == node.attr().end()) continue;
    for (const proto::FunctionDef& function : model.graph_def().library().function()) {
      if (function.signature().name() != f->second.func().name()) continue;
      const Keys assigned = Assignments(function.node_def());
      for (int i = 0; i < function.signature().input_arg_size() && i < node.input_size(); ++i) {
        const auto found = assigned.find(function.signature().input_arg(i).name());
        if (found == assigned.end()) continue;
        out->emplace(ParseInput(node.input(i)).node, found->second);
      }
    }
  }
}

std::string KeyOfObject(const proto::TrackableObjectGraph& stored, int32_t object) {
  if (object < 0 || object >= stored.nodes_size()) return "";
  for (const auto& attribute : stored.nodes(object).attributes()) {
    if (attribute.name() == "VARIABLE_VALUE") return attribute.checkpoint_key();
  }
  return "";
}

// Objects carry the same number in the model and in the checkpoint. Which of them a VarHandleOp is
// shows where it is passed to a function whose last arguments are known objects, ...
void FromBoundInputs(const proto::MetaGraph& model, const proto::TrackableObjectGraph& stored,
                     Keys* out) {
  const auto& functions = model.object_graph_def().concrete_functions();
  for (const proto::Node& node : model.graph_def().node()) {
    const auto f = node.attr().find("f");
    if (f == node.attr().end()) continue;
    const auto function = functions.find(f->second.func().name());
    if (function == functions.end()) continue;
    std::vector<std::string_view> inputs;
    for (const std::string& input : node.input()) {
      if (const InputName name = ParseInput(input); !name.control) inputs.push_back(name.node);
    }
    const auto& bound = function->second.bound_inputs();
    if (static_cast<size_t>(bound.size()) > inputs.size()) continue;
    const size_t first = inputs.size() - static_cast<size_t>(bound.size());
    for (int i = 0; i < bound.size(); ++i) {
      std::string key = KeyOfObject(stored, bound[i]);
      if (!key.empty()) out->emplace(inputs[first + static_cast<size_t>(i)], std::move(key));
    }
  }
}

// ... or by its name.
Keys KeysByName(const proto::ObjectGraph& objects, const proto::TrackableObjectGraph& stored) {
  Keys by_name;
  for (int i = 0; i < objects.nodes_size(); ++i) {
    std::string key = objects.nodes(i).has_variable() ? KeyOfObject(stored, i) : "";
    if (!key.empty()) by_name.emplace(objects.nodes(i).variable().name(), std::move(key));
  }
  return by_name;
}

}  // namespace

absl::StatusOr<Keys> ResolveVariables(const proto::MetaGraph& model, Bundle* bundle) {
  Keys out;
  FromRestoreFunction(model, &out);
  // A key that the checkpoint lacks is no answer.
  std::erase_if(out, [&](const auto& entry) { return !bundle->Has(entry.second); });
  LS_ASSIGN_OR_RETURN(const auto stored, bundle->Objects());
  FromBoundInputs(model, stored, &out);
  const Keys by_name = KeysByName(model.object_graph_def(), stored);
  for (const proto::Node& node : model.graph_def().node()) {
    if (node.op() != "VarHandleOp" && node.op() != "VariableV2") continue;
    const auto attr = node.attr().find("shared_name");
    const std::string shared =
        attr == node.attr().end() || attr->second.s().empty() ? node.name() : attr->second.s();
    if (const auto object = by_name.find(shared); object != by_name.end()) {
      out.emplace(node.name(), object->second);
    } else if (bundle->Has(shared)) {
      out.emplace(node.name(), shared);
    }
  }
  return out;
}

}  // namespace litesmith::saved_model
