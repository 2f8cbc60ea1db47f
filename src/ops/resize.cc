// RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.

#include "kernels/reference/resize.h"

#include <cstring>
#include <memory>
#include <vector>

#include "kernels/activation_f32.h"
#include "kernels/gradient/elementwise_f32.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::ResizeGeometry;

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  const TensorView& size = args.in(1);
  if (args.in(0).rank() != 4) {
    return Invalid("the input needs 4 dimensions, it has {}", args.in(0).rank());
  }
  LS_RETURN_IF_ERROR(CheckType(size, "the size", {schema::TensorType_INT32}));
  if (size.rank() != 1 || size.shape[0] != 2) return Invalid("the size needs 2 values");
  if (size.data == nullptr) return NeedsValue(1);
  const int32_t* values = size.As<int32_t>();
  if (values[0] <= 0 || values[1] <= 0) {
    return Invalid("the size {} x {} is not positive", values[0], values[1]);
  }
  const Shape& in = args.in(0).shape;
  if (in[1] <= 0 || in[2] <= 0) return Invalid("an input of {} is empty", ShapeString(in));
  Shape out = {in[0], values[0], values[1], in[3]};
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

template <typename Options>
absl::StatusOr<ResizeGeometry> MakeGeometry(const PrepareArgs& args, const Options& options) {
  const Shape &in = args.in(0).shape, &out = args.out(0).shape;
  ResizeGeometry g;
  g.batches = in[0];
  g.in_h = in[1];
  g.in_w = in[2];
  g.channels = in[3];
  g.out_h = out[1];
  g.out_w = out[2];
  g.align_corners = options.align_corners;
  g.half_pixel_centers = options.half_pixel_centers;
  return g;
}

