// The moving piano roll: what was played to the left of the now-line, what is planned to its right.
//
// There are two filmstrips, past and planned, which meet under the now-line. On the left every note
// is drawn as it will have been played, on the right as it is planned: as the films move, the
// line uncovers the one and covers the other. So a frame paints nothing, except for pictures of a
// film in which something has changed.

import { Band } from "./band.js";
import { Brush, colours, dissolved } from "./brush.js";
import { GLOW, fading, layer, place } from "./layers.js";
import { nameOctaves, paintBeats, paintRows } from "./paper.js";
import { Range } from "./range.js";
import { Strip } from "./strip.js";

const USUAL_TEXT = 15;

/** The distance of the roll from the edge of the stage, to fit within its rounded corners. */
const INSET = 4;

/** How far a note reaches beyond its ends, in pixels. */
const EDGE = 20;

/** The drawn length of a note whose end is not planned yet. */
const STUB_SECONDS = 0.06;

/** After a longer pause between two frames, as with a hidden tab, the range is set afresh. */
const PAUSE_SECONDS = 0.3;

/** A note that is this much shorter or longer than drawn is redrawn. */
const SEEN_SECONDS = 0.002;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {import("./strip.js").Context} Context */
/** @typedef {{end: number, nats: number | undefined, isGone: boolean}} Look */

export class Roll {
  /**
   * @param {HTMLElement} element
   * @param {import("./notes.js").Notes} notes
   */
  constructor(element, notes) {
    this.element = element;
    this.notes = notes;
    this.range = new Range();
    /** The pitches for which the films are painted: more than are shown while the range glides. */
    this.painted = this.range.whole;
    this.width = 0;
    this.height = 0;
    this.scale = 1;
    /** How many seconds are shown before and after now. */
    this.span = { past: 6.5, ahead: 2.2 };
    /** The column of the now-line, in pixels of the canvas. */
    this.line = 0;
    this.secondsPerPixel = 1;
    /** @type {{bpm: number, beat: number} | null} */
    this.clock = null;
    this.frames = 0;
    this.last = -Infinity;
    /** The scale relative to the usual text size. */
    this.unit = 1;
    this.brush = new Brush(colours(), 1);
    this.past = new Strip(element, (...part) => this.paint("past", ...part));
    this.planned = new Strip(element, (...part) => this.paint("planned", ...part));
    /** The band of the pedals, which stays where it is while the pitches move. */
    this.band = new Band(element, this);
    /** The dropped notes that dissolve, above the planned ones. */
    this.dissolving = layer(element);
    /** The now-line, with the notes that sound. */
    this.edge = layer(element);
    this.names = layer(element);
    /** How each note was last drawn. @type {WeakMap<object, Look>} */
    this.drawn = new WeakMap();
    /** The notes in view. @type {Note[]} */
    this.shown = [];
    /** The notes on the pictures, which reach a little farther. @type {Note[]} */
    this.near = [];
    /** The notes that dissolve. @type {Note[]} */
    this.gone = [];
    this.cleared = 0;
    this.beats = "";
    this.lit = "";
    new ResizeObserver(() => this.resize()).observe(/** @type {Element} */ (element.parentElement));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
  }

  resize() {
    this.scale = Math.min(devicePixelRatio || 1, 2.5);
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL_TEXT;
    const [width, height] = this.snap();
    this.width = width / this.scale;
    this.height = height / this.scale;
    if (!width || !height) return;
    this.span = spanOf(this.width / this.unit);
    const { past, ahead } = this.span;
    this.line = Math.round((past / (past + ahead)) * width);
    this.secondsPerPixel = (past + ahead) / width;
    this.brush = new Brush(colours(), this.unit);
    const low = height - Math.round(this.band.height * this.scale);
    const sizes = /** @type {const} */ ([this.scale, this.secondsPerPixel]);
    this.past.resize(0, this.line, 0, height, ...sizes);
    this.planned.resize(this.line, width, 0, height, ...sizes);
    this.band.strip.resize(0, this.line, low, height - low, ...sizes);
    const line = this.line / this.scale;
    place(this.dissolving, line, this.width - line, this.height, this.scale);
    place(this.edge, line - GLOW, 2 * GLOW, this.height, this.scale);
    place(this.names, 0, 48 * this.unit, this.height, this.scale);
    this.begin();
  }

