#ifndef LITESMITH_TESTS_TRAIN_SMALL_NETWORK_H_
#define LITESMITH_TESTS_TRAIN_SMALL_NETWORK_H_

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/graph_builder.h"

namespace litesmith::testing {

// A builder with random weights.
class NetworkBuilder : public GraphBuilder {
 public:
  explicit NetworkBuilder(uint64_t seed) : random(seed) {}

  int32_t Random(const std::string& name, Shape shape, double limit = 0.5) {
    std::vector<float> values(static_cast<size_t>(NumElements(shape)));
    for (float& v : values) v = static_cast<float>(random.Uniform(-limit, limit));
    return Floats(name, std::move(shape), values);
  }
  const Shape& shape(int32_t t) { return graph().main().tensors[static_cast<size_t>(t)].shape; }

  // CONV_2D, SAME, stride 1.
  int32_t Conv(const std::string& name, int32_t x, int32_t out, int32_t size = 3,
               schema::ActivationFunctionType activation = schema::ActivationFunctionType_RELU) {
    schema::Conv2DOptionsT options;
    options.padding = schema::Padding_SAME;
    options.stride_h = options.stride_w = 1;
    options.fused_activation_function = activation;
    Shape to = shape(x);
    const int32_t in = to[3];
    to[0] = -1;
    to[3] = out;
    return Op(schema::BuiltinOperator_CONV_2D, name,
              {x, Random(name + "/w", {out, size, size, in}), Random(name + "/b", {out})},
              std::move(to), Options(options));
  }
  int32_t Dense(const std::string& name, int32_t x, int32_t out, bool relu = true) {
    schema::FullyConnectedOptionsT options;
    if (relu) options.fused_activation_function = schema::ActivationFunctionType_RELU;
    return Op(schema::BuiltinOperator_FULLY_CONNECTED, name,
              {x, Random(name + "/w", {out, shape(x).back()}), Random(name + "/b", {out})},
              {-1, out}, Options(options));
  }
  int32_t MaxPool(const std::string& name, int32_t x) {
    schema::Pool2DOptionsT pool;
    pool.padding = schema::Padding_VALID;
    pool.stride_h = pool.stride_w = pool.filter_height = pool.filter_width = 2;
    const Shape from = shape(x);
    return Op(schema::BuiltinOperator_MAX_POOL_2D, name, {x},
              {-1, from[1] / 2, from[2] / 2, from[3]}, Options(pool));
  }
  int32_t Flatten(const std::string& name, int32_t x) {
    const Shape from = shape(x);
    const int32_t size = from[1] * from[2] * from[3];
    return Op(schema::BuiltinOperator_RESHAPE, name, {x, Ints(name + "/shape", {2}, {-1, size})},
              {-1, size});
  }
  int32_t Softmax(const std::string& name, int32_t x) {
    schema::SoftmaxOptionsT softmax;
    softmax.beta = 1.0f;
    Shape to = shape(x);
    to[0] = -1;
    return Op(schema::BuiltinOperator_SOFTMAX, name, {x}, std::move(to), Options(softmax));
  }

  litesmith::Random random;
};

// 12x12 pictures -> conv 8, relu -> max pool -> dense 12, relu -> dense `classes` -> softmax.
inline Graph SmallPictureNetwork(int classes, uint64_t seed) {
  NetworkBuilder b(seed);
  int32_t x = b.Conv("conv", b.Input("x", {-1, 12, 12, 1}), 8);
  x = b.Dense("dense", b.Flatten("flat", b.MaxPool("pool", x)), 12);
  b.Output(b.Softmax("out", b.Dense("logits", x, classes, false)));
  return b.graph();
}

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TRAIN_SMALL_NETWORK_H_
