// Dense storage: where newer HDF5 libraries put the links of groups with more than eight members,
// and long lists of attributes. A version 2 B-tree names the objects, a fractal heap holds them
// (specification, III.A.2, III.G).

#include "base/bytes.h"
#include "import/keras/hdf5.h"
#include "import/keras/hdf5_format.h"

namespace litesmith {
namespace {

constexpr size_t kMaxTreeDepth = 16;
constexpr int kMaxHeapDepth = 16;

// Record types of a version 2 B-tree.
constexpr int kHugeObjects = 1, kLinkNames = 5, kAttributeNames = 8;

int Log2(uint64_t x) { return 63 - std::countl_zero(x | 1); }

// Bytes that hold numbers up to `x`.
size_t EncodedSize(uint64_t x) { return static_cast<size_t>(Log2(x)) / 8 + 1; }

}  // namespace

struct Hdf5File::FractalHeap {
  uint64_t huge_tree = 0;
  uint64_t width = 0;       // blocks per row of the doubling table
  uint64_t start_size = 0;  // bytes of the blocks of the first two rows
  uint64_t max_direct = 0;  // bytes of the largest direct block
  size_t offset_bytes = 0;  // in block headers and object ids
  size_t length_bytes = 0;
  uint64_t root = 0;
  uint64_t root_rows = 0;  // 0: the root is a direct block

