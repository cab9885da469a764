// Numbers to text, and the rows of PLUMED's grid files.
#include <locale.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "text.hpp"
#include "threads.hpp"

namespace cyfes {
namespace {

// Fewer rows take less time than a thread needs to start.
constexpr std::int64_t kFewestRows = 1 << 11;

// So many rows ahead values are asked for: about as long as they take to come.
constexpr std::int64_t kAhead = 8;

constexpr int kMostDigits = 19;

std::uint64_t power_of_ten(int exponent) {
  std::uint64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

const std::uint64_t kLimit = power_of_ten(kMostDigits);

// Numbers look alike in every locale: a program may have set one with a decimal comma. The setting
// is that of the thread.
class PlainLocale {
 public:
  PlainLocale() : former_(uselocale(plain())) {}
  ~PlainLocale() { uselocale(former_); }
  PlainLocale(const PlainLocale &) = delete;
  PlainLocale &operator=(const PlainLocale &) = delete;

 private:
  static locale_t plain() {
    static const locale_t locale = newlocale(LC_ALL_MASK, "C", nullptr);
    return locale;
  }

  locale_t former_;
};

// Finds |value| times a power of ten, rounded to a whole number as printf rounds: the exact binary
// value, half-way cases to even. False where that has more than 19 digits.
bool scale(double value, std::uint64_t unit, std::uint64_t &scaled) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const int biased = static_cast<int>(bits >> 52 & 0x7ff);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (biased > 0) mantissa |= std::uint64_t{1} << 52;
  // |value| = mantissa / 2^shift
  const int shift = 1075 - std::max(biased, 1);
  if (shift < 1) return false;
  const unsigned __int128 product = static_cast<unsigned __int128>(mantissa) * unit;
  scaled = 0;
  // The product has 117 bits at most.
  if (shift > 120) return true;
  unsigned __int128 quotient = product >> shift;
  const unsigned __int128 rest = product - (quotient << shift);
  const unsigned __int128 half = static_cast<unsigned __int128>(1) << (shift - 1);
  if (rest > half || (rest == half && (quotient & 1))) ++quotient;
  scaled = static_cast<std::uint64_t>(quotient);
  return quotient < kLimit;
}

// "00", "01", …, "99"
struct Pairs {
  char text[200];
  Pairs() {
    for (int i = 0; i < 100; ++i) {
      text[2 * i] = static_cast<char>('0' + i / 10);
      text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
  }
};
const Pairs kPairs;

// Writes a number of digits towards the front, and leaves the rest of the number.
char *write_digits(char *end, std::uint64_t &number, int count) {
  for (; count > 1; count -= 2, number /= 100) {
    end -= 2;
    std::memcpy(end, kPairs.text + 2 * (number % 100), 2);
  }
  if (count == 1) {
    *--end = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  return end;
}

std::size_t read_size(const char *&at) {
  std::size_t size = 0;
  for (; *at >= '0' && *at <= '9'; ++at) size = 10 * size + static_cast<std::size_t>(*at - '0');
  return size;
}

}  // namespace

void Buffer::grow(std::size_t least) {
  const std::size_t capacity = std::max({least, 2 * capacity_, std::size_t{1} << 16});
  std::unique_ptr<char[]> start(new char[capacity]);
  if (size_ > 0) std::memcpy(start.get(), start_.get(), size_);
  start_ = std::move(start);
  capacity_ = capacity;
}

NumberWriter::NumberWriter(const std::string &format) : format_(format), precision_(6) {
  const char *at = format_.c_str();
  lead_ = std::strspn(at, " ");
  at += lead_ + 1;
  const std::size_t flags = std::strspn(at, "-+ #0");
  at += flags;
  width_ = read_size(at);
  if (*at == '.') precision_ = static_cast<int>(read_size(++at));
  fixed_ = flags == 0 && std::strcmp(at, "f") == 0 && precision_ < kMostDigits;
  unit_ = fixed_ ? power_of_ten(precision_) : 1;
  // The largest double has 309 digits before the point.
  most_ = lead_ + std::max<std::size_t>(width_, 320 + precision_) + 1;
}

char *NumberWriter::write(char *at, double value) const {
  // As PLUMED does: nan has no sign.
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  char *const end = fixed_ ? write_fixed(at, value) : nullptr;
  return end ? end : at + std::snprintf(at, most_, format_.c_str(), value);
}

// Writes a number that has 19 digits at most, and returns null for any other.
char *NumberWriter::write_fixed(char *at, double value) const {
  std::uint64_t digits;
  if (!scale(value, unit_, digits)) return nullptr;
  char buffer[48];
  char *const end = buffer + sizeof buffer;
  char *first = end;
  if (precision_ > 0) {
    first = write_digits(first, digits, precision_);
    *--first = '.';
  }
  while (digits > 99) first = write_digits(first, digits, 2);
  first = write_digits(first, digits, digits > 9 ? 2 : 1);
  if (std::signbit(value)) *--first = '-';
  const std::size_t length = static_cast<std::size_t>(end - first);
  const std::size_t blanks = lead_ + (length < width_ ? width_ - length : 0);
  std::memset(at, ' ', blanks);
  std::memcpy(at + blanks, first, length);
  return at + blanks + length;
}

GridText::GridText(const std::vector<std::vector<double>> &axes,
                   std::vector<const double *> columns, const std::string &format)
    : number_(format), strides_(axes.size()), columns_(std::move(columns)), rows_(1) {
  const PlainLocale locale;
  std::vector<char> text(number_.most());
  for (const std::vector<double> &axis : axes) {
    coordinates_.emplace_back();
    for (const double x : axis) {
      coordinates_.back().emplace_back(text.data(), number_.write(text.data(), x));
    }
  }
  for (std::size_t axis = axes.size(); axis-- > 0;) {
    strides_[axis] = rows_;
    rows_ *= static_cast<std::int64_t>(axes[axis].size());
  }
}

const std::vector<Buffer> &GridText::format(std::int64_t first, std::int64_t last, int threads) {
  const std::int64_t rows = last - first;
  const std::int64_t count = std::clamp<std::int64_t>(rows / kFewestRows, 1, threads);
  pieces_.resize(count);
  std::vector<char> failed(count, 0);
  in_parallel(static_cast<int>(count), [&](int i) {
    try {
      format_piece(first + rows * i / count, first + rows * (i + 1) / count, pieces_[i]);
    } catch (const std::bad_alloc &) {
      failed[i] = 1;
    }
  });
  if (std::count(failed.begin(), failed.end(), 1) > 0) throw std::bad_alloc();
  return pieces_;
}

void GridText::format_piece(std::int64_t first, std::int64_t last, Buffer &text) const {
  const PlainLocale locale;
  const std::size_t ndim = coordinates_.size();
  std::vector<std::size_t> index(ndim);
  std::int64_t rest = first;
  for (std::size_t axis = 0; axis < ndim; ++axis) {
    const std::int64_t points = static_cast<std::int64_t>(coordinates_[axis].size());
    index[axis] = static_cast<std::size_t>(rest % points);
    rest /= points;
  }
  const std::size_t most = (ndim + columns_.size()) * number_.most() + 2;
  text.clear();
  for (std::int64_t row = first; row < last; ++row) {
    char *at = text.claim(most);
    if (ndim > 1 && row > 0 && index[ndim - 2] == 0) *at++ = '\n';
    text.keep(write_row(at, index));
    for (std::size_t axis = 0; axis < ndim && ++index[axis] == coordinates_[axis].size(); ++axis) {
      index[axis] = 0;
    }
  }
}

char *GridText::write_row(char *at, const std::vector<std::size_t> &index) const {
  std::int64_t place = 0;
  for (std::size_t axis = 0; axis < index.size(); ++axis) {
    const std::string &text = coordinates_[axis][index[axis]];
    at = std::copy(text.begin(), text.end(), at);
    place += strides_[axis] * static_cast<std::int64_t>(index[axis]);
  }
  // The next rows lie a page or more apart, where the processor does not look by itself.
  const std::int64_t ahead = std::min(place + kAhead * strides_[0], rows_ - 1);
  for (const double *column : columns_) {
    __builtin_prefetch(column + ahead);
    at = number_.write(at, column[place]);
  }
  *at++ = '\n';
  return at;
}

}  // namespace cyfes
