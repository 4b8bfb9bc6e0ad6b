// Draws one run from the document in the page. Only what lies in view is drawn, so a long run stays quick.
"use strict";

const film = JSON.parse(document.getElementById("film").textContent);
const SVG = "http://www.w3.org/2000/svg";
const GUTTER = 128, ROW = 18, THIN = 11, BASE = 26, AXIS = 24, TOP = 6, DRAWN_MAX = 4000, UNFOLDED_MAX = 12, NEAR = 400, ROOM_PER_ARROW = 8;
const STATUSES = ["proposed", "accepted", "enrolled", "active", "degraded", "suspended", "revoked"];
const LIFETIMES = ["token", "certificate", "anchor", "grant"];
const byId = (id) => document.getElementById(id);
const bySeq = new Map(film.events.map((event) => [event.seq, event]));
const effects = new Map();
for (const event of film.events) {
  if (event.cause !== null) effects.set(event.cause, [...(effects.get(event.cause) ?? []), event.seq]);
}
const shownEvents = film.events.filter((event) => event.at >= 0);
const times = shownEvents.map((event) => event.at);
const lastOf = (values, fallback) => (values.length ? values[values.length - 1] : fallback);
const runEnd = Math.max(film.end, lastOf(times, 0), 1e-6);
const state = { scale: "order", from: 0, to: 1, selected: null, turned: new Set() };
const grouped = (items, key) => { const found = new Map(); for (const item of items) { const name = key(item); if (!found.has(name)) found.set(name, []); found.get(name).push(item); } return found; };
const spansOf = grouped(film.spans, (span) => span.host);
const peersOf = new Map(film.hosts.map((host) => [host, [...grouped((spansOf.get(host) ?? []).filter((span) => span.kind === "status"), (span) => span.who)]]));

// --- where a moment stands ---------------------------------------------------------------------------------------------

// In order of events each has the same room; a moment between two of them lies between them. Both scales go from 0 to 1.
function place(at) {
  if (state.scale === "time") return Math.min(1, Math.max(0, at / runEnd));
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] <= at) low = middle + 1; else high = middle; }
  const before = low ? times[low - 1] : 0, after = low < times.length ? times[low] : runEnd;
  const part = after > before ? Math.min(1, (at - before) / (after - before)) : 0;
  return (low + part) / (times.length + 1);
}
const orderOf = new Map(shownEvents.map((event, index) => [event.seq, (index + 1) / (shownEvents.length + 1)]));
const placeOf = (event) => (state.scale === "order" ? orderOf.get(event.seq) ?? 0 : place(event.at));
const moment = (position) => {
  if (state.scale === "time") return position * runEnd;
  const index = position * (times.length + 1) - 1, low = Math.floor(index);
  const before = low < 0 ? 0 : times[Math.min(low, times.length - 1)] ?? 0, after = times[low + 1] ?? runEnd;
  return before + (after - before) * (index - low);
};
const width = () => byId("picture").clientWidth - GUTTER - 8;
const x = (position) => GUTTER + ((position - state.from) / (state.to - state.from)) * width();

function clock(seconds) {
  // Rounded first, or the last half second of a minute would be its sixtieth.
  const digits = state.to - state.from < 0.05 ? 3 : seconds < 60 ? 2 : 0;
  seconds = Number(seconds.toFixed(digits));
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (seconds - hours * 3600 - minutes * 60).toFixed(digits);
  return (hours ? `${hours} h ` : "") + (hours || minutes ? `${minutes} min ` : "") + `${rest} s`;
}

// --- lanes -------------------------------------------------------------------------------------------------------------

