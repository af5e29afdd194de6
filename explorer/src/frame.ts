/** In a notebook the page lies in a frame of its own text: it makes the frame as high as it is. */

/** bar: what stays in sight while the notebook scrolls; the frame itself never does. */
export function fitFrame(bar: HTMLElement): void {
  const frame = window.frameElement as HTMLElement | null; // null too where another site holds it
  if (!frame) return;
  const fit = () => {
    frame.style.height = `${document.documentElement.scrollHeight + 4}px`;
  };
  new ResizeObserver(fit).observe(document.body);
  const follow = (event: Event) => {
    const scrolled = event.target as Partial<Element>; // the document, or a part that scrolls
    const top = scrolled.getBoundingClientRect?.().top ?? 0;
    const hidden = Math.max(
      0,
      Math.max(0, top) - frame.getBoundingClientRect().top - bar.offsetTop,
    );
    const most = document.body.scrollHeight - bar.offsetTop - bar.offsetHeight;
    bar.style.transform = hidden > 0 ? `translateY(${Math.min(hidden, most)}px)` : "";
  };
  frame.ownerDocument.addEventListener("scroll", follow, { capture: true, passive: true });
}
