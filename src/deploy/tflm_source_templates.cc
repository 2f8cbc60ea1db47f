#include "deploy/tflm_templates.h"

namespace litesmith::tflm {

const char kValuesHeader[] = R"text(// @ABOUT@
//
// The model's inputs and outputs, and numbers in and out of them. Needs no tflite-micro.

#ifndef @GUARD@_VALUES_H_
#define @GUARD@_VALUES_H_

#include <cstddef>
#include <cstdint>

namespace @NAMESPACE@ {

enum class Type : uint8_t { kFloat32, kInt8, kUint8, kInt16, kInt32, kOther };

struct TensorInfo {
  const char* name;
  Type type;
  size_t elements;
  size_t bytes;
  float scale;  // real = scale * (stored - zero_point); 0: stored as it is
  int32_t zero_point;
};

constexpr size_t kInputCount = @INPUT_COUNT@;
constexpr size_t kOutputCount = @OUTPUT_COUNT@;
extern const TensorInfo kInputs[kInputCount];
extern const TensorInfo kOutputs[kOutputCount];

// The name of class `index`, "" where it has none.
constexpr size_t kLabelCount = @LABEL_COUNT@;
const char* Label(size_t index);

// info.elements values to the tensor's own numbers and back, by its scale and zero point: rounded to
// the nearest, halves away from zero; what the type cannot hold becomes its nearest limit, NaN its
// lowest. False where the type has no such form; nothing is written then.
bool ToStored(const TensorInfo& info, const float* values, void* stored);
bool FromStored(const TensorInfo& info, const void* stored, float* values);

// Where the largest value stands; the first of equals, 0 where count is 0.
size_t ArgMax(const float* values, size_t count);
// The same of a tensor's own numbers, and what it is worth (score may be null). False as above.
bool ArgMaxStored(const TensorInfo& info, const void* stored, size_t* index, float* score);

}  // namespace @NAMESPACE@

#endif  // @GUARD@_VALUES_H_
)text";

const char kValuesSource[] = R"text(// @ABOUT@

#include "model_values.h"

#include <cmath>
#include <limits>

