// ConvLSTM1D and ConvLSTM2D (Shi et al. 2015): an LSTM whose products are convolutions, unrolled.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

constexpr int32_t kMaxSteps = 2048;

struct Settings {
  Window input, state;  // the convolutions of the input and of the state
  int32_t filters = 1;
  bool use_bias = true, backwards = false, sequences = false, return_state = false;
  std::string activation, gate;
};

absl::StatusOr<Settings> ReadSettings(LayerContext& c, size_t dimensions) {
  Settings s;
  s.input = Window::Read(c.config, dimensions);
  s.state = {s.input.kernel, {1, 1}, {1, 1}, schema::Padding_SAME};
  s.filters = c.config.Int("filters", 1, kMaxWindow);
  s.use_bias = c.config.Bool("use_bias", true);
  s.backwards = c.config.Bool("go_backwards", false);
  s.sequences = c.config.Bool("return_sequences", false);
  s.return_state = c.config.Bool("return_state", false);
  const Json* activation = c.config.Find("activation");
  const Json* gate = c.config.Find("recurrent_activation");
  s.activation = activation == nullptr ? "tanh" : ObjectName(*activation);
  s.gate = gate == nullptr ? "sigmoid" : ObjectName(*gate);
  if (c.config.Bool("stateful", false)) {
    return Unsupported(
        "a .tflite keeps no state between calls; save the layer with stateful=False");
  }
  LS_RETURN_IF_ERROR(c.status());
  return s;
}

// {kernel, bias, recurrent kernel, zeros}, outputs first.
absl::StatusOr<std::vector<int32_t>> TakeWeights(LayerContext& c, const Settings& s,
                                                 int32_t channels, size_t dimensions) {
  return c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
    const int32_t width = c.Size(int64_t{4} * s.filters);
    LS_RETURN_IF_ERROR(c.status());
    const int32_t h = s.input.kernel[0], w = s.input.kernel[1];
    WeightScope scope = c.weights.Part("cell");
    LS_ASSIGN_OR_RETURN(const auto kernels, scope.Take({"kernel", "recurrent_kernel"}));
    Shape of_input = {h, w, channels, width}, of_state = {h, w, s.filters, width};
    if (dimensions == 1) {
      of_input.erase(of_input.begin());
      of_state.erase(of_state.begin());
    }
    LS_RETURN_IF_ERROR(CheckWeight(kernels[0], of_input, "kernel"));
    LS_RETURN_IF_ERROR(CheckWeight(kernels[1], of_state, "recurrent_kernel"));
    const auto outputs = static_cast<size_t>(width);
    std::vector<float> bias(outputs, 0.0f);
    const std::vector<float> zeros = bias;
    if (s.use_bias) {
      LS_ASSIGN_OR_RETURN(const auto weight, scope.Take({"bias"}));
      LS_RETURN_IF_ERROR(CheckWeight(weight[0], {width}, "bias"));
      bias = weight[0].values;
    }
    std::vector<int32_t> out(4);
    LS_ASSIGN_OR_RETURN(out[0], c.Constant("kernel", {width, h, w, channels},
                                           OutputFirst(kernels[0].values, outputs)));
    LS_ASSIGN_OR_RETURN(out[1], c.Constant("bias", {width}, bias));
    LS_ASSIGN_OR_RETURN(out[2], c.Constant("recurrent_kernel", {width, h, w, s.filters},
                                           OutputFirst(kernels[1].values, outputs)));
    LS_ASSIGN_OR_RETURN(out[3], c.Constant("zeros", {width}, zeros));
    return out;
  });
}

// One step on the sums of the gates i, f, c, o; h and c are -1 while they are zero.
absl::Status Advance(LayerContext& c, const Settings& s, int32_t sums, int32_t* h, int32_t* cell) {
  Shape shape = c.shape(sums);
  shape.back() = s.filters;
  schema::SplitOptionsT options;
  options.num_splits = 4;
  const int32_t axis = c.graph().Constant(c.Named("axis"), {}, std::vector<int32_t>{3});
  const std::vector<int32_t> parts = c.AddMany(schema::BuiltinOperator_SPLIT, std::move(options),
                                               {axis, sums}, "split", std::vector<Shape>(4, shape));
  LS_ASSIGN_OR_RETURN(const int32_t i, Activate(c, s.gate, parts[0]));
  LS_ASSIGN_OR_RETURN(const int32_t candidate, Activate(c, s.activation, parts[2]));
  LS_ASSIGN_OR_RETURN(const int32_t o, Activate(c, s.gate, parts[3]));
  LS_ASSIGN_OR_RETURN(int32_t next, c.Binary(schema::BuiltinOperator_MUL, i, candidate, "mul"));
  if (*cell >= 0) {
    LS_ASSIGN_OR_RETURN(const int32_t f, Activate(c, s.gate, parts[1]));
    LS_ASSIGN_OR_RETURN(const int32_t kept, c.Binary(schema::BuiltinOperator_MUL, f, *cell, "mul"));
    LS_ASSIGN_OR_RETURN(next, c.Binary(schema::BuiltinOperator_ADD, kept, next, "add"));
  }
  *cell = next;
  LS_ASSIGN_OR_RETURN(const int32_t out, Activate(c, s.activation, next));
  LS_ASSIGN_OR_RETURN(*h, c.Binary(schema::BuiltinOperator_MUL, o, out, "mul"));
  return absl::OkStatus();
}

