"""PLUMED's column files, such as HILLS and COLVAR: streamed, in any of the usual compressions."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.errors import CyfesWarning, HillsFileError, InputError
from cyfes.io.compression import CutOffError, damage, decompressed
from cyfes.io.plumed_header import fault_of_text, with_line
from cyfes.native.extensions import text_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header

# Text is parsed in blocks of this many bytes, so that memory holds numbers, not text.
_BLOCK = 1 << 22

# Rows are written in blocks of this many.
_ROWS_PER_BLOCK = 1 << 12

# A file with a longer line is no file of numbers.
_LONGEST_LINE = 1 << 20

# After a line that the compiled parser cannot read, the next lines are given to it in short pieces
# first: otherwise many such lines would be parsed again and again.
_FIRST_PIECE = 1 << 12


class Selection(NamedTuple):
    """The columns of the tables that are read, whatever their order in the file."""

    columns: tuple[str, ...]
    #: Those whose numbers must be above zero.
    positive: frozenset[str]
    #: The value of each column that a file may leave out.
    defaults: dict[str, float]


def column_blocks(header: str, columns: Sequence[NDArray[np.float64]]) -> Iterator[str]:
    """Yield the text of a column file.

    Parameters
    ----------
    header : str
        The lines above the rows.
    columns : sequence of ndarray of float64, each of shape (N,) or (N, K)
        The columns; the first is the time, of which six digits are written, twelve of the others.

    Yields
    ------
    str
        The header, then some thousand rows at a time.
    """
    yield header
    table = np.column_stack(columns)
    template = "%g" + " %.12g" * (table.shape[1] - 1) + "\n"
    for start in range(0, len(table), _ROWS_PER_BLOCK):
        block = table[start : start + _ROWS_PER_BLOCK]
        yield template * len(block) % tuple(block.ravel().tolist())


class ColumnFile:
    """Reads one column file from its start to its end, table by table.

    Parameters
    ----------
    path : path-like
        The file: plain, gzip, xz or Zstandard, known by its content.
    select : callable
        Given a header, returns the columns to read; raises HillsFileError for a header that cannot
        be used.
    header : Header, optional
        The header of a table that has none.

    Attributes
    ----------
    path : Path
        The file.
    dropped : str or None
        At the end: why the last line, or what should follow it, was not used, if it was not.
    consumed : int
        How many bytes of the file have been read; 0 for a pipe.
    """

    def __init__(
        self,
        path: AnyPath,
        select: Callable[[Header], Selection],
        header: Header | None = None,
    ) -> None:
        self.path = Path(path)
        self.dropped: str | None = None
        self.consumed = 0
        self._select = select
        self._cut_off = ""
        self._header = header
        self._columns: _Columns | None = None
        self._line = 1
        self._piece = _BLOCK
        # Of the table that was read last: its first line, and its text if some lines hold no row.
        self._first = 1
        self._text: memoryview | None = None

    def line_of(self, row: int) -> int:
        """Return the number of the line of a row of the table that was yielded last."""
        if self._text is None:
            return self._first + row
        lines = enumerate(bytes(self._text).split(b"\n"), self._first)
        numbers = [number for number, line in lines if line.partition(b"#")[0].strip()]
        return numbers[row]

    def tables(self) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of the file, some megabytes of text at a time.

        Yields
        ------
        ndarray of float64, shape (N, number of columns selected)
            Some rows, at least one.

        Raises
        ------
        HillsFileError
            If the file is damaged or not of this kind; the message begins with ``file:line``.
        OSError
            If the file cannot be read.
        """
        with self.path.open("rb") as file, decompressed(file, self.path) as (stream, kind):
            source = _Lines(stream, file)
            filled = self._filled(source, kind)
            self._check_text(source.waiting())
            while filled:
                while source.has_line():
                    table = self._next_table(source, kind)
                    self.consumed = source.consumed
                    if table is not None and len(table):
                        yield table
                filled = self._filled(source, kind)
        if self._cut_off:
            self.dropped = (
                f"{self.path}:{self._line}: found {self._cut_off} data that are cut off; the lines "
                "up to there are used"
            )
        elif source.waiting().strip():
            self._drop(self._line, "found no line end")

    def tables_of(self, what: str) -> Iterator[NDArray[np.float64]]:
        """Yield the rows as `tables` does; refuse a file without any, and warn of a lost last line.

        Parameters
        ----------
        what : str
            What the rows are, such as "hills".

        Yields
        ------
        ndarray of float64, shape (N, number of columns selected)
            Some rows, at least one.

        Raises
        ------
        HillsFileError
            If there is no row, or as `tables` does.
        OSError
            If the file cannot be read.

        Warns
        -----
        CyfesWarning
            If the last line is cut off, and is not used.
        """
        empty = True
        for table in self.tables():
            empty = False
            yield table
        if empty:
            raise self.error(f"found no {what}, expected at least one")
        if self.dropped:
            warnings.warn(CyfesWarning(self.dropped), stacklevel=2)

    def error(self, message: str, line: int | None = None) -> HillsFileError:
        """Return the error for a line, by default the last one that was read."""
        return HillsFileError(f"{self.path}:{line or max(1, self._line - 1)}: {message}")

    def _check_text(self, start: bytearray) -> None:
        """Refuse a file that begins with a byte order mark, or has other line ends."""
        fault = fault_of_text(start)
        if fault is not None:
            raise self.error(fault, 1)

    def _drop(self, line: int, found: str) -> None:
        self.dropped = (
            f"{self.path}:{line}: {found}, so this last line may be cut off; it is not used"
        )

    def _filled(self, source: _Lines, kind: str) -> bool:
        """Read more text; False at the end of the file."""
        try:
            filled = source.fill()
        except CutOffError:
            # A run that goes on, or was killed, has not written the end of its last block.
            self._cut_off = kind
            return False
        except Exception as fault:  # each decompressor has an exception of its own
            raise self.error(damage(fault, kind), self._line) from fault
        if len(source.waiting()) > _LONGEST_LINE and not source.has_line():
            message = f"found no line end within {_LONGEST_LINE} bytes, expected a text file"
            raise self.error(message, self._line)
        return filled

    def _next_table(self, source: _Lines, kind: str) -> NDArray[np.float64] | None:
        """Read the rows that the compiled parser can read, or otherwise one line of any kind."""
        if self._columns is not None:
            text = source.lines(self._piece)
            table, lines, size = self._columns.plain_rows(text)
            if size:
                self._check(table, text[:size])
                self._first, self._text = self._line, text[:size] if len(table) < lines else None
                source.advance(size)
                self._line += lines
                if size == len(text):
                    self._piece = min(4 * self._piece, _BLOCK)
                return table
        line = source.take_line()
        self._line += 1
        if line.lstrip().startswith(b"#!"):
            self._take_header(line)
            return None
        words = line.partition(b"#")[0].split()
        if words and self._columns is None:
            self._choose_columns()
            source.put_back(line)
            self._line -= 1
            return None
        return self._single_row(words, source, kind) if words else None

    def _take_header(self, line: bytes) -> None:
        self._header = with_line(self._header, line.decode("utf-8", "replace"), self._line - 1)
        # SET lines may follow, so the columns are chosen at the next row.
        self._columns = None

    def _single_row(
        self, words: list[bytes], source: _Lines, kind: str
    ) -> NDArray[np.float64] | None:
        """Read one row that the compiled parser cannot read."""
        assert self._columns is not None  # noqa: S101  `_choose_columns` sets it before any row is read
        columns = self._columns
        self._piece = min(self._piece, _FIRST_PIECE)
        missing = len(columns.fields) - len(words)
        if missing > 0 and self._nothing_follows(source, kind):
            self._drop(self._line - 1, f"found {len(words)} of {len(columns.fields)} columns")
            return None
        self._first, self._text = self._line - 1, None
        try:
            return np.array([columns.checked_row(words)])
        except HillsFileError as error:
            raise self.error(str(error)) from error

    def _choose_columns(self) -> None:
        """Choose the columns to read, after all lines of a header have been read."""
        if self._header is None:
            raise self.error(
                "found no '#! FIELDS time …' header before this line; expected PLUMED's file, or "
                "the names of the columns (columns=, --columns)"
            )
        try:
            selection = self._select(self._header)
        except HillsFileError as error:
            raise self.error(str(error), self._header.line) from error
        self._columns = _Columns(self._header.fields, selection)
        self._piece = _BLOCK

    def _nothing_follows(self, source: _Lines, kind: str) -> bool:
        while not source.waiting().strip():
            if not self._filled(source, kind):
                return True
        return False

    def _check(self, table: NDArray[np.float64], text: memoryview) -> None:
        """Refuse numbers that are not finite or not above zero, and name their line."""
        assert self._columns is not None  # noqa: S101  `_choose_columns` sets it before any row is read
        if self._columns.allow(table):
            return
        for number, line in enumerate(bytes(text).split(b"\n"), self._line):
            words = line.partition(b"#")[0].split()
            try:
                if words:
                    self._columns.checked_row(words)
            except HillsFileError as error:
                raise self.error(str(error), number) from error


