// Rows of numbers from text.
#include <locale.h>

#include <algorithm>
#include <cfloat>
#include <clocale>
#include <cstdlib>
#include <cstring>

#include "text.hpp"
#include "threads.hpp"

namespace cyfes {
namespace {

// Smaller pieces take less time than a thread needs to start.
constexpr std::int64_t kSmallestPiece = 1 << 18;

enum class Line { row, empty, other };

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool ends_word(char c) { return is_blank(c) || c == '\n' || c == '#'; }

// A decimal number, as digits and a power of ten.
struct Decimal {
  bool negative;
  std::uint64_t digits;
  int significant;  // how many digits there are, leading zeros left out
  int exponent;
};

// Reads digits, at most 19 of which are kept, and returns how many there are.
int read_digits(const char *&at, Decimal &decimal, bool fraction) {
  const char *start = at;
  for (; is_digit(*at); ++at) {
    decimal.significant += decimal.significant > 0 || *at != '0';
    if (decimal.significant > 19) continue;
    decimal.digits = 10 * decimal.digits + static_cast<std::uint64_t>(*at - '0');
    decimal.exponent -= fraction;
  }
  return static_cast<int>(at - start);
}

bool read_exponent(const char *&at, Decimal &decimal) {
  if (*at != 'e' && *at != 'E') return true;
  ++at;
  const bool negative = *at == '-';
  if (*at == '-' || *at == '+') ++at;
  if (!is_digit(*at)) return false;
  int exponent = 0;
  for (; is_digit(*at); ++at) exponent = std::min(10 * exponent + (*at - '0'), 99999);
  decimal.exponent += negative ? -exponent : exponent;
  return true;
}

bool read_decimal(const char *&at, Decimal &decimal) {
  decimal = {*at == '-', 0, 0, 0};
  if (*at == '-' || *at == '+') ++at;
  int count = read_digits(at, decimal, false);
  if (*at == '.') count += read_digits(++at, decimal, true);
  return count > 0 && read_exponent(at, decimal) && ends_word(*at);
}

#if LDBL_MANT_DIG == 64
// Powers of ten that a mantissa of 64 bits holds exactly.
constexpr int kLargestPower = 27;
const long double kPowers[kLargestPower + 1] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                                1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                                1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                                1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

// Converts with one correctly rounded operation of 64 bits. Rounding the result to 53 bits is right
// unless it lies half-way between two doubles, when the first rounding may have put it there.
bool convert_quickly(const Decimal &decimal, double &value) {
  if (decimal.significant > 19 || std::abs(decimal.exponent) > kLargestPower) return false;
  const long double digits = static_cast<long double>(decimal.digits);
  const long double exact = decimal.exponent < 0 ? digits / kPowers[-decimal.exponent]
                                                 : digits * kPowers[decimal.exponent];
  std::uint64_t mantissa;
  std::memcpy(&mantissa, &exact, sizeof mantissa);
  if ((mantissa & 0x7ff) == 0x400) return false;
  value = static_cast<double>(decimal.negative ? -exact : exact);
  return true;
}
#else
bool convert_quickly(const Decimal &, double &) { return false; }
#endif

double convert_slowly(const char *word) {
  // A program may have set a locale with a decimal comma.
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  return strtod_l(word, nullptr, plain);
}

bool read_number(const char *&at, double &value) {
  const char *word = at;
  Decimal decimal;
  if (!read_decimal(at, decimal)) return false;
  if (!convert_quickly(decimal, value)) value = convert_slowly(word);
  return true;
}

void skip_blanks(const char *&at) {
  while (is_blank(*at)) ++at;
}

void skip_word(const char *&at) {
  while (!ends_word(*at)) ++at;
}

void skip_line(const char *&at) {
  while (*at != '\n') ++at;
  ++at;
}

struct Layout {
  int fields;
  const std::int32_t *targets;
};

Line read_line(const char *&at, const Layout &layout, double *row) {
  skip_blanks(at);
  const bool empty = *at == '\n' || *at == '#';
  for (int field = 0; field < layout.fields && !empty; ++field) {
    skip_blanks(at);
    if (*at == '\n' || *at == '#') return Line::other;
    const std::int32_t target = layout.targets[field];
    if (target < 0) {
      skip_word(at);
    } else if (!read_number(at, row[target])) {
      return Line::other;
    }
  }
  skip_blanks(at);
  if (*at != '\n' && *at != '#') return Line::other;
  skip_line(at);
  return empty ? Line::empty : Line::row;
}

// What one thread reads.
struct Piece {
  const char *begin;
  const char *end;
  double *table;
  Parsed parsed;
};

void read_piece(Piece &piece, const Layout &layout, int width) {
  double *row = piece.table;
  const char *at = piece.begin;
  Parsed parsed{0, 0, 0};
  while (at < piece.end) {
    const Line line = read_line(at, layout, row);
    if (line == Line::other) break;
    parsed.rows += line == Line::row;
    row += line == Line::row ? width : 0;
    parsed.lines += 1;
    parsed.bytes = at - piece.begin;
  }
  piece.parsed = parsed;
}

// The end of the lines before the first one that has a "#!".
const char *before_header(const char *text, const char *end) {
  const void *found = memmem(text, end - text, "#!", 2);
  if (found == nullptr) return end;
  const char *at = static_cast<const char *>(found);
  while (at > text && at[-1] != '\n') --at;
  return at;
}

std::vector<Piece> divided(const char *text, const char *end, double *table, int width,
                           int threads) {
  const std::int64_t size = end - text;
  const std::int64_t count = std::clamp<std::int64_t>(size / kSmallestPiece, 1, threads);
  std::vector<Piece> pieces;
  const char *begin = text;
  for (std::int64_t i = 1; i <= count && begin < end; ++i) {
    const char *stop = std::max(begin, text + size * i / count - 1);
    skip_line(stop);
    pieces.push_back({begin, stop, table, {0, 0, 0}});
    if (i < count) table += width * count_lines(begin, stop - begin);
    begin = stop;
  }
  return pieces;
}

// Moves the rows of all pieces together, up to where one of them ended early.
Parsed gathered(const std::vector<Piece> &pieces, double *table, int width) {
  Parsed sum{0, 0, 0};
  for (const Piece &piece : pieces) {
    double *target = table + width * sum.rows;
    if (target != piece.table) {
      std::memmove(target, piece.table, sizeof(double) * width * piece.parsed.rows);
    }
    sum.rows += piece.parsed.rows;
    sum.lines += piece.parsed.lines;
    sum.bytes += piece.parsed.bytes;
    if (piece.begin + piece.parsed.bytes < piece.end) break;
  }
  return sum;
}

}  // namespace

std::int64_t count_lines(const char *text, std::int64_t size) {
  return std::count(text, text + size, '\n');
}

Parsed parse_rows(const char *text, std::int64_t size, int fields, const std::int32_t *targets,
                  int width, double *table, int threads) {
  const Layout layout{fields, targets};
  const char *end = before_header(text, text + size);
  std::vector<Piece> pieces = divided(text, end, table, width, threads);
  in_parallel(static_cast<int>(pieces.size()), [&](int i) {
    if (i < static_cast<int>(pieces.size())) read_piece(pieces[i], layout, width);
  });
  return gathered(pieces, table, width);
}

}  // namespace cyfes
