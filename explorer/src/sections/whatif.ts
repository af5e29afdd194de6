/** 8. What if: move a weight, train on, break the backward pass. */

import { html } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { Plane } from "../plane.ts";
import { Mover } from "./mover.ts";
import { Trainer } from "./trainer.ts";

export function whatif(page: Page): Section {
  const plane = new Plane(page.data.run.train, "The plane with the changed network");
  const mover = new Mover(page, () => trainer.restart());
  const trainer: Trainer = new Trainer(
    page,
    () => mover.network,
    (p, trained) => {
      plane.draw(p, page.store.state.sample, mover.unit);
      mover.show(p, trained);
    },
  );
  const save = pictureButton("what-if", () => plane.element);
  const note = html(
    "p",
    { class: "caption" },
    "The marked line is that of the weight's unit. Another epoch above begins this section anew.",
  );
  const element = framed(
    "whatif",
    "8. What if?",
    "See what a weight does to the boundary, what another rate does to the training, and what a wrong gradient does to both.",
    html("h3", {}, "Move a weight"),
    html("div", { class: "pair" }, html("figure", {}, plane.element, note, save), mover.element),
    html("h3", {}, "Train on, with another rate or a broken backward pass"),
    trainer.element,
  );
  return {
    element,
    draw(state, before) {
      if (changed(state, before, "shot")) mover.begin();
      else if (changed(state, before, "mistake")) trainer.restart();
      else if (changed(state, before, "sample")) trainer.show();
    },
  };
}
