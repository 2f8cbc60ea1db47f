#include "litesmith/run.h"

#include <algorithm>
#include <numeric>

#include "api/state.h"
#include "base/file.h"
#include "data/npy.h"
#include "data/open.h"
#include "evaluate/evaluate.h"
#include "evaluate/litert_model.h"
#include "litesmith/files.h"
#include "passes/passes.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

bool HoldsReals(ElementType type) {
  return type == ElementType::kFloat32 || type == ElementType::kFloat64 ||
         type == ElementType::kFloat16;
}

const Tensor& InputTensor(const Graph& graph, size_t i) {
  return graph.main().tensors[static_cast<size_t>(graph.main().inputs[i])];
}

std::string InputList(const Graph& graph) {
  std::vector<std::string> names;
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) names.push_back(InputName(graph, i));
  return Printable(fmt::format("'{}'", fmt::join(names, "', '")));
}

// The position of the input of that name, by signature or tensor; -1: none.
int FindInput(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) {
    if (InputName(graph, i) == name) return static_cast<int>(i);
  }
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) {
    if (InputTensor(graph, i).name == name) return static_cast<int>(i);
  }
  return -1;
}

// Which array feeds each input: names first, the rest in order.
absl::StatusOr<std::vector<const NamedArray*>> Assign(const Graph& graph,
                                                      const std::vector<NamedArray>& arrays) {
  std::vector<const NamedArray*> out(graph.main().inputs.size(), nullptr);
  for (const NamedArray& array : arrays) {
    if (array.name.empty()) continue;
    const int position = FindInput(graph, array.name);
    if (position < 0) {
      return Invalid("the model has no input '{}'; it has {}", Printable(array.name),
                     InputList(graph));
    }
    if (out[static_cast<size_t>(position)] != nullptr) {
      return Invalid("input '{}' is given twice", Printable(array.name));
    }
    out[static_cast<size_t>(position)] = &array;
  }
  size_t next = 0;
  for (const NamedArray& array : arrays) {
    if (!array.name.empty()) continue;
    while (next < out.size() && out[next] != nullptr) ++next;
    if (next == out.size()) {
      return Invalid("{} inputs are given, the model has {}: {}", arrays.size(), out.size(),
                     InputList(graph));
    }
    out[next] = &array;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == nullptr) {
      return Invalid(
          "input '{}' is missing: give an array for it (--input FILE.npy); the model has {}",
          Printable(InputName(graph, i)), InputList(graph));
    }
  }
  return out;
}

absl::Status CheckType(const Graph& graph, size_t i, const NamedArray& given, bool quantize_input) {
  const Tensor& tensor = InputTensor(graph, i);
  const std::string name = Printable(InputName(graph, i));
  const ElementType wanted = ToElementType(tensor.type);
  const ElementType type = given.array.type;
  if (ElementSize(wanted) == 0) {
    return Unsupported("input '{}' is {}, which cannot be read from an array", name,
                       ElementTypeName(wanted));
  }
  if (type == wanted) return absl::OkStatus();
  if (!HoldsReals(wanted) && HoldsReals(type) && !tensor.quant.empty()) {
    if (!given.real && !quantize_input) {
      return Invalid(
          "input '{}' takes {} and the array holds {}; add --quantize-input to quantize it with "
          "scale {} and zero point {}",
          name, ElementTypeName(wanted), ElementTypeName(type), tensor.quant.scale[0],
          tensor.quant.zero_point.empty() ? 0 : tensor.quant.zero_point[0]);
    }
    if (type == ElementType::kFloat32) return absl::OkStatus();
  }
  return Invalid(
      "input '{}' takes {} and the array holds {}; store it with that type", name,
      ElementTypeName(HoldsReals(type) && !tensor.quant.empty() ? ElementType::kFloat32 : wanted),
      ElementTypeName(type));
}

// The shape to run with: the array's, where the model leaves dimensions open; a leading 1 may be
// left out.
absl::StatusOr<Shape> RunShape(const Graph& graph, size_t i, const Array& array) {
  const Tensor& tensor = InputTensor(graph, i);
  const Shape& wanted = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
  std::vector<int64_t> given = array.shape;
  const bool batch = !wanted.empty() && (wanted[0] == 1 || wanted[0] == -1);
  if (batch && given.size() + 1 == wanted.size()) given.insert(given.begin(), 1);
  bool fits = given.size() == wanted.size();
  for (size_t d = 0; fits && d < given.size(); ++d) {
    fits = given[d] <= INT32_MAX && (wanted[d] == -1 ? given[d] > 0 : given[d] == wanted[d]);
  }
  if (!fits) {
    return Invalid("input '{}' takes the shape {}{}, the array has {}",
                   Printable(InputName(graph, i)), ShapeString(wanted),
                   std::count(wanted.begin(), wanted.end(), -1) > 0 ? " (-1: any size)" : "",
                   ShapeString(array.shape));
  }
  return Shape(given.begin(), given.end());
}

