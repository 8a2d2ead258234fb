"use strict";

// Everything that this page asks of the service. What an ID contains never makes part of an address: each is encoded.
const ENDPOINTS = {
  ready: ["GET", "/ready"],
  recommend: ["GET", "/recommend/{user}"],
  because: ["GET", "/because/{user}/{item}"],
  knownItems: ["GET", "/knownItems/{user}"],
  similarity: ["GET", "/similarity/{items}"],
  mostPopularItems: ["GET", "/mostPopularItems"],
  mostActiveUsers: ["GET", "/mostActiveUsers"],
  postPref: ["POST", "/pref/{user}/{item}"],
  deletePref: ["DELETE", "/pref/{user}/{item}"],
};
const HOW_MANY = 10;
const READY_EVERY_MS = 3000;

const at = (id) => document.getElementById(id);
const mayWrite = document.documentElement.dataset.writes === "yes";

class Refused extends Error {}

/** One segment of a path. Browsers take "." and ".." for folders, however they are written. */
function segment(id) {
  if (id === "." || id === "..") throw new Refused(`A browser cannot ask for the ID “${id}”; other clients can.`);
  try {
    return encodeURIComponent(id);
  } catch {
    throw new Refused("This is not Unicode: half of a surrogate pair is in it.");
  }
}

