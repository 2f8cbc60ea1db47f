#include "deploy/tflm_templates.h"

namespace litesmith::tflm {

const char kCMake[] = R"text(# @ABOUT@
#
#   cmake -S . -B build -DTFLM_DIR=/path/to/tflm && cmake --build build && build/model_host
#
# TFLM_DIR: a tree written by tflite-micro's create_tflm_tree.py, or a checkout with its third-party
# headers in TFLM_THIRD_PARTY. TFLM_LIBRARY: tflite-micro as a library; without it its reference kernels
# are compiled here. For a board, set CMAKE_TOOLCHAIN_FILE and link model_inference into your program.

cmake_minimum_required(VERSION 3.16)
project(model_inference CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

set(TFLM_DIR "" CACHE PATH "A tree of tflite-micro")
set(TFLM_THIRD_PARTY "${TFLM_DIR}/third_party" CACHE PATH "flatbuffers, gemmlowp and ruy")
set(TFLM_LIBRARY "" CACHE FILEPATH "tflite-micro as a static library")

# Quantization and labels, without tflite-micro.
add_library(model_values STATIC src/model_data.cc src/model_values.cc)
target_include_directories(model_values PUBLIC src)

if(NOT TFLM_DIR)
  message(STATUS "TFLM_DIR is not set: only model_values is built")
  return()
endif()

add_library(tflm INTERFACE)
target_compile_definitions(tflm INTERFACE TF_LITE_STATIC_MEMORY)
target_include_directories(tflm SYSTEM INTERFACE
  "${TFLM_DIR}" "${TFLM_THIRD_PARTY}" "${TFLM_THIRD_PARTY}/flatbuffers/include"
  "${TFLM_THIRD_PARTY}/gemmlowp" "${TFLM_THIRD_PARTY}/ruy")
if(TFLM_LIBRARY)
  target_link_libraries(tflm INTERFACE "${TFLM_LIBRARY}")
else()
  set(lite "${TFLM_DIR}/tensorflow/lite")
  file(GLOB tflm_sources
    "${lite}/micro/*.cc" "${lite}/micro/arena_allocator/*.cc" "${lite}/micro/kernels/*.cc"
    "${lite}/micro/memory_planner/*.cc" "${lite}/micro/tflite_bridge/*.cc"
    "${lite}/core/api/*.cc" "${lite}/core/c/*.cc" "${lite}/kernels/*.cc"
    "${lite}/kernels/internal/*.cc" "${lite}/kernels/internal/reference/*.cc"
    "${TFLM_DIR}/tensorflow/compiler/mlir/lite/core/api/*.cc"
    "${TFLM_DIR}/tensorflow/compiler/mlir/lite/schema/*.cc")
  list(FILTER tflm_sources EXCLUDE REGEX "_test\\.cc$|test_helper|fake_|mock_|kernel_runner|_generated_data|hexdump")
  add_library(tflm_kernels STATIC ${tflm_sources})
  target_link_libraries(tflm_kernels PUBLIC tflm)
  target_compile_options(tflm_kernels PRIVATE -fno-exceptions -fno-rtti -w)
endif()

add_library(model_inference STATIC src/model_inference.cc)
target_link_libraries(model_inference PUBLIC model_values)
target_link_libraries(model_inference PRIVATE tflm)
if(TARGET tflm_kernels)
  target_link_libraries(model_inference PRIVATE tflm_kernels)
endif()
target_compile_options(model_inference PRIVATE -fno-exceptions -fno-rtti)

if(NOT CMAKE_CROSSCOMPILING)
  add_executable(model_host examples/host/main.cc)
  target_link_libraries(model_host PRIVATE model_inference)
endif()
)text";

const char kArduinoLibrary[] = R"text(name=@LIBRARY@
version=1.0.0
author=litesmith
maintainer=litesmith
sentence=@SENTENCE@
paragraph=Inference with TensorFlow Lite Micro; written by litesmith deploy.
category=Data Processing
url=
architectures=*
includes=model_inference.h
)text";

const char kArduinoSketch[] = R"text(// @ABOUT@
//
// Runs the model on zeros, over and over, and prints the result and the time it takes. Put your sensor's
// values into `input`. Needs an Arduino library with TensorFlow Lite Micro; name the header of yours
// here, so that the IDE finds it (Chirale_TensorFLowLite and Arduino_TensorFlowLite are two).

#include <Chirale_TensorFlowLite.h>

#include <model_inference.h>

namespace model = @NAMESPACE@;

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  const model::Status status = model::Init();
  Serial.println(model::StatusText(status));
}

void loop() {
  static float input[@FIRST_INPUT@];
  model::Status status = model::SetInput(0, input, @FIRST_INPUT@);
  const unsigned long start = micros();
  if (status == model::Status::kOk) status = model::Invoke();
  const unsigned long taken = micros() - start;
  size_t best = 0;
  float score = 0.0f;
  if (status == model::Status::kOk) status = model::Best(0, &best, &score);
  if (status == model::Status::kOk) {
    Serial.print(static_cast<unsigned>(best));
    Serial.print(' ');
    Serial.print(model::Label(best));
    Serial.print(' ');
    Serial.print(score);
    Serial.print(' ');
    Serial.print(taken);
    Serial.println(" us");
  } else {
    Serial.println(model::StatusText(status));
  }
  delay(1000);
}
)text";

