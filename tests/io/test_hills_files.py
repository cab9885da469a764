"""The reader of HILLS files: what it understands and what it refuses."""

from __future__ import annotations

import gzip
import lzma
import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hills_files import HEADER_1D, HEADER_2D, ROWS_1D, ROWS_2D, write_hills

from cyfes.errors import CyfesWarning, HillsFileError, InputError
from cyfes.io import column_files
from cyfes.io.colvar_files import read_colvar
from cyfes.io.hills_files import hills_blocks, iter_hills, read_hills
from cyfes.model.hills import Hills

if TYPE_CHECKING:
    from pathlib import Path


KERNEL = "#! SET kerneltype stretched-gaussian\n"
ROWS_4 = "     4    0.00    0.00   0.30   0.30   1.00   10\n"
INTERVAL = "#! SET lower_int 0.5\n#! SET upper_int 2\n"
MULTIVARIATE_1D = HEADER_1D.replace("sigma_d", "sigma_d_d").replace("false", "true")
CENTERS_2D = [[-1.2, 2.7], [0.5, -2.9], [3.1, 3.0]]


def test_a_file_is_read_with_all_its_columns(tmp_path: Path) -> None:
    hills = read_hills(write_hills(tmp_path / "HILLS"))
    assert hills.names == ("phi", "psi")
    assert hills.ndim == 2
    assert len(hills) == 3
    assert hills.centers.tolist() == CENTERS_2D
    assert hills.sigmas.tolist() == [[0.35, 0.3], [0.35, 0.25], [0.3, 0.3]]
    assert hills.heights.tolist() == [1.2, 1.1, 1.0]
    assert hills.bias_factors.tolist() == [10.0, 10.0, 10.0]
    assert hills.times is not None
    assert hills.times.tolist() == [1.0, 2.0, 3.0]
    assert hills.kernel == "stretched-gaussian"
    assert hills.domain == (("-pi", "pi"), ("-pi", "pi"))
    assert hills.periods.tolist() == [2.0 * math.pi, 2.0 * math.pi]
    assert hills.centers.flags.c_contiguous
    assert hills.sigmas.flags.c_contiguous
    assert repr(hills) == "<Hills: 3 of kernel stretched-gaussian over phi, psi>"


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    text = (
        "#! FIELDS time d sigma_d clock biasf height\n"
        "#! SET kerneltype stretched-gaussian\n1 2 0.5 1700000000 7 1.5\n"
    )
    hills = read_hills(write_hills(tmp_path / "HILLS", text))
    assert hills.names == ("d",)
    assert (hills.centers[0, 0], hills.sigmas[0, 0], hills.heights[0]) == (2.0, 0.5, 1.5)
    assert hills.bias_factors[0] == 7.0
    assert hills.periods.tolist() == [0.0]


def test_without_biasf_and_time_the_bias_factor_is_one_and_times_are_unknown(
    tmp_path: Path,
) -> None:
    hills = read_hills(
        write_hills(tmp_path / "HILLS", f"#! FIELDS d sigma_d height\n{KERNEL}1 0.5 2\n")
    )
    assert hills.bias_factors.tolist() == [1.0]
    assert hills.times is None


@pytest.mark.parametrize(
    ("line", "kernel"),
    [
        ("#! SET kerneltype stretched-gaussian\n", "stretched-gaussian"),
        ("#! SET kerneltype STRETCHED-GAUSSIAN\n", "stretched-gaussian"),
        ("#! SET kerneltype gaussian\n", "gaussian"),
        # PLUMED sums it as a plain Gaussian.
        ("#! SET kerneltype truncated-gaussian\n", "gaussian"),
    ],
)
def test_kernel_type_is_read(line: str, kernel: str, tmp_path: Path) -> None:
    text = f"#! FIELDS time d sigma_d height\n{line}1 2 0.5 1.5\n"
    assert read_hills(write_hills(tmp_path / "HILLS", text)).kernel == kernel


