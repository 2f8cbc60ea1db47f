#include "ir/graph.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace litesmith {
namespace {

constexpr size_t kBlobAlignment = 16;

std::string SignatureName(const Graph& graph, bool input, int32_t tensor) {
  for (const Signature& signature : graph.signatures) {
    if (signature.subgraph != 0) continue;
    for (const SignatureEntry& entry : input ? signature.inputs : signature.outputs) {
      if (entry.tensor == tensor && !entry.name.empty()) return entry.name;
    }
  }
  return graph.main().tensors[static_cast<size_t>(tensor)].name;
}

// Bits of one element; 0 where elements have no fixed size.
size_t TypeBits(TensorType type) {
  if (type == schema::TensorType_INT4 || type == schema::TensorType_UINT4) return 4;
  if (type == schema::TensorType_INT2) return 2;
  return TypeSize(type) * 8;
}

}  // namespace

int64_t NumElements(const Shape& shape) {
  int64_t n = 1;
  for (int32_t d : shape) n *= d;
  return n;
}

absl::StatusOr<size_t> TensorBytes(TensorType type, const Shape& shape) {
  uint64_t elements = 1;
  bool fits = true;
  bool zero = false;
  for (int32_t d : shape) {
    if (d < 0) return Invalid("shape {} has a negative dimension", ShapeString(shape));
    zero = zero || d == 0;
    fits = fits && Multiply(elements, static_cast<uint64_t>(std::max(d, 1)), &elements);
  }
  uint64_t bits = 0;
  // 2^50, and on 32-bit machines what their address space has room for.
  constexpr uint64_t kMostBits = std::min(uint64_t{1} << 47, uint64_t{PTRDIFF_MAX}) * 8;
  if (!fits || !Multiply(elements, TypeBits(type), &bits) || bits > kMostBits) {
    return Invalid("shape {} is too large", ShapeString(shape));
  }
  return zero ? size_t{0} : static_cast<size_t>((bits + 7) / 8);
}

Blob Blob::Copy(std::span<const std::byte> bytes) {
  std::vector<std::byte> copy;
  copy.reserve(bytes.size() + kBlobAlignment - 1);
  copy.assign(bytes.begin(), bytes.end());
  return Own(std::move(copy));
}

Blob Blob::Own(std::vector<std::byte> bytes) {
  const size_t size = bytes.size();
  size_t skip = 0;
  // On 64-bit systems memory starts at multiples of 16 anyhow, on 32-bit ones of 8.
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kBlobAlignment != 0) {
    bytes.resize(size + kBlobAlignment - 1);
    skip = -reinterpret_cast<uintptr_t>(bytes.data()) % kBlobAlignment;
    std::memmove(bytes.data() + skip, bytes.data(), size);
  }
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  Blob blob;
  blob.bytes = std::span(*owner).subspan(skip, size);
  blob.owner = std::move(owner);
  return blob;
}

int32_t Subgraph::AddTensor(Tensor tensor) {
  tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(tensors.size() - 1);
}

const Metadata* Graph::FindMetadata(std::string_view name) const {
  auto it = std::find_if(metadata.begin(), metadata.end(),
                         [&](const Metadata& m) { return m.name == name; });
  return it == metadata.end() ? nullptr : &*it;
}

void Graph::SetMetadata(std::string_view name, std::string_view content) {
  SetMetadata(name, Blob::Copy(std::as_bytes(std::span(content.data(), content.size()))));
}

void Graph::SetMetadata(std::string_view name, Blob content) {
  for (Metadata& m : metadata) {
    if (m.name == name) {
      m.data = std::move(content);
      return;
    }
  }
  metadata.push_back({std::string(name), std::move(content)});
}

std::string InputName(const Graph& graph, size_t position) {
  return SignatureName(graph, true, graph.main().inputs[position]);
}

std::string OutputName(const Graph& graph, size_t position) {
  return SignatureName(graph, false, graph.main().outputs[position]);
}

std::string OperatorName(const Node& node) {
  if (node.op == schema::BuiltinOperator_CUSTOM) return Printable(node.custom_code);
  const char* name = schema::EnumNameBuiltinOperator(node.op);
  return *name != '\0' ? name : fmt::format("operator {}", static_cast<int>(node.op));
}

std::string NodeLabel(const Subgraph& subgraph, size_t index) {
  const Node& node = subgraph.nodes[index];
  std::string name = node.name;
  if (name.empty() && !node.outputs.empty() && node.outputs[0] >= 0) {
    name = subgraph.tensors[static_cast<size_t>(node.outputs[0])].label();
  }
  return fmt::format("{} '{}' (node {})", OperatorName(node), Printable(name), index);
}

Uses FindUses(const Subgraph& subgraph) {
  Uses uses;
  uses.producer.assign(subgraph.tensors.size(), -1);
  uses.consumers.resize(subgraph.tensors.size());
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const auto index = static_cast<int32_t>(n);
    for (int32_t t : subgraph.nodes[n].inputs) {
      if (t < 0) continue;
      auto& readers = uses.consumers[static_cast<size_t>(t)];
      if (readers.empty() || readers.back() != index) readers.push_back(index);
    }
    for (int32_t t : subgraph.nodes[n].outputs) {
      if (t >= 0) uses.producer[static_cast<size_t>(t)] = index;
    }
  }
  return uses;
}

}  // namespace litesmith
