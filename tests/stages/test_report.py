"""Reports: complete in both languages, safe whatever the data holds, adding up in sight."""

from __future__ import annotations

import csv
import io
import json
import re
import typing
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pytest
import report_fixture
import yaml

from tunewright.core.errors import MachineError, UsageError
from tunewright.core.policy import fit_accept
from tunewright.core.recipe import FindingKind
from tunewright.core.report import Report
from tunewright.stages.report import (
    errors_csv,
    figures,
    formats,
    render_card,
    render_html,
    render_markdown,
    texts,
    untrusted,
    views,
    write_card,
    write_reports,
)

KINDS = ("english", "chinese", "multi_label", "tiny", "hostile")
VOID = {"meta", "br", "img", "input", "link", "hr"}


def report(kind: str, **changes) -> Report:
    return Report({**getattr(report_fixture, kind)(), **changes})


class Page(HTMLParser):
    """A page's tags, attributes and text; checks that tags close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text, self.open, self.ids = [], [], [], [], set()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", "".join(Page(html).text))


# ------------------------------------------------------------------------------------------------------------ report


def test_a_report_reads_the_same_after_it_was_saved(tmp_path):
    made = report("tiny", extra={"accuracy": np.float32(0.5), "gone": float("nan"), "pair": (1, 2)})
    made.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == Report.load(tmp_path) == made
    assert made.get("extra") == {"accuracy": 0.5, "gone": None, "pair": [1, 2]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("name"), "name is missing, and must be str"),
        (lambda r: r["verdict"].pop("metric"), "verdict.metric is missing"),
        (lambda r: r["results"].update(tuned=3), "results.tuned is int, and must be dict"),
        (lambda r: r["verdict"].update(verdict="good"), "must be one of better, no_gain, worse"),
        (lambda r: r["verdict"]["sentence"].pop("zh"), "verdict.sentence.zh is missing"),
        (lambda r: r.update(schema=9), "schema 9, and this version reads schema 1"),
    ],
)
def test_a_report_that_lacks_what_renderings_need_names_the_key(tmp_path, change, message):
    content = report_fixture.tiny()
    change(content)
    with pytest.raises(UsageError, match=re.escape(message)):
        Report(content)
    (tmp_path / "report.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "report.json"))):
        Report.load(tmp_path)


def test_a_missing_or_broken_report_file_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"There is no report at .*report\.json: `tunewright train` writes one"):
        Report.load(tmp_path)
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="is no report: it is not JSON"):
        Report.load(tmp_path)
    (tmp_path / "report.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UsageError, match="it must be a JSON object"):
        Report.load(tmp_path)


def test_the_language_is_the_chosen_one_else_that_of_the_data():
    assert report("english").language == "en"
    assert report("chinese").language == "zh"
    assert report("chinese", report_language="en").language == "en"
    assert report("english", report_language="auto").language == "en"


# -------------------------------------------------------------------------------------------------------------- HTML


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_report_renders_as_well_formed_html_in_both_languages(kind, language):
    page = Page(render_html(report(kind), language))
    links = {value for _, name, value in page.attributes if name == "href"}
    assert links <= {f"#{identifier}" for identifier in page.ids}
    assert not [text for text in page.text if "Undefined" in text or text.strip() in ("None", "nan")]


def test_the_page_loads_nothing_and_runs_only_its_own_script():
    html = render_html(report("hostile"))
    page = Page(html)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not {"img", "link", "iframe", "object", "base", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "srcset")]
    policy = next(value for tag, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


@pytest.mark.parametrize("kind", ["english", "hostile"])
def test_the_policy_names_the_hashes_of_exactly_the_style_and_script_that_stand_in_the_page(kind):
    import base64
    import hashlib

    html = render_html(report(kind))
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in html.replace("&#39;", "'")


def test_rendering_twice_gives_the_same_bytes():
    assert render_html(report("english")) == render_html(report("english"))


def test_hostile_texts_are_shown_letter_by_letter():
    shown = words(render_html(report("hostile")))
    for text in report_fixture.HOSTILE:
        assert re.sub(r"\s+", " ", untrusted.visible(text)) in shown
    assert "user⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+0007⟩⟨U+200B⟩" in shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0007]", render_html(report("hostile")))


def test_the_page_tells_the_verdict_the_key_figures_and_how_to_repeat_the_run():
    content = report("english")
    shown = words(render_html(content))
    tuned = content.get("results.tuned")
    for text in (
        content.get("verdict.sentence.en"),
        formats.percent(tuned["accuracy"]),
        formats.percent(tuned["macro_f1"]),
        "4,530",
        "151 labels",
        "6 min 53 s",
        "18,233 tokens per second",
        "11,054,231 trained of 22,771,351 (48.5%)",
        "tunewright train recipes/clinc150-minilm.yaml --set seed=13",
        "torch 2.13.0",
        "overflow: split",
    ):
        assert text in shown


def test_chinese_pages_are_chinese_throughout():
    html = render_html(report("chinese"))
    assert '<html lang="zh-Hans">' in html
    shown = words(html)
    for text in (
        "关键数字",
        "数据账本",
        "水运工程施工项目全过程管理的有效性探索",
        "6 分 53 秒",
        "测试集：从训练数据中切出 9 条",
        "数据是中文",
        "训练集与验证集或测试集有相同文本",
    ):
        assert text in shown
    english = {en for en, zh in texts.TEXTS.values() if en != zh and len(en) > 16}
    assert not [sentence for sentence in english if sentence in shown]


def test_using_the_sealed_test_again_is_a_visible_warning():
    assert "sealed test was used 2 times" in words(render_html(report("chinese"), "en"))
    assert "封存的测试集已使用 2 次" in words(render_html(report("chinese"), "zh"))
    assert "Each further look" not in words(render_html(report("english")))


def test_the_ledger_shows_that_it_adds_up_and_warns_when_it_does_not():
    assert "off by" not in words(render_html(report("english")))
    content = report_fixture.english()
    content["data"]["ledger"]["rows"]["train"]["used"] -= 3
    shown = words(render_html(Report(content)))
    assert "✗ off by 3" in shown
    assert "The data ledger does not add up (train)" in shown


def test_a_failed_certificate_and_serious_findings_stand_at_the_top():
    content = report_fixture.english()
    content["certificate"]["checks"][0]["passed"] = False
    content["data"]["findings"][0]["severity"] = "error"
    keys = [key for key, _ in views.warnings(Report(content))]
    assert keys == ["warn.certificate", "warn.findings"]


def test_a_certificate_without_checks_is_not_called_passed():
    shown = words(render_html(report("english", certificate={"name": "transformers", "passed": True, "checks": []})))
    assert "Nothing was compared" in shown


def test_many_labels_show_only_the_most_confused_and_say_so():
    shown = words(render_html(report("english")))
    assert "Of 151 labels, only the 12 that are most mixed up are shown" in shown
    assert "Of 13 labels" not in words(render_html(report("chinese"), "en"))


def test_each_row_of_the_cut_matrix_still_sums_to_the_labels_rows():
    content = report("english")
    figure = views.confusion(content)
    for label, cells in figure.rows:
        assert sum(cell.n for cell in cells) == content.get("results.tuned.per_class")[label]["support"]


def test_a_matrix_that_was_not_kept_still_leaves_the_pairs():
    content = report_fixture.english()
    content["results"]["tuned"]["confusion"] = None
    shown = words(render_html(Report(content)))
    assert "Most frequent mix-ups" in shown and "only the 12" not in shown


def test_long_texts_are_cut_and_the_rest_is_counted():
    text = report_fixture.ENGLISH_TEXTS[1] * 40
    assert f"… and {len(text) - 400:,} more characters" in words(render_html(report("english")))


def test_several_labels_are_shown_one_by_one_with_their_thresholds():
    shown = words(render_html(report("multi_label")))
    assert "anger fear" in shown and "(none)" in shown and "threshold" in shown and "0.35" in shown


def test_what_was_not_measured_is_left_out_and_nothing_fails():
    page = Page(render_html(report("tiny")))
    assert {"curves", "confusion", "reliability", "classes", "slices", "errors"}.isdisjoint(page.ids)
    assert {"verdict", "key", "results", "ledger", "record"} <= page.ids


def never(**more) -> dict:
    """The decision of a model that always abstains, as `stages.judge` writes it."""
    found = fit_accept(np.full(40, 0.9), np.ones(40), max_error=0.05)
    about = {"accepted": found.coverage, "error": found.error, "upper": found.upper, "reason": asdict(found.reason)}
    return {"accept": found.accept, "coverage": {**about, "limit": 0.05, "split": "validation", **more}}


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "the model always abstains. 40 validation rows cannot show an error below 5%: that takes at least 86"),
        ("zh", "因此模型一律弃答。40 条验证数据不足以说明错误率低于 5%：至少需要 86 条"),
    ],
)
def test_a_model_that_always_abstains_says_why_and_how_many_rows_it_takes(language, sentence):
    content = report("english", decision=never())
    for rendered in (words(render_html(content, language)), render_markdown(content, language)):
        assert sentence in rendered
    assert sentence in render_card(content, language)


def test_where_nothing_is_answered_there_is_no_error_to_tell():
    content = report("english", decision=never())
    shown = words(render_html(content))
    assert "error among answers –" in shown and "error among answers 0.0%" not in shown
    assert "- error among answers: –" in render_markdown(content)


def test_abstention_is_told_on_the_test_rows_too():
    content = report_fixture.chinese()
    content["decision"]["coverage"]["test"] = {"split": "test", "accepted": 0.861, "error": 0.037}
    told = "answered 86.1%, error among answers 3.7%"
    assert told in words(render_html(Report(content), "en")) and told in render_markdown(Report(content), "en")


def test_a_label_without_test_rows_is_not_tested_and_not_among_the_weakest():
    content = report_fixture.multi_label()
    content["results"]["tuned"]["per_class"]["joy"] = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    made = Report(content)
    assert views.class_rows(made)[-1][0] == "joy"
    assert "joy" not in dict(views.weakest_labels(made, most=8))
    assert "| `joy` | not tested | – | – | 0 |" in render_markdown(made)
    assert "| `joy` | 未测试 | – | – | 0 |" in render_markdown(made, "zh")
    assert "not tested" in words(render_html(made)) and "not tested" not in words(render_html(report("multi_label")))
    assert "- Labels without test rows, so not tested (1): `joy`" in render_card(made)


def test_weakest_labels_are_named_only_where_some_are_clearly_weaker_and_at_most_a_third():
    def made(*f1: float) -> Report:
        content = report_fixture.english()
        content["results"]["tuned"]["per_class"] = {
            f"label {i}": {"precision": value, "recall": value, "f1": value, "support": 100}
            for i, value in enumerate(f1)
        }
        return Report(content)

    assert [label for label, _ in views.weakest_labels(made(0.9, 0.5, 0.92, 0.91), most=5)] == ["label 1"]
    assert len(views.weakest_labels(made(0.2, 0.9, 0.3, 0.9, 0.4, 0.9), most=5)) == 2
    alike = made(0.91, 0.9, 0.89, 0.9)
    assert views.weakest_labels(alike, most=5) == []
    assert "weaker labels" not in render_card(alike)
    assert "Labels, weakest first:" in render_markdown(alike) and "最弱的在前" in render_markdown(alike, "zh")
    assert "The 10 weakest of 151 labels:" in render_markdown(report("english"))


def test_the_card_names_a_part_of_the_test_only_where_its_interval_lies_below_the_whole():
    content = report_fixture.english()
    content["results"]["tuned"]["accuracy"] = 0.9
    low, wide = (
        {"slice": name, "n": 50, "value": 0.7, "low": 0.6, "high": high} for name, high in (("a", 0.8), ("b", 0.95))
    )
    content["slices"] = {"channel": [low, wide]}
    assert "- Clearly weaker parts of the test: channel `a` (70.0%)\n" in render_card(Report(content))
    content["slices"] = {"channel": [wide]}
    assert "weaker parts" not in render_card(Report(content))


def test_of_many_labels_the_weakest_are_shown_and_those_that_were_not_tested_are_counted():
    content = report_fixture.english()
    for label in report_fixture.ENGLISH[:7]:
        content["results"]["tuned"]["per_class"][label]["support"] = 0
    shown = render_markdown(Report(content))
    assert "The 10 weakest of 144 labels:" in shown and "| not tested |" not in shown
    assert "Labels without test rows, so not tested (7): `banking_balance`, " in shown and "`, …" in shown


@pytest.mark.parametrize(("after", "told"), [(0.073, "did not help: there the gap went"), (0.021, "brought it there")])
def test_calibration_is_called_a_help_only_where_it_was_one(after, told):
    content = report_fixture.english()
    content["decision"]["calibration"] |= {"ece_before": 0.064, "ece_after": after}
    assert f"{told} from 6.4% to {100 * after:.1f}%" in words(render_html(Report(content)))
    assert ("没有起作用" in words(render_html(Report(content), "zh"))) == (after > 0.064)


def test_thresholds_stand_in_the_decision_one_by_one_or_as_a_range():
    content = report_fixture.multi_label()
    assert "- thresholds of the labels: anger ≥ 0.3, joy ≥ 0.35, " in render_markdown(Report(content))
    content["decision"]["thresholds"] = {f"label {i}": i / 100 for i in range(10, 50)}
    told = "0.1 to 0.49; decision.json in the bundle holds each"
    assert told in render_markdown(Report(content)) and told in words(render_html(Report(content)))
    assert "0.1 至 0.49；每个标签的阈值见模型包中的 decision.json" in render_markdown(Report(content), "zh")


def test_that_no_step_improved_is_said_in_every_rendering():
    content = report_fixture.english()
    content["training"]["best_step"] = 0
    content["recipe"]["train"] = {"start": {"name": "prototypes"}}
    for language, told in (
        ("en", "the starting point, the backbone as it was with the head that train.start gave it (prototypes)"),
        ("zh", "训练的起点，即原样的骨干模型加上 train.start（prototypes）给出的输出层"),
    ):
        for render in (render_html, render_markdown, render_card):
            assert told in render(Report(content), language)
    assert "starting point" not in render_card(report("english"))
    content["training"]["steps"] = 0  # where no step was asked for, none can have failed
    assert "starting point" not in render_card(Report(content))


# ----------------------------------------------------------------------------------------------------------- figures


def test_a_scale_ends_at_round_numbers_and_holds_all_values():
    axis = figures.Axis.around([0.0, 0.062, -0.013])
    assert axis.low <= -0.013 and axis.high >= 0.062
    assert 0.0 in axis.ticks
    assert axis.at(axis.low) == 0 and axis.at(axis.high) == 100


def test_a_flat_curve_and_a_single_value_still_have_a_scale():
    for values in ([0.5], [0.0, 0.0], []):
        axis = figures.Axis.around(values)
        assert axis.high > axis.low


def test_the_forest_puts_the_deciding_baseline_first_and_far_ones_off_the_scale():
    plot = figures.forest(report("english").get("results.differences"), main="linear_probe")
    assert [row.name for row in plot.rows] == ["linear_probe", "tfidf", "majority"]
    assert [row.beyond for row in plot.rows] == ["", "", "right"]
    assert all(0 <= row.low <= row.value <= row.high <= 100 for row in plot.rows[:2])
    assert plot.rows[0].main and plot.rows[0].side == "above"


def test_an_interval_over_zero_is_drawn_as_undecided():
    plot = figures.forest(report("multi_label").get("results.differences"), main="linear_probe")
    assert plot.rows[0].side == "across"


def test_long_curves_are_thinned_to_averages_that_keep_their_mean():
    points = [(step, float(step % 7)) for step in range(10_000)]
    thin = figures.thinned(points)
    assert len(thin) == figures.MOST_POINTS
    assert np.mean([y for _, y in thin]) == pytest.approx(3.0, abs=0.01)


def test_validation_curves_keep_to_one_scale_and_leave_out_repeats():
    content = report_fixture.english()
    for entry in content["training"]["history"]:
        entry["validation"] |= {"micro_f1": entry["validation"]["accuracy"], "ece": 0.03, "mcc": 0.9}
    assert list(views.validation_curves(Report(content))) == ["accuracy", "macro_f1", "loss"]


# ----------------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.percent(0.9123), "91.2%"),
        (formats.measure(0.9123, "mcc"), "0.912"),
        (formats.difference(0.0312), "+3.1"),
        (formats.difference(-0.0312), "-3.1"),
        (formats.difference(-0.00001), "0.0"),
        (formats.between({"low": 0.9, "high": 0.92}), "90.0%–92.0%"),
        (formats.between({"low": -0.01, "high": 0.02}, "mcc"), "-0.010 … 0.020"),
        (formats.between(None), "–"),
        (formats.duration(3.21), "3.2 s"),
        (formats.duration(59.7), "60 s"),
        (formats.duration(192), "3 min 12 s"),
        (formats.duration(3900), "1 h 5 min"),
        (formats.size(812), "812 MiB"),
        (formats.size(1843), "1.8 GiB"),
        (formats.number(22771351.0), "22,771,351"),
        (formats.number(3.1e-7), "3.1e-07"),
        (formats.number(True), "True"),
        (formats.count(None), "–"),
    ],
)
def test_numbers_are_written_as_people_read_them(shown, expected):
    assert shown == expected


# ------------------------------------------------------------------------------------------------------------- texts


def test_every_text_and_word_is_said_in_both_languages_with_the_same_places_to_fill():
    for key, (english, chinese) in texts.TEXTS.items():
        assert english.strip() or key.startswith("page."), key
        assert sorted(re.findall(r"{(\w+)}", english)) == sorted(re.findall(r"{(\w+)}", chinese)), key
        assert english == chinese or re.search("[\u3000-\u9fff\uff00-\uffef…]", chinese), key
    assert all(en and zh for words in texts.WORDS.values() for en, zh in words.values())


def test_every_kind_of_finding_has_a_name():
    assert set(texts.WORDS["finding"]) == set(typing.get_args(FindingKind))


def test_a_name_without_a_translation_is_shown_as_it_is():
    assert texts.namer("zh")("baseline", "my_own") == "my_own"


# ---------------------------------------------------------------------------------------------------------- Markdown


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_markdown_tables_keep_their_columns_and_no_text_becomes_markup(kind, language):
    for rendered in (render_markdown(report(kind), language), render_card(report(kind), language).split("---\n", 2)[2]):
        outside = re.sub(r"(?ms)^(```+)\w*\n.*?^\1$", "", rendered)
        columns = None
        for line in outside.splitlines():
            if not line.startswith("|"):
                columns = None
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            columns = columns or cells
            assert cells == columns, line
        plain = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
        assert not re.search(r"<\w|(?<!\\)\]\(", plain)


def test_markdown_tells_the_same_numbers_as_the_page():
    content = report("english")
    rendered = render_markdown(content)
    assert content.get("verdict.sentence.en").replace("_", "\\_") in rendered
    assert "| train | 20,426 | 0 | 18,120 | 41 | 2,265 | ✓ |" in rendered
    assert "```sh\ntunewright train recipes/clinc150-minilm.yaml --set seed=13\n```" in rendered


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a`b", "``a`b``"), ("`", "`` ` ``"), ("a|b", "`a\\|b`"), ("", "` `"), ("x\ny", "`x↵y`")],
)
def test_code_spans_hold_any_text(text, expected):
    assert untrusted.markdown_code(text) == expected


# ---------------------------------------------------------------------------------------------------------- the card


@pytest.mark.parametrize("kind", KINDS)
def test_the_cards_metadata_is_what_the_hub_reads(kind):
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(render_card(report(kind)))
    results = card.data.eval_results
    tuned = report(kind).get("results.tuned")
    assert {result.metric_type: result.metric_value for result in results}["accuracy"] == round(tuned["accuracy"], 4)
    assert card.data.tags[0] == "tunewright"


def test_the_card_names_licence_base_and_data_only_as_far_as_they_are_known():
    known = yaml.safe_load(render_card(report("english")).split("---\n")[1])
    assert (known["license"], known["library_name"], known["pipeline_tag"]) == (
        "apache-2.0", "transformers", "text-classification"
    )  # fmt: skip
    assert "base_model" not in known and "datasets" not in known
    content = report_fixture.english()
    content["model"] |= {"base_model": "google-bert/bert-base-chinese", "licence": "Own terms"}
    content["data"]["sources"]["train"] = "clinc/clinc_oos"
    known = yaml.safe_load(render_card(Report(content)).split("---\n")[1])
    assert (known["base_model"], known["datasets"]) == ("google-bert/bert-base-chinese", ["clinc/clinc_oos"])
    assert (known["license"], known["license_name"]) == ("other", "own terms")


def test_the_card_shows_transformers_only_when_it_was_shown_to_answer_alike():
    assert 'pipeline("text-classification", model="BUNDLE/model")' in render_card(report("english"))
    own = render_card(report("english", certificate={"name": "transformers", "checks": []}))
    assert "from transformers" not in own and "library_name: tunewright" in own


def test_the_card_tells_limits_and_abstention_in_both_languages():
    for language, sentence in (("en", "Below a score of 0.71 it abstains"), ("zh", "分数低于 0.71 时弃答")):
        card = render_card(report("chinese"), language)
        assert sentence in card and "`理学` (F1" in card and "87.3%" in card


def test_a_backbone_in_a_folder_does_not_tell_the_path():
    content = report_fixture.english()
    content["model"]["backbone"] = "/home/someone/models/my-bert"
    card = render_card(Report(content))
    assert "my-bert" in card and "/home/someone" not in card


# ------------------------------------------------------------------------------------------------------ files, sheet


def test_all_files_are_written_and_agree(tmp_path):
    write_reports(report("chinese"), tmp_path)
    write_card(report("chinese"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.json", "report.html", "report.md", "errors.csv", "README.md"
    }  # fmt: skip
    assert render_html(Report.load(tmp_path)) == (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"A part of that path is a file|A file stands where a folder is needed"):
        write_reports(report("tiny"), tmp_path / "file")


def test_texts_with_broken_unicode_are_written_all_the_same(tmp_path):
    errors = [{"id": "a:1", "text": "half \ud83d emoji", "gold": "x", "predicted": "y", "score": 0.5}]
    write_reports(report("english", errors=errors), tmp_path)
    assert "half ⟨U+D83D⟩ emoji" in words((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_no_cell_of_the_errors_begins_a_formula():
    rows = list(csv.reader(io.StringIO(errors_csv(report("hostile")).removeprefix("\ufeff"))))
    assert rows[0] == ["id", "text", "gold", "predicted", "score"]
    assert len(rows) == 1 + len(report("hostile").get("errors"))
    assert not [cell for row in rows for cell in row if cell.lstrip()[:1] in tuple("=+-@")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        (" @SUM(A1)", " '@SUM(A1)"),
        ("＝1+1", "'＝1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("a\n-2", "a\n'-2"),
        ("plain - text", "plain - text"),
        (0.5, 0.5),
        (-0.5, -0.5),
    ],
)
def test_formulas_are_disarmed_and_other_cells_left_alone(cell, expected):
    assert untrusted.spreadsheet_cell(cell) == expected


SPANS = {
    "id": "test.conll:3", "text": "Anna <q> saw New York and Bob", "score": 0.9,
    "gold": [
        {"start": 0, "end": 4, "label": "PER", "text": "Anna"},
        {"start": 13, "end": 21, "label": "LOC", "text": "New York"},
        {"start": 26, "end": 29, "label": "PER", "text": "Bob"},
    ],
    "predicted": [
        {"start": 0, "end": 4, "label": "PER", "text": "Anna"},
        {"start": 5, "end": 8, "label": "<u>", "text": "<q>"},
        {"start": 17, "end": 21, "label": "LOC", "text": "York"},
    ],
}  # fmt: skip


def test_an_error_of_spans_is_cut_where_they_begin_and_end():
    found = [(piece.text, piece.kind, piece.gold, piece.predicted) for piece in views.pieces(SPANS, 400)]
    assert found == [
        ("Anna", "right", "PER", "PER"),
        (" ", "", "", ""),
        ("<q>", "extra", "", "<u>"),
        (" saw ", "", "", ""),
        ("New ", "missed", "", ""),
        ("York", "other", "LOC", "LOC"),
        (" and ", "", "", ""),
        ("Bob", "missed", "PER", ""),
    ]
    assert "".join(piece.text for piece in views.pieces(SPANS, 20)) == SPANS["text"][:20] + "…"
    assert views.pieces({**SPANS, "gold": "a", "predicted": 1.5}, 400) == []


def test_errors_of_spans_are_drawn_in_the_text_and_stay_harmless():
    html = render_html(report("chinese", errors=[SPANS]))
    page = Page(html)
    assert ("mark", "class", "span missed") in page.attributes
    assert "<q>" not in html.split('class="errors"')[1] and "<u>" not in html.split('class="errors"')[1]
    assert "New York (LOC)" in render_markdown(report("chinese", errors=[SPANS]))


def question(gold, predicted):
    text = "a " * 500 + "Anna met Bob" + " b" * 500
    places = {"Anna": 1000, "met": 1005, "Bob": 1009}
    answers = [
        [{"text": one, "start": places[one], "end": places[one] + len(one)} for one in side]
        for side in (gold, predicted)
    ]
    return {"id": "qa.json:7", "before": "who <b>met</b> Bob?", "text": text, "gold": answers[0], "predicted": answers[1], "score": 0.4}  # fmt: skip


def test_of_a_long_text_what_stands_around_the_answers_is_shown():
    found = [(piece.text, piece.kind) for piece in views.pieces(question(["Anna"], ["Bob"]), 400)]
    assert found == [("…" + ("a " * 500)[-60:], ""), ("Anna", "missed"), (" met ", ""), ("Bob", "extra"), ((" b" * 500)[:60] + "…", "")]  # fmt: skip
    nothing = views.pieces(question(["Anna", "met"], []), 400)
    assert [piece.kind for piece in nothing if piece.kind] == ["missed", "missed"]


def test_a_wrong_answer_stands_below_its_question_in_every_rendering():
    shown = report("chinese", errors=[question(["Anna"], ["Bob"])])
    html = render_html(shown)
    assert "who &lt;b&gt;met&lt;/b&gt; Bob?" in html.split('class="errors"')[1]
    markdown = render_markdown(shown)
    assert "who <b>met</b> Bob?" in markdown and "Anna met Bob" in markdown and "Anna (" not in markdown
    assert "more characters" not in render_markdown(report("chinese", errors=[question(["Anna", "met"], ["Bob"])]))
    cells = list(csv.reader(io.StringIO(errors_csv(shown))))[1]
    assert cells[1].startswith("who <b>met</b> Bob? ⏎ a a") and cells[2:4] == ["Anna", "Bob"]


FRAME = {
    **SPANS,
    "gold": {"intent": "Meet <b>", "slots": SPANS["gold"]},
    "predicted": {"intent": "Play", "slots": SPANS["predicted"]},
}


def test_errors_of_frames_draw_the_slots_and_name_both_intents():
    assert views.pieces(FRAME, 400) == views.pieces(SPANS, 400)
    listed = render_html(report("chinese", errors=[FRAME])).split('class="errors"')[1].partition("</ul>")[0]
    assert ("Meet &lt;b&gt;" in listed and "Play" in listed) and "New York (LOC)" not in listed
    bare = {**FRAME, "gold": {"intent": "Meet", "slots": []}, "predicted": {"intent": "Play", "slots": []}}
    listed = render_html(report("chinese", errors=[bare])).split('class="errors"')[1].partition("</ul>")[0]
    assert "Meet" in listed and "Play" in listed and not views.drawn([bare])
    assert "`Play`" in render_markdown(report("chinese", errors=[FRAME]))


def test_errors_of_graphs_draw_the_entities_and_list_the_triples():
    ends = {"head": {"start": 0, "end": 4, "text": "Anna <b>"}, "tail": {"start": 9, "end": 12, "text": "Bob"}}
    graph = {
        **SPANS,
        "gold": {"entities": SPANS["gold"], "triples": [{**ends, "relation": "met"}]},
        "predicted": {"entities": SPANS["predicted"], "triples": []},
    }
    assert views.pieces(graph, 400) == views.pieces(SPANS, 400)
    listed = render_html(report("chinese", errors=[graph])).split('class="errors"')[1].partition("</ul>")[0]
    assert "Anna &lt;b&gt; → met → Bob" in listed and "New York (LOC)" not in listed
    assert "Anna <b> → met → Bob" in render_markdown(report("chinese", errors=[graph]))
    assert views.names_of(graph["gold"])[-1] == "Anna <b> → met → Bob" and views.undrawn(graph["predicted"]) == []


def test_errors_of_several_tasks_draw_the_spans_and_name_the_other_answers():
    error = {**SPANS, "gold": {"mood": "good <b>", "names": SPANS["gold"]}, "predicted": {"mood": "bad", "names": SPANS["predicted"]}}  # fmt: skip
    assert views.pieces(error, 400) == views.pieces(SPANS, 400)
    listed = render_html(report("chinese", errors=[error])).split('class="errors"')[1].partition("</ul>")[0]
    assert "mood: good &lt;b&gt;" in listed and "mood: bad" in listed and "New York (LOC)" not in listed
    assert "names: New York (LOC)" in views.names_of(error["gold"])
    plain = {**SPANS, "gold": {"mood": "good"}, "predicted": {"mood": "bad"}}
    listed = render_html(report("chinese", errors=[plain])).split('class="errors"')[1].partition("</ul>")[0]
    assert "mood: good" in listed and not views.drawn([plain])