// Bars of one row must not cover each other: each goes into the first row that is free at its start.
function packed(spans) {
  const ends = [];
  return spans.map((span) => {
    const end = span.end ?? Infinity;
    let row = ends.findIndex((taken) => taken <= span.start);
    if (row < 0) row = ends.length;
    ends[row] = end;
    return [span, row];
  }).sort((one, other) => one[1] - other[1]);
}
// Which platforms are shown: all, or those that one of the words in the field stands for.
function chosen() {
  const words = byId("only").value.trim().split(/[\s,]+/).filter(Boolean);
  if (!words.length) return null;
  const rules = words.map((word) => new RegExp(`^${word.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*")}$`));
  return new Set(film.hosts.filter((host) => rules.some((rule) => rule.test(host))));
}
// One bar in place of many: what is worst of them at each moment, or how many there are.
const WORST = ["degraded", "suspended", "accepted", "proposed", "enrolled", "revoked", "active"];
function summed(spans, told) {
  const edges = [...new Set(spans.flatMap((span) => [span.start, span.end ?? runEnd]))].sort((one, other) => one - other);
  const starts = grouped(spans, (span) => span.start), ends = grouped(spans, (span) => span.end ?? runEnd), counts = new Map(), found = [];
  for (let index = 0; index < edges.length; index++) {
    for (const span of ends.get(edges[index]) ?? []) counts.set(span.label, counts.get(span.label) - 1);
    for (const span of starts.get(edges[index]) ?? []) if ((span.end ?? runEnd) > span.start) counts.set(span.label, (counts.get(span.label) ?? 0) + 1);
    const label = told(counts), last = found[found.length - 1];
    if (last && last.label === label) continue;
    if (last) last.end = edges[index];
    found.push({ kind: "summary", host: "", who: "", label, start: edges[index], end: null, expires: null });
  }
  return found.filter((span) => span.label);
}
const worst = (counts) => { const label = WORST.find((name) => counts.get(name) > 0); return label ? `${label} ${counts.get(label)}` : ""; };
const howMany = (counts) => { let all = 0; for (const count of counts.values()) all += count; return all ? `${all} ways` : ""; };
const summaries = new Map();
function summary(host, peers) {
  if (!summaries.has(host)) summaries.set(host, summed(peers.flatMap(([, spans]) => spans), worst));
  return summaries.get(host);
}

// Of one platform all ways are shown, of several those among them; a mapping has no other end.
function between(only, span) {
  if (!only) return true;
  const ends = [span.host, span.who].filter((name) => film.hosts.includes(name)), inside = ends.filter((name) => only.has(name));
  return only.size > 1 ? inside.length === ends.length : inside.length > 0;
}

function lanes() {
  const found = [], only = chosen(), shown = film.hosts.filter((host) => !only || only.has(host));
  const folds = shown.length > UNFOLDED_MAX;
  let y = TOP;
  const network = film.spans.filter((span) => (span.kind === "cut" || span.kind === "mapping") && between(only, span));
  if (network.length) {
    const rows = [...new Set(network.map((span) => `${span.kind} ${span.host} → ${span.who}`))];
    const folded = (rows.length > UNFOLDED_MAX) !== state.turned.has("network");
    const height = 8 + (folded ? 1 : rows.length) * ROW;
    found.push({ name: "network", y, height, rows, network, folded });
    y += height + 8;
  }
  for (const host of shown) {
    const own = spansOf.get(host) ?? [], all = peersOf.get(host) ?? [];
    const peers = !byId("show-peers").checked ? [] : only ? all.filter(([who]) => only.has(who)) : all;
    const folded = folds !== state.turned.has(host);
    const lives = byId("show-lifetimes").checked && !folded ? packed(own.filter((span) => LIFETIMES.includes(span.kind) && !(only && film.hosts.includes(span.who) && !only.has(span.who)))) : [];
    const lifeRows = lives.reduce((most, [, row]) => Math.max(most, row + 1), 0);
    const height = BASE + (folded ? 0 : peers.length * ROW) + lifeRows * (THIN + 3) + (folded ? 2 : 10);
    found.push({ name: host, y, height, base: y + BASE / 2 + (folded ? -2 : 2), peers, own, lives, folded });
    y += height + (folded ? 4 : 18);
  }
  return { found, height: y, shown: new Set(shown) };
}
// Only what is near the window is drawn; the rest comes when it is scrolled to.
function band() {
  const top = -byId("picture").getBoundingClientRect().top;
  return [top - NEAR, top + window.innerHeight + NEAR];
}

// --- drawing -----------------------------------------------------------------------------------------------------------

function add(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}
const tone = (name) => `--tone: var(--${name})`;
function tip(node, text) { add(node, "title", {}, text); return node; }
const inView = (start, end) => end >= state.from && start <= state.to;

