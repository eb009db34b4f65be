// What this person can see: people, roles, channels, commands and messages, kept current by frames.
// Knows order, unread counts and revisions; must never touch the DOM or the socket.

const KEPT_PER_CHANNEL = 400;

/** Orders snowflakes, which are too large for numbers: by length, then by digits. */
export function compareIds(a, b) {
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export class Store extends EventTarget {
  me = null;
  people = [];
  guild = { id: "0", name: "", icon_text: "", owner_id: null, roles: [] };
  channels = [];
  commands = [];
  bot = { id: null, name: "Aerie", online: false };
  active = null;
  #messages = new Map();
  #revisions = new Map();
  #revision = 0;
  #lastRead = new Map();
  #unread = new Map();
  #complete = new Set();

  /** Takes one frame from the sandbox and tells the views what changed. */
  apply(frame) {
    const take = {
      hello: () => this.#hello(frame),
      message_create: () => this.#put(frame.channel_id, frame.message, true),
      message_update: () => this.#put(frame.channel_id, frame.message, false),
      message_delete: () => this.#remove(frame.channel_id, frame.message_id),
      people: () => { this.people = frame.people ?? []; this.me = this.people.find((person) => person.id === this.me?.id) ?? this.me; this.#tell("people"); },
      commands: () => { this.commands = frame.commands ?? []; this.#tell("commands"); },
      presence: () => {
        this.bot = { ...this.bot, ...(frame.bot ?? {}), online: Boolean(frame.bot?.online ?? frame.online) };
        this.#tell("presence");
      },
      channel_create: () => this.#putChannel(frame.channel),
      channel_update: () => this.#putChannel(frame.channel),
      channel_delete: () => this.#dropChannel(frame.channel_id ?? frame.channel?.id),
    }[frame.type];
    if (take) take();
  }

  /** Messages of a channel, oldest first. */
  messages(channelId) {
    return this.#messages.get(channelId) ?? [];
  }

  message(channelId, id) {
    return this.messages(channelId).find((message) => message.id === id) ?? null;
  }

  /** A number that grows whenever the message must be drawn again. */
  revision(id) {
    return this.#revisions.get(id) ?? 0;
  }

  /** Marks a message for drawing though its content is unchanged: a button started or stopped waiting. */
  touch(channelId, id) {
    this.#bump(id);
    this.#tell("messages", { channelId, id, kind: "update" });
  }

  /** Adds older messages that were asked for; says whether there may be more. */
  prepend(channelId, messages, more) {
    for (const message of messages) this.#insert(channelId, message);
    if (!more) this.#complete.add(channelId);
    this.#tell("messages", { channelId, kind: "older" });
  }

  isComplete(channelId) {
    return this.#complete.has(channelId);
  }

  /** Unread count of a channel: {count, mentioned}. */
  unread(channelId) {
    return this.#unread.get(channelId) ?? { count: 0, mentioned: false };
  }

  /** Makes a channel the one being read; returns the id of the last message read before, or null. */
  open(channelId) {
    const before = this.#lastRead.get(this.#key(channelId)) ?? null;
    this.active = channelId;
    this.#markRead(channelId);
    this.#tell("channels");
    return before;
  }

  channel(id) {
    return this.channels.find((channel) => channel.id === id) ?? null;
  }

  role(id) {
    return this.guild.roles.find((role) => role.id === id) ?? null;
  }

  /** Someone who can be mentioned: a person, or the bot as {id, name, color, bot: true}. */
  person(id) {
    const found = this.people.find((person) => person.id === id);
    if (found) return found;
    return id !== null && id === this.bot.id ? { id, name: this.bot.name, color: null, role_ids: [], bot: true } : null;
  }

  /** A person's roles, highest first, without the one everybody has. */
  rolesOf(person) {
    return this.guild.roles
      .filter((role) => role.id !== this.guild.id && (person.role_ids ?? []).includes(role.id))
      .sort((a, b) => (b.position ?? 0) - (a.position ?? 0));
  }

  #hello(frame) {
    this.me = frame.person;
    this.people = frame.people ?? [];
    this.guild = { roles: [], ...frame.guild };
    this.channels = sorted(frame.channels ?? []);
    this.commands = frame.commands ?? [];
    this.bot = { ...this.bot, ...(frame.bot ?? {}) };
    this.#messages.clear();
    this.#complete.clear();
    this.#unread.clear();
    for (const channel of this.channels) {
      const messages = frame.history?.[channel.id] ?? [];
      for (const message of messages) this.#insert(channel.id, message);
      if (messages.length < 50) this.#complete.add(channel.id);
      this.#countUnread(channel.id);
    }
    if (!this.channel(this.active)) this.active = this.channels.find(isText)?.id ?? null;
    if (this.active) this.#markRead(this.active);
    this.#tell("ready");
  }

  #countUnread(channelId) {
    const key = this.#key(channelId);
    const last = this.#lastRead.get(key);
    const messages = this.messages(channelId);
    if (last === undefined) {
      this.#lastRead.set(key, messages.at(-1)?.id ?? "0");
      return;
    }
    for (const message of messages) if (compareIds(message.id, last) > 0) this.#addUnread(channelId, message);
  }

  #put(channelId, message, isNew) {
    const list = this.messages(channelId);
    const index = list.findIndex((known) => known.id === message.id);
    if (index >= 0) {
      list[index] = message;
      this.#bump(message.id);
      this.#tell("messages", { channelId, id: message.id, kind: "update", message });
      return;
    }
    if (!isNew && list.length && compareIds(message.id, list[0].id) < 0) return; // older than what is shown here
    this.#insert(channelId, message);
    if (isNew) this.#arrived(channelId, message);
    this.#tell("messages", { channelId, id: message.id, kind: "create", message });
  }

  #arrived(channelId, message) {
    const reading = channelId === this.active && !document.hidden;
    if (reading) this.#markRead(channelId);
    else if (message.author?.id !== this.me?.id) {
      this.#addUnread(channelId, message);
      this.#tell("channels");
    }
  }

  #addUnread(channelId, message) {
    if (message.author?.id === this.me?.id) return;
    const old = this.unread(channelId);
    const mentioned = message.mention_everyone || (message.mentions ?? []).some((user) => user.id === this.me?.id);
    this.#unread.set(channelId, { count: old.count + 1, mentioned: old.mentioned || Boolean(mentioned) });
  }

  #insert(channelId, message) {
    let list = this.#messages.get(channelId);
    if (!list) this.#messages.set(channelId, list = []);
    let at = list.length;
    while (at > 0 && compareIds(list[at - 1].id, message.id) > 0) at -= 1;
    if (at > 0 && list[at - 1].id === message.id) list[at - 1] = message;
    else list.splice(at, 0, message);
    this.#bump(message.id);
    if (list.length > KEPT_PER_CHANNEL && at === list.length - 1) {
      for (const gone of list.splice(0, list.length - KEPT_PER_CHANNEL + 50)) this.#revisions.delete(gone.id);
      this.#complete.delete(channelId);
    }
  }

  #remove(channelId, id) {
    const list = this.messages(channelId);
    const index = list.findIndex((message) => message.id === id);
    if (index < 0) return;
    list.splice(index, 1);
    this.#revisions.delete(id);
    this.#tell("messages", { channelId, id, kind: "delete" });
  }

  #putChannel(channel) {
    if (!channel) return;
    this.channels = sorted([...this.channels.filter((known) => known.id !== channel.id), channel]);
    this.#tell("channels");
  }

  #dropChannel(id) {
    this.channels = this.channels.filter((channel) => channel.id !== id);
    if (this.active === id) {
      this.active = this.channels.find(isText)?.id ?? null;
      this.#tell("ready");
    } else this.#tell("channels");
  }

  /** Called when the window is looked at again. */
  lookedAt() {
    if (!this.active) return;
    this.#markRead(this.active);
    this.#tell("channels");
  }

  #markRead(channelId) {
    this.#lastRead.set(this.#key(channelId), this.messages(channelId).at(-1)?.id ?? "0");
    this.#unread.delete(channelId);
  }

  #key(channelId) {
    return `${this.me?.id}:${channelId}`;
  }

  #bump(id) {
    this.#revision += 1;
    this.#revisions.set(id, this.#revision);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** True for channels that hold messages (text, announcements, threads), false for categories and voice. */
export function isText(channel) {
  return [0, 5, 10, 11, 12].includes(channel.type ?? 0);
}

function sorted(channels) {
  return [...channels].sort((a, b) => (a.position ?? 0) - (b.position ?? 0) || compareIds(a.id, b.id));
}
