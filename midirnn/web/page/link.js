// The connection to the server: it reconnects by itself, and notices when the server is silent.

import { pageTime } from "./clocks.js";

const PING_SECONDS = 0.1;
const IDLE_PING_SECONDS = 0.25;

/**
 * A server that has not answered for this long, during this many ticks (20 a second), is gone. While
 * the whole machine stalls there are no ticks either, and answers arrive before the next ones.
 */
const SILENT_SECONDS = 0.4;
const SILENT_TICKS = 8;
const LEAST_TICK_SECONDS = 0.03;
const FIRST_WAIT_MS = 150;
const LONGEST_WAIT_MS = 2000;

/** @typedef {Record<string, any> & {t: string}} Message */

export class Link {
  /**
   * @param {string} token
   * @param {{
   *   hear: (messages: Message[]) => void,
   *   change: (state: "open" | "lost" | "refused") => void,
   *   silent: () => void,
   *   pong: (sent: number, answered: number, received: number) => void,
   * }} on
   */
  constructor(token, on) {
    this.token = token;
    this.on = on;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.wait = FIRST_WAIT_MS;
    this.heardAt = 0;
    this.tickedAt = 0;
    this.silentTicks = 0;
    this.pingedAt = 0;
    this.isSilent = false;
    this.messages = 0;
  }

  get open() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  connect() {
    const address = new URL(`socket?token=${encodeURIComponent(this.token)}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(address));
    socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      this.heardAt = pageTime();
      this.silentTicks = 0;
      this.on.change("open");
      this.ping();
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.on.change("lost");
      setTimeout(() => this.again(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    };
  }

  /** Connect again, unless this page's token is one of an earlier start. */
  async again() {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.status === 403) {
        this.on.change("refused");
        setTimeout(() => this.again(), LONGEST_WAIT_MS);
        return;
      }
    } catch {
      // There is no server yet.
    }
    this.connect();
  }

  /** @param {string} text */
  receive(text) {
    const received = pageTime();
    this.heardAt = received;
    this.silentTicks = 0;
    this.isSilent = false;
    this.messages += 1;
    /** @type {Message[]} */
    const messages = JSON.parse(text);
    for (const message of messages) {
      if (message.t === "pong") this.on.pong(message.c, message.s, received);
    }
    this.on.hear(messages.filter((message) => message.t !== "pong"));
  }

  /** @param {Message} message */
  send(message) {
    if (this.open) this.socket?.send(JSON.stringify(message));
    return this.open;
  }

  ping() {
    this.pingedAt = pageTime();
    this.send({ t: "ping", c: this.pingedAt });
  }

  /** Tick: ping, and notice a server that no longer answers. @param {boolean} busy */
  tick(busy) {
    const now = pageTime();
    if (!this.open) return;
    if (now - this.pingedAt >= (busy ? PING_SECONDS : IDLE_PING_SECONDS) - 0.02) this.ping();
    if (now - this.tickedAt >= LEAST_TICK_SECONDS) this.silentTicks += 1; // ignore ticks in a burst
    this.tickedAt = now;
    const isGone = this.silentTicks >= SILENT_TICKS && now - this.heardAt > SILENT_SECONDS;
    if (isGone && !this.isSilent) {
      this.isSilent = true;
      this.on.silent();
    }
  }
}
