#ifndef LITESMITH_KERNELS_PEAK_H_
#define LITESMITH_KERNELS_PEAK_H_

namespace litesmith {

// What one core of this machine multiplies and adds at most, in 10^9 MAC/s, measured now with loops
// over registers: fused float products, pairs of int16, groups of four int8 where the CPU has an
// instruction for them (else as int16).
struct PeakRates {
  double float32 = 0, int16 = 0, int8 = 0;
};

// Takes about three times `seconds`, on the calling thread.
PeakRates MeasurePeakRates(double seconds);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_PEAK_H_
