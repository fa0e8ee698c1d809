// The moving piano roll: what was played to the left of the now-line, what is planned to its right.

import { isBlack } from "./keyboard.js";

const DISSOLVE_SECONDS = 0.45;
const LOW = 45;
const HIGH = 80;
const MARGIN = 3;
const SURPRISING_NATS = 6;
const PEDAL_HEIGHT = 5;
const USUAL_TEXT = 15;

export class Roll {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./notes.js").Notes} notes
   */
  constructor(canvas, notes) {
    this.canvas = canvas;
    this.notes = notes;
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("no canvas");
    this.context = context;
    this.low = LOW;
    this.high = HIGH;
    this.width = 0;
    this.height = 0;
    /** @type {{bpm: number, beat: number} | null} */
    this.clock = null;
    this.frames = 0;
    /** How much larger everything is than at the usual size of text. */
    this.unit = 1;
    this.colours = colours();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.colours = colours();
    });
  }

  resize() {
    const scale = Math.min(devicePixelRatio || 1, 2.5);
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL_TEXT;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /** How many seconds are shown before and after now. */
  get span() {
    if (this.width / this.unit > 1500) return { past: 9, ahead: 2.6 };
    return this.width / this.unit > 700 ? { past: 6.5, ahead: 2.2 } : { past: 3.6, ahead: 1.4 };
  }

  /** @param {number} seconds @param {number} now */
  x(seconds, now) {
    const { past, ahead } = this.span;
    return ((seconds - now + past) / (past + ahead)) * this.width;
  }

  /** @param {number} pitch */
  y(pitch) {
    return (this.high + 1 - pitch) * this.row;
  }

  get row() {
    return (this.height - this.pedalHeight - 4) / (this.high - this.low + 1);
  }

  get pedalHeight() {
    return PEDAL_HEIGHT * this.unit;
  }

  /** Draw what there is now. @param {number} now */
  draw(now) {
    if (!this.width) return;
    this.frames += 1;
    const { past, ahead } = this.span;
    const shown = this.notes.all.filter(
      (note) =>
        note.end > now - past - 0.1 &&
        note.start < now + ahead &&
        !(note.droppedAt && note.droppedAt < now - DISSOLVE_SECONDS),
    );
    this.fit(shown);
    this.drawGround(now);
    this.drawPedals(now);
    for (const note of shown) this.drawNote(note, now);
    this.drawNow(now);
  }

  /** Let the pitches glide to where the notes are. @param {import("./notes.js").Note[]} shown */
  fit(shown) {
    let low = LOW;
    let high = HIGH;
    for (const note of shown) {
      low = Math.min(low, note.pitch - MARGIN);
      high = Math.max(high, note.pitch + MARGIN);
    }
    this.low += (low - this.low) * 0.08;
    this.high += (high - this.high) * 0.08;
  }

  /** @param {number} now */
  drawGround(now) {
    const { context, colours } = this;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, this.width, this.height);
    context.fillStyle = colours.ahead;
    const line = this.x(now, now);
    context.fillRect(line, 0, this.width - line, this.height);
    context.fillStyle = colours.row;
    for (let pitch = Math.floor(this.low); pitch <= Math.ceil(this.high); pitch += 1) {
      if (isBlack(pitch)) context.fillRect(0, this.y(pitch), this.width, this.row);
    }
    context.font = `${11 * this.unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (let pitch = 12 * Math.ceil(this.low / 12); pitch <= this.high; pitch += 12) {
      const y = this.y(pitch) + this.row;
      context.fillStyle = colours.line;
      context.fillRect(0, y, this.width, 1);
      context.fillStyle = colours.text;
      context.fillText(`C${pitch / 12 - 1}`, 8 * this.unit, y - this.row / 2);
    }
    this.drawBeats(now);
  }

  /** Draw the beats of the clock; without one, seconds. @param {number} now */
  drawBeats(now) {
    const { past, ahead } = this.span;
    const length = this.clock ? 60 / this.clock.bpm : 1;
    const origin = this.clock ? this.clock.beat : 0;
    const first = Math.ceil((now - past - origin) / length);
    this.context.fillStyle = this.colours.line;
    for (let beat = first; origin + beat * length < now + ahead; beat += 1) {
      const isBar = this.clock && beat % 4 === 0;
      const x = Math.round(this.x(origin + beat * length, now));
      this.context.globalAlpha = this.clock ? (isBar ? 1 : 0.55) : 0.35;
      this.context.fillRect(x, 0, isBar ? 2 : 1, this.height);
    }
    this.context.globalAlpha = 1;
  }

  /** @param {number} now */
  drawPedals(now) {
    for (const pedal of this.notes.pedals) {
      const from = Math.max(0, this.x(pedal.start, now));
      const until = this.x(Math.min(pedal.end, now), now);
      if (until < 0) continue;
      this.context.fillStyle = pedal.who === "you" ? this.colours.you : this.colours.machine;
      this.context.globalAlpha = 0.5;
      const top = this.height - this.pedalHeight - 2;
      this.context.fillRect(from, top, until - from, this.pedalHeight);
    }
    this.context.globalAlpha = 1;
  }

  /** @param {import("./notes.js").Note} note @param {number} now */
  drawNote(note, now) {
    const { context, colours } = this;
    const isOpen = note.end === Infinity;
    const isPlanned = note.start > now;
    const end = isOpen ? Math.max(now, note.start + 0.06) : note.end;
    const left = this.x(note.start, now);
    const width = Math.max(4, this.x(end, now) - left - 1);
    const gone = note.droppedAt ? Math.min(1, (now - note.droppedAt) / DISSOLVE_SECONDS) : 0;
    const loud = 0.5 + 0.5 * Math.min(1, note.velocity / 100);
    const height = Math.max(3, this.row - 1.5) * (1 - 0.6 * gone);
    const top = this.y(note.pitch) + (this.row - height) / 2 - 6 * gone;
    const colour = note.who === "you" ? colours.you : colours.machine;
    context.fillStyle = colour;
    context.globalAlpha = loud * (1 - gone) * (isPlanned ? 0.42 : 1);
    context.beginPath();
    context.roundRect(
      left + 2 * gone * width * 0.2,
      top,
      width * (1 - 0.4 * gone),
      height,
      Math.min(4 * this.unit, height / 2),
    );
    context.fill();
    if (isPlanned) {
      context.globalAlpha = 0.85 * (1 - gone);
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.stroke();
    } else if (note.start <= now && end >= now && !note.droppedAt) {
      context.globalAlpha = 0.25 * loud;
      context.beginPath();
      context.roundRect(left - 3, top - 3, width + 6, height + 6, 6);
      context.fill();
    }
    if (note.nats !== undefined) this.drawSurprise(note.nats, left, top, height);
    context.globalAlpha = 1;
  }

  /**
   * Draw how little the model expected a note: the larger the dot, the less.
   * @param {number} nats
   * @param {number} left
   * @param {number} top
   * @param {number} height
   */
  drawSurprise(nats, left, top, height) {
    const { context, colours } = this;
    const radius = this.unit * (1.5 + 4.5 * Math.min(1, nats / SURPRISING_NATS));
    context.globalAlpha = 1;
    for (const [colour, size] of /** @type {const} */ ([
      [colours.back, radius + 1.5],
      [colours.hot, radius],
    ])) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(left, top + height / 2, size, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** @param {number} now */
  drawNow(now) {
    const { context } = this;
    const x = this.x(now, now);
    const glow = context.createLinearGradient(x - 18, 0, x, 0);
    glow.addColorStop(0, "transparent");
    glow.addColorStop(1, this.colours.now);
    context.globalAlpha = 0.16;
    context.fillStyle = glow;
    context.fillRect(x - 18, 0, 18, this.height);
    context.globalAlpha = 0.9;
    context.fillStyle = this.colours.now;
    context.fillRect(x - 1, 0, 2, this.height);
    context.globalAlpha = 1;
  }
}

/** The colours of the style sheet, dark or light. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  return {
    back: colour("roll"),
    row: colour("roll-row"),
    line: colour("line"),
    text: colour("quiet"),
    now: colour("now"),
    you: colour("you"),
    machine: colour("machine"),
    hot: colour("hot"),
    ahead: colour("roll-ahead"),
  };
}
