#ifndef LITESMITH_STUB_MICRO_INTERPRETER_H_
#define LITESMITH_STUB_MICRO_INTERPRETER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/schema/schema_generated.h"

enum TfLiteStatus { kTfLiteOk, kTfLiteError };

enum TfLiteType {
  kTfLiteNoType,
  kTfLiteFloat32,
  kTfLiteInt8,
  kTfLiteUInt8,
  kTfLiteInt16,
  kTfLiteInt32,
  kTfLiteBool,
};

union TfLitePtrUnion {
  void* data;
};

struct TfLiteTensor {
  TfLiteType type = kTfLiteNoType;
  TfLitePtrUnion data = {nullptr};
  size_t bytes = 0;
};

namespace tflite_stub {

constexpr size_t kMostTensors = 8;
constexpr size_t kMostBytes = 4096;

struct State {
  size_t input_count = 0, output_count = 0;
  TfLiteTensor inputs[kMostTensors], outputs[kMostTensors];
  alignas(16) unsigned char input_memory[kMostTensors][kMostBytes];
  alignas(16) unsigned char output_memory[kMostTensors][kMostBytes];
  bool fail_register = false, fail_allocate = false, fail_invoke = false;
  unsigned int registered = 0, room = 0;
  int invocations = 0, resets = 0;
  size_t variables = 0;
};
inline State state;

}  // namespace tflite_stub

namespace tflite {

class MicroOpResolver {};
class MicroAllocator;
class MicroResourceVariables;

// Invoke copies the first bytes of each input to the output of the same index.
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t arena_bytes)
      : arena_bytes_(arena_bytes) {
    arena[0] = 0;
    arena[arena_bytes - 1] = 0;
  }
  MicroInterpreter(const Model*, const MicroOpResolver&, MicroAllocator*,
                   MicroResourceVariables* variables)
      : arena_bytes_(variables == nullptr ? 0 : 16) {}

  TfLiteStatus AllocateTensors() {
    return tflite_stub::state.fail_allocate ? kTfLiteError : kTfLiteOk;
  }
  size_t inputs_size() const { return tflite_stub::state.input_count; }
  size_t outputs_size() const { return tflite_stub::state.output_count; }
  TfLiteTensor* input(size_t index) {
    TfLiteTensor* tensor = &tflite_stub::state.inputs[index];
    tensor->data.data = tflite_stub::state.input_memory[index];
    return tensor;
  }
  TfLiteTensor* output(size_t index) {
    TfLiteTensor* tensor = &tflite_stub::state.outputs[index];
    tensor->data.data = tflite_stub::state.output_memory[index];
    return tensor;
  }
  TfLiteStatus Invoke() {
    ++tflite_stub::state.invocations;
    if (tflite_stub::state.fail_invoke) return kTfLiteError;
    for (size_t i = 0; i < inputs_size() && i < outputs_size(); ++i) {
      const size_t bytes = input(i)->bytes < output(i)->bytes ? input(i)->bytes : output(i)->bytes;
      std::memcpy(output(i)->data.data, input(i)->data.data, bytes);
    }
    return kTfLiteOk;
  }
  TfLiteStatus Reset() {
    ++tflite_stub::state.resets;
    return kTfLiteOk;
  }
  size_t arena_used_bytes() const { return arena_bytes_; }

 private:
  size_t arena_bytes_;
};

}  // namespace tflite

#endif  // LITESMITH_STUB_MICRO_INTERPRETER_H_
