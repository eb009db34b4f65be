// What this person asked of the bot and has no answer to yet: commands, presses, choices. Knows who waits for what
// and which interaction failed; must never decide what an answer means.

const PATIENCE = 4500; // the sandbox declares an interaction failed after 3 s; a silent acknowledgement simply ends the wait

export class Interactions extends EventTarget {
  #wire;
  #store;
  #onError;
  #waiting = []; // [{id, channelId, messageId, customId, command, at, timer}]
  #failures = new Map(); // message id -> words
  #refusals = []; // [{id, channelId, command, words}] commands that failed without a message
  #settled = new Set();
  #local = 0;

  constructor(wire, store, onError) {
    super();
    this.#wire = wire;
    this.#store = store;
    this.#onError = onError;
  }

  /** Runs a slash command; resolves once the sandbox has accepted it, rejects with the sentence why not. */
  async run(channelId, command, options) {
    const entry = this.#begin({ channelId, command });
    try {
      this.#accepted(entry, await this.#wire.ask("run", { channel_id: channelId, command, options }));
    } catch (error) {
      this.#end(entry);
      throw error;
    }
  }

  /** Presses a button or chooses in a select of a message. */
  async act(op, message, customId, values) {
    if (this.isBusy(message.id, customId)) return;
    this.#failures.delete(message.id);
    const entry = this.#begin({ channelId: message.channel_id, messageId: message.id, customId });
    try {
      const body = { channel_id: message.channel_id, message_id: message.id, custom_id: customId };
      this.#accepted(entry, await this.#wire.ask(op, values ? { ...body, values } : body));
    } catch (error) {
      this.#end(entry);
      this.#fail(message.channel_id, message.id, error.message);
    }
  }

  /** Sends a form; resolves once accepted. */
  async submit(modal, values, channelId) {
    const data = await this.#wire.ask("submit", { interaction_id: modal.interaction_id, custom_id: modal.custom_id, values });
    const entry = this.#begin({ channelId, command: modal.title });
    this.#accepted(entry, data);
  }

  /** True while this component waits for the bot. */
  isBusy(messageId, customId) {
    return this.#waiting.some((entry) => entry.messageId === messageId && entry.customId === customId);
  }

  /** Words of a failure that belongs under a message, or null. */
  failure(messageId) {
    return this.#failures.get(messageId) ?? null;
  }

  /** Commands of a channel without an answer: [{id, command, at}], and those that failed: [{id, command, words}]. */
  pending(channelId) {
    return this.#waiting.filter((entry) => entry.channelId === channelId && entry.command);
  }

  refused(channelId) {
    return this.#refusals.filter((entry) => entry.channelId === channelId);
  }

  dismiss(entry) {
    this.#refusals = this.#refusals.filter((known) => known !== entry);
    this.#changed(entry.channelId);
  }

  /** Looks at a frame for what it settles. Call before the views draw it. */
  see(frame) {
    if (frame.type === "hello") this.#reset();
    else if (frame.type === "message_create" || frame.type === "message_update") this.#answered(frame);
    else if (frame.type === "message_delete") this.#settleMessage(frame.message_id);
    else if (frame.type === "modal") this.#settle(frame.interaction_id);
    else if (frame.type === "interaction_failed") this.#failed(frame);
  }

  #answered(frame) {
    const id = frame.message.interaction_metadata?.id;
    if (id) this.#settle(id);
    if (frame.type === "message_update") this.#settleMessage(frame.message.id);
  }

  #failed(frame) {
    const entry = this.#waiting.find((known) => known.id === frame.interaction_id);
    this.#settle(frame.interaction_id);
    const words = frame.reason || "This interaction failed";
    const messageId = frame.message_id ?? entry?.messageId;
    const channelId = entry?.channelId ?? frame.channel_id ?? this.#store.active;
    if (messageId && this.#store.message(channelId, messageId)) this.#fail(channelId, messageId, words);
    else {
      this.#refusals.push({ id: frame.interaction_id, channelId, command: entry?.command ?? null, words });
      this.#changed(channelId);
    }
  }

  #begin(entry) {
    this.#local += 1;
    const made = { id: null, at: Date.now(), key: this.#local, ...entry };
    made.timer = setTimeout(() => this.#end(made), PATIENCE);
    this.#waiting.push(made);
    this.#redraw(made);
    return made;
  }

  #accepted(entry, data) {
    entry.id = data.interaction_id ?? null;
    if (entry.id && this.#settled.delete(entry.id)) this.#end(entry); // the answer was faster than the acceptance
  }

  #settle(id) {
    const entry = this.#waiting.find((known) => known.id === id);
    if (entry) this.#end(entry);
    else {
      this.#settled.add(id);
      if (this.#settled.size > 200) this.#settled.delete(this.#settled.values().next().value);
    }
  }

  #settleMessage(messageId) {
    for (const entry of this.#waiting.filter((known) => known.messageId === messageId)) this.#end(entry);
  }

  #end(entry) {
    clearTimeout(entry.timer);
    if (!this.#waiting.includes(entry)) return;
    this.#waiting = this.#waiting.filter((known) => known !== entry);
    this.#redraw(entry);
  }

  #fail(channelId, messageId, words) {
    if (!this.#store.message(channelId, messageId)) {
      this.#onError(words);
      return;
    }
    this.#failures.set(messageId, words);
    this.#store.touch(channelId, messageId);
  }

  /** Forgets the failure under a message, for its Dismiss button. */
  forgive(message) {
    this.#failures.delete(message.id);
    this.#store.touch(message.channel_id, message.id);
  }

  #redraw(entry) {
    if (entry.messageId) this.#store.touch(entry.channelId, entry.messageId);
    else this.#changed(entry.channelId);
  }

  #changed(channelId) {
    this.dispatchEvent(new CustomEvent("change", { detail: { channelId } }));
  }

  #reset() {
    for (const entry of this.#waiting) clearTimeout(entry.timer);
    this.#waiting = [];
    this.#failures.clear();
    this.#refusals = [];
  }
}
