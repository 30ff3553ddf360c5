"use strict";

// One tooltip for all explained words: shown on hover, on focus and on tap, hidden by Esc.

class Tooltip {
  constructor() {
    this.element = byId("tip");
    this.owner = null;
    document.addEventListener("mouseover", (event) => this.at(event.target));
    document.addEventListener("focusin", (event) => this.at(event.target));
    document.addEventListener("focusout", () => this.hide());
    // focus scrolls what it falls on into view: the tooltip goes along
    const moved = { capture: true, passive: true };
    document.addEventListener("scroll", () => this.owner && this.place(), moved);
    document.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape" || !this.owner) return;
        this.hide();
        event.stopPropagation();
      },
      { capture: true },
    );
  }

  at(target) {
    const owner = target instanceof Element ? target.closest("[data-tip]") : null;
    if (owner) this.show(owner);
    // a reader may move onto the tooltip to copy from it
    else if (!this.element.contains(target)) this.hide();
  }

  show(owner) {
    if (owner === this.owner) return;
    this.hide();
    this.owner = owner;
    owner.setAttribute("aria-describedby", "tip");
    this.element.textContent = owner.dataset.tip;
    this.element.hidden = false;
    this.place();
  }

  place() {
    const rect = this.owner.getClientRects()[0] ?? this.owner.getBoundingClientRect();
    const { width, height } = this.element.getBoundingClientRect();
    const [right, bottom] = [document.documentElement.clientWidth, innerHeight];
    const left = Math.max(8, Math.min(rect.left, right - width - 8));
    const below = rect.bottom + 6;
    const top = below + height > bottom ? Math.max(8, rect.top - height - 6) : below;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
  }

  hide() {
    if (!this.owner) return;
    this.owner.removeAttribute("aria-describedby");
    this.owner = null;
    this.element.hidden = true;
  }
}
