/** Mounts the page: reads the numbers, makes the sections, keeps them drawn. */

import * as arrays from "./array.ts";
import { read } from "./data.ts";
import { button, html } from "./dom.ts";
import { numbersButtons } from "./download.ts";
import { explained } from "./explain.ts";
import { fitFrame } from "./frame.ts";
import { header, proof } from "./header.ts";
import { mistaken } from "./mistakes.ts";
import * as network from "./network.ts";
import type { Page, Section } from "./page.ts";
import { scrubber } from "./scrubber.ts";
import { agreement } from "./sections/agreement.ts";
import { hidden } from "./sections/hidden.ts";
import { sample } from "./sections/sample.ts";
import { steps } from "./sections/steps.ts";
import { stuck } from "./sections/stuck.ts";
import { time } from "./sections/time.ts";
import { training } from "./sections/training.ts";
import { whatif } from "./sections/whatif.ts";
import { firstWrong } from "./slopes.ts";
import { inFrame, parsed, type State, Store } from "./state.ts";

const SECTIONS = [training, time, sample, steps, hidden, agreement, stuck, whatif];
const IDLE = 120;

/** The first section is painted before the others are made. */
function mount(root: HTMLElement, text: string): void {
  const data = read(text);
  const store = new Store(parsed(location.hash || data.state, data), data);
  const page: Page = { data, store };
  const [first, ...others] = SECTIONS;
  const bar = scrubber(page);
  const head = header(page);
  root.replaceChildren(head, bar);
  const keeper = new Keeper(store, root);
  const add = (make: (page: Page) => Section) => {
    const section = make(page);
    root.append(section.element);
    keeper.keep(section);
  };
  add(first);
  window.addEventListener("hashchange", () => store.change(parsed(location.hash, data)));
  // For whoever opens the console: the arithmetic of this page.
  Object.assign(window, {
    handgrad: { data, store, ...arrays, ...network, mistaken, explained, firstWrong },
  });
  painted(() => {
    head.append(proof(page));
    others.forEach(add);
    root.append(footer(page));
    if (inFrame()) fitFrame(bar);
    root.setAttribute("data-ready", "");
  });
}

/** Goes on when what is there has been painted; a page in the background is not painted at all. */
function painted(goOn: () => void): void {
  if (document.hidden) goOn();
  else requestAnimationFrame(() => setTimeout(goOn));
}

/** Draws the sections in sight at once; the others, and the address, when nothing changes any more. */
class Keeper {
  private readonly drawn = new Map<Section, State | null>();
  private readonly seen = new Set<Element>();
  private readonly observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.seen.add(target);
      else this.seen.delete(target);
    }
    this.drawSeen();
  });
  private waiting = 0;

  constructor(
    private readonly store: Store,
    private readonly root: HTMLElement,
  ) {
    store.listen(() => this.drawSeen());
    window.addEventListener("beforeprint", () => this.drawAll());
  }

  keep(section: Section): void {
    this.drawn.set(section, null);
    this.observer.observe(section.element);
  }

  private drawSeen(): void {
    this.root.setAttribute("data-busy", "");
    for (const section of this.drawn.keys()) {
      if (this.seen.has(section.element)) this.draw(section);
    }
    window.clearTimeout(this.waiting);
    this.waiting = window.setTimeout(() => this.drawAll(), IDLE);
  }

  private drawAll(): void {
    for (const section of this.drawn.keys()) this.draw(section);
    this.store.remember();
    this.root.removeAttribute("data-busy");
  }

  private draw(section: Section): void {
    const before = this.drawn.get(section) ?? null;
    if (before === this.store.state) return;
    section.draw(this.store.state, before);
    this.drawn.set(section, this.store.state);
  }
}

function footer({ data, store }: Page): HTMLElement {
  const said = html("span", { role: "status" });
  const copy = button(inFrame() ? "Copy the state" : "Copy a link to this view", async () => {
    const text = inFrame() ? store.text : `${location.href.split("#")[0]}#${store.text}`;
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = inFrame() ? "Copied: show(state=…) opens it again." : "Copied.";
    } catch {
      said.textContent = text;
    }
  });
  const history = () => data.history;
  return html(
    "footer",
    {},
    html("div", { class: "row" }, copy, ...numbersButtons("handgrad", history, () => data), said),
    html(
      "p",
      { class: "caption" },
      `handgrad ${data.version}. This page is one file: it asks no network for anything.`,
    ),
  );
}

const root = document.querySelector("main");
const numbers = document.querySelector("#data");
if (root && numbers?.textContent) mount(root, numbers.textContent);
