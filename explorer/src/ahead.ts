/** Training on from a network: two that see the same batches, one with right gradients. */

import { apart, ShapeError } from "./array.ts";
import { type Backward, type Mistake, mistaken } from "./mistakes.ts";
import { batches, flat, measured, type Parameters, type Samples, updated } from "./network.ts";
import { generator, shuffled } from "./random.ts";

const SHUFFLE_SEED = 1;
/** Two right engines stay closer than this; see the bound of section 6. */
const LEFT = 1e-9;

/** One of the two: where it is, and how its loss went. */
interface Runner {
  params: Parameters;
  readonly losses: number[];
  accuracy: number;
  readonly backward: Backward;
}

export class Ahead {
  readonly right: Runner;
  readonly wrong: Runner;
  /** The first step after which the two differ. */
  left: { step: number; apart: number } | null = null;
  /** NumPy would have refused the update. */
  refused = false;
  epoch = 0;
  private steps = 0;
  private readonly random = generator(SHUFFLE_SEED);

  constructor(
    private readonly samples: Samples,
    start: Parameters,
    mistake: Mistake | null,
    private readonly batchSize: number,
    private readonly lr: number,
  ) {
    const runner = (made: Mistake | null): Runner => {
      const { loss, accuracy } = measured(samples, start);
      return { params: start, losses: [loss], accuracy, backward: mistaken(made, batchSize, lr) };
    };
    this.right = runner(null);
    this.wrong = runner(mistake);
  }

  /** A loss is no longer finite. */
  get overflowed(): boolean {
    return [this.right, this.wrong].some(
      ({ losses }) => !Number.isFinite(losses[losses.length - 1]),
    );
  }

  /** One more epoch of both. */
  run(): void {
    if (this.refused || this.overflowed) return;
    const order = shuffled(this.samples.y.shape[0], this.random);
    for (const batch of batches(this.samples, order, this.batchSize)) {
      try {
        for (const one of [this.right, this.wrong])
          one.params = updated(one.params, one.backward(batch, one.params), this.lr);
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error;
        this.refused = true;
        return;
      }
      this.steps += 1;
      this.compare();
    }
    this.epoch += 1;
    for (const one of [this.right, this.wrong]) {
      const { loss, accuracy } = measured(this.samples, one.params);
      one.losses.push(loss);
      one.accuracy = accuracy;
    }
  }

  private compare(): void {
    if (this.left) return;
    const gap = apart(flat(this.right.params), flat(this.wrong.params));
    if (gap > LEFT) this.left = { step: this.steps, apart: gap };
  }
}
