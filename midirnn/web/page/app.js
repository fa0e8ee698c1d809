// The page: connects its parts, and passes on messages from the session.

import { SessionClock } from "./clocks.js";
import { ComputerKeys } from "./computer_keys.js";
import { Keyboard } from "./keyboard.js";
import { Link } from "./link.js";
import { Machine } from "./machine.js";
import { Notes } from "./notes.js";
import { Panel } from "./panel.js";
import { Performer } from "./performer.js";
import { Presets } from "./presets.js";
import { Roll } from "./roll.js";
import { Sound } from "./sound.js";
import { Status } from "./status.js";
import { Takes } from "./takes.js";
import { Units } from "./units.js";
import { WebMidi } from "./web_midi.js";

/** @typedef {import("./link.js").Message} Message */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const find = (id) => /** @type {T} */ (document.getElementById(id));
/** @type {HTMLInputElement} */
const velocity = find("velocity");

class App {
  constructor() {
    const token = new URLSearchParams(location.search).get("token") ?? "";
    this.page = "";
    /** The last state received. @type {Message | null} */
    this.state = null;
    /** @type {Record<string, string>} */
    this.modes = {};
    this.clock = new SessionClock();
    this.notes = new Notes();
    this.status = new Status();
    this.link = new Link(token, {
      hear: (messages) => messages.forEach((message) => this.hear(message)),
      change: (state) => this.changeLink(state),
      silent: () => this.loseSession(),
      pong: (sent, answered, received) => this.clock.hear(sent, answered, received),
    });
    this.performer = new Performer(this.notes, this.clock, this.link);
    this.machine = new Machine(this.notes, this.clock);
    /** @type {Sound | null} */
    this.sound = null;
    /** @type {Promise<void> | undefined} */
    this.piano = undefined;
    this.units = new Units(find("units"));
    this.roll = new Roll(find("roll"), this.notes);
    const strength = () => Number(velocity.value);
    this.keyboard = new Keyboard(find("keyboard"), this.performer, strength);
    this.keys = new ComputerKeys(this.performer, {
      velocity: strength,
      shifted: (octave) => this.shift(octave),
      panic: () => this.panic(),
      answer: () => this.press("switch"),
    });
    this.panel = new Panel(find("knobs"), find("modes"), (knob, value) =>
      this.link.send({ t: "turn", knob, value }),
    );
    this.presets = new Presets(find("presets"), (action, preset) =>
      this.link.send({ t: action, preset }),
    );
    this.takes = new Takes(find("takes"), {
      record: (on) => this.link.send({ t: "record", on }),
      address: (take, kind) => `takes/${take}.${kind}?token=${encodeURIComponent(token)}`,
      sound: () => this.sound,
      notes: this.notes,
      now: () => this.clock.now(),
      say: (text) => this.status.line(text, true),
    });
    this.midi = new WebMidi(this.performer, find("midi"), (state, why) => {
      find("midi-ask").hidden = state !== "ask";
      find("midi-choice").hidden = state !== "open";
      find("midi-none").hidden = state !== "none";
      find("midi-none").textContent = why;
    });
    this.connectControls();
    this.startSound();
    this.link.connect();
    this.startTicking();
    requestAnimationFrame((time) => this.frame(time));
  }

  startSound() {
    try {
      this.sound = new Sound();
    } catch {
      this.status.audio("missing");
      return;
    }
    this.performer.sound = this.machine.sound = this.sound;
    this.sound.context.onstatechange = () => this.showSound();
    const start = () => {
      this.loadPiano();
      this.sound?.start(() => this.status.audio("silent"));
    };
    for (const name of ["pointerdown", "keydown"]) window.addEventListener(name, start, true);
    this.performer.onPlay = start;
    this.showSound();
  }

  /** Load the piano, only once the page can be played, so as not to delay that. */
  loadPiano() {
    this.piano ??= this.sound?.samples.load();
  }

  showSound() {
    this.status.audio(this.sound?.running ? "on" : "waits");
  }

