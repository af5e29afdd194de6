"""Options that more than one command has."""

from collections.abc import Callable
from dataclasses import Field, fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from handgrad.errors import BadInput
from handgrad.inputs import file_path
from handgrad.problem import Config

CONFIG_HELP = {
    "seed": "Spawns the three random streams: data, initial weights, batch order.",
    "hidden": "Hidden units h.",
    "epochs": "Passes over the training set; 0 reports the initial network.",
    "lr": "Learning rate.",
    "batch_size": "Samples in a batch; the last one may be short.",
    "n_train": "Training samples.",
    "n_val": "Held-out samples.",
    "init": "Initial weights: he, or normal:SD such as normal:0.1.",
    "dtype": "float64 or float32.",
    "data_seed": "A seed for the data alone.",
    "init_seed": "A seed for the initial weights alone.",
    "order_seed": "A seed for the batch order alone.",
}


def named(text: str) -> Path:
    """A file or folder, which must have a name: '' would be the current folder."""
    try:
        return file_path("it", text)
    except BadInput as error:
        raise typer.BadParameter(str(error)) from None


Device = Annotated[str, typer.Option(help="Device for PyTorch's tensors: cpu, cuda, …")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object. Everything else goes to standard error."),
]


def with_config(command: Callable[..., int]) -> Callable[..., int]:
    """Give the command an option for each field of `Config`; its first argument is what was chosen.

    A field left out stays out of `chosen`, so that a checkpoint's own value can stand.
    """

    @wraps(command)
    def wrapped(**arguments: Any) -> int:
        chosen = {name: arguments.pop(name) for name in CONFIG_HELP}
        return command({k: v for k, v in chosen.items() if v is not None}, **arguments)

    options = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                field.type | None,  # type: ignore[operator]
                typer.Option(help=_help(field), show_default=False),
            ],
        )
        for field in fields(Config)
    ]
    own = list(signature(command).parameters.values())[1:]
    own.sort(key=lambda p: p.kind)  # an argument before the options
    first = [p for p in own if p.kind is not Parameter.KEYWORD_ONLY]
    parameters = [*first, *options, *own[len(first) :]]
    wrapped.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped


def _help(field: Field[Any]) -> str:
    default = "" if field.default is None else f" Default {field.default}."
    return CONFIG_HELP[field.name] + default
