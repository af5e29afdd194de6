"""Checkpoints: a training run between two epochs, in one safetensors file.

The tensors are W1, b1, W2, b2 and the history; the configuration stands in the file's metadata,
so that any stage can go on where any other stopped.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import BadInput
from handgrad.extras import needed_for
from handgrad.files import reason, write_whole
from handgrad.history import Epoch, History
from handgrad.inputs import file_path
from handgrad.problem import Config, Parameters, Problem, parameter_shapes

FORMAT = "handgrad checkpoint 1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What is needed to go on after `epoch` whole epochs.

    rows: the history, epoch 0 first, of which those after `epoch` do not count;
    digest: the problem's, so that a run is not continued on other data; stage: who made it.
    """

    config: Config
    digest: str
    stage: str
    epoch: int
    params: Parameters
    rows: History


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all. Raises `BadInput` where it cannot be written."""
    with needed_for("a checkpoint"):
        from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(p) for name, p in checkpoint.params._asdict().items()}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(checkpoint.config.as_dict()),
        "digest": checkpoint.digest,
        "stage": checkpoint.stage,
        "epoch": str(checkpoint.epoch),
    }
    tensors["history"] = checkpoint.rows.table[: checkpoint.epoch + 1]
    write_whole(path, _sorted(save(tensors, metadata)))


def _sorted(data: bytes) -> bytes:
    """The same file with its header in order: safetensors writes metadata in a random one."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # the arrays begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check the file. Raises `BadInput` where it is missing, truncated or foreign."""
    metadata, tensors = _read(file_path("a checkpoint", path))
    try:
        config = Config.from_dict(json.loads(metadata["config"]))
        epoch = int(metadata["epoch"])
        history = tensors.pop("history")
        params = Parameters(**tensors)
        sound = (
            epoch >= 0
            and history.shape == (epoch + 1, len(Epoch._fields))
            and np.array_equal(history[:, 0], np.arange(epoch + 1))
            and np.isfinite(history).all()
            and all(
                p.shape == shape and p.dtype == config.dtype and np.isfinite(p).all()
                for p, shape in zip(params, parameter_shapes(config.hidden), strict=True)
            )
        )
        if not sound:
            raise ValueError("its arrays do not fit its configuration")
        digest, stage = metadata["digest"], metadata["stage"]
        return Checkpoint(config, digest, stage, epoch, params, History(history))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} must be a whole checkpoint, got a damaged one: {error}; start without it"
        ) from None


def require_same_problem(path: Path, checkpoint: Checkpoint, problem: Problem) -> None:
    """Raises `BadInput` unless the run can go on. Only the number of epochs may have grown."""
    if checkpoint.epoch > problem.config.epochs:
        raise BadInput(
            f"epochs must be at least the {checkpoint.epoch} that {path} has done, "
            f"got {problem.config.epochs}"
        )
    ours = problem.config.as_dict()
    theirs = replace(checkpoint.config, epochs=problem.config.epochs).as_dict()
    for name in ours:
        if ours[name] != theirs[name]:
            raise BadInput(
                f"{name} must be {theirs[name]} as in {path}, got {ours[name]}: "
                "leave the option out, or start without the checkpoint"
            )
    if checkpoint.digest != problem.digest(checkpoint.epoch):
        raise BadInput(
            f"{path} was made on other data, initial parameters or batch order: start anew"
        )


def _read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    with needed_for("a checkpoint"):
        from safetensors import SafetensorError, safe_open

    if path.exists() and not path.is_file():
        raise BadInput(f"{path} must be a file that can be read, got a folder, a device or a pipe")
    try:
        path.open("rb").close()  # the library's own message for a missing file names no reason
        with safe_open(path, framework="numpy") as file:
            metadata, keys = file.metadata() or {}, file.keys()
            if metadata.get("format") != FORMAT:
                raise BadInput(
                    f"{path} must be a checkpoint of handgrad train, got another safetensors file"
                )
            return metadata, {key: file.get_tensor(key) for key in keys}
    except (AttributeError, TypeError) as error:  # a dtype that NumPy has not
        raise BadInput(f"{path} must hold float64 or float32 arrays, got: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} must be a file that can be read, got: {reason(error)}") from None
    except SafetensorError as error:
        raise BadInput(
            f"{path} must be a whole safetensors file, got a truncated or foreign one ({error}): "
            "start without it"
        ) from None
