// How notes look, wherever they are drawn.

const SURPRISING_NATS = 6;
const DISSOLVE_SECONDS = 0.45;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {import("./strip.js").Context} Context */
/** @typedef {ReturnType<typeof colours>} Colours */
/** Where a note is, in pixels of the page. @typedef {{left: number, right: number, top: number, row: number}} Box */

/** The colours of the style sheet, for dark or light. */
export function colours() {
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

/** How far a note that was dropped has dissolved, 0 to 1. @param {Note} note @param {number} now */
export const dissolved = (note, now) =>
  note.droppedAt === undefined ? 0 : Math.min(1, (now - note.droppedAt) / DISSOLVE_SECONDS);

export class Brush {
  /**
   * @param {Colours} colours
   * @param {number} unit The scale relative to the usual text size.
   */
  constructor(colours, unit) {
    this.colours = colours;
    this.unit = unit;
  }

  /** @param {Context} context @param {Note} note @param {Box} box */
  played(context, note, box) {
    context.fillStyle = this.colours[note.who];
    context.globalAlpha = loudness(note);
    this.shape(context, box, Math.max(3, box.row - 1.5));
    context.fill();
    if (note.nats !== undefined) this.surprise(context, note.nats, box);
    context.globalAlpha = 1;
  }

  /**
   * Draw a planned note, or a dropped one that dissolves.
   * @param {Context} context
   * @param {Note} note
   * @param {Box} box
   * @param {number} gone 0 to 1
   */
  planned(context, note, box, gone = 0) {
    const shrunk = 0.4 * gone * (box.right - box.left);
    const risen = { ...box, left: box.left + shrunk, top: box.top - 6 * gone };
    context.fillStyle = context.strokeStyle = this.colours[note.who];
    context.globalAlpha = 0.42 * loudness(note) * (1 - gone);
    this.shape(context, risen, Math.max(3, box.row - 1.5) * (1 - 0.6 * gone));
    context.fill();
    context.globalAlpha = 0.85 * (1 - gone);
    context.lineWidth = 1;
    context.stroke();
    context.globalAlpha = 1;
  }

  /**
   * @param {Context} context
   * @param {Box} box
   * @param {number} height
   */
  shape(context, { left, right, top, row }, height) {
    const width = Math.max(4, right - left - 1);
    context.beginPath();
    context.roundRect(
      left,
      top + (row - height) / 2,
      width,
      height,
      Math.min(4 * this.unit, height / 2),
    );
  }

  /**
   * Draw the surprise of a note: the larger the dot, the less the model expected it.
   * @param {Context} context
   * @param {number} nats
   * @param {Box} box
   */
  surprise(context, nats, { left, top, row }) {
    const radius = this.unit * (1.5 + 4.5 * Math.min(1, nats / SURPRISING_NATS));
    context.globalAlpha = 1;
    for (const [size, colour] of /** @type {[number, string][]} */ ([
      [radius + 1.5, this.colours.back],
      [radius, this.colours.hot],
    ])) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(left, top + row / 2, size, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

/** @param {Note} note */
const loudness = (note) => 0.5 + 0.5 * Math.min(1, note.velocity / 100);
