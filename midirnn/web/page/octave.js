// The look of the piano keys: a picture for each octave, repainted when one of its keys changes.
//
// This may happen seventy times a second. With an element for each key, the browser would compute
// styles and layout each time, which takes longer. One picture of all keys would be more to draw.

import { easelOf } from "./layers.js";

const COLOURS = ["back", "line", "you", "machine", "white-key", "black-key", "key-text"];
const BLACK_TEXT = "#b9c3d3";
const LIT_TEXT = { you: "#06131f", machine: "#1f1003" };

/** How far the model's colour reaches into a key that it is about to play, in rem, and its strength. */
const COMING = { far: [0.3, 0.35], near: [0.5, 0.6], next: [0.7, 1] };

/** The share of the player's colour on a lit black key. */
const DIMMED = 0.78;

/** The space after a white key, in pixels of the page. */
const GAP = 2;

/** The lines of text on a key: their content, their distance from its end in rem, their weight. */
const LETTER = /** @type {const} */ (["letter", 1.3, "600 "]);
const LETTER_ON_BLACK = /** @type {const} */ (["letter", 0.4, "600 "]);
const NOTE = /** @type {const} */ (["note", 0.2, ""]);
const TEXT_REM = 0.75;
const LINE_HEIGHT = 1.4;

/**
 * A key: its position as shares of the keyboard's width, its label, who plays it, and how soon the
 * model will.
 * @typedef {{
 *   isBlack: boolean, left: number, width: number, letter: string, note: string,
 *   lit: "" | "you" | "machine", soon: "" | "far" | "near" | "next",
 * }} Key
 */
/** @typedef {ReturnType<typeof measure>} Measures */
/** @typedef {{left: number, width: number, height: number}} Box */

/** The size of a keyboard in pixels of the screen, and its colours and letters. @param {HTMLElement} element */
export function measure(element) {
  const scale = Math.min(devicePixelRatio || 1, 2.5);
  const style = getComputedStyle(element);
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return {
    scale,
    width: Math.round(element.clientWidth * scale),
    height: Math.round(element.clientHeight * scale),
    rem,
    font: `${TEXT_REM * rem}px ${style.fontFamily}`,
    hasLetters: !matchMedia("(max-width: 34rem)").matches,
    colours: Object.fromEntries(
      COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    ),
  };
}

export class Octave {
  /**
   * @param {Key[]} keys From left to right.
   * @param {Measures} measures
   */
  constructor(keys, measures) {
    this.keys = keys;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    const context = this.canvas.getContext("bitmaprenderer", { alpha: false });
    if (!context) throw new Error("no canvas");
    this.context = context;
    this.measures = measures;
    this.left = 0;
    this.easel = easelOf(1, 1);
    this.stale = true;
    this.resize(measures);
  }

  /** @param {Measures} measures */
  resize(measures) {
    const { canvas, keys } = this;
    const { scale, width, height } = (this.measures = measures);
    const whites = keys.filter((key) => !key.isBlack);
    const last = whites[whites.length - 1];
    this.left = Math.round(whites[0].left * width);
    canvas.width = Math.max(1, Math.round((last.left + last.width) * width) - this.left);
    canvas.height = Math.max(1, height);
    canvas.style.left = `${this.left / scale}px`;
    canvas.style.width = `${canvas.width / scale}px`;
    canvas.style.height = `${canvas.height / scale}px`;
    this.easel = easelOf(canvas.width, canvas.height);
    this.stale = true;
  }

