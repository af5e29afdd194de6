/** Play, pause, and the slider over the snapshots: it stays in sight while the page scrolls. */

import { button, html, set } from "./dom.ts";
import type { Page } from "./page.ts";

const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");

export function scrubber({ data, store }: Page): HTMLElement {
  const { epochs } = data.run;
  const last = epochs.length - 1;
  let timer = 0;

  const slider = html("input", {
    type: "range",
    min: 0,
    max: last,
    step: 1,
    "aria-label": "Epoch",
  });
  const label = html("output", { class: "epoch" });
  const go = (shot: number) => store.change({ shot: Math.max(0, Math.min(last, shot)) });
  const stop = () => {
    window.clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    store.playing = false;
    label.ariaLive = "polite";
  };
  const tick = () => {
    if (store.state.shot >= last) stop();
    else go(store.state.shot + 1);
  };
  const start = () => {
    if (store.state.shot >= last) go(0);
    timer = window.setInterval(tick, CALM.matches ? 800 : 140); // fewer changes for calm eyes
    play.textContent = "Pause";
    store.playing = true;
    label.ariaLive = "off";
  };
  const play = button("Play", () => (timer ? stop() : start()), { class: "play" });
  slider.addEventListener("input", () => {
    stop();
    go(slider.valueAsNumber);
  });

  store.listen((state) => {
    slider.value = String(state.shot);
    set(slider, { "aria-valuetext": `epoch ${epochs[state.shot]}` });
    label.textContent = `epoch ${epochs[state.shot]} of ${epochs[last]}`;
  });
  return html(
    "div",
    { class: "scrubber", role: "group", "aria-label": "Time" },
    play,
    slider,
    label,
  );
}