// Without the row that a layer of one dimension has not: the third dimension from the end.
absl::StatusOr<int32_t> WithoutRow(LayerContext& c, int32_t x) {
  Shape shape = c.shape(x);
  shape.erase(shape.end() - 3);
  return c.Reshape(x, shape, "Squeeze");
}

template <size_t kDimensions>
absl::StatusOr<std::vector<int32_t>> ConvLstm(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 3));
  LS_ASSIGN_OR_RETURN(const int32_t steps, c.KnownDim(1));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(kDimensions + 2));
  if (steps > kMaxSteps) return Unsupported("{} steps are too many ({} at most)", steps, kMaxSteps);
  if (c.inputs().size() != 1 || c.Keyword("initial_state") != nullptr ||
      c.Keyword("mask") != nullptr || c.mask(0) != nullptr) {
    return Unsupported("it is called with an initial state or a mask");
  }
  LS_ASSIGN_OR_RETURN(const Settings s, ReadSettings(c, kDimensions));
  LS_ASSIGN_OR_RETURN(const std::vector<int32_t> weights, TakeWeights(c, s, channels, kDimensions));
  int32_t all = c.input();
  if (kDimensions == 1) {
    const Shape line = c.in_shape();
    LS_ASSIGN_OR_RETURN(all, c.Reshape(all, {line[0], line[1], 1, line[2], line[3]}, "ExpandDims"));
  }
  const Shape in = c.shape(all);
  schema::UnpackOptionsT unpack;
  unpack.num = steps;
  unpack.axis = 1;
  const std::vector<int32_t> pictures =
      c.AddMany(schema::BuiltinOperator_UNPACK, std::move(unpack), {all}, "unpack",
                std::vector<Shape>(static_cast<size_t>(steps), {in[0], in[2], in[3], in[4]}));
  int32_t h = -1, cell = -1;
  std::vector<int32_t> outputs;
  for (int32_t t = 0; t < steps; ++t) {
    const int32_t x = pictures[static_cast<size_t>(s.backwards ? steps - 1 - t : t)];
    int32_t sums = AddConv(c, x, {weights[0], weights[1]}, s.input, 4 * s.filters, "input");
    LS_RETURN_IF_ERROR(c.status());
    if (h >= 0) {
      const int32_t product =
          AddConv(c, h, {weights[2], weights[3]}, s.state, 4 * s.filters, "recurrent");
      LS_ASSIGN_OR_RETURN(sums, c.Binary(schema::BuiltinOperator_ADD, sums, product, "add"));
    }
    LS_RETURN_IF_ERROR(Advance(c, s, sums, &h, &cell));
    outputs.push_back(h);
  }
  std::vector<int32_t> result = {h};
  if (s.sequences) {
    Shape shape = c.shape(h);
    shape.insert(shape.begin() + 1, steps);
    schema::PackOptionsT pack;
    pack.values_count = steps;
    pack.axis = 1;
    result[0] = c.Add(schema::BuiltinOperator_PACK, std::move(pack), outputs, "pack", shape);
  }
  if (s.return_state) result.insert(result.end(), {h, cell});
  for (int32_t& t : result) {
    if (kDimensions == 2) break;
    LS_ASSIGN_OR_RETURN(t, WithoutRow(c, t));
  }
  return result;
}

}  // namespace

std::vector<LayerKind> ConvLstmLayers() {
  return {{.class_name = "ConvLSTM1D", .convert_many = ConvLstm<1>},
          {.class_name = "ConvLSTM2D", .convert_many = ConvLstm<2>}};
}

}  // namespace litesmith::keras
