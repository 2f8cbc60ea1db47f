#include "deploy/c_array.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace litesmith {
namespace {

// Keywords of C11 and C++20, alphabetically.
constexpr std::string_view kKeywords[] = {
    "alignas",     "alignof",      "and",       "and_eq",
    "asm",         "auto",         "bitand",    "bitor",
    "bool",        "break",        "case",      "catch",
    "char",        "char16_t",     "char32_t",  "char8_t",
    "class",       "co_await",     "co_return", "co_yield",
    "compl",       "concept",      "const",     "const_cast",
    "consteval",   "constexpr",    "constinit", "continue",
    "decltype",    "default",      "delete",    "do",
    "double",      "dynamic_cast", "else",      "enum",
    "explicit",    "export",       "extern",    "false",
    "float",       "for",          "friend",    "goto",
    "if",          "inline",       "int",       "long",
    "main",        "mutable",      "namespace", "new",
    "noexcept",    "not",          "not_eq",    "nullptr",
    "operator",    "or",           "or_eq",     "private",
    "protected",   "public",       "register",  "reinterpret_cast",
    "requires",    "restrict",     "return",    "short",
    "signed",      "sizeof",       "static",    "static_assert",
    "static_cast", "struct",       "switch",    "template",
    "this",        "thread_local", "throw",     "true",
    "try",         "typedef",      "typeid",    "typename",
    "typeof",      "union",        "unsigned",  "using",
    "virtual",     "void",         "volatile",  "wchar_t",
    "while",       "xor",          "xor_eq",
};

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

}  // namespace

std::string CommentText(std::string_view text) {
  std::string out = Printable(text);
  std::replace(out.begin(), out.end(), '\\', '/');
  for (size_t at; (at = out.find("*/")) != std::string::npos;) out.replace(at, 2, "* /");
  return out;
}

absl::Status CheckSymbol(std::string_view symbol) {
  const auto no = [&](const char* why) {
    return Invalid("'{}' {}; a symbol is letters, digits and '_', such as g_model",
                   Printable(symbol), why);
  };
  constexpr size_t kLongest = 200;
  if (symbol.empty() || symbol.size() > kLongest) return no("is no name for a variable");
  if (!std::all_of(symbol.begin(), symbol.end(), IsWord) ||
      std::isdigit(static_cast<unsigned char>(symbol[0])) != 0) {
    return no("is no C identifier");
  }
  const bool upper = symbol.size() > 1 && std::isupper(static_cast<unsigned char>(symbol[1])) != 0;
  if (symbol.find("__") != std::string_view::npos || (symbol[0] == '_' && upper)) {
    return no("is a name that the compiler keeps for itself");
  }
  if (std::find(std::begin(kKeywords), std::end(kKeywords), symbol) != std::end(kKeywords)) {
    return no("is a word of C or C++");
  }
  return absl::OkStatus();
}

CArray MakeCArray(std::span<const std::byte> bytes, std::string_view symbol,
                  std::string_view header_name, std::string_view about) {
  std::string guard = "LITESMITH_";
  for (char c : symbol) guard += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  guard += "_H_";
  CArray out;
  out.header = fmt::format(
      "/* {} */\n\n#ifndef {}\n#define {}\n\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
      "/* A .tflite model, aligned to 16 bytes, and its length in bytes. */\n"
      "extern const unsigned char {}[];\nextern const unsigned int {}_len;\n\n"
      "#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {} */\n",
      CommentText(about), guard, guard, symbol, symbol, guard);
  // alignas is a keyword in C++ and a macro of <stdalign.h> in C11.
  out.source = fmt::format(
      "/* {} */\n\n#include \"{}\"\n\n#ifndef __cplusplus\n#include <stdalign.h>\n#endif\n\n"
      "alignas(16) const unsigned char {}[] = {{",
      CommentText(about), header_name, symbol);
  constexpr char kHex[] = "0123456789abcdef";
  constexpr size_t kPerLine = 16;
  out.source.reserve(out.source.size() + bytes.size() * 6 + bytes.size() / kPerLine * 4 + 100);
  for (size_t i = 0; i < bytes.size(); ++i) {
    out.source += i % kPerLine == 0 ? "\n    " : " ";
    const auto value = static_cast<unsigned>(bytes[i]);
    out.source += {'0', 'x', kHex[value >> 4], kHex[value & 15], ','};
  }
  out.source += fmt::format("\n}};\n\nconst unsigned int {}_len = {};\n", symbol, bytes.size());
  return out;
}

}  // namespace litesmith
