"""The page in a real browser: its numbers are the stages', by keyboard, on a phone, offline."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import EXPLORER, Opened, chromium, missing, node_modules, until
from playwright.sync_api import Browser, expect
from test_explore import SMALL, compared, data

from handgrad import Config, make_problem
from handgrad.explore import page, show
from handgrad.explore.numbers import by_epoch, snapshots
from handgrad.mistakes import CATALOGUE, Mistake
from handgrad.parity import split
from handgrad.stages import STAGES, numpy_manual
from handgrad.verification import Verification, compare_runs

pytestmark = pytest.mark.slow
__all__ = ["compared"]  # a fixture

EPOCH = snapshots(SMALL.epochs, 64)[9]
READY = "main[data-ready]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def path(compared: Verification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("page") / "page.html", page(compared))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def with_data(text: str, changed: dict[str, Any]) -> str:
    before, after = re.split(r'(?<=id="data">).*?(?=</script>)', text, maxsplit=1, flags=re.DOTALL)
    return before + json.dumps(changed).replace("<", "\\u003c") + after


def test_text_from_outside_ends_no_script(browser: Browser, tmp_path: Path) -> None:
    state = "</script><script>document.title='taken'</script><!--<script>"
    text = show(state=state, epochs=1, n_train=40, n_val=2).page
    assert text.count("<script") == 2
    assert data(text)["state"] == state
    opened = Opened(browser, written(tmp_path / "page.html", text))
    assert opened.page.title().startswith("handgrad: seed 42")
    assert opened.said == []


def test_the_page_says_that_its_numbers_are_the_stages(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path)
    said = opened.text(".proved")
    assert said.startswith("✓ Your browser computes every number here anew")
    assert "what 4 stages computed" in said
    opened.page.click("header summary")
    opened.page.wait_for_selector("header tbody")
    rows = opened.page.locator("header tbody tr").all_inner_texts()
    quantities = [row.split()[0] for row in rows]
    assert quantities == [
        "a1",
        "h1",
        "f",
        "L",
        "dW1",
        "db1",
        "dW2",
        "db2",
        "training",
        "parameters",
    ]
    values = opened.numbers("header tbody")
    differences, bounds = values[::2], values[1::2]
    assert all(d <= b <= 1e-11 for d, b in zip(differences, bounds, strict=True))


@pytest.mark.parametrize("quantity", ["dW1", "f", "params", "train_loss"])
def test_a_page_whose_numbers_are_others_warns(
    quantity: str, browser: Browser, path: Path, tmp_path: Path
) -> None:
    text = path.read_text(encoding="utf-8")
    content = data(text)
    if quantity == "params":
        content["params"] = shifted(content["params"], 2 * (4 * SMALL.hidden + 1))
    elif quantity == "train_loss":
        content["history"][quantity] = shifted(content["history"][quantity], 0)
    else:
        values = content["golden"][1]["values"]["pytorch_autograd"]
        values[quantity] = shifted(values[quantity], 0)
    opened = Opened(browser, written(tmp_path / "page.html", with_data(text, content)))
    said = opened.text(".warning")
    assert said.startswith("This page does not compute what the stages computed")
    if quantity in ("dW1", "f"):
        assert f"computed: {quantity} is 1.0e−9 apart (pytorch_autograd, epoch" in said
    assert opened.page.locator(".proved").count() == 0


def shifted(packed: str, place: int) -> str:
    """The same numbers, one of them larger by 1e-9."""
    values = np.frombuffer(base64.b64decode(packed[3:]), "<f8").copy()
    values[place] += 1e-9
    return "f8:" + base64.b64encode(values.tobytes()).decode()


def test_the_keyboard_goes_through_time(
    browser: Browser, path: Path, compared: Verification
) -> None:
    opened = Opened(browser, path, f"#epoch={SMALL.epochs}")
    history = compared.runs["numpy_manual"].history
    epochs = snapshots(SMALL.epochs, 64)
    opened.page.focus("input[type=range] >> nth=0")
    for back in range(1, 6):
        opened.page.keyboard.press("ArrowLeft")
        epoch = epochs[-1 - back]
        assert opened.text("output.epoch") == f"epoch {epoch} of {SMALL.epochs}"
        assert opened.numbers("#training dl")[0] == pytest.approx(
            history["train_loss"][epoch], 1e-12
        )
        held_out = f"{100 * history['val_accuracy'][epoch]:.1f} %"
        assert held_out in opened.text("#training dl")
    opened.page.focus("#time .grid")
    opened.page.keyboard.press("ArrowRight")
    assert opened.text("output.epoch").startswith(f"epoch {epochs[-5]} ")
    opened.page.click("#time .pick >> nth=1", position={"x": 60, "y": 60})
    assert opened.text("output.epoch").startswith("epoch 0 ")
    play = opened.page.locator(".scrubber button")
    play.click()
    expect(opened.page.locator("output.epoch")).not_to_have_text(re.compile("epoch 0 "))
    play.click()
    assert opened.said == []


def test_the_cloud_of_samples_is_one_tab_stop(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path)
    cloud = opened.page.locator("#training [role=slider]")
    assert opened.page.locator("#training [tabindex='0']").count() == 1
    cloud.focus()
    x = make_problem(SMALL).x_train
    at, seen = 0, {0}
    for key, axis, sign in (("Right", 0, 1), ("Up", 1, 1), ("Left", 0, -1), ("Down", 1, -1)) * 3:
        opened.page.keyboard.press(f"Arrow{key}")
        then = int(cloud.get_attribute("aria-valuenow") or -1)
        assert then == at or sign * (x[then, axis] - x[at, axis]) > 0
        at = then
        seen.add(at)
    assert len(seen) > 3
    assert (cloud.get_attribute("aria-valuetext") or "").startswith(f"sample {at}: x = (")


@pytest.mark.parametrize("sample", [0, 89])
def test_every_chain_rule_has_pythons_numbers(
    sample: int, browser: Browser, path: Path, compared: Verification
) -> None:
    opened = Opened(browser, path, f"#epoch={EPOCH}&sample={sample}")
    params = split(by_epoch(compared.runs["numpy_manual"])[EPOCH])
    problem = make_problem(SMALL)
    x, y = problem.x_train[sample : sample + 1], problem.y_train[sample : sample + 1]
    a1, h1, f = numpy_manual.forward(x, *params)
    df = f - y
    dh1 = df @ params.W2
    gradients = dict(
        zip(("W1", "b1", "W2", "b2"), numpy_manual.backward(x, y, *params), strict=True)
    )
    values = {"a1": a1[0], "h1": h1[0], **params._asdict()}
    gradients |= {"a1": (dh1 * (a1 > 0))[0], "h1": dh1[0]}
    wanted = {"f": (f[0, 0], df[0, 0]), "L": (float(numpy_manual.loss(f, y)), 1.0)}
    for name, array in values.items():
        for index, value in np.ndenumerate(array):
            part = f"{name}[{','.join(map(str, index))}]"
            wanted[part] = float(value), float(gradients[name][index])
    assert len(wanted) == 2 + 2 * SMALL.hidden + 4 * SMALL.hidden + 1
    for part, (value, gradient) in wanted.items():
        opened.page.select_option("#sample select", part)
        assert opened.text("#sample h3") == part
        shown = opened.numbers("#sample .panel")
        assert shown[0] == pytest.approx(value, rel=1e-12, abs=1e-15)
        assert shown[1:2] == pytest.approx([gradient], rel=1e-12, abs=1e-15)
        for result in shown[2:]:  # each formula comes to the value or to the gradient
            assert result in (
                pytest.approx(value, rel=1e-12, abs=1e-15),
                pytest.approx(gradient, rel=1e-12, abs=1e-15),
            )


def test_a_node_and_an_edge_are_chosen_by_a_click_and_by_keys(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path)
    opened.page.click('#sample .node[data-part="h1[2]"]')
    assert opened.text("#sample h3") == "h1[2]"
    assert "h1[2] = max(a1[2], 0)" in opened.text("#sample .panel")
    opened.page.keyboard.press("ArrowDown")
    assert opened.text("#sample h3") == "a1[3]"
    opened.page.keyboard.press("ArrowDown")
    assert opened.text("#sample h3") == "h1[3]"
    opened.page.dispatch_event('#sample [data-part="W1[3,1]"]', "click")
    said = opened.text("#sample .panel")
    assert "dW1[3,1] = ∂L/∂a1[3] · ∂a1[3]/∂W1[3,1] = da1[3] · x[1]" in said
    for stage in STAGES:
        assert f"{stage}.py, line" in said
    assert "dW1 = da1.T @ x" in said
    assert "loss(model(x), y).backward()" in said


def test_one_update_step_by_step_is_stage_1s(
    browser: Browser, path: Path, compared: Verification
) -> None:
    problem = make_problem(SMALL)
    first = next(problem.orders())[0]
    p = [np.array(a) for a in problem.params]
    for i in range(0, 64, 32):  # the third batch, a short one, is looked at
        rows = first[i : i + 32]
        gradients = numpy_manual.backward(problem.x_train[rows], problem.y_train[rows], *p)
        p = [a - SMALL.lr * d for a, d in zip(p, gradients, strict=True)]
    rows = first[64:]
    gradients = numpy_manual.backward(problem.x_train[rows], problem.y_train[rows], *p)
    after = by_epoch(compared.runs["numpy_manual"])[1]
    opened = Opened(browser, path, "#of=3&step=10")
    assert "11 of 16. Backward: db1" in opened.text("#steps .panel")
    shown = opened.numbers("#steps .panel td")
    assert shown == pytest.approx(gradients[1].tolist(), rel=1e-11, abs=1e-14)
    opened.page.get_by_role("button", name="Next step", exact=True).click()
    assert "12 of 16. Update: W1" in opened.text("#steps .panel")
    shown = opened.numbers("#steps .panel td")
    assert shown[::3] == pytest.approx(p[0].ravel().tolist(), rel=1e-11, abs=1e-14)
    assert shown[1::3] == pytest.approx(gradients[0].ravel().tolist(), rel=1e-11, abs=1e-14)
    assert shown[2::3] == pytest.approx(after[: 2 * SMALL.hidden].tolist(), abs=1e-13)
    opened.page.get_by_role("button", name="Back", exact=True).click()
    assert "11 of 16" in opened.text("#steps .panel")
    assert "the bound is" in opened.text("#steps .caption")


def test_a_link_opens_the_same_view_again(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path)
    opened.page.select_option("#sample select", "b1[4]")
    opened.page.select_option("#hidden select >> nth=1", "3")
    opened.page.focus("input[type=range] >> nth=0")
    opened.page.keyboard.press("End")
    opened.page.locator("#training [role=slider]").focus()
    opened.page.keyboard.press("PageUp")
    fragment = opened.settled().url.split("#")[1]
    again = Opened(browser, path, f"#{fragment}")
    for selector in ("output.epoch", "#training .chosen", "#sample h3", "#hidden .caption"):
        assert again.text(selector) == opened.text(selector)
    assert again.text("#sample h3") == "b1[4]"
    assert again.text("output.epoch").startswith(f"epoch {SMALL.epochs} ")
    assert again.text("#training .chosen").startswith("sample 10:")


def test_what_no_link_says_is_the_default(browser: Browser, path: Path) -> None:
    wrong = "#epoch=x&sample=9999&part=W9[1]&of=77&step=-3&units=99,z&mistake=none@5"
    opened = Opened(browser, path, wrong)
    assert opened.text("output.epoch") == f"epoch 0 of {SMALL.epochs}"
    assert opened.text("#sample h3") == "W1[0,0]"
    assert opened.said == []


def test_a_broken_backward_pass_is_seen_and_named(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path, "#epoch=3&mistake=sign+of+dW%400")
    told, course, choose = "#whatif .panel", "#whatif .chart + .caption", "#whatif select >> nth=1"
    entry = CATALOGUE["sign of dW"]
    assert opened.text("#whatif .panel h3") == "A wrong dW1: sign of dW"
    assert entry.sentence in opened.text(told)
    assert entry.line in opened.text(told)
    assert "one batch: central differences show it: dW1[" in opened.text(told)
    for _ in range(3):
        opened.page.get_by_role("button", name="One epoch").click()
    assert opened.text(course).startswith("3 epochs on. Right gradients: loss")
    assert "The two part at step 1, by" in opened.text(course)
    assert opened.page.locator("#whatif path.line").count() == 2
    opened.page.get_by_role("button", name="a bias not summed").click()
    opened.page.get_by_role("button", name="One epoch").click()
    assert opened.text(course) == "The first update was refused: there is no training."
    assert "NumPy refuses the update: non-broadcastable output operand" in opened.text(told)
    assert "the shapes show it: db1 has shape (32,5), b1 has (5)" in opened.text(told)
    opened.page.select_option(choose, "short batch dropped@1")
    said = opened.text(told)
    assert "one batch: nothing to see: here this line gives the same numbers" in said
    assert "the short last batch: central differences show it" in said
    opened.page.select_option(choose, "dW accumulated@1")
    said = opened.text(told)
    assert "the short last batch: nothing to see" in said
    assert "a second call: central differences show it" in said
    opened.page.select_option(choose, "dW rows rolled@1")  # of one row
    assert opened.text(told).count("nothing to see") == 3
    opened.page.get_by_role("button", name="One epoch").click()
    assert "The two are still equal to 1e−9" in opened.text(course)
    opened.page.select_option(choose, "")
    assert opened.page.locator(told).inner_text() == ""
    assert opened.said == []


def test_another_rate_is_the_one_that_is_shown(browser: Browser, path: Path) -> None:
    opened = Opened(browser, path)
    rate, course = "#whatif input[type=number]", "#whatif .chart + .caption"
    for wrong in ("0", "-1", ""):
        opened.page.fill(rate, wrong)
        opened.page.locator(rate).blur()
        assert opened.page.input_value(rate) == "0.1"
    opened.page.fill(rate, "100")
    opened.page.get_by_role("button", name="Train on").click()
    expect(opened.page.locator(course)).to_contain_text("The numbers overflowed after")
    expect(opened.page.get_by_role("button", name="Train on")).to_be_visible()  # it stopped
    assert opened.page.is_disabled("#whatif input[type=range]")
    opened.page.get_by_role("button", name="Start again").click()
    assert opened.text(course).startswith("0 epochs on.")
    assert opened.page.is_enabled("#whatif input[type=range]")


def test_a_weight_that_is_moved_moves_the_network(
    browser: Browser, path: Path, compared: Verification
) -> None:
    opened = Opened(browser, path, f"#epoch={SMALL.epochs}&sample=4")
    opened.page.select_option("#whatif select >> nth=0", "b2:0")
    opened.page.fill("#whatif input[type=range]", "1.5")
    params = compared.runs["numpy_manual"].params._replace(b2=np.array([1.5]))
    problem = make_problem(SMALL)
    f = numpy_manual.forward(problem.x_train, *params)[2]
    now = opened.numbers("#whatif td:last-child")
    assert now[0] == pytest.approx(numpy_manual.loss(f, problem.y_train), rel=1e-12)
    assert now[1] == pytest.approx(f[4, 0], rel=1e-12)
    gradient = numpy_manual.backward(problem.x_train[4:5], problem.y_train[4:5], *params)[3]
    assert now[3] == pytest.approx(gradient[0], rel=1e-12)
    opened.page.click("text=Put all weights back")
    before, after = opened.numbers("#whatif tbody tr:first-child")
    assert before == after


MISTAKEN = """([name, layer, link, Ws, bs, x, y, size, lr, calls]) => {
  const { array, mistaken } = handgrad;
  const p = { W1: array(Ws[0].shape, Ws[0].values), b1: array(bs[0].shape, bs[0].values),
              W2: array(Ws[1].shape, Ws[1].values), b2: array(bs[1].shape, bs[1].values) };
  const samples = { x: array(x.shape, x.values), y: array(y.shape, y.values) };
  const pass = mistaken(name === null ? null : { name, layer, link }, size, lr);
  try {
    let found;
    for (let i = 0; i < calls; i++) found = pass(samples, p);
    return Object.fromEntries(Object.entries(found).map(
      ([key, a]) => [key, { shape: a.shape, values: [...a.values] }]));
  } catch (error) { return error.message; }
}"""


def plain(a: np.ndarray) -> dict[str, Any]:
    return {"shape": list(a.shape), "values": a.ravel().tolist()}


@pytest.mark.parametrize(("h", "B"), [(1, 1), (4, 5), (5, 32), (3, 3)])
def test_the_pages_mistakes_are_the_catalogues(
    h: int, B: int, browser: Browser, path: Path
) -> None:
    """Every mistake in every layer, on random networks: the same gradients, or none in both."""
    opened = Opened(browser, path)
    tried = 0
    for seed in range(3):
        rng = np.random.default_rng([seed, h, B])
        Ws = [rng.standard_normal((h, 2)), rng.standard_normal((1, h))]
        bs = [rng.standard_normal(h), rng.standard_normal(1)]
        x, y = rng.standard_normal((B, 2)), rng.integers(0, 2, (B, 1)).astype(float)
        if seed == 1:  # the first sample on every kink: eighths are added up without rounding
            Ws[0], x = (np.round(8 * a) / 8 for a in (Ws[0], x))
            bs[0] = -(Ws[0] @ x[0])
            assert not numpy_manual.forward(x, Ws[0], bs[0], Ws[1], bs[1])[0][0].any()
        arrays = [plain(W) for W in Ws], [plain(b) for b in bs], plain(x), plain(y)
        right = opened.page.evaluate(MISTAKEN, [None, 0, "", *arrays, 32, 0.1, 1])
        named = zip(
            ("dW1", "db1", "dW2", "db2"),
            numpy_manual.backward(x, y, Ws[0], bs[0], Ws[1], bs[1]),
            strict=True,
        )
        for name, ours in named:
            assert np.allclose(right[name]["values"], ours.ravel(), rtol=1e-12, atol=1e-14)
        for mistake in CATALOGUE.values():
            for layer in mistake.layers(2):
                for calls in (1, 2):
                    given = [mistake.name, layer, mistake.link, *arrays, 32, 0.1, calls]
                    same(
                        mistake, layer, calls, (Ws, bs, x, y), opened.page.evaluate(MISTAKEN, given)
                    )
                    tried += 1
    assert tried > 300


def same(mistake: Mistake, layer: int, calls: int, given: tuple[Any, ...], found: Any) -> None:
    backward = mistake.backward(layer, lr=0.1, batch_size=32)
    try:
        for _ in range(calls):
            (dW1, dW2), (db1, db2) = backward(*given)
    except ValueError:
        assert isinstance(found, str), mistake.name
        return
    for name, ours in {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}.items():
        where = f"{mistake.name}, layer {layer}, call {calls}: {name}"
        assert found[name]["shape"] == list(ours.shape), where
        assert np.allclose(found[name]["values"], ours.ravel(), rtol=1e-11, atol=1e-13), where


SLOPES = """([Ws, bs, x, y, entry, by]) => {
  const { array, backward, firstWrong } = handgrad;
  const p = { W1: array(Ws[0].shape, Ws[0].values), b1: array(bs[0].shape, bs[0].values),
              W2: array(Ws[1].shape, Ws[1].values), b2: array(bs[1].shape, bs[1].values) };
  const samples = { x: array(x.shape, x.values), y: array(y.shape, y.values) };
  const gradients = backward(samples, p);
  gradients.dW1.values[entry] += by;
  return firstWrong(samples, p, gradients);
}"""


def test_the_pages_slopes_call_no_right_gradient_wrong(browser: Browser, path: Path) -> None:
    """100 random networks, some on a kink, some with losses of 1e12; and a wrong entry is found."""
    opened = Opened(browser, path)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        h, B, size = int(rng.integers(1, 9)), int(rng.integers(1, 33)), 10.0 ** (6 * (seed % 2))
        Ws = [rng.standard_normal((h, 2)), size * rng.standard_normal((1, h))]
        bs = [rng.standard_normal(h), rng.standard_normal(1)]
        x, y = rng.standard_normal((B, 2)), rng.integers(0, 2, (B, 1)).astype(float)
        if seed % 10 == 3:
            bs[0] = -(Ws[0] @ x[0])
        arrays = [plain(W) for W in Ws], [plain(b) for b in bs], plain(x), plain(y)
        assert opened.page.evaluate(SLOPES, [*arrays, 0, 0.0]) is None, seed
        if seed % 10 != 3:  # on a kink there is no slope to compare with
            found = opened.page.evaluate(SLOPES, [*arrays, 1, 1e-3 * size**2])
            assert (found["parameter"], found["index"]) == ("W1", 1), seed


def test_the_test_of_the_mistakes_can_fail(browser: Browser, path: Path) -> None:
    mistake = CATALOGUE["dW doubled"]
    rng = np.random.default_rng(0)
    Ws, bs = [rng.standard_normal((2, 2)), rng.standard_normal((1, 2))], [np.ones(2), np.ones(1)]
    x, y = rng.standard_normal((3, 2)), np.ones((3, 1))
    arrays = [plain(W) for W in Ws], [plain(b) for b in bs], plain(x), plain(y)
    opened = Opened(browser, path)
    found = opened.page.evaluate(MISTAKEN, ["dW halved", 0, "dW", *arrays, 32, 0.1, 1])
    with pytest.raises(AssertionError, match="dW doubled, layer 0, call 1: dW1"):
        same(mistake, 0, 1, (Ws, bs, x, y), found)


@pytest.mark.parametrize(
    "config",
    [
        Config(hidden=1, epochs=5),
        Config(epochs=0),
        Config(epochs=1, n_train=1, n_val=1, batch_size=1),
        Config(dtype="float32", hidden=13, epochs=20),
        Config(hidden=40, epochs=4, seed=9),
        Config(n_train=7, n_val=1, batch_size=7, epochs=3, init="normal:0.1"),
        Config(lr=2, epochs=40, seed=1),
        Config(lr=30, epochs=20),
        Config(init="normal:1e200", epochs=2),
    ],
    ids=str,
)
def test_the_page_is_right_at_other_sizes_and_rates(
    config: Config, browser: Browser, tmp_path: Path
) -> None:
    text = page(compare_runs(make_problem(config)))
    opened = Opened(browser, written(tmp_path / "page.html", text))
    assert opened.said == []
    assert opened.page.locator(".proved").count() == 1, opened.text("header")
    diverged = config.lr == 30 or config.init == "normal:1e200"
    assert ("The training diverged at step" in opened.text("header")) is diverged
    opened.page.focus("input[type=range] >> nth=0")
    opened.page.keyboard.press("End")
    opened.page.select_option("#sample select", f"W2[0,{config.hidden - 1}]")
    last = f'#sample .node.path[data-part="h1[{config.hidden - 1}]"]'
    assert opened.settled().locator(last).count() == 1  # the graph turned to its unit
    assert opened.said == []


def test_it_works_on_a_phone_in_the_dark_and_asks_for_nothing(browser: Browser, path: Path) -> None:
    axe = (node_modules() / "axe-core" / "axe.min.js").read_text()
    for width, scheme in ((1100, "light"), (390, "dark")):
        opened = Opened(
            browser,
            path,
            "#mistake=db+not+summed%400&part=f",
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            has_touch=width < 500,
        )
        for summary in opened.page.locator("summary").all():
            summary.click()
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        opened.page.evaluate(axe)
        found = opened.page.evaluate("axe.run()")
        assert found["violations"] == [], [v["help"] for v in found["violations"]]
        assert len(found["passes"]) > 20
        assert opened.requests == [path.as_uri()]
        assert opened.said == []


def test_axe_and_the_count_of_requests_can_fail(browser: Browser, path: Path) -> None:
    axe = (node_modules() / "axe-core" / "axe.min.js").read_text()
    opened = Opened(browser, path)
    opened.page.evaluate("document.querySelector('input').removeAttribute('aria-label')")
    opened.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'x.png'}))")
    opened.page.evaluate(axe)
    found = opened.page.evaluate("axe.run()")
    assert {"label", "image-alt"} <= {v["id"] for v in found["violations"]}
    assert any("Content Security Policy" in text for text in opened.said)  # the image was refused


def test_a_browser_without_scripts_is_told_so(browser: Browser, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(path.as_uri())
    assert "needs a browser that runs JavaScript modules" in opened.inner_text("main")
    context.close()


def test_a_notebooks_frame_is_as_high_as_the_page(browser: Browser, tmp_path: Path) -> None:
    frame = show(epochs=2, n_train=40, n_val=10, state="#epoch=1&part=f")
    notebook = f"<!doctype html><body>{frame._repr_html_()}<p>after</p></body>"
    opened = browser.new_page(viewport={"width": 800, "height": 600})
    opened.goto(written(tmp_path / "notebook.html", notebook).as_uri())
    inside = opened.frame_locator("iframe")
    inside.locator(READY).wait_for()
    expect(inside.locator("output.epoch")).to_have_text("epoch 1 of 2")
    expect(inside.locator("#sample h3").first).to_have_text("f")

    def fits() -> bool:
        box = opened.locator("iframe").bounding_box()
        height = inside.locator("html").evaluate("e => e.scrollHeight")
        return box is not None and height <= box["height"] <= height + 10

    def in_sight() -> bool:  # the slider, though the frame is scrolled
        bar = inside.locator(".scrubber").bounding_box()
        return bar is not None and -1 <= bar["y"] < 100

    assert until(opened, fits)
    opened.mouse.wheel(0, 3000)
    assert until(opened, lambda: opened.evaluate("scrollY") > 2000)
    assert until(opened, in_sight)
    inside.get_by_text("Copy the state").click()
    inside.get_by_role("status").get_by_text("epoch=1").or_(inside.get_by_text("Copied")).wait_for()


def test_pictures_and_numbers_can_be_taken_along(
    browser: Browser, path: Path, compared: Verification
) -> None:
    opened = Opened(browser, path)

    def saved(text: str) -> str:
        with opened.page.expect_download() as download:
            opened.page.get_by_role("button", name=text).first.click()
        return Path(download.value.path()).read_text(encoding="utf-8")

    picture = saved("Save as SVG: boundary")
    assert picture.startswith("<svg ")
    assert re.search(r"--ink:\s*#[0-9a-f]{6}\s*!important", picture)
    header, *rows = saved("History as CSV").splitlines()
    history = compared.runs["numpy_manual"].history
    assert header.split(",") == list(history)
    assert [float(v) for v in rows[-1].split(",")] == [float(c[-1]) for c in history.values()]
    content = json.loads(saved("Everything as JSON"))
    assert content["config"]["seed"] == SMALL.seed
    assert len(content["history"]["val_loss"]) == SMALL.epochs + 1


def test_the_committed_bundle_is_the_sources(tmp_path: Path) -> None:
    node_modules()
    node = shutil.which("node")
    if node is None:
        missing("Node")
    subprocess.run([str(node), "build.mjs", str(tmp_path)], cwd=EXPLORER, check=True)
    committed = EXPLORER.parent / "src" / "handgrad" / "explore"
    for name in ("page.js", "page.css"):
        built = (tmp_path / name).read_bytes()
        assert built == (committed / name).read_bytes(), f"{name}: run make explorer, and commit it"
