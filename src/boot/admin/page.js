// Asks /status every two seconds and shows it. Whatever comes from outside is put in as text, never as markup.
"use strict";

const EVERY = 2000;
const PATIENCE = 6000;
const FEW = 25;
const NOTHING = "–";

const at = (id) => document.getElementById(id);
let answered = null;
let all = false;
let timer = 0;

/** An element. Texts among its children stay texts. */
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const svg = ["svg", "path", "rect", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (classes.length) made.setAttribute("class", classes.filter(Boolean).join(" "));
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Puts something in a place, unless its reader has just marked what stands there. */
function put(id, ...children) {
  const place = at(id);
  const marked = document.getSelection();
  if (marked && !marked.isCollapsed && place.contains(marked.anchorNode)) return;
  place.replaceChildren(...children.flat().filter(Boolean));
}

const count = (number) => Number(number).toLocaleString("en-US");
const vnd = (amount) => (amount === null ? NOTHING : `${count(amount)} ₫`);
const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function millis(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10000 ? `${count(Math.round(ms))} ms` : `${count(Math.round(ms / 1000))} s`;
}

function bytes(number) {
  if (number < 1024) return `${number} B`;
  return number < 1048576 ? `${(number / 1024).toFixed(1)} KiB` : `${(number / 1048576).toFixed(1)} MiB`;
}

const clock = (moment) => new Date(moment).toLocaleTimeString("en-GB");
const day = (moment) => new Date(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A part of a whole, as a bar. */
function bar(part, kind = "") {
  const inner = el(`i.${kind}`);
  inner.style.width = `${Math.round(Math.max(0, Math.min(1, part)) * 100)}%`;
  return el("div.bar", {}, inner);
}

/** A table whose cells say on a phone what their column is. */
function table(columns, rows, empty, kind = "") {
  if (!rows.length) return el("p.quiet", {}, empty);
  const numbers = columns.map((name) => name.startsWith("#"));
  const names = columns.map((name) => name.replace("#", ""));
  const cell = (content, column) => {
    const made = el(numbers[column] ? "td.number" : "td", { "data-label": names[column] });
    made.append(...[content].flat().filter((part) => part !== null && part !== ""));
    return made;
  };
  const heads = names.map((name, column) => el(numbers[column] ? "th.number" : "th", { scope: "col" }, name));
  const body = rows.map((row) => el("tr", {}, row.map(cell)));
  return el(`table.${kind}`, {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
}

function tile(id, title, headline, kind, ...lines) {
  put(id, el("h3", {}, title), el(`strong.${kind}`, {}, headline), lines);
}

function provider(now) {
  const [word, kind] = {
    closed: ["answers", "good"],
    open: ["is left alone", "bad"],
    half_open: ["is tried again", "warn"],
  }[now.breaker] ?? [now.breaker, "warn"];
  const accepted = now.credentials === "accepted";
  const key = accepted ? el("p", {}, "The key is accepted.") : el("p.bad", {}, `The key is refused: ${now.credentials}`);
  tile("provider", "Provider", accepted ? word : "refuses the key", accepted ? kind : "bad",
    el("p", {}, `Breaker: ${now.breaker.replace("_", "-")}`), key,
    el("p", {}, el("code", {}, now.provider)));
}

function pace({ pace: now }) {
  const part = now.part_of_the_configured_rate;
  const waiting = ["writes", "reads", "polls"].map((lane) => `${lane} ${count(now.waiting[lane])}`).join(" · ");
  const paused = now.paused_for_s !== null;
  tile("pace", "Pace", paused ? `pauses for ${span(now.paused_for_s)}` : `${+now.per_second.toFixed(2)} a second`,
    paused ? "warn" : "", bar(part, paused ? "warn" : ""),
    el("p", {}, `${Math.round(part * 100)} % of the configured rate`), el("p", {}, `Waiting: ${waiting}`));
}

const LEASES = {
  held: ["shares the account", "good"],
  alone: ["cut off, on its static share", "warn"],
  outside: ["has no place yet and sends nothing", "bad"],
};

/** The gizads that share the account, if this is one of several. */
function replicas({ replicas: now, pace: { per_second } }) {
  at("replicas-section").hidden = now === null;
  if (now === null) return;
  const [word, kind] = LEASES[now.lease] ?? [now.lease, "warn"];
  const percent = (part) => `${Math.round(part * 100)} %`;
  put("replicas", el("p", {}, el(`span.${kind}`, {}, word), now.alone_for_s === null ? "" : ` for ${span(now.alone_for_s)}`,
    `: ${+per_second.toFixed(2)} of the account's ${+now.account_per_second.toFixed(2)} calls a second. `,
    `${count(now.list.length)} of at most ${count(now.max_replicas)}`,
    now.seen_s_ago === null ? "." : `, seen ${span(Math.round(now.seen_s_ago))} ago.`),
  table(["Replica", "State", "Address", "Version", "Share", "#Wants", "#Lag", "#Up"], now.list.map((one) => [
    one.name === now.own ? [el("b", {}, one.name), " (this one)"] : one.name,
    el(one.silent ? "span.chip.warn" : "span.chip.good", {}, one.silent ? "silent" : "there"),
    el("code", {}, one.api), one.version, [el("div", {}, percent(one.share), bar(one.share))],
    percent(one.wants), `${one.lag_s.toFixed(1)} s`, span(one.up_s),
  ]), "None was seen yet."));
}

function traffic({ latency: { spans, span_s } }) {
  const sum = (of) => spans.reduce((total, one) => total + one[of], 0);
  const [calls, failed] = [sum("calls"), sum("failed")];
  const last = spans.findLast((one) => one.p50_ms !== null);
  tile("traffic", `Calls in ${span(spans.length * span_s)}`, count(calls), "",
    el(failed ? "p.warn" : "p", {}, failed ? `${count(failed)} not OK` : "All OK"),
    el("p", {}, last ? `Last: half within ${millis(last.p50_ms)}, 99 of 100 within ${millis(last.p99_ms)}`
      : "Nothing has asked the provider lately."));
}

function memory({ cache, kept }) {
  const fresh = kept.reduce((total, one) => total + one.fresh, 0);
  tile("memory", "In memory", many(cache.answers, "answer"), "", el("p", {}, `${count(fresh)} fresh`),
    el("p", {}, bytes(cache.bytes)));
  put("kept", table(["Operation", "#Answers", "#Fresh", "#Age", "#Size"], kept.map((one) => [
    one.operation, count(one.answers),
    el(one.fresh === one.answers ? "span.good" : "span.warn", {}, count(one.fresh)),
    one.answers > 1 ? `${span(one.youngest_s)} to ${span(one.oldest_s)}` : span(one.oldest_s), bytes(one.bytes),
  ]), "Nothing is kept at the moment."));
}

/** A level line for each span that has a value, joined where its neighbour has one, too. */
function steps(spans, of, top) {
  let joined = false;
  return spans.map((one, place) => {
    const value = one[of];
    if (value === null) { joined = false; return ""; }
    const y = (100 - (value / top) * 96).toFixed(1);
    const move = `${joined ? "L" : "M"}${place} ${y}H${place + 1}`;
    joined = true;
    return move;
  }).join("");
}

function plots({ latency: { spans, span_s } }) {
  const whole = span(spans.length * span_s);
  const told = (one, place) => {
    const when = clock(Date.now() - (spans.length - place) * span_s * 1000);
    return `${when}: ${many(one.calls, "call")}, ${count(one.failed)} not OK`
      + (one.p50_ms === null ? "" : `; half within ${millis(one.p50_ms)}, 99 of 100 within ${millis(one.p99_ms)}`);
  };
  const touch = () => spans.map((one, place) =>
    el("rect.touch", { x: place, y: 0, width: 1, height: 100 }, el("title", {}, told(one, place))));
  const plot = (id, title, keys, top, label, ...drawn) => {
    const svg = el("svg", { viewBox: `0 0 ${spans.length} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      el("path.grid", { d: `M0 100H${spans.length}M0 4H${spans.length}` }), drawn, touch());
    put(id, el("figcaption", {}, el("b", {}, title), el("span", {}, keys)), svg,
      el("div.axis", {}, el("span", {}, `${whole} ago`), el("span", {}, top), el("span", {}, "now")));
  };
  const slowest = Math.max(...spans.map((one) => one.p99_ms ?? 0));
  const scale = slowest || 1;
  plot("times", "How long calls took that asked the provider",
    [el("span.key.p50", {}, "half"), el("span.key.p99", {}, "99 of 100")],
    slowest ? `top: ${millis(slowest)}` : "nothing was asked",
    slowest ? `The slowest hundredth of a span took ${millis(slowest)}.` : "Nothing was asked.",
    el("path.p99", { d: steps(spans, "p99_ms", scale) }), el("path.p50", { d: steps(spans, "p50_ms", scale) }));
  const most = Math.max(...spans.map((one) => one.calls));
  const height = (number) => (number / (most || 1)) * 96;
  plot("counts", `Calls in ${span_s} seconds`, [el("span.key.p50", {}, "OK"), el("span.key.bad", {}, "not OK")],
    most ? `top: ${count(most)}` : "none", most ? `At most ${many(most, "call")} in ${span_s} seconds.` : "There were none.",
    spans.flatMap((one, place) => {
      const [whole, failed] = [height(one.calls), height(one.failed)];
      const x = place + 0.1;
      return one.calls ? [
        el("rect.ok", { x, width: 0.8, y: 100 - whole, height: whole - failed }),
        el("rect.failed", { x, width: 0.8, y: 100 - failed, height: failed }),
      ] : [];
    }));
}

const KINDS = {
  NEEDS_OPERATOR: "bad", UNKNOWN: "bad", IN_DOUBT: "bad", AWAITING_APPROVAL: "warn", SENDING: "", NOT_SENT: "warn",
  SUCCEEDED: "good", FOUND: "good",
};
const OPEN = ["NEEDS_OPERATOR", "UNKNOWN", "IN_DOUBT", "AWAITING_APPROVAL", "SENDING"];

function card(one) {
  const kind = KINDS[one.state] ?? "";
  return el(`div.card.${kind}`, {},
    el("div.head", {}, el(`span.chip.${kind}`, {}, one.state), el("b", {}, one.operation),
      el("span.quiet", {}, `by ${one.caller}, ${span(one.age_s)} ago`), el("span.amount", {}, vnd(one.price_vnd))),
    el("p", {}, el("code", {}, one.id), one.reason ? el("span.quiet", {}, ` ${one.reason}`) : ""),
    one.findings.length ? el("p.quiet", {}, `Seen: ${one.findings.join("; ")}`) : "",
    el("p.do", {}, one.to_do), one.by ? el("p", {}, el("code", {}, one.by)) : "");
}

function purchases({ purchases: { trouble, list } }) {
  if (trouble !== null) {
    return put("purchases", el("p.banner.bad", {}, `The ledger cannot be read: ${trouble}. Nothing can be bought.`));
  }
  const open = list.filter((one) => OPEN.includes(one.state));
  const ended = list.filter((one) => !OPEN.includes(one.state));
  put("purchases", open.map(card), ended.length || !open.length
    ? table(["State", "Operation", "Caller", "#Cost", "#Age", "What to do"], ended.map((one) => [
      el(`span.chip.${KINDS[one.state] ?? ""}`, {}, one.state),
      [el("div", {}, one.operation, " ", el("code.quiet", {}, one.id))], one.caller, vnd(one.posted_vnd), span(one.age_s),
      [one.to_do, one.reason ? el("span.quiet", {}, ` ${one.reason}`) : ""].filter(Boolean),
    ]), "Nothing was bought yet.") : null);
}

/** What is spent of what may be. */
function budget(spent, most) {
  if (most === null) return [el("div", {}, vnd(spent))];
  const part = most ? spent / most : 1;
  return [el("div", {}, `${vnd(spent)} of ${vnd(most)}`, bar(part, part >= 1 ? "bad" : part >= 0.8 ? "warn" : ""))];
}

function callers({ callers: list }) {
  put("callers", table(["Caller", "May", "Quota left", "Today", "This month"], list.map((one) => {
    const { left, of, whole_again_in_s: rest } = one.quota;
    const limited = one.operations === null ? null : el("span.chip", {}, many(one.operations, "operation") + " only");
    const over = one.expired ? el("span.chip.bad", {}, "expired")
      : one.expires ? el("span.chip", {}, `until ${day(one.expires)}`) : null;
    const empty = left === 0;
    return [
      one.name, [el("div", {}, one.scopes.map((scope) => el("span.chip", {}, scope)), limited, over)],
      [el("div", {}, `${count(left)} of ${count(of)}${empty ? `, all again in ${span(Math.ceil(rest))}` : ""}`,
        bar(of ? left / of : 0, empty ? "bad" : ""))],
      one.budget ? budget(one.budget.spent_today_vnd, one.budget.day_vnd) : "",
      one.budget ? budget(one.budget.spent_this_month_vnd, one.budget.month_vnd) : "",
    ];
  }), "There is no caller yet: `gizad token new NAME` makes a token."));
}

function calls({ calls: list }) {
  const shown = all ? list : list.slice(0, FEW);
  const kind = (one) => (one.outcome === "OK" ? "good" : one.outcome === "OUTCOME_UNKNOWN" ? "bad" : "warn");
  const more = el("button", { type: "button" }, all ? `Show the last ${FEW}` : `Show all ${list.length}`);
  more.addEventListener("click", () => { all = !all; calls({ calls: list }); });
  put("calls", table(["Operation", "Outcome", "Caller", "From", "#Took", "#At"], shown.map((one) => [
    one.operation, el(`span.${kind(one)}`, {}, one.outcome), one.caller ?? "not known", one.from, millis(one.ms), clock(one.at),
  ]), "None yet.", "dense"), list.length > FEW ? more : null);
}

function state(now) {
  const doubts = now.purchases.in_doubt;
  const word = now.state !== "ready" ? "stopping" : now.degraded ? `degraded: ${now.degraded}` : "ready";
  at("state").textContent = word;
  at("state").className = `pill ${word === "ready" ? "good" : "warn"}`;
  at("about").textContent = [`version ${now.version}`, `up ${span(now.up_s)}`, now.sandbox ? "sandbox: nothing here is real" : ""]
    .filter(Boolean).join(" · ");
  const said = [
    doubts ? `${many(doubts, "purchase is", "purchases are")} in doubt: see what to do below.` : "",
    now.settings_taken_over ? "" : "The settings as they are written have mistakes, which the log names; those before are in use.",
  ];
  banner(said.filter(Boolean).join(" "), "warn");
  document.title = `${doubts ? `(${doubts}) ` : ""}gizad: ${word}`;
}

function banner(said, kind) {
  const place = at("banner");
  if (place.textContent !== said) place.textContent = said;
  place.className = `banner ${kind}`;
  place.hidden = !said;
}

function silent() {
  const since = answered === null ? "" : ` What is shown is of ${clock(answered)}.`;
  banner(`gizad does not answer.${since}`, "bad");
  document.body.classList.add("stale");
  at("state").textContent = "no answer";
  at("state").className = "pill bad";
  document.title = "gizad: no answer";
}

/** What /status says now; nothing if it says nothing. */
async function ask() {
  try {
    const answer = await fetch("/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function look() {
  clearTimeout(timer);
  const now = await ask();
  try {
    if (now === null) return silent();
    for (const show of [state, provider, pace, replicas, traffic, memory, plots, purchases, callers, calls]) show(now);
    answered = Date.now();
    document.body.classList.remove("stale");
    at("main").hidden = false;
  } finally {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, EVERY);
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
