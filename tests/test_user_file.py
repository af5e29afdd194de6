"""A file that somebody wrote: what in it is checked, without a process of its own."""

from pathlib import Path

from handgrad.checker.user_file import _fails_alone, check_file, names_in

OBJECTS = """
import numpy as np


class Squares:
    params = {"w": np.array([1.0, -2.0])}

    def loss(self, p):
        return (p["w"] ** 2).sum()


class Mine(Squares):
    def grads(self, p):
        return {"w": 2 * p["w"]}


class Wrong(Squares):
    def grads(self, p):
        return {"w": -2 * p["w"]}


mine, wrong, _hidden = Mine(), Wrong(), Mine()
number = 3
"""


def test_an_object_is_checked_with_what_its_class_and_its_bases_have(tmp_path: Path) -> None:
    file = tmp_path / "objects.py"
    file.write_text(OBJECTS)
    assert check_file(f"{file}:mine").ok
    assert check_file(f"{file}:wrong")["w"].cause == "its sign is wrong"
    listed = [name.rpartition(":")[2] for name in names_in(str(file))]
    assert {"mine", "wrong"} <= set(listed)
    assert not {"_hidden", "number"} & set(listed)


def test_a_function_that_is_no_part_of_the_check_is_not_called_to_find_who_failed() -> None:
    def loss(p: object) -> None:
        raise RuntimeError

    assert _fails_alone({"loss": loss, "forward": abs, "inputs": [-1]}) is None
    found = _fails_alone({"loss": loss, "params": 3})
    assert isinstance(found, RuntimeError)
