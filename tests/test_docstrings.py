"""Public docstrings have one form: a sentence, an example, then what goes in and comes out."""

import inspect
import re
from importlib import import_module
from typing import Any

import pytest

MODULES = {
    "handgrad": (),
    "handgrad.checker": (),
    "handgrad.exact": (),
    "handgrad.explore": (),
    "handgrad.history": ("Epoch", "History"),
    "handgrad.mistakes": ("Mistake", "backward", "forward"),
}
"""What the reference shows: of a module without `__all__`, these names."""


def public() -> dict[str, Any]:
    """Every function and class that a user may import, by its name."""
    found: dict[str, Any] = {}
    for module, names in MODULES.items():
        home = import_module(module)
        found |= {f"{module}.{n}": getattr(home, n) for n in names or home.__all__}
    return {name: it for name, it in found.items() if inspect.isroutine(it) or hasattr(it, "mro")}


def faults(name: str, it: Any) -> list[str]:
    """What its docstring has not."""
    text = inspect.getdoc(it) or ""
    _sentence, _, rest = text.partition("\n\n")
    found = [] if rest.startswith(">>>") else [f"{name}: the example must come first"]
    if inspect.isclass(it):
        example = "\n".join(re.findall(r"^(?:>>>|\.\.\.) (.*)$", text, re.MULTILINE))
        for member in members(it):
            own = inspect.getdoc(getattr(it, member)) or ""
            if ">>>" not in own and not re.search(rf"\.{member}\b", example):
                found.append(f"{name}.{member}: no example shows it")
        listed = set(re.findall(r"^    (\w+): ", text, re.MULTILINE))
        wanted = getattr(it, "__dataclass_fields__", {})
        found += [f"{name}: {field} is not said" for field in wanted if field not in listed]
    else:
        for argument in inspect.signature(it).parameters:
            if not re.search(rf"^    (?:\w+, )*{argument}(?:, \w+)*: ", text, re.MULTILINE):
                found.append(f"{name}: {argument} is not said")
        if not re.search(r"^(Returns|Raises):", text, re.MULTILINE):
            found.append(f"{name}: what it returns is not said")
    return found


def members(it: type) -> list[str]:
    """The methods and properties that it has beyond those of what it is made of."""
    kinds = (property, classmethod, staticmethod)
    own = {k: v for base in it.mro() if _ours(base) for k, v in vars(base).items()}
    return [
        name
        for name, member in own.items()
        if name[0] != "_" and (inspect.isfunction(member) or isinstance(member, kinds))
    ]


def _ours(base: type) -> bool:
    return base.__module__.startswith("handgrad")


@pytest.mark.parametrize("name", sorted(public()))
def test_it_has_the_form(name: str) -> None:
    assert faults(name, public()[name]) == []


def test_what_is_missing_is_seen() -> None:
    class Half:
        """A half.

        >>> Half()
        """

        def twice(self) -> int:
            """One."""
            return 1

    def half(of: int) -> int:
        """A half, of what?"""
        return of

    Half.__module__ = "handgrad"
    assert faults("Half", Half) == ["Half.twice: no example shows it"]
    assert faults("half", half) == [
        "half: the example must come first",
        "half: of is not said",
        "half: what it returns is not said",
    ]


def test_none_is_left_out() -> None:
    assert len(public()) > 35
