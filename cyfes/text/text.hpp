// Text to numbers and numbers to text, in parallel: what Python is too slow for.
#ifndef CYFES_TEXT_TEXT_HPP
#define CYFES_TEXT_TEXT_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cyfes {

// How many lines end in a text.
std::int64_t count_lines(const char *text, std::int64_t size);

struct Parsed {
  std::int64_t rows;   // of numbers
  std::int64_t lines;  // of text, blank ones and comments too
  std::int64_t bytes;  // of these lines
};

// Reads rows of `fields` numbers, the f-th of which goes to column targets[f] of a table of `width`
// columns; it is skipped, whatever it is, where that is negative. Blank lines and what follows a #
// are skipped. Ends before the first line that has a "#!", or is not such a row. The text ends with
// a line end; the table has room for as many rows as the text has lines.
Parsed parse_rows(const char *text, std::int64_t size, int fields, const std::int32_t *targets,
                  int width, double *table, int threads);

// Text that grows at its end, without the zeros that std::string would write there first.
class Buffer {
 public:
  const char *data() const { return start_.get(); }
  std::size_t size() const { return size_; }
  void clear() { size_ = 0; }

  // The place of the next characters, with room for as many as will come at most.
  char *claim(std::size_t most) {
    if (size_ + most > capacity_) grow(size_ + most);
    return start_.get() + size_;
  }

  // Takes what was written between the place claimed and here.
  void keep(const char *end) { size_ = static_cast<std::size_t>(end - start_.get()); }

 private:
  void grow(std::size_t least);

  std::unique_ptr<char[]> start_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Writes numbers as printf does.
class NumberWriter {
 public:
  // The format is one conversion of a double, blanks before it; it must have been checked.
  explicit NumberWriter(const std::string &format);

  // How many characters a number takes at most, whatever it is.
  std::size_t most() const { return most_; }

  // Writes a number, and returns where it ends.
  char *write(char *at, double value) const;

 private:
  char *write_fixed(char *at, double value) const;

  std::string format_;
  std::size_t lead_;  // blanks before the conversion
  std::size_t width_;
  int precision_;
  bool fixed_;  // whether the conversion is of the form %W.Pf
  std::uint64_t unit_;
  std::size_t most_;
};

// The rows of a grid file as PLUMED lays them out: coordinates and values, the first axis running
// fastest, a blank line before every row but the first whose index on the last axis but one is 0.
class GridText {
 public:
  // The values of each column lie in C order: the last axis fastest. They stay the caller's.
  GridText(const std::vector<std::vector<double>> &axes, std::vector<const double *> columns,
           const std::string &format);

  std::int64_t rows() const { return rows_; }

  // Writes the rows first, …, last - 1, in pieces that are to be put together; they are overwritten
  // by the next call.
  const std::vector<Buffer> &format(std::int64_t first, std::int64_t last, int threads);

 private:
  void format_piece(std::int64_t first, std::int64_t last, Buffer &text) const;
  char *write_row(char *at, const std::vector<std::size_t> &index) const;

  NumberWriter number_;
  std::vector<std::vector<std::string>> coordinates_;
  std::vector<std::int64_t> strides_;
  std::vector<const double *> columns_;
  std::int64_t rows_;
  std::vector<Buffer> pieces_;
};

}  // namespace cyfes

#endif  // CYFES_TEXT_TEXT_HPP
