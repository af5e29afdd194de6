/** Central differences in the browser: what a gradient check would say of a backward pass. */

import { array } from "./array.ts";
import {
  forward,
  type Gradients,
  loss,
  NAMES,
  type Name,
  type Parameters,
  type Samples,
} from "./network.ts";

const STEP = 1e-4;
const TOLERANCE = 1e-7;
/** Roundings that a loss may have gone through, each of half an epsilon. */
const ROUNDINGS = 100;

/** An entry that is not the loss's slope there. */
export interface Wrong {
  readonly parameter: Name;
  readonly index: number;
  readonly given: number;
  readonly slope: number;
}

function moved(p: Parameters, name: Name, index: number, by: number): Parameters {
  const values = Float64Array.from(p[name].values);
  values[index] += by;
  return { ...p, [name]: array(p[name].shape, values) };
}

/** The loss, and which units are on: a difference across a kink is no slope. */
function seen({ x, y }: Samples, p: Parameters): [number, string] {
  const { a1, f } = forward(x, p);
  return [loss(f, y), a1.values.map((a) => Number(a > 0)).join("")];
}

/**
 * ∂L/∂(one entry) and how far rounding may carry it, or null on a kink. Between kinks L is a parabola,
 * whose chords have its slope: rounding is all that is wrong with them.
 */
function slope(
  samples: Samples,
  p: Parameters,
  name: Name,
  index: number,
): [number, number] | null {
  for (let step = STEP; step > 1e-7; step /= 4) {
    const [above, pattern] = seen(samples, moved(p, name, index, step));
    const [below, other] = seen(samples, moved(p, name, index, -step));
    const rounding = (ROUNDINGS * Number.EPSILON * (above + below)) / step;
    if (pattern === other) return [(above - below) / (2 * step), rounding];
  }
  return null;
}

/** The entry that is wrong by most, or null where none is; the gradients have the right shapes. */
export function firstWrong(samples: Samples, p: Parameters, gradients: Gradients): Wrong | null {
  let worst: Wrong | null = null;
  for (const parameter of NAMES) {
    const given = gradients[`d${parameter}`];
    for (let index = 0; index < p[parameter].values.length; index++) {
      const found = slope(samples, p, parameter, index);
      if (found === null) continue;
      const [right, rounding] = found;
      const gap = Math.abs(given.values[index] - right);
      const large = gap > rounding + TOLERANCE * Math.max(1, Math.abs(right));
      if (large && gap > Math.abs((worst?.given ?? 0) - (worst?.slope ?? 0)))
        worst = { parameter, index, given: given.values[index], slope: right };
    }
  }
  return worst;
}
