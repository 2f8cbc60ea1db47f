// Recurrent operators in all their forms, and a few whose gradients stand alone.

#include <string>
#include <utility>

#include "tests/train/gradient_cases.h"

namespace litesmith::testing {
namespace {

using schema::ActivationFunctionType;
using Ints = std::vector<int32_t>;

constexpr int32_t kBatches = 2, kSteps = 3, kInputs = 4, kCells = 5;

// What an LSTM has beside its plain parts.
struct LstmParts {
  bool time_major = false, cifg = false, peephole = false, layer_norm = false, diagonal = false;
  int32_t outputs = kCells;  // fewer: a projection
  bool projection_bias = false;
  float cell_clip = 0.0f, projection_clip = 0.0f;
  ActivationFunctionType activation = schema::ActivationFunctionType_TANH;

  Shape Sequence(int32_t width) const {
    return time_major ? Shape{kSteps, kBatches, width} : Shape{kBatches, kSteps, width};
  }
};

// Where the operands of a direction begin.
struct LstmPlaces {
  size_t weights = 1, recurrent = 5, peephole = 9, bias = 12, projection = 16;
  size_t output_state = 18, cell_state = 19;
  size_t layer_norm = 20;
};

int32_t State(GraphBuilder* b, const std::string& name, Shape shape) {
  const int32_t t = b->Value(name, std::move(shape));
  b->graph().main().tensors[static_cast<size_t>(t)].is_variable = true;
  return t;
}

void AddDirection(GraphBuilder* b, const LstmParts& parts, const LstmPlaces& at, uint64_t seed,
                  Ints* inputs) {
  const std::string name = std::to_string(seed);
  const auto add = [&](size_t i, const std::string& what, Shape shape) {
    (*inputs)[i] = Small(b, what + name, std::move(shape), seed + i);
  };
  for (size_t g = parts.cifg ? 1 : 0; g < 4; ++g) {
    const std::string gate = std::to_string(g) + "_";
    add(at.weights + g, "w" + gate, {kCells, kInputs});
    add(at.recurrent + g, "r" + gate,
        parts.diagonal ? Shape{kCells} : Shape{kCells, parts.outputs});
    add(at.bias + g, "b" + gate, {kCells});
    if (parts.layer_norm) add(at.layer_norm + g, "n" + gate, {kCells});
  }
  for (size_t g = parts.cifg ? 1 : 0; parts.peephole && g < 3; ++g) {
    add(at.peephole + g, "p" + std::to_string(g) + "_", {kCells});
  }
  if (parts.outputs != kCells) add(at.projection, "projection", {parts.outputs, kCells});
  if (parts.projection_bias) add(at.projection + 1, "projection_bias", {parts.outputs});
  (*inputs)[at.output_state] = State(b, "output" + name, {kBatches, parts.outputs});
  (*inputs)[at.cell_state] = State(b, "cell" + name, {kBatches, kCells});
}

GradientCase Lstm(const std::string& name, const LstmParts& parts) {
  // A step over one of ReLU's kinks has no derivative to compare with.
  const double step = parts.activation == schema::ActivationFunctionType_RELU ? 2e-4 : 5e-3;
  return {name,
          [=](GraphBuilder* b) {
            Ints inputs(parts.layer_norm ? 24 : 20, -1);
            inputs[0] = Small(b, "x", parts.Sequence(kInputs), 60);
            AddDirection(b, parts, {}, 61, &inputs);
            schema::UnidirectionalSequenceLSTMOptionsT options;
            options.fused_activation_function = parts.activation;
            options.time_major = parts.time_major;
            options.cell_clip = parts.cell_clip;
            options.proj_clip = parts.projection_clip;
            options.diagonal_recurrent_tensors = parts.diagonal;
            return b->Op(schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM, "y", inputs,
                         parts.Sequence(parts.outputs), Options(options));
          },
          step};
}

// `aux`: an auxiliary input with weights of its own.
GradientCase Bidirectional(const std::string& name, const LstmParts& parts, bool aux) {
  return {name,
          [=](GraphBuilder* b) {
            Ints inputs(48, -1);
            inputs[0] = Small(b, "x", parts.Sequence(kInputs), 90);
            LstmPlaces forward, backward;
            forward.output_state = 35;
            forward.cell_state = 36;
            backward = {18, 22, 26, 29, 33, 37, 38, 0};
            AddDirection(b, parts, forward, 91, &inputs);
            AddDirection(b, parts, backward, 191, &inputs);
            if (aux) {
              inputs[39] = Small(b, "aux", parts.Sequence(2), 291);
              for (size_t i = parts.cifg ? 41 : 40; i < 48; ++i) {
                if (parts.cifg && i == 44) continue;
                inputs[i] = Small(b, "a" + std::to_string(i), {kCells, 2}, 300 + i);
              }
            }
            schema::BidirectionalSequenceLSTMOptionsT options;
            options.fused_activation_function = parts.activation;
            options.time_major = parts.time_major;
            options.merge_outputs = true;
            return b->Op(schema::BuiltinOperator_BIDIRECTIONAL_SEQUENCE_LSTM, "y", inputs,
                         parts.Sequence(2 * parts.outputs), Options(options));
          },
          5e-3};
}

void AddLstms(std::vector<GradientCase>* cases) {
  const auto add = [&](const std::string& name, const LstmParts& parts) {
    cases->push_back(Lstm("LSTM " + name, parts));
  };
  add("plain", {});
  add("time major", {.time_major = true});
  add("cifg", {.cifg = true});
  add("peephole", {.peephole = true});
  add("layer norm", {.layer_norm = true});
  add("projection", {.outputs = 3, .projection_bias = true});
  add("diagonal", {.diagonal = true});
  add("relu", {.activation = schema::ActivationFunctionType_RELU});
  // Clipped well inside and well beyond what is reached.
  add("clips", {.outputs = 3, .cell_clip = 5.0f, .projection_clip = 5.0f});
  add("all", {.time_major = true,
              .cifg = true,
              .peephole = true,
              .layer_norm = true,
              .outputs = 3,
              .projection_bias = true});
  cases->push_back(Bidirectional("BIDIRECTIONAL plain", {}, false));
  cases->push_back(Bidirectional("BIDIRECTIONAL aux", {.time_major = true}, true));
  cases->push_back(
      Bidirectional("BIDIRECTIONAL all", {.cifg = true, .peephole = true, .outputs = 3}, true));
}

GradientCase Rnn(const std::string& name, bool time_major, ActivationFunctionType activation) {
  return {"RNN " + name,
          [=](GraphBuilder* b) {
            const LstmParts parts{.time_major = time_major};
            const Ints inputs = {Small(b, "x", parts.Sequence(kInputs), 400),
                                 Small(b, "w", {kCells, kInputs}, 401),
                                 Small(b, "r", {kCells, kCells}, 402), Small(b, "b", {kCells}, 403),
                                 State(b, "state", {kBatches, kCells})};
            schema::SequenceRNNOptionsT options;
            options.time_major = time_major;
            options.fused_activation_function = activation;
            return b->Op(schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_RNN, "y", inputs,
                         parts.Sequence(kCells), Options(options));
          },
          5e-3};
}

GradientCase Svdf(const std::string& name, int32_t rank, bool bias) {
  return {"SVDF " + name, [=](GraphBuilder* b) {
            constexpr int32_t kFilters = 6, kMemory = 3;
            Ints inputs = {Small(b, "x", {kBatches, kInputs}, 410),
                           Small(b, "feature", {kFilters, kInputs}, 411),
                           Small(b, "time", {kFilters, kMemory}, 412),
                           bias ? Small(b, "bias", {kFilters / rank}, 413) : -1,
                           State(b, "state", {kBatches, kFilters * kMemory})};
            schema::SVDFOptionsT options;
            options.rank = rank;
            options.fused_activation_function = schema::ActivationFunctionType_TANH;
            return b->Op(schema::BuiltinOperator_SVDF, "y", inputs, {kBatches, kFilters / rank},
                         Options(options));
          }};
}

GradientCase Conv3D(const std::string& name, bool same, int stride, int dilation, bool relu) {
  return {"CONV_3D " + name,
          [=](GraphBuilder* b) {
            schema::Conv3DOptionsT options;
            options.padding = same ? schema::Padding_SAME : schema::Padding_VALID;
            options.stride_d = options.stride_h = options.stride_w = stride;
            options.dilation_d_factor = options.dilation_h_factor = options.dilation_w_factor =
                dilation;
            if (relu) options.fused_activation_function = schema::ActivationFunctionType_RELU;
            const int32_t out = same ? (4 + stride - 1) / stride : 4 - dilation;
            return b->Op(schema::BuiltinOperator_CONV_3D, "y",
                         {Small(b, "x", {2, 4, 4, 4, 2}, 420), Small(b, "w", {2, 2, 2, 2, 3}, 421),
                          b->Ramp("b", {3}, -0.2f, 0.15f)},
                         {2, out, out, out, 3}, Options(options));
          },
          relu ? 1e-4 : 1e-2};
}

GradientCase Product(const std::string& name, Ints axes, Shape out, bool zeros) {
  return {"REDUCE_PROD " + name, [=](GraphBuilder* b) {
            const int32_t x =
                zeros ? b->Floats("x", {2, 3, 2}, {0, 1, 0.5f, 0, 2, 0, 3, 1, 2, 0.5f, 1, 4})
                      : Small(b, "x", {2, 3, 2}, 430);
            schema::ReducerOptionsT options;
            return b->Op(schema::BuiltinOperator_REDUCE_PROD, "y",
                         {x, b->Ints("axes", {static_cast<int32_t>(axes.size())}, axes)}, out,
                         Options(options));
          }};
}

void AddOthers(std::vector<GradientCase>* cases) {
  cases->push_back(Product("inner", {2}, {2, 3}, false));
  cases->push_back(Product("outer", {0, 1}, {2}, false));
  cases->push_back(Product("zeros", {1}, {2, 2}, true));
  cases->push_back({"LOCAL_RESPONSE_NORMALIZATION",
                    [](GraphBuilder* b) {
                      schema::LocalResponseNormalizationOptionsT options;
                      options.radius = 2;
                      options.bias = 1.5f;
                      options.alpha = 0.7f;
                      options.beta = 0.6f;
                      return b->Op(schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION, "y",
                                   {Spread(b, "x", {1, 2, 2, 7}, 440)}, {1, 2, 2, 7},
                                   Options(options));
                    },
                    1e-3});
  // Two updates meet.
  cases->push_back({"SCATTER_ND", [](GraphBuilder* b) {
                      return b->Op(
                          schema::BuiltinOperator_SCATTER_ND, "y",
                          {b->Ints("where", {3, 1}, {2, 0, 2}), Small(b, "updates", {3, 4}, 450),
                           b->Ints("shape", {2}, {5, 4})},
                          {5, 4});
                    }});
  // The second start is moved back inside.
  cases->push_back({"DYNAMIC_UPDATE_SLICE", [](GraphBuilder* b) {
                      return b->Op(schema::BuiltinOperator_DYNAMIC_UPDATE_SLICE, "y",
                                   {Small(b, "x", {4, 5}, 460), Small(b, "update", {2, 3}, 461),
                                    b->Ints("start", {2}, {1, 9})},
                                   {4, 5});
                    }});
}

}  // namespace

void AddRecurrentGradientCases(std::vector<GradientCase>* cases) {
  AddLstms(cases);
  cases->push_back(Rnn("tanh", false, schema::ActivationFunctionType_TANH));
  cases->push_back(Rnn("time major", true, schema::ActivationFunctionType_NONE));
  cases->push_back(Svdf("plain", 1, true));
  cases->push_back(Svdf("rank 2", 2, false));
  cases->push_back(Conv3D("valid", false, 1, 1, false));
  cases->push_back(Conv3D("same stride", true, 2, 1, false));
  cases->push_back(Conv3D("dilation relu", false, 1, 2, true));
  AddOthers(cases);
}

}  // namespace litesmith::testing
