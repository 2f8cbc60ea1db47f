#include <cmath>

#include "base/random.h"
#include "train/train.h"

namespace litesmith {
namespace {

// Uniform in +-sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010).
std::vector<float> GlorotUniform(size_t count, size_t fan_in, size_t fan_out, Random* random) {
  const double limit = std::sqrt(6.0 / static_cast<double>(fan_in + fan_out));
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random->Uniform(-limit, limit));
  return values;
}

class NetworkBuilder {
 public:
  explicit NetworkBuilder(uint64_t seed) : random_(Random::ForKey(seed, 0)) {
    graph_.subgraphs.resize(1);
    graph_.main().name = "main";
  }

  int32_t Value(std::string name, Shape shape) {
    Tensor tensor;
    tensor.name = std::move(name);
    tensor.shape_signature = shape;
    for (int32_t& d : shape) d = d < 0 ? 1 : d;
    tensor.shape = std::move(shape);
    return graph_.main().AddTensor(std::move(tensor));
  }
  int32_t Weights(const std::string& name, const Shape& shape, size_t fan_in, size_t fan_out) {
    const int32_t t = Value(name, shape);
    const auto count = static_cast<size_t>(NumElements(shape));
    At(t).shape_signature.clear();
    At(t).data = Blob::Of(GlorotUniform(count, fan_in, fan_out, &random_));
    return t;
  }
  int32_t Zeros(const std::string& name, int32_t count) {
    const int32_t t = Value(name, {count});
    At(t).shape_signature.clear();
    At(t).data = Blob::Of(std::vector<float>(static_cast<size_t>(count), 0.0f));
    return t;
  }
  int32_t Integers(const std::string& name, const std::vector<int32_t>& values) {
    const int32_t t = Value(name, {static_cast<int32_t>(values.size())});
    At(t).type = schema::TensorType_INT32;
    At(t).shape_signature.clear();
    At(t).data = Blob::Of(values);
    return t;
  }
  int32_t Layer(schema::BuiltinOperator op, const std::string& name, std::vector<int32_t> inputs,
                Shape shape, Options options) {
    Node node;
    node.op = op;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {Value(name, std::move(shape))};
    node.options = std::move(options);
    graph_.main().nodes.push_back(std::move(node));
    return graph_.main().nodes.back().outputs[0];
  }
  int32_t Dense(const std::string& name, int32_t input, int32_t units, int32_t depth,
                schema::ActivationFunctionType activation) {
    schema::FullyConnectedOptionsT options;
    options.fused_activation_function = activation;
    const auto fan_in = static_cast<size_t>(depth), fan_out = static_cast<size_t>(units);
    const int32_t weights = Weights(name + "/kernel", {units, depth}, fan_in, fan_out);
    const int32_t bias = Zeros(name + "/bias", units);
    return Layer(schema::BuiltinOperator_FULLY_CONNECTED, name, {input, weights, bias}, {-1, units},
                 Options(options));
  }
  Graph Finish(int32_t input, int32_t output) {
    graph_.main().inputs = {input};
    graph_.main().outputs = {output};
    Signature signature;
    signature.key = "serving_default";
    signature.inputs = {{At(input).name, input}};
    signature.outputs = {{At(output).name, output}};
    graph_.signatures.push_back(std::move(signature));
    return std::move(graph_);
  }

 private:
  Tensor& At(int32_t t) { return graph_.main().tensors[static_cast<size_t>(t)]; }

  Graph graph_;
  Random random_;
};

}  // namespace

Graph MnistNetwork(uint64_t seed) {
  NetworkBuilder b(seed);
  const int32_t input = b.Value("image", {-1, 28, 28, 1});
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_VALID;
  conv.stride_h = conv.stride_w = 1;
  conv.fused_activation_function = schema::ActivationFunctionType_RELU;
  int32_t x =
      b.Layer(schema::BuiltinOperator_CONV_2D, "conv2d",
              {input, b.Weights("conv2d/kernel", {8, 3, 3, 1}, 9, 72), b.Zeros("conv2d/bias", 8)},
              {-1, 26, 26, 8}, Options(conv));
  schema::Pool2DOptionsT pool;
  pool.padding = schema::Padding_VALID;
  pool.stride_h = pool.stride_w = pool.filter_height = pool.filter_width = 2;
  x = b.Layer(schema::BuiltinOperator_MAX_POOL_2D, "max_pooling2d", {x}, {-1, 13, 13, 8},
              Options(pool));
  schema::ReshapeOptionsT flatten;
  flatten.new_shape = {-1, 1352};
  x = b.Layer(schema::BuiltinOperator_RESHAPE, "flatten",
              {x, b.Integers("flatten/shape", {-1, 1352})}, {-1, 1352}, Options(flatten));
  x = b.Dense("dense", x, 16, 1352, schema::ActivationFunctionType_RELU);
  x = b.Dense("dense_1", x, 10, 16, schema::ActivationFunctionType_NONE);
  schema::SoftmaxOptionsT softmax;
  softmax.beta = 1.0f;
  x = b.Layer(schema::BuiltinOperator_SOFTMAX, "softmax", {x}, {-1, 10}, Options(softmax));
  return b.Finish(input, x);
}

}  // namespace litesmith
