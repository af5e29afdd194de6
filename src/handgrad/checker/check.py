"""The whole check of a program: at each point slopes beside gradients, then the verdicts."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from handgrad.checker.arrays import DOUBLE, Array, drawn, size_of
from handgrad.checker.exactly import NotExact, can_be_exact, numbers_of, said_of
from handgrad.checker.places import Options, Place
from handgrad.checker.preflight import require_sound
from handgrad.checker.program import Program
from handgrad.checker.report import FAIL, PASS, ForwardReport, ParameterReport, Report
from handgrad.checker.rounding import Results
from handgrad.checker.stack import Stack
from handgrad.checker.verdict import about, judged
from handgrad.checker.wider import in_float64
from handgrad.errors import BadInput
from handgrad.exact.numbers import Dual


def check(program: Program, options: Options, rng: np.random.Generator) -> Report:
    """The whole check of a program; of a narrow one held to itself in float64, if it takes that."""
    alone = program.reference is None and program.around is None and callable(program.grads)
    if alone and program.native.eps > DOUBLE:
        report = _in_float64(program, options, rng)
        if report is not None:
            return report
    return _checked(program, options, rng)


def _in_float64(program: Program, options: Options, rng: np.random.Generator) -> Report | None:
    """The check with the loss itself as its reference; None if it is another one in float64."""
    activations = None if program.activations is None else in_float64(program.activations)
    wide = replace(program, reference=in_float64(program.loss), activations=activations)
    try:
        report = _checked(wide, options, rng)
    except Exception:  # it does not take float64, or is wrong in its own dtype as well
        return None
    if report.forward is None or report.forward.verdict == FAIL:
        return None
    return replace(report, notes=(*report.notes, "the reference is the loss itself in float64"))


def _checked(program: Program, options: Options, rng: np.random.Generator) -> Report:
    """The whole check, in the order of the report."""
    sound = require_sound(program)
    program = replace(program, sound=sound)
    if program.structure is not None:
        _require_same(program.structure, program)
    options = options.of(program.native.eps, program.native.on_a_gpu)
    with np.errstate(all="ignore"):  # near the given point the loss may overflow
        places, notes, why = _survey(program, options, rng)
        found = {name: judged(name, places, options) for name in program.native.params}
    if program.structure is not None:
        found = _with_structure(program.structure, found, places)
        wrong = {name for name, p in found.items() if p.verdict == FAIL}
        notes += filter(None, [program.structure.between(wrong)])
    if can_be_exact(program) and all(p.verdict == PASS for p in found.values()):
        notes += said_of([place.proof for place in places], why)
    notes += [*sound.notes, *about(places, program.native.eps)]
    evaluations = sum(place.slopes.evaluations for place in places)
    forward = None if program.reference is None else _forward(places, options.rtol)
    counted = min(sum(place.counts(name) for place in places) for name in found)
    points = counted if all(p.verdict == PASS for p in found.values()) else len(places)
    return Report(found, evaluations, points, options.delta, options.seed, tuple(notes), forward)


def _survey(
    program: Program, options: Options, rng: np.random.Generator
) -> tuple[list[Place], list[str], str | None]:
    """What is seen at each point: slopes of the loss beside the gradients; notes; why not exact."""
    places: list[Place] = []
    exact: type[Dual] | None = None
    why = None
    seen, notes = [], []
    for number, (point, results) in enumerate(_tried(program, options.points, rng)):
        layers = program.layers_at(point)
        if layers is not None:
            seen.append(layers)
            kink = _kink(layers)
            if kink is not None and number == 0:
                notes.append(f"at the given point {kink}: the loss has a kink there")
        place = Place(number, program, point, results)
        if number == 0 and can_be_exact(program):
            try:
                exact = numbers_of(program, place.slopes, results.gradients, rng)
            except NotExact as error:
                why = str(error)
        if exact is not None:
            place.use(exact)
        place.look(rng, options)
        if program.structure is None:
            place.release()
        places.append(place)
    if can_be_exact(program):
        program.both_at(program.native.arrays())  # what the code keeps must be floats again
    return places, notes + _coverage(seen), why


def _require_same(structure: Stack, program: Program) -> None:
    """The structure must be the loss, or what it says of causes would be about something else."""
    point = program.native.arrays()
    try:
        ours, theirs = structure.loss(point), program.loss_at(point)
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"structure must fit params, x and y: {' '.join(str(error).split())}"
        ) from None
    if not abs(ours - theirs) <= 1e4 * program.native.eps * max(abs(ours), abs(theirs)):
        raise BadInput(
            f"structure must be the loss, but gives {ours:.9g} where loss gives {theirs:.9g}: "
            "compare its layers, x and y with the loss's"
        )


def _forward(places: list[Place], rtol: float) -> ForwardReport | None:
    """The caller's loss beside the reference, at the point where they are furthest apart.

    A loss near 0 may be made of numbers as large as those by which its parameters change it.
    """
    found = []
    for place in places:
        given, value = place.results.loss, place.slopes.value
        changes = (norm * place.sizes[name] for name, norm in place.norms.items())
        rounding = place.results.loss_rounding + rtol * max(abs(value), *changes)
        verdict = PASS if abs(given - value) <= rounding else FAIL
        found.append(ForwardReport(verdict, given, value, rounding))
    return max(found, key=lambda f: (f.verdict == FAIL, abs(f.loss - f.reference)), default=None)


def _with_structure(
    structure: Stack, found: dict[str, ParameterReport], places: list[Place]
) -> dict[str, ParameterReport]:
    """A mistake of the catalogue, named at every parameter that it spoils, if all points agree."""
    if all(p.verdict != FAIL for p in found.values()):
        return found
    first, *others = (
        structure.causes(place.slopes.point, place.results.gradients) for place in places
    )
    fits = [sentence for sentence in first if all(sentence in there for there in others)]
    if not fits:
        return found
    why = " Or: ".join(fits)  # where several fit at every point, nobody can tell which it is
    return {n: replace(p, cause=why) if p.verdict == FAIL else p for n, p in found.items()}


def _tried(
    program: Program, points: int, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Array], Results]]:
    """The given point, then others so near that loss and gradients are finite there."""
    start = program.native.arrays()
    yield start, program.results(start, rng, program.sound)
    for _ in range(points - 1 if callable(program.grads) else 0):
        for share in (1.0, 0.2, 0.02):
            point = program.native.rounded(
                {name: _nearby(p, share, rng) for name, p in start.items()}
            )
            results = None
            with suppress(Exception):  # not defined there
                results = program.results(point, rng)
            if results is not None and results.is_finite:
                yield point, results
                break


def _nearby(p: Array, share: float, rng: np.random.Generator) -> Array:
    """Another point: further away where all entries are alike.

    γ = 1 or β = 0 is where a layer starts, and hides what is wrong with it.
    """
    alike = p.size > 1 and p.flat[0] == p.flat[-1] and bool((p == p.flat[0]).all())
    moved = drawn(rng, p.shape, share * (0.3 if alike else 0.16) * size_of(p))
    moved += p
    return moved


def _kink(layers: dict[str, Array]) -> str | None:
    """Where a pre-activation is exactly 0."""
    for layer, a in layers.items():
        zeros = np.argwhere(a == 0)
        if len(zeros):
            place = [int(i) for i in zeros[0]]
            more = f", as {len(zeros) - 1} more are" if len(zeros) > 1 else ""
            after = ""
            if (a >= 0).all():
                after = " (are these the ReLU's outputs? activations must be what enters it)"
            return f"the pre-activation {layer}{place} (sample, unit) is exactly 0{more}{after}"
    return None


def _coverage(seen: list[dict[str, Array]]) -> list[str]:
    """Units that were on, or off, for every sample at every point: what they could hide."""
    notes = []
    for layer in seen[0] if seen else ():
        z = np.concatenate([np.atleast_2d(layers[layer]) for layers in seen])
        never_on = [int(u) for u in np.flatnonzero((z <= 0).all(axis=0))]
        never_off = [int(u) for u in np.flatnonzero((z > 0).all(axis=0))]
        if never_on:
            notes.append(
                f"{layer}: units {never_on} are never on, and hide any mistake before them"
            )
        if never_off:
            notes.append(f"{layer}: units {never_off} are never off, and hide a missing mask")
    return notes