  /** Paint the keys, if one has changed. */
  show() {
    if (!this.stale) return;
    this.stale = false;
    const { context, canvas } = this.easel;
    const { colours, scale } = this.measures;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = colours.line;
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const key of this.keys) if (!key.isBlack) this.white(key);
    for (const key of this.keys) if (key.isBlack) this.black(key);
    this.roundOff();
    this.context.transferFromImageBitmap(canvas.transferToImageBitmap());
  }

  /** Round the corners, if they are those of the keyboard. */
  roundOff() {
    const { context, canvas } = this.easel;
    const { colours, scale, rem } = this.measures;
    const [width, height] = [canvas.width / scale, canvas.height / scale];
    const isFirst = this.left === 0;
    const isLast = this.left + canvas.width >= this.measures.width;
    if (!isFirst && !isLast) return;
    const [left, right] = [isFirst, isLast].map((isEnd) => (isEnd ? 0.6 * rem : 0));
    context.fillStyle = colours.back;
    context.beginPath();
    context.rect(0, 0, width, height);
    context.roundRect(0, 0, width, height, [left, right, right, left]);
    context.fill("evenodd");
  }

  /** @param {Key} key */
  white(key) {
    const { colours, rem } = this.measures;
    const box = this.box(key, 1, GAP);
    this.shape(box, 0.4 * rem, colours[key.lit || "white-key"]);
    this.coming(key, box);
    const colour = key.lit ? LIT_TEXT[key.lit] : colours["key-text"];
    for (const line of [LETTER, NOTE]) this.write(key, box, line, colour);
  }

  /** @param {Key} key */
  black(key) {
    const { colours, rem } = this.measures;
    const box = this.box(key, 0.62, 0);
    const radius = 0.3 * rem;
    this.shape(box, radius, key.lit ? "black" : colours["black-key"]);
    if (key.lit) {
      this.shape(box, radius, colours[key.lit], DIMMED);
      this.outline(box, radius, colours[key.lit]);
    } else {
      this.coming(key, box);
    }
    this.write(key, box, LETTER_ON_BLACK, key.lit ? LIT_TEXT[key.lit] : BLACK_TEXT);
  }

  /**
   * The position of a key in the picture, with its edges on whole pixels of the screen.
   * @param {Key} key
   * @param {number} share Of the height.
   * @param {number} gap
   * @returns {Box}
   */
  box(key, share, gap) {
    const { scale, width, height } = this.measures;
    const left = Math.round(key.left * width);
    const right = Math.round((key.left + key.width) * width - gap * scale);
    return {
      left: (left - this.left) / scale,
      width: (right - left) / scale,
      height: Math.round(share * height) / scale,
    };
  }

  /** @param {Box} box @param {number} radius @param {string} colour @param {number} strength */
  shape({ left, width, height }, radius, colour, strength = 1) {
    const { context } = this.easel;
    context.fillStyle = colour;
    context.globalAlpha = strength;
    context.beginPath();
    context.roundRect(left, 0, width, height, [0, 0, radius, radius]);
    context.fill();
    context.globalAlpha = 1;
  }

  /** @param {Box} box @param {number} radius @param {string} colour */
  outline({ left, width, height }, radius, colour) {
    const { context } = this.easel;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(left + 1, 1, width - 2, height - 2, [0, 0, radius - 1, radius - 1]);
    context.stroke();
  }

  /** @param {Key} key @param {Box} box */
  coming(key, { left, width }) {
    if (!key.soon) return;
    const { context } = this.easel;
    const { colours, rem } = this.measures;
    const [reach, strength] = COMING[key.soon];
    context.fillStyle = colours.machine;
    context.globalAlpha = strength;
    context.fillRect(left, 0, width, reach * rem);
    context.globalAlpha = 1;
  }

  /**
   * @param {Key} key
   * @param {Box} box
   * @param {typeof LETTER | typeof LETTER_ON_BLACK | typeof NOTE} line
   * @param {string} colour
   */
  write(key, { left, width, height }, [what, bottom, weight], colour) {
    const { context } = this.easel;
    const { font, rem, hasLetters } = this.measures;
    const text = key[what];
    if (!text || (what === "letter" && !hasLetters)) return;
    context.font = weight + font;
    context.fillStyle = colour;
    context.textAlign = "center";
    const { fontBoundingBoxAscent, fontBoundingBoxDescent } = context.measureText(text);
    const [ascent, descent] = [
      Math.round(fontBoundingBoxAscent),
      Math.round(fontBoundingBoxDescent),
    ];
    const middle = height - (bottom + (TEXT_REM * LINE_HEIGHT) / 2) * rem;
    context.fillText(text, left + width / 2, Math.round(middle + (ascent - descent) / 2));
  }
}