absl::StatusOr<NamedArray> TakeOutput(const Graph& graph, size_t o, const Shape& shape,
                                      std::span<const std::byte> bytes) {
  const Tensor& tensor = graph.main().tensors[static_cast<size_t>(graph.main().outputs[o])];
  NamedArray out;
  out.name = OutputName(graph, o);
  out.array.type = ToElementType(tensor.type);
  if (ElementSize(out.array.type) == 0) {
    return Unsupported("output '{}' is {}, which cannot be stored as an array", Printable(out.name),
                       TypeName(tensor.type));
  }
  out.array.shape.assign(shape.begin(), shape.end());
  out.array.bytes.assign(bytes.begin(), bytes.end());
  return out;
}

// The arrays of a .npz under the names of the inputs: keys are all signature names, all tensor
// names, or in0, in1 …
absl::StatusOr<std::vector<NamedArray>> NameInputs(const Graph& graph,
                                                   std::vector<NamedArray> arrays) {
  const size_t inputs = graph.main().inputs.size();
  const auto find = [&](const std::string& key) {
    return std::find_if(arrays.begin(), arrays.end(),
                        [&](const NamedArray& a) { return a.name == key; });
  };
  for (int scheme = 0; scheme < 3; ++scheme) {
    std::vector<NamedArray> out;
    for (size_t i = 0; i < inputs; ++i) {
      const auto it = find(scheme == 0   ? InputName(graph, i)
                           : scheme == 1 ? InputTensor(graph, i).name
                                         : fmt::format("in{}", i));
      if (it == arrays.end()) break;
      out.push_back({InputName(graph, i), it->array, false});
    }
    if (out.size() == inputs) return out;
  }
  std::vector<std::string> keys;
  for (const NamedArray& array : arrays) keys.push_back(array.name);
  return Invalid("holds the arrays {}, but the model's inputs are {}; use their names, or in0, in1",
                 Printable(fmt::format("'{}'", fmt::join(keys, "', '"))), InputList(graph));
}

}  // namespace

struct Session::State {
  std::shared_ptr<const Graph> graph;
  std::string path;
  RunRequest request;
  Context context;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<LitertModel> litert;  // where LiteRT is asked for; the executor tells it shapes
  std::vector<Shape> shapes;            // for which they were made

