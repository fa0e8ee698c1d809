// The piano keyboard on the screen: for a mouse, a pen, and as many fingers as there are.

const LOWEST = 21;
const HIGHEST = 108;
const WHITE = [0, 2, 4, 5, 7, 9, 11];
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

/** @param {number} pitch */
export const isBlack = (pitch) => !WHITE.includes(pitch % 12);

/** @param {number} pitch */
export const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

/** How near a note of the model is: one of the looks of a key. @param {number | undefined} seconds */
function nearness(seconds) {
  if (seconds === undefined || seconds > 0.7) return "";
  if (seconds > 0.5) return "far";
  return seconds > 0.1 ? "near" : "next";
}

export class Keyboard {
  /**
   * @param {HTMLElement} element
   * @param {import("./performer.js").Performer} performer
   * @param {() => number} velocity
   */
  constructor(element, performer, velocity) {
    this.element = element;
    this.performer = performer;
    this.velocity = velocity;
    this.centre = 60;
    /** @type {Map<number, HTMLElement>} */
    this.keys = new Map();
    /** What each key shows: to ask the document of all in every frame takes too long. */
    /** @type {Map<number, string>} */
    this.lit = new Map();
    /** @type {Map<number, string>} */
    this.soon = new Map();
    /** @type {Map<number, number>} */
    this.fingers = new Map();
    /** @type {Map<number, string>} */
    this.labels = new Map();
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, (event) => this.lift(/** @type {PointerEvent} */ (event)));
    }
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.build()).observe(element);
  }

  /** The lowest and the highest key that fit, around the centre. */
  range() {
    const width = this.element.clientWidth;
    const coarse = matchMedia("(pointer: coarse)").matches;
    const whites = Math.max(8, Math.floor(width / (coarse ? 34 : 25)));
    if (whites >= 52) return [LOWEST, HIGHEST];
    const octaves = Math.floor((whites - 1) / 7);
    const low = 12 * Math.round((this.centre - 6 * octaves) / 12);
    const lowest = Math.min(Math.max(low, 24), HIGHEST - 12 * octaves);
    const high = lowest + 12 * Math.floor(whites / 7) + WHITE[whites % 7] - 1;
    return [lowest, Math.min(isBlack(high) ? high - 1 : high, HIGHEST)];
  }

  /** Lay out the keys. */
  build() {
    const [low, high] = this.range();
    const key = `${low}-${high}`;
    if (this.element.dataset.range === key && this.keys.size) return;
    this.element.dataset.range = key;
    const pitches = [];
    for (let pitch = low; pitch <= high; pitch += 1) pitches.push(pitch);
    const whites = pitches.filter((pitch) => !isBlack(pitch)).length;
    for (const map of [this.keys, this.lit, this.soon]) map.clear();
    let before = 0;
    const elements = pitches.map((pitch) => {
      const key = document.createElement("div");
      key.className = isBlack(pitch) ? "key black" : "key";
      key.dataset.pitch = String(pitch);
      key.setAttribute("aria-hidden", "true");
      const width = 100 / whites;
      key.style.setProperty("--left", `${(before - (isBlack(pitch) ? 0.31 : 0)) * width}%`);
      key.style.setProperty("--width", `${(isBlack(pitch) ? 0.62 : 1) * width}%`);
      if (!isBlack(pitch)) before += 1;
      this.keys.set(pitch, key);
      return key;
    });
    this.element.replaceChildren(...elements);
    this.label(this.labels);
  }

  /** Write the letters of the computer's keys on those that they play. @param {Map<number, string>} labels */
  label(labels) {
    this.labels = labels;
    for (const [pitch, key] of this.keys) {
      const note = pitch % 12 === 0 ? `C${pitch / 12 - 1}` : "";
      key.dataset.letter = labels.get(pitch) ?? "";
      key.dataset.note = note;
    }
  }

  /** @param {PointerEvent} event */
  at(event) {
    const found = document.elementFromPoint(event.clientX, event.clientY);
    const key = found instanceof HTMLElement ? found.closest(".key") : null;
    return key instanceof HTMLElement && this.element.contains(key) ? key : null;
  }

  /** @param {PointerEvent} event */
  press(event) {
    const key = this.at(event);
    if (!key || event.button > 0) return;
    event.preventDefault();
    if (key.hasPointerCapture(event.pointerId)) key.releasePointerCapture(event.pointerId);
    this.strike(event, key);
  }

  /** @param {PointerEvent} event @param {HTMLElement} key */
  strike(event, key) {
    const pitch = Number(key.dataset.pitch);
    const box = key.getBoundingClientRect();
    const depth = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    this.fingers.set(event.pointerId, pitch);
    this.performer.down(`finger ${event.pointerId}`, pitch, this.velocity() * (0.65 + 0.5 * depth));
  }

  /** Slide from key to key. @param {PointerEvent} event */
  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (before === undefined) return;
    const key = this.at(event);
    if (key && Number(key.dataset.pitch) === before) return;
    this.performer.up(`finger ${event.pointerId}`, before);
    if (key) this.strike(event, key);
    else this.fingers.delete(event.pointerId);
  }

  /** @param {PointerEvent} event */
  lift(event) {
    const pitch = this.fingers.get(event.pointerId);
    if (pitch === undefined) return;
    this.fingers.delete(event.pointerId);
    this.performer.up(`finger ${event.pointerId}`, pitch);
  }

  /**
   * Light the keys.
   * @param {Set<number>} yours
   * @param {Set<number>} machines
   * @param {Map<number, number>} coming
   */
  light(yours, machines, coming) {
    for (const [pitch, key] of this.keys) {
      const state = yours.has(pitch) ? "you" : machines.has(pitch) ? "machine" : "";
      if (this.lit.get(pitch) !== state) {
        this.lit.set(pitch, state);
        key.dataset.lit = state;
      }
      const glow = nearness(coming.get(pitch));
      if (this.soon.get(pitch) !== glow) {
        this.soon.set(pitch, glow);
        key.dataset.soon = glow;
      }
    }
  }
}
