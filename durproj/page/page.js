// Scrubs through the steps. The page's own markup says what happened; this shows one step of it at a time,
// and the state after it. All text goes in by textContent.
(() => {
  "use strict";

  const FOLD_ABOVE = 2000; // of a state with more lines, those far from a change are folded
  const CONTEXT = 3;
  const KEYFRAME = 64; // every so many steps the lines of the state are kept
  const BRACKETS = new Set(["{", "}", "[", "]"]);
  const SIGNS = { added: "+", removed: "\u2212", changed: "~", "": "" };

  function make(tag, attributes, ...inside) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside); // strings become text nodes
    return made;
  }

  // The states of one workflow, rebuilt from the lines before the first step and the edits of each.
  class States {
    constructor(data) {
      this.edits = data.edits;
      this.frames = [data.base.map(([depth, name, text]) => ({ depth, name, text, by: -1 }))];
    }

    // The lines before the moment at `place`.
    before(place) {
      let frame = Math.min(Math.floor(place / KEYFRAME), this.frames.length - 1);
      let lines = this.frames[frame];
      for (let at = frame * KEYFRAME; at < place; at++) {
        lines = this.rows(lines, at).filter((row) => row.mark !== "removed").map((row) => row.line);
        if ((at + 1) % KEYFRAME === 0 && this.frames.length === (at + 1) / KEYFRAME) {
          this.frames.push(lines);
        }
      }
      return lines;
    }

    // The lines after it, those that it removed in their place: {line, mark, old}.
    rows(before, place) {
      const rows = [];
      let at = 0;
      for (const part of this.edits[place]) {
        if (typeof part === "number") {
          for (const stop = at + part; at < stop; at++) rows.push({ line: before[at], mark: "" });
          continue;
        }
        const gone = before.slice(at, at + part[0]);
        const fresh = part[1].map(([depth, name, text]) => ({ depth, name, text, by: place }));
        at += part[0];
        if (gone.length === 1 && fresh.length === 1) {
          rows.push({ line: fresh[0], mark: "changed", old: gone[0].text });
          continue;
        }
        for (const line of gone) rows.push({ line, mark: "removed" });
        for (const line of fresh) rows.push({ line, mark: "added" });
      }
      for (; at < before.length; at++) rows.push({ line: before[at], mark: "" });
      return rows;
    }
  }

  // Where the value of each row stands, as `orders[1].amount`; empty for brackets that close.
  function placesOf(rows) {
    const open = []; // of the containers around: their places, and how many elements came so far
    return rows.map(({ line, mark }) => {
      if (line.text === "}" || line.text === "]") {
        open.length = line.depth;
        return "";
      }
      open.length = line.depth;
      const around = open[line.depth - 1];
      let place = around ? around.place : "";
      if (around && around.list) {
        place += `[${around.count}]`;
        if (mark !== "removed") around.count++;
      } else if (line.name) {
        const plain = line.name.match(/^"([\p{L}\p{N}_-]+)"$/u);
        place += (place ? "." : "") + (plain ? plain[1] : line.name);
      }
      if (line.text === "{" || line.text === "[") {
        open[line.depth] = { place, list: line.text === "[", count: 0 };
      }
      return place || "$";
    });
  }

  // One workflow's section, with the controls that move through it.
  class Story {
    constructor(section, data, moved) {
      this.section = section;
      this.data = data;
      this.states = new States(data);
      this.steps = [...section.querySelectorAll(".steps > li")];
      this.charts = [...section.querySelectorAll(".chart")];
      this.numbers = new Map(this.steps.map((li, place) => [Number(li.id.split("-s")[1]), place]));
      this.place = -1;
      this.moved = moved;
      if (this.steps.length) this.build();
    }

    number(place) {
      return Number(this.steps[place].id.split("-s")[1]);
    }

    build() {
      const last = this.steps.length - 1;
      this.slider = make("input", {
        type: "range", min: 0, max: last, step: 1, value: last, "aria-label": "Step",
      });
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
      this.back = make("button", { type: "button", "aria-label": "Step before" }, "\u2039");
      this.on = make("button", { type: "button", "aria-label": "Step after" }, "\u203a");
      this.back.addEventListener("click", () => this.go(this.place - 1));
      this.on.addEventListener("click", () => this.go(this.place + 1));
      this.shown = make("output", {});
      const buttons = make("div", { class: "buttons" }, this.back, this.shown, this.on);
      const track = this.section.querySelector(".track");
      track.append(
        make("div", { class: "scrub" }, buttons, this.slider),
        make("div", { class: "cursor", "aria-hidden": "true" }),
      );
      track.style.setProperty("--n", this.steps.length);
      // Not the section: all that is in it would have to be styled anew at every step.
      this.marked = [track, ...this.section.querySelectorAll(".charts")];
      const pictures = track.querySelector(".lanes");
      const seek = (event) => {
        const box = pictures.querySelector("svg").getBoundingClientRect();
        if (event.clientX < box.left || event.buttons !== 1) return;
        this.go(Math.floor(((event.clientX - box.left) / box.width) * this.steps.length));
      };
      pictures.addEventListener("pointerdown", seek);
      pictures.addEventListener("pointermove", seek);

      this.event = make("div", { class: "panel event-panel" });
      this.heading = make("h2", {});
      this.state = make("div", { class: "state", role: "group", "aria-label": "State" });
      this.blame = make("p", { class: "blame-of", "aria-hidden": "true" });
      this.section.querySelector(".player").append(
        this.event,
        make("div", { class: "panel state-panel" }, this.heading, this.state, this.blame),
      );
      this.state.addEventListener("mouseover", (event) => this.explain(event.target));
      this.state.addEventListener("mouseleave", () => this.explain(null));
      this.state.addEventListener("focusin", (event) => this.explain(event.target));
      this.state.addEventListener("focusout", () => this.explain(null));
      this.state.addEventListener("keydown", (event) => this.walk(event));
      this.state.addEventListener("click", (event) => {
        const line = event.target.closest("button.blame");
        if (line && line.dataset.by !== "-1") this.go(Number(line.dataset.by));
      });
      this.section.querySelector(".steps").addEventListener("click", (event) => {
        const number = event.target.closest("a.number");
        if (!number) return;
        event.preventDefault();
        this.go(this.steps.indexOf(number.closest("li")));
        this.section.scrollIntoView();
      });
    }

    go(place) {
      const last = this.steps.length - 1;
      place = Math.max(0, Math.min(last, place));
      if (place === this.place || last < 0) return;
      if (this.place >= 0) this.steps[this.place].removeAttribute("aria-current");
      this.place = place;
      const li = this.steps[place];
      li.setAttribute("aria-current", "step");
      const type = li.querySelector(".type").textContent;
      this.slider.value = place;
      this.slider.setAttribute("aria-valuetext", `step ${this.number(place)}: ${type}`);
      this.shown.textContent = `#${this.number(place)}`;
      this.back.disabled = place === 0;
      this.on.disabled = place === last;
      for (const part of this.marked) part.style.setProperty("--at", (place + 0.5) / this.steps.length);
      this.showEvent(li);
      this.showState();
      this.moved();
    }

    // What the step's own entry says, taken over as it is.
    showEvent(li) {
      const details = li.querySelector("details");
      const [summary, ...inside] = [...details.children].map((part) => part.cloneNode(true));
      const number = make("span", { class: "number" }, `#${this.number(this.place)}`);
      const title = make("h2", {}, number, summary.querySelector(".type"));
      const named = make("p", { class: "facts-line" }, ...summary.querySelectorAll(".signs, .named"));
      this.event.replaceChildren(
        title, named, ...inside.filter((part) => !part.matches(".changes")),
      );
      if (!details.querySelector(".event")) {
        this.event.append(make("p", { class: "empty" }, "The store has no event for it."));
      }
    }

    showState() {
      const rows = this.states.rows(this.states.before(this.place), this.place);
      const places = placesOf(rows);
      const values = this.data.states;
      const recorded = !this.steps[this.place].querySelector(".sign.parked, .sign.rejected, .sign.pending");
      this.heading.textContent = values
        ? recorded ? "State after it" : "State before it"
        : "What it returned";
      const near = this.near(rows);
      const shown = [];
      let folded = 0;
      rows.forEach((row, at) => {
        if (!near(at)) {
          folded++;
          return;
        }
        if (folded) shown.push(this.fold(folded));
        folded = 0;
        shown.push(this.line(row, places[at], values));
      });
      if (folded) shown.push(this.fold(folded));
      if (!rows.length) shown.push(make("p", { class: "empty" }, "None is known."));
      this.state.replaceChildren(...shown);
      const first = this.state.querySelector("button.blame");
      if (first) first.tabIndex = 0;
      this.reveal();
      this.explain(null);
      const now = new Map(rows.map((row, at) => [row.mark === "removed" ? "" : places[at], row.line.text]));
      for (const chart of this.charts) {
        const text = now.get(chart.dataset.path);
        chart.querySelector("b").textContent = text === undefined ? "\u2013" : text;
      }
    }

    // Of a state that is longer than its panel, show where it changed.
    reveal() {
      const line = this.state.querySelector(".added, .removed, .changed");
      if (!line) return;
      const top = line.offsetTop; // within the panel
      const seen = this.state.scrollTop;
      if (top < seen || top > seen + this.state.clientHeight - line.offsetHeight) {
        this.state.scrollTop = top - this.state.clientHeight / 3;
      }
    }

    // Whether a row is shown: every one of a state that is not very long.
    near(rows) {
      if (rows.length <= FOLD_ABOVE) return () => true;
      const marked = new Uint8Array(rows.length);
      rows.forEach((row, at) => {
        if (row.mark) marked.fill(1, Math.max(0, at - CONTEXT), at + CONTEXT + 1);
      });
      let left = FOLD_ABOVE;
      return (at) => (at < CONTEXT || marked[at]) && left-- > 0;
    }

    fold(count) {
      return make("p", { class: "fold" }, `\u2026 ${count.toLocaleString("en")} lines not shown`);
    }

    line({ line, mark, old }, place, values) {
      const shown = values ? mark : "";
      const text = make("span", { class: "text" }, "  ".repeat(line.depth));
      if (line.name) text.append(make("span", { class: "name" }, line.name), ": ");
      if (shown === "changed") text.append(make("del", {}, old), " \u2192 ");
      text.append(make(shown === "removed" ? "del" : shown ? "ins" : "span", { class: "value" }, line.text));
      const made = make("div", { class: `line ${shown}` }, make("span", { class: "sign" }, SIGNS[shown]), text);
      if (values) made.prepend(this.blameOf(line, mark, place));
      return made;
    }

    blameOf(line, mark, place) {
      if (mark === "removed" || BRACKETS.has(line.text)) return make("span", { class: "blame" });
      const known = line.by >= 0;
      const said = known ? `#${this.number(line.by)}` : this.data.origin;
      const whole = `${place}: ${this.setBy(line.by)}`;
      const button = { type: "button", class: "blame", tabindex: -1, "data-by": line.by };
      return make("button", { ...button, "aria-label": `${whole}. ${line.text}`, "data-said": whole }, said);
    }

    // Which step and event set a line, in words.
    setBy(place) {
      if (place < 0) {
        const first = this.number(0);
        return {
          initial: "as it was in the initial state",
          start: "as it was in the initial state, or set by step 0",
          before: `set before step ${first}, or by it`,
        }[this.data.origin];
      }
      const summary = this.steps[place].querySelector("summary");
      const parts = [".type", ".named"].map((name) => summary.querySelector(name).textContent);
      return `last set by step ${this.number(place)}, ${parts.join(" ").trim()}`;
    }

    explain(target) {
      const line = target && target.closest(".line");
      const button = line && line.querySelector("button.blame");
      this.blame.textContent = button
        ? button.dataset.said
        : this.data.states ? "Point at a line to see which event set it." : "";
    }

    // Up and down among the lines; one of them can be reached by Tab.
    walk(event) {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by) return;
      const buttons = [...this.state.querySelectorAll("button.blame")];
      const next = buttons[buttons.indexOf(document.activeElement) + by];
      if (!next) return;
      event.preventDefault();
      document.activeElement.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  }

  const sections = [...document.querySelectorAll("section.workflow")];
  const data = JSON.parse(document.getElementById("data").textContent);
  const stories = sections.map((section, at) => new Story(section, data[at], remember));
  let shown = null;
  let waiting = false;

  function select(at) {
    if (shown === stories[at]) return;
    shown = stories[at];
    sections.forEach((section, each) => { section.hidden = each !== at; });
    if (picker) picker.value = String(at);
    if (shown.place < 0) shown.go(shown.steps.length - 1);
  }

  // Keep the address in step, at most once a frame.
  function remember() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!shown || shown.place < 0) return;
      const parts = new URLSearchParams();
      if (stories.length > 1) parts.set("id", shown.section.dataset.id);
      parts.set("step", shown.number(shown.place));
      try {
        history.replaceState(null, "", `#${parts}`);
      } catch {
        // Where the page may not have an address, there is none to keep.
      }
    });
  }

  function follow() {
    const anchor = location.hash.match(/^#w(\d+)(?:-s(\d+))?$/);
    const parts = new URLSearchParams(location.hash.slice(1));
    const named = sections.findIndex((section) => section.dataset.id === parts.get("id"));
    const at = anchor ? Number(anchor[1]) : named;
    select(at >= 0 && at < stories.length ? at : shown ? stories.indexOf(shown) : 0);
    const step = anchor ? anchor[2] : parts.get("step");
    if (step === null || step === undefined || !/^\d+$/.test(step)) return;
    const place = shown.numbers.get(Number(step));
    if (place !== undefined) shown.go(place);
  }

  let picker = null;
  if (stories.length > 1) {
    const options = sections.map((section, at) => make("option", { value: at }, section.dataset.id));
    picker = make("select", { "aria-label": "Workflow" }, ...options);
    picker.addEventListener("change", () => {
      select(Number(picker.value));
      remember();
    });
    document.querySelector(".top").append(picker);
  }
  document.documentElement.classList.add("live");
  follow();
  addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const plain = !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey);
    if (!by || !plain || !shown.slider || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    shown.go(shown.place + by);
  });
  if (shown.slider && window === window.top) shown.slider.focus({ preventScroll: true });
})();
