"""The report in a browser: scrubbing, links, blame, and that nothing in it acts."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from conftest import CommandLine
from playwright.sync_api import expect, sync_playwright
from proof.needed import missing

import durproj as library

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

REDUCER = """
def shop(state, event):
    data = event.data
    match event.type:
        case "Bad":
            raise ValueError("a negative amount")
        case "Placed":
            order = {"id": data["id"], "status": "open"}
            return state | {"balance": state["balance"] - 5, "orders": [*state["orders"], order]}
        case "Paid":
            orders = [o | {"status": "paid"} if o["id"] == data["id"] else o for o in state["orders"]]
            return state | {"balance": state["balance"] + 5, "orders": orders}
        case "Shipped":
            return state | {"orders": [o for o in state["orders"] if o["id"] != data["id"]]}
shop.initial = {"balance": 0.0, "orders": [], "name": "x"}
"""
EVENTS = [
    *(("Placed", "o1"), ("Placed", "o2"), ("Paid", "o2"), ("Bad", ""), ("Shipped", "o1")),
    *(("Placed", "o3"), ("Paid", "o3")),
]
ATTACKS = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "--><script>alert(2)</script>",
    "\u2028\u2029",
    "\u202egnp.exe\u2066",
    "\x1b[31m\x00\x07",
    "'\"><svg/onload=alert(3)>",
    "&lt;b&gt;${alert(4)}",
    "javascript:alert(5)",
    "__proto__",
    "constructor",
]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        missing("chromium is not installed", "Debian's package: chromium")
    with sync_playwright() as playwright:
        # Debian's sandbox refuses to run as root, as CI does.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages: one.html of a workflow that was retried, skipped an event, crashed and was resumed; two.html
    of it and a parked one; crashed.html of one that crashed and was not resumed; part.html of steps
    2 to 4."""
    folder = tmp_path_factory.mktemp("report")
    durproj = CommandLine(folder)
    (folder / "shop.py").write_text(REDUCER)
    lines = [
        {"key": key, "type": type, "id": f"e{n}", "time": f"2024-01-0{n + 1}", "data": {"id": id}}
        for key in ("alice", "bob")
        for n, (type, id) in enumerate(EVENTS)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = ["run", "log.jsonl", "--reducer", "shop.py:shop", "--retry-delay", "0.01"]
    alice = [*run, "--user", "alice", "--on-error", "skip", "--crash", 5, "--fail", "2x2"]
    assert durproj(*alice).code == 3
    durproj("resume")
    assert durproj(*run, "--user", "bob", "--name", "parked", "--on-error", "park").code == 1
    assert durproj(*run, "--user", "bob", "--name", "crashed", "--crash", 2).code == 3
    for name, *args in (
        ("one", "projection/alice"),
        ("two", "projection/alice", "parked/bob"),
        ("crashed", "crashed/bob"),
        ("part", "projection/alice", "--from", 2, "--to", 4),
    ):
        assert durproj("report", *args, "-o", f"{name}.html").code == 0
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Pages: long.html of 1,200 steps; program.html of a program; bare.html of one whose steps are not kept."""
    folder = tmp_path_factory.mktemp("long")
    log, store = folder / "log.jsonl", folder / "durproj.db"
    log.write_text('{"user":"a","type":"T"}\n' * 1200)
    library.fold(log, reducer="counts", store=store, durability="batch")

    def checkout(ctx, order):
        price = yield ctx.run(len, order)
        return {"paid": price}

    library.run("checkout/A", checkout, "A-17", store=store)
    library.report("projection/a", folder / "long.html", store=store, last=1200)
    library.report("checkout/A", folder / "program.html", store=store)
    for _ in library.gc(["checkout/A"], store=store, keep_last=0):
        pass
    library.report("checkout/A", folder / "bare.html", store=store)
    return folder


@pytest.fixture
def visit(browser, folder):
    """`visit("one.html#step=2", **context)`: the page, open. In the end: nothing was asked of a network,
    no dialog was shown, nothing was refused by its policy or went wrong in its script."""
    contexts, wrong = [], []

    def open_(name, at=folder, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        file, _, anchor = name.partition("#")
        address = (at / file).as_uri()
        page.on(
            "request",
            lambda request: request.url.split("#")[0] == address or wrong.append(request.url),
        )
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}#{anchor}" if anchor else address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def lines(page):
    """The lines of the state: how each is marked, and its text with blanks gone."""
    script = """() => [...document.querySelectorAll("section:not([hidden]) .player .state .line")].map((line) => [
        line.className.replace("line", "").trim(), line.querySelector(".text").textContent.trim(),
        line.querySelector(".blame").textContent])"""
    return [tuple(line) for line in page.evaluate(script)]


def marked(page):
    return [(mark, text) for mark, text, _ in lines(page) if mark]


def step(page):
    return page.locator("section:not([hidden]) .buttons output").inner_text()


def test_it_opens_at_the_last_step(visit):
    page = visit("one.html")
    assert page.title() == "projection/alice · durproj report"
    assert step(page) == "#6"
    assert marked(page) == [
        ("changed", '"balance": -10.0 → -5.0'),
        ("changed", '"status": "open" → "paid"'),
    ]
    assert '"type": "Paid"' in page.locator(".event-panel pre").inner_text()


def test_keys_move_through_the_steps(visit):
    page = visit("one.html")
    expect(page.get_by_role("slider", name="Step")).to_be_focused()
    for key, expected in (
        *(("ArrowLeft", "#5"), ("ArrowLeft", "#4"), ("Home", "#0"), ("ArrowLeft", "#0")),
        *(("ArrowRight", "#1"), ("PageUp", "#2"), ("PageDown", "#1"), ("End", "#6")),
    ):
        page.keyboard.press(key)
        assert step(page) == expected, key
    # Where nothing else takes the keys, too.
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    assert step(page) == "#5"
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == "step 5: Placed"


def test_the_slider_its_buttons_and_the_lanes_move_through_the_steps(visit):
    page = visit("one.html")
    page.get_by_role("slider").fill("1")
    assert step(page) == "#1"
    page.get_by_role("button", name="Step after").click()
    assert step(page) == "#2"
    page.get_by_role("button", name="Step before").click()
    assert step(page) == "#1"
    box = page.locator(".lane").first.bounding_box()
    for place in range(7):
        page.mouse.click(box["x"] + box["width"] * (place + 0.5) / 7, box["y"] + 2)
        assert step(page) == f"#{place}"
        # The slider's thumb stands under the mark.
        cursor = page.locator(".cursor").bounding_box()
        assert abs(cursor["x"] + 1 - box["x"] - box["width"] * (place + 0.5) / 7) < 2
    expect(page.get_by_role("button", name="Step after")).to_be_disabled()


def test_an_address_leads_to_a_step_and_follows_it(visit):
    page = visit("one.html#step=4")
    assert step(page) == "#4"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.hash === '#step=3'")
    page.evaluate("location.hash = '#step=1'")
    page.wait_for_function("document.querySelector('.buttons output').textContent === '#1'")
    for other in ("#step=99", "#step=x", "#%00"):
        assert step(visit(f"one.html{other}")) == "#6"
    assert step(visit("one.html#w0-s2")) == "#2"


def test_what_a_step_added_and_removed_is_marked_in_its_place(visit):
    page = visit("one.html#step=5")
    assert marked(page) == [
        ("changed", '"balance": -5.0 → -10.0'),
        *(("added", text) for text in ("{", '"id": "o3"', '"status": "open"', "}")),
    ]
    page.keyboard.press("ArrowLeft")
    assert marked(page) == [
        ("removed", text) for text in ("{", '"id": "o1"', '"status": "open"', "}")
    ]
    # Not the inner text, which a line has once a frame is drawn (content-visibility).
    signs = page.locator(".player .line.removed .sign").all_text_contents()
    assert signs == ["\u2212"] * 4


def test_every_state_is_the_stored_one(visit, folder):
    page = visit("one.html")
    for number in (6, 0, 3, 5, 1, 4, 2):
        page.get_by_role("slider").fill(str(number))
        shown = [text for mark, text, _ in lines(page) if mark != "removed"]
        shown = [re.sub(r": .* → ", ": ", text) for text in shown]
        stored = CommandLine(folder)("inspect", f"projection/alice#{number}", "--json").json[0]
        text = json.dumps(stored["state"], indent=1)
        # Nothing here holds a comma but the lines' ends.
        assert shown == [line.strip().removesuffix(",") for line in text.split("\n")]


def test_a_line_tells_which_event_set_it_on_hover_and_on_focus(visit):
    page = visit("one.html")
    blame = {text: by for _, text, by in lines(page)}
    assert blame['"id": "o2"'] == "#1"
    assert blame['"name": "x"'] == "initial"
    said = page.locator(".player .blame-of")
    page.locator(".player .line", has_text='"id": "o2"').hover()
    expect(said).to_have_text("orders[0].id: last set by step 1, Placed e1 · 2024-01-02")
    page.locator(".player .line", has_text='"name"').hover()
    expect(said).to_have_text("name: as it was in the initial state")
    buttons = page.locator(".player button.blame")
    buttons.first.focus()
    expect(said).to_have_text("balance: last set by step 6, Paid e6 · 2024-01-07")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text("orders[0].id: last set by step 1, Placed e1 · 2024-01-02")
    page.keyboard.press("Enter")
    assert step(page) == "#1"
    name = page.locator(".player button.blame").first.get_attribute("aria-label")
    assert name == "balance: last set by step 1, Placed e1 · 2024-01-02. -10.0"


def test_an_element_that_gave_way_is_not_counted_in_a_path(visit):
    page = visit("one.html#step=4")
    page.locator(".player .line", has_text='"id": "o2"').hover()
    expect(page.locator(".player .blame-of")).to_have_text(
        "orders[0].id: last set by step 1, Placed e1 · 2024-01-02"
    )


def test_lanes_tell_what_the_store_knows_of_a_step(visit):
    page = visit("one.html")
    lanes = page.locator(".lanes dt").all_inner_texts()
    assert [lane.split(" ", 1)[1] for lane in lanes] == [
        *("executed 2", "cached 4", "retried 1", "crashed 1", "skipped 1")
    ]
    entries = page.locator(".steps > li .signs").all_text_contents()
    assert [re.findall("[a-z]+", entry) for entry in entries] == [
        *(["cached"], ["cached"], ["cached", "retried"], ["skipped"], ["cached"]),
        *(["executed", "crashed"], ["executed"]),
    ]
    page.get_by_role("slider").fill("2")
    expect(page.locator(".event-panel .attempts li")).to_have_count(2)
    page.get_by_role("slider").fill("3")
    expect(page.locator(".event-panel .error")).to_have_text("ValueError: a negative amount")
    assert marked(page) == []


def test_a_workflow_that_crashed_says_where_it_is_to_go_on(visit):
    page = visit("crashed.html")
    lanes = page.locator(".lanes dt").all_inner_texts()
    assert [lane.split(" ", 1)[1] for lane in lanes] == ["executed 2", "crashed 1", "pending 1"]
    assert step(page) == "#2"
    assert page.locator(".state-panel h2").inner_text() == "State before it"


def test_one_page_holds_several_workflows_with_a_switch(visit):
    page = visit("two.html")
    assert page.title() == "2 workflows · durproj report"
    page.get_by_role("combobox", name="Workflow").select_option("parked/bob")
    assert page.locator("h1:visible").inner_text().startswith("parked/bob parked")
    assert step(page) == "#3"
    expect(page.locator("section:not([hidden]) .event-panel .error")).to_have_text(
        "ValueError: a negative amount"
    )
    assert '"type": "Bad"' in page.locator("section:not([hidden]) .event-panel pre").inner_text()
    page.keyboard.press("ArrowLeft")
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.hash.includes('parked%2Fbob')")
    again = visit("two.html#id=parked%2Fbob&step=1")
    assert again.locator("h1:visible").count() == 1
    assert again.locator("h1:visible").inner_text().startswith("parked/bob")
    assert step(again) == "#1"


def test_part_of_a_journal_begins_with_the_state_before_it(visit):
    page = visit("part.html#step=2")
    assert marked(page) == [
        ("changed", '"balance": -10.0 → -5.0'),
        ("changed", '"status": "open" → "paid"'),
    ]
    assert {text: by for _, text, by in lines(page)}['"name": "x"'] == "before"
    expect(page.locator(".left-out")).to_contain_text("This page shows steps 2 to 4 of 0 to 6")


def test_charts_show_the_number_at_the_step(visit):
    page = visit("one.html")
    chart = page.locator(".chart")
    assert chart.locator("code").all_inner_texts() == ["balance"]
    assert chart.locator("b").inner_text() == "-5.0"
    page.keyboard.press("Home")
    assert chart.locator("b").inner_text() == "-5.0"
    page.keyboard.press("ArrowRight")
    assert chart.locator("b").inner_text() == "-10.0"
    assert chart.locator("svg").get_attribute("aria-label") == (
        "balance: from -10.0 to -5.0, -5.0 in the end"
    )


@pytest.mark.parametrize("name", ["program", "bare"])
def test_what_a_program_returned_is_seen(visit, long, name):
    page = visit(f"{name}.html", long)
    expect(page.locator(".final h2")).to_have_text("Result")
    expect(page.locator(".final .state")).to_be_visible()
    told = "".join(page.locator(".final .text").all_inner_texts())
    assert json.loads(told) == {"paid": 4}


def test_a_name_of_a_lane_ends_where_its_marks_begin(visit, long):
    page = visit("long.html", long, viewport={"width": 390, "height": 800})
    script = """() => [...document.querySelectorAll(".lanes dt")].map((name) => {
        const range = document.createRange();
        range.selectNodeContents(name);
        return [name.textContent, range.getBoundingClientRect().right,
            name.parentElement.querySelector("svg").getBoundingClientRect().left];
    })"""
    ((text, right, left),) = page.evaluate(script)
    assert text.endswith("executed 1,200")
    assert right < left


@pytest.mark.parametrize("scripted", [True, False])
def test_no_width_scrolls_sideways(visit, scripted):
    page = visit("one.html", java_script_enabled=scripted)
    if scripted:
        page.evaluate("for (const node of document.querySelectorAll('details')) node.open = true")
    for width in (360, 800, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.locator("html").bounding_box()["width"] == width
        if scripted:
            assert page.evaluate("document.documentElement.scrollWidth") == width
            event, state = (
                page.locator(f".{name}-panel").bounding_box() for name in ("event", "state")
            )
            assert (state["y"] > event["y"]) is (width < 700)
            assert (state["x"] > event["x"]) is (width >= 700)


CONTRAST = r"""() => {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (color.startsWith("rgb(")) return numbers(color);
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.disabled) continue;
    const [one, other] = [light(numbers(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([node.className, walker.currentNode.data, ratio]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(visit, scheme):
    page = visit("two.html#step=5", color_scheme=scheme, reduced_motion="reduce")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) is (scheme == "dark")
    for workflow in ("projection/alice", "parked/bob"):
        page.get_by_role("combobox").select_option(workflow)
        for number in range(7):
            page.get_by_role("slider").fill(str(min(number, 3) if "bob" in workflow else number))
            assert page.evaluate(CONTRAST) == []


def test_without_its_script_it_can_be_read(visit):
    page = visit("two.html", java_script_enabled=False)
    text = page.locator("body").inner_text()
    for said in ("projection/alice", "parked/bob", "State after step 6", "ValueError: a negative"):
        assert said in text
    assert page.locator(".final:visible").count() == 2
    assert page.get_by_role("slider").count() == 0
    entry = page.locator("#w0-s2")
    expect(entry.locator("pre")).to_be_hidden()
    entry.locator("summary .type").click()
    expect(entry.locator("pre")).to_contain_text('"id": "o2"')
    expect(entry.locator(".changes")).to_contain_text('orders[1].status "open" → "paid"')
    expect(page.locator("#w1 .final")).to_contain_text('"balance": -5.0')


def test_on_paper_the_controls_are_gone_and_the_state_is_there(visit):
    page = visit("one.html")
    page.emulate_media(media="print")
    expect(page.get_by_role("slider")).to_be_hidden()
    expect(page.locator(".final")).to_be_visible()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The folder and the id of a page in which hostile text stands wherever the user's data goes."""
    folder = tmp_path_factory.mktemp("hostile")
    durproj = CommandLine(folder)
    (folder / "r.py").write_text(
        "def f(state, event):\n"
        "    if event.data.get('fail'):\n"
        "        raise ValueError(event.data['text'])\n"
        "    return {event.data['text']: event.data['n'], 'of': [event.data['text']], 'was': state}\n"
    )
    key = ATTACKS[0] + ATTACKS[4]
    events = [
        {"user": key, "type": text, "id": text, "time": text, "text": text, "n": n}
        for n, text in enumerate([*ATTACKS, "plain"])
    ]
    events.append(events[0] | {"fail": True})
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    durproj("run", "log.jsonl", "--reducer", "r.py:f", "--key", "user", "--on-error", "park")
    (workflow,) = durproj("list", "--json").json
    assert workflow["steps"] == len(ATTACKS) + 1
    assert durproj("report", workflow["id"]).code == 0
    return folder, workflow["id"]


@pytest.mark.parametrize("scripted", [True, False])
def test_hostile_text_stays_text(visit, hostile, scripted):
    folder, id = hostile
    source = (folder / "report.html").read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", source)
    assert not set("\u2028\u2029\u202e\u2066") & set(source.decode())
    page = visit("report.html", folder, java_script_enabled=scripted)
    assert page.title() == f"{id.replace(ATTACKS[4], '')}\\u202egnp.exe\\u2066 · durproj report"
    # Elements are those that the page is made of.
    assert page.locator("img, svg[onload], iframe, base, form, link").count() == 0
    assert page.locator("script").count() == 2
    for number, text in enumerate(ATTACKS):
        shown = re.sub("[<>&]", "", text)
        if shown.isprintable():
            expect(page.locator(f"#w0-s{number} summary .type")).to_have_text(text)
    if not scripted:
        return
    for number in range(len(ATTACKS) + 2):
        page.get_by_role("slider").fill(str(number))
        for button in page.locator(".player button.blame").all()[:3]:
            button.dispatch_event("mouseover")
    page.get_by_role("slider").fill("0")
    assert ("added", f"{json.dumps(ATTACKS[0])}: 0") in marked(page)
    for anchor in ("#step=<img src=x onerror=alert(1)>", "#id=__proto__&step=constructor"):
        page.evaluate("(anchor) => { location.hash = anchor; }", anchor)
    assert page.evaluate("({}).polluted === undefined")


def test_the_policy_lets_nothing_run_or_load_but_its_own_script(browser, folder):
    context = browser.new_context()
    page = context.new_page()
    page.goto((folder / "one.html").as_uri())
    assert "unsafe" not in page.locator("meta[http-equiv]").get_attribute("content")
    refused = page.evaluate(
        """async () => {
          const refused = [];
          addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
          const put = (tag, attributes) => {
            const node = document.createElement(tag);
            for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
            document.body.append(node);
            return node;
          };
          put("script", {}).textContent = "window.ran = 1";
          put("div", { onclick: "window.ran = 1" }).click();
          put("img", { src: "x.png" });
          put("div", { style: "color: red" });
          put("base", { href: "https://example.org/" });
          put("form", { action: "x.html" }).submit();
          await fetch("x.json").catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 200));
          return [...new Set(refused)].sort().concat(window.ran ? ["ran"] : []);
        }"""
    )
    context.close()
    assert refused == [
        *("base-uri", "connect-src", "form-action", "img-src"),
        *("script-src-attr", "script-src-elem", "style-src-attr"),
    ]


def test_a_long_state_shows_where_it_changed(visit, tmp_path):
    durproj = CommandLine(tmp_path)
    (tmp_path / "r.py").write_text(
        "def f(state, event):\n"
        "    n = event.data['n']\n"
        "    return {f'k{i}': (n if i == 2500 else 0) for i in range(3000)}\n"
    )
    (tmp_path / "log.jsonl").write_text(
        "".join(f'{{"user":"a","type":"T","n":{n}}}\n' for n in (1, 2))
    )
    durproj("run", "log.jsonl", "--reducer", "r.py:f", "-q")
    assert durproj("report", "projection/a").code == 0
    page = visit("report.html", tmp_path)
    assert marked(page) == [("changed", '"k2500": 1 → 2')]
    assert page.locator(".player .line").count() < 20
    assert page.locator(".player .fold").all_inner_texts() == [
        *("… 2,495 lines not shown", "… 497 lines not shown")
    ]
    expect(page.locator(".player .line.changed")).to_be_in_viewport()
