#ifndef LITESMITH_IMPORT_KERAS_WEIGHTS_H_
#define LITESMITH_IMPORT_KERAS_WEIGHTS_H_

// Where the weights of a layer lie in an HDF5 file. Two layouts exist:
// - Keras 3 (.keras and .weights.h5): layers/CLASS_NAME_N/vars/0, 1 …, sub-layers in folders of
// their own;
// - Keras 2 and every whole-model .h5: a group per layer, whose attribute weight_names lists all
// its weights.

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "import/keras/hdf5.h"

namespace litesmith::keras {

struct Weight {
  std::vector<int32_t> shape;
  std::vector<float> values;
};

// The place of one layer's weights, or of a model's layers. A value; the file must outlive it.
class WeightScope {
 public:
  // The top of a file: of a model .h5 ("model_weights"), or of a weights file of either layout.
  static absl::StatusOr<WeightScope> Open(Hdf5File* file);

  // The scope of layer `name`, whose snake-case class name, counted within its model, is
  // `counted_name`.
  WeightScope Layer(std::string_view name, std::string_view counted_name) const;

  // The part of a layer that is a layer itself (an RNN's "cell"). In Keras 2's layout weights are
  // not separated by part: its parts must be asked for in the order of their weights.
  WeightScope Part(std::string_view attribute) const;

  // The same place, for a layer whose only part was stored as itself (a cell among others).
  WeightScope Itself() const;

  // The next weights, one per name (only used in messages). Errors say what is missing.
  absl::StatusOr<std::vector<Weight>> Take(const std::vector<std::string>& names);

  // How many weights are left here.
  absl::StatusOr<size_t> Count();

 private:
  struct List {  // Keras 2's weights of a layer, shared by its parts
    bool resolved = false;
    const Hdf5Object* group = nullptr;
    std::vector<std::string> names;
    size_t next = 0;
  };

  // Fills `*list_` or `vars_` on first use.
  absl::Status Resolve();
  absl::StatusOr<Weight> Read(const Hdf5Object* dataset, std::string_view name);

  Hdf5File* file_ = nullptr;
  bool by_names_ = false;  // Keras 2's layout
  const Hdf5Object* top_ = nullptr;
  std::string path_;  // Keras 3: the folder; Keras 2: the top-level layer
  std::string private_path_;  // of a part that Keras 2 names after a private attribute
  std::string layers_ = "layers";
  bool is_layer_ = false;
  bool is_its_part_ = false;
  std::vector<std::string> inner_;  // Keras 2: names of the nested layers on the way

  bool resolved_ = false;
  const Hdf5Object* vars_ = nullptr;
  size_t next_ = 0;
  std::shared_ptr<List> list_;
};

// "SeparableConv2D" -> "separable_conv2d", as Keras names folders.
std::string SnakeCase(std::string_view class_name);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_WEIGHTS_H_
