// The computer's keys as a piano: two rows of keys by their position, not by what is printed on them.

const LOWER = ["KeyZ", "KeyS", "KeyX", "KeyD", "KeyC", "KeyV", "KeyG", "KeyB", "KeyH", "KeyN"];
LOWER.push("KeyJ", "KeyM", "Comma", "KeyL", "Period", "Semicolon", "Slash");
const UPPER = ["KeyQ", "Digit2", "KeyW", "Digit3", "KeyE", "KeyR", "Digit5", "KeyT", "Digit6"];
UPPER.push("KeyY", "Digit7", "KeyU", "KeyI", "Digit9", "KeyO", "Digit0", "KeyP");

const LOWEST = 48;
const ACCENT = 1.3;

/** Semitones above the lowest key, by the code of the computer's key. @type {Map<string, number>} */
const PLACES = new Map();
LOWER.forEach((code, at) => PLACES.set(code, at));
UPPER.forEach((code, at) => PLACES.set(code, 12 + at));

export class ComputerKeys {
  /**
   * @param {import("./performer.js").Performer} performer
   * @param {{
   *   velocity: () => number, shifted: (octave: number) => void,
   *   panic: () => void, answer: () => void,
   * }} on
   */
  constructor(performer, on) {
    this.performer = performer;
    this.on = on;
    this.octave = 0;
    /** @type {Map<string, number>} */
    this.down = new Map();
    /** What is printed on the keys. @type {Map<string, string>} */
    this.printed = new Map();
    window.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("keyup", (event) => this.lift(event));
    window.addEventListener("blur", () => this.release());
    this.readLayout();
  }

  /** Find out what is printed on the keys, if the browser knows it. */
  async readLayout() {
    const keyboard = /** @type {any} */ (navigator).keyboard;
    try {
      const layout = await keyboard?.getLayoutMap();
      if (layout) this.printed = new Map(layout);
    } catch {
      // Keep the letters of a US keyboard.
    }
    this.on.shifted(this.octave);
  }

  /** The letter of the key for each pitch. */
  labels() {
    /** @type {Map<number, string>} */
    const labels = new Map();
    for (const [code, place] of PLACES) {
      labels.set(LOWEST + 12 * this.octave + place, this.letter(code));
    }
    return labels;
  }

  /** @param {string} code */
  letter(code) {
    const plain = { Comma: ",", Period: ".", Semicolon: ";", Slash: "/" };
    const us = /** @type {Record<string, string>} */ (plain)[code] ?? code.slice(-1);
    return (this.printed.get(code) ?? us).toUpperCase();
  }

  /** @param {number} by */
  shift(by) {
    this.octave = Math.min(3, Math.max(-2, this.octave + by));
    this.on.shifted(this.octave);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (target.matches("select, input[type=text], [contenteditable]")) return;
    const onControl = target.matches("button, a, summary, input, [role=radio]");
    const place = PLACES.get(event.code);
    if (place !== undefined) {
      event.preventDefault();
      if (event.repeat || this.down.has(event.code)) return;
      const pitch = LOWEST + 12 * this.octave + place;
      this.down.set(event.code, pitch);
      const velocity = this.on.velocity() * (event.shiftKey ? ACCENT : 1);
      this.performer.down(`key ${event.code}`, pitch, velocity);
    } else if (event.code === "Escape") {
      this.on.panic();
    } else if (!onControl) {
      this.command(event);
    }
  }

  /** @param {KeyboardEvent} event */
  command(event) {
    if (event.code === "Space") {
      event.preventDefault();
      if (!event.repeat) this.performer.pedal(true);
    } else if (event.code === "Enter") {
      if (!event.repeat) this.on.answer();
    } else if (event.code === "ArrowLeft") this.shift(-1);
    else if (event.code === "ArrowRight") this.shift(1);
  }

  /** @param {KeyboardEvent} event */
  lift(event) {
    const pitch = this.down.get(event.code);
    this.down.delete(event.code);
    if (pitch !== undefined) this.performer.up(`key ${event.code}`, pitch);
    else if (event.code === "Space") this.performer.pedal(false);
  }

  release() {
    this.down.clear();
    this.performer.release("key ");
  }
}
