// Which instruction sets the Highway kernels are compiled for; include it before any Highway
// header. Files that use it are compiled once per set (hwy/foreach_target.h) and choose at run time
// by CPUID.
//
// x86: AVX-512, AVX2, SSE4 and plain code. SSSE3 machines take the plain code, AVX3_DL (Ice Lake's
// whole set) adds nothing for floats. ARM: what the compiler was told (NEON on 64 bits): Highway's
// run-time NEON wants AES, which a Raspberry Pi 4 has not.
#ifndef LITESMITH_KERNELS_SIMD_H_
#define LITESMITH_KERNELS_SIMD_H_

#if defined(__aarch64__) || defined(__arm__)
#define HWY_COMPILE_ONLY_STATIC
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#endif

#endif  // LITESMITH_KERNELS_SIMD_H_
