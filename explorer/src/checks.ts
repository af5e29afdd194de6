/** Which check would have shown a mistake: tried on a full batch, on a short one, and at a second call. */

import { apart, ShapeError } from "./array.ts";
import type { Data } from "./data.ts";
import { label, shown } from "./dom.ts";
import { type Mistake, mistaken } from "./mistakes.ts";
import { backward, batches, NAMES, type Parameters, type Samples } from "./network.ts";
import { firstWrong } from "./slopes.ts";

/** One sentence a try. */
export function checks(data: Data, mistake: Mistake, p: Parameters, lr: number): string[] {
  const { train, config } = data.run;
  const cut = batches(train, [...train.y.values.keys()], config.batch_size);
  const last = cut[cut.length - 1];
  const short: [string, Samples, number][] =
    last.x.shape[0] < config.batch_size ? [["the short last batch", last, 1]] : [];
  const tries: [string, Samples, number][] = [
    ["one batch", cut[0], 1],
    ...short,
    ["a second call", cut[0], 2],
  ];
  return tries.map(([name, samples, calls]) => {
    const pass = mistaken(mistake, config.batch_size, lr);
    return `${name}: ${verdict(samples, p, () => {
      for (let call = 1; call < calls; call++) pass(samples, p);
      return pass(samples, p);
    })}`;
  });
}

function verdict(
  samples: Samples,
  p: Parameters,
  pass: () => ReturnType<ReturnType<typeof mistaken>>,
): string {
  try {
    const gradients = pass();
    for (const name of NAMES) {
      const { shape } = gradients[`d${name}`];
      if (`${shape}` !== `${p[name].shape}`)
        return `the shapes show it: d${name} has shape (${shape}), ${name} has (${p[name].shape}).`;
    }
    const right = backward(samples, p);
    if (NAMES.every((name) => !apart(gradients[`d${name}`].values, right[`d${name}`].values)))
      return "nothing to see: here this line gives the same numbers as the right one.";
    const wrong = firstWrong(samples, p, gradients);
    if (!wrong) return "central differences see nothing.";
    const entry = label(wrong.parameter, wrong.index);
    return `central differences show it: d${entry} is ${shown(wrong.given)}, the slope is ${shown(wrong.slope)}.`;
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return `the shapes show it: ${error.message}.`;
  }
}
