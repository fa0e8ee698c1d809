// Presets of the model's state: a pad loads one; with "store" on, it stores.

export class Presets {
  /**
   * @param {HTMLElement} element
   * @param {(action: "store" | "load", preset: number) => void} act
   */
  constructor(element, act) {
    this.element = element;
    this.act = act;
    this.storing = false;
    /** @type {HTMLButtonElement[]} */
    this.pads = [];
    /** @type {number[]} */
    this.held = [];
    /** Their names in the set list. @type {Record<string, string>} */
    this.names = {};
  }

  /** @param {number} count */
  build(count) {
    const store = document.createElement("button");
    store.type = "button";
    store.textContent = "Store";
    store.title = "The next pad stores the state (or hold Shift)";
    store.setAttribute("aria-pressed", "false");
    store.addEventListener("click", () => this.setStoring(!this.storing));
    this.store = store;
    this.pads = Array.from({ length: count }, (_, at) => {
      const pad = document.createElement("button");
      pad.type = "button";
      pad.className = "pad";
      pad.textContent = String(at + 1);
      pad.addEventListener("click", (event) => this.press(at + 1, event.shiftKey));
      return pad;
    });
    this.element.replaceChildren(...this.pads, store);
    this.show(this.held);
  }

  /** @param {number} preset @param {boolean} shift */
  press(preset, shift) {
    const stores = this.storing || shift;
    this.setStoring(false);
    this.act(stores ? "store" : "load", preset);
  }

  /** @param {boolean} on */
  setStoring(on) {
    this.storing = on;
    this.store?.setAttribute("aria-pressed", String(on));
    this.show(this.held);
  }

  /** @param {number[]} held @param {Record<string, string>} [names] */
  show(held, names = this.names) {
    this.held = held;
    this.names = names;
    for (const [at, pad] of this.pads.entries()) {
      const isFull = held.includes(at + 1);
      const words = isFull ? "stored" : "empty";
      pad.classList.toggle("full", isFull);
      const name = names[at + 1] ?? `preset ${at + 1}`;
      pad.textContent = name === `preset ${at + 1}` ? String(at + 1) : name;
      pad.setAttribute("aria-label", `${this.storing ? "Store" : "Load"} ${name}, ${words}`);
    }
  }
}