def test_a_file_without_a_kernel_is_read_as_stretched_with_one_warning(tmp_path: Path) -> None:
    head, row = "#! FIELDS time d sigma_d height\n", "{} 2 0.5 1.5\n"
    path = write_hills(tmp_path / "HILLS", head + row.format(1) + head + row.format(2))
    with pytest.warns(CyfesWarning, match="took stretched Gaussians, as PLUMED 2.8") as caught:
        assert read_hills(path).kernel == "stretched-gaussian"
    assert len(caught) == 1
    # A kernel that is chosen counts for all hills, and needs no warning.
    assert read_hills(path, kernel="gaussian").kernel == "gaussian"
    write_hills(path, HEADER_1D + ROWS_1D)
    assert read_hills(path, kernel="gaussian").kernel == "gaussian"
    with pytest.raises(InputError, match="kernel: found 'triangular', expected stretched-gaus"):
        read_hills(path, kernel="triangular")


def test_each_hill_has_the_kernel_of_the_header_above_it(tmp_path: Path) -> None:
    plain = HEADER_1D.replace("stretched-gaussian", "gaussian")
    text = plain + "1 0 0.2 1 10\n" + HEADER_1D + "2 1 0.2 1 10\n" + plain + "3 2 0.2 1 10\n"
    hills = read_hills(write_hills(tmp_path / "HILLS", text))
    assert list(hills.kernel) == ["gaussian", "stretched-gaussian", "gaussian"]
    assert repr(hills) == "<Hills: 3 of kernel stretched-gaussian and gaussian over d>"
    assert hills[:1].kernel == "gaussian"
    assert [part.centers[:, 0].tolist() for part in hills.by_kernel()] == [[1.0], [0.0, 2.0]]
    assert [part.kernel for part in iter_hills(tmp_path / "HILLS", portion=1)] == list(hills.kernel)


def test_a_repeated_header_may_bring_another_order_of_cvs(tmp_path: Path) -> None:
    swapped = "#! FIELDS time psi phi sigma_psi sigma_phi height biasf\n"
    swapped += "".join(HEADER_2D.splitlines(keepends=True)[1:])
    other = "  4  2.5 -1.0  0.3 0.4  1.0 10\n"
    hills = read_hills(write_hills(tmp_path / "HILLS", HEADER_2D + ROWS_2D + swapped + other))
    assert hills.names == ("phi", "psi")
    assert hills.centers.tolist() == [*CENTERS_2D, [-1.0, 2.5]]
    assert hills.sigmas[3].tolist() == [0.4, 0.3]
    second = write_hills(tmp_path / "HILLS.1", swapped + other)
    both = read_hills(write_hills(tmp_path / "HILLS.0"), second)
    assert both.centers.tolist() == hills.centers.tolist()


def test_a_repeated_header_may_write_the_domain_in_other_literals(tmp_path: Path) -> None:
    numbers = HEADER_2D.replace("-pi", "-3.14159265359").replace(" pi", " 3.14159265359")
    hills = read_hills(write_hills(tmp_path / "HILLS", HEADER_2D + ROWS_2D + numbers + ROWS_4))
    assert hills.domain == (("-pi", "pi"), ("-pi", "pi"))
    assert len(hills) == 4


@pytest.mark.parametrize(
    "text",
    [
        HEADER_2D + ROWS_2D.replace("\n", "\r\n"),
        HEADER_2D + "\n" + ROWS_2D.replace("\n", "\n\n   \n"),
        HEADER_2D + ROWS_2D.replace("\n", "  # after the numbers\n"),
        "# on top\n" + HEADER_2D + "# between\n" + ROWS_2D + "# at the end\n",
        HEADER_2D + ROWS_2D.replace(" ", "\t"),
    ],
    ids=["dos", "blank lines", "comments behind", "comments between", "tabs"],
)
def test_layout_and_comments_do_not_matter(text: str, tmp_path: Path) -> None:
    path = tmp_path / "HILLS"
    path.write_bytes(text.encode())
    assert read_hills(path).centers.tolist() == CENTERS_2D


def test_a_restarted_run_repeats_its_header(tmp_path: Path) -> None:
    rows = ROWS_2D.splitlines(keepends=True)
    text = HEADER_2D + rows[0] + HEADER_2D + HEADER_2D + "".join(rows[1:]) + HEADER_2D
    assert read_hills(write_hills(tmp_path / "HILLS", text)).centers.tolist() == CENTERS_2D


