#include "ir/sparse.h"

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

}  // namespace
}  // namespace litesmith
