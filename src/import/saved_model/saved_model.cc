// The folder that tf.saved_model.save and Keras' model.export write.

#include "import/saved_model/saved_model.h"

#include <algorithm>

#include "base/file.h"
#include "base/folder.h"
#include "import/import.h"
#include "import/saved_model/emitter.h"
#include "import/saved_model/interpreter.h"
#include "import/saved_model/types.h"
#include "import/saved_model/variables.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace litesmith {
namespace saved_model {
namespace {

// A message takes this much more memory than its bytes, at most.
constexpr uint64_t kMessageGrowth = 48;
constexpr std::string_view kInitialisation = "__saved_model_init_op";

// "output_2" before "output_10".
bool NaturalLess(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto number = [&](const std::string& s, size_t* at) {
    const size_t from = s.find_first_not_of('0', *at);
    while (*at < s.size() && digit(s[*at])) ++*at;
    return from < *at ? s.substr(from, *at - from) : std::string();
  };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      const std::string x = number(a, &i), y = number(b, &j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (a[i] != b[j]) {
      return a[i] < b[j];
    } else {
      ++i, ++j;
    }
  }
  if ((i < a.size()) != (j < b.size())) return j < b.size();
  return a < b;
}

using Entries = std::vector<std::pair<std::string, const proto::TensorInfo*>>;

Entries Sorted(const google::protobuf::Map<std::string, proto::TensorInfo>& entries) {
  Entries out;
  for (const auto& [name, info] : entries) out.emplace_back(name, &info);
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return NaturalLess(a.first, b.first); });
  return out;
}

// The graph for serving; models have one, or others for training beside it.
absl::StatusOr<const proto::MetaGraph*> ServingGraph(const proto::SavedModel& model) {
  for (const proto::MetaGraph& graph : model.meta_graphs()) {
    const auto& tags = graph.meta_info_def().tags();
    if (std::find(tags.begin(), tags.end(), "serve") != tags.end()) return &graph;
  }
  if (model.meta_graphs_size() == 1) return &model.meta_graphs(0);
  return Invalid("saved_model.pb has no graph with the tag 'serve'; save the model again");
}

absl::StatusOr<std::string> ChooseSignature(const proto::MetaGraph& model,
                                            const std::string& wanted) {
  std::vector<std::string> names;
  for (const auto& [name, signature] : model.signature_def()) {
    if (name != kInitialisation) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!wanted.empty() && has(wanted)) return wanted;
  if (wanted.empty() && has("serving_default")) return std::string("serving_default");
  if (wanted.empty() && names.size() == 1) return names[0];
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 20); ++i) {
    list += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  if (names.empty()) {
    return Unsupported(
        "the model has no signature; save it with signatures=, or with Keras' "
        "model.export");
  }
  if (wanted.empty()) {
    return Invalid("the model has several signatures; choose one by --signature: {}", list);
  }
  return Invalid("there is no signature '{}'; there are: {}", Printable(wanted), list);
}

absl::Status AddInputs(const Entries& inputs, Emitter* emitter, Interpreter* interpreter,
                       std::vector<std::string>* names) {
  for (const auto& [name, info] : inputs) {
    const std::string where = fmt::format("input '{}'", Printable(name));
    if (info->name().empty()) return Unsupported("{} is no dense tensor", where);
    LS_ASSIGN_OR_RETURN_IN(const TensorType type, DenseType(info->dtype()), where);
    LS_ASSIGN_OR_RETURN_IN(const Shape shape, ReadShape(info->tensor_shape(), true), where);
    interpreter->SetInput(info->name(), emitter->Input(name, type, shape));
    names->push_back(name);
  }
  return absl::OkStatus();
}

// An output that is an input, a constant or another output gets a tensor of its own.
absl::StatusOr<int32_t> OwnTensor(int32_t t, const std::string& name,
                                  const std::vector<int32_t>& others, Emitter* e) {
  const auto& inputs = e->builder().subgraph().inputs;
  const bool taken = std::find(inputs.begin(), inputs.end(), t) != inputs.end() ||
                     std::find(others.begin(), others.end(), t) != others.end() || e->IsConstant(t);
  if (!taken) return t;
  // Added without folding, so that constants are copied too.
  const std::vector<int32_t> zeros(e->rank(t), 0), whole(e->rank(t), -1);
  LS_ASSIGN_OR_RETURN(const int32_t begin, e->Ints(zeros));
  LS_ASSIGN_OR_RETURN(const int32_t size, e->Ints(whole));
  const bool scalar = zeros.empty();
  const int32_t copy = e->builder().AddNode(
      scalar ? schema::BuiltinOperator_RESHAPE : schema::BuiltinOperator_SLICE, Options(),
      scalar ? std::vector<int32_t>{t, begin} : std::vector<int32_t>{t, begin, size}, name, "copy",
      e->shape(t), e->type(t));
  return copy;
}

