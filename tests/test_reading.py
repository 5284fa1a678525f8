"""The reader: what a type declares is what is let in, and an error names the place."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from genbench.errors import GenbenchError
from genbench.reading import As, Match, Size, Within, check, legible, parse_json, parse_toml, read, text_of

Share = Annotated[float, Within(0, 1)]


class Open(TypedDict):
    name: str
    note: NotRequired[str]


@dataclass
class Inner:
    rate: Share
    sizes: dict[int, float]

    def __post_init__(self) -> None:
        if len(self.sizes) > 2:
            raise ValueError("three are too many")


@dataclass
class Whole:
    count: Annotated[int, Within(1, 9)]
    kind: Literal["a", "b"] = "a"
    key: Annotated[str, Match("[0-9]{2}", "two digits")] = "00"
    ends: tuple[float, float] | None = None
    names: Annotated[list[str], Size(1)] = field(default_factory=lambda: ["x"])
    inner: Inner | None = None
    rest: Any = None
    card: Annotated[dict[str, Any], As(Open)] = field(default_factory=lambda: {"name": "n"})


def whole(**content):
    return read(Whole, {"count": 3, **content}, "FILE", "Fix it.")


def test_what_fits_is_read_as_its_type():
    inner, card = {"rate": 1, "sizes": {"4": 2}}, {"name": "n", "x": 1}
    found = whole(ends=[1, 2.5], inner=inner, rest={"a": [1, None]}, card=card)
    assert found.ends == (1.0, 2.5)
    assert found.inner == Inner(1.0, {4: 2.0})
    assert found.rest == {"a": [1, None]}
    assert found.card == card


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        ({"count": 0}, "count is 0", "from 1 to 9"),
        ({"count": 10}, "count is 10", "from 1 to 9"),
        ({"count": True}, "count is True", "a whole number"),
        ({"count": 3.0}, "count is 3.0", "a whole number"),
        ({"count": "3"}, "count is '3'", "a whole number"),
        ({"count": 10**5000}, "count is an enormous number", "from 1 to 9"),
        ({"kind": "c"}, "kind is 'c'", "one of a, b"),
        ({"kind": ["a"]}, "kind is a list of 1", "one of a, b"),
        ({"key": "123"}, "key is '123'", "two digits"),
        ({"key": "12\n"}, "key is", "two digits"),
        ({"ends": [1]}, "ends is a list of 1", "a list of 2"),
        ({"ends": [1, None]}, "ends[1] is None", "a number"),
        ({"ends": [1, float("inf")]}, "ends[1] is inf", "a number"),
        ({"ends": [1, 10**400]}, "ends[1] is an enormous number", "a number"),
        ({"names": []}, "names is a list of 0", "at least 1"),
        ({"names": ["a", "\0"]}, "names[1]", "text"),
        ({"names": ["\ud800"]}, "names[0]", "text"),
        ({"names": "abc"}, "names is 'abc'", "a list of text"),
        ({"inner": {"rate": 1.5, "sizes": {}}}, "inner.rate is 1.5", "from 0 to 1"),
        ({"inner": {"rate": 1}}, "inner.sizes is missing", "a table"),
        ({"inner": {"rate": 1, "sizes": {"x": 1}}}, "inner.sizes (key) is 'x'", "a whole number"),
        ({"inner": {"rate": 1, "sizes": {"1": 1, "2": 2, "3": 3}}}, "inner is none: three are too many", "can be"),
        ({"inner": {"rate": 1, "sizes": {}, "rates": 1}}, "inner.rates is 1", "Did you mean 'rate'?"),
        ({"counts": 1}, "counts is 1", "Did you mean 'count'?"),
        ({"card": {}}, "card.name is missing", "text"),
        ({"card": {"name": "n", "note": 1}}, "card.note is 1", "text"),
        ({"card": {"name": "n", "other": b"x"}}, "card.other is b'x'", "text, a number"),
    ],
)
def test_what_does_not_is_named_with_its_place_and_what_was_expected(content, place, expected):
    with pytest.raises(GenbenchError) as caught:
        whole(**content)
    assert caught.value.problem.startswith("FILE: ")
    assert place in caught.value.problem
    assert expected in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_a_value_nested_without_end_is_refused():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(GenbenchError, match="at most 50 levels"):
        whole(rest=deep)


def test_an_instance_is_held_against_its_own_annotations():
    check(Whole(3))
    with pytest.raises(GenbenchError) as caught:
        check(Whole(12))
    assert (caught.value.problem, caught.value.remedy) == ("count is 12", "Give a whole number from 1 to 9.")


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "[" * 10**5, "1" * 10**5, b"\xff", ""])
def test_text_that_is_no_strict_json_is_an_error(text):
    with pytest.raises(GenbenchError, match="FILE is not JSON"):
        parse_json(text, "FILE", "Fix it.")


@pytest.mark.parametrize("text", ["a", "a = ", "[a]\n[a]", "a = " + "[" * 10**4, "a = 1\na = 2"])
def test_text_that_is_no_toml_is_an_error(text):
    with pytest.raises(GenbenchError, match="FILE is not TOML"):
        parse_toml(text, "FILE", "Fix it.")


def test_a_file_is_utf_8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "file"
    for data in ("grün".encode(), "grün".encode("utf-8-sig")):
        path.write_bytes(data)
        assert text_of(path, "suite", "Fix it.") == "grün"
    for data in ("grün".encode("utf-16"), "grün".encode("latin-1")):
        path.write_bytes(data)
        with pytest.raises(GenbenchError, match="not UTF-8"):
            text_of(path, "suite", "Fix it.")
    for other in (tmp_path, tmp_path / "none"):
        with pytest.raises(GenbenchError, match="no suite can be read"):
            text_of(other, "suite", "Fix it.")


def test_names_that_are_no_unicode_are_written_as_escapes():
    assert legible("a\udcffé") == "a\\udcffé"