function bar(parent, span, y, height, label, colour) {
  const start = place(span.start), end = span.end === null ? 1 : place(span.end);
  if (!inView(start, end)) return;
  const left = Math.max(GUTTER, x(start)), right = Math.min(GUTTER + width(), Math.max(x(end), left + 2));
  const node = add(parent, "rect", { class: height < ROW - 3 ? "bar thin" : "bar", x: left, y, width: right - left, height, style: tone(colour) });
  tip(node, `${span.label || span.kind}${span.who ? `, ${span.who}` : ""}: ${clock(span.start)} to ${span.end === null ? "the end" : clock(span.end)}`);
  node.addEventListener("click", () => selectSpan(span));
  if (label && right - left > 7 * label.length) add(parent, "text", { class: "inside", x: left + 5, y: y + height - 4 }, label);
  if (span.expires !== null && span.expires <= runEnd && span.expires > (span.end ?? runEnd)) {
    add(parent, "line", { class: "expiry", style: tone(colour), x1: right, x2: Math.min(x(place(span.expires)), GUTTER + width()), y1: y + height / 2, y2: y + height / 2 });
  }
}

function drawAxis(svg, height) {
  const ruler = byId("axis"), count = Math.max(2, Math.floor(width() / 130));
  ruler.replaceChildren();
  for (let index = 0; index <= count; index++) {
    const position = state.from + ((state.to - state.from) * index) / count, at = x(position);
    add(svg, "line", { class: "axis", x1: at, x2: at, y1: 0, y2: height });
    const anchor = index === count ? "end" : "middle";
    if (index) add(ruler, "text", { class: "faint", x: at, y: 12, "text-anchor": anchor }, clock(Math.max(0, moment(position))));
  }
}

function turn(name) {
  if (!state.turned.delete(name)) state.turned.add(name);
  draw();
}
function drawLane(svg, lane) {
  add(svg, "rect", { class: "lane", x: GUTTER, y: lane.y, width: width(), height: lane.height });
  const name = add(svg, "text", { class: "name", x: 0, y: lane.y + 17 }, `${lane.folded ? "▸" : "▾"} ${lane.name}`);
  name.addEventListener("click", () => turn(lane.name));
  if (lane.rows) {
    if (lane.folded) {
      for (const kind of ["cut", "mapping"]) for (const span of summed(lane.network.filter((each) => each.kind === kind), howMany)) bar(svg, span, lane.y + 4, ROW - 4, span.label, kind);
      return;
    }
    for (const span of lane.network) {
      const row = lane.rows.indexOf(`${span.kind} ${span.host} → ${span.who}`);
      bar(svg, span, lane.y + 4 + row * ROW, ROW - 4, `${span.host} → ${span.who}: ${span.label}`, span.kind);
    }
    return;
  }
  add(svg, "line", { class: "base", x1: GUTTER, x2: GUTTER + width(), y1: lane.base, y2: lane.base });
  for (const span of lane.own.filter((each) => each.kind === "down")) bar(svg, span, lane.base - 5, 10, "", "down");
  if (lane.folded) {
    for (const span of summary(lane.name, peersOf.get(lane.name) ?? [])) bar(svg, span, lane.y + lane.height - 8, 6, "", span.label.split(" ")[0]);
    return;
  }
  lane.peers.forEach(([peer, spans], index) => {
    const y = lane.y + BASE + index * ROW;
    add(svg, "text", { class: "faint", x: 12, y: y + 12 }, `sees ${peer}`.slice(0, 20));
    for (const span of spans) bar(svg, span, y, ROW - 3, span.label, span.label);
  });
  const top = lane.y + BASE + lane.peers.length * ROW + 4;
  for (const [span, row] of lane.lives) bar(svg, span, top + row * (THIN + 3), THIN, "", span.kind);
}

const heartbeat = (event) => /heartbeat|\bBeat\b|LivenessTick|Liveness/i.test(event.what);
const wanted = (event) => byId("show-heartbeats").checked || !heartbeat(event);

function drawEvents(svg, bases, near) {
  const visible = shownEvents.filter((event) => { const at = placeOf(event), base = bases.get(event.host); return at >= state.from && at <= state.to && base >= near[0] && base <= near[1] && wanted(event); });
  let turns = byId("show-turns").checked ? visible.filter((event) => event.kind === "turn" || event.kind === "operator" || event.kind === "life") : [];
  const hidden = Math.max(0, turns.length - DRAWN_MAX);
  turns = turns.slice(0, DRAWN_MAX);
  for (const event of turns) {
    const base = bases.get(event.host);
    if (base === undefined) continue;
    const bad = /^(crashed|refused)/.test(event.outcome) || (event.kind === "life" && event.what === "crash");
    const node = add(svg, "circle", { class: `tick ${event.outcome === "saved" ? "saved" : ""} ${bad ? "bad" : ""}`, cx: x(placeOf(event)), cy: base, r: 3.5, "data-seq": event.seq });
    pick(node, event);
  }
  return hidden;
}