  absl::StatusOr<std::vector<NamedArray>> Run(const std::vector<NamedArray>& inputs);
  absl::Status Prepare(std::vector<Shape> wanted);
  absl::Status Compute();
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

absl::StatusOr<Session> Session::Create(const Model& model, const RunRequest& request,
                                        const Context& context) {
  LS_ASSIGN_OR_RETURN(auto graph, ModelAccess::GraphOf(model));
  if (request.litert) {
    LS_RETURN_IF_ERROR(CheckLitert(*request.litert));
    LS_RETURN_IF_ERROR(RequireTflite(model));
  } else if (request.kernels == KernelMode::kBest) {
    LS_ASSIGN_OR_RETURN(graph, FuseForRunning(std::move(graph)));
  }
  auto state = std::make_unique<State>();
  state->graph = std::move(graph);
  state->path = model.path();
  state->request = request;
  state->context = context;
  return Session(std::move(state));
}

absl::StatusOr<std::vector<NamedArray>> Session::State::Run(const std::vector<NamedArray>& inputs) {
  LS_ASSIGN_OR_RETURN(const auto arrays, Assign(*graph, inputs));
  std::vector<Shape> wanted;
  for (size_t i = 0; i < arrays.size(); ++i) {
    LS_RETURN_IF_ERROR(CheckType(*graph, i, *arrays[i], request.quantize_input));
    LS_ASSIGN_OR_RETURN(Shape shape, RunShape(*graph, i, arrays[i]->array));
    wanted.push_back(std::move(shape));
  }
  LS_RETURN_IF_ERROR(Prepare(std::move(wanted)));
  for (size_t i = 0; i < arrays.size(); ++i) {
    LS_RETURN_IF_ERROR(StoreInput(arrays[i]->array, InputTensor(*graph, i),
                                  litert != nullptr ? litert->input(i) : executor->input(i)));
  }
  LS_RETURN_IF_ERROR(Compute());
  std::vector<NamedArray> out;
  for (size_t o = 0; o < graph->main().outputs.size(); ++o) {
    LS_ASSIGN_OR_RETURN(
        NamedArray array,
        litert != nullptr ? TakeOutput(*graph, o, litert->output_shape(o), litert->output(o))
                          : TakeOutput(*graph, o, executor->output_shape(o), executor->output(o)));
    out.push_back(std::move(array));
  }
  return out;
}

absl::Status Session::State::Prepare(std::vector<Shape> wanted) {
  if (executor != nullptr && wanted == shapes) return absl::OkStatus();
  ExecutorOptions options;
  options.kernels = request.kernels;
  options.arithmetic = request.arithmetic;
  options.num_threads = context.Threads();
  options.input_shapes = wanted;
  options.memory_budget = context.memory_budget;
  LS_ASSIGN_OR_RETURN(executor, Executor::Create(graph, options));
  if (request.litert) {
    LitertModel::Request here{.litert = *request.litert, .num_threads = context.Threads()};
    SetRequestShapes(*executor, &here);
    LS_ASSIGN_OR_RETURN(litert, LitertModel::Create(path, *graph, here));
  }
  shapes = std::move(wanted);
  return absl::OkStatus();
}

absl::Status Session::State::Compute() {
  if (litert != nullptr) return litert->Run();
  executor->ResetVariables();
  return executor->Run(&context);
}

absl::StatusOr<std::vector<NamedArray>> Session::Run(const std::vector<NamedArray>& inputs) {
  auto out = state_->Run(inputs);
  if (!out.ok() && !state_->path.empty()) return Annotate(out.status(), state_->path);
  return out;
}

absl::StatusOr<std::vector<NamedArray>> ReadInputs(const Model& model,
                                                   const std::vector<std::string>& files,
                                                   const DataSource& preprocessing,
                                                   const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  std::vector<NamedArray> out;
  for (const std::string& given : files) {
    // A file may have '=' in its name: then no input is called like the part before it.
    const size_t equals = given.find('=');
    const std::string name = equals == std::string::npos ? "" : given.substr(0, equals);
    const bool named = !name.empty() && !(FindInput(*graph, name) < 0 && FileExists(given));
    const std::string path = named ? given.substr(equals + 1) : given;
    if (IsPicture(path)) {
      LS_ASSIGN_OR_RETURN(
          Array array, ReadPictureInput(path, named ? name : "", preprocessing, *graph, context));
      out.push_back({named ? name : "", std::move(array), true});
      continue;
    }
    LS_ASSIGN_OR_RETURN(std::vector<NamedArray> arrays, ReadArrays(path, context));
    if (arrays.size() != 1 || !arrays[0].name.empty()) {
      LS_ASSIGN_OR_RETURN_IN(arrays, NameInputs(*graph, std::move(arrays)), path);
    }
    for (NamedArray& array : arrays) {
      if (named) array.name = name;
      out.push_back(std::move(array));
    }
  }
  return out;
}

bool IsPicture(const std::string& path) {
  const auto file = FileBytes::Open(path);
  if (!file.ok()) return false;
  const auto starts = [&](std::string_view magic) {
    const auto bytes = (*file)->bytes();
    return bytes.size() >= magic.size() &&
           std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  return starts("\x89PNG\r\n\x1a\n") || starts("\xff\xd8\xff");
}

absl::Status WriteOutputs(const std::string& folder, const std::vector<NamedArray>& outputs,
                          const std::vector<std::string>& inputs) {
  std::vector<std::string> sources = inputs;
  for (const std::string& input : inputs) {
    const size_t equals = input.find('=');
    if (equals != std::string::npos) sources.push_back(input.substr(equals + 1));
  }
  LS_RETURN_IF_ERROR(MakeDirectories(folder));
  const auto path = [&](size_t o) { return fmt::format("{}/out{}.npy", folder, o); };
  for (size_t o = 0; o < outputs.size(); ++o) LS_RETURN_IF_ERROR(CheckWritable(path(o), sources));
  for (size_t o = 0; o < outputs.size(); ++o) {
    LS_RETURN_IF_ERROR(WriteNpy(path(o), outputs[o].array));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ClassScore>> TopClasses(const Model& model, const Array& output,
                                                   const std::string& labels, int top) {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  if (graph->main().outputs.empty()) return Invalid("{}: the model has no output", model.path());
  const Tensor& tensor = graph->main().tensors[static_cast<size_t>(graph->main().outputs[0])];
  LS_ASSIGN_OR_RETURN(const std::vector<float> scores, LoadOutput(output.bytes, tensor));
  std::vector<std::string> names = NotesOf(*graph).labels;
  if (!labels.empty()) {
    LS_ASSIGN_OR_RETURN(names, ReadLabelsFile(labels));
    if (names.size() != scores.size()) {
      return Invalid("{}: holds {} names, but the model has {} outputs; is it the right file?",
                     labels, names.size(), scores.size());
    }
  }
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), static_cast<size_t>(std::max(top, 0))));
  std::vector<ClassScore> out;
  for (size_t i : order) {
    out.push_back({static_cast<int64_t>(i),
                   names.size() == scores.size() ? names[i] : std::to_string(i),
                   double{scores[i]}});
  }
  return out;
}

}  // namespace litesmith
