#include "evaluate/litert_model.h"

#include <algorithm>
#include <cstring>

#include "evaluate/litert_library.h"

namespace litesmith {
namespace {

using litert::Index;
using litert::Library;

constexpr Index kSignature = 0;
constexpr int kCpu = 1;         // kLiteRtHwAcceleratorCpu
constexpr int kHostMemory = 1;  // kLiteRtTensorBufferTypeHostMemory
constexpr size_t kAlignment = 64;

// litert_environment_options.h, litert_any.h, litert_logging.h
constexpr int kAutoRegisterAccelerators = 24, kMinLoggerSeverity = 25, kAnyInt = 2, kSilent = 4;

absl::Status Check(litert::Status status, const char* what) {
  if (status == 0) return absl::OkStatus();
  return Unsupported("LiteRT cannot {} ({})", what, litert::StatusText(status));
}

// TfLiteType of a tensor; 0 for those without an array's memory.
int ElementOf(TensorType type) {
  switch (type) {
    case schema::TensorType_FLOAT32:
      return 1;
    case schema::TensorType_INT32:
      return 2;
    case schema::TensorType_UINT8:
      return 3;
    case schema::TensorType_INT64:
      return 4;
    case schema::TensorType_BOOL:
      return 6;
    case schema::TensorType_INT16:
      return 7;
    case schema::TensorType_INT8:
      return 9;
    case schema::TensorType_FLOAT16:
      return 10;
    case schema::TensorType_FLOAT64:
      return 11;
    case schema::TensorType_UINT64:
      return 13;
    case schema::TensorType_UINT32:
      return 16;
    case schema::TensorType_UINT16:
      return 17;
    case schema::TensorType_INT4:
      return 18;
    default:
      return 0;
  }
}

const char* ModeText(LitertKernels kernels) {
  switch (kernels) {
    case LitertKernels::kBuiltin:
      return "builtin";
    case LitertKernels::kReference:
      return "reference";
    default:
      return "delegate";
  }
}

absl::Status TooManyDimensions() {
  return Unsupported("LiteRT takes arrays of {} dimensions at most", litert::kMaxRank);
}

// What the file says of a tensor of the interface, as LiteRT tells it.
struct Value {
  std::string name;
  litert::TensorType type{};
  litert::Buffer* buffer = nullptr;
  std::byte* memory = nullptr;
  size_t bytes = 0;
  Shape shape;
};

void SetShape(const Shape& shape, Value* value) {
  value->shape = shape;
  value->type.layout = {};
  value->type.layout.rank = static_cast<unsigned>(shape.size()) & 0x7f;
  std::copy(shape.begin(), shape.end(), value->type.layout.dimensions);
}

}  // namespace

struct LitertModel::State {
  const Library* library = nullptr;
  litert::Environment* environment = nullptr;
  litert::Model* model = nullptr;
  litert::Options* options = nullptr;
  litert::CompiledModel* compiled = nullptr;
  std::vector<Value> inputs, outputs;
  std::vector<litert::Buffer*> input_buffers, output_buffers;
  bool shapes_checked = false;

  ~State() {
    if (library == nullptr) return;
    for (auto* values : {&inputs, &outputs}) {
      for (const Value& v : *values) {
        if (v.buffer != nullptr) library->DestroyTensorBuffer(v.buffer);
      }
    }
    if (compiled != nullptr) library->DestroyCompiledModel(compiled);
    if (options != nullptr) library->DestroyOptions(options);
    if (model != nullptr) library->DestroyModel(model);
    if (environment != nullptr) library->DestroyEnvironment(environment);
  }