namespace @NAMESPACE@ {

const TensorInfo kInputs[kInputCount] = {
@INPUTS@};

const TensorInfo kOutputs[kOutputCount] = {
@OUTPUTS@};

@LABELS@

namespace {

float Real(const TensorInfo& info, int32_t stored) {
  if (info.scale == 0.0f) return static_cast<float>(stored);
  return info.scale * static_cast<float>(static_cast<int64_t>(stored) - info.zero_point);
}

template <typename T>
T Quantized(const TensorInfo& info, float value) {
  const float scaled = info.scale == 0.0f ? value : value / info.scale;
  const double stored = static_cast<double>(std::round(scaled)) + info.zero_point;
  constexpr double kLowest = std::numeric_limits<T>::min();
  constexpr double kHighest = std::numeric_limits<T>::max();
  if (!(stored > kLowest)) return std::numeric_limits<T>::min();
  if (stored >= kHighest) return std::numeric_limits<T>::max();
  return static_cast<T>(stored);
}

template <typename T>
void Write(const TensorInfo& info, const float* values, void* stored) {
  T* out = static_cast<T*>(stored);
  for (size_t i = 0; i < info.elements; ++i) out[i] = Quantized<T>(info, values[i]);
}

template <typename T>
void Read(const TensorInfo& info, const void* stored, float* values) {
  const T* in = static_cast<const T*>(stored);
  for (size_t i = 0; i < info.elements; ++i) values[i] = Real(info, in[i]);
}

template <typename T>
size_t Largest(const void* stored, size_t count) {
  const T* values = static_cast<const T*>(stored);
  size_t best = 0;
  for (size_t i = 1; i < count; ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

template <typename T>
void Best(const TensorInfo& info, const void* stored, size_t* index, float* score) {
  *index = Largest<T>(stored, info.elements);
  if (score != nullptr) *score = Real(info, static_cast<const T*>(stored)[*index]);
}

}  // namespace

bool ToStored(const TensorInfo& info, const float* values, void* stored) {
  switch (info.type) {
    case Type::kFloat32: {
      float* out = static_cast<float*>(stored);
      for (size_t i = 0; i < info.elements; ++i) out[i] = values[i];
      return true;
    }
    case Type::kInt8:
      Write<int8_t>(info, values, stored);
      return true;
    case Type::kUint8:
      Write<uint8_t>(info, values, stored);
      return true;
    case Type::kInt16:
      Write<int16_t>(info, values, stored);
      return true;
    case Type::kInt32:
      Write<int32_t>(info, values, stored);
      return true;
    default:
      return false;
  }
}

bool FromStored(const TensorInfo& info, const void* stored, float* values) {
  switch (info.type) {
    case Type::kFloat32: {
      const float* in = static_cast<const float*>(stored);
      for (size_t i = 0; i < info.elements; ++i) values[i] = in[i];
      return true;
    }
    case Type::kInt8:
      Read<int8_t>(info, stored, values);
      return true;
    case Type::kUint8:
      Read<uint8_t>(info, stored, values);
      return true;
    case Type::kInt16:
      Read<int16_t>(info, stored, values);
      return true;
    case Type::kInt32:
      Read<int32_t>(info, stored, values);
      return true;
    default:
      return false;
  }
}

size_t ArgMax(const float* values, size_t count) { return Largest<float>(values, count); }

bool ArgMaxStored(const TensorInfo& info, const void* stored, size_t* index, float* score) {
  switch (info.type) {
    case Type::kFloat32:
      *index = Largest<float>(stored, info.elements);
      if (score != nullptr) *score = static_cast<const float*>(stored)[*index];
      return true;
    case Type::kInt8:
      Best<int8_t>(info, stored, index, score);
      return true;
    case Type::kUint8:
      Best<uint8_t>(info, stored, index, score);
      return true;
    case Type::kInt16:
      Best<int16_t>(info, stored, index, score);
      return true;
    case Type::kInt32:
      Best<int32_t>(info, stored, index, score);
      return true;
    default:
      return false;
  }
}

}  // namespace @NAMESPACE@
)text";

const char kInferenceHeader[] = R"text(// @ABOUT@
//
// Runs the model on tflite-micro. One model, one thread: nothing here may be called from two threads
// at a time. Nothing is allocated but the arena, which is static.

#ifndef @GUARD@_INFERENCE_H_
#define @GUARD@_INFERENCE_H_

#include "model_values.h"

// What the interpreter asks for with its own kernels. Vendors' kernels (CMSIS-NN, ESP-NN, Ethos-U …)
// want scratch memory on top: where Init says kArenaTooSmall, define @MACRO@_ARENA_BYTES to something
// larger, a multiple of 16; ArenaUsedBytes() then tells what it takes.
#ifndef @MACRO@_ARENA_BYTES
#define @MACRO@_ARENA_BYTES (sizeof(void*) > 4 ? @ARENA_64@u : @ARENA_32@u)
#endif

namespace @NAMESPACE@ {

constexpr size_t kArenaBytes = @MACRO@_ARENA_BYTES;

enum class Status : uint8_t {
  kOk,
  kNotReady,         // Init was not called, or failed
  kBadArgument,      // no such input or output, a wrong number of values, a type without float form
  kBadSchema,        // this tflite-micro reads another version of the file format
  kMissingOperator,  // this tflite-micro could not register an operator
  kArenaTooSmall,    // or a kernel refused the model: its reason is in the debug log
  kModelMismatch,    // the array is not the model that this code was written for
  kInvokeFailed,     // a kernel failed: its reason is in the debug log
};
const char* StatusText(Status status);

// Prepares the interpreter; once is enough, later calls do nothing.
Status Init();

// `count` values of input `index` by its scale and zero point, and back from an output after Invoke.
Status SetInput(size_t index, const float* values, size_t count);
Status GetOutput(size_t index, float* values, size_t count);

// The same without conversion: exactly the tensor's bytes.
Status SetInputRaw(size_t index, const void* data, size_t bytes);
Status GetOutputRaw(size_t index, void* data, size_t bytes);

// The tensor's own memory, kInputs[index].bytes long; null before Init and for an index that is not.
void* InputData(size_t index);
const void* OutputData(size_t index);

Status Invoke();

// What recurrent operators remember from call to call is zero again: before a new sequence.
Status Reset();

// The first input in, Invoke, the first output out.
Status Run(const float* input, size_t input_count, float* output, size_t output_count);

// Where output `index` is largest, and its value there (score may be null). Label() has the name.
Status Best(size_t index, size_t* best, float* score);

// What of the arena is in use; 0 before Init.
size_t ArenaUsedBytes();

}  // namespace @NAMESPACE@

#endif  // @GUARD@_INFERENCE_H_
)text";