/** Ask the service: `ids` fill the path, `query` follows it. Refused says why it did not answer. */
async function ask(name, ids = {}, { query = {}, body } = {}) {
  const [method, template] = ENDPOINTS[name];
  const path = template.slice(1).replace(/\{(\w+)\}/g, (_, key) => segment(ids[key]));
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined));
  const address = new URL(search.size ? `${path}?${search}` : path, document.baseURI);
  const headers = { Accept: "application/json" };
  let response;
  let text;
  try {
    response = await fetch(address, { method, body, headers, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new Refused("The service does not answer.");
  }
  if (!response.ok) throw Object.assign(new Refused(reason(response, text)), { problem: parsed(text) });
  return { value: text ? JSON.parse(text) : null, offset: response.headers.get("X-Oryx-Offset") ?? undefined };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function reason(response, text) {
  const { detail, request_id } = parsed(text);
  const said = detail ? detail[0].toUpperCase() + detail.slice(1) : `The answer was ${response.status} ${response.statusText}.`;
  return response.status >= 500 && request_id ? `${said} (request ${request_id})` : said;
}

/** Make an element; what it shows is text, whatever it looks like. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", textContent: text, onclick, ...properties });

function show(node, text) {
  node.hidden = !text;
  node.textContent = text ?? "";
}

const milliseconds = (since) => (performance.now() - since).toFixed(1);
const number = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(3));

/** Run one thing at a time in a place of the page; what a newer one has overtaken says nothing any more. */
const newest = new Map();
async function inPlace(place, work) {
  const mine = Symbol(place);
  newest.set(place, mine);
  const current = () => newest.get(place) === mine;
  const message = at(`${place}-message`);
  try {
    await work(current);
    if (current()) show(message, null);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (current()) show(message, error.message);
  }
}

// Rankings ---------------------------------------------------------------------------------------------------------

function ranking(list, rows, key, { before, acts = () => [] } = {}) {
  const largest = Math.max(...rows.map((row) => Math.abs(row[key])), 1e-9);
  const places = new Map((before ?? []).map((id, place) => [id, place]));
  list.replaceChildren(
    ...rows.map((row, place) => {
      const entry = at("ranked").content.firstElementChild.cloneNode(true);
      const name = entry.querySelector(".name");
      name.textContent = row.id;
      name.onclick = () => similarTo(row.id);
      entry.querySelector(".value").textContent = number(row[key]);
      entry.querySelector(".bar i").style.setProperty("--share", Math.max(row[key], 0) / largest);
      if (before) moved(entry, places.get(row.id), place);
      entry.querySelector(".acts").append(...acts(row, entry));
      return entry;
    }),
  );
  if (!rows.length) list.append(element("li", { className: "none", textContent: "None." }));
}

function moved(entry, from, to) {
  if (from === to) return;
  const sign = entry.querySelector(".moved");
  sign.textContent = from === undefined ? "new" : from > to ? `▲ ${from - to}` : `▼ ${to - from}`;
  sign.classList.toggle("down", from < to);
  if (!(from < to)) entry.classList.add("changed");
}

// A user -----------------------------------------------------------------------------------------------------------

let shown = { user: null, items: [] };

async function recommend(user, { after, timing } = {}) {
  await inPlace("user", async (current) => {
    if (!timing) show(at("timing"), null);
    const [known, best] = await Promise.allSettled([
      ask("knownItems", { user }, { query: { after } }),
      ask("recommend", { user }, { query: { howMany: HOW_MANY, after } }),
    ]);
    if (!current()) return;
    const unknown = best.status === "rejected" && best.reason.problem?.status === 404;
    if (known.status === "rejected") throw known.reason;
    if (best.status === "rejected" && !unknown) throw best.reason;
    const rows = unknown ? [] : best.value.value;
    const before = shown.user === user && after ? shown.items : undefined;
    shown = { user, items: rows.map((row) => row.id) };
    at("user-results").hidden = false;
    at("user-name").textContent = user;
    ranking(at("recommended"), rows, "value", { before, acts: (row, entry) => acts(user, row.id, entry) });
    if (unknown) at("recommended").replaceChildren(element("li", { className: "none", textContent: beginning(best.reason.message) }));
    knownItems(user, known.value.value);
    if (timing) show(at("timing"), timing());
  });
}

const beginning = (text) => (mayWrite ? `${text}. Record an interaction to begin with.` : `${text}.`);

function knownItems(user, items) {
  at("known-count").textContent = items.length ? `(${items.length})` : "";
  const chips = items.map((item) => {
    const chip = element("li", {}, button(item, () => similarTo(item), { title: "Show similar items" }));
    const takeBack = () => write("deletePref", user, item);
    if (mayWrite) chip.append(button("×", takeBack, { className: "take-back", title: "Take back", ariaLabel: `Take back ${item}` }));
    return chip;
  });
  at("known").replaceChildren(...(chips.length ? chips : [element("li", { className: "none", textContent: "None." })]));
}

function acts(user, item, entry) {
  const why = button("Why?", () => explain(user, item, entry, why), { ariaExpanded: "false" });
  return mayWrite ? [why, button("Record", () => write("postPref", user, item, "1"))] : [why];
}

async function explain(user, item, entry, why) {
  const list = entry.querySelector(".why");
  if (!list.hidden) {
    list.hidden = true;
    why.ariaExpanded = "false";
    return;
  }
  let rows;
  try {
    const { value } = await ask("because", { user, item }, { query: { howMany: 4 } });
    rows = value.map((row) => element("li", {}, element("span", { textContent: row.id }), element("span", { textContent: number(row.value) })));
    if (!rows.length) rows = [element("li", { textContent: "This user knows nothing yet." })];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    rows = [element("li", { textContent: error.message })];
  }
  list.replaceChildren(...rows);
  list.hidden = false;
  why.ariaExpanded = "true";
}

/** Write, and read what has become of it: the time between the two is what people wait for. */
async function write(name, user, item, strength) {
  await inPlace("user", async () => {
    const began = performance.now();
    const { offset } = await ask(name, { user, item }, { body: strength });
    const stored = milliseconds(began);
    const kept = performance.now();
    const place = offset ? ` at ${offset}` : "";
    const timing = () => `${item}: Kafka had it${place} after ${stored} ms; it was in the answers ${milliseconds(kept)} ms later.`;
    await recommend(user, { after: offset, timing });
  });
}

// Items ------------------------------------------------------------------------------------------------------------

async function similarTo(item) {
  at("item").value = item;
  await inPlace("item", async (current) => {
    at("similar").replaceChildren();
    const { value } = await ask("similarity", { items: item }, { query: { howMany: HOW_MANY } });
    if (current()) ranking(at("similar"), value, "value");
  });
  if (at("item-title").getBoundingClientRect().top > innerHeight) at("item-title").scrollIntoView({ behavior: "smooth" });
}

async function popular() {
  await inPlace("popular", async () => {
    const [items, users] = await Promise.all([
      ask("mostPopularItems", {}, { query: { howMany: HOW_MANY } }),
      ask("mostActiveUsers", {}, { query: { howMany: 6 } }),
    ]);
    ranking(at("popular"), items.value, "count");
    at("active").hidden = !users.value.length;
    at("active-users").replaceChildren(...users.value.map((row) => element("span", {}, button(row.id, () => open(row.id)))));
  });
}

// The service ------------------------------------------------------------------------------------------------------

let served;

async function readiness() {
  let state;
  try {
    state = (await ask("ready")).value;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    state = error.problem ?? { away: error.message };
  }
  at("state").dataset.is = state.away ? "away" : state.ready ? "ready" : "waiting";
  const generation = state.generation ? `generation ${state.generation}, epoch ${state.epoch}` : "no model";
  show(at("state-text"), state.away ?? `${state.ready ? "Ready" : "Not ready"}: ${generation}`);
  show(at("waiting"), state.waiting_for?.length ? `Waiting: ${state.waiting_for.join("; ")}` : null);
  if (state.generation && state.generation !== served) {
    served = state.generation;
    await popular();
  }
}

async function watch() {
  if (!document.hidden) await readiness();
  setTimeout(watch, READY_EVERY_MS);
}

function open(user) {
  at("user").value = user;
  const hash = `#${new URLSearchParams({ user })}`;
  if (location.hash === hash) recommend(user);
  else location.hash = hash;
}

function fromAddress() {
  const user = new URLSearchParams(location.hash.slice(1)).get("user");
  if (!user) return;
  at("user").value = user;
  recommend(user);
}

at("user-form").onsubmit = (event) => {
  event.preventDefault();
  open(at("user").value);
};
at("item-form").onsubmit = (event) => {
  event.preventDefault();
  similarTo(at("item").value);
};
at("pref-form").onsubmit = (event) => {
  event.preventDefault();
  write("postPref", shown.user, at("pref-item").value, at("pref-strength").value);
};
addEventListener("hashchange", fromAddress);
watch();
fromAddress();