def test_a_repeated_header_may_bring_another_order_of_columns(tmp_path: Path) -> None:
    text = (
        f"#! FIELDS time d sigma_d height\n{KERNEL}1 2 0.5 1.5\n"
        f"#! FIELDS time d sigma_d clock height\n{KERNEL}2 3 0.6 99 2.5\n"
    )
    hills = read_hills(write_hills(tmp_path / "HILLS", text))
    assert hills.centers.tolist() == [[2.0], [3.0]]
    assert hills.heights.tolist() == [1.5, 2.5]


def test_walkers_are_put_together_in_the_order_given(tmp_path: Path) -> None:
    first = write_hills(tmp_path / "HILLS.0", HEADER_1D + ROWS_1D)
    second = write_hills(tmp_path / "HILLS.1", HEADER_1D + "1 9 0.3 1 1\n")
    for paths in ((second, first), ([str(second), first],), ((second,), [first])):
        assert read_hills(*paths).centers.tolist() == [[9.0], [1.5], [2.25]]


def test_times_are_unknown_unless_every_walker_has_them(tmp_path: Path) -> None:
    first = write_hills(tmp_path / "HILLS.0", HEADER_1D + ROWS_1D)
    bare = HEADER_1D.replace("time ", "")
    second = write_hills(tmp_path / "HILLS.1", bare + "9 0.3 1 1\n")
    for paths in ((first, second), (second, first)):
        assert read_hills(*paths).times is None


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "HILLS"
    path.write_bytes(gzip.compress((HEADER_2D + ROWS_2D).encode()))
    assert read_hills(path).centers.tolist() == CENTERS_2D


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pipe_is_read(tmp_path: Path, compressed: bool) -> None:
    content = (HEADER_2D + ROWS_2D).encode()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(
        target=pipe.write_bytes, args=(gzip.compress(content) if compressed else content,)
    )
    writer.start()
    assert read_hills(pipe).centers.tolist() == CENTERS_2D
    writer.join()


def test_files_larger_than_a_block_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_files, "_BLOCK", 100)
    rows = "".join(f"{n} {n / 8} 0.5 1 1\n" for n in range(1000))
    path = write_hills(tmp_path / "HILLS", HEADER_1D + rows)
    assert read_hills(path).centers[:, 0].tolist() == [n / 8 for n in range(1000)]
    write_hills(path, HEADER_1D + rows.replace("\n700 ", "\n7oo "))
    with pytest.raises(HillsFileError, match=r"HILLS:704: column time: found '7oo'"):
        read_hills(path)


