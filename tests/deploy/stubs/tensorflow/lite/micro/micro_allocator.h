#ifndef LITESMITH_STUB_MICRO_ALLOCATOR_H_
#define LITESMITH_STUB_MICRO_ALLOCATOR_H_

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {

class MicroAllocator {
 public:
  static MicroAllocator* Create(uint8_t* arena, size_t) {
    static MicroAllocator allocator;
    return arena == nullptr ? nullptr : &allocator;
  }
};

}  // namespace tflite

#endif  // LITESMITH_STUB_MICRO_ALLOCATOR_H_