const char kInferenceSource[] = R"text(// @ABOUT@

#include "model_inference.h"

#include <cstring>
#include <new>

#include "model_data.h"
@INCLUDES@#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
@INCLUDES_VARIABLES@#include "tensorflow/lite/schema/schema_generated.h"

namespace @NAMESPACE@ {
namespace {

// The operators of this model and no others, so that only their kernels are linked in.
using Resolver = tflite::MicroMutableOpResolver<@OPERATOR_COUNT@>;

bool AddOperators(Resolver* resolver) {
@OPERATORS@  return true;
}

alignas(16) uint8_t arena[kArenaBytes];
alignas(Resolver) unsigned char resolver_memory[sizeof(Resolver)];
alignas(tflite::MicroInterpreter) unsigned char
    interpreter_memory[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter* interpreter = nullptr;

TfLiteType TfLiteTypeOf(Type type) {
  switch (type) {
    case Type::kFloat32:
      return kTfLiteFloat32;
    case Type::kInt8:
      return kTfLiteInt8;
    case Type::kUint8:
      return kTfLiteUInt8;
    case Type::kInt16:
      return kTfLiteInt16;
    case Type::kInt32:
      return kTfLiteInt32;
    default:
      return kTfLiteNoType;
  }
}

bool Fits(const TensorInfo& info, const TfLiteTensor* tensor) {
  if (tensor == nullptr || tensor->bytes != info.bytes) return false;
  return info.type == Type::kOther || tensor->type == TfLiteTypeOf(info.type);
}

bool FitsModel(tflite::MicroInterpreter* made) {
  if (made->inputs_size() != kInputCount || made->outputs_size() != kOutputCount) return false;
  for (size_t i = 0; i < kInputCount; ++i) {
    if (!Fits(kInputs[i], made->input(i))) return false;
  }
  for (size_t i = 0; i < kOutputCount; ++i) {
    if (!Fits(kOutputs[i], made->output(i))) return false;
  }
  return true;
}

}  // namespace

const char* StatusText(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kNotReady:
      return "Init() was not called, or failed";
    case Status::kBadArgument:
      return "no such input or output, or a wrong number of values";
    case Status::kBadSchema:
      return "tflite-micro reads another version of the file format";
    case Status::kMissingOperator:
      return "tflite-micro could not register an operator";
    case Status::kArenaTooSmall:
      return "the arena is too small, or a kernel refused the model (see the debug log)";
    case Status::kModelMismatch:
      return "the array is not the model that this code was written for";
    case Status::kInvokeFailed:
      return "a kernel failed (see the debug log)";
  }
  return "";
}

Status Init() {
  if (interpreter != nullptr) return Status::kOk;
  const tflite::Model* model = tflite::GetModel(::@SYMBOL@);
  if (model->version() != TFLITE_SCHEMA_VERSION) return Status::kBadSchema;
  Resolver* resolver = new (resolver_memory) Resolver();
  if (!AddOperators(resolver)) return Status::kMissingOperator;
@MAKE_INTERPRETER@
  if (made->AllocateTensors() != kTfLiteOk) return Status::kArenaTooSmall;
  if (!FitsModel(made)) return Status::kModelMismatch;
  interpreter = made;
  return Status::kOk;
}

void* InputData(size_t index) {
  if (interpreter == nullptr || index >= kInputCount) return nullptr;
  return interpreter->input(index)->data.data;
}

const void* OutputData(size_t index) {
  if (interpreter == nullptr || index >= kOutputCount) return nullptr;
  return interpreter->output(index)->data.data;
}

Status SetInput(size_t index, const float* values, size_t count) {
  if (interpreter == nullptr) return Status::kNotReady;
  if (index >= kInputCount || values == nullptr || count != kInputs[index].elements) {
    return Status::kBadArgument;
  }
  return ToStored(kInputs[index], values, InputData(index)) ? Status::kOk : Status::kBadArgument;
}

Status GetOutput(size_t index, float* values, size_t count) {
  if (interpreter == nullptr) return Status::kNotReady;
  if (index >= kOutputCount || values == nullptr || count != kOutputs[index].elements) {
    return Status::kBadArgument;
  }
  return FromStored(kOutputs[index], OutputData(index), values) ? Status::kOk
                                                                : Status::kBadArgument;
}

Status SetInputRaw(size_t index, const void* data, size_t bytes) {
  if (interpreter == nullptr) return Status::kNotReady;
  if (index >= kInputCount || data == nullptr || bytes != kInputs[index].bytes) {
    return Status::kBadArgument;
  }
  std::memcpy(InputData(index), data, bytes);
  return Status::kOk;
}

Status GetOutputRaw(size_t index, void* data, size_t bytes) {
  if (interpreter == nullptr) return Status::kNotReady;
  if (index >= kOutputCount || data == nullptr || bytes != kOutputs[index].bytes) {
    return Status::kBadArgument;
  }
  std::memcpy(data, OutputData(index), bytes);
  return Status::kOk;
}

Status Invoke() {
  if (interpreter == nullptr) return Status::kNotReady;
  return interpreter->Invoke() == kTfLiteOk ? Status::kOk : Status::kInvokeFailed;
}

Status Reset() {
  if (interpreter == nullptr) return Status::kNotReady;
  return interpreter->Reset() == kTfLiteOk ? Status::kOk : Status::kInvokeFailed;
}

Status Run(const float* input, size_t input_count, float* output, size_t output_count) {
  Status status = SetInput(0, input, input_count);
  if (status == Status::kOk) status = Invoke();
  if (status == Status::kOk) status = GetOutput(0, output, output_count);
  return status;
}

Status Best(size_t index, size_t* best, float* score) {
  if (interpreter == nullptr) return Status::kNotReady;
  if (index >= kOutputCount || best == nullptr) return Status::kBadArgument;
  return ArgMaxStored(kOutputs[index], OutputData(index), best, score) ? Status::kOk
                                                                       : Status::kBadArgument;
}

size_t ArenaUsedBytes() { return interpreter == nullptr ? 0 : interpreter->arena_used_bytes(); }

}  // namespace @NAMESPACE@
)text";

