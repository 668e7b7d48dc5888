"""Files of orders: cut into records while they stream by, and planned as chunks that can be read alone.

A record is one row: a line of JSON Lines, or of CSV with as many lines as its quoted fields have. Lines end with LF or
CRLF, the last one also with the end of the file. Empty lines are skipped, in CSV also those of nothing but delimiters,
which a spreadsheet writes below its rows. The text is UTF-8, with or without a byte order mark. What a file is, its
first character says, not its name: `{` begins JSON Lines, anything else is CSV.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from jobs import import_header
from jobs.errors import PermanentError
from jobs.import_header import HeaderInvalidError, Table

LONGEST_RECORD = 64 * 1024
LARGEST_CHUNK = 1024 * 1024
"""Bytes. A chunk has fewer rows than were asked for if they are long, so that memory is bounded."""
MOST_ROWS = 100_000
MOST_LINES = 9_999_999
"""As many as the number of a line in an id has digits for."""

_BYTE_ORDER_MARK = codecs.BOM_UTF8
_BLANKS = b" \t\r\f\v"
_FIELD = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^DELIMITER\n]*+|(?!")[^DELIMITER\n]*+)'
"""A quote counts only as the first character of a field; inside quotes it is doubled."""


class NotTextError(PermanentError):
    """The file is not UTF-8 text."""


class LineTooLongError(PermanentError):
    """A row is longer than any order can be."""


class TooManyRowsError(PermanentError):
    """The file has more rows, or more lines, than one import takes."""


class NoRowsError(PermanentError):
    """There is no row in the file."""


class Record(NamedTuple):
    """One row: the number of its first line, counted from 1, its place in the file, and its bytes with the line end."""

    line: int
    offset: int
    data: bytes


class Chunk(NamedTuple):
    """Some rows that follow each other: where they are, the line and the row (from 0) they begin with, how many."""

    offset: int
    length: int
    line: int
    row: int
    count: int


@dataclass(frozen=True)
class Plan:
    """A file as it was seen by a `Scanner`. `table` None: it is JSON Lines. `digest`: of its whole content."""

    table: Table | None
    digest: str
    rows: int
    chunks: list[Chunk] = field(default_factory=list)


class Splitter:
    """Cuts a stream of bytes into records, however the stream is cut itself. Empty lines are none."""

    def __init__(self, delimiter: str | None, *, line: int = 1, offset: int = 0) -> None:
        """`delimiter`: of CSV; None for JSON Lines. `line`, `offset`: where the stream begins within its file."""
        self._line = line
        self._offset = offset
        self._rest = b""
        self._nothing = _BLANKS + (delimiter or "").encode()
        self._empty_lines = re.compile(rb"(?:[%b]*+\n)*+" % self._nothing)
        self._quoted: re.Pattern[bytes] | None = None
        if delimiter:
            one = _FIELD.replace(b"DELIMITER", delimiter.encode())
            self._quoted = re.compile(one + b"(?:" + delimiter.encode() + one + rb")*+\n")

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that end in this piece of the stream. Raises LineTooLongError."""
        buffer = self._rest + data
        begin = self._skip(buffer, 0)
        while (end := self._end(buffer, begin)) is not None:
            yield self._record(buffer[begin:end])
            begin = self._skip(buffer, end)
        self._rest = buffer[begin:]

    def finish(self) -> Iterator[Record]:
        """The last record, if the file does not end with a line end."""
        rest, self._rest = self._rest, b""
        if rest.strip(self._nothing):
            yield self._record(rest)

    def _record(self, data: bytes) -> Record:
        record = Record(self._line, self._offset, data)
        self._line += data.count(b"\n")
        self._offset += len(data)
        return record

    def _skip(self, buffer: bytes, begin: int) -> int:
        """Where the lines end that are empty from there on."""
        end = self._empty_lines.match(buffer, begin).end()
        self._line += buffer.count(b"\n", begin, end)
        self._offset += end - begin
        return end

    def _end(self, buffer: bytes, begin: int) -> int | None:
        """Where the record that begins there ends, or None if that is still to come."""
        limit = begin + LONGEST_RECORD
        end = buffer.find(b"\n", begin, limit)
        if self._quoted and buffer.find(b'"', begin, limit if end < 0 else end) >= 0:
            found = self._quoted.match(buffer, begin, limit)
            end = found.end() - 1 if found else -1
        if end >= 0:
            return end + 1
        if len(buffer) >= limit:
            hint = "; is a quote not closed?" if self._quoted else ""
            raise LineTooLongError(
                f"line {self._line}: a row may have {LONGEST_RECORD // 1024} KiB, and this one has more{hint}"
            )
        return None


