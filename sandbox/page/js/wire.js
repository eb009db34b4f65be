// The WebSocket to the sandbox: frames in, numbered operations out, reconnecting for as long as the page lives.
// Knows connection state and pending answers; must never interpret a frame beyond `result`.

const FIRST_DELAY = 400;
const LONGEST_DELAY = 5000;
const ANSWER_LIMIT = 15000;

/** An operation the sandbox refused, or that got no answer; the message is for people. */
export class Refused extends Error {}

export class Wire extends EventTarget {
  #socket = null;
  #waiting = new Map();
  #nonce = 0;
  #delay = FIRST_DELAY;
  #timer = 0;
  #person = null;

  /** `status` is "connecting", "open" or "lost"; each change is dispatched as a `status` event. */
  status = "connecting";

  /** Speaks as this person from now on; an older connection is closed for good. */
  become(person) {
    this.#person = person;
    this.#delay = FIRST_DELAY;
    this.#open();
  }

  /** Sends one operation; resolves with the answer's data, rejects with Refused. */
  ask(op, body = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refused("You are offline. Aerie's sandbox is not answering; try again when the page has reconnected."));
    }
    this.#nonce += 1;
    const nonce = `p${this.#nonce}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(nonce);
        reject(new Refused("The sandbox took too long to answer. Try again."));
      }, ANSWER_LIMIT);
      this.#waiting.set(nonce, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ op, nonce, ...body }));
    });
  }

  /** Tries again at once, for a person who does not want to wait for the next attempt. */
  retryNow() {
    if (this.status !== "open") this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    const old = this.#socket;
    if (old) {
      this.#socket = null;
      old.close(1000);
    }
    this.#failWaiting();
    const url = new URL("sandbox/ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("person", this.#person);
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#become("connecting");
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#receive(event.data);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#lost(event);
    });
  }

  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return; // a frame cut short by a dying server; the close that follows reconnects
    }
    if (frame.type === "result") {
      this.#answer(frame);
      return;
    }
    if (frame.type === "hello") {
      this.#delay = FIRST_DELAY;
      this.#become("open");
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  #answer(frame) {
    const waiter = this.#waiting.get(frame.nonce);
    if (!waiter) return;
    this.#waiting.delete(frame.nonce);
    clearTimeout(waiter.timer);
    if (frame.ok) waiter.resolve(frame.data ?? {});
    else waiter.reject(new Refused(sentence(frame.error)));
  }

  #lost(event) {
    this.#socket = null;
    this.#failWaiting();
    this.#become("lost", event);
    this.#timer = setTimeout(() => this.#open(), this.#delay * (0.8 + Math.random() * 0.4));
    this.#delay = Math.min(LONGEST_DELAY, this.#delay * 1.7);
  }

  #failWaiting() {
    for (const waiter of this.#waiting.values()) {
      clearTimeout(waiter.timer);
      waiter.reject(new Refused("The connection was lost before the sandbox answered. Try again."));
    }
    this.#waiting.clear();
  }

  #become(status, event) {
    this.status = status;
    this.dispatchEvent(new CustomEvent("status", { detail: { status, code: event?.code, reason: event?.reason } }));
  }
}

function sentence(error) {
  if (typeof error === "string" && error) return error;
  if (error && typeof error.message === "string") return error.message;
  return "The sandbox refused that without saying why.";
}
