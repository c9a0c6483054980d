"""Places, hints and lists of mistakes."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import pytest
from systems import empty, environment

from constructs_lib import K3d, Microservice, System
from constructs_lib.declare import diagnostics as mistake
from constructs_lib.declare.diagnostics import (
    DeclarationError,
    Diagnostic,
    Location,
    here,
    is_library_code,
    is_user_code,
)

HERE = Path(__file__)


def line() -> int:
    """Return the line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


class TestHere:
    def test_is_the_line_of_the_caller(self) -> None:
        assert here() == Location(str(HERE), line())

    def test_looks_through_the_library(self) -> None:
        cluster, expected = K3d(kubernetes="1.36", nodes=1), line()
        assert cluster.location == Location(str(HERE), expected)

    def test_looks_through_python_and_packages(self) -> None:
        cluster = K3d(kubernetes="1.36", nodes=1)
        copied, expected = dataclasses.replace(cluster, nodes=2), line()
        assert copied.location == Location(str(HERE), expected)

    def test_looks_through_the_bridge_to_node(self) -> None:
        service, expected = Microservice(empty(), "web", image="web:1.0.0", ports={"http": 8080}), line()
        assert service.component.location == Location(str(HERE), expected)

    def test_unknown_where_no_file_calls(self) -> None:
        names: dict[str, object] = {"here": here}
        exec("def declared(): return here()", names)
        place = eval("declared()", names)
        assert place == Location(str(HERE), line() - 1)


class TestWhoseCode:
    @pytest.mark.parametrize("file", [mistake.__file__, json.__file__, pytest.__file__, "<string>", "<frozen os>"])
    def test_not_the_users(self, file: str) -> None:
        assert not is_user_code(file)

    @pytest.mark.parametrize("file", [__file__, "/home/anna/shop/app.py", "app.py"])
    def test_the_users(self, file: str) -> None:
        assert is_user_code(file)

    def test_folder_with_a_longer_name_is_not_the_library(self) -> None:
        library = Path(mistake.__file__).parent.parent
        assert not is_library_code(f"{library}_of_anna/app.py")
        assert is_library_code(str(library / "app.py"))


class TestLocation:
    def test_is_relative_to_the_root(self, tmp_path: Path) -> None:
        assert Location(str(tmp_path / "services" / "web.py"), 3).relative_to(tmp_path) == "services/web.py:3"

    def test_stays_whole_outside_of_the_root(self, tmp_path: Path) -> None:
        assert Location("/elsewhere/app.py", 3).relative_to(tmp_path) == "/elsewhere/app.py:3"

    def test_second_place_in_a_message_is_short(self) -> None:
        assert str(Location("/elsewhere/app.py", 3)) == "app.py:3"


class TestDeclarationError:
    FIRST = Diagnostic(Location("app.py", 2), "web", "a")
    SECOND = Diagnostic(Location("app.py", 10), "api", "b")

    def test_has_every_mistake_once_in_the_order_of_the_lines(self) -> None:
        assert DeclarationError([self.SECOND, self.FIRST, self.SECOND]).diagnostics == (self.FIRST, self.SECOND)

    def test_text_is_one_line_for_each(self) -> None:
        assert str(DeclarationError([self.SECOND, self.FIRST])) == "app.py:2: web: a\napp.py:10: api: b"


def test_ledgers_are_not_shared_between_systems() -> None:
    System(environment(), "Bad Name")
    assert empty().diagnostics.found == []


def test_pick_raises_where_no_command_line_reports() -> None:
    with pytest.raises(DeclarationError, match="pick\\(\\) has no value for this environment, only for production"):
        environment("local").pick(production=3)
