#ifndef LITESMITH_IMPORT_KERAS_MASKS_H_
#define LITESMITH_IMPORT_KERAS_MASKS_H_

// Keras' masks: which steps of a sequence count. They travel beside the tensors from layer to layer
// and become tensors only where a layer looks at them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace litesmith::keras {

class LayerContext;
struct LayerKind;

struct Mask;
using MaskRef = std::shared_ptr<Mask>;  // null: every step counts

struct Mask {
  enum class Kind : uint8_t {
    kTensor,   // `tensor` is the mask
    kNotZero,  // where the numbers of `tensor` are not 0 (Embedding)
    kNotAll,   // where not all features of `tensor` are `value` (Masking)
    kAnd,
    kOr,          // of `parts`
    kJoined,      // `parts`, one behind the other
    kImpossible,  // cannot be told, for the reason `why`
  };
  Kind kind = Kind::kTensor;
  int32_t tensor = -1;
  double value = 0.0;
  std::vector<MaskRef> parts;
  std::string why;
  int32_t made = -1;  // the tensor, once it was asked for
};

// What becomes of the masks of a layer's inputs.
enum class MaskRule : uint8_t {
  kDrop,
  kPass,       // the first input's goes on
  kEmbedding,  // made of the input, where the layer's configuration asks for it
  kMasking,
  kMerge,  // that of all inputs at once
  kConcatenate,
  kSequence,  // goes on where the layer returns sequences
};

// [batch, steps] of booleans.
absl::StatusOr<int32_t> MaskTensor(LayerContext& c, const MaskRef& mask);

// The mask of the layer's first input, given by keyword or come along with the tensor; -1: none.
// `several`: the layer is called with other tensors too.
absl::StatusOr<int32_t> StepMask(LayerContext& c, bool several = false);

// One per output of a layer. `keras2`: the two versions merge masks differently.
std::vector<MaskRef> OutputMasks(const LayerKind& kind, LayerContext& c,
                                 const std::vector<int32_t>& outputs, bool keras2);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_MASKS_H_