absl::StatusOr<Graph> Convert(const proto::MetaGraph& model, const std::string& key, Bundle* bundle,
                              const Context& context) {
  const proto::Signature& signature = model.signature_def().at(key);
  LS_ASSIGN_OR_RETURN(const auto keys, ResolveVariables(model, bundle));
  Emitter emitter(context);
  Interpreter interpreter(model, keys, bundle, &emitter);
  std::vector<std::string> input_names, output_names;
  LS_RETURN_IF_ERROR(AddInputs(Sorted(signature.inputs()), &emitter, &interpreter, &input_names));
  std::vector<int32_t> outputs;
  for (const auto& [name, info] : Sorted(signature.outputs())) {
    const absl::StatusOr<int32_t> t = interpreter.Evaluate(info->name());
    LS_RETURN_IF_ERROR(interpreter.CheckStateless());  // the reason of other errors too
    LS_RETURN_IF_ERROR_IN(t.status(), fmt::format("output '{}'", Printable(name)));
    outputs.push_back(*t);
    output_names.push_back(name);
  }
  LS_RETURN_IF_ERROR(interpreter.Problems());
  if (outputs.empty()) return Invalid("signature '{}' has no outputs", Printable(key));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::vector<int32_t> others(outputs.begin(),
                                      outputs.begin() + static_cast<std::ptrdiff_t>(i));
    LS_ASSIGN_OR_RETURN(outputs[i], OwnTensor(outputs[i], output_names[i], others, &emitter));
  }
  if (interpreter.assigns()) {
    context.Warn("the model assigns to variables while it runs; they are constants in the result");
  }
  Graph graph = std::move(emitter.builder())
                    .Finish("TensorFlow SavedModel", input_names, outputs, output_names, key);
  LS_RETURN_IF_ERROR(RemoveDeadCode(&graph).status());
  LS_RETURN_IF_ERROR(Verify(graph));
  return graph;
}

}  // namespace

absl::StatusOr<Graph> ParseSavedModel(const Files& files, const std::string& signature,
                                      const Context& context) {
  if (files.model.size() > std::min<uint64_t>(context.memory_budget / kMessageGrowth, INT32_MAX)) {
    return absl::ResourceExhaustedError(fmt::format(
        "saved_model.pb has {} bytes, which need more memory than is allowed", files.model.size()));
  }
  proto::SavedModel model;
  if (!model.ParseFromArray(files.model.data(), static_cast<int>(files.model.size()))) {
    return Invalid("saved_model.pb is damaged or no SavedModel; save the model again");
  }
  LS_ASSIGN_OR_RETURN(const proto::MetaGraph* graph, ServingGraph(model));
  LS_ASSIGN_OR_RETURN(const std::string key, ChooseSignature(*graph, signature));
  Bundle bundle;
  if (files.index) {
    LS_ASSIGN_OR_RETURN_IN(
        bundle, Bundle::Open(*files.index, files.open_shard, context.memory_budget), "variables");
  }
  return Convert(*graph, key, &bundle, context);
}

}  // namespace saved_model

namespace {

// The file, which must lie inside `folder` when links are followed.
absl::StatusOr<std::shared_ptr<const FileBytes>> OpenInside(const std::string& folder,
                                                            const std::string& path) {
  LS_ASSIGN_OR_RETURN(const bool inside, LiesInside(folder, path));
  if (!inside) {
    return Invalid("{}: lies outside of the model's folder; copy the file into it", path);
  }
  return FileBytes::Open(path);
}

}  // namespace

absl::StatusOr<Graph> ImportSavedModel(const std::string& folder, const ImportOptions& options,
                                       const Context& context) {
  if (!options.weights.empty()) {
    return Invalid("{}: --weights goes with an architecture JSON only", folder);
  }
  LS_ASSIGN_OR_RETURN(const auto model, OpenInside(folder, folder + "/saved_model.pb"));
  const std::string prefix = folder + "/variables/variables.";
  std::shared_ptr<const FileBytes> index;
  std::vector<std::shared_ptr<const FileBytes>> shards;
  saved_model::Files files;
  files.model = model->bytes();
  if (FileExists(prefix + "index")) {
    LS_ASSIGN_OR_RETURN(index, OpenInside(folder, prefix + "index"));
    files.index = index->bytes();
  }
  files.open_shard = [&](int32_t number,
                         int32_t count) -> absl::StatusOr<std::span<const std::byte>> {
    LS_ASSIGN_OR_RETURN(const auto shard, OpenInside(folder, fmt::format("{}data-{:05}-of-{:05}",
                                                                         prefix, number, count)));
    shards.push_back(shard);
    return shard->bytes();
  };
  LS_ASSIGN_OR_RETURN_IN(Graph graph,
                         saved_model::ParseSavedModel(files, options.signature, context), folder);
  return graph;
}

}  // namespace litesmith