function drawSteps(svg, height) {
  for (const event of shownEvents.filter((each) => each.kind === "step")) {
    const at = placeOf(event);
    if (at < state.from || at > state.to) continue;
    add(svg, "line", { class: "step", x1: x(at), x2: x(at), y1: 0, y2: height - 8 });
    pick(add(byId("axis"), "path", { class: "flag", d: `M${x(at)} ${AXIS - 9} l9 4 l-9 4 z`, "data-seq": event.seq }), event);
  }
  for (const failure of film.failures) {
    const at = place(failure.at);
    if (at >= state.from && at <= state.to) tip(add(svg, "line", { class: "failure", x1: x(at), x2: x(at), y1: 0, y2: height }), `${failure.checker}: ${failure.text}`);
  }
}

function drawArrows(svg, bases, near) {
  if (!byId("show-messages").checked) return;
  let drawn = 0;
  const beats = [];
  for (const arrow of film.arrows) {
    const event = bySeq.get(arrow.seq), from = bases.get(arrow.from), to = bases.get(arrow.to);
    if (arrow.start < 0 || from === undefined || to === undefined || !wanted(event) || drawn > DRAWN_MAX) continue;
    if (Math.max(from, to) < near[0] || Math.min(from, to) > near[1]) continue;
    const own = placeOf(event), cause = bySeq.get(event.cause);
    const start = arrow.kind === "answer" ? own : cause && cause.host === arrow.from ? placeOf(cause) : place(arrow.start);
    const landed = (effects.get(event.seq) ?? []).map((seq) => bySeq.get(seq)).find((each) => each.host === arrow.to);
    const end = arrow.kind === "call" ? own : arrow.end === null ? start : landed ? placeOf(landed) : place(arrow.end);
    if (!inView(Math.min(start, end), Math.max(start, end))) continue;
    drawn++;
    const lost = arrow.end === null, x1 = x(start), x2 = lost ? x1 + 14 : x(end), y2 = lost ? from + (to - from) * 0.35 : to;
    const group = add(svg, "g", { style: tone(lost ? "lost" : arrow.kind), "data-seq": arrow.seq });
    add(group, "line", { class: `arrow ${arrow.kind}`, x1, y1: from, x2, y2 });
    const angle = Math.atan2(y2 - from, x2 - x1), point = (turn) => `${x2 - 7 * Math.cos(angle + turn)},${y2 - 7 * Math.sin(angle + turn)}`;
    if (lost) add(group, "path", { class: "arrow", d: `M${x2 - 4} ${y2 - 4} l8 8 m0 -8 l-8 8` });
    else add(group, "polygon", { class: "head", points: `${x2},${y2} ${point(0.4)} ${point(-0.4)}` });
    if (!lost && heartbeat(event)) beats.push(group);
    pick(group, event);
  }
  // Where heartbeats stand close together, they would hide the statuses that they cross.
  const opacity = Math.max(0.12, Math.min(1, width() / (drawn * ROOM_PER_ARROW)));
  for (const group of beats) if (!group.querySelector(".selected")) group.style.opacity = opacity;
}

function pick(node, event) {
  tip(node, `${event.seq}  ${clock(event.at)}  ${event.text}`);
  if (state.selected === event.seq) (node.tagName === "g" ? node.firstChild : node).classList.add("selected");
  node.addEventListener("click", () => select(event.seq));
}

function draw() {
  const svg = byId("picture"), { found, height } = lanes();
  svg.setAttribute("height", height);
  const near = band();
  svg.replaceChildren();
  const clip = add(add(svg, "defs", {}), "clipPath", { id: "inside" });
  add(clip, "rect", { x: GUTTER - 4, y: 0, width: width() + 12, height });
  drawAxis(svg, height - 12);
  for (const lane of found) if (lane.y + lane.height >= near[0] && lane.y <= near[1]) drawLane(svg, lane);
  const bases = new Map(found.filter((lane) => lane.base).map((lane) => [lane.name, lane.base]));
  const inside = add(svg, "g", { "clip-path": "url(#inside)" });
  drawSteps(inside, height);
  drawArrows(inside, bases, near);
  const hidden = drawEvents(inside, bases, near);
  const seen = `${clock(Math.max(0, moment(state.from)))} to ${clock(Math.min(runEnd, moment(state.to)))}`;
  const missing = film.hosts.length - bases.size, told = missing ? `${seen}; ${bases.size} of ${film.hosts.length} platforms` : seen;
  byId("remark").textContent = hidden ? `${told}; ${hidden} turns are not drawn, zoom in to see them` : told;
}
let waiting = false;
function drawSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