  absl::Status Load(const std::string& file);
  absl::Status ReadSignature(const Graph& graph);
  absl::Status Compile(const Request& request);
  absl::Status Resize(const Graph& graph, const Request& request);
  absl::Status ShapeOutputs(const Request& request);
  absl::Status CheckOutputShapes() const;
  absl::Status MakeBuffers(bool input, const Graph& graph);
};

absl::Status LitertModel::State::Load(const std::string& file) {
  // No accelerators but the processor, and no log: errors are ours to tell. (Of XNNPACK it says a
  // line on standard error all the same.)
  const litert::EnvironmentOption settings[] = {{kAutoRegisterAccelerators, {kAnyInt, kCpu}},
                                                {kMinLoggerSeverity, {kAnyInt, kSilent}}};
  LS_RETURN_IF_ERROR(
      Check(library->CreateEnvironment(2, settings, &environment), "make its environment"));
  return Check(library->CreateModelFromFile(environment, file.c_str(), &model), "read the model");
}

// LiteRT's first signature, which must be the graph's main subgraph: it keeps the subgraph's order.
absl::Status LitertModel::State::ReadSignature(const Graph& graph) {
  litert::Signature* signature = nullptr;
  LS_RETURN_IF_ERROR(Check(library->GetModelSignature(model, kSignature, &signature),
                           "find a signature of the model"));
  Index num_inputs = 0, num_outputs = 0;
  LS_RETURN_IF_ERROR(
      Check(library->GetNumSignatureInputs(signature, &num_inputs), "tell the model's inputs"));
  LS_RETURN_IF_ERROR(
      Check(library->GetNumSignatureOutputs(signature, &num_outputs), "tell the model's outputs"));
  const Subgraph& main = graph.main();
  const absl::Status other = Unsupported(
      "LiteRT's first signature is not the model's main subgraph, so the two cannot be compared");
  if (num_inputs != main.inputs.size() || num_outputs != main.outputs.size()) return other;
  inputs.resize(num_inputs);
  outputs.resize(num_outputs);
  for (const bool input : {true, false}) {
    auto& values = input ? inputs : outputs;
    for (Index i = 0; i < values.size(); ++i) {
      litert::Tensor* tensor = nullptr;
      const char* name = nullptr;
      LS_RETURN_IF_ERROR(
          Check(input ? library->GetSignatureInputTensorByIndex(signature, i, &tensor)
                      : library->GetSignatureOutputTensorByIndex(signature, i, &tensor),
                "tell the model's tensors"));
      LS_RETURN_IF_ERROR(Check(library->GetTensorName(tensor, &name), "tell a tensor's name"));
      LS_RETURN_IF_ERROR(Check(library->GetRankedTensorType(tensor, &values[i].type),
                               "tell the type and shape of an input or output"));
      const auto t = static_cast<size_t>(input ? main.inputs[i] : main.outputs[i]);
      values[i].name = main.tensors[t].name;
      if (values[i].name != (name == nullptr ? "" : name)) return other;
      const int element = ElementOf(main.tensors[t].type);
      if (element == 0) {
        return Unsupported("LiteRT's arrays do not take {} ('{}')", TypeName(main.tensors[t].type),
                           Printable(values[i].name));
      }
      // Also what holds our declarations against a library that is newer than they are.
      if (values[i].type.element != element ||
          values[i].type.layout.rank != main.tensors[t].shape.size()) {
        return Unsupported("LiteRT sees '{}' as another type; is its version 2.3?",
                           Printable(values[i].name));
      }
    }
  }
  return absl::OkStatus();
}

void SetRequestShapes(const Executor& executor, LitertModel::Request* request) {
  request->input_shapes.clear();
  request->output_shapes.clear();
  for (size_t i = 0; i < executor.num_inputs(); ++i) {
    request->input_shapes.push_back(executor.input_shape(i));
  }
  for (size_t o = 0; o < executor.num_outputs(); ++o) {
    request->output_shapes.push_back(executor.output_shape(o));
  }
}

absl::Status LitertModel::State::Compile(const Request& request) {
  LS_RETURN_IF_ERROR(Check(library->CreateOptions(&options), "make its options"));
  LS_RETURN_IF_ERROR(
      Check(library->SetOptionsHardwareAccelerators(options, kCpu), "choose the processor"));
  const std::string text = fmt::format("num_threads = {}\nkernel_mode = \"{}\"\n",
                                       request.num_threads, ModeText(request.litert.kernels));
  char* payload = ::strdup(text.c_str());
  if (payload == nullptr) return absl::ResourceExhaustedError("out of memory");
  litert::OpaqueOptions* opaque = nullptr;
  const litert::Status made = library->CreateOpaqueOptions(
      "xnnpack", payload, [](void* p) { std::free(p); }, &opaque);
  if (made != 0) {
    std::free(payload);
    return Check(made, "take its number of threads");
  }
  const litert::Status added = library->AddOpaqueOptions(options, opaque);
  if (added != 0) {
    library->DestroyOpaqueOptions(opaque);
    return Check(added, "take its number of threads");
  }
  return Check(library->CreateCompiledModel(environment, model, options, &compiled),
               "prepare the model");
}

absl::Status LitertModel::State::Resize(const Graph& graph, const Request& request) {
  if (request.input_shapes.size() != inputs.size()) {
    return Invalid("{} shapes are given for {} inputs", request.input_shapes.size(), inputs.size());
  }
  for (Index i = 0; i < inputs.size(); ++i) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(graph.main().inputs[i])];
    const Shape& wanted = request.input_shapes[i];
    if (wanted.size() > litert::kMaxRank) return TooManyDimensions();
    SetShape(wanted, &inputs[i]);
    if (wanted == tensor.shape) continue;
    const std::vector<int> dims(wanted.begin(), wanted.end());
    LS_RETURN_IF_ERROR(Check(
        library->CompiledModelResizeInputTensor(compiled, kSignature, i, dims.data(), dims.size()),
        "take this shape of an input"));
  }
  return absl::OkStatus();
}