class _Columns:
    """The position of the selected columns in the lines of a file."""

    def __init__(self, fields: tuple[str, ...], selection: Selection) -> None:
        self.fields = fields
        self._selection = selection
        self._native = text_module()
        self._threads = self._native.threads()
        columns = selection.columns
        places = {name: i for i, name in reversed(list(enumerate(columns)))}
        self._targets = np.array([places.pop(name, -1) for name in fields], dtype=np.int32)
        self._present = np.isin(np.arange(len(columns)), self._targets)
        self._positive = np.array([name in selection.positive for name in columns])
        self._row = np.array([selection.defaults.get(name, np.nan) for name in columns])

    def plain_rows(self, text: memoryview) -> tuple[NDArray[np.float64], int, int]:
        """Return the rows that the compiled parser can read, and their lines and bytes."""
        table = np.empty((self._native.count_lines(text), len(self._row)))
        table[:, ~self._present] = self._row[~self._present]
        rows, lines, size = self._native.parse_rows(text, self._targets, table, self._threads)
        return table[:rows], lines, size

    def allow(self, table: NDArray[np.float64]) -> bool:
        """Whether all numbers are finite, and those that must be above zero are."""
        given = table if self._present.all() else table[:, self._present]
        return bool(np.isfinite(given).all() and (table[:, self._positive] > 0.0).all())

    def checked_row(self, words: list[bytes]) -> NDArray[np.float64]:
        """Return the row that the words of a line make; raise HillsFileError for wrong words."""
        if len(words) != len(self.fields):
            raise HillsFileError(
                f"found {len(words)} columns, expected {len(self.fields)} ({' '.join(self.fields)})"
            )
        row: NDArray[np.float64] = self._row.copy()
        for target, name, word in zip(self._targets.tolist(), self.fields, words):
            if target >= 0:
                row[target] = _checked_number(name, word, name in self._selection.positive)
        return row