// --- selection ---------------------------------------------------------------------------------------------------------

function facts(pairs) {
  const list = byId("panel-facts");
  list.replaceChildren();
  for (const [name, value] of pairs.filter(([, each]) => each !== null && each !== "" && each !== undefined)) {
    const term = document.createElement("dt"), told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    list.append(term, told);
  }
  byId("panel-hint").hidden = true;
}
function links(groups) {
  const place = byId("panel-links");
  place.replaceChildren();
  for (const [title, seqs] of groups.filter(([, each]) => each.length)) {
    const heading = document.createElement("h3");
    heading.textContent = title;
    place.append(heading);
    for (const seq of seqs.slice(0, 40)) {
      const event = bySeq.get(seq), button = document.createElement("button");
      button.type = "button";
      button.textContent = `${seq}  ${clock(event.at)}  ${event.text.slice(0, 110)}`;
      button.addEventListener("click", () => select(seq, true));
      place.append(button);
    }
  }
}
// An attrs value is one long line; a line for each field is easier on the eye.
const spread = (text) => text.replace(/, (?=\w+=)/g, ",\n  ");

function select(seq, reveal) {
  const event = bySeq.get(seq), chain = [];
  for (let cause = event.cause; cause !== null && bySeq.has(cause) && chain.length < 40; cause = bySeq.get(cause).cause) chain.push(cause);
  state.selected = seq;
  byId("panel-title").textContent = event.text.split(" [")[0];
  facts([["event", event.seq], ["time", clock(event.at)], ["platform", event.host], ["kind", event.kind], [event.kind === "turn" ? "actor" : "with", event.who],
    ["outcome", event.outcome], ["status", event.state], ["effects", event.effects.join(", ")]]);
  links([["Because of", chain], ["And so", effects.get(seq) ?? []]]);
  byId("panel-state").textContent = ["message", "record"].filter((name) => event[name] !== null).map((name) => `${name}\n${spread(film.texts[event[name]])}`).join("\n\n");
  if (reveal) { bring(event.host); show(placeOf(event)); }
  draw();
}
// A lane that is filtered out or outside of the window comes into it.
function bring(host) {
  if (!film.hosts.includes(host)) return;
  const only = chosen();
  if (only && !only.has(host)) byId("only").value += ` ${host}`;
  const lane = lanes().found.find((each) => each.name === host), top = byId("picture").getBoundingClientRect().top + lane.y;
  if (top < AXIS || top > window.innerHeight - BASE) window.scrollBy(0, top - window.innerHeight / 3);
}
function selectSpan(span) {
  state.selected = null;
  byId("panel-title").textContent = span.kind === "status" ? `${span.host} sees ${span.who} as ${span.label}` : span.label;
  const names = { mapping: ["box", "inside"], cut: ["from", "to"] }[span.kind] ?? ["platform", "peer"];
  facts([["kind", span.kind], [names[0], span.host], [names[1], span.who], ["since", clock(span.start)], ["until", span.end === null ? "the end of the run" : clock(span.end)],
    [span.expires !== null && span.expires <= (span.end ?? runEnd) ? "expired at" : "would expire at", span.expires === null ? null : clock(span.expires)]]);
  const about = shownEvents.filter((event) => event.kind === "status" && event.host === span.host && event.who === span.who && Math.abs(event.at - span.start) < 1e-9);
  links([["Events", about.map((event) => event.seq)]]);
  byId("panel-state").textContent = "";
  draw();
}

// --- moving ------------------------------------------------------------------------------------------------------------