absl::Status LitertModel::State::ShapeOutputs(const Request& request) {
  if (request.output_shapes.size() != outputs.size()) {
    return Invalid("{} shapes are given for {} outputs", request.output_shapes.size(),
                   outputs.size());
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (request.output_shapes[o].size() > litert::kMaxRank) return TooManyDimensions();
    SetShape(request.output_shapes[o], &outputs[o]);
  }
  return absl::OkStatus();
}

// Checked after the first run: LiteRT knows the shapes behind a RESHAPE by a computed shape only
// then.
absl::Status LitertModel::State::CheckOutputShapes() const {
  std::vector<litert::Layout> layouts(outputs.size());
  LS_RETURN_IF_ERROR(Check(library->GetCompiledModelOutputTensorLayouts(
                               compiled, kSignature, layouts.size(), layouts.data(), false),
                           "tell the shapes of the outputs"));
  for (size_t o = 0; o < outputs.size(); ++o) {
    const litert::Layout& wanted = outputs[o].type.layout;
    if (layouts[o].rank == wanted.rank &&
        std::equal(wanted.dimensions, wanted.dimensions + wanted.rank, layouts[o].dimensions)) {
      continue;
    }
    return Invalid("LiteRT gives '{}' another shape than {}", Printable(outputs[o].name),
                   ShapeString(outputs[o].shape));
  }
  return absl::OkStatus();
}

absl::Status LitertModel::State::MakeBuffers(bool input, const Graph& graph) {
  auto& values = input ? inputs : outputs;
  for (Index i = 0; i < values.size(); ++i) {
    Value& v = values[i];
    const auto t = static_cast<size_t>(input ? graph.main().inputs[i] : graph.main().outputs[i]);
    LS_ASSIGN_OR_RETURN(v.bytes, TensorBytes(graph.main().tensors[t].type, v.shape));
    // What LiteRT says of the size it needs is that of before a change of shape.
    const size_t size = (v.bytes / kAlignment + 1) * kAlignment;
    LS_RETURN_IF_ERROR(Check(
        library->CreateManagedTensorBuffer(environment, kHostMemory, &v.type, size, &v.buffer),
        "make memory for its inputs and outputs"));
    void* memory = nullptr;
    LS_RETURN_IF_ERROR(
        Check(library->GetTensorBufferHostMemory(v.buffer, &memory), "map its memory"));
    if (memory == nullptr) return Unsupported("LiteRT gives '{}' no memory", Printable(v.name));
    v.memory = static_cast<std::byte*>(memory);
    (input ? input_buffers : output_buffers).push_back(v.buffer);
  }
  return absl::OkStatus();
}

LitertModel::LitertModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
LitertModel::~LitertModel() = default;

absl::StatusOr<std::unique_ptr<LitertModel>> LitertModel::Create(const std::string& file,
                                                                 const Graph& graph,
                                                                 const Request& request) {
  auto state = std::make_unique<State>();
  LS_ASSIGN_OR_RETURN(state->library, Library::Load(request.litert.library));
  LS_RETURN_IF_ERROR(state->Load(file));
  LS_RETURN_IF_ERROR(state->ReadSignature(graph));
  LS_RETURN_IF_ERROR(state->Compile(request));
  LS_RETURN_IF_ERROR(state->Resize(graph, request));
  LS_RETURN_IF_ERROR(state->ShapeOutputs(request));
  LS_RETURN_IF_ERROR(state->MakeBuffers(true, graph));
  LS_RETURN_IF_ERROR(state->MakeBuffers(false, graph));
  return std::unique_ptr<LitertModel>(new LitertModel(std::move(state)));
}

size_t LitertModel::num_inputs() const { return state_->inputs.size(); }
size_t LitertModel::num_outputs() const { return state_->outputs.size(); }

std::span<std::byte> LitertModel::input(size_t i) {
  return {state_->inputs[i].memory, state_->inputs[i].bytes};
}

std::span<const std::byte> LitertModel::output(size_t i) const {
  return {state_->outputs[i].memory, state_->outputs[i].bytes};
}

const Shape& LitertModel::output_shape(size_t i) const { return state_->outputs[i].shape; }

absl::Status LitertModel::Run() {
  State& s = *state_;
  LS_RETURN_IF_ERROR(
      Check(s.library->RunCompiledModel(s.compiled, kSignature, s.input_buffers.size(),
                                        s.input_buffers.data(), s.output_buffers.size(),
                                        s.output_buffers.data()),
            "run the model"));
  if (s.shapes_checked) return absl::OkStatus();
  s.shapes_checked = true;
  return s.CheckOutputShapes();
}

std::string LitertModel::Name() const {
  const std::string& version = state_->library->version;
  return version.empty() ? "LiteRT" : "LiteRT " + version;
}

}  // namespace litesmith