@pytest.mark.parametrize(
    ("rows", "count", "message"),
    [
        (ROWS_2D.rstrip("\n"), 2, r"HILLS:10: found no line end"),
        (ROWS_2D[:-30], 2, r"HILLS:10: found no line end"),
        (ROWS_2D + "     4   -1.20\n", 3, r"HILLS:11: found 2 of 7 columns"),
        (ROWS_2D + "     4   -1.20\n\n\n", 3, r"HILLS:11: found 2 of 7 columns"),
        (ROWS_2D + HEADER_2D[:20], 3, r"HILLS:11: found no line end"),
    ],
)
def test_a_cut_off_last_line_is_dropped_with_a_warning(
    rows: str, count: int, message: str, tmp_path: Path
) -> None:
    path = write_hills(tmp_path / "HILLS", HEADER_2D + rows)
    with pytest.warns(CyfesWarning, match=message):
        hills = read_hills(path)
    assert hills.centers.tolist() == CENTERS_2D[:count]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: found no hills, expected at least one"),
        (HEADER_2D, ":7: found no hills"),
        (ROWS_2D, ":1: found no '#! FIELDS time …' header"),
        (HEADER_2D + "1 2 3\n" + ROWS_2D, ":8: found 3 columns, expected 7 .time phi psi"),
        (HEADER_2D + "1 2 3 4 5 6 7 8\n" + ROWS_2D, ":8: found 8 columns, expected 7"),
        (HEADER_2D + ROWS_2D + "1 2 3 4 5 6 7 8\n", ":11: found 8 columns, expected 7"),
        (HEADER_2D + ROWS_2D.replace("2.70", "2.7O"), ":8: column psi: found '2.7O', expected"),
        (HEADER_2D + ROWS_2D.replace("2.70", "1_0"), ":8: column psi: found '1_0', expected"),
        (
            HEADER_2D + ROWS_2D.replace("1.10", "nan"),
            ":9: column height: found 'nan', expected a finite",
        ),
        (
            HEADER_2D + ROWS_2D.replace("3.10", "-inf"),
            ":10: column phi: found '-inf', expected a finite",
        ),
        (
            HEADER_2D + ROWS_2D.replace("3.10", "1e999"),
            ":10: column phi: found '1e999', expected a finite",
        ),
        (HEADER_2D + ROWS_2D.replace("0.25", "0.00"), ":9: column sigma_psi: found 0.00, expec"),
        (HEADER_2D + ROWS_2D.replace("0.25", "-0.2"), ":9: column sigma_psi: found -0.2, expec"),
        (HEADER_2D + "12.5 0.5" + HEADER_2D + ROWS_2D, ":8: found 2 columns, expected 7"),
        (HEADER_2D.replace("false", "true") + ROWS_2D, ":1: found 0 columns sigma_phi_phi"),
        (HEADER_2D.replace("stretched-gaussian", "triangular") + ROWS_2D, "kerneltype triangular"),
        (HEADER_2D.replace(" sigma_psi", "") + ROWS_2D, ":1: found 0 columns sigma_psi"),
        (HEADER_2D.replace(" height", " high") + ROWS_2D, ":1: found 0 columns height"),
        (HEADER_2D.replace("#! SET max_psi pi\n", "") + ROWS_2D, "found no '#! SET max_psi'"),
        (HEADER_2D.replace("max_psi pi", "max_psi top") + ROWS_2D, "domain of psi: found 'top'"),
        (HEADER_2D.replace("max_psi pi", "max_psi -4") + ROWS_2D, "psi: found -pi to -4, expected"),
        (
            HEADER_2D.replace("psi", "phi") + ROWS_2D,
            ":1: found the columns phi phi, expected different",
        ),
        ("#! FIELDS time height\n1 2\n", ":1: found no collective variable"),
        ("#! FIELDS time d sigma_d height logweight\n1 2 3 4 5\n", "OPES KERNELS file"),
        (
            "#! FIELDS time d sigma_d height\n#! SET lower_int 1\n#! SET upper_int 0\n1 2 3 4\n",
            ":1: lower_int and upper_int: interval: found 1 to 0 for 1 CVs, expected ascending",
        ),
        (
            "#! FIELDS time d sigma_d height\n#! SET lower_int 0\n1 2 3 4\n",
            ":1: lower_int and upper_int: found 'none', expected a number",
        ),
        (HEADER_2D.replace("false", "von-misses") + ROWS_2D, ":1: found multivariate von-misses"),
        (
            HEADER_2D + ROWS_2D + HEADER_1D + ROWS_1D,
            ":11: found the CVs d, expected phi psi as before",
        ),
        (
            HEADER_2D + ROWS_2D + HEADER_2D.replace("min_psi -pi", "min_psi 0") + ROWS_2D,
            ":11: found psi periodic from 0 to pi, expected periodic from -pi to pi",
        ),
        (
            HEADER_1D + ROWS_1D + HEADER_1D + INTERVAL + ROWS_1D,
            r":6: found the interval \(0.5, 2.0\), expected None as before",
        ),
        (
            HEADER_1D + INTERVAL + ROWS_1D + HEADER_1D + INTERVAL.replace("2", "3") + ROWS_1D,
            r":8: found the interval \(0.5, 3.0\), expected \(0.5, 2.0\) as before",
        ),
        (
            HEADER_1D + ROWS_1D + MULTIVARIATE_1D + ROWS_1D,
            ":6: found multivariate True, expected False as before",
        ),
        (
            HEADER_2D + ROWS_2D + "#! FIELDS" + HEADER_2D.splitlines()[0][9:] + "\n" + ROWS_2D,
            ":11: found phi not periodic, expected periodic from -pi to pi",
        ),
    ],
)
def test_a_faulty_file_is_refused_with_file_and_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = write_hills(tmp_path / "HILLS", text)
    with pytest.raises(HillsFileError, match=message) as caught:
        read_hills(path)
    assert str(caught.value).startswith(f"{path}:")


