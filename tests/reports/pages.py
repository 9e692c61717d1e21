"""What does a page of a report say? Read back by the parser of the standard library."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """The figures, tables, pictures and data of a page; an element that is not closed fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.figures: dict[str, Any] = {}
        self.shown: dict[str, str] = {}
        self.tables: dict[str, list[list[Any]]] = {}
        self.cells: dict[str, list[list[str]]] = {}
        self.heads: dict[str, list[str]] = {}
        self.pictures: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._section = self._figure = ""
        self._script = ""
        self.feed(text)
        self.close()
        assert self._open == []
        self.data: dict[str, Any] = json.loads(self._script)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in given.items()]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = given["id"].removeprefix("table-")
            self.tables[self._section], self.cells[self._section] = [], []
            self.heads[self._section] = []
        elif tag == "div" and given.get("class") == "figure":
            self._figure = given["id"]
        elif tag == "svg":
            self.pictures.append(self._section)
        elif tag == "tr" and "tbody" in self._open:
            self.tables[self._section].append([])
            self.cells[self._section].append([])
        elif tag == "data":
            exact = json.loads(given["value"])
            if "td" in self._open:
                self.tables[self._section][-1].append(exact)
            else:
                self.figures[self._figure] = exact

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self._script += data
        elif self._open and self._open[-1] == "data":
            if "td" in self._open:
                self.cells[self._section][-1].append(data)
            else:
                self.shown[self._figure] = data
        elif self._open and self._open[-1] == "th":
            self.heads[self._section].append(data)
        self.words.append(data)


def assert_page_is_its_data(text: str, answer: dict[str, Any]) -> Page:
    """Every figure, table, formula and note of `--json` stands on the page, and nothing else."""
    page = Page(text)
    assert page.data == answer
    assert page.figures == {f["name"]: f["value"] for f in answer["figures"]}
    assert page.tables == {t["name"]: t["rows"] for t in answer["tables"]}
    said = "".join(page.words)
    for table in answer["tables"]:
        if table["rows"]:
            assert page.heads[table["name"]] == table["columns"]
        assert table["formula"] in said
        assert table["title"] in said
    for figure in answer["figures"]:
        assert figure["formula"]
        assert figure["formula"] in said
    assert all(note in said for note in answer["notes"])
    assert_asks_nobody(page, text)
    return page


def assert_asks_nobody(page: Page, text: str) -> None:
    """Nothing on the page is fetched from elsewhere."""
    named = [(tag, name, value) for tag, name, value in page.attributes if name != "xmlns"]
    fetching = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
    assert {value for _, name, value in named if name in fetching} == {"data:,"}
    assert not [n for n in named if n[0] != "data" and "//" in n[2]]
    assert {"iframe", "img", "object", "embed"}.isdisjoint(page.tags)
    assert [v for tag, name, v in named if (tag, name) == ("script", "type")] == [
        "application/json"
    ]
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
