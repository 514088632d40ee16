"""The page of the proxies: all panels and sentences, no external resources."""

import dataclasses
import re
from html import escape

from dsx.report.proxies.page import proxy_page
from dsx.report.proxies.table import panel_title, sentences
from dsx.store.studies.proxies import ProxyReport
from tests.report.front.test_page import Tags


def test_it_contains_panels_sentences_and_conditions(proxies: ProxyReport) -> None:
    text = proxy_page(proxies)
    for sentence in sentences(proxies):
        assert f"<p>{escape(sentence)}</p>" in text
    for proxy in proxies.proxies:
        assert panel_title(proxies, proxy) in text
    assert text.count("error_y") >= len(proxies.proxies)
    assert "Xeon, 1 thread, float32" in text


def test_it_loads_nothing(proxies: ProxyReport) -> None:
    tags = Tags(proxy_page(proxies)).tags
    assert not [attrs for _, attrs in tags if attrs.keys() & {"src", "href"}]


def test_text_from_data_is_not_interpreted_as_markup(proxies: ProxyReport) -> None:
    conditions = {"device": "<script>alert(1)</script>"}
    front = dataclasses.replace(proxies.front, study="<b>", conditions=conditions)
    text = proxy_page(dataclasses.replace(proxies, front=front))
    assert "<script>alert" not in text
    assert re.search(r"<title>&lt;b&gt;: proxies</title>", text)
