"""The figures of style count what they say they count."""

from pathlib import Path

import pytest

from benchmarks.style import Code, File, circles, report

ONE = File(
    "one/first.py",
    '''from typing import TypeVar

Rows = list[int]
LIMIT = list[int]
T = TypeVar("T")
total = Rows()


class Story:
    """A type."""

    def tell(self) -> None:
        self._once()
        self._twice()
        self._twice()

    def _once(self) -> None: ...

    def _twice(self) -> None: ...

    def __len__(self) -> int:
        return 0


class _Story: ...
''',
)
OTHER = File("one/second.py", "Rows = int | str\n\n\ndef _elsewhere() -> None:\n    pass\n")
USER = File("one/third.py", "from one.second import _elsewhere\n\n\ndef same():\n    return _elsewhere\n")


def code(*files: File) -> Code:
    return Code("one", files, [])


def test_lines_of_functions_run_from_def_to_their_end():
    assert code(ONE).sizes[0] == (4, "one/first.py: `tell`")
    assert [lines for lines, _ in code(ONE).sizes] == [4, 2, 1, 1]


def test_private_functions_used_once_are_a_share_of_all():
    assert code(ONE).used_once == 1 / 4


def test_a_use_in_another_file_counts():
    assert code(OTHER).used_once == 0
    assert code(OTHER, File("one/third.py", "import one.second\none.second._elsewhere()\n")).used_once == 1
    assert code(OTHER, USER).used_once == 0


def test_a_private_name_of_several_files_is_looked_for_in_each_of_them_alone():
    twin = File("one/twin.py", "def _elsewhere():\n    pass\n\n\n_elsewhere()\n")
    assert code(OTHER, twin).used_once == 1 / 2


def test_types_of_the_same_name_are_classes_and_aliases_that_others_can_see():
    assert ONE.types == {"Rows", "Story"}
    assert code(ONE, OTHER).same_types == {"Rows": ["one/first.py", "one/second.py"]}


def test_long_files_are_those_over_300_lines():
    files = [File(f"one/{lines}.py", "\n" * lines) for lines in (300, 301)]
    assert code(*files).long_files == [(301, "one/301.py")]


def test_a_circle_is_every_module_that_imports_itself_by_way_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "roundabout"
    package.mkdir()
    imports = {
        "a": "import roundabout.b",
        "b": "import roundabout.c",
        "c": "import roundabout.a",
        "aside": "import roundabout.a",
        "for_types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import roundabout.typed",
        "typed": "import roundabout.for_types",
    }
    (package / "__init__.py").touch()
    for name, text in imports.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert circles(["roundabout"]) == [["roundabout.a", "roundabout.b", "roundabout.c"]]


def test_the_report_names_what_to_look_at():
    text = report([code(ONE)], code(ONE, OTHER), [code(USER)])
    assert "- 4 lines, one/first.py: `tell`" in text
    assert "- `Rows`: one/first.py, one/second.py" in text
    assert "| private functions used once | 25% | 20% | 0% |" in text