class Scanner:
    """Looks through a file once, piece by piece, and plans its chunks."""

    def __init__(self, rows_per_chunk: int) -> None:
        self._rows_per_chunk = rows_per_chunk
        self._hash = sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._head = b""
        """What of the file is not cut into records yet: it begins in line `_line`, at byte `_start`."""
        self._line, self._start = 1, 0
        self._checked = 1
        """The line to which the text is checked."""
        self._table: Table | None = None
        self._splitter: Splitter | None = None
        self._rows = 0
        self._chunks: list[Chunk] = []

    def feed(self, piece: bytes) -> None:
        """The next piece. Raises a PermanentError for what makes the whole file useless."""
        self._hash.update(piece)
        self._check_text(piece, is_last=False)
        if self._splitter:
            self._take(self._splitter.feed(piece))
            return
        self._head += piece
        self._begin(is_last=False)

    def finish(self) -> Plan:
        """What was found. Raises as `feed`, and NoRowsError."""
        self._check_text(b"", is_last=True)
        if not self._splitter:
            self._begin(is_last=True)
        if self._splitter:
            self._take(self._splitter.finish())
        if not self._rows:
            raise NoRowsError("the file has no row that could be an order")
        return Plan(self._table, self._hash.hexdigest(), self._rows, self._chunks)

    def _check_text(self, piece: bytes, *, is_last: bool) -> None:
        if (nul := piece.find(b"\0")) >= 0:
            line = self._checked + piece.count(b"\n", 0, nul)
            advice = "save the file as CSV or JSON Lines in UTF-8, not as UTF-16 or XLSX, and not compressed"
            raise NotTextError(f"line {line} holds a NUL byte: {advice}")
        kept, _ = self._decoder.getstate()
        try:
            self._decoder.decode(piece, is_last)
        except UnicodeDecodeError as error:
            line = self._checked + piece.count(b"\n", 0, max(0, error.start - len(kept)))
            raise NotTextError(f"line {line} is not UTF-8: save the file as UTF-8, and not compressed") from None
        self._checked += piece.count(b"\n")

    def _begin(self, *, is_last: bool) -> None:
        """Find out what the file is, as soon as its first line that is not empty is there."""
        if self._start == 0 and self._head.startswith(_BYTE_ORDER_MARK):
            self._drop(len(_BYTE_ORDER_MARK))
        blank = len(self._head) - len(self._head.lstrip())
        self._drop(self._head.rfind(b"\n", 0, blank) + 1)
        first, end, _ = self._head.partition(b"\n")
        if len(first) >= LONGEST_RECORD:
            raise LineTooLongError(f"line {self._line}: the first line of a file may have {LONGEST_RECORD // 1024} KiB")
        if not (end or is_last) or not first.strip():
            return
        if first.lstrip().startswith(b"["):
            raise HeaderInvalidError("the file is one JSON array: write JSON Lines, one order object a line")
        if first.strip() == b"{":
            raise HeaderInvalidError("the JSON is spread over lines: write JSON Lines, one order object a line")
        if not first.lstrip().startswith(b"{"):
            self._table = import_header.read(first)
            self._drop(len(first + end))
        self._splitter = Splitter(self._table and self._table.delimiter, line=self._line, offset=self._start)
        self._take(self._splitter.feed(self._head))
        self._head = b""

    def _drop(self, length: int) -> None:
        """Go on to what comes behind so many bytes."""
        self._line += self._head.count(b"\n", 0, length)
        self._start += length
        self._head = self._head[length:]

    def _take(self, records: Iterator[Record]) -> None:
        for record in records:
            if self._rows == MOST_ROWS or record.line > MOST_LINES:
                raise TooManyRowsError(
                    f"a file may have {MOST_ROWS:,} rows and {MOST_LINES:,} lines: cut it into several"
                )
            self._rows += 1
            last = self._chunks[-1] if self._chunks else None
            end = record.offset + len(record.data)
            if last and last.count < self._rows_per_chunk and end - last.offset <= LARGEST_CHUNK:
                self._chunks[-1] = last._replace(length=end - last.offset, count=last.count + 1)
            else:
                self._chunks.append(Chunk(record.offset, len(record.data), record.line, self._rows - 1, 1))


def records(plan: Plan, chunk: Chunk, data: bytes) -> list[Record]:
    """The rows of a chunk, whose bytes are given."""
    splitter = Splitter(plan.table and plan.table.delimiter, line=chunk.line, offset=chunk.offset)
    return [*splitter.feed(data), *splitter.finish()]