function view(from, to) {
  const span = Math.min(1, Math.max(to - from, 1e-5));
  state.from = Math.min(Math.max(0, from), 1 - span);
  state.to = state.from + span;
  draw();
}
function show(position) {
  if (position >= state.from && position <= state.to) return;
  const half = (state.to - state.from) / 2;
  view(position - half, position + half);
}
function walk(step) {
  const only = chosen(), among = only ? shownEvents.filter((event) => !event.host || only.has(event.host)) : shownEvents;
  const index = among.findIndex((event) => event.seq === state.selected);
  const next = among[index < 0 ? 0 : Math.min(among.length - 1, Math.max(0, index + step))];
  if (next) select(next.seq, true);
}
function find(words) {
  const asked = words.trim().toLowerCase();
  if (!asked) return;
  const start = shownEvents.findIndex((event) => event.seq === state.selected);
  const order = [...shownEvents.slice(start + 1), ...shownEvents.slice(0, start + 1)];
  // Whole words first: p7 is not p17.
  const wordsOf = (event) => new Set(event.text.toLowerCase().split(/[^\w./-]+/)), parts = asked.split(/\s+/);
  const hit = order.find((event) => { const known = wordsOf(event); return String(event.seq) === asked || parts.every((part) => known.has(part)); })
    ?? order.find((event) => parts.every((part) => event.text.toLowerCase().includes(part)));
  if (hit) select(hit.seq, true);
  else byId("remark").textContent = `no event holds “${words}”`;
}

const picture = byId("picture");
picture.addEventListener("wheel", (event) => {
  // What is taller than the window must be scrolled; there Ctrl, as a pinch sends it, zooms.
  const tall = document.documentElement.scrollHeight > window.innerHeight + 4;
  if (tall && !event.ctrlKey && !event.metaKey && !event.shiftKey) return;
  event.preventDefault();
  const at = state.from + ((event.offsetX - GUTTER) / width()) * (state.to - state.from);
  if (event.shiftKey) { const by = ((state.to - state.from) * event.deltaY) / 600; view(state.from + by, state.to + by); return; }
  const factor = Math.exp(event.deltaY / 400);
  view(at - (at - state.from) * factor, at + (state.to - at) * factor);
}, { passive: false });
let drag = null;
picture.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, from: state.from, to: state.to }; });
window.addEventListener("pointermove", (event) => {
  if (!drag || Math.abs(event.clientX - drag.x) < 3) return;
  picture.classList.add("dragging");
  const by = ((drag.x - event.clientX) / width()) * (drag.to - drag.from);
  view(drag.from + by, drag.to + by);
});
window.addEventListener("pointerup", () => { drag = null; picture.classList.remove("dragging"); });
picture.addEventListener("keydown", (event) => {
  const keys = { ArrowLeft: () => walk(-1), ArrowRight: () => walk(1), "+": () => zoom(0.7), "-": () => zoom(1.4), Home: () => view(0, 1) };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
function zoom(factor) { const middle = (state.from + state.to) / 2, half = ((state.to - state.from) / 2) * factor; view(middle - half, middle + half); }
byId("whole").addEventListener("click", () => view(0, 1));
byId("find").addEventListener("keydown", (event) => { if (event.key === "Enter") find(event.target.value); });
for (const id of ["show-messages", "show-turns", "show-lifetimes", "show-heartbeats", "show-peers"]) byId(id).addEventListener("change", draw);
for (const radio of document.getElementsByName("scale")) radio.addEventListener("change", () => { state.scale = radio.value; view(0, 1); });
byId("only").addEventListener("input", drawSoon);
window.addEventListener("resize", drawSoon);
window.addEventListener("scroll", () => { if (byId("picture").getAttribute("height") > window.innerHeight) drawSoon(); }, { passive: true });

document.title = `${film.name}, seed ${film.seed}`;
byId("name").textContent = film.name;
byId("facts").textContent = `${film.description.replace(/\s+/g, " ")} — ${film.file}, seed ${film.seed}, ${shownEvents.length} events, ${clock(film.end)}, digest ${film.digest}`;
if (film.failures.length) {
  byId("failures").hidden = false;
  byId("failures").textContent = film.failures.map((failure) => `${failure.checker} at ${clock(failure.at)}: ${failure.text}`).join("\n");
}
for (const name of [...STATUSES, "down", "cut", "mapping", ...LIFETIMES, "call", "answer", "lost"]) {
  const item = document.createElement("li"), chip = document.createElement("i");
  chip.setAttribute("style", tone(name));
  item.append(chip, name);
  byId("legend").append(item);
}
draw();
