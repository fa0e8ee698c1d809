// Takes: a button to record, and each take with playback and downloads.

import { clockWords, pageTime } from "./clocks.js";

const AHEAD_SECONDS = 0.1;

export class Takes {
  /**
   * @param {HTMLElement} element
   * @param {{
   *   record: (on: boolean) => void, address: (take: number, kind: string) => string,
   *   sound: () => import("./sound.js").Sound | null, notes: import("./notes.js").Notes,
   *   now: () => number, say: (text: string) => void,
   * }} on
   */
  constructor(element, on) {
    this.on = on;
    this.recording = false;
    this.since = 0;
    /** @type {any[]} */
    this.voices = [];
    this.playing = 0;
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "record";
    this.button.addEventListener("click", () => on.record(!this.recording));
    this.list = document.createElement("ul");
    element.replaceChildren(this.button, this.list);
    this.show(null);
  }

  /** Show whether something is being recorded. @param {number | null} since */
  show(since) {
    this.recording = since !== null;
    this.since = since ?? 0;
    this.button.setAttribute("aria-pressed", String(this.recording));
    this.tick();
  }

  /** Show how long it has been recording. */
  tick() {
    const words = this.recording ? `Stop  ${clockWords(this.on.now() - this.since)}` : "Record";
    if (this.button.textContent !== words) this.button.textContent = words;
  }

  /** @param {{number: number, start: number, end: number}[]} takes */
  build(takes) {
    this.list.replaceChildren(...[...takes].reverse().map((take) => this.row(take)));
  }

  /** @param {{number: number, start: number, end: number}} take */
  row(take) {
    const row = document.createElement("li");
    const name = `Take ${take.number}`;
    const title = document.createElement("span");
    title.textContent = `${name}  ${clockWords(take.end - take.start)}`;
    const play = document.createElement("button");
    play.type = "button";
    play.textContent = "Play";
    play.setAttribute("aria-label", `Play ${name}`);
    play.addEventListener("click", () => this.play(take.number, play));
    const midi = link("MIDI", `${name} as MIDI`, this.on.address(take.number, "mid"));
    const log = link(
      "Log",
      `${name} as a log for midirnn replay`,
      this.on.address(take.number, "jsonl"),
    );
    row.append(title, play, midi, log);
    return row;
  }

  /** Play a take back, or stop it. @param {number} take @param {HTMLButtonElement} button */
  async play(take, button) {
    const was = this.playing;
    this.stop();
    if (was === take) return;
    const sound = this.on.sound();
    if (!sound) return;
    await sound.start();
    const answer = await fetch(this.on.address(take, "json"));
    if (!answer.ok) {
      this.on.say(await answer.text());
      return;
    }
    /** @type {[number, number, number, number, string][]} */
    const notes = await answer.json();
    this.playing = take;
    this.stopping = button;
    button.textContent = "Stop";
    const begin = sound.clock.at(pageTime()) + AHEAD_SECONDS;
    const shown = this.on.now() + AHEAD_SECONDS;
    for (const [start, end, pitch, velocity, name] of notes) {
      const who = name.startsWith("model") ? "machine" : "you";
      const voice = sound.play(who, pitch, velocity, begin + start);
      voice.release(begin + end);
      this.voices.push(voice);
      this.on.notes.add({ who, pitch, velocity, start: shown + start, end: shown + end });
    }
    const last = Math.max(0, ...notes.map((note) => note[1]));
    this.timer = setTimeout(() => this.stop(), 1000 * (last + 0.5));
  }

  stop() {
    const sound = this.on.sound();
    clearTimeout(this.timer);
    if (this.stopping) this.stopping.textContent = "Play";
    for (const voice of this.voices) {
      if (sound && !voice.ended) voice.cut(sound.context.currentTime);
    }
    if (this.playing) this.on.notes.endAll("machine", this.on.now());
    this.voices = [];
    this.playing = 0;
  }
}

/** @param {string} text @param {string} label @param {string} address */
function link(text, label, address) {
  const anchor = document.createElement("a");
  anchor.textContent = text;
  anchor.href = address;
  anchor.download = "";
  anchor.setAttribute("aria-label", label);
  return anchor;
}
