"""The figures: one sheet for a run, and what a network's plane looks like."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handgrad.checker.report import Report
from handgrad.problem import Parameters
from handgrad.rounding import apart
from handgrad.training import Run

STYLES = ("-", "--", "-.", ":")  # told apart in black and white too


def gradients_figure(report: Report) -> Figure:
    """Each wrong gradient of a check that measured its entries: given, right, and the error.

    A row a parameter; an array of more than two axes is laid out as (first, all others).
    """
    wrong = {n: p for n, p in report.parameters.items() if p.right is not None}
    figure = Figure(figsize=(12, 3.2 * len(wrong)), layout="constrained")
    for panels, (name, p) in zip(
        figure.subplots(len(wrong), 3, squeeze=False), wrong.items(), strict=True
    ):
        given, right = (_as_image(np.asarray(a)) for a in (p.given, p.right))
        largest = float(np.nanmax(abs(np.concatenate([given, right])))) or 1.0
        off = given - right
        for axes, image, title, size in (
            (panels[0], given, f"{name}: the gradient that was given", largest),
            (panels[1], right, f"{name}: the slope by each entry", largest),
            (panels[2], off, f"{name}: the error", float(np.nanmax(abs(off))) or 1.0),
        ):
            shown = axes.imshow(image, cmap="RdBu_r", vmin=-size, vmax=size, aspect="auto")
            figure.colorbar(shown, ax=axes)
            axes.set_title(title, fontsize=10)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.yaxis.get_major_locator().set_params(integer=True)
    return figure


def _as_image(a: np.ndarray) -> np.ndarray:
    return a.reshape(1, -1) if a.ndim < 2 else a.reshape(len(a), -1)


def run_figure(runs: Sequence[Run], bound: float | None = None) -> Figure:
    """The first run's history and its final network; below, how far the others are from it.

    bound: drawn beside the differences. Runs without a trajectory leave that panel out.
    """
    run = runs[0]
    # On the way to divergence numbers come that no axis can show.
    history = {k: np.where(abs(v) < 1e100, v, np.nan) for k, v in run.history.items()}
    epochs = history["epoch"]
    figure = Figure(figsize=(13, 7.5))
    figure.subplots_adjust(0.06, 0.07, 0.98, 0.91, wspace=0.25, hspace=0.3)
    figure.suptitle(f"{run.stage}, seed {run.problem.config.seed}")
    loss, gradients, plane, active, accuracy, differences = figure.subplots(2, 3).flat

    loss.semilogy(epochs, history["train_loss"], "-", color="black", label="training")
    loss.semilogy(epochs, history["val_loss"], "--", color="tab:blue", label="held-out")
    _describe(loss, "Loss", "mean of ½ (f − y)²")

    for name, style in zip(Parameters._fields, STYLES, strict=True):
        norms = history[f"grad_norm_{name}"]
        gradients.semilogy(epochs, norms, style, label=f"‖d{name}‖", linewidth=1)
    _describe(gradients, "Gradient norm of each parameter", "norm over the training set")

    draw_plane(plane, run.params, run.problem.x_val, run.problem.y_val)
    plane.set_title("Held-out samples and the boundary f = ½")

    active.plot(epochs, history["active_share"], color="black")
    active.set_ylim(0, 1)
    _describe(active, "Share of ReLU units that are on", "share of (sample, unit) pairs", False)

    accuracy.plot(epochs, history["val_accuracy"], color="black")
    _describe(accuracy, f"Held-out accuracy: {run.final['val_accuracy']:.3f}", "accuracy", False)

    recorded = {r.stage: r.trajectory for r in runs if r.trajectory is not None}
    if len(runs) > 1 and len(recorded) == len(runs):
        steps = min(map(len, recorded.values()))
        first, *others = ([trajectory[1:steps]] for trajectory in recorded.values())
        draw_apart(differences, dict(zip(list(recorded)[1:], others, strict=True)), first, bound)
        differences.set_title(f"How far each run is from {run.stage}")
    else:
        differences.set_axis_off()
    return figure


def draw_plane(axes: Axes, params: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> None:
    """Samples x (B, 2) of classes y (B, 1), where f ≥ ½ (shaded), and each unit's line a1 = 0."""
    W1, b1, W2, b2 = params
    reach = float(abs(x).max()) * 1.05
    side, height = np.linspace(-reach, reach, 201), np.linspace(-reach, 1.25 * reach, 226)
    grid = np.stack(np.meshgrid(side, height), axis=-1)  # (226, 201, 2)
    f = np.maximum(grid @ W1.T + b1, 0) @ W2[0] + b2
    axes.contourf(side, height, f, levels=[-np.inf, 0.5, np.inf], colors=["white", "lightgrey"])
    for (w1, w2), b in zip(W1, b1, strict=True):  # w1 x1 + w2 x2 + b = 0
        norm = np.hypot(w1, w2)
        if abs(b) < 100 * reach * norm:  # not far beyond the picture, nor no line at all
            foot = -b / norm * np.array([w1, w2]) / norm  # its point nearest to 0
            along = foot + np.array([w2, -w1]) / norm
            axes.axline(foot, along, color="black", linewidth=0.7, linestyle=":")
    for label, marker, colour in ((0, "o", "tab:blue"), (1, "^", "tab:orange")):
        where = y[:, 0] == label
        axes.scatter(
            x[where, 0], x[where, 1], s=12, marker=marker, color=colour, label=f"y = {label}"
        )
    axes.set(xlim=(-reach, reach), ylim=(-reach, 1.25 * reach), aspect="equal")
    axes.set(xlabel="x₁", ylabel="x₂")
    axes.legend(loc="upper center", ncols=2, fontsize=8)  # above the samples


