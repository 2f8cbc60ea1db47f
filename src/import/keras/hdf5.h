#ifndef LITESMITH_IMPORT_KERAS_HDF5_H_
#define LITESMITH_IMPORT_KERAS_HDF5_H_

// A small reader of untrusted HDF5 files: the subset that h5py writes and Keras uses (HDF5 File
// Format Specification, version 3.0). Superblocks 0-3, object headers 1 and 2, groups of every
// kind, attributes, fixed and variable-length strings, integers and IEEE floats; compact,
// contiguous and chunked (version 1 B-tree) data with the deflate, shuffle and Fletcher-32 filters.
// Every offset is checked; the work done and the memory taken are bounded by the size of the file,
// whatever it claims.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace litesmith {

struct Hdf5Type {
  enum class Kind : uint8_t { kInteger, kFloat, kString, kVlenString, kOther };
  Kind kind = Kind::kOther;
  uint32_t size = 0;  // bytes of one element in the file
  bool is_signed = false;
  bool is_bfloat16 = false;
};

struct Hdf5Attribute {
  std::string name;
  Hdf5Type type;
  std::vector<uint64_t> shape;  // empty: a scalar
  std::span<const std::byte> data;
};

struct Hdf5Filter {
  uint16_t id = 0;
  bool optional = false;
  std::vector<uint32_t> values;
};

// A group or a dataset.
struct Hdf5Object {
  bool is_group = false;
  std::map<std::string, uint64_t, std::less<>> links;  // of a group: name -> address
  std::vector<Hdf5Attribute> attributes;

  bool is_dataset = false;
  Hdf5Type type;
  std::vector<uint64_t> shape;
  enum class Layout : uint8_t { kNone, kCompact, kContiguous, kChunked } layout = Layout::kNone;
  std::span<const std::byte> data;    // compact and contiguous
  uint64_t chunk_tree = 0;            // chunked: address of the version 1 B-tree
  std::vector<uint64_t> chunk_shape;  // without the element size
  std::vector<Hdf5Filter> filters;

  const Hdf5Attribute* FindAttribute(std::string_view name) const;
};

// True when the bytes start with the HDF5 signature.
bool LooksLikeHdf5(std::span<const std::byte> bytes);

// Not thread-safe: objects are parsed when they are first asked for and kept.
class Hdf5File {
 public:
  // `bytes` must outlive the object. No single array, nor the sum of all, takes more than
  // `memory_budget`.
  static absl::StatusOr<std::unique_ptr<Hdf5File>> Open(std::span<const std::byte> bytes,
                                                        uint64_t memory_budget);

  absl::StatusOr<const Hdf5Object*> Root() { return ObjectAt(root_); }

  // The object at `path` ("a/b/c") under `group`; null when there is none.
  absl::StatusOr<const Hdf5Object*> Find(const Hdf5Object& group, std::string_view path);

  // A string or an array of strings, fixed or variable length.
  absl::StatusOr<std::vector<std::string>> ReadStrings(const Hdf5Attribute& attribute);

  // A dataset of integers or floats of any width, as float32, in row-major order.
  absl::StatusOr<std::vector<float>> ReadFloats(const Hdf5Object& dataset);

 private:
  struct Message {
    uint16_t type;
    uint8_t flags;
    std::span<const std::byte> data;
  };
  struct FractalHeap;  // hdf5_dense.cc
  struct Tree2;

  explicit Hdf5File(std::span<const std::byte> bytes, uint64_t memory_budget)
      : bytes_(bytes), memory_budget_(memory_budget) {}

  absl::Status ReadSuperblock();
  // `size` bytes at a file address, charged to the work that the file may cause.
  absl::StatusOr<std::span<const std::byte>> At(uint64_t address, uint64_t size);
  // The rest of the file from an address, uncharged: for structures that tell their size.
  absl::StatusOr<std::span<const std::byte>> From(uint64_t address) const;
  absl::Status Charge(uint64_t bytes);
  absl::Status Allocate(uint64_t bytes);

  absl::StatusOr<const Hdf5Object*> ObjectAt(uint64_t address);
  absl::Status ReadHeader(uint64_t address, std::vector<Message>* messages);
  absl::Status ReadHeaderV1(std::span<const std::byte> head, uint64_t address,
                            std::vector<Message>* messages);
  absl::Status ReadHeaderV2(std::span<const std::byte> head, uint64_t address,
                            std::vector<Message>* messages);
  absl::Status Interpret(const std::vector<Message>& messages, Hdf5Object* object);

  absl::Status ReadSymbolTable(std::span<const std::byte> message, Hdf5Object* object);
  absl::Status ReadSymbolNodes(uint64_t address, int level, std::span<const std::byte> names,
                               Hdf5Object* object);
  absl::Status ReadSymbols(uint64_t address, std::span<const std::byte> names, Hdf5Object* object);
  absl::Status ReadLink(std::span<const std::byte> message, Hdf5Object* object);
  absl::Status ReadAttribute(std::span<const std::byte> message, Hdf5Object* object);
  absl::Status ReadLayout(std::span<const std::byte> message, Hdf5Object* object);
  absl::Status ReadFilters(std::span<const std::byte> message, Hdf5Object* object);
  static absl::Status ReadType(std::span<const std::byte> message, Hdf5Type* type);
  static absl::Status ReadSpace(std::span<const std::byte> message, std::vector<uint64_t>* shape);

  // Dense storage of links and attributes: a version 2 B-tree over a fractal heap (hdf5_dense.cc).
  using RecordVisitor = std::function<absl::Status(std::span<const std::byte> record)>;
  absl::Status ReadDense(uint64_t heap, uint64_t tree, bool links, Hdf5Object* object);
  absl::Status VisitTree2(uint64_t address, int type, const RecordVisitor& visit);
  absl::Status VisitNode2(const Tree2& tree, uint64_t address, size_t depth, uint64_t records,
                          const RecordVisitor& visit);
  absl::StatusOr<FractalHeap> ReadHeapHeader(uint64_t address);
  absl::StatusOr<std::span<const std::byte>> HeapObject(const FractalHeap& heap,
                                                        std::span<const std::byte> id);
  absl::StatusOr<std::span<const std::byte>> ManagedObject(const FractalHeap& heap, uint64_t offset,
                                                           uint64_t length);

  absl::StatusOr<std::span<const std::byte>> GlobalHeapObject(uint64_t collection, uint32_t index);

  // The dataset's bytes, chunks put together (hdf5_data.cc).
  absl::Status ReadChunks(const Hdf5Object& dataset, uint64_t address, int level,
                          std::vector<std::byte>* out, uint64_t* found);
  absl::StatusOr<std::vector<std::byte>> Unfilter(const Hdf5Object& dataset, uint32_t skipped,
                                                  std::span<const std::byte> stored,
                                                  uint64_t chunk_bytes);

  std::span<const std::byte> bytes_;  // from the base address
  uint64_t memory_budget_;
  uint64_t work_ = 0;
  uint64_t allocated_ = 0;
  uint64_t root_ = 0;
  std::map<uint64_t, std::unique_ptr<Hdf5Object>> objects_;
  std::map<uint64_t, std::map<uint32_t, std::span<const std::byte>>> collections_;
};

}  // namespace litesmith

#endif  // LITESMITH_IMPORT_KERAS_HDF5_H_