  /** Align the roll with whole pixels of the screen, and return its size in pixels. */
  snap() {
    const { element, scale } = this;
    element.style.inset = `${INSET}px`;
    element.style.width = element.style.height = "auto";
    const box = element.getBoundingClientRect();
    const [left, top] = [Math.ceil(box.left * scale), Math.ceil(box.top * scale)];
    const size = [Math.floor(box.right * scale) - left, Math.floor(box.bottom * scale) - top];
    const [width, height] = size.map((length) => Math.max(0, length));
    const [x, y] = [left / scale - box.left + INSET, top / scale - box.top + INSET];
    element.style.inset = `${y}px auto auto ${x}px`;
    element.style.width = `${width / scale}px`;
    element.style.height = `${height / scale}px`;
    return [width, height];
  }

  /** Repaint everything, because rows, colours or sizes have changed. */
  begin() {
    this.painted = this.range.whole;
    this.past.touch();
    this.planned.touch();
    this.band.strip.touch();
    this.stretch();
  }

  /**
   * While the range glides, the films are not repainted in each frame: they contain everything that
   * comes into view, and are stretched to what is in view now.
   */
  glide() {
    const { painted, range } = this;
    const { low, high } = range.whole;
    const isEnough = painted.low <= low && painted.high >= high;
    const isTooMuch = range.isAtRest && (painted.low < low || painted.high > high);
    if (isEnough && !isTooMuch) this.stretch();
    else this.begin();
  }

  stretch() {
    const { painted, range, row } = this;
    const times = row / this.rowOf(painted);
    for (const film of [this.past, this.planned]) {
      film.stretch(times, (range.high + 1) * row - (painted.high + 1) * row);
    }
    this.lit = "-";
    nameOctaves(this, this.names.context);
  }

  /** The top of a pitch's row, when these pitches are shown. @param {number} pitch */
  y(pitch, range = /** @type {{low: number, high: number}} */ (this.range)) {
    return (range.high + 1 - pitch) * this.rowOf(range);
  }

  get row() {
    return this.rowOf(this.range);
  }

  /** The height of a row, when these pitches are shown. @param {{low: number, high: number}} range */
  rowOf({ low, high }) {
    return (this.height - this.band.height) / (high - low + 1);
  }

  /** Draw a frame. @param {number} now */
  draw(now) {
    if (!this.width || !this.height) return;
    this.frames += 1;
    if (this.cleared !== this.notes.cleared || Math.abs(now - this.last) > PAUSE_SECONDS) {
      this.cleared = this.notes.cleared;
      this.range.jump();
      this.begin();
    }
    this.last = now;
    this.look(now);
    this.range.fit(this.shown, now);
    if (this.range.moved) this.glide();
    const pixel = now / this.secondsPerPixel;
    this.past.show(pixel - this.line);
    this.planned.show(pixel);
    this.band.show(pixel - this.line);
    this.drawDissolving(now);
    this.drawEdge(now);
  }

  /** Find the notes in view, and those that have changed. @param {number} now */
  look(now) {
    const { past, ahead } = this.span;
    const margin = 3 * this.past.pixels * this.secondsPerPixel;
    this.shown.length = this.near.length = this.gone.length = 0;
    for (const note of this.notes.all) {
      if (note.end < now - past - margin || note.start > now + ahead + margin) continue;
      const isGone = note.droppedAt !== undefined;
      this.see(note, note.end, isGone, note.nats);
      if (isGone) {
        if (dissolved(note, now) < 1) this.gone.push(note);
        continue;
      }
      this.near.push(note);
      if (note.end > now - past && note.start < now + ahead) this.shown.push(note);
    }
    const beats = this.clock ? `${this.clock.bpm} ${this.clock.beat}` : "";
    if (beats !== this.beats) {
      this.beats = beats;
      this.past.touch();
      this.planned.touch();
      this.band.strip.touch();
    }
  }