const char kHostExample[] =
    R"text(// Runs the model once on this machine. Arguments: one file per input with exactly the bytes of its
// tensor; without them the inputs are zeros. Prints every output, and the largest value of the first.

#include <cstdio>
#include <cstring>

#include "model_inference.h"

namespace model = @NAMESPACE@;

namespace {

int Fail(const char* what, model::Status status) {
  std::fprintf(stderr, "%s: %s\n", what, model::StatusText(status));
  return 1;
}

bool ReadInput(size_t index, const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) return false;
  const size_t bytes = model::kInputs[index].bytes;
  const bool whole = std::fread(model::InputData(index), 1, bytes, file) == bytes &&
                     std::fgetc(file) == EOF;
  std::fclose(file);
  return whole;
}

}  // namespace

int main(int argc, char** argv) {
  model::Status status = model::Init();
  if (status != model::Status::kOk) return Fail("Init", status);
  std::printf("arena %zu of %zu bytes\n", model::ArenaUsedBytes(), model::kArenaBytes);
  for (size_t i = 0; i < model::kInputCount; ++i) {
    if (i + 1 >= static_cast<size_t>(argc)) {
      std::memset(model::InputData(i), 0, model::kInputs[i].bytes);
    } else if (!ReadInput(i, argv[i + 1])) {
      std::fprintf(stderr, "%s: not the %zu bytes of input %zu\n", argv[i + 1],
                   model::kInputs[i].bytes, i);
      return 1;
    }
  }
  status = model::Invoke();
  if (status != model::Status::kOk) return Fail("Invoke", status);
  static float values[@LARGEST_OUTPUT@];
  for (size_t o = 0; o < model::kOutputCount; ++o) {
    const model::TensorInfo& info = model::kOutputs[o];
    status = model::GetOutput(o, values, info.elements);
    if (status != model::Status::kOk) continue;
    std::printf("%s\n", info.name);
    for (size_t i = 0; i < info.elements; ++i) {
      std::printf("  %zu %.9g\n", i, static_cast<double>(values[i]));
    }
  }
  size_t best = 0;
  float score = 0.0f;
  status = model::Best(0, &best, &score);
  if (status != model::Status::kOk) return 0;
  std::printf("best: %zu (%g) %s\n", best, static_cast<double>(score), model::Label(best));
  return 0;
}
)text";

}  // namespace litesmith::tflm
