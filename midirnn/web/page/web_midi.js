// MIDI keyboards that the browser can access: a choice of inputs, which may come and go.

const NOTE_OFF = 0x80;
const NOTE_ON = 0x90;
const CONTROL = 0xb0;
const PROGRAM = 0xc0;
const RESET = 0xff;
const SUSTAIN = 64;
const PAD_CHANNEL = 9;

/** Control changes from this number on are channel mode messages. */
const FIRST_MODE_MESSAGE = 120;
const RESET_CONTROLLERS = 121;
const LOCAL_CONTROL = 122;
const ALL_NOTES_OFF = 123;

/** The server refuses more than 400 messages a second; faders send more. A tick is 50 ms. */
const MOST_PER_TICK = 10;

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
    /** How many movements of controllers are sent at once until the next tick. */
    this.allowance = MOST_PER_TICK;
    /** The last movement of each controller that waits for it. @type {Map<string, [string, number[]]>} */
    this.waiting = new Map();
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
      if (!chosen || port.state !== "connected") this.release(`midi ${port.id}:`);
      port.onmidimessage = chosen
        ? (/** @type {any} */ event) => this.hear(`midi ${port.id}`, event.data)
        : null;
    }
  }

  /** @param {string} port @param {Uint8Array} data */
  hear(port, data) {
    const [status, first, second] = data;
    const kind = status & 0xf0;
    const channel = status & 15;
    const source = `${port}:${channel.toString(16)}`;
    if (status === RESET) this.release(`${port}:`);
    else if (kind === PROGRAM) this.performer.send(source, [status, first]);
    else if (kind === CONTROL) this.control(source, [status, first, second]);
    else if (kind !== NOTE_ON && kind !== NOTE_OFF) return;
    else if (channel === PAD_CHANNEL) this.performer.send(source, [status, first, second]);
    else if (kind === NOTE_ON && second > 0) this.performer.down(source, first, second);
    else this.performer.up(source, first);
  }

  /** @param {string} source @param {number[]} message */
  control(source, message) {
    const [status, controller, value] = message;
    if (controller < FIRST_MODE_MESSAGE && controller !== SUSTAIN) this.turn(source, message);
    else if ((status & 15) === PAD_CHANNEL) return;
    else if (controller === SUSTAIN) this.performer.pedal(value >= 64);
    else this.end(source, controller);
  }

  /** Handle a channel mode message, which may end notes. @param {string} source @param {number} controller */
  end(source, controller) {
    if (controller === LOCAL_CONTROL) return;
    if (controller !== RESET_CONTROLLERS) this.performer.lift(source);
    if (controller !== ALL_NOTES_OFF) this.performer.pedal(false);
  }

  /**
   * Send the movement of a controller: at once if not too many move, or if a switch may have turned.
   * @param {string} source
   * @param {number[]} message
   */
  turn(source, message) {
    const name = `${source} ${message[1]}`;
    const before = this.waiting.get(name);
    if (before && before[1][2] < 64 !== message[2] < 64) this.performer.send(...before);
    if (this.allowance > 0) {
      this.allowance -= 1;
      this.performer.send(source, message);
    } else this.waiting.set(name, [source, message]);
  }

  /** Release what a port holds, and drop what waits from it. @param {string} port */
  release(port) {
    for (const name of [...this.waiting.keys()]) {
      if (name.startsWith(port)) this.waiting.delete(name);
    }
    this.performer.release(port);
  }

  /** Send what waits. To be called 20 times a second. */
  tick() {
    this.allowance = Math.max(0, MOST_PER_TICK - this.waiting.size);
    for (const [source, message] of this.waiting.values()) this.performer.send(source, message);
    this.waiting.clear();
  }
}
