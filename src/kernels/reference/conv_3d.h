#ifndef LITESMITH_KERNELS_REFERENCE_CONV_3D_H_
#define LITESMITH_KERNELS_REFERENCE_CONV_3D_H_

// CONV_3D in float: NDHWC input, DHWIO filters. Freestanding.

#include <cstddef>
#include <cstdint>

namespace litesmith::reference {

// Depth, height and width.
struct Conv3DGeometry {
  int32_t batches = 0, in_c = 0, out_c = 0;
  int32_t in[3] = {}, filter[3] = {}, out[3] = {}, stride[3] = {}, dilation[3] = {}, pad[3] = {};
};

// Output rows [begin, end) of batches * depth * height. stage(index, channel, row, acc).
template <typename Stage>
void Convolve3D(const Conv3DGeometry& g, const float* input, const float* weights, size_t begin,
                size_t end, const Stage& stage) {
  for (size_t row = begin; row < end; ++row) {
    const size_t image = row / g.out[1] / g.out[0];
    const int64_t z0 = int64_t(row / g.out[1] % g.out[0]) * g.stride[0] - g.pad[0];
    const int64_t y0 = int64_t(row % g.out[1]) * g.stride[1] - g.pad[1];
    for (int32_t out_x = 0; out_x < g.out[2]; ++out_x) {
      const int64_t x0 = int64_t(out_x) * g.stride[2] - g.pad[2];
      for (int32_t channel = 0; channel < g.out_c; ++channel) {
        float acc = 0.0f;
        for (int32_t fz = 0; fz < g.filter[0]; ++fz) {
          const int64_t z = z0 + int64_t(fz) * g.dilation[0];
          if (z < 0 || z >= g.in[0]) continue;
          for (int32_t fy = 0; fy < g.filter[1]; ++fy) {
            const int64_t y = y0 + int64_t(fy) * g.dilation[1];
            if (y < 0 || y >= g.in[1]) continue;
            for (int32_t fx = 0; fx < g.filter[2]; ++fx) {
              const int64_t x = x0 + int64_t(fx) * g.dilation[2];
              if (x < 0 || x >= g.in[2]) continue;
              const float* from =
                  input +
                  (((image * g.in[0] + size_t(z)) * g.in[1] + size_t(y)) * g.in[2] + size_t(x)) *
                      g.in_c;
              const float* by =
                  weights +
                  ((size_t(fz) * g.filter[1] + fy) * g.filter[2] + fx) * g.in_c * g.out_c + channel;
              for (int32_t c = 0; c < g.in_c; ++c) acc += from[c] * by[size_t(c) * g.out_c];
            }
          }
        }
        stage((row * g.out[2] + out_x) * g.out_c + channel, channel, static_cast<int32_t>(row),
              acc);
      }
    }
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_CONV_3D_H_