const char kIdfProject[] = R"text(# @ABOUT@
#
#   cd esp-idf && idf.py set-target esp32s3 && idf.py build flash monitor

cmake_minimum_required(VERSION 3.16)
include($ENV{IDF_PATH}/tools/cmake/project.cmake)
project(model_inference)
)text";

const char kIdfComponent[] = R"text(idf_component_register(
  SRCS "main.cc" "../../src/model_data.cc" "../../src/model_values.cc" "../../src/model_inference.cc"
  INCLUDE_DIRS "../../src")
)text";

const char kIdfDependencies[] = R"text(dependencies:
  espressif/esp-tflite-micro: "^1.3.0"
)text";

const char kIdfMain[] = R"text(// @ABOUT@
//
// Runs the model on zeros once a second. ESP-NN's kernels want scratch memory beyond the arena of
// model_inference.h; see the README.

#include <cstdio>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "model_inference.h"

namespace model = @NAMESPACE@;

extern "C" void app_main(void) {
  model::Status status = model::Init();
  std::printf("Init: %s, arena %u of %u bytes\n", model::StatusText(status),
              static_cast<unsigned>(model::ArenaUsedBytes()),
              static_cast<unsigned>(model::kArenaBytes));
  static float input[@FIRST_INPUT@];
  while (status == model::Status::kOk) {
    size_t best = 0;
    float score = 0.0f;
    status = model::SetInput(0, input, @FIRST_INPUT@);
    if (status == model::Status::kOk) status = model::Invoke();
    if (status == model::Status::kOk) status = model::Best(0, &best, &score);
    std::printf("%s: %u %s (%g)\n", model::StatusText(status), static_cast<unsigned>(best),
                model::Label(best), static_cast<double>(score));
    vTaskDelay(pdMS_TO_TICKS(1000));
  }
}
)text";

const char kReadme[] = R"text(# @FILE@ on a microcontroller

Written by `litesmith deploy --format tflm`. The model and the code that runs it on TensorFlow Lite Micro
(tflite-micro), which you bring along; nothing here needs a file system, exceptions, RTTI or a heap.

| | |
|---|---|
| flash for the model | @MODEL_BYTES@ bytes |
| RAM for the arena, 32-bit board | **@ARENA_32@ bytes** |
| RAM for the arena, 64-bit host | @ARENA_64@ bytes |
| operators | @OPERATOR_NAMES@ |

The arena is what tflite-micro's interpreter asks for with its own reference kernels: tensors and scratch
buffers planned by lifetime, and what stays for good. **Kernels of vendors (CMSIS-NN, ESP-NN, Ethos-U, Xtensa …)
want scratch memory on top.** Where `Init` says that the arena is too small, define `@MACRO@_ARENA_BYTES` to something
larger, look at `ArenaUsedBytes()` and set it to that, rounded up to 16. Code, the interpreter's own @INTERPRETER@ or so
bytes and the stack come on top.

| tensor | type | values | bytes | scale | zero point |
|---|---|---|---|---|---|
@TENSORS@
@WARNINGS@## Use it

```cpp
#include "model_inference.h"
namespace model = @NAMESPACE@;

model::Status status = model::Init();                       // once
float input[@FIRST_INPUT@], output[@FIRST_OUTPUT@];
status = model::Run(input, @FIRST_INPUT@, output, @FIRST_OUTPUT@);  // floats in, floats out
size_t best;
float score;
status = model::Best(0, &best, &score);                     // the largest of output 0
const char* name = model::Label(best);
```

The floats are what the network was trained on, after your own preprocessing (mean and scale of pixels and the
like): `SetInput` and `GetOutput` only apply the tensors' scale and zero point. `SetInputRaw`, `GetOutputRaw`,
`InputData` and `OutputData` hand over the stored numbers. Every function returns a `Status`; `StatusText` says what it
means.

## Build it

- **CMake**, on this PC or with a toolchain file for the board:
  `cmake -S . -B build -DTFLM_DIR=/path/to/tflm && cmake --build build && build/model_host [INPUT.bin …]`.
  A tree for `TFLM_DIR` comes from `python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py /path/to/tflm` in a
  checkout of tflite-micro; with the options it has for your board it brings the vendor's kernels: then pass the library
  that you built as `-DTFLM_LIBRARY=`.
- **Arduino**: this folder is a library. Put it into your sketchbook's `libraries`, install a library with TensorFlow
  Lite Micro, open `examples/model_inference`.
- **ESP-IDF**: `cd esp-idf && idf.py set-target esp32s3 && idf.py build flash monitor`.

## Files

- `src/model_data.{h,cc}`: the `.tflite` file, byte for byte.
- `src/model_values.{h,cc}`: inputs, outputs, quantization, labels; no tflite-micro.
- `src/model_inference.{h,cc}`: the interpreter.
- `examples/`, `esp-idf/`, `CMakeLists.txt`, `library.properties`: programs and builds.
)text";

}  // namespace litesmith::tflm