def test_walkers_must_agree(tmp_path: Path) -> None:
    first = write_hills(tmp_path / "HILLS.0", HEADER_2D + ROWS_2D)
    second = write_hills(tmp_path / "HILLS.1", HEADER_1D + ROWS_1D)
    with pytest.raises(HillsFileError, match=r"HILLS\.1:1: found the CVs d, expected phi psi"):
        read_hills(first, second)


def test_an_empty_walker_is_refused(tmp_path: Path) -> None:
    first = write_hills(tmp_path / "HILLS.0")
    second = write_hills(tmp_path / "HILLS.1", HEADER_2D)
    with pytest.raises(HillsFileError, match=r"HILLS\.1:7: found no hills"):
        read_hills([first, second])


def test_damaged_gzip_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "HILLS.gz"
    whole = gzip.compress((HEADER_2D + ROWS_2D * 50).encode())
    path.write_bytes(whole[:-8] + bytes(8))
    with pytest.raises(HillsFileError, match=r"HILLS\.gz:1: found damaged or incomplete gzip"):
        read_hills(path)


def test_a_missing_file_is_an_os_error_and_no_file_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_hills(tmp_path / "absent")
    with pytest.raises(InputError, match="found no file name"):
        read_hills()
    with pytest.raises(InputError, match="found no file name"):
        read_hills([])


def test_real_hills_are_read_as_numpy_reads_them(shared_data: Path) -> None:
    path = shared_data / "HILLS_acealanme"
    hills = read_hills(path)
    table = np.loadtxt(path, comments="#")
    assert len(hills) == 30_000
    assert np.array_equal(hills.centers, table[:, 1:3])
    assert np.array_equal(hills.sigmas, table[:, 3:5])
    assert np.array_equal(hills.heights, table[:, 5])
    assert np.array_equal(hills.bias_factors, table[:, 6])


def test_multivariate_hills_are_read_by_their_cholesky_factors(shared_data: Path) -> None:
    hills = read_hills(shared_data / "plumed" / "HILLS_t1")
    assert hills.names == ("t1", "t2")
    assert len(hills) == 546
    assert hills.cholesky is not None
    # sigma_t1_t1, sigma_t2_t1, sigma_t2_t2: the columns stand in another order in the file.
    factors = [0.1996044297033504, -0.09945972007468945, 0.185975423426183]
    assert hills.cholesky[0].tolist() == factors
    deviations = [factors[0], math.hypot(factors[1], factors[2])]
    assert hills.sigmas[0].tolist() == pytest.approx(deviations, rel=1e-15)


def test_an_interval_is_read(tmp_path: Path) -> None:
    header = HEADER_1D + "#! SET lower_int 0.5\n#! SET upper_int pi\n"
    hills = read_hills(write_hills(tmp_path / "HILLS", header + ROWS_1D))
    assert hills.interval == (0.5, math.pi)


def _walkers(tmp_path: Path, rows: dict[str, list[str]]) -> list[Path]:
    header = f"#! FIELDS time d sigma_d height clock\n{KERNEL}"
    return [
        write_hills(tmp_path / name, header + "\n".join(lines) + "\n")
        for name, lines in rows.items()
    ]


def test_walkers_are_merged_by_clock_or_time(tmp_path: Path) -> None:
    rows = {
        "HILLS.0": ["1 10 1 1 100", "2 20 1 1 300", "3 30 1 1 301"],
        "HILLS.1": ["1 11 1 1 99", "2 21 1 1 100", "9 31 1 1 500"],
        "HILLS.10": ["5 12 1 1 250"],
    }
    files = _walkers(tmp_path, rows)
    pattern = tmp_path / "HILLS.*"
    in_files = read_hills(pattern, merge=None).centers[:, 0].tolist()
    assert in_files == [10, 20, 30, 11, 21, 31, 12]
    by_clock = read_hills(pattern, merge="clock").centers[:, 0].tolist()
    assert by_clock == [11, 10, 21, 12, 20, 30, 31]
    by_time = read_hills(files, merge="time").centers[:, 0].tolist()
    assert by_time == [10, 11, 20, 21, 30, 12, 31]
    # The clock is the better one, where all files have it, and then the time.
    assert read_hills(pattern).centers[:, 0].tolist() == by_clock
    rows["HILLS.10"] = ["5 12 1 1 250", "6 13 1 1 249"]
    by_time = read_hills(_walkers(tmp_path, rows)).centers[:, 0].tolist()
    assert by_time == [10, 11, 20, 21, 30, 12, 13, 31]
    rows["HILLS.10"] = ["5 12 1 1 250", "4 13 1 1 249"]
    with pytest.warns(CyfesWarning, match="found a time that falls, from 5"):
        in_files = read_hills(_walkers(tmp_path, rows)).centers[:, 0].tolist()
    assert in_files == [10, 20, 30, 11, 21, 31, 12, 13]


