"""What a page holds, as a browser would see it."""

from html.parser import HTMLParser


class Links(HTMLParser):
    """Everything a page would fetch or open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset")]
