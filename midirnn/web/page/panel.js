// The controls: a slider or a choice for each knob, which moves when a controller moves it.

import { nameOf } from "./keyboard.js";

const STEPS = 254;
const HOLD_MS = 400;

/**
 * @typedef {{
 *   name: string, summary: string, scale: string, low: number, high: number, unit: string,
 *   choices: string[], free: boolean, cc: number | null,
 * }} Knob
 */

/** The names of knobs on the page, in this order; any others come after them. @type {Record<string, string>} */
const LABELS = {
  temperature: "Temperature",
  top_p: "Top p",
  density: "Density",
  loudness: "Loudness",
  balance: "Balance",
  key: "Key",
  lowest_pitch: "Lowest note",
  highest_pitch: "Highest note",
  answer_seconds: "Answer length",
  crossfade: "Crossfade 1–2",
};

/** @param {Knob} knob @param {any} value */
export function inWords(knob, value) {
  if (value === null || value === undefined) return "free";
  if (typeof value !== "number") return String(value);
  if (knob.unit === "pitch") return nameOf(Math.round(value));
  if (knob.unit === "notes per second") return `${value.toFixed(1)} notes/s`;
  if (knob.unit === "seconds") return `${value.toFixed(1)} s`;
  if (knob.unit === "velocity") return value.toFixed(0);
  if (knob.unit === "times") return `× ${value.toFixed(2)}`;
  return value.toFixed(2);
}

/** The value of a knob at a position of its slider. @param {Knob} knob @param {number} position */
export function valueAt(knob, position) {
  if (knob.free && position === 0) return null;
  const first = knob.free ? 1 : 0;
  const share = (position - first) / (STEPS - first);
  const value =
    knob.scale === "log"
      ? knob.low * (knob.high / knob.low) ** share
      : knob.low + (knob.high - knob.low) * share;
  const whole = knob.unit === "pitch" || knob.unit === "velocity" ? Math.round(value) : value;
  return Math.min(knob.high, Math.max(knob.low, whole));
}

/** The position of a slider for a value. @param {Knob} knob @param {any} value */
export function positionOf(knob, value) {
  if (value === null) return 0;
  const first = knob.free ? 1 : 0;
  const share =
    knob.scale === "log"
      ? Math.log(value / knob.low) / Math.log(knob.high / knob.low)
      : (value - knob.low) / (knob.high - knob.low);
  return Math.round(first + share * (STEPS - first));
}

export class Panel {
  /**
   * @param {HTMLElement} element
   * @param {HTMLElement} modes
   * @param {(knob: string, value: any) => void} turn
   */
  constructor(element, modes, turn) {
    this.element = element;
    this.modes = modes;
    this.turn = turn;
    /** @type {Map<string, (value: any) => void>} */
    this.shows = new Map();
    /** @type {Map<string, number>} */
    this.turnedAt = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.again = undefined;
  }

  /**
   * Make the controls.
   * @param {Record<string, Knob>} knobs
   * @param {Record<string, string>} modes
   */
  build(knobs, modes) {
    this.shows.clear();
    const names = new Set([...Object.keys(LABELS), ...Object.keys(knobs)]);
    const fields = [...names]
      .filter((name) => knobs[name] && knobs[name].scale !== "switch" && name !== "mode")
      .map((name) => this.field(knobs[name], LABELS[name] ?? wordOf(name)));
    this.element.replaceChildren(...fields);
    this.buildModes(modes);
  }

  /** @param {Knob} knob @param {string} label */
  field(knob, label) {
    const field = document.createElement("div");
    field.className = "field";
    field.title = knob.summary + (knob.cc === null ? "" : ` (controller ${knob.cc})`);
    const name = document.createElement("label");
    name.htmlFor = `knob-${knob.name}`;
    name.textContent = label;
    const control = knob.scale === "choice" ? this.choice(knob) : this.slider(knob, field);
    control.id = name.htmlFor;
    field.prepend(name);
    field.append(control);
    return field;
  }

  /** @param {Knob} knob */
  choice(knob) {
    const select = document.createElement("select");
    select.append(...knob.choices.map((choice) => new Option(choice, choice)));
    select.addEventListener("change", () => this.turnTo(knob.name, select.value));
    this.shows.set(knob.name, (value) => (select.value = value));
    return select;
  }

  /** @param {Knob} knob @param {HTMLElement} field */
  slider(knob, field) {
    const slider = document.createElement("input");
    const shown = document.createElement("output");
    slider.type = "range";
    slider.min = "0";
    slider.max = String(STEPS);
    const show = (/** @type {any} */ value) => {
      slider.value = String(positionOf(knob, value));
      shown.value = inWords(knob, value);
      slider.setAttribute("aria-valuetext", shown.value);
      slider.style.setProperty("--share", `${(100 * Number(slider.value)) / STEPS}%`);
      field.classList.toggle("free", value === null);
    };
    slider.addEventListener("input", () => {
      const value = valueAt(knob, Number(slider.value));
      show(value);
      this.turnTo(knob.name, value);
    });
    this.shows.set(knob.name, show);
    shown.setAttribute("for", `knob-${knob.name}`);
    field.append(shown);
    return slider;
  }

  /** @param {Record<string, string>} modes */
  buildModes(modes) {
    const buttons = Object.entries(modes).map(([name, summary]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name.replaceAll("_", " ");
      button.title = summary;
      button.dataset.mode = name;
      button.setAttribute("role", "radio");
      button.addEventListener("click", () => this.turnTo("mode", name));
      return button;
    });
    this.modes.replaceChildren(...buttons);
    this.modes.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.code];
      const at = buttons.findIndex((button) => button === document.activeElement);
      if (!step || at < 0) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(at + step + buttons.length) % buttons.length];
      next.focus();
      next.click();
    };
    this.shows.set("mode", (value) => {
      for (const button of buttons) {
        const is = button.dataset.mode === value;
        button.setAttribute("aria-checked", String(is));
        button.tabIndex = is ? 0 : -1;
      }
    });
  }

  /** @param {string} name @param {any} value */
  turnTo(name, value) {
    this.turnedAt.set(name, performance.now());
    this.shows.get(name)?.(value);
    this.turn(name, value);
  }

  /** Show the values of the session, but later for a knob that is being turned here. @param {Record<string, any>} values */
  show(values) {
    const now = performance.now();
    let held = 0;
    for (const [name, show] of this.shows) {
      const left = HOLD_MS - (now - (this.turnedAt.get(name) ?? -Infinity));
      if (left > 0) held = Math.max(held, left);
      else if (name in values) show(values[name]);
    }
    clearTimeout(this.again);
    if (held > 0) this.again = setTimeout(() => this.show(values), held + 1);
  }
}

/** The name of a knob as a word. @param {string} name */
function wordOf(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}