def test_long_walkers_are_merged_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_files, "_BLOCK", 200)
    clocks = np.sort(np.random.default_rng(8).integers(0, 3000, (3, 500)), axis=1)
    rows = {
        f"HILLS.{w}": [f"{i} {i} 1 1 {clock}" for i, clock in enumerate(clocks[w])]
        for w in range(3)
    }
    merged = read_hills(_walkers(tmp_path, rows), merge="clock")
    assert len(merged) == 1500
    expected = np.sort(clocks.ravel())
    found = clocks[np.arange(3)[:, np.newaxis], merged.centers[:, 0].astype(int)]
    assert all(clock in column for clock, column in zip(expected, found.T))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2 1 1 1 5", "1 1 1 1 6"], "merge by time: found 1 after 2 in one file"),
        (["2 1 1 1 5", "2 1 1 1 4"], "merge by clock: found 4 after 5 in one file"),
    ],
)
def test_merging_files_that_are_not_in_order_is_refused(
    rows: list[str], message: str, tmp_path: Path
) -> None:
    files = _walkers(tmp_path, {"HILLS.0": rows})
    with pytest.raises(InputError, match=message):
        read_hills(files, merge=message.split()[2].rstrip(":"))


def test_merging_by_a_column_that_is_absent_is_refused(tmp_path: Path) -> None:
    path = write_hills(tmp_path / "HILLS")
    with pytest.raises(InputError, match="merge by clock: found hills without it"):
        read_hills(path, merge="clock")
    with pytest.raises(InputError, match="merge is 'height', expected"):
        read_hills(path, merge="height")


@pytest.mark.parametrize("portion", [1, 2, 3, 7, 8])
def test_hills_come_in_portions(portion: int, tmp_path: Path) -> None:
    files = _walkers(tmp_path, {f"H{w}": [f"{i} {i} 1 1 {w}" for i in range(4)] for w in (0, 1)})
    portions = list(iter_hills(files, portion=portion))
    assert [len(hills) for hills in portions[:-1]] == [portion] * (len(portions) - 1)
    together = np.concatenate([hills.centers for hills in portions])
    assert together.tolist() == read_hills(files, merge=None).centers.tolist()


def test_the_part_of_the_files_that_was_read_is_told(tmp_path: Path) -> None:
    files = _walkers(tmp_path, {f"H{w}": [f"{i} {i} 1 1 {w}" for i in range(400)] for w in (0, 1)})
    parts: list[float] = []
    assert sum(map(len, iter_hills(files, portion=400, progress=parts.append))) == 800
    assert parts == [0.5, 1.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": None}, "hills: found no times"),
        ({"sigmas": None, "cholesky": [0.1]}, "hills: found multivariate hills, an INTERVAL"),
        ({"interval": (0.0, 1.0)}, "hills: found multivariate hills, an INTERVAL"),
    ],
)
def test_hills_that_the_file_would_not_hold_are_not_written(
    changes: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"centers": [0.5], "sigmas": 0.1, "heights": 1.0, "times": [1.0]}
    with pytest.raises(InputError, match=message):
        hills_blocks(Hills(["d"], **{**given, **changes}))


