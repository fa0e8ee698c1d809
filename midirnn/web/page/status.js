// The status lines: the model, the sound, the connection, who plays.

import { clockWords } from "./clocks.js";

const LINE_MS = 6000;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Status {
  constructor() {
    this.sound = "waits";
    this.connection = "open";
    this.plays = true;
    this.loading = true;
    this.takeOver = () => {};
  }

  /** @param {import("./link.js").Message} state @param {Record<string, string>} modes */
  show(state, modes) {
    this.loading = state.loading;
    const doing = state.loading
      ? "loading"
      : !state.has_model
        ? "recovering"
        : !state.has_output
          ? "output gone"
          : state.plays
            ? "playing"
            : state.listens
              ? "listening"
              : "frozen";
    const element = find("doing");
    if (element.dataset.doing !== doing) {
      element.dataset.doing = doing;
      element.textContent = doing;
    }
    find("summary").textContent = state.loading ? "" : (modes[state.mode] ?? "");
    if (!state.loading) this.facts(state);
    this.hint();
  }

  /** @param {import("./link.js").Message} state */
  facts(state) {
    const ports = state.ports.map(
      (/** @type {[string, string, boolean]} */ [what, name, present]) =>
        `${what} ${name}${present ? "" : " (gone)"}`,
    );
    /** @type {[string, string][]} */
    const facts = [["Ports", ports.join(", ")]];
    const [median, p99, worst] = state.late;
    facts.push(["Lateness", `${median} ms, 99% under ${p99} ms, at most ${worst} ms`]);
    facts.push(["Planned", `${state.ahead.toFixed(1)} s ahead`]);
    if (state.surprise !== null) facts.push(["Surprise", `${state.surprise.toFixed(1)} nats`]);
    if (state.tempo) facts.push(["Clock", state.tempo]);
    if (state.follows) facts.push(["Follows", state.follows]);
    const guard = Object.entries(state.guard).map(([fault, count]) => `${fault} × ${count}`);
    if (guard.length) facts.push(["Guard", guard.join(", ")]);
    facts.push(["Seed", String(state.seed)]);
    const list = find("facts");
    const text = JSON.stringify(facts);
    if (list.dataset.text === text) return;
    list.dataset.text = text;
    list.replaceChildren(
      ...facts.flatMap(([name, value]) => {
        const term = document.createElement("dt");
        const meaning = document.createElement("dd");
        term.textContent = name;
        meaning.textContent = value;
        return [term, meaning];
      }),
    );
  }

  /** Show how long the session has been running. @param {number} seconds */
  time(seconds) {
    const words = seconds > 0 && seconds < 1e6 ? clockWords(seconds) : "";
    if (find("time").textContent !== words) find("time").textContent = words;
  }

  /** @param {"on" | "waits" | "missing" | "silent"} sound */
  audio(sound) {
    this.sound = sound;
    this.hint();
  }

  /** @param {"open" | "lost" | "refused"} state */
  link(state) {
    this.connection = state;
    document.body.classList.toggle("offline", state !== "open");
    this.hint();
  }

  /** @param {boolean} plays @param {() => void} takeOver */
  role(plays, takeOver) {
    this.plays = plays;
    this.takeOver = takeOver;
    document.body.classList.toggle("watching", !plays);
    this.hint();
  }

  /** Show the most important message. */
  hint() {
    const [text, act] = this.most();
    const element = find("hint");
    if (element.dataset.text === text) return;
    element.dataset.text = text;
    element.hidden = text === "";
    element.textContent = text;
    if (act) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = act;
      button.addEventListener("click", () => this.takeOver());
      element.append(" ", button);
    }
  }

  /** @returns {[string, string]} */
  most() {
    if (this.connection === "refused") {
      return ["This address is of an earlier start. Open the one that midirnn jam prints.", ""];
    }
    if (this.connection === "lost") return ["The connection is lost. Trying again …", ""];
    if (!this.plays) return ["Another page plays. This one watches.", "Play here"];
    if (this.loading) return ["The model is loading …", ""];
    if (this.sound === "missing") {
      return ["This browser cannot make sound. The notes are shown.", ""];
    }
    if (this.sound === "silent") {
      return ["There is no sound: the browser finds no audio device. The notes are shown.", ""];
    }
    if (this.sound === "waits") return ["Click, or press a key, to turn the sound on.", ""];
    return ["", ""];
  }

  /** Show a line for a while. @param {string} text @param {boolean} trouble */
  line(text, trouble) {
    const log = find("lines");
    const line = document.createElement("span");
    line.textContent = text;
    line.className = trouble ? "trouble" : "";
    log.append(line);
    while (log.childElementCount > 3) log.firstElementChild?.remove();
    setTimeout(() => line.remove(), LINE_MS);
  }
}
