/** The page's own arithmetic held to what the stages computed. */

import { apart } from "./array.ts";
import { type Data, first } from "./data.ts";
import { backward, batches, flat, forward, loss, type Parameters, updated } from "./network.ts";

/** The largest difference of one quantity, over stages and snapshots, beside its bound. */
export interface Difference {
  readonly quantity: string;
  readonly largest: number;
  readonly bound: number;
  readonly where: string;
  readonly ok: boolean;
}

/** The worst, by how much of its bound is used; what has no bound decides nothing. */
function worst(all: Difference[]): Difference {
  const decided = all.filter(({ bound }) => Number.isFinite(bound));
  return (decided.length ? decided : all).reduce((a, b) => (used(b) > used(a) ? b : a));
}

export function used({ largest, bound }: Difference): number {
  return largest / bound;
}

function difference(
  quantity: string,
  largest: number,
  bound: number | null,
  where: string,
): Difference {
  return { quantity, largest, bound: bound ?? Number.NaN, where, ok: largest <= (bound ?? 0) };
}

/** Values and gradients on the first samples, of every stage. */
function values(data: Data): Difference[] {
  const found = new Map<string, Difference[]>();
  for (const golden of data.golden) {
    const p = data.run.params[data.run.epochs.indexOf(golden.epoch)];
    const own = backward(first(data.run.train, golden.samples), p);
    for (const [stage, given] of Object.entries(golden.values)) {
      for (const [quantity, theirs] of Object.entries(given)) {
        const largest = apart(own[quantity as keyof typeof own].values, theirs);
        const where = `${stage}, epoch ${golden.epoch}`;
        const list = found.get(quantity) ?? [];
        list.push(difference(quantity, largest, golden.bounds[quantity], where));
        found.set(quantity, list);
      }
    }
  }
  return [...found.values()].map(worst);
}

/** The loss over the whole training set, at every snapshot. */
function losses(data: Data): Difference[] {
  const { epochs, params, train } = data.run;
  const all = params.map((p, i) => {
    const own = loss(forward(train.x, p).f, train.y);
    const largest = apart([own], [data.history.train_loss[epochs[i]]]);
    return difference("training loss", largest, data.loss_bounds[i], `epoch ${epochs[i]}`);
  });
  return [worst(all)];
}

/** The first epoch, trained here in the stages' own order; the network before each batch. */
export function firstEpoch(data: Data): { before: Parameters[]; after: Parameters } {
  const { config, train, params } = data.run;
  const before: Parameters[] = [];
  let p = params[0];
  for (const batch of batches(train, data.order, config.batch_size)) {
    before.push(p);
    p = updated(p, backward(batch, p), config.lr);
  }
  return { before, after: p };
}

function epoch(data: Data): Difference[] {
  if (data.epoch_bound === null) return [];
  const { after } = firstEpoch(data);
  const theirs = data.run.params[data.run.epochs.indexOf(1)];
  const largest = apart(flat(after), flat(theirs));
  return [difference("parameters after one epoch", largest, data.epoch_bound, "epoch 1")];
}

/** Everything that the page can hold itself to; where numbers overflow, nothing is decided. */
export function differences(data: Data): Difference[] {
  const all = [...values(data), ...losses(data), ...epoch(data)];
  return all.filter(({ bound }) => Number.isFinite(bound));
}
