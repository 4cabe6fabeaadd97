"""Many strings in one buffer read like a tuple of them."""

import numpy as np

from kerasnets.data.strings import Strings, repeated

NAMES = ("a", "", "Ähre/ß.png", "b\n c", "\udcff.png")


def test_reads_like_a_tuple() -> None:
    found = Strings.of(iter(NAMES))
    assert (len(found), tuple(found), found[2], found[-1]) == (5, NAMES, NAMES[2], NAMES[-1])
    assert found == NAMES and NAMES == found and found[1:3] == NAMES[1:3]
    assert found != NAMES[:-1] and found != (*NAMES[:-1], "x") and found != "abcde"
    assert NAMES[2] in found and found.index("b\n c") == 3
    assert repr(found) == "Strings('a', '', 'Ähre/ß.png', …; 5)"


def test_bytes_of_names_stay_what_they_are() -> None:
    assert bytes(Strings.of(NAMES).bytes_at(4)) == b"\xff.png"


def test_parts_share_the_buffer() -> None:
    found = Strings.of(NAMES)
    part = found.take(np.array([3, 0, 3]))
    assert part == ("b\n c", "a", "b\n c")
    assert part.buffer is not None and part.buffer.obj is found.buffer.obj


def test_iterates_over_more_than_it_holds_at_once() -> None:
    found = Strings.of(map(str, range(150_000)))
    assert sum(map(int, found)) == sum(range(150_000))
    assert found[149_999] == "149999"


def test_repeated() -> None:
    assert repeated(Strings.of([])) is None
    assert repeated(Strings.of(map(str, range(1000)))) is None
    assert repeated(Strings.of([*map(str, range(1000)), "77"])) == "77"
