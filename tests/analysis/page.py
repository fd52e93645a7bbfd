"""The report's page, parsed."""

from html.parser import HTMLParser

from analysis import report
from analysis.sweep import load

VOID = {"meta", "wbr", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Parses strictly: every tag is closed in order. Collects text by section, tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack, self.attributes, self.section, self.text = [], [], "", {}
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.section = dict(attrs)["id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.stack):
            self.text[self.section] = self.text.get(self.section, "") + data

    def words(self, section: str) -> str:
        return " ".join(self.text[section].replace("\N{NARROW NO-BREAK SPACE}", " ").split())

    @property
    def sections(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("section", "id")]


def page(writer) -> Page:
    return Page(report.render(load(writer.path)))