template <typename T, typename Rows>
Kernel RowsKernel(const ResizeGeometry& g, const Rows& rows) {
  Kernel kernel;
  kernel.run = [g, rows](const RunArgs& args) {
    const auto body = [&](size_t begin, size_t end) {
      rows(g, args.in<T>(0), begin, end, args.out<T>(0));
    };
    ParallelFor(args.threads, size_t(g.batches) * g.out_h, 1, std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

// Float in vectors, the places of the columns computed once.
Kernel FastBilinear(const ResizeGeometry& g) {
  auto columns = std::make_shared<std::vector<reference::Between>>();
  for (int32_t x = 0; x < g.out_w; ++x) columns->emplace_back(x, g.in_w, g.out_w, g);
  return RowsKernel<float>(g, [columns](const ResizeGeometry& geometry, const float* in,
                                        size_t begin, size_t end, float* out) {
    ResizeBilinearF32(geometry, columns->data(), in, begin, end, out);
  });
}

absl::StatusOr<Kernel> BilinearByType(const PrepareArgs& args, const ResizeGeometry& g) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      if (args.mode == KernelMode::kBest && args.out(0).elements() > 0) return FastBilinear(g);
      return RowsKernel<float>(g, reference::ResizeBilinear<float>);
    case schema::TensorType_UINT8:
      return RowsKernel<uint8_t>(g, reference::ResizeBilinear<uint8_t>);
    case schema::TensorType_INT8:
      return RowsKernel<int8_t>(g, reference::ResizeBilinearFixed<int8_t>);
    case schema::TensorType_INT16:
      return RowsKernel<int16_t>(g, reference::ResizeBilinearFixed<int16_t>);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareBilinear(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const ResizeGeometry g,
                      MakeGeometry(args, args.node.GetOptions<schema::ResizeBilinearOptionsT>()));
  if (g.half_pixel_centers && g.align_corners) {
    return Invalid("half_pixel_centers and align_corners exclude each other");
  }
  LS_ASSIGN_OR_RETURN(Kernel kernel, BilinearByType(args, g));
  kernel.name = KernelName(args);
  return kernel;
}

// Pixels of kPixel bytes, or of `pixel` (0).
template <size_t kPixel>
void NearestRow(const uint32_t* columns, size_t width, size_t pixel, const std::byte* from,
                std::byte* to) {
  const size_t size = kPixel == 0 ? pixel : kPixel;
  for (size_t x = 0; x < width; ++x) std::memcpy(to + x * size, from + columns[x] * size, size);
}

// The places of the columns computed once, rows that repeat copied whole.
Kernel FastNearest(const ResizeGeometry& g, size_t pixel) {
  auto columns = std::make_shared<std::vector<uint32_t>>();
  for (int32_t x = 0; x < g.out_w; ++x) {
    columns->push_back(static_cast<uint32_t>(reference::NearestPosition(x, g.in_w, g.out_w, g)));
  }
  const auto row = pixel == 1    ? NearestRow<1>
                   : pixel == 2  ? NearestRow<2>
                   : pixel == 3  ? NearestRow<3>
                   : pixel == 4  ? NearestRow<4>
                   : pixel == 8  ? NearestRow<8>
                   : pixel == 16 ? NearestRow<16>
                   : pixel == 32 ? NearestRow<32>
                   : pixel == 64 ? NearestRow<64>
                                 : NearestRow<0>;
  return RowsKernel<std::byte>(
      g, [columns, pixel, row](const ResizeGeometry& geometry, const std::byte* in, size_t begin,
                               size_t end, std::byte* out) {
        const size_t height = geometry.out_h, width = geometry.out_w, size = width * pixel;
        const std::byte* last = nullptr;
        for (size_t i = begin; i < end; ++i) {
          const size_t y = reference::NearestPosition(static_cast<int32_t>(i % height),
                                                      geometry.in_h, geometry.out_h, geometry);
          const std::byte* from = in + (i / height * geometry.in_h + y) * geometry.in_w * pixel;
          if (from == last) {
            std::memcpy(out + i * size, out + (i - 1) * size, size);
          } else {
            row(columns->data(), width, pixel, from, out + i * size);
          }
          last = from;
        }
      });
}

absl::StatusOr<Kernel> PrepareNearest(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(
      const ResizeGeometry g,
      MakeGeometry(args, args.node.GetOptions<schema::ResizeNearestNeighborOptionsT>()));
  const size_t size = TypeSize(args.in(0).type);
  if (args.in(0).type != args.out(0).type || size == 0) return NoKernel(args);
  const size_t pixel = size * static_cast<size_t>(g.channels);
  if (args.mode == KernelMode::kBest && args.out(0).elements() > 0) {
    Kernel kernel = FastNearest(g, pixel);
    kernel.name = KernelName(args);
    return kernel;
  }
  Kernel kernel = RowsKernel<std::byte>(
      g,
      [pixel](const ResizeGeometry& geometry, const std::byte* in, size_t begin, size_t end,
              std::byte* out) { reference::ResizeNearest(geometry, pixel, in, begin, end, out); });
  kernel.name = KernelName(args);
  return kernel;
}

// Every output gives its gradient back to the four inputs it was mixed of.
absl::Status BilinearGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(
      const ResizeGeometry g,
      MakeGeometry(AsPrepareArgs(args), args.node.GetOptions<schema::ResizeBilinearOptionsT>()));
  if (args.first[0]) std::fill_n(dx, args.inputs[0].elements(), 0.0f);
  const size_t channels = g.channels, row_size = size_t(g.in_w) * channels;
  for (size_t row = 0; row < size_t(g.batches) * g.out_h; ++row) {
    const reference::Between y(static_cast<int32_t>(row % g.out_h), g.in_h, g.out_h, g);
    float* image = dx + row / g.out_h * g.in_h * row_size;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const reference::Between x(out_x, g.in_w, g.out_w, g);
      const float* dy = args.out_grads[0] + (row * g.out_w + out_x) * channels;
      const auto give = [&](int32_t in_y, int32_t in_x, float share) {
        gradient::ScaleTo(dy, share, channels, true, image + in_y * row_size + in_x * channels);
      };
      give(y.low, x.low, (1 - y.offset) * (1 - x.offset));
      give(y.high, x.low, y.offset * (1 - x.offset));
      give(y.low, x.high, (1 - y.offset) * x.offset);
      give(y.high, x.high, y.offset * x.offset);
    }
  }
  return absl::OkStatus();
}

int BilinearVersion(const VersionArgs& args) {
  if (args.node.GetOptions<schema::ResizeBilinearOptionsT>().half_pixel_centers) return 3;
  // Version 4 names int16 too, but TFLite's converter writes these.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}

int NearestVersion(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<schema::ResizeNearestNeighborOptionsT>();
  if (options.half_pixel_centers || options.align_corners) return 3;
  // Version 4 names int16 too, but TFLite's converter writes these.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = Infer;
  record.quant.int8 = record.quant.int16x8 = true;
  record.quant.inputs = {{Role::kActivation, -1}, {Role::kIndex, -1}};
  record.quant.output = OutputRule::kSameAsInput;
  return record;
}

}  // namespace

const OpRecord& ResizeBilinearOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_RESIZE_BILINEAR,
                            {"UpSampling2D", "ResizeBilinear", "Resize"});
    r.prepare = PrepareBilinear;
    r.gradient = BilinearGradient;
    r.version = BilinearVersion;
    return r;
  }();
  return record;
}

const OpRecord& ResizeNearestNeighborOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR,
                            {"UpSampling2D", "ResizeNearestNeighbor", "Resize"});
    r.prepare = PrepareNearest;
    r.gradient = FixedMoveGradient;
    r.version = NearestVersion;
    return r;
  }();
  return record;
}

}  // namespace litesmith