def _checked_number(column: str, word: bytes, positive: bool) -> float:
    text = word.decode("utf-8", "replace")
    try:
        value = parse_number(text)
    except InputError:
        expected = "a finite number" if _is_not_finite(text) else "a number"
        raise HillsFileError(f"column {column}: found {text[:80]!r}, expected {expected}") from None
    if positive and value <= 0.0:
        raise HillsFileError(f"column {column}: found {text}, expected a number above zero")
    return value


def _is_not_finite(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


class _Lines:
    """The text of a stream, line by line."""

    def __init__(self, stream: Any, file: Any) -> None:
        self._stream = stream
        # The file that the stream reads from, which knows the position; None for a pipe.
        self._file = file if file.seekable() else None
        self.consumed = 0
        self._buffer = bytearray(_BLOCK)
        # The part of the buffer that has not been returned yet, and the end of its complete lines.
        self._start = self._lines_end = self._end = 0

    def fill(self) -> bool:
        """Read more text after what is in the buffer; False at the end of the stream."""
        waiting = self._buffer[self._start : self._end]
        if len(waiting) > len(self._buffer) // 2:
            self._buffer = bytearray(2 * len(self._buffer))
        self._buffer[: len(waiting)] = waiting
        self._start, self._lines_end, self._end = 0, 0, len(waiting)
        with memoryview(self._buffer) as view:
            count: int = self._stream.readinto(view[self._end :])
        self.consumed = self._file.tell() if self._file else 0
        self._end += count
        self._lines_end = self._buffer.rfind(b"\n", 0, self._end) + 1
        return count > 0

    def waiting(self) -> bytearray:
        """Return the text that has not been returned yet."""
        return self._buffer[self._start : self._end]

    def has_line(self) -> bool:
        """Whether the buffer holds a complete line."""
        return self._start < self._lines_end

    def lines(self, size: int) -> memoryview:
        """Return complete lines, `size` bytes or a little more, which stay in the buffer."""
        end = self._lines_end
        if self._start + size < end:
            end = self._buffer.index(b"\n", self._start + size) + 1
        return memoryview(self._buffer)[self._start : end]

    def advance(self, size: int) -> None:
        """Remove bytes that `lines` has returned from the buffer."""
        self._start += size

    def take_line(self) -> bytes:
        """Return one line, and remove it from the buffer."""
        end = self._buffer.index(b"\n", self._start) + 1
        line = bytes(self._buffer[self._start : end])
        self._start = end
        return line

    def put_back(self, line: bytes) -> None:
        """Put the line that was returned last back into the buffer."""
        self._start -= len(line)