def test_written_hills_are_read_back(tmp_path: Path) -> None:
    domain = [("-pi", "pi"), None]
    hills = Hills(
        ["a", "b"],
        CENTERS_2D,
        [0.1, 0.2],
        [1.0, 2.0, 3.0],
        kernel="gaussian",
        domain=domain,
        times=[1.0, 2.0, 3.0],
        bias_factors=5.0,
    )
    (tmp_path / "HILLS").write_text("".join(hills_blocks(hills)))
    found = read_hills(tmp_path / "HILLS")
    assert (found.names, found.kernel, found.domain) == (hills.names, "gaussian", tuple(domain))
    for name in ("centers", "sigmas", "heights", "times", "bias_factors"):
        assert np.array_equal(getattr(found, name), getattr(hills, name))


@pytest.mark.parametrize("name", ["sigma_x", "clock", "time", "biasf", "sigma_sigma_x"])
def test_a_cv_may_have_the_name_of_a_column_of_plumed(name: str, tmp_path: Path) -> None:
    other = "" if name == "time" else "time "
    text = f"#! FIELDS {other}{name} y sigma_{name} sigma_y height\n{KERNEL}"
    rows = ["1 2.5 0.5 0.1 0.2 1.5\n", "2 3.5 0.5 0.1 0.2 1.5\n"]
    if not other:
        rows = [row[2:] for row in rows]
    hills = read_hills(write_hills(tmp_path / "HILLS", text + "".join(rows)))
    assert hills.names == (name, "y")
    assert hills.centers.tolist() == [[2.5, 0.5], [3.5, 0.5]]
    assert hills.sigmas[0].tolist() == [0.1, 0.2]
    assert hills.heights.tolist() == [1.5, 1.5]
    assert hills.bias_factors.tolist() == [1.0, 1.0]
    assert (hills.times is None) == (name == "time")
    assert read_colvar(tmp_path / "HILLS").names == (name, "y")


def test_multivariate_hills_may_have_a_cv_named_like_a_column(tmp_path: Path) -> None:
    text = f"#! FIELDS time clock sigma_clock_clock height biasf clock_\n{KERNEL}"
    text = text.replace(" clock_\n", "\n") + "#! SET multivariate true\n1 2.5 0.1 1.5 10\n"
    hills = read_hills(write_hills(tmp_path / "HILLS", text))
    assert (hills.names, hills.sigmas.tolist()) == (("clock",), [[0.1]])


@pytest.mark.parametrize("name", ["height", "clock", "time"])
def test_columns_that_cannot_be_told_apart_are_refused(name: str, tmp_path: Path) -> None:
    text = f"#! FIELDS time {name} sigma_{name} height clock\n{KERNEL}1 2.5 0.1 1.5 7\n"
    if name == "clock":
        # The column of the clock comes once more, and cannot be told from the CV.
        assert read_hills(write_hills(tmp_path / "HILLS", text)).centers.tolist() == [[2.5]]
        return
    with pytest.raises(HillsFileError, match=r"found 2 columns height|found the columns time time"):
        read_hills(write_hills(tmp_path / "HILLS", text))


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_compressed_data_that_are_cut_off_are_used_up_to_there(
    compress: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(9)
    rows = "".join(f"{k} {x!r} 0.5 1 1\n" for k, x in enumerate(rng.normal(size=5000).tolist()))
    whole = compress((HEADER_1D + rows).encode())
    path = tmp_path / "HILLS"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(CyfesWarning, match="data that are cut off; the lines up to there") as told:
        hills = read_hills(path)
    assert len(told) == 1
    assert 1500 < len(hills) < 4000
    expected = np.random.default_rng(9).normal(size=5000)
    assert hills.centers[:, 0].tolist() == expected[: len(hills)].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((HEADER_1D + ROWS_1D).encode("utf-8-sig"), r"HILLS:1: found a byte order mark \(BOM\)"),
        ((HEADER_1D + ROWS_1D).encode("utf-16"), "of UTF-16 at the start"),
        ((HEADER_1D + ROWS_1D).replace("\n", "\r").encode(), r"HILLS:1: found lines that end with"),
        ((HEADER_1D + ROWS_1D.replace("\n", "\r", 1)).encode(), "a carriage return .CR. alone"),
    ],
)
def test_other_line_ends_and_marks_are_refused_in_clear_words(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "HILLS").write_bytes(content)
    with pytest.raises(HillsFileError, match=message):
        read_hills(tmp_path / "HILLS")
