#include <cstring>
#include <memory>

#include "base/packed_int.h"
#include "kernels/gradient/elementwise_f32.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_RETURN_IF_ERROR(CheckType(args.in(0), "the indices", {schema::TensorType_INT32}));
  if (args.in(0).rank() != 1 || args.in(1).rank() < 2) {
    return Invalid("the indices need 1 dimension and the table at least 2, they have {} and {}",
                   args.in(0).rank(), args.in(1).rank());
  }
  Shape out = args.in(1).shape;
  out[0] = args.in(0).shape[0];
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

// copy(row of the table, output position) for every index; an index outside the table is an error.
template <typename Copy>
Kernel LookupKernel(const PrepareArgs& args, const Copy& copy) {
  const int64_t count = args.in(0).elements();
  const int32_t rows = args.in(1).shape[0];
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [copy, count, rows](const RunArgs& run) -> absl::Status {
    for (int64_t i = 0; i < count; ++i) {
      const int32_t row = run.in<int32_t>(0)[i];
      if (row < 0 || row >= rows) {
        return Invalid("index {} is not one of the {} rows of the table", row, rows);
      }
      copy(run, static_cast<size_t>(row), static_cast<size_t>(i));
    }
    return absl::OkStatus();
  };
  return kernel;
}

// Integer table, float output: a scale for all rows or one per row.
absl::StatusOr<Kernel> PrepareHybrid(const PrepareArgs& args, size_t columns) {
  const TensorView& table = args.in(1);
  LS_RETURN_IF_ERROR(CheckWeightQuant(table, table.shape[0], true));
  if (table.quant->per_channel() && table.quant->axis != 0) {
    return Unsupported("scales along dimension {} have no kernel", table.quant->axis);
  }
  auto scales = std::make_shared<std::vector<float>>(table.quant->scale);
  scales->resize(static_cast<size_t>(table.shape[0]), table.scale());
  if (IsPacked(table.type)) {
    LS_ASSIGN_OR_RETURN(std::vector<int8_t> unpacked, UnpackWeights(table));
    auto values = std::make_shared<const std::vector<int8_t>>(std::move(unpacked));
    // As LiteRT, which reads every row from the first element of the byte that its own first is in.
    const size_t in_byte = table.type == schema::TensorType_INT4 ? 2 : 4;
    return LookupKernel(
        args, [scales, values, columns, in_byte](const RunArgs& run, size_t row, size_t i) {
          const int8_t* from = values->data() + row * columns / in_byte * in_byte;
          for (size_t c = 0; c < columns; ++c) {
            run.out<float>(0)[i * columns + c] = static_cast<float>(from[c]) * (*scales)[row];
          }
        });
  }
  return LookupKernel(args, [scales, columns](const RunArgs& run, size_t row, size_t i) {
    const int8_t* from = run.in<int8_t>(1) + row * columns;
    for (size_t c = 0; c < columns; ++c) {
      run.out<float>(0)[i * columns + c] = static_cast<float>(from[c]) * (*scales)[row];
    }
  });
}

absl::StatusOr<Kernel> PrepareLookup(const PrepareArgs& args) {
  const TensorView& table = args.in(1);
  const TensorType out = args.out(0).type;
  size_t columns = 1;
  for (int d = 1; d < table.rank(); ++d) columns *= static_cast<size_t>(table.shape[d]);
  const bool integers = table.type == schema::TensorType_INT8 || IsPacked(table.type);
  if (out == schema::TensorType_FLOAT32 && integers) return PrepareHybrid(args, columns);
  if (out == schema::TensorType_FLOAT16 && integers) return HalfKernel(args, PrepareLookup);
  if (out != table.type || TypeSize(out) == 0) return NoKernel(args);
  const size_t bytes = columns * TypeSize(out);
  return LookupKernel(args, [bytes](const RunArgs& run, size_t row, size_t i) {
    if (bytes > 0) {
      std::memcpy(run.out<std::byte>(0) + i * bytes, run.in<std::byte>(1) + row * bytes, bytes);
    }
  });
}

// The rows that were read get the gradient of what became of them.
absl::Status LookupGradient(const GradArgs& args) {
  float* table = args.in_grads[1];
  if (table == nullptr) return absl::OkStatus();
  const int64_t elements = args.inputs[1].elements(), rows = args.inputs[1].shape[0];
  if (args.first[1]) std::fill_n(table, elements, 0.0f);
  const size_t columns = static_cast<size_t>(rows == 0 ? 0 : elements / rows);
  const auto* ids = args.inputs[0].As<int32_t>();
  for (int64_t i = 0; i < args.inputs[0].elements(); ++i) {
    gradient::AddOrCopy(args.out_grads[0] + static_cast<size_t>(i) * columns, columns, true,
                        table + static_cast<size_t>(ids[i]) * columns);
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  const TensorType table = args.in(1);
  if (table == schema::TensorType_INT4) return 4;
  if (args.inputs.size() > 1 && args.inputs[1].present && args.inputs[1].quant->per_channel()) {
    return 4;
  }
  return table == schema::TensorType_INT2 ? 5 : 1;
}

}  // namespace

const OpRecord& EmbeddingLookupOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_EMBEDDING_LOOKUP;
    r.names = {"Embedding", "", ""};
    r.infer_shapes = Infer;
    r.prepare = PrepareLookup;
    r.gradient = LookupGradient;
    r.version = Version;
    r.quant.dynamic = true;
    // Static: the rows as they are stored; dynamic: a scale per row, results in float.
    r.quant.int8 = r.quant.int16x8 = true;
    r.quant.inputs = {{Role::kIndex, -1}, {Role::kWeight, 0}};
    r.quant.output = OutputRule::kSameAsInput;
    r.quant.same_as = 1;
    return r;
  }();
  return record;
}

}  // namespace litesmith
