// The piano keyboard on the screen: for a mouse, a pen, and any number of fingers.

import { Octave, measure } from "./octave.js";

const LOWEST = 21;
const HIGHEST = 108;
const WHITE = [0, 2, 4, 5, 7, 9, 11];
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

/** @typedef {import("./octave.js").Key} Key */

/** @param {number} pitch */
export const isBlack = (pitch) => !WHITE.includes(pitch % 12);

/** @param {number} pitch */
const octaveOf = (pitch) => Math.floor(pitch / 12);

/** @param {number} pitch */
export const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

/**
 * How soon the model plays a key, as one of the looks of the key.
 * @param {number | undefined} seconds
 * @returns {Key["soon"]}
 */
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
    /** The elements, which are invisible and only receive pointer events. @type {Map<number, HTMLElement>} */
    this.keys = new Map();
    /** The appearance of the keys in the pictures. @type {Map<number, Key>} */
    this.looks = new Map();
    /** The pictures, by the number of the octave. @type {Map<number, Octave>} */
    this.octaves = new Map();
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
    new ResizeObserver(() => this.resize()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
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

  resize() {
    this.build();
    const measures = measure(this.element);
    for (const octave of this.octaves.values()) octave.resize(measures);
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
    this.keys.clear();
    this.looks.clear();
    let before = 0;
    for (const pitch of pitches) {
      const black = isBlack(pitch);
      const left = (before - (black ? 0.31 : 0)) / whites;
      const width = (black ? 0.62 : 1) / whites;
      if (!black) before += 1;
      this.keys.set(pitch, elementOf(pitch, left, width));
      const look = { isBlack: black, left, width, letter: "", note: "" };
      this.looks.set(pitch, { ...look, lit: "", soon: "" });
    }
    /** @type {Map<number, Key[]>} */
    const octaves = new Map();
    for (const [pitch, look] of this.looks) {
      octaves.set(octaveOf(pitch), [...(octaves.get(octaveOf(pitch)) ?? []), look]);
    }
    const measures = measure(this.element);
    this.octaves.clear();
    for (const [number, keys] of octaves) this.octaves.set(number, new Octave(keys, measures));
    const pictures = [...this.octaves.values()].map(({ canvas }) => canvas);
    this.element.replaceChildren(...pictures, ...this.keys.values());
    this.label(this.labels);
  }

  /** Write the letters of the computer's keys on those that they play. @param {Map<number, string>} labels */
  label(labels) {
    this.labels = labels;
    for (const [pitch, look] of this.looks) {
      look.letter = labels.get(pitch) ?? "";
      look.note = pitch % 12 === 0 ? `C${pitch / 12 - 1}` : "";
    }
    for (const octave of this.octaves.values()) octave.stale = true;
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
    for (const [pitch, look] of this.looks) {
      const lit = yours.has(pitch) ? "you" : machines.has(pitch) ? "machine" : "";
      const soon = nearness(coming.get(pitch));
      if (look.lit === lit && look.soon === soon) continue;
      Object.assign(look, { lit, soon });
      const octave = this.octaves.get(octaveOf(pitch));
      if (octave) octave.stale = true;
    }
    for (const octave of this.octaves.values()) octave.show();
  }
}

/** @param {number} pitch @param {number} left @param {number} width Shares of the width of all. */
function elementOf(pitch, left, width) {
  const key = document.createElement("div");
  key.className = isBlack(pitch) ? "key black" : "key";
  key.dataset.pitch = String(pitch);
  key.setAttribute("aria-hidden", "true");
  key.style.setProperty("--left", `${100 * left}%`);
  key.style.setProperty("--width", `${100 * width}%`);
  return key;
}