  /**
   * Mark a note or pedal for painting if it is new, or looks different from when it was painted.
   * @param {{start: number}} note
   * @param {number} end
   * @param {boolean} isGone
   * @param {number | undefined} nats
   */
  see(note, end, isGone, nats) {
    const before = this.drawn.get(note);
    if (!before) {
      this.drawn.set(note, { end, nats, isGone });
      this.touch(note.start, end);
    } else if (
      (before.end !== end && !(Math.abs(before.end - end) < SEEN_SECONDS)) ||
      before.nats !== nats ||
      before.isGone !== isGone
    ) {
      this.touch(note.start, before.end);
      this.touch(note.start, end);
      Object.assign(before, { end, nats, isGone });
    }
  }

  /** @param {number} start @param {number} end */
  touch(start, end) {
    const pixel = (/** @type {number} */ seconds) => seconds / this.secondsPerPixel;
    this.past.touch(pixel(start) - EDGE, pixel(end) + EDGE);
    this.planned.touch(pixel(start) - EDGE, pixel(plannedEnd({ start, end })) + EDGE);
  }

  // A picture of a film.

  /**
   * @param {"past" | "planned"} film
   * @param {Context} context
   * @param {number} origin The pixel at its left edge.
   * @param {number} pixels
   */
  paint(film, context, origin, pixels) {
    const x = (/** @type {number} */ at) => (at / this.secondsPerPixel - origin) / this.scale;
    const width = pixels / this.scale;
    paintRows(this, context, film === "past" ? "back" : "ahead", width);
    paintBeats(this, context, x, origin * this.secondsPerPixel, pixels * this.secondsPerPixel);
    const row = this.rowOf(this.painted);
    for (const note of this.near) {
      const left = x(note.start);
      const right = Math.min(x(film === "past" ? note.end : plannedEnd(note)), width + EDGE);
      if (right < -EDGE || left > width + EDGE) continue;
      this.brush[film === "past" ? "played" : "planned"](context, note, {
        left,
        right,
        top: this.y(note.pitch, this.painted),
        row,
      });
    }
  }

  // The layers above the films.

  /** @param {number} now */
  drawDissolving(now) {
    const { gone, dissolving, width, height } = this;
    const isShown = gone.length > 0;
    if (dissolving.canvas.hidden === isShown) dissolving.canvas.hidden = !isShown;
    if (!isShown) return;
    const { context } = dissolving;
    const x = (/** @type {number} */ at) => (at - now) / this.secondsPerPixel / this.scale;
    context.clearRect(0, 0, width, height);
    for (const note of gone) {
      const [left, right] = [x(note.start), x(plannedEnd(note))];
      const box = { left, right, top: this.y(note.pitch), row: this.row };
      this.brush.planned(context, note, box, dissolved(note, now));
    }
  }

  /** Draw the now-line, lit where notes sound, if this has changed. @param {number} now */
  drawEdge(now) {
    const sounding = this.shown.filter((note) => note.start <= now && note.end > now);
    const lit = sounding.map((note) => note.who + note.pitch).join();
    if (lit === this.lit) return;
    this.lit = lit;
    const { context } = this.edge;
    const { colours } = this.brush;
    context.clearRect(0, 0, 2 * GLOW, this.height);
    context.globalAlpha = 0.16;
    context.fillStyle = fading(context, colours.now);
    context.fillRect(0, 0, GLOW, this.height);
    context.globalAlpha = 0.3;
    for (const { who, pitch } of sounding) {
      context.fillStyle = fading(context, colours[who], 2 * GLOW);
      context.fillRect(0, this.y(pitch) - 3, 2 * GLOW, this.row + 6);
    }
    context.globalAlpha = 0.9;
    context.fillStyle = colours.now;
    context.fillRect(GLOW - 1, 0, 2, this.height);
    context.globalAlpha = 1;
  }
}

/** The time until which a planned note is drawn. @param {{start: number, end: number}} note */
const plannedEnd = ({ start, end }) => (end === Infinity ? start + STUB_SECONDS : end);

/** How many seconds fit before and after now. @param {number} width In usual pixels. */
function spanOf(width) {
  if (width > 1500) return { past: 9, ahead: 2.6 };
  return width > 700 ? { past: 6.5, ahead: 2.2 } : { past: 3.6, ahead: 1.4 };
}
