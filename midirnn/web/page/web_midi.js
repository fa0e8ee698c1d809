// MIDI keyboards that the browser can access: a choice of inputs, which may come and go.

const NOTE_OFF = 0x80;
const NOTE_ON = 0x90;
const CONTROL = 0xb0;
const SUSTAIN = 64;
const ALL = "all";

export class WebMidi {
  /**
   * @param {import("./performer.js").Performer} performer
   * @param {HTMLSelectElement} select
   * @param {(state: "ask" | "open" | "none", why: string) => void} show
   */
  constructor(performer, select, show) {
    this.performer = performer;
    this.select = select;
    this.tell = show;
    /** @type {any} */
    this.access = null;
    select.addEventListener("change", () => this.listen());
  }

  /** Check whether Web MIDI is available, and use it at once if it was allowed before. */
  async look() {
    if (!navigator.requestMIDIAccess) {
      this.tell("none", "This browser has no Web MIDI: name a MIDI keyboard with --input.");
      return;
    }
    this.tell("ask", "");
    try {
      const name = /** @type {PermissionName} */ ("midi");
      const permission = await navigator.permissions.query({ name });
      if (permission.state === "granted") await this.start();
    } catch {
      // The button asks for permission.
    }
  }

  /** Request access to the ports. */
  async start() {
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      this.tell("none", "MIDI is blocked in this browser: name a MIDI keyboard with --input.");
      return;
    }
    this.tell("open", "");
    this.access.onstatechange = () => this.show();
    this.show();
  }

  /** Show the available inputs. */
  show() {
    const inputs = [...this.access.inputs.values()].filter((port) => port.state === "connected");
    const before = this.select.value || ALL;
    const options = [new Option(inputs.length ? "all inputs" : "none connected", ALL)];
    options.push(new Option("off", "off"), ...inputs.map((port) => new Option(port.name, port.id)));
    this.select.replaceChildren(...options);
    this.select.value = options.some((option) => option.value === before) ? before : ALL;
    this.listen();
  }

  /** Listen to the chosen input, and release what another one holds. */
  listen() {
    if (!this.access) return;
    for (const port of this.access.inputs.values()) {
      const chosen = this.select.value === ALL || this.select.value === port.id;
      if (!chosen || port.state !== "connected") this.performer.release(`midi ${port.id}`);
      port.onmidimessage = chosen
        ? (/** @type {any} */ event) => this.hear(`midi ${port.id}`, event.data)
        : null;
    }
  }

  /** @param {string} source @param {Uint8Array} data */
  hear(source, data) {
    const [status, first, second] = data;
    const kind = status & 0xf0;
    if (kind === NOTE_ON && second > 0) {
      this.performer.down(`${source}:${status & 15}`, first, second);
    } else if (kind === NOTE_ON || kind === NOTE_OFF) {
      this.performer.up(`${source}:${status & 15}`, first);
    } else if (kind === CONTROL && first === SUSTAIN) this.performer.pedal(second >= 64);
  }
}
