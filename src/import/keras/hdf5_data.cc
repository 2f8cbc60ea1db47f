// Datatypes, dataspaces, attributes and the bytes of datasets.

#include <zlib.h>

#include "base/bytes.h"
#include "base/deflate.h"
#include "base/half.h"
#include "import/keras/hdf5.h"
#include "import/keras/hdf5_format.h"

namespace litesmith {
namespace {

constexpr int kMaxRank = 32;
constexpr int kMaxTreeLevel = 32;

// Filter numbers (specification, IV.A.2.l).
enum : uint16_t { kDeflate = 1, kShuffle = 2, kFletcher32 = 3 };

// The product of the dimensions; false when it does not fit.
bool Elements(const std::vector<uint64_t>& shape, uint64_t* elements) {
  *elements = 1;
  for (uint64_t d : shape) {
    if (!Multiply(*elements, d, elements)) return false;
  }
  return true;
}

}  // namespace

absl::Status Hdf5File::ReadSpace(std::span<const std::byte> message, std::vector<uint64_t>* shape) {
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t rank, in.Read<uint8_t>());
  if ((version != 1 && version != 2) || rank > kMaxRank) return Damaged("a dataspace is broken");
  LS_RETURN_IF_ERROR(in.Skip(1));
  LS_ASSIGN_OR_RETURN(const uint8_t kind, in.Read<uint8_t>());
  if (version == 1) LS_RETURN_IF_ERROR(in.Skip(4));
  shape->clear();
  if (version == 2 && kind == 2) {  // null: no elements at all
    shape->push_back(0);
    return absl::OkStatus();
  }
  for (int i = 0; i < rank; ++i) {
    LS_ASSIGN_OR_RETURN(const uint64_t dim, in.Read<uint64_t>());
    shape->push_back(dim);
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadType(std::span<const std::byte> message, Hdf5Type* type) {
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint8_t head, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint64_t bits, ReadUint(&in, 3));
  LS_ASSIGN_OR_RETURN(type->size, in.Read<uint32_t>());
  if (type->size == 0) return Damaged("a datatype has no size");
  const int type_class = head & 15;
  type->kind = Hdf5Type::Kind::kOther;
  if (type_class == 0 && (bits & 1) == 0 && type->size <= 8 &&
      (type->size & (type->size - 1)) == 0) {
    LS_RETURN_IF_ERROR(in.Skip(2));
    LS_ASSIGN_OR_RETURN(const uint16_t precision, in.Read<uint16_t>());
    type->is_signed = (bits & 8) != 0;
    if (precision == type->size * 8) type->kind = Hdf5Type::Kind::kInteger;
  } else if (type_class == 1 && (bits & 0x41) == 0) {
    LS_RETURN_IF_ERROR(in.Skip(2));
    LS_ASSIGN_OR_RETURN(const uint16_t precision, in.Read<uint16_t>());
    LS_RETURN_IF_ERROR(in.Skip(1));
    LS_ASSIGN_OR_RETURN(const uint8_t exponent, in.Read<uint8_t>());
    LS_RETURN_IF_ERROR(in.Skip(1));
    LS_ASSIGN_OR_RETURN(const uint8_t mantissa, in.Read<uint8_t>());
    const bool half = type->size == 2 && exponent == 5 && mantissa == 10;
    type->is_bfloat16 = type->size == 2 && exponent == 8 && mantissa == 7;
    const bool single = type->size == 4 && exponent == 8 && mantissa == 23;
    const bool twice = type->size == 8 && exponent == 11 && mantissa == 52;
    if (precision == type->size * 8 && (half || single || twice || type->is_bfloat16)) {
      type->kind = Hdf5Type::Kind::kFloat;
    }
  } else if (type_class == 3) {
    type->kind = Hdf5Type::Kind::kString;
  } else if (type_class == 5 && type->size == 2) {
    type->is_bfloat16 = true;  // if an attribute says so: h5py has no better type for it
  } else if (type_class == 9 && (bits & 15) == 1 && type->size == 16) {
    type->kind = Hdf5Type::Kind::kVlenString;
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadAttribute(std::span<const std::byte> message, Hdf5Object* object) {
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint16_t name_size, in.Read<uint16_t>());
  LS_ASSIGN_OR_RETURN(const uint16_t type_size, in.Read<uint16_t>());
  LS_ASSIGN_OR_RETURN(const uint16_t space_size, in.Read<uint16_t>());
  if (version < 1 || version > 3) return Damaged("attribute version {} is not known", version);
  if (version > 1 && (flags & 3) != 0) return absl::OkStatus();  // of a committed type: not Keras'
  if (version == 3) LS_RETURN_IF_ERROR(in.Skip(1));
  // Version 1 pads each part to 8 bytes.
  const auto padded = [version](uint32_t size) { return version == 1 ? (size + 7) / 8 * 8 : size; };
  LS_ASSIGN_OR_RETURN(const auto name, in.ReadBytes(padded(name_size)));
  LS_ASSIGN_OR_RETURN(const auto type, in.ReadBytes(padded(type_size)));
  LS_ASSIGN_OR_RETURN(const auto space, in.ReadBytes(padded(space_size)));
  Hdf5Attribute attribute;
  attribute.name = UntilNull(name);
  LS_RETURN_IF_ERROR(Charge(name.size()));
  LS_RETURN_IF_ERROR(ReadType(type, &attribute.type));
  LS_RETURN_IF_ERROR(ReadSpace(space, &attribute.shape));
  uint64_t bytes = 0;
  if (!Elements(attribute.shape, &bytes) || !Multiply(bytes, attribute.type.size, &bytes)) {
    return Damaged("attribute '{}' has an impossible shape", Printable(attribute.name));
  }
  LS_ASSIGN_OR_RETURN(attribute.data, in.ReadBytes(bytes));
  object->attributes.push_back(std::move(attribute));
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadFilters(std::span<const std::byte> message, Hdf5Object* object) {
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t count, in.Read<uint8_t>());
  if (version != 1 && version != 2) return Damaged("filter version {} is not known", version);
  LS_RETURN_IF_ERROR(in.Skip(version == 1 ? 6 : 0));
  object->filters.clear();
  for (int i = 0; i < count; ++i) {
    Hdf5Filter filter;
    LS_ASSIGN_OR_RETURN(filter.id, in.Read<uint16_t>());
    uint32_t name_size = 0;
    if (version == 1 || filter.id >= 256) {
      LS_ASSIGN_OR_RETURN(name_size, in.Read<uint16_t>());
    }
    LS_ASSIGN_OR_RETURN(const uint16_t flags, in.Read<uint16_t>());
    LS_ASSIGN_OR_RETURN(const uint16_t values, in.Read<uint16_t>());
    filter.optional = (flags & 1) != 0;
    LS_RETURN_IF_ERROR(in.Skip(version == 1 ? (name_size + 7) / 8 * 8 : name_size));
    for (int v = 0; v < values; ++v) {
      LS_ASSIGN_OR_RETURN(const uint32_t value, in.Read<uint32_t>());
      filter.values.push_back(value);
    }
    if (version == 1 && values % 2 == 1) LS_RETURN_IF_ERROR(in.Skip(4));
    object->filters.push_back(std::move(filter));
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadLayout(std::span<const std::byte> message, Hdf5Object* object) {
  using Layout = Hdf5Object::Layout;
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  if (version != 3 && version != 4) {
    return Damaged("data layout version {} is not supported", version);
  }
  LS_ASSIGN_OR_RETURN(const uint8_t kind, in.Read<uint8_t>());
  if (kind == 0) {
    object->layout = Layout::kCompact;
    LS_ASSIGN_OR_RETURN(const uint16_t size, in.Read<uint16_t>());
    LS_ASSIGN_OR_RETURN(object->data, in.ReadBytes(size));
  } else if (kind == 1) {
    LS_ASSIGN_OR_RETURN(const uint64_t address, in.Read<uint64_t>());
    LS_ASSIGN_OR_RETURN(const uint64_t size, in.Read<uint64_t>());
    object->layout = Layout::kContiguous;
    if (address != kUndefinedAddress && size > 0) {
      LS_ASSIGN_OR_RETURN(object->data, At(address, size));
    }
  } else if (kind == 2 && version == 3) {
    object->layout = Layout::kChunked;
    LS_ASSIGN_OR_RETURN(const uint8_t rank, in.Read<uint8_t>());
    LS_ASSIGN_OR_RETURN(object->chunk_tree, in.Read<uint64_t>());
    if (rank < 1 || rank > kMaxRank + 1) return Damaged("a chunked dataset has rank {}", rank);
    for (int i = 0; i + 1 < rank; ++i) {  // the last is the element's size
      LS_ASSIGN_OR_RETURN(const uint32_t dim, in.Read<uint32_t>());
      if (dim == 0) return Damaged("a dataset has empty chunks");
      object->chunk_shape.push_back(dim);
    }
  }  // anything else is refused when it is read: it may be no weight
  return absl::OkStatus();
}

// ---- Strings
// -------------------------------------------------------------------------------------------

absl::StatusOr<std::span<const std::byte>> Hdf5File::GlobalHeapObject(uint64_t collection,
                                                                      uint32_t index) {
  auto it = collections_.find(collection);
  if (it == collections_.end()) {
    LS_ASSIGN_OR_RETURN(const auto head, At(collection, 16));
    if (std::memcmp(head.data(), "GCOL", 4) != 0) {
      return Damaged("there is no heap of strings at {:#x}", collection);
    }
    LS_ASSIGN_OR_RETURN(const auto body, At(collection, LoadLE<uint64_t>(head.data() + 8)));
    ByteReader in(body);
    LS_RETURN_IF_ERROR(in.Skip(16));
    std::map<uint32_t, std::span<const std::byte>> objects;
    while (in.remaining() >= 16) {
      LS_ASSIGN_OR_RETURN(const uint16_t id, in.Read<uint16_t>());
      LS_RETURN_IF_ERROR(in.Skip(6));
      LS_ASSIGN_OR_RETURN(const uint64_t size, in.Read<uint64_t>());
      if (id == 0) break;  // the free space at the end
      LS_ASSIGN_OR_RETURN(const auto data, in.ReadBytes(size));
      LS_RETURN_IF_ERROR(in.Skip(std::min<uint64_t>((8 - size % 8) % 8, in.remaining())));
      objects.emplace(id, data);
    }
    it = collections_.emplace(collection, std::move(objects)).first;
  }
  const auto object = it->second.find(index);
  if (object == it->second.end()) return Damaged("a string is missing from its heap");
  return object->second;
}

absl::StatusOr<std::vector<std::string>> Hdf5File::ReadStrings(const Hdf5Attribute& attribute) {
  std::vector<std::string> out;
  uint64_t count = 0;
  if (!Elements(attribute.shape, &count)) return Damaged("an attribute has an impossible shape");
  if (count == 0) return out;  // an empty list: h5py gives it a float type
  const size_t size = attribute.type.size;
  for (uint64_t i = 0; i < count; ++i) {
    const auto element = attribute.data.subspan(i * size, size);
    if (attribute.type.kind == Hdf5Type::Kind::kString) {
      out.emplace_back(UntilNull(element));
    } else if (attribute.type.kind == Hdf5Type::Kind::kVlenString) {
      const auto length = LoadLE<uint32_t>(element.data());
      if (length == 0) {
        out.emplace_back();
        continue;
      }
      LS_ASSIGN_OR_RETURN(const auto text, GlobalHeapObject(LoadLE<uint64_t>(element.data() + 4),
                                                            LoadLE<uint32_t>(element.data() + 12)));
      if (length > text.size()) return Damaged("a string is longer than its place in the heap");
      LS_RETURN_IF_ERROR(Charge(length));
      out.emplace_back(UntilNull(text.subspan(0, length)));
    } else {
      return Damaged("attribute '{}' should be text", Printable(attribute.name));
    }
  }
  return out;
}

// ---- Data
// ----------------------------------------------------------------------------------------------

namespace {

absl::Status Inflate(std::span<const std::byte> stored, std::vector<std::byte>* out) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return Internal("zlib cannot start");
  // Chunks are far below 4 GB: ReadChunks has checked it.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(out->data());
  stream.avail_out = static_cast<uInt>(out->size());
  const int result = inflate(&stream, Z_FINISH);
  out->resize(stream.total_out);
  inflateEnd(&stream);
  return result == Z_STREAM_END ? absl::OkStatus() : Damaged("compressed data is broken");
}

void Unshuffle(size_t element, std::vector<std::byte>* bytes) {
  if (element < 2) return;
  const size_t count = bytes->size() / element;
  std::vector<std::byte> out(*bytes);  // a rest shorter than one element stays in place
  for (size_t b = 0; b < element; ++b) {
    for (size_t i = 0; i < count; ++i) out[i * element + b] = (*bytes)[b * count + i];
  }
  *bytes = std::move(out);
}

// Copies one chunk into the dataset, as much of it as lies inside.
void PlaceChunk(const std::vector<uint64_t>& shape, const std::vector<uint64_t>& chunk,
                const std::vector<uint64_t>& start, size_t element, const std::byte* from,
                std::byte* to) {
  const size_t rank = shape.size();
  std::vector<uint64_t> index(rank, 0), extent(rank);
  for (size_t d = 0; d < rank; ++d) extent[d] = std::min(chunk[d], shape[d] - start[d]);
  const size_t row = static_cast<size_t>(rank == 0 ? 1 : extent[rank - 1]) * element;
  for (;;) {
    uint64_t source = 0, target = 0;
    for (size_t d = 0; d < rank; ++d) {
      source = source * chunk[d] + index[d];
      target = target * shape[d] + start[d] + index[d];
    }
    std::memcpy(to + target * element, from + source * element, row);
    size_t d = rank < 2 ? 0 : rank - 1;
    while (d > 0) {
      if (++index[d - 1] < extent[d - 1]) break;
      index[--d] = 0;
    }
    if (d == 0) return;
  }
}

template <typename T>
void ToFloat(std::span<const std::byte> bytes, std::vector<float>* out) {
  for (size_t i = 0; i < out->size(); ++i) {
    (*out)[i] = static_cast<float>(LoadLE<T>(bytes.data() + i * sizeof(T)));
  }
}

absl::Status Convert(const Hdf5Type& type, std::span<const std::byte> bytes,
                     std::vector<float>* out) {
  const bool integer = type.kind == Hdf5Type::Kind::kInteger;
  if (!integer && type.kind != Hdf5Type::Kind::kFloat) {
    return Damaged("weights should be numbers");
  }
  switch (type.size) {
    case 1:
      type.is_signed ? ToFloat<int8_t>(bytes, out) : ToFloat<uint8_t>(bytes, out);
      break;
    case 2:
      if (integer) {
        type.is_signed ? ToFloat<int16_t>(bytes, out) : ToFloat<uint16_t>(bytes, out);
        break;
      }
      for (size_t i = 0; i < out->size(); ++i) {
        const auto half = LoadLE<uint16_t>(bytes.data() + i * 2);
        (*out)[i] = type.is_bfloat16 ? std::bit_cast<float>(static_cast<uint32_t>(half) << 16)
                                     : HalfToFloat(half);
      }
      break;
    case 4:
      if (!integer) {
        std::memcpy(out->data(), bytes.data(), out->size() * 4);
      } else {
        type.is_signed ? ToFloat<int32_t>(bytes, out) : ToFloat<uint32_t>(bytes, out);
      }
      break;
    default:
      if (!integer) {
        ToFloat<double>(bytes, out);
      } else {
        type.is_signed ? ToFloat<int64_t>(bytes, out) : ToFloat<uint64_t>(bytes, out);
      }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::byte>> Hdf5File::Unfilter(const Hdf5Object& dataset,
                                                          uint32_t skipped,
                                                          std::span<const std::byte> stored,
                                                          uint64_t chunk_bytes) {
  std::vector<std::byte> bytes(stored.begin(), stored.end());
  for (size_t i = dataset.filters.size(); i-- > 0;) {
    const Hdf5Filter& filter = dataset.filters[i];
    if (i < 32 && (skipped >> i & 1) != 0) continue;
    if (filter.id == kDeflate) {
      // Room for a checksum behind the data.
      std::vector<std::byte> plain(chunk_bytes + 4);
      LS_RETURN_IF_ERROR(Inflate(bytes, &plain));
      bytes = std::move(plain);
    } else if (filter.id == kShuffle) {
      const uint32_t element = filter.values.empty() ? dataset.type.size : filter.values[0];
      if (element == 0) return Damaged("a shuffle filter has no element size");
      Unshuffle(element, &bytes);
    } else if (filter.id == kFletcher32) {
      if (bytes.size() < 4) return Damaged("a chunk is too short");
      bytes.resize(bytes.size() - 4);
    } else {
      return Damaged("filter {} is not supported (deflate and shuffle are)", filter.id);
    }
  }
  if (bytes.size() < chunk_bytes) return Damaged("a chunk is too short");
  return bytes;
}

absl::Status Hdf5File::ReadChunks(const Hdf5Object& dataset, uint64_t address, int level,
                                  std::vector<std::byte>* out, uint64_t* found) {
  LS_ASSIGN_OR_RETURN(const auto head, At(address, 24));
  const int own_level = LoadLE<uint8_t>(head.data() + 5);
  if (std::memcmp(head.data(), "TREE", 4) != 0 || LoadLE<uint8_t>(head.data() + 4) != 1 ||
      own_level > kMaxTreeLevel || (level >= 0 && own_level != level)) {
    return Damaged("the index of a chunked dataset is broken at {:#x}", address);
  }
  const size_t rank = dataset.shape.size();
  const size_t key = 8 + 8 * (rank + 1);
  const size_t entries = LoadLE<uint16_t>(head.data() + 6);
  LS_ASSIGN_OR_RETURN(const auto body, At(address + 24, entries * (key + 8) + key));
  uint64_t chunk_bytes = dataset.type.size;
  for (uint64_t d : dataset.chunk_shape) {
    if (!Multiply(chunk_bytes, d, &chunk_bytes)) chunk_bytes = UINT64_MAX;
  }
  // A chunk may be larger than the dataset, but not by much: its bytes come from this file.
  if (chunk_bytes > std::min<uint64_t>(UINT32_MAX - 4, memory_budget_) ||
      chunk_bytes / kMaxDeflateRatio > bytes_.size()) {
    return Damaged("chunks of {} bytes are too large", chunk_bytes);
  }
  for (size_t i = 0; i < entries; ++i) {
    const std::byte* entry = body.data() + i * (key + 8);
    const auto child = LoadLE<uint64_t>(entry + key);
    if (own_level > 0) {
      LS_RETURN_IF_ERROR(ReadChunks(dataset, child, own_level - 1, out, found));
      continue;
    }
    std::vector<uint64_t> start(rank);
    for (size_t d = 0; d < rank; ++d) {
      start[d] = LoadLE<uint64_t>(entry + 8 + 8 * d);
      if (start[d] >= dataset.shape[d] || start[d] % dataset.chunk_shape[d] != 0) {
        return Damaged("a chunk lies outside its dataset");
      }
    }
    LS_ASSIGN_OR_RETURN(const auto stored, At(child, LoadLE<uint32_t>(entry)));
    LS_RETURN_IF_ERROR(Charge(chunk_bytes / kMaxDeflateRatio));
    LS_ASSIGN_OR_RETURN(const auto plain,
                        Unfilter(dataset, LoadLE<uint32_t>(entry + 4), stored, chunk_bytes));
    PlaceChunk(dataset.shape, dataset.chunk_shape, start, dataset.type.size, plain.data(),
               out->data());
    ++*found;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> Hdf5File::ReadFloats(const Hdf5Object& dataset) {
  uint64_t count = 0, bytes = 0;
  if (!dataset.is_dataset) return Damaged("a group stands where weights should be");
  if (!Elements(dataset.shape, &count) || !Multiply(count, dataset.type.size, &bytes) ||
      bytes / kMaxDeflateRatio > bytes_.size()) {
    return Damaged("a dataset claims more elements than the file can hold");
  }
  std::vector<float> out;
  if (count == 0) return out;
  if (dataset.layout == Hdf5Object::Layout::kChunked) {
    if (dataset.chunk_shape.size() != dataset.shape.size()) {
      return Damaged("a chunked dataset has chunks of another rank");
    }
    uint64_t chunks = 1;
    for (size_t d = 0; d < dataset.shape.size(); ++d) {
      chunks *= (dataset.shape[d] - 1) / dataset.chunk_shape[d] + 1;
    }
    LS_RETURN_IF_ERROR(Allocate(bytes + count * 4));
    std::vector<std::byte> whole(bytes);
    uint64_t found = 0;
    LS_RETURN_IF_ERROR(ReadChunks(dataset, dataset.chunk_tree, -1, &whole, &found));
    if (found != chunks) return Damaged("a dataset has {} of its {} chunks", found, chunks);
    out.resize(count);
    LS_RETURN_IF_ERROR(Convert(dataset.type, whole, &out));
    allocated_ -= bytes;
    return out;
  }
  if (dataset.data.size() < bytes) return Damaged("a dataset has less data than its shape says");
  LS_RETURN_IF_ERROR(Charge(bytes));
  LS_RETURN_IF_ERROR(Allocate(count * 4));
  out.resize(count);
  LS_RETURN_IF_ERROR(Convert(dataset.type, dataset.data, &out));
  return out;
}

}  // namespace litesmith
