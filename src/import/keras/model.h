#ifndef LITESMITH_IMPORT_KERAS_MODEL_H_
#define LITESMITH_IMPORT_KERAS_MODEL_H_

// A Keras architecture as its configuration describes it, in one form for Sequential and functional
// models of Keras 2 and 3.

#include <string>
#include <vector>

#include "base/status.h"
#include "import/keras/json.h"

namespace litesmith::keras {

// Whether the class is a model's, whose layers can be read.
bool IsModel(std::string_view class_name);

// Output `tensor` of call `call` of layer `layer` (an index into ModelConfig::layers).
struct TensorRef {
  size_t layer = 0;
  size_t call = 0;
  size_t tensor = 0;
};

// An argument of a call: a tensor, or a constant of the configuration.
struct Argument {
  std::string name;  // of a keyword argument, else empty
  const Json* constant = nullptr;
  TensorRef ref;  // when constant is null
};

struct LayerCall {
  std::vector<Argument> arguments;  // lists of tensors are flattened
};

struct LayerConfig {
  std::string class_name;
  std::string name;
  std::string counted_name;  // the folder of its weights in Keras 3's layout
  const Json* config = nullptr;
  std::vector<LayerCall> calls;

  bool is_input() const { return class_name == "InputLayer"; }
};

struct ModelConfig {
  std::string name;
  std::vector<LayerConfig> layers;
  std::vector<TensorRef> inputs, outputs;
  std::vector<std::string> output_names;  // of a model that returns a dictionary, else empty
  // A Sequential model whose first layer tells the input's shape has no InputLayer: then `inputs`
  // is empty, the first layer's calls read nothing, and this is the shape (or null).
  const Json* input_shape = nullptr;
  std::string input_dtype;
};

// `model` is {"class_name": "Sequential" …, "config": {…}} and must outlive the result.
absl::StatusOr<ModelConfig> ReadModel(const Json& model);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_MODEL_H_