  connectControls() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ act) =>
      find(id).addEventListener("click", act);
    on("panic", () => this.panic());
    on("your-turn", () => this.press("your_turn"));
    on("my-turn", () => this.press("my_turn"));
    on("reset", () => this.press("reset"));
    on("undo", () => this.press("undo"));
    on("untune", () => this.press("untune"));
    on("freeze", () => this.turn("freeze", find("freeze").ariaPressed !== "true"));
    on("octave-down", () => this.keys.shift(-1));
    on("octave-up", () => this.keys.shift(1));
    on("pedal", () => this.performer.pedal(!this.performer.pedalDown));
    on("steer", () => this.fold());
    if (matchMedia("(max-width: 60rem)").matches) this.fold();
    this.performer.onPedal = () =>
      find("pedal").setAttribute("aria-pressed", String(this.performer.pedalDown));
    velocity.addEventListener("input", () => (find("velocity-value").textContent = velocity.value));
    for (const who of /** @type {const} */ (["you", "machine"])) {
      /** @type {HTMLInputElement} */
      const slider = find(`volume-${who}`);
      slider.addEventListener("input", () => this.sound?.setVolume(who, Number(slider.value)));
    }
    /** @type {HTMLSelectElement} */
    const model = find("model");
    model.addEventListener("change", () => this.link.send({ t: "model", name: model.value }));
    // After a click the space bar is the pedal again; keyboard navigation keeps the focus.
    document.addEventListener("click", (event) => {
      const byPointer = event.detail > 0;
      const target =
        event.target instanceof Element ? event.target.closest("button, summary") : null;
      if (byPointer && target instanceof HTMLElement) target.blur();
    });
    document.addEventListener("visibilitychange", () => document.hidden && this.keys.release());
    window.addEventListener("pagehide", () => this.performer.release());
    on("midi-ask", () => this.midi.start());
    this.midi.look();
  }

  /** Show or hide the controls. */
  fold() {
    const isOpen = document.body.classList.toggle("folded");
    find("steer").setAttribute("aria-pressed", String(!isOpen));
  }

  /** @param {string} name */
  press(name) {
    this.link.send({ t: "press", name });
  }

  /** @param {string} knob @param {any} value */
  turn(knob, value) {
    this.link.send({ t: "turn", knob, value });
  }

  panic() {
    this.performer.silence();
    this.machine.silence();
    this.takes.stop();
    this.press("panic");
  }

  /** @param {number} octave */
  shift(octave) {
    find("octave").textContent = octave > 0 ? `+${octave}` : String(octave);
    this.keyboard.centre = 60 + 12 * octave;
    this.keyboard.labels = this.keys.labels();
    this.keyboard.build();
    this.keyboard.label(this.keys.labels());
  }

  // Messages from the session.

  /** @param {Message} message */
  hear(message) {
    switch (message.t) {
      case "plan":
        return this.machine.plan(message.events);
      case "drop":
        this.units.drop(message.at);
        return this.machine.drop(message.after, message.at);
      case "units":
        return this.units.hear(message.at, message.values, message.planned);
      case "sent":
        return this.machine.sent(message);
      case "heard":
        if (message.page !== this.page) this.performer.hear(message.m, message.at);
        return undefined;
      case "surprise":
        return message.notes.forEach((/** @type {[number, number, number]} */ note) =>
          this.notes.surprise(...note),
        );
      case "state":
        return this.show(message);
      case "about":
        return this.build(message);
      case "takes":
        return this.takes.build(message.takes);
      case "line":
        return this.status.line(message.text, message.trouble);
      case "role":
        return this.take(message);
      case "released":
        return this.performer.release();
      default:
        return undefined;
    }
  }

  /** @param {Message} about */
  build(about) {
    this.panel.build(about.knobs, about.modes);
    this.presets.build(about.presets);
    /** @type {HTMLSelectElement} */
    const model = find("model");
    model.replaceChildren(
      ...about.models.map((/** @type {string} */ name) => new Option(name, name)),
    );
    this.modes = about.modes;
    if (this.state) this.show(this.state);
    if (about.has_own_output) {
      /** @type {HTMLInputElement} */
      const slider = find("volume-machine");
      slider.value = "0";
      slider.title = "midirnn plays on the MIDI output";
      this.sound?.setVolume("machine", 0);
    }
  }

  /** @param {Message} state */
  show(state) {
    this.state = state;
    this.status.show(state, this.modes);
    /** @type {HTMLSelectElement} */ (find("model")).value = state.model;
    if (state.loading) return;
    this.loadPiano();
    this.panel.show(state.knobs);
    this.presets.show(state.presets, state.preset_names);
    this.takes.show(state.recording);
    this.roll.clock = state.clock;
    this.units.build(state.units);
    find("freeze").setAttribute("aria-pressed", String(state.knobs.freeze));
  }

  /** @param {Message} role */
  take(role) {
    const before = this.performer.mayPlay;
    this.page = role.page;
    this.performer.mayPlay = role.plays;
    if (before && !role.plays) this.performer.silence();
    this.status.role(role.plays, () => this.link.send({ t: "play_here" }));
  }

  /** @param {"open" | "lost" | "refused"} state */
  changeLink(state) {
    this.status.link(state);
    if (state !== "open") this.loseSession();
    else this.notes.clear();
  }

  /** End all notes, because their note-offs can no longer arrive. */
  loseSession() {
    this.machine.silence();
    this.performer.silence();
    this.notes.endAll("you", this.clock.now());
  }

  // Time.

  startTicking() {
    const tick = () => {
      this.machine.tidy();
      this.midi.tick();
      this.notes.tidy(this.clock.now());
      this.takes.tick();
      this.units.draw(this.clock.now());
      this.status.time(this.clock.now() - (this.state?.start ?? Infinity));
      this.link.tick(this.performer.holding || this.machine.busy);
    };
    try {
      new Worker("page/ticker.js").onmessage = tick;
    } catch {
      setInterval(tick, 50);
    }
  }

  /** @param {number} milliseconds The browser's time of the frame. */
  frame(milliseconds) {
    const now = this.clock.now(milliseconds / 1000);
    this.roll.draw(now);
    const { sounding, coming } = this.machine.keys();
    this.keyboard.light(this.performer.keys, sounding, coming);
    requestAnimationFrame((time) => this.frame(time));
  }
}

const app = new App();
// For the browser's console, and for tests.
Object.assign(window, { midirnn: app });
