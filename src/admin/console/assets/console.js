// The script of the console. Every page works without it. It makes no markup of text: elements come from pages of the
// server, or from createElement and textContent.
"use strict";
(() => {
  const LOOK = 1000;
  const each = (selector, from, act) => from.querySelectorAll(selector).forEach(act);

  // Times in local time; the title has the time in UTC, and how long ago it was.
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const ago = (date) => {
    const seconds = (date - Date.now()) / 1000;
    for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
    }
    return relative.format(Math.round(seconds), "second");
  };
  const localise = (from) => each("time[datetime]", from, (element) => {
    const date = new Date(element.dateTime);
    if (isNaN(date)) return;
    if (!element.title) element.title = element.dateTime.replace("T", " ").replace("Z", " UTC");
    const isToday = date.toDateString() === new Date().toDateString();
    const text = element.hasAttribute("data-relative") ? ago(date) : (isToday ? today : clock).format(date);
    if (element.textContent !== text) element.textContent = text;
  });

  // Copies the text of a command.
  const copying = (from) => each("button[data-copy]", from, (button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.onclick = async () => {
      const label = button.textContent;
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not copied";
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    };
  });

  const prepare = (from) => { localise(from); copying(from); };

  // A notice at the top of the page, or none.
  const tell = (id, text) => {
    const old = document.getElementById(id);
    if (!text) { old?.remove(); return; }
    if (old) { if (old.textContent !== text) old.textContent = text; return; }
    const notice = document.createElement("p");
    notice.id = id;
    notice.className = "notice bad";
    notice.setAttribute("role", "alert");
    notice.textContent = text;
    document.querySelector("main").prepend(notice);
  };

  // Parts of the page with data-refresh are replaced by what the server says now. An answer that is read as a document
  // runs no script. A part that contains selected text is not replaced. Opened details stay open, and the focus goes to the same
  // link or button. If the answer has no such link or button, the part is not replaced.
  const nameOf = (element) => {
    const text = ["BUTTON", "SUMMARY"].includes(element.tagName) ? element.textContent : element.getAttribute("href");
    return [element.tagName, text, element.form?.getAttribute("action")].join(" ");
  };
  const USABLE = "a, button, summary, [tabindex]";
  const twinOf = (element, part, fresh) => {
    const alike = (from) => [...from.querySelectorAll(USABLE)].filter((other) => nameOf(other) === nameOf(element));
    return alike(fresh)[alike(part).indexOf(element)];
  };
  const isSelected = (part) => !document.getSelection().isCollapsed && document.getSelection().containsNode(part, true);
  const replace = (part, now) => {
    const fresh = now.getElementById(part.id);
    prepare(fresh);
    const opened = [...part.querySelectorAll("details")];
    fresh.querySelectorAll("details").forEach((details, index) => { if (opened[index]) details.open = opened[index].open; });
    if (part.isEqualNode(fresh) || isSelected(part)) return;
    const focus = document.activeElement;
    const twin = focus === part ? fresh : part.contains(focus) ? twinOf(focus, part, fresh) : null;
    if (twin === undefined) return;
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    const side = part.scrollLeft;
    part.replaceWith(document.adoptNode(fresh));
    fresh.scrollLeft = side;
    fresh.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
    twin?.focus({ preventScroll: true });
  };
  // A clock that never goes back, unlike the time of day.
  const clockNow = () => performance.now();
  let due = clockNow(), shown = new Date();
  const lost = (why) => tell("lost", `${why} This page shows the state of ${today.format(shown)}. The page tries again.`);
  const refresh = () => {
    const parts = [...document.querySelectorAll("[data-refresh]")];
    const seconds = Math.min(...parts.map((part) => Number(part.dataset.refresh) || 5));
    if (parts.length === 0 || document.hidden || clockNow() < due) return;
    due = Infinity;
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 10000;
    request.onload = () => {
      const { status, response } = request;
      const isWhole = response && parts.every((part) => response.getElementById(part.id));
      if (status === 401 || status === 404 || (status === 200 && !isWhole)) { location.reload(); return; }
      if (!isWhole) { lost(`The gateway answers with ${status}.`); return; }
      shown = new Date();
      tell("lost");
      parts.forEach((part) => part.isConnected && replace(part, response));
    };
    request.onerror = request.ontimeout = () => lost("The gateway does not answer.");
    request.onloadend = () => { due = clockNow() + seconds * 1000; };
    request.send();
  };

  // The page Live: rows come with the stream, at most four times a second. A paused page counts them and shows them later.
  const cellOf = (name, label, parts) => {
    const cell = document.createElement(name);
    cell.dataset.label = label;
    if (name === "th") cell.scope = "row";
    parts.forEach((part, index) => {
      if (index > 0) cell.append(" ");
      const element = document.createElement(part.link ? "a" : "span");
      if (part.link) element.href = part.link;
      if (part.class) element.className = part.class;
      for (const { text, hidden, code } of part.pieces) {
        if (text !== undefined) { element.append(text); continue; }
        const piece = document.createElement(code === undefined ? "span" : "code");
        if (code === undefined) piece.className = "code";
        piece.textContent = code ?? hidden;
        element.append(piece);
      }
      cell.append(element);
    });
    return cell;
  };
  const live = document.getElementById("live");
  if (live && live.dataset.stream && window.EventSource) {
    const labels = [...live.closest("table").querySelectorAll("thead th")].map((cell) => cell.textContent);
    const most = Number(live.dataset.most) || 200;
    const state = document.getElementById("live-state");
    const button = document.getElementById("live-pause");
    let waiting = [], held = 0, missed = 0, paused = false, last = "", drawing = false;
    const say = () => {
      const lost = missed > 0 ? ` ${missed} were left out because of the load.` : "";
      const now = paused ? `Paused. ${held} more.` : "Live. The newest are first.";
      if (last !== now + lost) state.textContent = last = now + lost;
      state.classList.remove("bad");
    };
    const rowOf = (entry) => {
      const row = document.createElement("tr");
      row.dataset.number = entry.number;
      const time = document.createElement("time");
      time.dateTime = entry.at;
      const at = document.createElement("td");
      at.dataset.label = labels[0];
      at.append(time);
      row.append(at, ...entry.cells.map((parts, index) => cellOf(index === 0 ? "th" : "td", labels[index + 1], parts)));
      localise(row);
      return row;
    };
    const draw = () => {
      drawing = false;
      if (paused) return say();
      held = 0;
      for (const entry of waiting.splice(0)) {
        const known = live.querySelector(`tr[data-number="${Number(entry.number)}"]`);
        if (!known) live.prepend(rowOf(entry));
        else if (!known.contains(document.activeElement)) known.replaceWith(rowOf(entry));
      }
      while (live.rows.length > most && !live.lastElementChild.contains(document.activeElement)) live.lastElementChild.remove();
      const empty = document.getElementById("live-empty");
      if (empty && live.rows.length > 0) empty.remove();
      say();
    };
    // A page that is not seen leaves its place to others: browsers open few connections to one server. It goes on behind the last
    // row that it has got.
    const stream = new URL(live.dataset.stream, location);
    let source = null;
    const broken = (event) => {
      const hasEnded = event.target.readyState === EventSource.CLOSED;
      state.textContent = last = hasEnded ? "The stream has ended: load the page again." : "The gateway does not answer. Connecting again…";
      state.classList.add("bad");
    };
    const follow = () => {
      source = new EventSource(stream);
      source.addEventListener("row", (event) => {
        stream.searchParams.set("after", event.lastEventId);
        waiting.push(JSON.parse(event.data));
        held += 1;
        if (waiting.length > most) waiting = waiting.slice(-most);
        if (!drawing) { drawing = true; setTimeout(draw, 50); }
      });
      source.addEventListener("missed", (event) => { missed += JSON.parse(event.data).missed; say(); });
      source.onopen = say;
      source.onerror = broken;
    };
    const look = () => {
      if (document.hidden) { source?.close(); source = null; }
      else if (!source) follow();
    };
    document.addEventListener("visibilitychange", look);
    look();
    button.hidden = false;
    button.onclick = () => {
      paused = !paused;
      button.textContent = paused ? "Go on" : "Pause";
      draw();
    };
  }

  // Keys: j and k move through the rows of a list, Enter opens the row, / goes to the filter, ? shows the keys.
  const rows = () => [...document.querySelectorAll("table.rows tbody tr")];
  const move = (step) => {
    const all = rows();
    if (all.length === 0) return;
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))];
    const link = next.querySelector("a");
    if (link) link.focus();
  };
  const KEYS = [["j, k", "next row, previous row"], ["Enter", "open the row"], ["/", "go to the filter"], ["g then n, l, r, q, d, p", "go to a page: Now, Live, Refused, Queue, Dead, Replays"], ["?", "show these keys"]];
  const help = () => {
    let box = document.getElementById("keys");
    if (!box) {
      box = document.createElement("dialog");
      box.id = "keys";
      box.setAttribute("aria-label", "Keys");
      for (const [keys, what] of KEYS) {
        const line = document.createElement("p");
        const key = document.createElement("kbd");
        key.textContent = keys;
        line.append(key, " " + what);
        box.append(line);
      }
      const close = document.createElement("button");
      close.textContent = "Close";
      close.onclick = () => box.close();
      box.append(close);
      document.body.append(box);
    }
    if (!box.open) box.showModal();
  };
  const PAGES = { n: "/", l: "/live", r: "/refused", q: "/queue", d: "/dead", p: "/replays" };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea, dialog")) return;
    const went = going;
    going = false;
    if (went && PAGES[event.key]) { location.href = PAGES[event.key]; return; }
    if (event.key === "g") going = true;
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "?") help();
    else if (event.key === "/") {
      const field = document.querySelector(".filter input:not([type=hidden]), .filter select");
      if (!field) return;
      event.preventDefault();
      field.focus();
    }
  });

  // An action is about the filter that was counted. If the form of the filter says something else, the action waits for a count.
  const filter = document.querySelector("form.filter");
  const actions = filter ? document.querySelectorAll(`form[method=post][action="${filter.getAttribute("action")}"] button`) : [];
  const compare = () => {
    const differs = (field) => field.type !== "hidden" && (field.tagName === "SELECT"
      ? [...field.options].some((option, index) => option.selected !== (option.defaultSelected || (index === 0 && !field.querySelector("[selected]"))))
      : field.tagName === "INPUT" && field.value.trim() !== field.defaultValue);
    const isOther = [...filter.elements].some(differs);
    actions.forEach((button) => { button.disabled = isOther; });
    tell("uncounted", isOther ? "The filter has changed. The number below belongs to the filter before the change. Press Filter to count again." : "");
  };
  if (actions.length > 0) {
    filter.addEventListener("input", compare);
    addEventListener("pageshow", compare);
  }

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    each("form[data-sent]", document, (form) => { delete form.dataset.sent; });
    due = Math.min(due, clockNow() + LOOK);
  });

  // The zone of the times on the page.
  const viewer = document.querySelector(".viewer");
  if (viewer) {
    const zone = document.createElement("span");
    const { timeZone } = clock.resolvedOptions();
    const offset = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts().find(({ type }) => type === "timeZoneName");
    zone.className = "zone";
    zone.textContent = `times: ${timeZone} (${(offset?.value ?? "").replace("GMT", "UTC")})`;
    viewer.prepend(zone);
  }

  prepare(document);
  setInterval(() => { localise(document); refresh(); }, LOOK);
})();
