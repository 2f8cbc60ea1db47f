#include "ir/sparse.h"

#include <algorithm>

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;
using Dimension = std::unique_ptr<schema::DimensionMetadataT>;

Dimension Dense(int32_t size) {
  auto m = std::make_unique<schema::DimensionMetadataT>();
  m->format = schema::DimensionType_DENSE;
  m->dense_size = size;
  return m;
}

Dimension Rows(std::vector<int32_t> segments, std::vector<uint8_t> indices) {
  auto m = std::make_unique<schema::DimensionMetadataT>();
  m->format = schema::DimensionType_SPARSE_CSR;
  schema::Int32VectorT s;
  s.values = std::move(segments);
  m->array_segments.Set(std::move(s));
  schema::Uint8VectorT i;
  i.values = std::move(indices);
  m->array_indices.Set(std::move(i));
  return m;
}

Tensor Sparse(Shape shape, schema::SparsityParametersT parameters,
              const std::vector<float>& values) {
  Tensor tensor;
  tensor.shape = std::move(shape);
  tensor.data = Blob::Of(values);
  tensor.sparsity = std::make_shared<const schema::SparsityParametersT>(std::move(parameters));
  return tensor;
}

// [[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 8]] in compressed rows.
schema::SparsityParametersT Csr() {
  schema::SparsityParametersT p;
  p.traversal_order = {0, 1};
  p.dim_metadata.push_back(Dense(3));
  p.dim_metadata.push_back(Rows({0, 1, 1, 3}, {1, 0, 3}));
  return p;
}

void ExpectDense(const Tensor& tensor, const std::vector<float>& wanted) {
  ASSERT_OK_AND_ASSIGN(const Blob dense, Densify(tensor, 1 << 20));
  const auto got = dense.As<float>();
  EXPECT_EQ(std::vector<float>(got.begin(), got.end()), wanted);
}

TEST(DensifyTest, CompressedRows) {
  ExpectDense(Sparse({3, 4}, Csr(), {5, 7, 8}), {0, 5, 0, 0, 0, 0, 0, 0, 7, 0, 0, 8});
}

// Blocks of 1x2: row 0 holds block 1, row 1 holds blocks 0 and 1.
TEST(DensifyTest, Blocks) {
  schema::SparsityParametersT p;
  p.traversal_order = {0, 1, 2};
  p.block_map = {1};
  p.dim_metadata.push_back(Dense(2));
  p.dim_metadata.push_back(Rows({0, 1, 3}, {1, 0, 1}));
  p.dim_metadata.push_back(Dense(2));
  ExpectDense(Sparse({2, 4}, std::move(p), {1, 2, 3, 4, 5, 6}), {0, 0, 1, 2, 3, 4, 5, 6});
}

void ExpectError(Shape shape, schema::SparsityParametersT p, const std::vector<float>& values,
                 const char* what) {
  auto dense = Densify(Sparse(std::move(shape), std::move(p), values), 1 << 20);
  ASSERT_FALSE(dense.ok());
  EXPECT_THAT(std::string(Message(dense.status())), HasSubstr(what));
}

TEST(DensifyTest, TheMemoryLimitHolds) {
  EXPECT_OK(Densify(Sparse({3, 4}, Csr(), {5, 7, 8}), 48));
  EXPECT_FALSE(Densify(Sparse({3, 4}, Csr(), {5, 7, 8}), 47).ok());
}

TEST(DensifyTest, WrongParametersAreErrors) {
  ExpectError({3, 4}, Csr(), {5, 7}, "more are needed");
  ExpectError({3, 3}, Csr(), {5, 7, 8}, "out of range");
  ExpectError({4, 4}, Csr(), {5, 7, 8}, "its shape needs 4");
  auto order = Csr();
  order.traversal_order = {0, 0};
  ExpectError({3, 4}, std::move(order), {5, 7, 8}, "no permutation");
  auto few = Csr();
  few.dim_metadata[1] = Rows({0, 1}, {1});
  ExpectError({3, 4}, std::move(few), {5, 7, 8}, "end too early");
  auto far = Csr();
  far.dim_metadata[1] = Rows({0, 1, 1, 4}, {1, 0, 3});
  ExpectError({3, 4}, std::move(far), {5, 7, 8}, "outside the indices");
}

Tensor RandomlyZero(Shape shape, TensorType type, double zeros, uint64_t seed) {
  Random random(seed);
  Tensor tensor;
  tensor.type = type;
  tensor.shape = std::move(shape);
  const auto count = static_cast<size_t>(NumElements(tensor.shape));
  std::vector<float> floats(count, 0.0f);
  std::vector<int8_t> bytes(count, 0);
  for (size_t i = 0; i < count; ++i) {
    if (random.Uniform() < zeros) continue;
    floats[i] = static_cast<float>(random.Normal());
    bytes[i] = static_cast<int8_t>(1 + random.Below(100));
  }
  tensor.data = type == schema::TensorType_FLOAT32 ? Blob::Of(floats) : Blob::Of(bytes);
  return tensor;
}

TEST(EncodeSparseTest, DensifyGivesItBack) {
  uint64_t seed = 0;
  for (const Shape& shape : {Shape{1, 16}, Shape{7, 32}, Shape{3, 400}, Shape{2, 70000},
                             Shape{4, 3, 3, 16}, Shape{16}}) {
    for (const TensorType type : {schema::TensorType_FLOAT32, schema::TensorType_INT8}) {
      for (const int block : {1, 4, 16}) {
        for (const double zeros : {0.0, 0.5, 0.9, 1.0}) {
          if (shape.back() % block != 0) continue;
          const Tensor dense = RandomlyZero(shape, type, zeros, ++seed);
          const Tensor sparse = EncodeSparse(dense, block);
          ASSERT_NE(sparse.sparsity, nullptr);
          EXPECT_FALSE(sparse.data.empty());
          ASSERT_OK_AND_ASSIGN(const Blob back, Densify(sparse, 1 << 20));
          ASSERT_EQ(back.bytes.size(), dense.data.bytes.size());
          EXPECT_TRUE(std::equal(back.bytes.begin(), back.bytes.end(), dense.data.bytes.begin()));
          if (zeros == 0.9 && block == 1 && type == schema::TensorType_FLOAT32 &&
              shape.back() >= 100) {
            EXPECT_LT(StoredBytes(sparse), StoredBytes(dense) / 3);
          }
        }
      }
    }
  }
}

TEST(EncodeSparseTest, StoresNothingOfEmptyRows) {
  Tensor dense;
  dense.shape = {3, 4};
  dense.data = Blob::Of(std::vector<float>{0, 5, 0, 0, 0, 0, 0, 0, 7, 0, 0, 8});
  const Tensor sparse = EncodeSparse(dense, 1);
  EXPECT_EQ(sparse.data.As<float>().size(), 3u);
  // 3 floats, 4 segments and 3 indices of a byte each.
  EXPECT_EQ(StoredBytes(sparse), 12u + 4u + 3u);
}

}  // namespace
}  // namespace litesmith
