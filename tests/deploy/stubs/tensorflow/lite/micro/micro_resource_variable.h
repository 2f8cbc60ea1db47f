#ifndef LITESMITH_STUB_MICRO_RESOURCE_VARIABLE_H_
#define LITESMITH_STUB_MICRO_RESOURCE_VARIABLE_H_

#include "tensorflow/lite/micro/micro_allocator.h"

namespace tflite {

class MicroResourceVariables {
 public:
  static MicroResourceVariables* Create(MicroAllocator*, int count) {
    static MicroResourceVariables variables;
    tflite_stub::state.variables = static_cast<size_t>(count);
    return &variables;
  }
};

}  // namespace tflite

#endif  // LITESMITH_STUB_MICRO_RESOURCE_VARIABLE_H_