def caption(figure: Figure, text: str) -> None:
    """One line under the figure that says what to see in it, on white in a dark theme too."""
    figure.set_facecolor("white")
    figure.text(0.5, -0.03, text, ha="center", va="top", style="italic")


def medians(history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epoch 0, and groups of ever more epochs after it: their middles, and their medians.

    history (epochs + 1, columns).

    >>> medians(np.array([[5.0], [4.0], [3.0], [1.0]]))[0].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    ends = np.unique(np.geomspace(1, len(history), 16).astype(int))[:-1]
    epochs = [group.mean() for group in np.split(np.arange(len(history)), ends)]
    groups = np.split(history, ends)
    return np.array(epochs), np.array([np.median(group, axis=0) for group in groups])


def draw_norms(axes: Axes, norms: np.ndarray, names: Sequence[str]) -> None:
    """The norms (epochs + 1, 4) of the gradients with these names, told apart in grey too."""
    epochs, middles = medians(norms)
    for name, style, norm in zip(names, ("ko-", "ks--", "k^-.", "kx:"), middles.T, strict=True):
        axes.loglog(1 + epochs, norm, style, markersize=4, label=f"‖{name}‖")
    axes.set(xlabel="1 + epoch", ylabel="norm, median of a few epochs", title="Gradient norms")
    axes.legend()


def draw_apart(
    axes: Axes,
    runs: Mapping[str, Sequence[np.ndarray]],
    expected: Sequence[np.ndarray],
    bound: float | None = None,
) -> None:
    """How far each run, W1, b1, W2, b2 (updates, …) each, is from the expected one."""
    for (name, run), style in zip(runs.items(), STYLES * len(runs), strict=False):
        gaps = apart(run, expected).astype(float)
        gaps = np.where((gaps > 0) & (gaps < 1e100), gaps, np.nan)  # a log axis has no place for 0
        axes.semilogy(1 + np.arange(len(gaps)), gaps, style, linewidth=0.9, label=name)
    if bound is not None and np.isfinite(bound):
        axes.axhline(bound, color="tab:red", label=f"bound {bound:.0e}")
    axes.set(xlabel="update", ylabel="largest difference in a parameter")
    axes.legend(fontsize=8)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    return image(figure, "png")


def image(figure: Figure, kind: str) -> bytes:
    """The figure as the content of a file of this kind: "png" or "svg"."""
    content = io.BytesIO()
    no_date = {"Date": None} if kind == "svg" else None
    with rc_context({"svg.hashsalt": "handgrad"}):  # the same figure gives the same file
        figure.savefig(content, format=kind, dpi=110, metadata=no_date)
    return content.getvalue()


def _describe(axes: Axes, title: str, quantity: str, legend: bool = True) -> None:
    axes.set(xlabel="epoch", ylabel=quantity, title=title)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize=8)
