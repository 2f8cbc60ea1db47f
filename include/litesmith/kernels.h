#ifndef LITESMITH_KERNELS_H_
#define LITESMITH_KERNELS_H_

namespace litesmith {

// Which implementation of an operator computes. For integers both give the same bits.
enum class KernelMode {
  kReference,  // the specification: plain loops
  kBest,       // the fastest for this CPU
};

// Whose integer arithmetic, where the two runtimes of .tflite files differ.
enum class Arithmetic {
  kLitert,  // LiteRT's, on phones and computers
  kTflm,    // tflite-micro's, on microcontrollers
};

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_H_