  uint64_t BlockSize(uint64_t row) const { return row < 2 ? start_size : start_size << (row - 1); }
  uint64_t RowStart(uint64_t row) const { return row == 0 ? 0 : width * start_size << (row - 1); }
};

struct Hdf5File::Tree2 {
  int type = 0;
  uint64_t record_size = 0;
  size_t count_bytes = 0;           // of a child's number of records
  std::vector<size_t> total_bytes;  // per depth: of the number of records below a child
};

absl::Status Hdf5File::ReadDense(uint64_t heap_address, uint64_t tree_address, bool links,
                                 Hdf5Object* object) {
  LS_ASSIGN_OR_RETURN(const FractalHeap heap, ReadHeapHeader(heap_address));
  return VisitTree2(tree_address, links ? kLinkNames : kAttributeNames,
                    [&](std::span<const std::byte> record) -> absl::Status {
                      // Link: hash (4), id (7). Attribute: id (8), flags (1), order (4), hash (4).
                      if (record.size() < (links ? 11u : 17u))
                        return Damaged("an index record is too short");
                      if (!links && (LoadLE<uint8_t>(record.data() + 8) & 2) != 0)
                        return absl::OkStatus();
                      const auto id = links ? record.subspan(4, 7) : record.subspan(0, 8);
                      LS_ASSIGN_OR_RETURN(const auto message, HeapObject(heap, id));
                      return links ? ReadLink(message, object) : ReadAttribute(message, object);
                    });
}

absl::Status Hdf5File::VisitTree2(uint64_t address, int type, const RecordVisitor& visit) {
  LS_ASSIGN_OR_RETURN(const auto head, At(address, 38));
  if (std::memcmp(head.data(), "BTHD", 4) != 0 || LoadLE<uint8_t>(head.data() + 5) != type) {
    return Damaged("an index is broken at {:#x}", address);
  }
  Tree2 tree;
  tree.type = type;
  const uint64_t node_size = LoadLE<uint32_t>(head.data() + 6);
  tree.record_size = LoadLE<uint16_t>(head.data() + 10);
  const size_t depth = LoadLE<uint16_t>(head.data() + 12);
  const auto root = LoadLE<uint64_t>(head.data() + 16);
  if (tree.record_size == 0 || node_size < 10 + tree.record_size || depth > kMaxTreeDepth) {
    return Damaged("an index is broken at {:#x}", address);
  }
  if (root == kUndefinedAddress) return absl::OkStatus();  // empty
  // How wide the counts in child pointers are follows from how many records fit below them.
  const uint64_t leaf_records = (node_size - 10) / tree.record_size;
  tree.count_bytes = EncodedSize(leaf_records);
  tree.total_bytes.assign(1, 0);
  uint64_t below = leaf_records;
  for (size_t d = 1; d <= depth; ++d) {
    const uint64_t pointer = 8 + tree.count_bytes + tree.total_bytes[d - 1];
    if (node_size < 10 + pointer) return Damaged("an index is broken at {:#x}", address);
    const uint64_t records = (node_size - 10 - pointer) / (tree.record_size + pointer);
    if (!Multiply(records + 1, below, &below) || below > UINT64_MAX - records) {
      return Damaged("an index is broken at {:#x}", address);
    }
    below += records;
    tree.total_bytes.push_back(EncodedSize(below));
  }
  return VisitNode2(tree, root, depth, LoadLE<uint16_t>(head.data() + 24), visit);
}

absl::Status Hdf5File::VisitNode2(const Tree2& tree, uint64_t address, size_t depth,
                                  uint64_t records, const RecordVisitor& visit) {
  const uint64_t pointer = depth == 0 ? 0 : 8 + tree.count_bytes + tree.total_bytes[depth - 1];
  const uint64_t children = depth == 0 ? 0 : records + 1;
  uint64_t record_bytes = 0, pointer_bytes = 0;
  if (!Multiply(records, tree.record_size, &record_bytes) ||
      !Multiply(children, pointer, &pointer_bytes) || record_bytes > bytes_.size() ||
      pointer_bytes > bytes_.size()) {
    return Damaged("an index node is too large");
  }
  LS_ASSIGN_OR_RETURN(const auto node, At(address, 6 + record_bytes + pointer_bytes));
  if (std::memcmp(node.data(), depth == 0 ? "BTLF" : "BTIN", 4) != 0 ||
      LoadLE<uint8_t>(node.data() + 5) != tree.type) {
    return Damaged("an index node is broken at {:#x}", address);
  }
  for (uint64_t i = 0; i < records; ++i) {
    LS_RETURN_IF_ERROR(visit(node.subspan(6 + i * tree.record_size, tree.record_size)));
  }
  ByteReader in(node.subspan(6 + record_bytes));
  for (uint64_t i = 0; i < children; ++i) {
    LS_ASSIGN_OR_RETURN(const uint64_t child, in.Read<uint64_t>());
    LS_ASSIGN_OR_RETURN(const uint64_t count, ReadUint(&in, tree.count_bytes));
    LS_RETURN_IF_ERROR(in.Skip(tree.total_bytes[depth - 1]));
    LS_RETURN_IF_ERROR(VisitNode2(tree, child, depth - 1, count, visit));
  }
  return absl::OkStatus();
}

absl::StatusOr<Hdf5File::FractalHeap> Hdf5File::ReadHeapHeader(uint64_t address) {
  LS_ASSIGN_OR_RETURN(const auto head, At(address, 142));
  if (std::memcmp(head.data(), "FRHP", 4) != 0) {
    return Damaged("there is no heap at {:#x}", address);
  }
  FractalHeap heap;
  const auto filters = LoadLE<uint16_t>(head.data() + 7);
  const uint64_t max_object = LoadLE<uint32_t>(head.data() + 10);
  heap.huge_tree = LoadLE<uint64_t>(head.data() + 22);
  heap.width = LoadLE<uint16_t>(head.data() + 110);
  heap.start_size = LoadLE<uint64_t>(head.data() + 112);
  heap.max_direct = LoadLE<uint64_t>(head.data() + 120);
  const size_t heap_bits = LoadLE<uint16_t>(head.data() + 128);
  heap.root = LoadLE<uint64_t>(head.data() + 132);
  heap.root_rows = LoadLE<uint16_t>(head.data() + 140);
  const auto power_of_two = [](uint64_t x) { return x != 0 && (x & (x - 1)) == 0; };
  if (filters != 0 || !power_of_two(heap.width) || !power_of_two(heap.start_size) ||
      !power_of_two(heap.max_direct) || heap.start_size > heap.max_direct ||
      heap.max_direct > uint64_t{1} << 32 || heap_bits > 64 || heap_bits == 0) {
    return Damaged("the heap at {:#x} is broken", address);
  }
  heap.offset_bytes = (heap_bits + 7) / 8;
  heap.length_bytes =
      std::min((static_cast<size_t>(Log2(heap.max_direct)) + 7) / 8, EncodedSize(max_object));
  return heap;
}

absl::StatusOr<std::span<const std::byte>> Hdf5File::HeapObject(const FractalHeap& heap,
                                                                std::span<const std::byte> id) {
  ByteReader in(id);
  LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
  const int kind = flags >> 4 & 3;
  if (kind == 0) {
    LS_ASSIGN_OR_RETURN(const uint64_t offset, ReadUint(&in, heap.offset_bytes));
    LS_ASSIGN_OR_RETURN(const uint64_t length, ReadUint(&in, heap.length_bytes));
    return ManagedObject(heap, offset, length);
  }
  if (kind == 2) return in.ReadBytes((flags & 15) + 1);  // tiny: within the id
  if (kind != 1) return Damaged("a heap object is of unknown kind");
  LS_ASSIGN_OR_RETURN(const uint64_t key, ReadUint(&in, std::min<size_t>(in.remaining(), 8)));
  std::span<const std::byte> found;
  LS_RETURN_IF_ERROR(VisitTree2(
      heap.huge_tree, kHugeObjects, [&](std::span<const std::byte> record) -> absl::Status {
        if (record.size() < 24 || LoadLE<uint64_t>(record.data() + 16) != key) {
          return absl::OkStatus();
        }
        LS_ASSIGN_OR_RETURN(
            found, At(LoadLE<uint64_t>(record.data()), LoadLE<uint64_t>(record.data() + 8)));
        return absl::OkStatus();
      }));
  if (found.empty()) return Damaged("a large heap object is missing");
  return found;
}

absl::StatusOr<std::span<const std::byte>> Hdf5File::ManagedObject(const FractalHeap& heap,
                                                                   uint64_t offset,
                                                                   uint64_t length) {
  uint64_t block = heap.root, size = heap.start_size, rows = heap.root_rows;
  const auto direct_rows = static_cast<uint64_t>(Log2(heap.max_direct / heap.start_size)) + 2;
  for (int depth = 0; rows > 0; ++depth) {
    const uint64_t units = offset / (heap.width * heap.start_size);
    const uint64_t row = units == 0 ? 0 : static_cast<uint64_t>(Log2(units)) + 1;
    if (row >= rows || row > 40 || depth > kMaxHeapDepth) {
      return Damaged("an object lies outside its heap");
    }
    size = heap.BlockSize(row);
    const uint64_t column = (offset - heap.RowStart(row)) / size;
    offset -= heap.RowStart(row) + column * size;
    // Signature, version, heap address, block offset; then the children's addresses.
    const uint64_t head = 13 + heap.offset_bytes;
    LS_ASSIGN_OR_RETURN(const auto indirect, At(block, head));
    if (std::memcmp(indirect.data(), "FHIB", 4) != 0) {
      return Damaged("a heap block is broken at {:#x}", block);
    }
    LS_ASSIGN_OR_RETURN(const auto entry, At(block + head + (row * heap.width + column) * 8, 8));
    block = LoadLE<uint64_t>(entry.data());
    const int unit = Log2(size) - Log2(heap.width * heap.start_size);
    if (row >= direct_rows && unit < 0) return Damaged("a heap block is broken at {:#x}", block);
    rows = row < direct_rows ? 0 : static_cast<uint64_t>(unit) + 1;
  }
  if (offset > size || length > size - offset) return Damaged("an object lies outside its heap");
  LS_ASSIGN_OR_RETURN(const auto signature, At(block, 4));
  if (std::memcmp(signature.data(), "FHDB", 4) != 0) {
    return Damaged("a heap block is broken at {:#x}", block);
  }
  return At(block + offset, length);
}

}  // namespace litesmith
