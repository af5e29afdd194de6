"""NumPy's random streams, compiled: the numbers of `make_problem`, for thousands of seeds a second.

`SeedSequence`, `PCG64` and the shuffle are NumPy's, step for step, so that a replica of a sweep is
exactly the problem of its seeds; the tests hold every number to NumPy's own. Making NumPy's objects
one by one takes longer than the training they are for.

PCG64 is O'Neill's generator (2014): a linear congruence of 128 bits, here two halves of 64. The
seed's hash is that of her `seed_seq` (2015), bounded integers are Lemire's (2019).
"""

import numpy as np

from handgrad.problem import Array
from handgrad.sweep.compiled import compiled, uint32, uint64

_MULTIPLIER = uint64(0x2360ED051FC65DA4), uint64(0x4385DF649FCCF645)
_LOW, _HALF = uint64(0xFFFFFFFF), uint64(32)
_DOUBLE = 1.0 / 9007199254740992.0  # 2⁻⁵³


@compiled
def states(seeds: Array, keys: Array) -> Array:
    """(n, 6) uint64: PCG64's state for each seed, as NumPy seeds it.

    Of each row: state and increment, high half first; whether half a number is left over; which.
    seeds: (n,) uint64; keys: the spawn keys, (k,) uint32: `SeedSequence(seed, spawn_key=keys)`.
    """
    found = np.zeros((len(seeds), 6), np.uint64)
    words = np.zeros(4 + len(keys), np.uint32)
    words[4:] = keys
    pool, out = np.empty(4, np.uint32), np.empty(8, np.uint32)
    for n in range(len(seeds)):
        words[0], words[1] = uint32(seeds[n] & _LOW), uint32(seeds[n] >> _HALF)
        constant = uint32(0x43B0D7E5)
        for i in range(4):
            pool[i], constant = _hashed(words[i], constant)
        for source in range(len(words)):
            for i in range(4):
                if source != i:
                    value = pool[source] if source < 4 else words[source]
                    mixed, constant = _hashed(value, constant)
                    mixed = uint32(uint32(0xCA01F9DD) * pool[i]) - uint32(
                        uint32(0x4973F715) * mixed
                    )
                    pool[i] = uint32(mixed) ^ (uint32(mixed) >> uint32(16))
        constant = uint32(0x8B51F9DD)
        for i in range(8):
            value = pool[i % 4] ^ constant
            constant = uint32(constant * uint32(0x58F38DED))
            value = uint32(value * constant)
            out[i] = value ^ (value >> uint32(16))
        seed_high, seed_low, high, low = (
            uint64(out[0]) | uint64(out[1]) << _HALF,
            uint64(out[2]) | uint64(out[3]) << _HALF,
            uint64(out[4]) | uint64(out[5]) << _HALF,
            uint64(out[6]) | uint64(out[7]) << _HALF,
        )
        found[n, 2], found[n, 3] = (
            high << uint64(1) | low >> uint64(63),
            low << uint64(1) | uint64(1),
        )
        inc_high, inc_low = found[n, 2], found[n, 3]
        first = _sum(inc_high, inc_low, seed_high, seed_low)
        found[n, 0], found[n, 1] = _step(first[0], first[1], inc_high, inc_low)
    return found


@compiled
def uniform(state: Array, out: Array) -> None:
    """Fill `out` (n,) with what `Generator.uniform(-1, 1, n)` gives; moves the state (6,) on."""
    high, low, inc_high, inc_low = state[0], state[1], state[2], state[3]
    for i in range(len(out)):
        high, low = _step(high, low, inc_high, inc_low)
        out[i] = -1.0 + 2.0 * (float(_mixed(high, low) >> uint64(11)) * _DOUBLE)
    state[0], state[1] = high, low


@compiled
def samples(streams: Array, n: int) -> Array:
    """(len(streams), n, 3): x₁, x₂ and y of `problem.samples`, for each of the states."""
    found = np.empty((len(streams), n, 3))
    x = np.empty(2 * n)
    for r in range(len(streams)):
        uniform(streams[r], x)
        for i in range(n):
            found[r, i, 0], found[r, i, 1] = x[2 * i], x[2 * i + 1]
            found[r, i, 2] = x[2 * i] * x[2 * i + 1] < 0
    return found


@compiled
def shuffled(state: Array, out: Array) -> None:
    """Fill `out` (n,) with the next row of `Generator.permuted`; moves the state (6,) on.

    For i from the last place down, the entry there changes places with one at or before it, whose
    number is drawn until it is at most i. Drawing in vain is a swap with itself: without a branch
    that nobody can predict, this takes a third of the time.
    """
    high, low, inc_high, inc_low = state[0], state[1], state[2], state[3]
    left, spare = state[4], state[5]
    n = len(out)
    for i in range(n):
        out[i] = i
    mask = uint64(1)
    while mask < uint64(n - 1):
        mask = mask << uint64(1) | uint64(1)
    i = uint64(n - 1)
    while mask:
        while i > mask >> uint64(1):
            if left:
                word, left = spare, uint64(0)
            else:
                high, low = _step(high, low, inc_high, inc_low)
                word = _mixed(high, low)
                left, spare = uint64(1), word >> _HALF
            j = word & _LOW & mask
            taken = j <= i
            j = j if taken else i
            out[i], out[j] = out[j], out[i]
            i -= uint64(taken)
        mask >>= uint64(1)
    state[0], state[1], state[4], state[5] = high, low, left, spare


@compiled
def _hashed(value: np.uint32, constant: np.uint32) -> tuple[np.uint32, np.uint32]:
    value = uint32(value ^ constant)
    constant = uint32(constant * uint32(0x931E8875))
    value = uint32(value * constant)
    return value ^ (value >> uint32(16)), constant


@compiled
def _sum(
    high: np.uint64, low: np.uint64, more: np.uint64, less: np.uint64
) -> tuple[np.uint64, np.uint64]:
    total = low + less
    return high + more + uint64(total < low), total


@compiled
def _step(
    high: np.uint64, low: np.uint64, inc_high: np.uint64, inc_low: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """state · multiplier + increment, modulo 2¹²⁸."""
    a, b = low >> _HALF, low & _LOW
    c, d = _MULTIPLIER[1] >> _HALF, _MULTIPLIER[1] & _LOW
    cross = a * d + (b * d >> _HALF)
    other = b * c + (cross & _LOW)
    carried = a * c + (cross >> _HALF) + (other >> _HALF)
    carried += high * _MULTIPLIER[1] + low * _MULTIPLIER[0]
    return _sum(carried, low * _MULTIPLIER[1], inc_high, inc_low)


@compiled
def _mixed(high: np.uint64, low: np.uint64) -> np.uint64:
    """64 random bits: the halves' exclusive or, rotated by the state's top six bits."""
    turn, mixed = high >> uint64(58), high ^ low
    return mixed >> turn | mixed << (uint64(64) - turn & uint64(63))
