#ifndef LITESMITH_KERNELS_ISA_H_
#define LITESMITH_KERNELS_ISA_H_

// Which instruction sets the kernels may use: what the CPU has, limited by the environment variable
// LITESMITH_ISA=scalar|sse4|avx2|avx512|avx512vnni|neon|neondot (for comparing and for tests).

#include <cstdint>
#include <string>

#include "base/status.h"

namespace litesmith {

// Dot-product instructions beyond Highway's targets. NEON is one of them: Highway has its vectors,
// but not its products of bytes. kAvx512Bytes: kAvx512Vnni and permutations of bytes (VBMI).
enum class DotIsa : uint8_t { kNone, kAvxVnni, kAvx512Vnni, kAvx512Bytes, kNeon, kNeonDot };

// True where the CPU (and its system) has it and LITESMITH_ISA allows it.
bool HasDotIsa(DotIsa isa);

// Reads LITESMITH_ISA and limits Highway's targets to it; once, before the first kernel. An error
// when the word is unknown or names another architecture. Thread-safe; repeated calls return the
// first result.
const absl::Status& LimitIsa();

// What runs, as words of LITESMITH_ISA: "avx512vnni".
std::string ActiveIsa();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_ISA_H_
