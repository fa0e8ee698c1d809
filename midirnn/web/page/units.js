// The heat map of the hidden units that follow a signal: a row for each, over the last seconds.

const SECONDS = 8;
const KEEP_SECONDS = 12;
const ROW = 15;
const GAP = 2;
const MOST_MOMENTS = 4000;

/** @typedef {{at: number, values: number[], planned: boolean}} Moment */

export class Units {
  /** @param {HTMLDetailsElement} element */
  constructor(element) {
    this.element = element;
    this.canvas = /** @type {HTMLCanvasElement} */ (element.querySelector("canvas"));
    /** The signal of each unit, and the unit's name. @type {[string, string][]} */
    this.names = [];
    /** @type {Moment[]} */
    this.moments = [];
  }

  /** Set the names of the units; an empty list hides the map. @param {[string, string][]} names */
  build(names) {
    if (JSON.stringify(names) === JSON.stringify(this.names)) return;
    this.names = names;
    this.moments = [];
    this.element.hidden = names.length === 0;
    const words = names.map(([signal, unit]) => `${signal} (${unit})`).join(", ");
    this.canvas.setAttribute("aria-label", `Hidden units that follow something: ${words}`);
  }

  /**
   * Add their values from a time on, which may be in the future.
   * @param {number} at
   * @param {number[]} values
   * @param {boolean} planned
   */
  hear(at, values, planned) {
    let place = this.moments.length;
    while (place > 0 && this.moments[place - 1].at > at) place -= 1;
    this.moments.splice(place, 0, { at, values, planned });
    if (this.moments.length > MOST_MOMENTS) this.moments.shift();
  }

  /** Remove what was planned for later. @param {number} at */
  drop(at) {
    this.moments = this.moments.filter((moment) => !moment.planned || moment.at <= at);
  }

  /** The values at a time; none before the first. @param {number} at */
  at(at) {
    let found;
    for (const moment of this.moments) if (moment.at <= at) found = moment.values;
    return found;
  }

  /** Draw the last seconds, while the map is open. @param {number} now */
  draw(now) {
    while (this.moments.length > 1 && this.moments[1].at < now - KEEP_SECONDS) this.moments.shift();
    const { canvas, names } = this;
    if (!this.element.open || !names.length || !canvas.clientWidth) return;
    const scale = Math.min(devicePixelRatio || 1, 2.5);
    const unit = parseFloat(getComputedStyle(canvas).fontSize) / 13;
    const [width, row] = [canvas.clientWidth, ROW * unit];
    canvas.style.height = `${names.length * (row + GAP)}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(names.length * (row + GAP) * scale);
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    const style = getComputedStyle(canvas);
    context.font = `${style.fontSize} ${style.fontFamily}`;
    context.textBaseline = "middle";
    const left = Math.max(...names.map(([signal]) => context.measureText(signal).width)) + 8;
    const x = (/** @type {number} */ at) => left + (1 + (at - now) / SECONDS) * (width - left);
    for (const [index, [signal]] of names.entries()) {
      const top = index * (row + GAP);
      context.globalAlpha = 1;
      context.fillStyle = style.color;
      context.fillText(signal, 0, top + row / 2);
      context.fillStyle = style.getPropertyValue("--roll-row");
      context.fillRect(left, top, width - left, row);
      context.fillStyle = style.getPropertyValue("--machine");
      for (const [at, moment] of this.moments.entries()) {
        const end = Math.min(now, this.moments[at + 1]?.at ?? now);
        if (end < now - SECONDS || moment.at > now) continue;
        const from = Math.max(left, x(moment.at));
        context.globalAlpha = moment.values[index] ?? 0;
        context.fillRect(from, top, Math.max(0, x(end) - from), row);
      }
    }
  }
}
