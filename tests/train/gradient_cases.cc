#include "tests/train/gradient_cases.h"

#include <numeric>

namespace litesmith::testing {

// At least 0.05 apart and from 0, +-1 and 6, in random order: no finite difference
// of 0.01 meets a kink or changes an order. At most 200 of them.
int32_t Spread(GraphBuilder* b, const std::string& name, Shape shape, uint64_t seed, float low) {
  const auto count = static_cast<size_t>(NumElements(shape));
  std::vector<float> values;
  for (float x = low; values.size() < std::max<size_t>(count, 80); x += 0.05f) {
    values.push_back(x + 0.025f);
  }
  Random random(seed);
  random.Shuffle(std::span(values));
  values.resize(count);
  return b->Floats(name, std::move(shape), values);
}

int32_t Small(GraphBuilder* b, const std::string& name, Shape shape, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(NumElements(shape)));
  for (float& v : values) v = static_cast<float>(random.Uniform(-0.5, 0.5));
  return b->Floats(name, std::move(shape), values);
}

namespace {

using schema::ActivationFunctionType;
using schema::BuiltinOperator;

struct Window {
  int size, filter, stride, dilation;
  bool same;
  int output() const {
    const int reach = (filter - 1) * dilation + 1;
    return same ? (size + stride - 1) / stride : (size - reach + stride) / stride;
  }
};

template <typename T>
T WindowOptions(const Window& w, ActivationFunctionType activation) {
  T options;
  options.padding = w.same ? schema::Padding_SAME : schema::Padding_VALID;
  options.stride_h = options.stride_w = w.stride;
  options.fused_activation_function = activation;
  if constexpr (requires { options.dilation_h_factor; }) {
    options.dilation_h_factor = options.dilation_w_factor = w.dilation;
  } else {
    options.filter_height = options.filter_width = w.filter;
  }
  return options;
}

GradientCase Conv(const std::string& name, Window w, int in_c, int out_c,
                  ActivationFunctionType activation, int groups = 1, int batch = 2) {
  return {"CONV_2D " + name,
          [=](GraphBuilder* b) {
            const int32_t x = Small(b, "x", {batch, w.size, w.size, in_c}, 1);
            const int32_t f = Small(b, "w", {out_c, w.filter, w.filter, in_c / groups}, 2);
            const int32_t bias = b->Ramp("b", {out_c}, -0.3f, 0.4f);
            return b->Op(schema::BuiltinOperator_CONV_2D, "y", {x, f, bias},
                         {batch, w.output(), w.output(), out_c},
                         Options(WindowOptions<schema::Conv2DOptionsT>(w, activation)));
          },
          activation == schema::ActivationFunctionType_NONE ? 1e-2 : 1e-4};
}

GradientCase DepthwiseConv(const std::string& name, Window w, int in_c, int multiplier,
                           ActivationFunctionType activation) {
  return {"DEPTHWISE_CONV_2D " + name,
          [=](GraphBuilder* b) {
            const int32_t x = Small(b, "x", {2, w.size, w.size, in_c}, 3);
            const int32_t f = Small(b, "w", {1, w.filter, w.filter, in_c * multiplier}, 4);
            const int32_t bias = b->Ramp("b", {in_c * multiplier}, -0.3f, 0.2f);
            auto options = WindowOptions<schema::DepthwiseConv2DOptionsT>(w, activation);
            options.depth_multiplier = multiplier;
            return b->Op(schema::BuiltinOperator_DEPTHWISE_CONV_2D, "y", {x, f, bias},
                         {2, w.output(), w.output(), in_c * multiplier}, Options(options));
          },
          activation == schema::ActivationFunctionType_NONE ? 1e-2 : 1e-4};
}

GradientCase Pool(const std::string& name, BuiltinOperator op, Window w, int channels,
                  ActivationFunctionType activation = schema::ActivationFunctionType_NONE) {
  return {name, [=](GraphBuilder* b) {
            const int32_t x = Spread(b, "x", {1, w.size, w.size, channels}, 5);
            return b->Op(op, "y", {x}, {1, w.output(), w.output(), channels},
                         Options(WindowOptions<schema::Pool2DOptionsT>(w, activation)));
          }};
}

void AddWindowCases(std::vector<GradientCase>* cases) {
  constexpr auto kNone = schema::ActivationFunctionType_NONE;
  constexpr auto kRelu = schema::ActivationFunctionType_RELU;
  constexpr auto kRelu6 = schema::ActivationFunctionType_RELU6;
  constexpr auto kMax = schema::BuiltinOperator_MAX_POOL_2D;
  constexpr auto kAverage = schema::BuiltinOperator_AVERAGE_POOL_2D;
  cases->push_back(Conv("valid", {6, 3, 1, 1, false}, 1, 8, kNone));
  cases->push_back(Conv("same, relu", {5, 3, 1, 1, true}, 3, 4, kRelu));
  cases->push_back(Conv("strided", {7, 3, 2, 1, true}, 2, 3, kNone));
  cases->push_back(Conv("strided, valid, relu6", {7, 2, 3, 1, false}, 2, 3, kRelu6));
  cases->push_back(Conv("dilated", {7, 3, 1, 2, true}, 2, 3, kNone));
  cases->push_back(Conv("1x1", {4, 1, 1, 1, false}, 5, 6, kNone));
  cases->push_back(Conv("1x1 strided", {4, 1, 2, 1, true}, 5, 6, kNone));
  cases->push_back(Conv("groups", {4, 3, 1, 1, true}, 4, 6, kNone, 2));
  cases->push_back(Conv("strided groups", {5, 3, 2, 1, true}, 4, 6, kNone, 2));
  cases->push_back(Conv("many images", {3, 3, 1, 1, true}, 2, 2, kNone, 1, 40));
  cases->push_back(DepthwiseConv("same", {5, 3, 1, 1, true}, 3, 1, kNone));
  cases->push_back(DepthwiseConv("strided, relu", {5, 3, 2, 1, true}, 3, 1, kRelu));
  cases->push_back(DepthwiseConv("multiplier", {4, 3, 1, 1, false}, 2, 3, kNone));
  cases->push_back(Pool("MAX_POOL_2D tiled", kMax, {4, 2, 2, 1, false}, 8));
  cases->push_back(Pool("MAX_POOL_2D tail", kMax, {5, 2, 2, 1, false}, 3));
  cases->push_back(Pool("MAX_POOL_2D overlapping, same", kMax, {5, 3, 2, 1, true}, 5));
  cases->push_back(Pool("MAX_POOL_2D relu", kMax, {4, 2, 2, 1, false}, 2, kRelu));
  cases->push_back(Pool("MAX_POOL_2D wide", kMax, {2, 2, 2, 1, false}, 29));
  cases->push_back(Pool("AVERAGE_POOL_2D tiled", kAverage, {4, 2, 2, 1, false}, 8));
  cases->push_back(Pool("AVERAGE_POOL_2D same", kAverage, {5, 3, 2, 1, true}, 3));
  cases->push_back(Pool("AVERAGE_POOL_2D relu", kAverage, {4, 2, 2, 1, false}, 2, kRelu));
}

GradientCase Dense(const std::string& name, Shape x_shape, int units, int depth,
                   ActivationFunctionType activation, bool keep_dims, bool bias) {
  return {"FULLY_CONNECTED " + name,
          [=](GraphBuilder* b) {
            const int32_t x = Small(b, "x", x_shape, 6);
            const int32_t w = Small(b, "w", {units, depth}, 7);
            schema::FullyConnectedOptionsT options;
            options.fused_activation_function = activation;
            options.keep_num_dims = keep_dims;
            Shape out = {static_cast<int32_t>(NumElements(x_shape) / depth), units};
            if (keep_dims) {
              out = x_shape;
              out.back() = units;
            }
            std::vector<int32_t> inputs = {x, w, -1};
            if (bias) inputs[2] = b->Ramp("b", {units}, -0.3f, 0.1f);
            return b->Op(schema::BuiltinOperator_FULLY_CONNECTED, "y", inputs, out,
                         Options(options));
          },
          activation == schema::ActivationFunctionType_NONE ? 1e-2 : 1e-4};
}

template <typename T>
GradientCase Binary(const std::string& name, BuiltinOperator op, Shape a, Shape b_shape, Shape out,
                    ActivationFunctionType activation = schema::ActivationFunctionType_NONE) {
  return {name,
          [=](GraphBuilder* b) {
            T options;
            options.fused_activation_function = activation;
            const int32_t x = Spread(b, "a", a, 8);
            const int32_t y = Spread(b, "b", b_shape, 9, -1.52f);
            return b->Op(op, "y", {x, y}, out, Options(options));
          },
          activation == schema::ActivationFunctionType_NONE ? 1e-2 : 1e-4};
}

template <typename T>
void AddBinaryCases(const std::string& name, BuiltinOperator op, std::vector<GradientCase>* cases) {
  cases->push_back(Binary<T>(name + " same shape", op, {2, 9}, {2, 9}, {2, 9}));
  cases->push_back(Binary<T>(name + " row", op, {2, 3, 4}, {4}, {2, 3, 4}));
  cases->push_back(Binary<T>(name + " scalar first", op, {}, {2, 3}, {2, 3}));
  cases->push_back(Binary<T>(name + " both", op, {2, 1, 3}, {4, 1}, {2, 4, 3}));
  cases->push_back(Binary<T>(name + " channels", op, {2, 2, 2, 5}, {2, 1, 1, 5}, {2, 2, 2, 5}));
  cases->push_back(
      Binary<T>(name + " relu6", op, {2, 9}, {9}, {2, 9}, schema::ActivationFunctionType_RELU6));
}

GradientCase Unary(const std::string& name, BuiltinOperator op, Options options = {}) {
  return {name, [=](GraphBuilder* b) {
            return b->Op(op, "y", {Spread(b, "x", {3, 17}, 10)}, {3, 17}, options);
          }};
}

void AddUnaryCases(std::vector<GradientCase>* cases) {
  cases->push_back(Unary("RELU", schema::BuiltinOperator_RELU));
  cases->push_back(Unary("RELU6", schema::BuiltinOperator_RELU6));
  cases->push_back(Unary("RELU_N1_TO_1", schema::BuiltinOperator_RELU_N1_TO_1));
  cases->push_back(Unary("RELU_0_TO_1", schema::BuiltinOperator_RELU_0_TO_1));
  schema::LeakyReluOptionsT leaky;
  leaky.alpha = 0.2f;
  cases->push_back(Unary("LEAKY_RELU", schema::BuiltinOperator_LEAKY_RELU, Options(leaky)));
  cases->push_back(Unary("LOGISTIC", schema::BuiltinOperator_LOGISTIC));
  cases->push_back(Unary("TANH", schema::BuiltinOperator_TANH));
  schema::SoftmaxOptionsT softmax;
  softmax.beta = 0.7f;
  cases->push_back(Unary("SOFTMAX", schema::BuiltinOperator_SOFTMAX, Options(softmax)));
}

GradientCase Reduce(const std::string& name, BuiltinOperator op, Shape shape,
                    std::vector<int32_t> axes, Shape out, bool keep) {
  return {name, [=](GraphBuilder* b) {
            schema::ReducerOptionsT options;
            options.keep_dims = keep;
            const int32_t x = Spread(b, "x", shape, 11);
            const int32_t a = b->Ints("axes", {static_cast<int32_t>(axes.size())}, axes);
            return b->Op(op, "y", {x, a}, out, Options(options));
          }};
}

void AddReduceCases(std::vector<GradientCase>* cases) {
  for (const auto& [name, op] : std::vector<std::pair<std::string, BuiltinOperator>>{
           {"MEAN", schema::BuiltinOperator_MEAN},
           {"SUM", schema::BuiltinOperator_SUM},
           {"REDUCE_MAX", schema::BuiltinOperator_REDUCE_MAX},
           {"REDUCE_MIN", schema::BuiltinOperator_REDUCE_MIN}}) {
    cases->push_back(Reduce(name + " picture", op, {2, 3, 3, 4}, {1, 2}, {2, 4}, false));
    cases->push_back(Reduce(name + " last", op, {3, 5}, {-1}, {3, 1}, true));
    cases->push_back(Reduce(name + " outer", op, {3, 2, 4}, {0, 2}, {2}, false));
    cases->push_back(Reduce(name + " all", op, {3, 4}, {0, 1}, {}, false));
  }
}

GradientCase Join(const std::string& name, BuiltinOperator op, std::vector<Shape> shapes, Shape out,
                  Options options) {
  return {name, [=](GraphBuilder* b) {
            std::vector<int32_t> inputs;
            for (size_t i = 0; i < shapes.size(); ++i) {
              inputs.push_back(Small(b, "x" + std::to_string(i), shapes[i], 20 + i));
            }
            return b->Op(op, "y", inputs, out, options);
          }};
}

void AddMovementCases(std::vector<GradientCase>* cases) {
  cases->push_back({"RESHAPE", [](GraphBuilder* b) {
                      const int32_t x = Small(b, "x", {2, 6}, 12);
                      return b->Op(schema::BuiltinOperator_RESHAPE, "y",
                                   {x, b->Ints("s", {2}, {3, -1})}, {3, 4});
                    }});
  cases->push_back(
      {"SQUEEZE", [](GraphBuilder* b) {
         return b->Op(schema::BuiltinOperator_SQUEEZE, "y", {Small(b, "x", {2, 1, 3}, 13)}, {2, 3});
       }});
  cases->push_back({"EXPAND_DIMS", [](GraphBuilder* b) {
                      const int32_t x = Small(b, "x", {2, 3}, 14);
                      return b->Op(schema::BuiltinOperator_EXPAND_DIMS, "y",
                                   {x, b->Ints("a", {}, {1})}, {2, 1, 3});
                    }});
  schema::ConcatenationOptionsT last, middle;
  last.axis = -1;
  middle.axis = 1;
  cases->push_back(Join("CONCATENATION last", schema::BuiltinOperator_CONCATENATION,
                        {{2, 3}, {2, 5}, {2, 1}}, {2, 9}, Options(last)));
  cases->push_back(Join("CONCATENATION middle", schema::BuiltinOperator_CONCATENATION,
                        {{2, 1, 3}, {2, 2, 3}}, {2, 3, 3}, Options(middle)));
  schema::PackOptionsT pack;
  pack.axis = 1;
  pack.values_count = 3;
  cases->push_back(Join("PACK", schema::BuiltinOperator_PACK, {{2, 4}, {2, 4}, {2, 4}}, {2, 3, 4},
                        Options(pack)));
  cases->push_back({"PAD", [](GraphBuilder* b) {
                      const int32_t x = Small(b, "x", {2, 3, 2}, 15);
                      const int32_t p = b->Ints("p", {3, 2}, {0, 1, 2, 1, 1, 0});
                      return b->Op(schema::BuiltinOperator_PAD, "y", {x, p}, {3, 6, 3});
                    }});
  cases->push_back({"PADV2", [](GraphBuilder* b) {
                      const int32_t x = Small(b, "x", {2, 3}, 16);
                      const int32_t p = b->Ints("p", {2, 2}, {0, 0, 2, 1});
                      const int32_t v = b->Floats("fixed value", {}, {0.5f});
                      return b->Op(schema::BuiltinOperator_PADV2, "y", {x, p, v}, {2, 6});
                    }});
}

}  // namespace

std::vector<GradientCase> GradientCases() {
  std::vector<GradientCase> cases;
  AddWindowCases(&cases);
  constexpr auto kNone = schema::ActivationFunctionType_NONE;
  cases.push_back(Dense("plain", {5, 7}, 4, 7, kNone, false, true));
  cases.push_back(
      Dense("relu, no bias", {3, 20}, 17, 20, schema::ActivationFunctionType_RELU, false, false));
  cases.push_back(Dense("kept dimensions", {2, 3, 5}, 4, 5, kNone, true, true));
  AddBinaryCases<schema::AddOptionsT>("ADD", schema::BuiltinOperator_ADD, &cases);
  AddBinaryCases<schema::SubOptionsT>("SUB", schema::BuiltinOperator_SUB, &cases);
  AddBinaryCases<schema::MulOptionsT>("MUL", schema::BuiltinOperator_MUL, &cases);
  AddUnaryCases(&cases);
  AddReduceCases(&cases);
  AddMovementCases(&cases);
  AddMoreGradientCases(&cases);
  AddRecurrentGradientCases(&cases);
  return cases;
}

}  // namespace litesmith::testing
